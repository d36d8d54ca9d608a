//! What was recorded in one phase, by all its workers, at one moment or between two: plain values that add up and subtract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arith::{each, less, more, take};
pub use super::connects::ConnectTotals;
use super::cut::Cut;
use super::delayed::Delayed;
use super::layout::{CheckId, GroupId, Layout, MessageId, OwnId, ScenarioId, StepId};
use super::messages::{MessageTotals, SessionTotals};
use super::open::Open;
use super::outcomes::ByOutcome;
use super::own::OwnTotals;
use super::sparse::Sparse;
use super::transfer::TransferTotals;
use crate::base::{DropReason, Outcome, Protocol, Reason};

/// Everything that was recorded, by the layout's indexes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// By [`StepId`].
    pub steps: Vec<StepTotals>,
    /// By [`ScenarioId`].
    pub scenarios: Vec<ScenarioTotals>,
    /// By [`GroupId`]: how long the group took.
    pub groups: Vec<ByOutcome>,
    /// By [`GroupId`]: those of them that the generator delayed.
    #[serde(default)]
    pub delayed_groups: Vec<Delayed>,
    /// By [`GroupId`]: groups as they begin and end.
    #[serde(default)]
    pub open_groups: Vec<Open>,
    /// By [`CheckId`].
    pub checks: Vec<CheckTotals>,
    /// By [`StepId`]: the sessions that it opened.
    pub sessions: Vec<SessionTotals>,
    /// By [`MessageId`].
    pub messages: Vec<MessageTotals>,
    /// By [`StepId`]: the long bodies.
    #[serde(default)]
    pub transfers: Vec<TransferTotals>,
    /// By metric and scenario; see [`Totals::own`].
    pub own: Vec<OwnTotals>,
    /// What of all this was due in a phase before, and outlasted that one's drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<Box<Totals>>,
    /// The part that was due after the phase's end, in its drain: the phase's own time wasn't enough for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<Totals>>,
}

/// One step's samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepTotals {
    /// Response time: from when it was due. Every sample is in here.
    pub response: ByOutcome,
    /// Service time: from the first byte sent.
    pub service: ByOutcome,
    /// Errors, by [`Reason::index`].
    pub reasons: [u64; Reason::COUNT],
    /// Answers by status code; 0 stands for codes outside 100 to 599.
    pub codes: BTreeMap<u16, u64>,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Requests that the generator delayed by a tenth of a second or more.
    #[serde(default)]
    pub stalled: u64,
    /// Response times that the generator delayed.
    #[serde(default)]
    pub delayed_response: Delayed,
    /// Service times that the generator delayed.
    #[serde(default)]
    pub delayed_service: Delayed,
    /// Requests that were sent, as far as that is known, and not answered: what they asked for may have been done.
    #[serde(default)]
    pub lost: u64,
    /// Interrupted requests whose status had come.
    #[serde(default)]
    pub cut: Cut,
    /// Requests as they begin and end.
    #[serde(default)]
    pub open: Open,
}

/// One scenario's arrivals, iterations and connections.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScenarioTotals {
    /// Arrivals that were due.
    pub due: u64,
    /// Arrivals that started.
    pub started: u64,
    /// Arrivals that were dropped, by [`DropReason::index`].
    pub dropped: [u64; DropReason::COUNT],
    /// Of those how many a pause of the generator may have left nobody free for.
    #[serde(default)]
    pub displaced: u64,
    /// Arrivals that had not started when their phase ended.
    pub cancelled: u64,
    /// Of the run's arrivals that were dropped or cancelled those that an SLO of their phase judges.
    #[serde(default)]
    pub judged: u64,
    /// Iterations that ended, by how.
    pub iterations: ByOutcome,
    /// Iterations as they begin and end.
    #[serde(default)]
    pub open: Open,
    /// Steps without a sample (`set`, `count`, …) that could not be done, by [`Reason::index`].
    #[serde(default)]
    pub step_errors: [u64; Reason::COUNT],
    /// Steps without a sample (`eventually`) that were cut off, so that nobody knows whether they could be done.
    #[serde(default)]
    pub undone: u64,
    /// The same steps as they begin and end.
    #[serde(default)]
    pub open_eventually: Open,
    /// Iterations that the generator delayed.
    #[serde(default)]
    pub delayed_iterations: Delayed,
    /// How long closed users that the load wanted were missing, together, in nanoseconds: they ended themselves, their rows ran out, they
    /// were still at their `start` after the time that it may take, or they waited for what they had asked for in an earlier phase.
    #[serde(default)]
    pub absent: u64,
    /// How much of that they waited for what they had asked for in an earlier phase.
    #[serde(default)]
    pub hung: u64,
    /// How long closed users were wanted, together, in nanoseconds; those that were absent are among them.
    #[serde(default)]
    pub wanted: u64,
    /// How long pauses of their workers held closed users up, together, in nanoseconds.
    #[serde(default)]
    pub held: u64,
    /// How long closed users were held back because their target was away (`on_dead_target: {do: back_off}`), together, in nanoseconds.
    #[serde(default)]
    pub held_back: u64,
    /// Arrivals that started so late, for a pause of their worker, that they were cut off at once. They count among the interrupted.
    #[serde(default)]
    pub unsent: u64,
    /// How late arrivals started.
    pub start_lag: Sparse,
    /// Connections, by [`Protocol::index`].
    pub connects: [ConnectTotals; Protocol::COUNT],
}

/// One check's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckTotals {
    /// How often it was evaluated.
    pub total: u64,
    /// How often it failed.
    pub failed: u64,
    /// How often nobody knows, since what it belongs to was cut off.
    #[serde(default)]
    pub unclear: u64,
}

impl StepTotals {
    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.response.iter().map(Sparse::count).sum()
    }

    /// How many requests ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.response[outcome.index()].count()
    }

    /// How many requests didn't end well.
    pub fn errors(&self) -> u64 {
        self.reasons.iter().sum()
    }
}

impl ScenarioTotals {
    /// Arrivals that were due and never started: dropped or cancelled.
    pub fn unstarted(&self) -> u64 {
        self.dropped.iter().sum::<u64>() + self.cancelled
    }

    /// Arrivals that are neither started nor dropped nor cancelled yet.
    pub fn waiting(&self) -> u64 {
        self.due.saturating_sub(self.started + self.unstarted())
    }
}

impl Totals {
    /// Nothing, for this layout.
    pub fn empty(layout: &Layout) -> Self {
        Self {
            steps: vec![StepTotals::default(); layout.steps.len()],
            scenarios: vec![ScenarioTotals::default(); layout.scenarios.len()],
            groups: vec![ByOutcome::default(); layout.groups.len()],
            delayed_groups: vec![Delayed::default(); layout.groups.len()],
            checks: vec![CheckTotals::default(); layout.checks.len()],
            sessions: vec![SessionTotals::default(); layout.steps.len()],
            messages: vec![MessageTotals::default(); layout.messages.len()],
            transfers: vec![TransferTotals::default(); layout.steps.len()],
            own: vec![OwnTotals::default(); layout.own.len() * layout.scenarios.len()],
            early: None,
            late: None,
            open_groups: vec![Open::default(); layout.groups.len()],
        }
    }

    /// How many requests of a step were due while the phase went on.
    pub fn in_time(&self, step: StepId) -> u64 {
        let apart: u64 = [&self.early, &self.late].into_iter().flatten().map(|apart| apart.step(step).requests()).sum();
        self.step(step).requests().saturating_sub(apart)
    }

    /// A step's samples.
    pub fn step(&self, step: StepId) -> &StepTotals {
        &self.steps[step.index()]
    }

    /// A scenario's arrivals, iterations and connections.
    pub fn scenario(&self, scenario: ScenarioId) -> &ScenarioTotals {
        &self.scenarios[scenario.index()]
    }

    /// How long a group took, by outcome.
    pub fn group(&self, group: GroupId) -> &ByOutcome {
        &self.groups[group.index()]
    }

    /// Those of a group that the generator delayed.
    pub fn delayed_group(&self, group: GroupId) -> &Delayed {
        &self.delayed_groups[group.index()]
    }

    /// A check's results.
    pub fn check(&self, check: CheckId) -> CheckTotals {
        self.checks[check.index()]
    }

    /// The sessions that a step opened.
    pub fn session(&self, step: StepId) -> &SessionTotals {
        &self.sessions[step.index()]
    }

    /// The long bodies of a step.
    pub fn transfer(&self, step: StepId) -> &TransferTotals {
        &self.transfers[step.index()]
    }

    /// What is known of a kind of message.
    pub fn message(&self, message: MessageId) -> &MessageTotals {
        &self.messages[message.index()]
    }

    /// What a scenario put into a metric of the profile's own.
    pub fn own(&self, metric: OwnId, scenario: ScenarioId) -> &OwnTotals {
        &self.own[metric.index() * self.scenarios.len() + scenario.index()]
    }

    /// What a gauge of the profile's own was set to last, over all scenarios that set it; none if nobody did.
    pub fn own_gauge(&self, metric: OwnId) -> Option<f64> {
        let scenarios = (0..self.scenarios.len()).map(|scenario| self.own(metric, ScenarioId::at(scenario)));
        scenarios.filter_map(|own| own.gauge).map(|(_, value)| value).reduce(|sum, value| sum + value)
    }

    /// What all scenarios put into a metric of the profile's own.
    pub fn own_sum(&self, metric: OwnId) -> OwnTotals {
        let mut sum = OwnTotals::default();
        for scenario in 0..self.scenarios.len() {
            sum.add(self.own(metric, ScenarioId::at(scenario)));
        }
        sum
    }

    /// Both together.
    pub fn plus(mut self, other: &Totals) -> Totals {
        self.add(other);
        self
    }

    /// Adds another's counts to these. Both must be of the same layout.
    pub fn add(&mut self, other: &Totals) {
        each(&mut self.steps, &other.steps, StepTotals::add);
        each(&mut self.scenarios, &other.scenarios, ScenarioTotals::add);
        each(&mut self.groups, &other.groups, |mine, theirs| each(mine, theirs, Sparse::add));
        each(&mut self.delayed_groups, &other.delayed_groups, Delayed::add);
        each(&mut self.checks, &other.checks, |mine, theirs| {
            mine.total += theirs.total;
            mine.failed += theirs.failed;
            mine.unclear += theirs.unclear;
        });
        each(&mut self.sessions, &other.sessions, SessionTotals::add);
        each(&mut self.messages, &other.messages, MessageTotals::add);
        each(&mut self.transfers, &other.transfers, TransferTotals::add);
        each(&mut self.own, &other.own, OwnTotals::add);
        each(&mut self.open_groups, &other.open_groups, Open::add);
        for (mine, theirs) in [(&mut self.late, &other.late), (&mut self.early, &other.early)] {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => mine.add(theirs),
                (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
                (_, None) => {}
            }
        }
    }

    /// Adds a later phase's counts to these. What was open when that began is known already: it was opened in a phase before, or
    /// was open when the first one began.
    pub fn follow(&mut self, later: &Totals) {
        let known: Vec<_> =
            self.scenarios.iter().map(|scenario| scenario.connects.each_ref().map(|of| (of.there(), of.carried))).collect();
        self.add(later);
        for (scenario, known) in self.scenarios.iter_mut().zip(known) {
            for (connects, (there, carried)) in scenario.connects.iter_mut().zip(known) {
                if there > 0 {
                    connects.carried = carried;
                }
            }
        }
    }

    /// Once a phase has drained nobody waits for what is still under way.
    pub fn drained(mut self) -> Totals {
        let apart = [&mut self.early, &mut self.late].into_iter().flatten();
        apart.for_each(|apart| **apart = std::mem::take(&mut **apart).drained());
        let of_scenario = |scenario: &mut ScenarioTotals| {
            scenario.open.lasting.clear();
            scenario.open_eventually.lasting.clear();
            scenario.connects.iter_mut().for_each(|connects| connects.open.lasting.clear());
        };
        self.scenarios.iter_mut().for_each(of_scenario);
        let steps = self.steps.iter_mut().map(|step| &mut step.open);
        steps.chain(&mut self.open_groups).for_each(|open| open.lasting.clear());
        self
    }

    /// What has come since `earlier`, taken from the same phase of the same store.
    pub fn minus(&self, earlier: &Totals) -> Totals {
        let mut rest = self.clone();
        each(&mut rest.steps, &earlier.steps, |mine, theirs| {
            each(&mut mine.response, &theirs.response, take);
            each(&mut mine.service, &theirs.service, take);
            each(&mut mine.reasons, &theirs.reasons, less);
            mine.codes.retain(|code, n| {
                less(n, theirs.codes.get(code).unwrap_or(&0));
                *n > 0
            });
            less(&mut mine.sent, &theirs.sent);
            less(&mut mine.received, &theirs.received);
            less(&mut mine.stalled, &theirs.stalled);
            mine.delayed_response.take(&theirs.delayed_response);
            mine.delayed_service.take(&theirs.delayed_service);
            less(&mut mine.lost, &theirs.lost);
            mine.cut.take(&theirs.cut);
            mine.open.take(&theirs.open);
        });
        each(&mut rest.scenarios, &earlier.scenarios, |mine, theirs| {
            less(&mut mine.due, &theirs.due);
            less(&mut mine.started, &theirs.started);
            each(&mut mine.dropped, &theirs.dropped, less);
            less(&mut mine.displaced, &theirs.displaced);
            less(&mut mine.cancelled, &theirs.cancelled);
            less(&mut mine.judged, &theirs.judged);
            each(&mut mine.iterations, &theirs.iterations, take);
            mine.open.take(&theirs.open);
            each(&mut mine.step_errors, &theirs.step_errors, less);
            less(&mut mine.undone, &theirs.undone);
            mine.open_eventually.take(&theirs.open_eventually);
            mine.delayed_iterations.take(&theirs.delayed_iterations);
            less(&mut mine.absent, &theirs.absent);
            less(&mut mine.hung, &theirs.hung);
            less(&mut mine.wanted, &theirs.wanted);
            less(&mut mine.held, &theirs.held);
            less(&mut mine.held_back, &theirs.held_back);
            less(&mut mine.unsent, &theirs.unsent);
            take(&mut mine.start_lag, &theirs.start_lag);
            each(&mut mine.connects, &theirs.connects, ConnectTotals::take);
        });
        each(&mut rest.groups, &earlier.groups, |mine, theirs| each(mine, theirs, take));
        each(&mut rest.delayed_groups, &earlier.delayed_groups, Delayed::take);
        each(&mut rest.checks, &earlier.checks, |mine, theirs| {
            less(&mut mine.total, &theirs.total);
            less(&mut mine.failed, &theirs.failed);
            less(&mut mine.unclear, &theirs.unclear);
        });
        each(&mut rest.sessions, &earlier.sessions, SessionTotals::take);
        each(&mut rest.messages, &earlier.messages, MessageTotals::take);
        each(&mut rest.transfers, &earlier.transfers, TransferTotals::take);
        each(&mut rest.own, &earlier.own, OwnTotals::take);
        each(&mut rest.open_groups, &earlier.open_groups, Open::take);
        for (mine, theirs) in [(&mut rest.late, &earlier.late), (&mut rest.early, &earlier.early)] {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                **mine = mine.minus(theirs);
            }
        }
        rest
    }
}

impl StepTotals {
    /// Adds another's samples to these.
    pub fn add(&mut self, other: &StepTotals) {
        each(&mut self.response, &other.response, Sparse::add);
        each(&mut self.service, &other.service, Sparse::add);
        each(&mut self.reasons, &other.reasons, more);
        for (code, n) in &other.codes {
            *self.codes.entry(*code).or_default() += n;
        }
        self.sent += other.sent;
        self.received += other.received;
        self.stalled += other.stalled;
        self.delayed_response.add(&other.delayed_response);
        self.delayed_service.add(&other.delayed_service);
        self.lost += other.lost;
        self.cut.add(&other.cut);
        self.open.add(&other.open);
    }
}

impl ScenarioTotals {
    /// Adds another's counts to these.
    pub fn add(&mut self, other: &ScenarioTotals) {
        self.due += other.due;
        self.started += other.started;
        each(&mut self.dropped, &other.dropped, more);
        self.displaced += other.displaced;
        self.cancelled += other.cancelled;
        self.judged += other.judged;
        each(&mut self.iterations, &other.iterations, Sparse::add);
        self.open.add(&other.open);
        each(&mut self.step_errors, &other.step_errors, more);
        self.undone += other.undone;
        self.open_eventually.add(&other.open_eventually);
        self.delayed_iterations.add(&other.delayed_iterations);
        self.absent += other.absent;
        self.hung += other.hung;
        self.wanted += other.wanted;
        self.held += other.held;
        self.held_back += other.held_back;
        self.unsent += other.unsent;
        self.start_lag.add(&other.start_lag);
        each(&mut self.connects, &other.connects, ConnectTotals::add);
    }
}
