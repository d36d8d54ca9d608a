//! The label sets of one loaded profile. From here on every label is an index.
//!
//! `plan` makes a [`Layout`] when a profile is loaded and owns the order; recorders, reports and the exposition share it.

use crate::base::Protocol;

/// Declares an index into one of the layout's lists.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in the layout's list.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a position in the layout's list.
            #[inline]
            pub const fn at(index: usize) -> Self {
                Self(index as u32)
            }
        }
    };
}

id! {
    /// A phase, by its place in [`Layout::phases`].
    PhaseId
}
id! {
    /// A scenario, by its place in [`Layout::scenarios`].
    ScenarioId
}
id! {
    /// A step that takes samples, by its place in [`Layout::steps`].
    StepId
}
id! {
    /// A check, by its place in [`Layout::checks`].
    CheckId
}
id! {
    /// A metric of the profile's own, by its place in [`Layout::own`].
    OwnId
}
id! {
    /// A timed group, by its place in [`Layout::groups`].
    GroupId
}
id! {
    /// A kind of message, by its place in [`Layout::messages`].
    MessageId
}

/// Everything that can be a label of one profile's series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// The value of the label `profile`.
    pub profile: String,
    /// The names of the phases.
    pub phases: Vec<String>,
    /// The scenarios.
    pub scenarios: Vec<ScenarioLayout>,
    /// The steps that take samples, of all scenarios.
    pub steps: Vec<StepLayout>,
    /// The timed groups, of all scenarios.
    pub groups: Vec<GroupLayout>,
    /// The checks, of all scenarios.
    pub checks: Vec<CheckLayout>,
    /// The kinds of messages that are followed, of all scenarios.
    pub messages: Vec<MessageLayout>,
    /// The profile's own metrics.
    pub own: Vec<OwnMetric>,
    /// Which scenario has load in which phase: the label sets that stand at 0 from the start.
    pub active: Vec<(PhaseId, ScenarioId)>,
    /// Whether requests are sent with a trace, and histograms carry exemplars.
    pub trace: bool,
    /// The phases that SLOs judge.
    pub judged: Vec<PhaseId>,
    /// The SLOs' requirements and targets, in each phase that they are judged in.
    pub requirements: Vec<RequirementLayout>,
    /// How many rows of the target's counters there are thought to be (a series around a phase is one).
    pub target_rows: u64,
    /// How many series the profile may have on `/metrics` (`limits.series`).
    pub series_limit: u64,
}

/// One scenario's labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScenarioLayout {
    /// The label `scenario`.
    pub name: String,
    /// Thresholds in seconds of SLOs over iterations; each becomes an exact bucket bound.
    pub iteration_thresholds: Vec<f64>,
    /// Thresholds in seconds of SLOs over connecting.
    pub connect_thresholds: Vec<f64>,
}

impl ScenarioLayout {
    /// A scenario without thresholds.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// One step's labels.
#[derive(Debug, Clone, PartialEq)]
pub struct StepLayout {
    /// The scenario whose flow it stands in.
    pub scenario: ScenarioId,
    /// The label `step`.
    pub name: String,
    /// The label `group`, if it stands in one.
    pub group: Option<String>,
    /// The label `protocol`.
    pub protocol: Protocol,
    /// Thresholds in seconds of SLOs over response time; each becomes an exact bucket bound.
    pub thresholds: Vec<f64>,
    /// Thresholds in seconds of SLOs over service time.
    pub service_thresholds: Vec<f64>,
    /// Where it opens a session: thresholds in seconds of SLOs over how long sessions last.
    pub session: Option<Vec<f64>>,
    /// The step that opens the session that it stands in.
    pub within: Option<StepId>,
    /// Whether its requests have bodies that may be long.
    pub uploads: bool,
    /// Whether its answers may have bodies that are long.
    pub downloads: bool,
}

impl StepLayout {
    /// A step outside any group and without thresholds.
    pub fn new(scenario: ScenarioId, name: impl Into<String>, protocol: Protocol) -> Self {
        Self {
            scenario,
            name: name.into(),
            group: None,
            protocol,
            thresholds: Vec::new(),
            service_thresholds: Vec::new(),
            session: None,
            within: None,
            uploads: false,
            downloads: false,
        }
    }
}

/// One kind of message that sessions follow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessageLayout {
    /// The step that opens the session.
    pub step: StepId,
    /// The label `message`.
    pub name: String,
    /// Its latency is measured (`latency_from`).
    pub latency: bool,
    /// It is numbered (`sequence`).
    pub numbered: bool,
    /// Each sender numbers its own (`sender`).
    pub by_sender: bool,
    /// Its silences are followed (`every`).
    pub every: bool,
    /// Thresholds in seconds of SLOs over its latency.
    pub thresholds: Vec<f64>,
}

impl MessageLayout {
    /// A kind of message of which both latency and numbers are followed, without thresholds.
    pub fn new(step: StepId, name: impl Into<String>) -> Self {
        Self { step, name: name.into(), latency: true, numbered: true, ..Self::default() }
    }

    /// Whether what one listener of the step receives any other would receive as well.
    pub fn is_alike(&self) -> bool {
        (self.latency || self.numbered) && !self.by_sender
    }
}

/// One timed group's labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupLayout {
    /// The scenario whose flow it stands in.
    pub scenario: ScenarioId,
    /// The label `group`.
    pub name: String,
    /// Thresholds in seconds of SLOs over the group's duration.
    pub thresholds: Vec<f64>,
}

/// One check's labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CheckLayout {
    /// The scenario whose flow it stands in.
    pub scenario: ScenarioId,
    /// The step that it belongs to, if it does.
    pub step: Option<StepId>,
    /// It stands in an `eventually`, which may take its time to be over.
    pub eventually: bool,
    /// The label `check`.
    pub name: String,
}

/// The labels of one requirement of an SLO in one phase, or in the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequirementLayout {
    /// The label `slo`.
    pub slo: String,
    /// The label `phase`; empty for the run.
    pub phase: String,
    /// The label `requirement`.
    pub requirement: String,
    /// Whether a run fails by it; a target is only reported.
    pub required: bool,
    /// The scenarios whose traffic it judges.
    pub scenarios: Vec<ScenarioId>,
}

/// A metric of the profile's own.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnMetric {
    /// Its name, as Prometheus allows names, and not `load_…` or `process_…`.
    pub name: String,
    /// Its help text.
    pub help: String,
    /// What it is.
    pub kind: OwnKind,
    /// The scenarios that feed it; their series stand at 0 from the start.
    pub scenarios: Vec<ScenarioId>,
}

/// What a metric of the profile's own is.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnKind {
    /// Only grows (`count`).
    Counter,
    /// The value that was set last (`record`).
    Gauge,
    /// A distribution of what is observed (`record`).
    Histogram {
        /// The unit: `seconds`, `bytes`, `ratio`, another, or empty.
        unit: String,
        /// The classic bucket bounds, ascending; by default those of the unit.
        bounds: Option<Vec<f64>>,
    },
    /// The sum of the series of one of the program's own metrics that match.
    GaugeFrom {
        /// The metric's name.
        metric: String,
        /// Label and value, all of which must be equal.
        matchers: Vec<(String, String)>,
    },
}

impl Layout {
    /// The names that its labels have.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let scenarios = self.scenarios.iter().map(|scenario| &scenario.name);
        let steps = self.steps.iter().map(|step| &step.name);
        let groups = self.groups.iter().map(|group| &group.name);
        let checks = self.checks.iter().map(|check| &check.name);
        let messages = self.messages.iter().map(|message| &message.name);
        let own = self.own.iter().map(|own| &own.name);
        let all = [&self.profile].into_iter().chain(&self.phases).chain(scenarios).chain(steps).chain(groups);
        all.chain(checks).chain(messages).chain(own).map(String::as_str)
    }

    /// The protocols that a scenario's steps speak, each once.
    pub fn protocols(&self, scenario: ScenarioId) -> Vec<Protocol> {
        let of_scenario = |step: &&StepLayout| step.scenario == scenario;
        let mut protocols: Vec<Protocol> = self.steps.iter().filter(of_scenario).map(|step| step.protocol).collect();
        protocols.sort_unstable();
        protocols.dedup();
        protocols
    }

    /// The scenario whose sessions receive a kind of message.
    pub fn scenario_of(&self, message: &MessageLayout) -> ScenarioId {
        self.steps.get(message.step.index()).map(|step| step.scenario).unwrap_or_default()
    }

    /// Whether a scenario has load in a phase.
    pub fn is_active(&self, phase: PhaseId, scenario: ScenarioId) -> bool {
        self.active.contains(&(phase, scenario))
    }
}
