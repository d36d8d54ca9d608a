//! Requirements on what others found: values of the target's counters, answers to PromQL, expressions, gauges.

use std::collections::BTreeMap;

use super::judge::Found;
use super::known::Known;
use super::requirement::{Measure, Requirement};
use super::slo::Subject;
use crate::counters::{ValueSeries, Values};
use crate::measure::OwnId;

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

impl Outside {
    /// A requirement on a value that others found: every series has to meet it.
    pub(super) fn judge(&self, requirement: &Requirement, subject: &Subject) -> Found {
        let series: Result<&[ValueSeries], &str> = match subject {
            Subject::Server(name) => self.values.series(name),
            Subject::Promql(query) => match self.promql.get(query) {
                Some(answer) => answer.as_deref().map_err(String::as_str),
                None => Err("the query wasn't asked"),
            },
            Subject::Value(expression) => {
                return match self.expressions.get(expression) {
                    Some(Ok(value)) if value.is_nan() => Found::missing("the value is not a number"),
                    Some(Ok(value)) => Found::known(Known::exactly(requirement, *value), None),
                    Some(Err(reason)) => Found::missing(reason.clone()),
                    None => Found::missing("the expression wasn't evaluated"),
                };
            }
            Subject::Traffic(_) => Err("it was measured by the generator"),
        };
        match series {
            Ok([]) => Found::missing("no series was returned"),
            Ok(series) => each(requirement, series),
            Err(reason) => Found::missing(reason),
        }
    }
}

/// What is known of one series. What was seen of a level between the edges is what was seen.
fn known(requirement: &Requirement, series: &ValueSeries) -> Known {
    match requirement.measure {
        Measure::Min => Known::exactly(requirement, series.min),
        Measure::Max => Known::exactly(requirement, series.max),
        Measure::Mean => Known::exactly(requirement, series.avg),
        _ => Known::between(requirement, series.value, series.least, series.most),
    }
}

fn labels(of: &ValueSeries) -> String {
    of.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// Every series has to meet it; the worst is shown.
fn each(requirement: &Requirement, series: &[ValueSeries]) -> Found {
    let all: Vec<(&ValueSeries, Known)> = series.iter().map(|series| (series, known(requirement, series))).collect();
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
    let Some((worst, known)) = worst else { return Found::missing("no series was returned") };
    if known.value.is_nan() {
        let whose = if worst.labels.is_empty() { String::new() } else { format!(" for {}", labels(worst)) };
        return Found::missing(format!("the value is not a number{whose}"));
    }
    let whose = (series.len() > 1).then(|| format!("of {} series, {}", series.len(), labels(worst)));
    let note = match (known.met, whose) {
        (Some(true), _) => None,
        (Some(false), whose) => whose,
        (None, whose) => {
            let between = requirement.unit.show_between(known.least, known.most);
            Some(whose.map_or_else(|| between.clone(), |whose| format!("{between}; {whose}")))
        }
    };
    Found::known(*known, note)
}
