//! What a phase measured as a client: scenarios, steps, checks, the profile's own metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a phase did with one scenario. `due` = `started` + `dropped` + `cancelled` once the phase is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scenario {
    /// The label `scenario`.
    pub scenario: String,
    /// Arrivals that became due.
    pub due: u64,
    /// Arrivals that were started.
    pub started: u64,
    /// Arrivals that found no user in time.
    pub dropped: u64,
    /// The dropped ones by reason.
    pub dropped_reasons: BTreeMap<String, u64>,
    /// Arrivals that were due but not started when the phase ended.
    pub cancelled: u64,
    /// Arrivals a second that the profile asks for, on average over the phase; `null` for users.
    pub rate_wanted: Option<f64>,
    /// Iterations started a second, on average over the phase.
    pub rate_reached: Option<f64>,
    /// The most users that the profile asks for at once; `null` for arrivals.
    pub users_wanted: Option<u64>,
    /// Iterations that ended in this phase's name.
    pub iterations: u64,
    /// Those of them that an error or a time limit ended.
    pub iterations_failed: u64,
    /// Those of them that the end of the drain cut off.
    pub iterations_interrupted: u64,
    /// Steps without a request (`set`, `count`, …) that could not be done, by reason.
    #[serde(default)]
    pub step_errors: BTreeMap<String, u64>,
    /// How long iterations took.
    pub iteration: Latency,
    /// How much later than due the generator started them.
    pub start_lag: Latency,
    /// Connections, by protocol.
    pub connections: Vec<Connections>,
}

impl Scenario {
    /// Arrivals that are due but have no outcome yet; 0 once the phase is over.
    pub fn waiting(&self) -> u64 {
        self.due.saturating_sub(self.started).saturating_sub(self.dropped).saturating_sub(self.cancelled)
    }
}

/// What a scenario's connections did in a phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// The label `protocol`.
    pub protocol: String,
    /// Connections that were open when the phase began.
    pub carried: u64,
    /// Connections that were opened.
    pub connects: u64,
    /// Attempts that failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Attempts that were cut off at the end of the drain, before it was known what came of them.
    pub cut_off: u64,
    /// Connections that the other side ended or that broke, by reason.
    pub disconnects: BTreeMap<String, u64>,
    /// How long connecting took, all layers together.
    pub connect: Latency,
}

/// What was measured of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`.
    pub step: String,
    /// The label `group`, if the step stands in one.
    pub group: Option<String>,
    /// The label `protocol`.
    pub protocol: String,
    /// How many were made, errors included.
    pub requests: u64,
    /// Requests a second, on average over the phase.
    pub rate: Option<f64>,
    /// Requests by outcome: `ok`, `error`, `timeout`, `interrupted`.
    pub outcomes: BTreeMap<String, u64>,
    /// Errors and timeouts by reason.
    pub errors: BTreeMap<String, u64>,
    /// HTTP answers by status code.
    pub codes: BTreeMap<String, u64>,
    /// From when a request was due to its end; answers, timeouts and interrupted ones.
    pub response: Latency,
    /// From sending a request to its end.
    pub service: Latency,
    /// Bytes written for these requests.
    pub sent_bytes: u64,
    /// Bytes read for these requests.
    pub received_bytes: u64,
    /// Requests that were sent and not answered: what they asked for may have been done. Of those that were interrupted it isn't known
    /// whether they were sent, so they are among them.
    pub lost: u64,
    /// A few of the errors, as they were.
    pub samples: Vec<ErrorSample>,
}

/// A distribution in seconds, from histograms whose buckets are at most 1.1 % wide. All `null` where nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many values.
    pub count: u64,
    /// The arithmetic mean, exact.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// Nine of ten are at most this.
    pub p90: Option<f64>,
    /// Nineteen of twenty are at most this.
    pub p95: Option<f64>,
    /// 99 % are at most this.
    pub p99: Option<f64>,
    /// 99.9 % are at most this.
    #[serde(rename = "p99.9")]
    pub p999: Option<f64>,
    /// The upper bound of the highest bucket.
    pub max: Option<f64>,
}

/// One error as it was, cut to a bounded length and without secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorSample {
    /// Unix time in seconds.
    pub at: f64,
    /// The reason it was counted under.
    pub reason: String,
    /// The status code, if an answer came.
    pub status: Option<u16>,
    /// What happened, in words.
    pub detail: String,
    /// The beginning of the answer's body.
    pub body: String,
}

/// One check of a flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// The label `scenario`.
    pub scenario: String,
    /// The step that it stands in, if any.
    pub step: Option<String>,
    /// The label `check`.
    pub check: String,
    /// How often it was made.
    pub total: u64,
    /// How often it did not hold.
    pub failures: u64,
}

/// A group of steps, timed as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `group`.
    pub group: String,
    /// How often by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// How long it took.
    pub duration: Latency,
}

/// A metric of the profile's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metric {
    /// Its name on `/metrics`.
    pub name: String,
    /// The scenario that fed it.
    pub scenario: String,
    /// By how much a counter rose in this phase; what a gauge stood at.
    pub value: Option<f64>,
    /// A histogram's distribution, in the metric's own unit.
    pub distribution: Option<Latency>,
}
