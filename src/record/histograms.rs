//! `histograms.json`: the distributions of a run, exact enough to merge runs of shards and to compare runs.
//!
//! A distribution is a [`Sparse`]: `positive` and `negative` are lists of `[index, count]` in the buckets of Prometheus'
//! native histograms at [`Histograms::schema`] (bucket `i` holds what is above `base^(i-1)` and at most `base^i`, with
//! `base = 2^(2^-schema)`), `zero` counts what is at most `zero_threshold`, `splits` are the exact counters of SLOs'
//! thresholds, and the sum is `time` (whole nanoseconds) plus `sum`. Adding two adds their counts bucket by bucket,
//! without loss. What has no value is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::Sparse;

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
    pub schema: i32,
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
    /// By group.
    pub groups: Vec<GroupHistograms>,
    /// By step that opens sessions.
    pub sessions: Vec<SessionHistograms>,
    /// By kind of message.
    pub messages: Vec<MessageHistogram>,
    /// By step that uploads or downloads.
    pub transfers: Vec<TransferHistograms>,
    /// The profile's own histograms.
    pub metrics: Vec<MetricHistogram>,
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
    pub response: BTreeMap<String, Sparse>,
    /// From sending a request to its end.
    pub service: BTreeMap<String, Sparse>,
}

/// The distributions of one scenario, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScenarioHistograms {
    /// The label `scenario`.
    pub scenario: String,
    /// How long iterations took, by outcome.
    pub iteration: BTreeMap<String, Sparse>,
    /// How much later than due they were started.
    pub start_lag: Sparse,
    /// How long connecting took, by protocol.
    pub connect: BTreeMap<String, Sparse>,
}

/// How long a group of steps took, by outcome, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupHistograms {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `group`.
    pub group: String,
    /// By outcome.
    pub duration: BTreeMap<String, Sparse>,
}

/// How long the sessions that a step opened lasted, by outcome, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionHistograms {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`.
    pub step: String,
    /// By outcome.
    pub duration: BTreeMap<String, Sparse>,
}

/// How old messages of one kind were when they came, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageHistogram {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`.
    pub step: String,
    /// The label `message`.
    pub message: String,
    /// From their being published to their receipt.
    pub latency: Sparse,
}

/// The long bodies of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferHistograms {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`.
    pub step: String,
    /// Bytes a second of requests' bodies.
    pub upload: Sparse,
    /// Bytes a second of answers' bodies.
    pub download: Sparse,
    /// From the last byte of an upload to the first of its answer, in seconds.
    pub processing: Sparse,
}

/// A histogram of the profile's own, in its own unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricHistogram {
    /// Its name on `/metrics`.
    pub name: String,
    /// The scenario that fed it.
    pub scenario: String,
    /// Its values.
    pub histogram: Sparse,
}
