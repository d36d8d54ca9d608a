//! Requirements on what others found: values of the target's counters, answers to PromQL, expressions.

use std::collections::BTreeMap;

use super::found::{RequirementFinding, depends};
use super::known::Known;
use super::requirement::{Measure, Requirement};
use super::slo::{Server, Several, Slo, Subject};
use super::worked::Worked;
use crate::base::units::show_seconds;
use crate::counters::ValueSeries;
use crate::counters::systems::{Systems, Unknown, Values, named};
use crate::counters::{Answered, Query};

/// Values that others found, for SLOs over them. What isn't here is missing, and so inconclusive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outside {
    /// Values made of the target's counters.
    pub values: Values,
    /// The answers to PromQL queries, by the query.
    pub promql: BTreeMap<String, Result<Answered, String>>,
    /// The values of expressions, by the expression as written.
    pub expressions: BTreeMap<String, Result<Worked, String>>,
}

impl Outside {
    /// A requirement on a value that others found, where the generator may have been the bottleneck.
    pub(super) fn judge(&self, requirement: &Requirement, slo: &Slo, limited: bool) -> RequirementFinding {
        match &slo.subject {
            Subject::Server(server) => self.server(requirement, server, slo.optional),
            Subject::Promql(query) => self.promql(requirement, query, slo.optional),
            Subject::Value(expression) => match self.expressions.get(expression) {
                Some(Ok(worked)) if !worked.value.is_finite() => RequirementFinding::missing("the value is no finite number"),
                Some(Ok(worked)) => {
                    let (known, doubt) = worked.known(requirement, limited);
                    RequirementFinding::known(known, known.met.is_none().then(|| depends(requirement, &known, &doubt)))
                }
                Some(Err(reason)) => RequirementFinding::missing(reason.clone()),
                None => RequirementFinding::missing("the expression wasn't evaluated"),
            },
            Subject::Traffic(_) => RequirementFinding::missing("it was measured by the generator"),
        }
    }

    fn server(&self, requirement: &Requirement, server: &Server, optional: bool) -> RequirementFinding {
        let all = self.values.systems(&server.value);
        let meant = all.map(|all| if server.matchers.is_empty() { all.clone() } else { all.matching(&server.matchers) });
        if optional && meant.as_ref().is_none_or(Systems::are_left_out) {
            return not_observed();
        }
        let Some(mut meant) = meant else { return RequirementFinding::missing("there is no source that was read") };
        meant.unknown.retain(|unknown| !(optional && unknown.left_out));
        if server.systems != Several::Sum {
            return Seen { what: "systems", systems: &meant, several: server.systems, note: None }.judge(requirement);
        }
        match meant.sum() {
            Ok(sum) => {
                let sum = Systems::of(vec![sum]).partly(meant.partial);
                Seen { what: "systems", systems: &sum, several: Several::Each, note: None }.judge(requirement)
            }
            Err(reason) => RequirementFinding::missing(reason),
        }
    }

    fn promql(&self, requirement: &Requirement, query: &Query, optional: bool) -> RequirementFinding {
        match self.promql.get(&query.text) {
            Some(Ok(answer)) => {
                let mut systems = Systems::of(answer.series.clone()).partly(answer.partial.clone());
                systems.unknown.clone_from(&answer.unknown);
                let note = answer.note.as_deref();
                Seen { what: "series", systems: &systems, several: Several::Each, note }.judge(requirement)
            }
            Some(Err(reason)) => RequirementFinding::missing(reason.clone()),
            None if optional => not_observed(),
            None => RequirementFinding::missing("the query wasn't asked"),
        }
    }
}

fn not_observed() -> RequirementFinding {
    RequirementFinding::unjudged("not observed: its source is left out")
}

/// Whether the requirement is about what a level was between the edges.
fn is_between(requirement: &Requirement, series: &ValueSeries) -> bool {
    series.samples > 0 && matches!(requirement.measure, Measure::Min | Measure::Max | Measure::Mean)
}

/// What is known of one series. What was seen of a level between the edges is what was seen, but where it had no number it may have
/// been any, and so where it was seen once (`once`: its row says so already); an increase or a ratio has the bounds of its value.
fn known(requirement: &Requirement, series: &ValueSeries, once: bool) -> Known {
    let all = f64::NEG_INFINITY..=f64::INFINITY;
    let any = series.blank > 0 || series.hole > 0.0 || series.samples == 1 && !once;
    let (level, open) = match requirement.measure {
        Measure::Min => (series.min, f64::NEG_INFINITY..=series.min),
        Measure::Max => (series.max, series.max..=f64::INFINITY),
        Measure::Mean => (series.avg, all),
        _ if series.ended > 0.0 => (series.value, all),
        _ => (series.value, series.least..=series.most),
    };
    let bounds = match requirement.measure {
        Measure::Min | Measure::Max | Measure::Mean if any => open,
        // The only one that was seen is the value.
        Measure::Min | Measure::Max | Measure::Mean if series.min == series.max && series.max == series.value => {
            series.least..=series.most
        }
        Measure::Min | Measure::Max | Measure::Mean => level..=level,
        _ => open,
    };
    Known::between(requirement, level, *bounds.start(), *bounds.end())
}

/// Values of which each has to meet a requirement.
struct Seen<'a> {
    /// What they are called together.
    what: &'static str,
    systems: &'a Systems,
    several: Several,
    /// What is to be said however it comes out.
    note: Option<&'a str>,
}

impl Seen<'_> {
    /// One that surely fails is enough; the worst is shown. What hides others, or makes all of it unsure, leaves no pass.
    fn judge(&self, requirement: &Requirement) -> RequirementFinding {
        let Systems { known: series, unknown, partial, .. } = self.systems;
        let all: Vec<(&ValueSeries, Known)> = {
            let once = self.note.is_some();
            series.iter().map(|series| (series, known(requirement, series, once))).collect()
        };
        // One that surely fails comes first, then one of which nobody can say, then the worst.
        let badness = |known: &Known| {
            let surely = match known.met {
                _ if known.value.is_nan() => 1,
                Some(false) => 2,
                None => 1,
                Some(true) => 0,
            };
            (surely, requirement.comparison.badness(known.value, requirement.objective))
        };
        let worst = all.iter().max_by(|(_, a), (_, b)| {
            let (a, b) = (badness(a), badness(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let hidden = (!unknown.is_empty()).then(|| hidden(unknown));
        let Some((worst, known)) = worst else {
            return RequirementFinding::missing(hidden.as_deref().unwrap_or(self.systems.missing()));
        };
        if known.value.is_nan() {
            let whose = if worst.labels.is_empty() { String::new() } else { format!(" for {}", named(&worst.labels)) };
            return RequirementFinding::missing(format!("the value is no finite number{whose}"));
        }
        let alone = series.len() == 1 && unknown.is_empty();
        let whose = (!alone).then(|| format!("of {} {}, {}", series.len(), self.what, named(&worst.labels)));
        let in_part = partial.as_ref().map(|partial| format!("the answer is partial: {partial}"));
        let some = |met: bool| all.iter().any(|(_, known)| known.met == Some(met));
        let disagree = self.several == Several::Agree && some(true) && some(false);
        let bounded = known.least.is_finite() || known.most.is_finite();
        let between = || bounded.then(|| requirement.unit.show_between(known.least, known.most));
        let seen = is_between(requirement, worst).then(|| seen(worst.samples)).filter(|_| self.note.is_none());
        let (met, notes) = match known.met {
            _ if in_part.is_some() => (None, vec![in_part, whose]),
            Some(false) if disagree => (None, vec![Some(disagreement(requirement, &all, worst))]),
            Some(false) => (Some(false), vec![whose]),
            None => (None, vec![between(), lost(worst), blank(worst), away(requirement, worst), whose, hidden]),
            Some(true) if hidden.is_some() => (None, vec![hidden]),
            Some(true) => (Some(true), Vec::new()),
        };
        let notes: Vec<String> = notes.into_iter().flatten().chain(seen).chain(self.note.map(str::to_owned)).collect();
        RequirementFinding::known(Known { met, ..*known }, (!notes.is_empty()).then(|| notes.join("; ")))
    }
}

/// What resets leave open of a value.
fn lost(series: &ValueSeries) -> Option<String> {
    match series.lost {
        0.0 => None,
        f64::INFINITY => Some(
            "it started again, went away or was not read in time, and nothing that was seen just before that bounds what was lost"
                .to_owned(),
        ),
        most => Some(format!("it started again or went away, and up to {most:.0} that it counted before is lost")),
    }
}

/// How often a level was seen.
fn seen(samples: u64) -> String {
    match samples {
        1 => "it was seen once, which says nothing of what it was between".to_owned(),
        samples => format!("it was seen {samples} times"),
    }
}

/// What of a value was no number.
fn blank(series: &ValueSeries) -> Option<String> {
    (series.blank > 0).then(|| format!("{} of its samples are no number (NaN or infinite)", series.blank))
}

/// When a level wasn't seen.
fn away(requirement: &Requirement, series: &ValueSeries) -> Option<String> {
    match is_between(requirement, series) {
        true => (series.hole > 0.0).then(|| format!("it wasn't there for {}", show_seconds(series.hole))),
        false => (series.ended > 0.0).then(|| {
            let (value, before) = (requirement.unit.show(series.value), show_seconds(series.ended));
            format!("it has no value at the end; the last one, {value}, is from {before} before it")
        }),
    }
}

/// What hides systems, as far as a message should be long.
fn hidden(unknown: &[Unknown]) -> String {
    const SHOWN: usize = 3;
    let mut all: Vec<String> = Vec::new();
    for Unknown { labels, why, .. } in unknown {
        let named_already = labels.iter().any(|(_, value)| why.contains(value.as_str()));
        let text = if named_already || labels.is_empty() { why.clone() } else { format!("{}: {why}", named(labels)) };
        if !all.contains(&text) {
            all.push(text);
        }
    }
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    all.join("; ")
}

/// What the systems are that disagree, and how to say which are meant.
fn disagreement(requirement: &Requirement, all: &[(&ValueSeries, Known)], worst: &ValueSeries) -> String {
    const SHOWN: usize = 10;
    let mut systems: Vec<String> = (all.iter().take(SHOWN))
        .map(|(series, known)| format!("{} has {}", named(&series.labels), requirement.unit.show(known.value)))
        .collect();
    if all.len() > SHOWN {
        systems.push(format!("{} more", all.len() - SHOWN));
    }
    let differs = |label: &&(String, String)| all.iter().any(|(series, _)| !series.labels.contains(label));
    let pick =
        worst.labels.iter().find(differs).map_or_else(String::new, |(name, value)| format!("`match: {{{name}: {value}}}`, "));
    format!("the systems disagree: {}; say which are meant by {pick}`over: each` or `over: sum`", systems.join("; "))
}

#[cfg(test)]
#[path = "outside_tests.rs"]
mod tests;
