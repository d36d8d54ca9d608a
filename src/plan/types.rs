//! What a run needs to know: the profile, checked and resolved. Nothing here is optional that need not be, every label is an
//! index, and no text is parsed again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::options::Builtin;
use super::variables::Variables;
use crate::base::Secrets;
use crate::counters::Observe;
use crate::expr::{Expression, ListId, Symbol, Table, Value};
use crate::flow::Flow;
use crate::load::Load;
use crate::measure::{Layout, OwnId, PhaseId, ScenarioId};
use crate::net::Endpoint;
pub use crate::profile::written::DeadTargetAction;
use crate::verdict::Slo;

/// A profile that can be run.
pub struct Plan {
    /// The label `profile`.
    pub name: String,
    /// Fixes choices, think times and Poisson arrivals.
    pub seed: u64,
    /// Every label of this profile's series.
    pub layout: Arc<Layout>,
    /// The scenarios, by [`ScenarioId`].
    pub scenarios: Vec<Scenario>,
    /// Rows for virtual users.
    pub data: Vec<Data>,
    /// The phases in order, by [`PhaseId`]; at least one.
    pub phases: Vec<Phase>,
    /// What is done once for the whole run.
    pub hooks: Hooks,
    /// The lists that steps fill, by [`crate::expr::ListId`].
    pub lists: Vec<(String, Symbol)>,
    /// How often the phases run within one run.
    pub repeat: Repeat,
    /// What has to hold.
    pub slos: Vec<Slo>,
    /// The expressions of SLOs over a `value`, by their texts as in [`crate::verdict::Subject::Value`].
    pub values: Vec<(String, Expression)>,
    /// The target's own series; nothing to read if it has no sources.
    pub observe: Observe,
    /// When the daemon runs it.
    pub schedule: Schedule,
    /// What becomes of a run that the daemon's end cut short.
    pub on_restart: OnRestart,
    /// What is done where a target is away.
    pub on_dead_target: OnDeadTarget,
    /// What must never be exceeded.
    pub limits: Limits,
    /// The profile's `vars`, for every user's scope.
    pub vars: Vec<(Symbol, Value)>,
    /// `env`, for every user's scope: a mapping of text.
    pub env: Value,
    /// The variables of the environment that it reads.
    pub variables: Variables,
    /// What must never be shown.
    pub secrets: Secrets,
    /// Whether a scenario loads the program's own echo target.
    pub uses_builtin: bool,
    /// Where that listens, if it is there.
    pub builtin: Option<Builtin>,
    /// The same for two loads of the same files, unless their texts changed: the profile, what it includes, and the certificates that
    /// they name.
    pub fingerprint: u64,
}

impl Plan {
    /// Whether a connection to this place leads to the built-in target.
    pub fn leads_inside(&self, to: &Endpoint) -> bool {
        self.uses_builtin && Builtin::is_at(self.builtin, &to.host, to.port)
    }

    /// How long the phases of a run take; none where they are repeated until the run is stopped.
    pub fn planned(&self) -> Option<Duration> {
        let once: Duration = self.phases.iter().map(|phase| phase.duration).sum();
        match self.repeat {
            Repeat::Forever => None,
            Repeat::Times(times) => u32::try_from(times).ok().and_then(|times| once.checked_mul(times)),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("name", &self.name)
            .field("scenarios", &self.scenarios.iter().map(|scenario| &scenario.name).collect::<Vec<_>>())
            .field("phases", &self.phases.iter().map(|phase| &phase.name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What virtual users of one kind do.
pub struct Scenario {
    /// Its index.
    pub id: ScenarioId,
    /// Its name.
    pub name: String,
    /// What each user does once, before its first iteration, again and again until it succeeds.
    pub start: Option<Flow>,
    /// How long a user may be at its start before it counts as missing.
    pub start_within: Duration,
    /// Its steps.
    pub flow: Flow,
    /// What each user does once when it ends, if it ever started.
    pub stop: Option<Flow>,
    /// The rows that it needs.
    pub rows: ScenarioRows,
    /// The metrics of the profile's own that an iteration puts something into, and behind which step it surely has.
    pub amounts: BTreeMap<OwnId, u32>,
    /// The same of a user's `start`, and of its `stop`.
    pub aside: [BTreeMap<OwnId, u32>; 2],
    /// The most users it has in any phase.
    pub max_users: u64,
}

impl Scenario {
    /// All its flows, in their order.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        [self.start.as_ref(), Some(&self.flow), self.stop.as_ref()].into_iter().flatten()
    }
}

/// The data that a scenario's flows name, as indexes into [`Plan::data`]. Only those are picked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScenarioRows {
    /// For the user's life: what `start` names.
    pub start: Vec<usize>,
    /// For each iteration: what the flow names and `start` doesn't.
    pub flow: Vec<usize>,
    /// For the user's end: what `stop` names and `start` doesn't.
    pub stop: Vec<usize>,
}

/// Rows for virtual users.
#[derive(Debug, Clone)]
pub struct Data {
    /// Its name.
    pub name: String,
    /// The variable that a picked row is.
    pub symbol: Symbol,
    /// Where its rows are.
    pub source: DataSource,
    /// How they are picked.
    pub pick: Pick,
    /// The most users that any scenario that names it has.
    pub users: u64,
}

/// Where rows are.
#[derive(Debug, Clone)]
pub enum DataSource {
    /// In memory, once for all.
    Table(Arc<Table>),
    /// In a list that users fill as they go, as of the last phase edge.
    Remembered(ListId),
}

/// How rows are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pick {
    /// One after the other, and from the first one again; worker g of k takes the rows g, g + k, ….
    #[default]
    Sequential,
    /// Any, by the seed, the scenario, the user and the iteration.
    Random,
    /// Each once over the whole run and all shards; then there are none.
    Unique,
    /// The user's number modulo the rows.
    PerUser,
}

/// A part of a run.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its index.
    pub id: PhaseId,
    /// Its name.
    pub name: String,
    /// How long it lasts.
    pub duration: Duration,
    /// Whether SLOs judge it.
    pub judge: bool,
    /// How long scenarios that don't go on may take to end, beside the next phase.
    pub drain: Duration,
    /// What each scenario does in it; those that do nothing aren't listed.
    pub loads: Vec<(ScenarioId, Load)>,
}

impl Phase {
    /// The load of a scenario.
    pub fn load(&self, scenario: ScenarioId) -> Option<&Load> {
        let found = self.loads.binary_search_by_key(&scenario, |(id, _)| *id).ok()?;
        self.loads.get(found).map(|(_, load)| load)
    }
}

/// What is done once for the whole run.
#[derive(Debug, Default)]
pub struct Hooks {
    /// Before the first phase.
    pub setup: Option<Hook>,
    /// After the last phase.
    pub verify: Option<Hook>,
    /// At the very end, however the run went.
    pub teardown: Option<Hook>,
}

impl Hooks {
    /// One of them, if the profile has it.
    pub fn get(&self, kind: HookKind) -> Option<&Hook> {
        match kind {
            HookKind::Setup => self.setup.as_ref(),
            HookKind::Verify => self.verify.as_ref(),
            HookKind::Teardown => self.teardown.as_ref(),
        }
    }

    /// Those that the profile has, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Hook> {
        [&self.setup, &self.verify, &self.teardown].into_iter().flatten()
    }
}

/// Which of the blocks that are done once for the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookKind {
    /// Before the first phase.
    Setup,
    /// After the last phase.
    Verify,
    /// At the very end, however the run went.
    Teardown,
}

impl HookKind {
    /// Its name: the labels `scenario` and `phase` of what it does.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Verify => "verify",
            Self::Teardown => "teardown",
        }
    }

    /// What it is called at the beginning of a sentence.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Setup => "Set-up",
            Self::Verify => "Verify",
            Self::Teardown => "Teardown",
        }
    }
}

/// Steps that are done once for the whole run. Its labels stand behind those of the scenarios and phases; it has no load.
#[derive(Debug)]
pub struct Hook {
    /// Which.
    pub kind: HookKind,
    /// Its label `scenario`, beyond the plan's scenarios.
    pub scenario: ScenarioId,
    /// Its label `phase`, beyond the plan's phases.
    pub phase: PhaseId,
    /// The data that it names, as indexes into [`Plan::data`].
    pub rows: Vec<usize>,
    /// How long it may take.
    pub timeout: Duration,
    /// Its steps.
    pub flow: Flow,
}

/// How often the phases run within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// So often, at least once.
    Times(u64),
    /// Until the run is stopped.
    Forever,
}

/// When the daemon runs a profile.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// One run.
    Once,
    /// Run after run.
    Continuous,
    /// From the start of one run to the start of the next; at least 1s.
    Every(Duration),
    /// At times of a calendar.
    Cron(Box<Cron>),
}

/// Times of a calendar, in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    pub(super) pattern: croner::Cron,
    pub(super) zone: chrono_tz::Tz,
}

impl Cron {
    /// The first time after `now`; nothing if there is none any more.
    pub fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = now.with_timezone(&self.zone);
        self.pattern.find_next_occurrence(&local, false).ok().map(|time| time.with_timezone(&Utc))
    }

    /// The expression as written.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// The time zone.
    pub fn zone(&self) -> chrono_tz::Tz {
        self.zone
    }
}

/// What becomes of a run that was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRestart {
    /// It starts again.
    Restart,
    /// It is left, until the schedule's next.
    Skip,
}

/// What is done with a scenario whose every request has failed for a while, because its target is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDeadTarget {
    /// For how long.
    pub after: Duration,
    /// What is done then.
    pub action: DeadTargetAction,
}

impl Default for OnDeadTarget {
    fn default() -> Self {
        Self { after: DEAD_AFTER, action: DeadTargetAction::Continue }
    }
}

/// What must never be exceeded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Arrivals per second, of all scenarios together.
    pub rate: Option<f64>,
    /// Users at once, of all scenarios together.
    pub users: Option<u64>,
    /// The only hosts that may be loaded; all if it is empty.
    pub hosts: Vec<String>,
}

/// Series on /metrics at most, where the profile says nothing. An HTTP step has about 220 in each phase, hardly any of which can be left
/// out until something happens: `rate()` needs them at 0 before, and a sum over outcomes the same buckets of each. Twenty steps over
/// seven phases come to some 33,000.
pub const SERIES_LIMIT: u64 = 50_000;
/// How long every request of a scenario has to fail until its target counts as dead, where the profile says nothing.
pub const DEAD_AFTER: Duration = Duration::from_secs(30);
/// How long a phase drains, where the profile says nothing.
pub const DRAIN: Duration = Duration::from_secs(30);
/// How long set-up, verify and teardown may take, where the profile says nothing.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(300);
