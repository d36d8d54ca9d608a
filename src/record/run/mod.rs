//! `run.json`: the result of one run, as other programs read it.
//!
//! The contract: seconds and Unix times as numbers, ratios from 0 to 1, sizes in bytes; what could not be measured is
//! `null`, never 0. Within one `version` keys are only ever added, so a reader ignores what it doesn't know.

mod hook;
mod judged;
mod measured;
mod sessions;
mod transfer;

use serde::{Deserialize, Serialize};

use crate::base::Verdict;

pub use crate::base::Away;

pub use crate::counters::CounterRow;
pub use crate::verdict::{SloResult, Unit};
pub use hook::{Hook, HookCheck};
pub use judged::{Source, Value};
pub use measured::{Check, Connections, ErrorSample, Group, Latency, Metric, Scenario, Step};
pub use sessions::{Message, Sessions};
pub use transfer::{Speed, Transfer};

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
    /// When the first phase began, or set-up before it; Unix time in seconds.
    pub started: f64,
    /// When the last phase was over and drained, and verify and teardown were done; Unix time in seconds.
    pub ended: f64,
    /// The judgement over all; `none` where nothing was required.
    pub verdict: Verdict,
    /// Why the verdict is not `pass`, or what else a reader must know; complete sentences.
    pub reasons: Vec<String>,
    /// Times that this record knows nothing of, because the program was not running.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Targets and sources that were away while the load went on; the first 1,000.
    #[serde(default)]
    pub away: Vec<Away>,
    /// What ended the run before its time (a signal, an abort), as a sentence, if anything did.
    #[serde(default)]
    pub stopped: Option<String>,
    /// The seed of choices, think times and Poisson arrivals.
    #[serde(default)]
    pub seed: u64,
    /// The machine and the program that made the load, and how they did.
    #[serde(default)]
    pub generator: Generator,
    /// What was done once for the whole run: `setup`, `verify`, `teardown`, as far as the run came to them.
    #[serde(default, rename = "stages")]
    pub hooks: Vec<Hook>,
    /// The phases in their order; of a profile that repeats them, the last hundred repeats.
    pub phases: Vec<Phase>,
    /// SLOs over the whole run.
    #[serde(default)]
    pub slos: Vec<SloResult>,
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
    /// Its judgement; `none` for a phase with `judge: false`, and where nothing was required.
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
    /// The sessions that steps opened.
    #[serde(default)]
    pub sessions: Vec<Sessions>,
    /// The kinds of messages that sessions follow.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// The long bodies of steps that upload or download.
    #[serde(default)]
    pub transfers: Vec<Transfer>,
    /// The checks of the flows.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// The profile's own metrics.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// The target's own counters before and after.
    pub counters: Vec<CounterRow>,
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
    pub slos: Vec<SloResult>,
}

fn yes() -> bool {
    true
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_contract_names_is_there_under_its_name() {
        let run = crate::record::sample::run();
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
        let run = crate::record::sample::run();
        let mut json = serde_json::to_value(&run).unwrap();
        json["weather"] = "fine".into();
        json["phases"][1]["steps"][0]["response"]["p99.99"] = 1.0.into();
        assert_eq!(serde_json::from_value::<Run>(json).unwrap(), run);
    }

    #[test]
    fn what_is_not_finite_is_null_and_reads_as_nothing() {
        let mut run = crate::record::sample::run();
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
            let mut run = crate::record::sample::run();
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
