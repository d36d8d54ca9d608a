//! What the target's own counters did, by name.

use std::collections::BTreeMap;

use super::super::run::{Phase, Source, Unit, Value};
use crate::counters::{Observed, Systems};

/// Adds what was observed to `phase`.
pub(super) fn add(phase: &mut Phase, observed: &Observed) {
    phase.counters = observed.rows.clone();
    phase.values = observed.values.iter().flat_map(|(name, systems)| values(name, systems)).collect();
    phase.sources = observed
        .sources
        .iter()
        .map(|source| Source {
            name: source.name.clone(),
            error: source.error.as_ref().map(ToString::to_string),
            warnings: source.warnings.clone(),
            interval: source.interval,
        })
        .collect();
    phase.notes.clone_from(&observed.notes);
}

fn labels(of: &[(String, String)]) -> BTreeMap<String, String> {
    of.iter().cloned().collect()
}

/// A preset names its ratios so (`redis.hit_ratio`); a name without a preset is a ratio of the profile's.
fn unit(name: &str) -> Unit {
    if name.ends_with("_ratio") || !name.contains('.') { Unit::Ratio } else { Unit::Number }
}

/// A bound of a value, where it says more than the value.
fn bound(of: f64, value: f64) -> Option<f64> {
    (of != value && of.is_finite()).then_some(of)
}

fn values(name: &str, systems: &Systems) -> Vec<Value> {
    let unit = unit(name);
    let missing = |of: &[(String, String)], why: &str| Value {
        name: name.to_owned(),
        labels: labels(of),
        unit,
        missing: Some(why.to_owned()),
        ..Value::default()
    };
    let known = systems.known.iter().map(|series| Value {
        name: name.to_owned(),
        labels: labels(&series.labels),
        value: Some(series.value),
        least: bound(series.least, series.value),
        most: bound(series.most, series.value),
        min: Some(series.min),
        max: Some(series.max),
        avg: Some(series.avg),
        unit,
        missing: None,
    });
    let unknown = systems.unknown.iter().map(|unknown| missing(&unknown.labels, &unknown.why));
    let all: Vec<Value> = known.chain(unknown).collect();
    if all.is_empty() { vec![missing(&[], systems.missing())] } else { all }
}
