//! `run.json`: the result of one run, as other programs read it.
//!
//! The contract: seconds and Unix times as numbers, ratios from 0 to 1, sizes in bytes; what could not be measured is
//! `null`, never 0. Within one `version` keys are only ever added, so a reader ignores what it doesn't know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Verdict;

/// The version of `run.json` that this program writes and reads.
pub const VERSION: u32 = 1;

/// One run, from its first phase to its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The version of this format, [`VERSION`].
    pub version: u32,
    /// The profile's name.
    pub profile: String,
    /// The run's identifier, which is the name of its directory: `20261120T144403Z-votes`.
    pub run: String,
    /// When the first phase began; Unix time in seconds.
    pub started: f64,
    /// When the last phase was over and drained; Unix time in seconds.
    pub ended: f64,
    /// The judgement over all.
    #[serde(with = "word")]
    pub verdict: Verdict,
    /// Why the verdict is not `pass`, or what else a reader must know; complete sentences.
    pub reasons: Vec<String>,
    /// Times that this record knows nothing of, because the program was not running.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// What ended the run before its time (a signal, an abort), as a sentence, if anything did.
    #[serde(default)]
    pub stopped: Option<String>,
    /// The seed of choices, think times and Poisson arrivals.
    #[serde(default)]
    pub seed: u64,
    /// The machine and the program that made the load, and how they did.
    #[serde(default)]
    pub generator: Generator,
    /// The phases in their order; of a profile that repeats them, the last hundred repeats.
    pub phases: Vec<Phase>,
    /// SLOs over the whole run.
    #[serde(default)]
    pub slos: Vec<Slo>,
}

/// A time that a record knows nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Unix time in seconds.
    pub from: f64,
    /// Unix time in seconds.
    pub to: f64,
}

/// The generator's own health: whether its figures can be believed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Generator {
    /// The program's version.
    pub version: String,
    /// How many worker threads made the load.
    pub workers: u64,
    /// How many processors the program could use.
    pub processors: u64,
    /// Processor seconds that the program used during the run.
    pub cpu_seconds: Option<f64>,
    /// Processor seconds used by run time and processors; 1 is all there is.
    pub cpu_ratio: Option<f64>,
    /// Resident memory at its highest, in bytes.
    pub memory_bytes: Option<u64>,
    /// Whether the generator was the bottleneck in any phase.
    pub saturated: bool,
}

/// One phase: its load, what was measured, what the target's own series did, and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The label `phase`.
    pub name: String,
    /// Which repeat of the profile's phases this belongs to, from 0.
    #[serde(default)]
    pub repeat: u64,
    /// Unix time in seconds.
    pub started: f64,
    /// When its time was over; Unix time in seconds. Its requests may end later, within `drain`.
    pub ended: f64,
    /// Its judgement; `pass` for a phase with `judge: false`.
    #[serde(with = "word")]
    pub verdict: Verdict,
    /// Whether the phase counts for the verdict (`judge`).
    #[serde(default = "yes")]
    pub judged: bool,
    /// Why the verdict is not `pass`, or what else a reader must know.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Whether the generator was the bottleneck.
    #[serde(default)]
    pub saturated: bool,
    /// The load and its accounting, by scenario.
    pub scenarios: Vec<Scenario>,
    /// What was measured, by step.
    pub steps: Vec<Step>,
    /// Groups of steps, timed as a whole.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// The checks of the flows.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// The profile's own metrics.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// The target's own counters before and after.
    pub counters: Vec<Counter>,
    /// What the counters say together: preset values and the profile's ratios.
    #[serde(default)]
    pub values: Vec<Value>,
    /// The sources of the counters, and how they fared.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// What a reader must know of the counters, for instance what exporters cause themselves.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The requirements on this phase.
    pub slos: Vec<Slo>,
}

/// A verdict as its word.
mod word {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Verdict;

    pub fn serialize<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(verdict.label())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
        let word = String::deserialize(deserializer)?;
        Verdict::from_label(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is no verdict: pass, fail or inconclusive")))
    }
}

fn yes() -> bool {
    true
}

fn untold() -> Verdict {
    Verdict::Inconclusive
}

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
    /// Those of them that an error ended.
    pub iterations_failed: u64,
    /// Those of them that the end of the drain cut off.
    pub iterations_interrupted: u64,
    /// How long iterations took.
    pub iteration: Latency,
    /// How much later than due the generator started them.
    pub start_lag: Latency,
    /// Connections, by protocol.
    pub connections: Vec<Connections>,
}

/// What a scenario's connections did in a phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// The label `protocol`.
    pub protocol: String,
    /// Connections that were opened.
    pub connects: u64,
    /// Attempts that failed, by reason.
    pub failures: BTreeMap<String, u64>,
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
    /// A few of the errors, as they were.
    pub samples: Vec<ErrorSample>,
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

/// What a requirement's value is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number.
    #[default]
    Number,
    /// Seconds.
    Seconds,
    /// A ratio; 1 is all.
    Ratio,
    /// Events a second.
    PerSecond,
    /// A ratio an hour.
    RatioPerHour,
    /// Bytes.
    Bytes,
}

impl Run {
    /// How long the run took, in seconds.
    pub fn duration(&self) -> f64 {
        (self.ended - self.started).max(0.0)
    }
}

impl Phase {
    /// How long the phase took, in seconds.
    pub fn duration(&self) -> f64 {
        (self.ended - self.started).max(0.0)
    }
}

impl Scenario {
    /// Arrivals that are due but have no outcome yet; 0 once the phase is over.
    pub fn waiting(&self) -> u64 {
        self.due.saturating_sub(self.started).saturating_sub(self.dropped).saturating_sub(self.cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_contract_names_is_there_under_its_name() {
        let run = super::super::sample::run();
        let json = serde_json::to_value(&run).unwrap();
        for key in ["version", "profile", "run", "started", "ended", "verdict", "reasons", "gaps", "phases"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        let phase = &json["phases"][1];
        for key in ["name", "started", "ended", "verdict", "scenarios", "steps", "counters", "slos"] {
            assert!(phase.get(key).is_some(), "{key}");
        }
        for key in ["scenario", "due", "started", "dropped", "cancelled", "iterations"] {
            assert!(phase["scenarios"][0].get(key).is_some(), "{key}");
        }
        for key in ["scenario", "step", "protocol", "requests", "errors", "response", "service", "samples"] {
            assert!(phase["steps"][0].get(key).is_some(), "{key}");
        }
        for key in ["mean", "p50", "p90", "p95", "p99", "p99.9", "max"] {
            assert!(phase["steps"][0]["response"].get(key).is_some(), "{key}");
        }
        for key in ["source", "metric", "labels", "before", "after", "delta", "per_request", "uncertainty"] {
            assert!(phase["counters"][0].get(key).is_some(), "{key}");
        }
        for key in ["name", "requirement", "value", "met"] {
            assert!(phase["slos"][0].get(key).is_some(), "{key}");
        }
        assert_eq!(json["verdict"], "fail");
    }

    #[test]
    fn round_trips_and_ignores_what_a_later_program_added() {
        let run = super::super::sample::run();
        let mut json = serde_json::to_value(&run).unwrap();
        json["weather"] = "fine".into();
        json["phases"][1]["steps"][0]["response"]["p99.99"] = 1.0.into();
        assert_eq!(serde_json::from_value::<Run>(json).unwrap(), run);
    }

    #[test]
    fn what_is_not_finite_is_null_and_reads_as_nothing() {
        let mut run = super::super::sample::run();
        run.phases[1].counters[0].before = Some(f64::NAN);
        run.phases[1].counters[0].after = Some(f64::INFINITY);
        let read: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
        assert_eq!(read.phases[1].counters[0].before, None);
        assert_eq!(read.phases[1].counters[0].after, None);
    }

    proptest::proptest! {
        /// A stored run reads back to the bit, whatever it measured.
        #[test]
        fn every_finite_number_is_read_back_as_it_was(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO, count: u64) {
            let mut run = super::super::sample::run();
            let phase = &mut run.phases[1];
            phase.steps[0].requests = count;
            phase.steps[0].response.p95 = Some(value);
            phase.counters[0].delta = Some(value);
            phase.slos[0].value = Some(value);
            let read: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
            proptest::prop_assert_eq!(read, run);
        }
    }
}
