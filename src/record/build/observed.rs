//! What the target's own counters did, by name.

use std::collections::BTreeMap;

use super::super::run::{Counter, Phase, Source, Unit, Value};
use crate::counters::{CounterRow, Observed, ValueSeries};

/// Adds what was observed to `phase`.
pub(super) fn add(phase: &mut Phase, observed: &Observed) {
    phase.counters = observed.rows.iter().map(counter).collect();
    phase.values = observed.values.iter().flat_map(|(name, series)| values(name, series)).collect();
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

fn counter(row: &CounterRow) -> Counter {
    Counter {
        source: row.source.clone(),
        metric: row.metric.clone(),
        labels: labels(&row.labels),
        before: row.before,
        after: row.after,
        delta: row.delta,
        per_request: row.per_request,
        uncertainty: row.uncertainty,
        kind: row.kind.label().to_owned(),
        resets: row.resets,
        min: row.levels.map(|levels| levels.min),
        max: row.levels.map(|levels| levels.max),
        avg: row.levels.map(|levels| levels.avg),
        missing: row.missing.clone(),
        note: row.note.clone(),
    }
}

/// A preset names its ratios so (`redis.hit_ratio`); a name without a preset is a ratio of the profile's.
fn unit(name: &str) -> Unit {
    if name.ends_with("_ratio") || !name.contains('.') { Unit::Ratio } else { Unit::Number }
}

fn values(name: &str, series: Result<&[ValueSeries], &str>) -> Vec<Value> {
    let unit = unit(name);
    let of = |missing: &str| Value { name: name.to_owned(), unit, missing: Some(missing.to_owned()), ..Value::default() };
    match series {
        Err(missing) => vec![of(missing)],
        Ok([]) => vec![of("no series")],
        Ok(series) => series
            .iter()
            .map(|series| Value {
                name: name.to_owned(),
                labels: labels(&series.labels),
                value: Some(series.value),
                min: Some(series.min),
                max: Some(series.max),
                avg: Some(series.avg),
                unit,
                missing: None,
            })
            .collect(),
    }
}
