//! `histograms.json`: the distributions of a run, exact enough to merge runs of shards and to compare runs.
//!
//! Buckets are those of Prometheus' native histograms at [`Histograms::schema`]: bucket `i` holds what is above
//! `base^(i-1)` and at most `base^i`, with `base = 2^(2^-schema)`. Adding two distributions adds their counts bucket by
//! bucket, without loss. Buckets without a value are left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The distributions of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    /// The version of this format, the same as of `run.json`.
    pub version: u32,
    /// The profile's name.
    pub profile: String,
    /// The run's identifier.
    pub run: String,
    /// The schema of every bucket index.
    pub schema: i8,
    /// As `run.json` has them.
    pub phases: Vec<PhaseHistograms>,
}

/// The distributions of one phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseHistograms {
    /// The label `phase`.
    pub name: String,
    /// Which repeat, from 0.
    pub repeat: u64,
    /// How long the phase took, in seconds: what rates are made with.
    pub duration: f64,
    /// By step.
    pub steps: Vec<StepHistograms>,
    /// By scenario.
    pub scenarios: Vec<ScenarioHistograms>,
    /// The profile's own histograms.
    pub metrics: Vec<MetricDistribution>,
}

/// The distributions of one step, by outcome (`ok`, `error`, `timeout`, `interrupted`), in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepHistograms {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`.
    pub step: String,
    /// The label `protocol`.
    pub protocol: String,
    /// From when a request was due to its end.
    pub response: BTreeMap<String, Distribution>,
    /// From sending a request to its end.
    pub service: BTreeMap<String, Distribution>,
}

/// The distributions of one scenario, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScenarioHistograms {
    /// The label `scenario`.
    pub scenario: String,
    /// How long iterations took, by outcome.
    pub iteration: BTreeMap<String, Distribution>,
    /// How much later than due they were started.
    pub start_lag: Distribution,
}

/// The distribution of a histogram of the profile's own, in its own unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricDistribution {
    /// Its name on `/metrics`.
    pub name: String,
    /// The scenario that fed it.
    pub scenario: String,
    /// Its values.
    pub distribution: Distribution,
}

/// One distribution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// How many of them were 0.
    pub zero: u64,
    /// The positive ones, ascending.
    pub buckets: Vec<BucketCount>,
    /// The negative ones, by the index of their magnitude, ascending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub negative: Vec<BucketCount>,
}

/// A bucket that isn't empty: written as `[index, count]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCount(
    /// Its index at the file's schema.
    pub i32,
    /// How many values it holds.
    pub u64,
);
