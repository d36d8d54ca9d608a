//! Presets: what matters in one system, one file each. A new one is a file and a line in [`ALL`]; `contract.rs` holds what
//! all of them promise.

mod node;
mod pgbouncer;
mod postgres;
mod redis;

#[cfg(test)]
mod contract;

use std::time::Duration;

use super::kind::MetricKind;

/// Most series of one metric in one source that are listed; how many more there are is said. Values are made of all.
pub const SERIES_OF_A_METRIC: usize = 100;

/// Most series of one metric in one source that are read; a metric with more is left out, and said to be.
pub(super) const SERIES_TO_READ: usize = 1_000;

/// Every preset.
pub static ALL: &[&Preset] = &[&redis::PRESET, &postgres::PRESET, &pgbouncer::PRESET, &node::PRESET];

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().copied().find(|preset| preset.name == name)
}

/// The names of all presets, for messages.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|preset| preset.name)
}

/// The metric that goes by this name in any preset, today or formerly.
pub(super) fn metric(name: &str) -> Option<&'static Metric> {
    ALL.iter().flat_map(|preset| preset.metrics).find(|metric| metric.names.contains(&name))
}

/// Whether this is a counter of an exporter that a preset knows, be it reported by the preset or not.
pub(super) fn is_counter(name: &str) -> bool {
    metric(name).is_some_and(|metric| metric.kind == MetricKind::Counter)
        || ALL.iter().any(|preset| preset.further.contains(&name))
}

/// The preset that a metric belongs to, by the beginning of its name.
pub(super) fn of_metric(name: &str) -> Option<&'static Preset> {
    ALL.iter().copied().find(|preset| name.starts_with(preset.prefix))
}

/// What matters in one system.
#[derive(Debug)]
pub struct Preset {
    /// As in `preset: redis`.
    pub name: &'static str,
    /// What all its metrics begin with.
    pub prefix: &'static str,
    /// The gauge by which its exporter says whether it could read the system; none: the exporter is the system.
    pub up: Option<&'static str>,
    /// The metrics whose increase is reported.
    pub metrics: &'static [Metric],
    /// Counters of the exporter that are reported where a profile asks for them.
    pub further: &'static [&'static str],
    /// The values made of them.
    pub values: &'static [Value],
    /// Labels that distinguish parts of one system (a database, a command); values are summed over them.
    pub parts: &'static [&'static str],
    /// What shows, beside its falling, that a counter started again; the exporter's own start is no sign of it.
    pub starts: &'static [Start],
    /// How long after an event the exporter may still not report it: once the system is idle, and while it is busy.
    pub late: (Duration, Duration),
    /// Which of its counters are reported late, by the beginning of their names.
    pub late_prefix: &'static str,
    /// What the exporter itself causes in the system.
    pub own_effect: &'static str,
    /// Which exporter names its metrics how, the newest first.
    pub dialects: &'static [Dialect],
}

/// The names of one exporter's versions.
#[derive(Debug)]
pub struct Dialect {
    /// Which exporter, in words.
    pub exporter: &'static str,
    /// A name that it alone has.
    pub marker: &'static str,
}

/// One metric of a preset.
#[derive(Debug)]
pub struct Metric {
    /// Its name today, then older names and common mistakes.
    pub names: &'static [&'static str],
    /// Counter or gauge.
    pub kind: MetricKind,
    /// Some exporters or systems don't have it; then nothing is said to be missing.
    pub optional: bool,
}

/// A metric whose change says that counters started again.
#[derive(Debug)]
pub struct Start {
    /// Its name; its value is in Unix seconds.
    pub metric: &'static str,
    /// The counters that it speaks for begin with this.
    pub prefix: &'static str,
    /// Changes up to this are no restart, in seconds (some exporters calculate it from an uptime in whole seconds).
    pub jitter: f64,
}

/// A value of a preset.
#[derive(Debug)]
pub struct Value {
    /// As in `redis.hit_ratio`.
    pub name: &'static str,
    /// How it is made.
    pub formula: Formula,
}

/// How a value is made. Names are the first of a metric's `names`.
#[derive(Debug)]
pub enum Formula {
    /// The increase of a counter.
    Increase(Term),
    /// A gauge.
    Level(Term),
    /// Increases by increases.
    IncreaseRatio(Term, &'static [Term]),
    /// Gauges by gauges, at the same instant.
    LevelRatio(Term, &'static [Term]),
    /// 1 less the increases by increases.
    IncreaseRest(Term, &'static [Term]),
    /// 1 less the gauges by gauges.
    LevelRest(Term, &'static [Term]),
}

/// Series that are summed.
#[derive(Debug)]
pub struct Term {
    /// The metric.
    pub metric: &'static str,
    /// Which of its series.
    pub only: &'static [(&'static str, &'static str)],
}

impl Term {
    /// All series of a metric.
    pub const fn all(metric: &'static str) -> Self {
        Self { metric, only: &[] }
    }
}

impl Metric {
    /// A counter and its names.
    pub const fn counter(names: &'static [&'static str]) -> Self {
        Self { names, kind: MetricKind::Counter, optional: false }
    }

    /// One that not every exporter has.
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// A gauge and its names.
    pub const fn gauge(names: &'static [&'static str]) -> Self {
        Self { names, kind: MetricKind::Gauge, optional: false }
    }
}

impl Preset {
    /// Its values' names: `redis.hit_ratio`, …
    pub fn value_names(&self) -> Vec<String> {
        self.values.iter().map(|value| format!("{}.{}", self.name, value.name)).collect()
    }

    /// Whether it knows a metric of this name, or its exporter shows by it that it is there.
    pub(super) fn knows(&self, name: &str) -> bool {
        let listed = self.metrics.iter().any(|metric| metric.names.contains(&name)) || self.further.contains(&name);
        listed || self.up == Some(name)
    }

    /// Whether its exporter reports this metric late. A gauge is of the moment.
    pub(super) fn is_late(&self, metric: &str) -> bool {
        let gauge = self.metrics.iter().any(|known| known.kind == MetricKind::Gauge && known.names.contains(&metric));
        !self.late.0.is_zero() && metric.starts_with(self.late_prefix) && !gauge
    }
}
