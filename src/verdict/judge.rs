//! The judgement of a phase or of the run: each requirement, then all together.
//!
//! A requirement is met, breached, or can't be told; what can't be told is inconclusive, with the reason. Where the generator was the
//! bottleneck the load was not what was asked for, so nothing passes; and a breach of what the generator's own slowness shows in
//! (times, rates, drops) can't be told from the target's, so it is inconclusive too. Errors, answers and checks that
//! breach remain failures: no slow generator makes a target answer 500.

use super::exit::combine;
use super::figures::Figures;
use super::requirement::{Measure, Requirement, Tally, Unit};
use super::slo::{Of, Over, Slo, Subject, Traffic};
use super::watch::{LEAST_SAMPLES, Watches};
use crate::base::units::show_seconds;
use crate::base::{Reason, Verdict};
use crate::counters::{ValueSeries, Values};
use crate::measure::{OwnId, PhaseId, ScenarioTotals, Totals};
use std::collections::BTreeMap;
use std::time::Duration;

/// Values that others found, for SLOs over them. What isn't here is missing, and so inconclusive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outside {
    /// Values made of the target's counters.
    pub values: Values,
    /// The answers to PromQL queries, by the query.
    pub promql: BTreeMap<String, Result<Vec<ValueSeries>, String>>,
    /// The values of expressions, by the expression as written.
    pub expressions: BTreeMap<String, Result<f64, String>>,
    /// The profile's own gauges.
    pub gauges: BTreeMap<OwnId, f64>,
}

/// What a phase, or the run, is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The phase, and its name; `None` for the run.
    pub phase: Option<(PhaseId, &'a str)>,
    /// Whether it is judged at all (`judge`).
    pub judged: bool,
    /// Whether its load asks for any traffic.
    pub loaded: bool,
    /// What was measured in it.
    pub totals: &'a Totals,
    /// How long it took, without its drain.
    pub duration: Duration,
    /// Why the generator was the bottleneck, if it was.
    pub saturated: Option<&'a str>,
    /// What else makes the verdict unsure: a source that couldn't be read, a list that overflowed, data that ran out, a gap.
    pub doubts: &'a [String],
    /// Values that others found.
    pub outside: &'a Outside,
}

/// One requirement and how it went.
#[derive(Debug, Clone, PartialEq)]
pub struct SloResult {
    /// The SLO's name.
    pub name: String,
    /// The phase's name; empty for the run.
    pub phase: String,
    /// The requirement as written.
    pub requirement: String,
    /// The unit of value and objective.
    pub unit: Unit,
    /// What was measured: of windows the worst, of series the worst.
    pub value: Option<f64>,
    /// What was asked for.
    pub objective: f64,
    /// Whether it was met; `None` if that can't be told.
    pub met: Option<bool>,
    /// What it comes to; a target always passes.
    pub verdict: Verdict,
    /// Why it failed or can't be told, as part of a sentence.
    pub reason: Option<String>,
    /// Whether it is a target.
    pub target: bool,
}

/// What a phase, or the run, comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it isn't a pass, as sentences.
    pub reasons: Vec<String>,
    /// Every requirement of every SLO that applies.
    pub slos: Vec<SloResult>,
}

/// A value, and whether it meets the requirement or why that can't be told; and what is to be said of it.
struct Found {
    value: Option<f64>,
    met: Result<bool, String>,
    note: Option<String>,
}

impl Found {
    fn missing(reason: impl Into<String>) -> Self {
        Self { value: None, met: Err(reason.into()), note: None }
    }
}

/// Judges a phase, or the run, once it has drained. `watches` are those of the same SLOs and the same phase.
pub fn judge(slos: &[Slo], inputs: &Inputs<'_>, mut watches: Watches) -> Judgement {
    if !inputs.judged {
        return Judgement { verdict: Verdict::Pass, reasons: vec![], slos: vec![] };
    }
    watches.finish(inputs.duration, inputs.totals);
    let applies = |slo: &Slo| match inputs.phase {
        Some((phase, _)) => slo.applies_to(phase),
        None => slo.over == Over::Run,
    };
    let mut judgement = Judgement { verdict: Verdict::Pass, reasons: vec![], slos: vec![] };
    for (i, slo) in slos.iter().enumerate().filter(|(_, slo)| applies(slo)) {
        let figures = match &slo.subject {
            Subject::Traffic(traffic) => Some((traffic, Figures::of(traffic, inputs.totals))),
            _ => None,
        };
        for (j, requirement) in slo.require.iter().chain(&slo.target).enumerate() {
            if !slo.judges(requirement, inputs.phase.map(|phase| phase.0)) {
                continue;
            }
            let found = match (&figures, &slo.subject) {
                (Some((traffic, figures)), _) => measured(requirement, (i, j), slo, traffic, figures, inputs, &watches),
                (None, subject) => outside(requirement, subject, inputs.outside),
            };
            judgement.slos.push(result(slo, requirement, found, j >= slo.require.len(), inputs));
        }
    }
    let of_slos = combine(judgement.slos.iter().map(|slo| slo.verdict));
    judgement.reasons.extend(judgement.slos.iter().filter(|slo| slo.verdict == Verdict::Fail).map(sentence));
    let mut doubts: Vec<String> =
        inputs.saturated.iter().map(|reason| (*reason).to_owned()).chain(inputs.doubts.iter().cloned()).collect();
    if inputs.loaded && nothing_measured(inputs.totals) {
        doubts.push("Nothing was measured.".to_owned());
    }
    judgement.verdict = if doubts.is_empty() { of_slos } else { of_slos.max(Verdict::Inconclusive) };
    judgement.reasons.extend(doubts);
    // What the generator made unsure is said once, above.
    let unsure =
        judgement.slos.iter().filter(|slo| slo.verdict == Verdict::Inconclusive && inputs.saturated != slo.reason.as_deref());
    judgement.reasons.extend(unsure.map(sentence));
    judgement
}

/// Connections that only stayed up are something.
fn nothing_measured(totals: &Totals) -> bool {
    let idle = |scenario: &ScenarioTotals| {
        scenario.due == 0
            && scenario.iterations.iter().all(|it| it.is_empty())
            && scenario.connects.iter().all(|connects| connects.there() == 0)
    };
    totals.steps.iter().all(|step| step.requests() == 0) && totals.scenarios.iter().all(idle)
}

fn sentence(slo: &SloResult) -> String {
    let found = match (slo.value, &slo.reason) {
        (Some(value), Some(reason)) => format!("{} ({reason})", slo.unit.show(value)),
        (Some(value), None) => slo.unit.show(value),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "no data".to_owned(),
    };
    let came_out = if slo.verdict == Verdict::Fail { "was not met" } else { "can't be told" };
    format!("{}: {} {came_out}: {found}.", slo.name, slo.requirement)
}

/// A requirement on what the generator measured.
fn measured(
    requirement: &Requirement,
    (slo_index, index): (usize, usize),
    slo: &Slo,
    traffic: &Traffic,
    figures: &Figures,
    inputs: &Inputs<'_>,
    watches: &Watches,
) -> Found {
    if let Of::Gauge(id) = traffic.of {
        return match inputs.outside.gauges.get(&id) {
            Some(value) => Found { value: Some(*value), met: Ok(requirement.met(*value)), note: None },
            None => Found::missing("it was never set"),
        };
    }
    let mut found = if requirement.measure == Measure::Drift {
        match watches.drift(slo_index).map(|drift| drift.judge(requirement)) {
            Some(Ok((value, met))) => Found { value: Some(value), met: Ok(met), note: None },
            Some(Err((value, reason))) => Found { value, met: Err(reason), note: None },
            None => Found::missing("it was not followed"),
        }
    } else if let Some(window) = slo.window {
        windowed(window, slo_index, index, watches)
    } else {
        match figures.judge(requirement, inputs.duration.as_secs_f64()) {
            Some((value, met)) => Found { value: Some(value), met: Ok(met), note: None },
            None => Found::missing(no_data(requirement.measure, traffic.of)),
        }
    };
    if let Some(reason) = watches.aborted(slo_index, index) {
        found.met = Ok(false);
        found.note = Some(reason.to_owned());
    }
    found
}

fn no_data(measure: Measure, of: Of) -> &'static str {
    match measure {
        _ if of == Of::Connect => "no connection was opened; `over: run` judges all phases together",
        Measure::Ratio(Tally::Checks) | Measure::Count(Tally::Checks) => "no check was evaluated",
        Measure::Ratio(Tally::Dropped) | Measure::Count(Tally::Dropped) => "no arrival was due",
        Measure::Ratio(Tally::Disconnects) | Measure::Count(Tally::Disconnects) => "no connection was open",
        Measure::Ratio(Tally::Missed) | Measure::Count(Tally::Missed) => "no numbered message came",
        _ => "there was no data",
    }
}

/// A requirement judged over windows.
fn windowed(window: Duration, slo: usize, index: usize, watches: &Watches) -> Found {
    let length = show_seconds(window.as_secs_f64());
    let Some(mark) = watches.mark(slo, index).filter(|mark| mark.judged > 0) else {
        return Found::missing(format!("no window of {length} held {LEAST_SAMPLES} samples"));
    };
    let note = (mark.breached > 0).then(|| {
        let at = |t: Duration| show_seconds(t.as_secs_f64());
        format!(
            "breached in {} of {} windows of {length}, the first up to {}, the last up to {}{}",
            mark.breached,
            mark.judged,
            at(mark.first),
            at(mark.last),
            if mark.recovered { ", then it recovered" } else { "" }
        )
    });
    Found { value: mark.worst, met: Ok(mark.breached == 0), note }
}

/// A requirement on what others found: every series has to meet it.
fn outside(requirement: &Requirement, subject: &Subject, outside: &Outside) -> Found {
    let single;
    let series: Result<&[ValueSeries], String> = match subject {
        Subject::Server(name) => outside.values.series(name).map_err(str::to_owned),
        Subject::Promql(query) => match outside.promql.get(query) {
            Some(answer) => answer.as_deref().map_err(String::clone),
            None => Err("the query wasn't asked".into()),
        },
        Subject::Value(expression) => match outside.expressions.get(expression) {
            Some(Ok(value)) => {
                single = [ValueSeries { labels: vec![], value: *value, min: *value, max: *value, avg: *value }];
                Ok(&single)
            }
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("the expression wasn't evaluated".into()),
        },
        Subject::Traffic(_) => Err("it was measured by the generator".into()),
    };
    let series = match series {
        Ok([]) => return Found::missing("no series was returned"),
        Ok(series) => series,
        Err(reason) => return Found::missing(reason),
    };
    let value_of = |series: &ValueSeries| match requirement.measure {
        Measure::Min => series.min,
        Measure::Max => series.max,
        Measure::Mean => series.avg,
        _ => series.value,
    };
    let labels =
        |of: &ValueSeries| of.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ");
    if let Some(odd) = series.iter().find(|series| value_of(series).is_nan()) {
        let whose = if odd.labels.is_empty() { String::new() } else { format!(" for {}", labels(odd)) };
        return Found::missing(format!("the value is not a number{whose}"));
    }
    let badness = |series: &ValueSeries| requirement.comparison.badness(value_of(series), requirement.objective);
    let Some(worst) = series.iter().max_by(|a, b| badness(a).total_cmp(&badness(b))) else {
        return Found::missing("no series was returned");
    };
    let value = value_of(worst);
    let met = series.iter().all(|series| requirement.met(value_of(series)));
    let note = (!met && series.len() > 1).then(|| format!("of {} series, {}", series.len(), labels(worst)));
    Found { value: Some(value), met: Ok(met), note }
}

/// Whether a slow generator shows in a measure.
fn shows_the_generator(measure: Measure) -> bool {
    match measure {
        Measure::Quantile(_)
        | Measure::Mean
        | Measure::Max
        | Measure::Min
        | Measure::Within(_)
        | Measure::Rate
        | Measure::Drift => true,
        Measure::Ratio(tally) | Measure::Count(tally) => {
            matches!(tally, Tally::Requests | Tally::Timeouts | Tally::Dropped | Tally::Missed | Tally::Because(Reason::Timeout))
        }
        Measure::Value => false,
    }
}

fn result(slo: &Slo, requirement: &Requirement, found: Found, target: bool, inputs: &Inputs<'_>) -> SloResult {
    let traffic = matches!(slo.subject, Subject::Traffic(_));
    let (met, verdict, reason) = match (found.met, inputs.saturated) {
        (Err(reason), _) => (None, Verdict::Inconclusive, Some(reason)),
        (Ok(true), None) => (Some(true), Verdict::Pass, found.note),
        (Ok(true), Some(saturated)) => (None, Verdict::Inconclusive, Some(saturated.to_owned())),
        (Ok(false), Some(saturated)) if traffic && shows_the_generator(requirement.measure) => {
            (None, Verdict::Inconclusive, Some(saturated.to_owned()))
        }
        (Ok(false), _) => (Some(false), Verdict::Fail, found.note),
    };
    SloResult {
        name: slo.name.clone(),
        phase: inputs.phase.map_or_else(String::new, |phase| phase.1.to_owned()),
        requirement: requirement.text.clone(),
        unit: requirement.unit,
        value: found.value,
        objective: requirement.objective,
        met,
        verdict: if target { Verdict::Pass } else { verdict },
        reason,
        target,
    }
}

#[cfg(test)]
mod tests;
