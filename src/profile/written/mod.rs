//! A profile's keys as they are written. Every comment here is a description in the JSON Schema.

mod control;
mod data;
mod load;
mod metrics;
mod observe;
mod schedule;
pub mod session;
mod slo;
mod step;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

pub use control::{Branch, Eventually, ForEach, Group, Maybe, Repetition, Steps};
pub use data::{Data, Pick};
pub use load::{
    AmountLevel, Arrivals, Level, Load, OnBusy, OnBusyWait, PhaseLoad, Rate, RateLevel, Stage, UserLevel, UsersOrder, WaitOrDrop,
    Weight,
};
pub use metrics::{Metric, MetricType};
pub use observe::{BasicAuth, Counter, Exporter, Observe, ObservedKind, Prometheus, RatioOf};
pub use schedule::{OnRestart, Schedule, ScheduleDetail, ScheduleWord};
pub use slo::{Each, Over, Slo};
pub use step::{Doing, OnConnection, OnError, Spread, Step, Think, ThinkSpan, ThinkSpread};

use crate::base::written::{Anything, At, Entries, Many, Named, Of, Parsed, Ratio, Scalar};
use crate::protocol::http::written::HttpDefaults;

/// A traffic profile of load-exporter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The label `profile` of every series: small letters, digits and `-`.
    pub name: Scalar,
    /// Other files, whose `defaults vars data metrics setup scenarios verify teardown observe slos` lie beneath this one's.
    pub include: Option<Many<Scalar>>,
    /// Multiplies loads, and durations of phases.
    pub scale: Option<Scale>,
    /// What the steps of all scenarios have in common.
    pub defaults: Option<Defaults>,
    /// Constants of the profile, by name.
    pub vars: Option<Named<Anything>>,
    /// Rows for virtual users, by name.
    pub data: Option<Named<Data>>,
    /// Metrics of the profile's own, by name.
    pub metrics: Option<Entries<Metric>>,
    /// Once, before the first phase: what the run needs. A failure or a failed check ends the run.
    pub setup: Option<At<Block>>,
    /// What virtual users do, by name.
    pub scenarios: Named<Scenario>,
    /// One after the other: how much of it.
    pub phases: Vec<Phase>,
    /// How often the phases run within one run: a number, or `forever`. Default 1.
    pub repeat: Option<Of<Repeat>>,
    /// Once, after the last phase: whether the target's state is right. A failed check fails the run.
    pub verify: Option<At<Block>>,
    /// Once, at the very end, however the run went: what it made is removed.
    pub teardown: Option<At<Block>>,
    /// The target's own series, read before and after each phase.
    pub observe: Option<Observe>,
    /// What has to hold.
    pub slos: Option<Vec<Slo>>,
    /// When the daemon runs it: `once`, `continuous`, `{every: 1h}` or `{cron: …, timezone: …}`. Default once.
    pub schedule: Option<Schedule>,
    /// What becomes of a run that the daemon's end cut short: `restart` or `skip`. Default restart.
    pub on_restart: Option<Of<OnRestart>>,
    /// What is done with a scenario whose every request fails because its target is away. Default continue.
    pub on_dead_target: Option<OnDeadTarget>,
    /// Whether every HTTP request is sent with a trace of its own (`traceparent`), and histograms carry the outliers' trace ids as
    /// exemplars. Default false.
    pub trace: Option<At<bool>>,
    /// Fixes choices, think times and Poisson arrivals. Default 0.
    pub seed: Option<At<u64>>,
    /// What this profile must never exceed.
    pub limits: Option<Limits>,
}

/// Multiplies loads and times.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Multiplies users, rates and counts.
    pub load: Option<Of<Ratio>>,
    /// Multiplies the durations of phases.
    pub time: Option<Of<Ratio>>,
}

/// What steps have in common.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// For HTTP steps.
    pub http: Option<HttpDefaults>,
    /// What a failed step does: `end_iteration`, `continue`, `end_user` or `abort_run`. Default end_iteration.
    pub on_error: Option<At<OnError>>,
    /// For WebSockets.
    pub websocket: Option<session::WebSocketDefaults>,
    /// For connections of Socket.IO.
    pub socketio: Option<session::SocketIoDefaults>,
    /// For TCP connections.
    pub tcp: Option<session::TcpDefaults>,
}

/// What a virtual user does, over and over.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What its steps have in common; over the profile's defaults.
    pub defaults: Option<Defaults>,
    /// Steps that each user does once before its first iteration, again and again until they succeed.
    pub start: Option<Many<At<Step>>>,
    /// How long a user may be at its start before it counts as missing. A phase waits that long at most for users that are prepared. Default 30s.
    pub start_within: Option<Of<Duration>>,
    /// Its steps, one after the other.
    pub flow: Many<At<Step>>,
    /// Steps that each user does once when it ends.
    pub stop: Option<Many<At<Step>>>,
}

impl Scenario {
    /// All its flows.
    pub fn flows(&self) -> impl Iterator<Item = &Many<At<Step>>> {
        [self.start.as_ref(), Some(&self.flow), self.stop.as_ref()].into_iter().flatten()
    }
}

/// Steps that are done once for the whole run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What its steps have in common; over the profile's defaults.
    pub defaults: Option<Defaults>,
    /// How long it may take; what is under way then is cut off, and it has failed. Default 5m.
    pub timeout: Option<Of<Duration>>,
    /// Its steps, one after the other.
    pub flow: Many<At<Step>>,
}

/// A part of a run with its own load, its own before and after, and its own verdict.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The label `phase`.
    pub name: Of<crate::base::written::Name>,
    /// How long it lasts; or `stages`.
    pub duration: Option<Of<Duration>>,
    /// The load of each scenario; with `split` one load for all.
    pub load: Option<PhaseLoad>,
    /// Several loads one after the other, in one phase.
    pub stages: Option<Vec<Stage>>,
    /// Apportions one load among scenarios by these weights.
    pub split: Option<Named<Of<Weight>>>,
    /// Whether SLOs judge it. Default true.
    pub judge: Option<At<bool>>,
    /// How long scenarios that don't go on may take to end, beside the next phase. Default 30s.
    pub drain: Option<Of<Duration>>,
}

/// What is done with a scenario whose target is away.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnDeadTarget {
    /// How long every request has to fail for that. Default 30s.
    pub after: Option<Of<Duration>>,
    /// What is done then: `continue`, `back_off` or `abort`. Default continue.
    #[serde(rename = "do")]
    pub action: Option<At<DeadTargetAction>>,
}

/// What is done where a target is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadTargetAction {
    /// The load goes on.
    #[default]
    Continue,
    /// The scenario is probed once a second, until a request is answered.
    BackOff,
    /// The run ends.
    Abort,
}

impl DeadTargetAction {
    /// As it is written.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::BackOff => "back_off",
            Self::Abort => "abort",
        }
    }
}

/// What a profile must never exceed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Arrivals per second, of all scenarios together.
    pub rate: Option<Of<Rate>>,
    /// Users at once, of all scenarios together.
    pub users: Option<At<u64>>,
    /// Series on /metrics. Default 50000.
    pub series: Option<At<u64>>,
    /// The only hosts that may be loaded.
    pub hosts: Option<Many<Scalar>>,
}

/// How often the phases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// So often.
    Times(u64),
    /// Until the run is stopped.
    Forever,
}

impl Parsed for Repeat {
    const NAME: &'static str = "Repeat";
    const DESCRIPTION: &'static str = "How often: a number, or `forever`.";
    const EXAMPLES: &'static [&'static str] = &["3", "forever"];

    fn parse(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("forever", _) => Ok(Self::Forever),
            (_, Ok(times)) if times > 0 => Ok(Self::Times(times)),
            _ => Err(format!("`{text}` is not a number of times; write one from 1 on, or forever")),
        }
    }
}
