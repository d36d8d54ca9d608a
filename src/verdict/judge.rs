//! The judgement of a phase or of the run: each requirement, then all together.
//!
//! A requirement is met, or not, or nobody can say; the last is inconclusive, with what it depends on. A doubt that changes no answer
//! changes nothing. Where nothing is required, nothing is claimed: the verdict is `none`.

use std::time::Duration;

use super::drift::LEAST_TIME;
use super::exit::combine;
use super::figures::{Extent, Figures};
use super::found::{RequirementFinding, depends};
use super::known::{Known, Pace};
use super::outside::Outside;
use super::requirement::{Comparison, Measure, Requirement, Tally};
use super::result::{Judgement, SloResult};
use super::slo::{Of, Over, Slo, Subject, Traffic, covered};
use super::watch::{LEAST_SAMPLES, Watches};
use crate::base::Verdict;
use crate::base::units::show_seconds;
use crate::measure::{Layout, PhaseId, ScenarioTotals, Totals};

/// What a phase, or the run, is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The labels that the totals are of.
    pub layout: &'a Layout,
    /// The phase, and its name; `None` for the run.
    pub phase: Option<(PhaseId, &'a str)>,
    /// Whether it is judged at all (`judge`).
    pub judged: bool,
    /// Whether its load asks for any traffic.
    pub loaded: bool,
    /// What was measured in it.
    pub totals: &'a Totals,
    /// Whether its drain is over, so that nothing more will be known of it.
    pub over: bool,
    /// How long it took, without its drain.
    pub duration: Duration,
    /// Whether the generator was the bottleneck.
    pub saturated: bool,
    /// Values that others found.
    pub outside: &'a Outside,
}

impl Inputs<'_> {
    fn pace(&self, slo: &Slo) -> Pace {
        // Arrivals that a slow generator misses are counted.
        let limited = self.saturated && slo.is_limited(self.phase.map(|phase| phase.0));
        Pace { seconds: self.duration.as_secs_f64(), limited, stood: None }
    }
}

/// Judges a phase, or the run, once it has drained. `watches` are those of the same SLOs and the same phase.
pub fn judge(slos: &[Slo], inputs: &Inputs<'_>, mut watches: Watches) -> Judgement {
    if !inputs.judged {
        return Judgement::default();
    }
    watches.finish(inputs.duration, inputs.totals, inputs.over);
    let applies = |slo: &Slo| match inputs.phase {
        Some((phase, _)) => slo.applies_to(phase),
        None => slo.over == Over::Run,
    };
    let covered = covered(slos, inputs.phase.map(|phase| phase.0));
    let extent = Extent { layout: inputs.layout, covered: &covered, run: inputs.phase.is_none(), over: inputs.over };
    let mut judgement = Judgement::default();
    for (i, slo) in slos.iter().enumerate().filter(|(_, slo)| applies(slo)) {
        let figures = match &slo.subject {
            Subject::Traffic(traffic) => Some((traffic, Figures::of(traffic, inputs.totals, extent))),
            _ => None,
        };
        for (j, requirement) in slo.require.iter().chain(&slo.target).enumerate() {
            if !slo.judges(requirement, inputs.phase.map(|phase| phase.0)) {
                continue;
            }
            let found = match &figures {
                Some((traffic, figures)) => measured(requirement, (i, j), slo, traffic, figures, inputs, &watches),
                None => inputs.outside.judge(requirement, slo, inputs.pace(slo).limited),
            };
            judgement.slos.push(row(slo, requirement, found, j >= slo.require.len(), inputs));
        }
    }
    judgement.verdict = combine(judgement.slos.iter().map(|slo| slo.verdict));
    let of = |verdict: Verdict| judgement.slos.iter().filter(move |slo| slo.verdict == verdict);
    judgement.reasons.extend(of(Verdict::Fail).map(SloResult::sentence));
    // Values of others may hold for want of a load.
    if judgement.verdict != Verdict::None && inputs.loaded && nothing_measured(inputs.totals) {
        judgement.verdict = judgement.verdict.max(Verdict::Inconclusive);
        judgement.reasons.push("Nothing was measured.".to_owned());
    }
    let unsure: Vec<String> =
        judgement.slos.iter().filter(|slo| slo.verdict == Verdict::Inconclusive).map(SloResult::sentence).collect();
    judgement.reasons.extend(unsure);
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

/// A requirement on what the generator measured.
fn measured(
    requirement: &Requirement,
    (slo_index, index): (usize, usize),
    slo: &Slo,
    traffic: &Traffic,
    figures: &Figures,
    inputs: &Inputs<'_>,
    watches: &Watches,
) -> RequirementFinding {
    if let Of::Gauge(id) = traffic.of {
        return match inputs.totals.own_gauge(id) {
            Some(value) => RequirementFinding::known(Known::exactly(requirement, value), None),
            None if inputs.phase.is_some() => RequirementFinding::missing("nothing set it in this phase"),
            None => RequirementFinding::missing("nothing set it in the judged phases"),
        };
    }
    if requirement.measure == Measure::Drift && inputs.duration < LEAST_TIME {
        let of = if inputs.phase.is_some() { "a phase" } else { "the judged phases" };
        let reason = format!("too short: a drift takes at least {}min of {of}", LEAST_TIME.as_secs() / 60);
        return RequirementFinding::unjudged(reason);
    }
    let mut found = if requirement.measure == Measure::Drift {
        match watches.drift(slo_index).map(|drift| drift.known(requirement)) {
            Some((known, note)) => RequirementFinding { known, note, unjudged: false },
            None => RequirementFinding::missing("it was not followed"),
        }
    } else if let Some(window) = slo.window {
        windowed(window, slo_index, index, watches, requirement, inputs.pace(slo))
    } else {
        let pace = inputs.pace(slo);
        match figures.known(requirement, pace) {
            Some(known) => RequirementFinding::known(
                known,
                known.met.is_none().then(|| depends(requirement, &known, &figures.doubt(requirement, pace))),
            ),
            None => RequirementFinding::missing(no_data(requirement, traffic.of, figures, pace)),
        }
    };
    if let Some((reason, known)) = watches.aborted(slo_index, index) {
        found.known = Some(Known { met: Some(false), ..found.known.unwrap_or(known) });
        found.note = Some(reason.to_owned());
    }
    found
}

fn no_data(requirement: &Requirement, of: Of, figures: &Figures, pace: Pace) -> String {
    let nothing = match requirement.measure {
        _ if of == Of::Connect && figures.samples(Measure::Within(0.0)) > 0 => "no connection could be opened",
        _ if of == Of::Connect => "no connection was opened; `over: run` judges all phases together",
        Measure::Ratio(Tally::Checks) | Measure::Count(Tally::Checks) => "no check was evaluated",
        Measure::Ratio(Tally::Dropped) | Measure::Count(Tally::Dropped) => "no arrival was due",
        Measure::Ratio(Tally::Disconnects) | Measure::Count(Tally::Disconnects) => "no connection was open",
        Measure::Ratio(Tally::Missed) | Measure::Count(Tally::Missed) => "no numbered message came",
        Measure::Silent => "nobody listened with `every`",
        _ => "there was no data",
    };
    let doubt = figures.doubt(requirement, pace);
    if doubt.is_empty() { nothing.to_owned() } else { format!("{nothing}: {doubt}") }
}

/// A requirement judged over windows.
fn windowed(
    window: Duration,
    slo: usize,
    index: usize,
    watches: &Watches,
    requirement: &Requirement,
    pace: Pace,
) -> RequirementFinding {
    let length = show_seconds(window.as_secs_f64());
    let Some((mark, worst)) = watches.mark(slo, index).and_then(|mark| Some((mark, mark.worst?))) else {
        return RequirementFinding::missing(format!("no window of {length} held {LEAST_SAMPLES} samples"));
    };
    let small = (mark.small > 0).then(|| {
        let all = mark.judged + mark.small;
        format!("{} of {all} windows of {length} held fewer than {LEAST_SAMPLES} samples and aren't judged", mark.small)
    });
    let at = |t: Duration| show_seconds(t.as_secs_f64());
    let known = |met| Known { met, ..worst };
    if mark.breached > 0 {
        let note = format!(
            "breached in {} of {} windows of {length}, the first up to {}, the last up to {}{}",
            mark.breached,
            mark.judged,
            at(mark.first),
            at(mark.last),
            if mark.recovered { ", then it recovered" } else { "" }
        );
        // How much more a closed load would have done in each of them nobody knows.
        let more_mends = matches!(requirement.comparison, Comparison::Above | Comparison::AtLeast | Comparison::Equal)
            && matches!(requirement.measure, Measure::Rate | Measure::Value | Measure::Count(Tally::Requests));
        if pace.limited && more_mends {
            let note = format!("{note}; the generator itself was the bottleneck");
            return RequirementFinding::known(known(None), Some(note));
        }
        return RequirementFinding::known(known(Some(false)), Some(note));
    }
    match &mark.unsure {
        Some((windows, doubt)) => {
            let note = format!("in {windows} of {} windows of {length} it depends on what is unknown, {doubt}", mark.judged);
            RequirementFinding::known(known(None), Some(note))
        }
        None => RequirementFinding::known(known(Some(true)), small),
    }
}

fn row(slo: &Slo, requirement: &Requirement, found: RequirementFinding, target: bool, inputs: &Inputs<'_>) -> SloResult {
    let met = found.known.and_then(|known| known.met);
    let verdict = match met {
        _ if target || found.unjudged => Verdict::None,
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Fail,
        None => Verdict::Inconclusive,
    };
    let bounds = found.known.filter(|known| known.least != known.value || known.most != known.value);
    SloResult {
        value: found.known.map(|known| known.value),
        least: bounds.map(|known| known.least),
        most: bounds.map(|known| known.most),
        met,
        verdict,
        reason: found.note,
        target,
        ..SloResult::unknown(&slo.name, inputs.phase.map_or_else(String::new, |phase| phase.1.to_owned()), requirement)
    }
}

#[cfg(test)]
mod everyday;
#[cfg(test)]
mod tests;
