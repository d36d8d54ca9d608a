//! What a phase did to the target by its own counters, and what is required of both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::verdict::Unit;

/// A value made of counters over a phase, for instance `redis.hit_ratio`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Value {
    /// `preset.value`, or the name of a ratio.
    pub name: String,
    /// What distinguishes it from its siblings, where there are several systems of a kind.
    pub labels: BTreeMap<String, String>,
    /// Its value: a counter's increase, a ratio of increases, or a level at the phase's end.
    pub value: Option<f64>,
    /// The least that `value` can be, where that isn't the value itself.
    pub least: Option<f64>,
    /// The most that it can be, likewise; `null` too where nothing bounds it.
    pub most: Option<f64>,
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
