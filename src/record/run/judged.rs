//! What a phase did to the target by its own counters, and what is required of both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{untold, word};
use crate::base::Verdict;
use crate::verdict::Unit;

/// One series of the target before and after a phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counter {
    /// Where it was read: a Prometheus server or an exporter.
    pub source: String,
    /// Its name.
    pub metric: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value at the phase's start.
    pub before: Option<f64>,
    /// Its value at the phase's end.
    pub after: Option<f64>,
    /// What a counter rose by, resets taken into account; a gauge's difference.
    pub delta: Option<f64>,
    /// The delta by the requests of the phase.
    pub per_request: Option<f64>,
    /// By how much the delta may be off, since samples don't fall on the phase's edges.
    pub uncertainty: Option<f64>,
    /// `counter` or `gauge`.
    pub kind: String,
    /// How often a counter started again from 0.
    pub resets: u64,
    /// The least value of a gauge over the phase.
    pub min: Option<f64>,
    /// The greatest value of a gauge over the phase.
    pub max: Option<f64>,
    /// The mean value of a gauge over the phase.
    pub avg: Option<f64>,
    /// Why there is no delta, if there isn't.
    pub missing: Option<String>,
    /// What a reader must know of this series.
    pub note: Option<String>,
}

/// A value made of counters over a phase, for instance `redis.hit_ratio`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Value {
    /// `preset.value`, or the name of a ratio.
    pub name: String,
    /// What tells it from its siblings, where there are several systems of a kind.
    pub labels: BTreeMap<String, String>,
    /// Its value: a counter's increase, a ratio of increases, or a level at the phase's end.
    pub value: Option<f64>,
    /// The least over the phase.
    pub min: Option<f64>,
    /// The greatest over the phase.
    pub max: Option<f64>,
    /// The mean over the phase.
    pub avg: Option<f64>,
    /// What it is in.
    pub unit: Unit,
    /// Why there is none, if there isn't.
    pub missing: Option<String>,
}

/// A source of counters and how it fared over a phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Why it could not be read, if it couldn't.
    pub error: Option<String>,
    /// What it warned of.
    pub warnings: Vec<String>,
    /// Seconds between its samples, where that is known.
    pub interval: Option<f64>,
}

/// One requirement and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// The SLO's name.
    pub name: String,
    /// The requirement as written: `p95 < 150ms`.
    pub requirement: String,
    /// What was measured, in the requirement's base unit.
    pub value: Option<f64>,
    /// What was asked for.
    #[serde(default)]
    pub objective: Option<f64>,
    /// What `value` and `objective` are in.
    #[serde(default)]
    pub unit: Unit,
    /// Whether it was met; `null` if that can't be told.
    pub met: Option<bool>,
    /// What it comes to: a requirement that was met is inconclusive all the same where the generator was the bottleneck.
    #[serde(with = "word", default = "untold")]
    pub verdict: Verdict,
    /// Why it can't be told, or when it was breached.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether it is a `target`: reported, but it never fails.
    #[serde(default)]
    pub target: bool,
}
