//! What one worker records for one phase.
//!
//! A set has a single writer, its worker's thread; anyone may read it meanwhile ([`Set::totals`]). A second writer would lose
//! counts, though never more than that. What a worker doesn't touch takes no memory.
//!
//! Writes are ordered so that a snapshot is consistent: what is due is written first and read last, so due is never less than
//! what has started, was dropped or cancelled; likewise requests and their errors, checks and their failures.

mod own;
mod read;
mod users;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::atoms::Count;
use super::cut::CutCell;
use super::delayed::DelayedCell;
use super::gauges::Gauges;
use super::heard::Presence;
use super::layout::{CheckId, GroupId, Layout, MessageId, PhaseId, ScenarioId, StepId};
use super::messages::{MessageCell, Numbered, Passed, SessionCell};
use super::open::OpenCell;
use super::outcomes::{Lazy, Outcomes};
use super::own::OwnCell;
use super::sample::{ConnectTimes, Layer, Sample};
use super::shapes::Shapes;
use super::transfer::{Transfer, TransferCell};
use crate::base::{DropReason, Outcome, Protocol, Reason};

type Reasons = [Count; Reason::COUNT];

#[derive(Debug, Default)]
struct StepCell {
    response: Outcomes,
    service: Outcomes,
    reasons: Reasons,
    codes: [OnceLock<Box<[Count; 100]>>; 5],
    other_codes: Count,
    sent: Count,
    received: Count,
    stalled: Count,
    delayed_response: DelayedCell,
    delayed_service: DelayedCell,
    lost: Count,
    cut: CutCell,
    open: OpenCell,
}

#[derive(Debug, Default)]
struct ScenarioCell {
    due: Count,
    started: Count,
    dropped: [Count; DropReason::COUNT],
    displaced: Count,
    cancelled: Count,
    iterations: Outcomes,
    open: OpenCell,
    step_errors: Reasons,
    undone: Count,
    open_eventually: OpenCell,
    delayed_iterations: DelayedCell,
    absent: Count,
    hung: Count,
    wanted: Count,
    held: Count,
    held_back: Count,
    unsent: Count,
    start_lag: Lazy,
    connects: [OnceLock<Box<ConnectCell>>; Protocol::COUNT],
}

#[derive(Debug, Default)]
struct ConnectCell {
    carried: Count,
    duration: Lazy,
    timed_out: Lazy,
    cut_off: Lazy,
    open: OpenCell,
    delayed: DelayedCell,
    layers: [Lazy; 4],
    failures: Reasons,
    disconnects: Reasons,
}

#[derive(Debug, Default)]
struct CheckCell {
    total: Count,
    failed: Count,
    unclear: Count,
}

/// A delay of so many nanoseconds shows in what a profile makes of a response: a tenth of a second.
const STALL: u64 = 100_000_000;

/// What one worker records for one phase.
#[derive(Debug)]
pub struct Set {
    phase: PhaseId,
    layout: Arc<Layout>,
    shapes: Arc<Shapes>,
    gauges: Arc<Gauges>,
    steps: Box<[OnceLock<Box<StepCell>>]>,
    scenarios: Box<[ScenarioCell]>,
    groups: Box<[Outcomes]>,
    delayed_groups: Box<[DelayedCell]>,
    checks: Box<[CheckCell]>,
    sessions: Box<[OnceLock<Box<SessionCell>>]>,
    messages: Box<[OnceLock<Box<MessageCell>>]>,
    transfers: Box<[OnceLock<Box<TransferCell>>]>,
    own: Box<[OnceLock<Box<OwnCell>>]>,
    open_groups: Box<[OpenCell]>,
    early: OnceLock<Box<Set>>,
    late: OnceLock<Box<Set>>,
    /// The worker's clock, in nanoseconds: it stands still where the worker does.
    now: AtomicU64,
    /// Grows with each delay that is recorded.
    delays: Count,
}

fn boxed<T: Default>(n: usize) -> Box<[T]> {
    std::iter::repeat_with(T::default).take(n).collect()
}

impl Set {
    pub(super) fn new(phase: PhaseId, layout: Arc<Layout>, shapes: Arc<Shapes>, gauges: Arc<Gauges>) -> Self {
        Self {
            phase,
            steps: boxed(layout.steps.len()),
            scenarios: boxed(layout.scenarios.len()),
            groups: boxed(layout.groups.len()),
            delayed_groups: boxed(layout.groups.len()),
            checks: boxed(layout.checks.len()),
            sessions: boxed(layout.steps.len()),
            messages: boxed(layout.messages.len()),
            transfers: boxed(layout.steps.len()),
            own: boxed(layout.own.len() * layout.scenarios.len()),
            open_groups: boxed(layout.groups.len()),
            early: OnceLock::new(),
            late: OnceLock::new(),
            delays: Count::new(),
            now: AtomicU64::new(0),
            layout,
            shapes,
            gauges,
        }
    }

    /// The phase that is recorded here.
    pub fn phase(&self) -> PhaseId {
        self.phase
    }

    /// Where to record what is due after the phase's end. It is among this set's totals.
    pub fn late(&self) -> &Set {
        self.apart(&self.late)
    }

    /// Where to record what was due in a phase whose record is closed. It is among this set's totals.
    pub fn early(&self) -> &Set {
        self.apart(&self.early)
    }

    fn apart<'s>(&'s self, set: &'s OnceLock<Box<Set>>) -> &'s Set {
        let new = || Set::new(self.phase, self.layout.clone(), self.shapes.clone(), self.gauges.clone());
        set.get_or_init(|| Box::new(new()))
    }

    /// The worker's clock shows `now`.
    pub fn beats(&self, now: u64) {
        self.now.store(now, Ordering::Release);
    }

    /// A request begins that counts since `since` by the worker's clock, or one that had begun is over.
    #[inline]
    pub fn request_open(&self, step: StepId, since: u64, begins: bool) {
        self.steps[step.index()].get_or_init(Box::default).open.step(since, begins);
    }

    /// An iteration begins, or one that had begun is over.
    pub fn iteration_open(&self, scenario: ScenarioId, since: u64, begins: bool) {
        self.scenarios[scenario.index()].open.step(since, begins);
    }

    /// An `eventually` begins, or one that had begun is over.
    pub fn eventually_open(&self, scenario: ScenarioId, since: u64, begins: bool) {
        self.scenarios[scenario.index()].open_eventually.step(since, begins);
    }

    /// A group begins, or one that had begun is over.
    pub fn group_open(&self, group: GroupId, since: u64, begins: bool) {
        self.open_groups[group.index()].step(since, begins);
    }

    /// Records one sample of a step.
    #[inline]
    pub fn sample(&self, step: StepId, sample: &Sample) {
        let cell = self.steps[step.index()].get_or_init(Box::default);
        cell.response.record(&self.shapes.response[step.index()], sample.outcome, sample.response);
        if sample.service > 0 {
            cell.service.record(&self.shapes.service[step.index()], sample.outcome, sample.service);
        }
        if sample.outcome == Outcome::Interrupted {
            cell.cut.note(sample);
        } else if let Some(reason) = sample.reason {
            cell.reasons[reason.index()].add(1);
        }
        match sample.status {
            0 => {}
            status @ 100..=599 => {
                let class = cell.codes[usize::from(status / 100 - 1)].get_or_init(|| Box::new([const { Count::new() }; 100]));
                class[usize::from(status % 100)].add(1);
            }
            _ => cell.other_codes.add(1),
        }
        cell.sent.add(sample.sent);
        cell.received.add(sample.received);
    }

    /// Records that the generator may have made a sample's response time longer by `response` nanoseconds, and its service time by
    /// `service`. To be called after [`Set::sample`].
    pub fn delayed_sample(&self, step: StepId, sample: &Sample, response: u64, service: u64) {
        self.delays.add(1);
        let cell = self.steps[step.index()].get_or_init(Box::default);
        cell.delayed_response.record(&self.shapes.response[step.index()], sample.outcome, sample.response, response);
        if response >= STALL {
            cell.stalled.add(1);
        }
        if sample.service > 0 {
            cell.delayed_service.record(&self.shapes.service[step.index()], sample.outcome, sample.service, service);
        }
    }

    /// Counts a request that was sent and not answered. To be called after its sample.
    pub fn lost(&self, step: StepId) {
        self.steps[step.index()].get_or_init(Box::default).lost.add(1);
    }

    /// Counts a check's result.
    #[inline]
    pub fn check(&self, check: CheckId, passed: bool) {
        let cell = &self.checks[check.index()];
        cell.total.add(1);
        if !passed {
            cell.failed.add(1);
        }
    }

    /// Counts arrivals that became due. To be called before they start, are dropped or cancelled.
    #[inline]
    pub fn due(&self, scenario: ScenarioId, n: u64) {
        self.scenarios[scenario.index()].due.add(n);
    }

    /// Counts arrivals that started.
    #[inline]
    pub fn started(&self, scenario: ScenarioId, n: u64) {
        self.scenarios[scenario.index()].started.add(n);
    }

    /// Counts arrivals that were dropped.
    pub fn dropped(&self, scenario: ScenarioId, reason: DropReason, n: u64) {
        self.scenarios[scenario.index()].dropped[reason.index()].add(n);
    }

    /// Counts an arrival that a pause of the generator may have left nobody free for. To be called after [`Set::dropped`].
    pub fn displaced(&self, scenario: ScenarioId) {
        self.scenarios[scenario.index()].displaced.add(1);
    }

    /// Counts arrivals that hadn't started when their phase ended.
    pub fn cancelled(&self, scenario: ScenarioId, n: u64) {
        self.scenarios[scenario.index()].cancelled.add(n);
    }

    /// Records an iteration that ended, with its duration in nanoseconds.
    #[inline]
    pub fn iteration(&self, scenario: ScenarioId, nanoseconds: u64, outcome: Outcome) {
        let i = scenario.index();
        self.scenarios[i].iterations.record(&self.shapes.iteration[i], outcome, nanoseconds);
    }

    /// Records that the generator may have made an iteration longer, by `delay` nanoseconds. To be called after [`Set::iteration`].
    pub fn delayed_iteration(&self, scenario: ScenarioId, nanoseconds: u64, outcome: Outcome, delay: u64) {
        self.delays.add(1);
        let i = scenario.index();
        self.scenarios[i].delayed_iterations.record(&self.shapes.iteration[i], outcome, nanoseconds, delay);
    }

    /// Counts an arrival that started so late that it was cut off at once.
    pub fn unsent(&self, scenario: ScenarioId) {
        self.scenarios[scenario.index()].unsent.add(1);
    }

    /// Counts a step without a sample that was cut off, and the checks that nobody will evaluate.
    pub fn undone(&self, scenario: ScenarioId, checks: &[CheckId]) {
        self.scenarios[scenario.index()].undone.add(1);
        checks.iter().for_each(|check| self.checks[check.index()].unclear.add(1));
    }

    /// Counts a step without a sample that could not be done.
    pub fn step_error(&self, scenario: ScenarioId, reason: Reason) {
        self.scenarios[scenario.index()].step_errors[reason.index()].add(1);
    }

    /// Records how late an arrival started, in nanoseconds.
    #[inline]
    pub fn start_lag(&self, scenario: ScenarioId, nanoseconds: u64) {
        let plain = &self.shapes.plain;
        self.scenarios[scenario.index()].start_lag.get(plain).record_nanos(plain, nanoseconds);
    }

    fn connects(&self, scenario: ScenarioId, protocol: Protocol) -> &ConnectCell {
        self.scenarios[scenario.index()].connects[protocol.index()].get_or_init(Box::default)
    }

    /// A connection is being opened that counts since `since` by the worker's clock, or is so no longer.
    pub fn connect_open(&self, scenario: ScenarioId, protocol: Protocol, since: u64, begins: bool) {
        self.connects(scenario, protocol).open.step(since, begins);
    }

    /// So many connections were open when the phase began.
    pub fn carried(&self, scenario: ScenarioId, protocol: Protocol, connections: u64) {
        self.connects(scenario, protocol).carried.add(connections);
    }

    /// Records a connection that opened.
    pub fn connected(&self, scenario: ScenarioId, protocol: Protocol, times: &ConnectTimes) {
        let (cell, buckets) = (self.connects(scenario, protocol), &self.shapes.connect[scenario.index()]);
        cell.duration.get(buckets).record_nanos(buckets, times.total);
        let plain = &self.shapes.plain;
        for layer in Layer::ALL {
            if let Some(nanoseconds) = times.layer(layer) {
                cell.layers[layer as usize].get(plain).record_nanos(plain, nanoseconds);
            }
        }
    }

    /// Records a connection that could not be opened, after so many nanoseconds; without a reason where it was cut off before that was
    /// known. Answers how it ended.
    pub fn unconnected(&self, scenario: ScenarioId, protocol: Protocol, reason: Option<Reason>, nanoseconds: u64) -> Outcome {
        let (cell, buckets) = (self.connects(scenario, protocol), &self.shapes.connect[scenario.index()]);
        if let Some(reason) = reason {
            cell.failures[reason.index()].add(1);
        }
        match reason {
            None => {
                cell.cut_off.get(buckets).record_nanos(buckets, nanoseconds);
                Outcome::Interrupted
            }
            Some(Reason::Timeout) => {
                cell.timed_out.get(buckets).record_nanos(buckets, nanoseconds);
                Outcome::Timeout
            }
            Some(_) => Outcome::Error,
        }
    }

    /// Records that the generator may have made opening a connection longer, by `delay` nanoseconds. To be called after
    /// [`Set::connected`] or [`Set::unconnected`].
    pub fn delayed_connect(&self, scenario: ScenarioId, protocol: Protocol, outcome: Outcome, nanoseconds: u64, delay: u64) {
        self.delays.add(1);
        let cell = self.connects(scenario, protocol);
        cell.delayed.record(&self.shapes.connect[scenario.index()], outcome, nanoseconds, delay);
    }

    /// Counts a connection that ended unasked.
    pub fn disconnected(&self, scenario: ScenarioId, protocol: Protocol, reason: Reason) {
        self.connects(scenario, protocol).disconnects[reason.index()].add(1);
    }

    /// Records how long a group took, in nanoseconds.
    pub fn group(&self, group: GroupId, nanoseconds: u64, outcome: Outcome) {
        self.groups[group.index()].record(&self.shapes.group[group.index()], outcome, nanoseconds);
    }

    /// Records that the generator may have made a group longer, by `delay` nanoseconds. To be called after [`Set::group`].
    pub fn delayed_group(&self, group: GroupId, nanoseconds: u64, outcome: Outcome, delay: u64) {
        self.delays.add(1);
        self.delayed_groups[group.index()].record(&self.shapes.group[group.index()], outcome, nanoseconds, delay);
    }

    fn session_cell(&self, step: StepId) -> &SessionCell {
        self.sessions[step.index()].get_or_init(Box::default)
    }

    fn message_cell(&self, message: MessageId) -> &MessageCell {
        self.messages[message.index()].get_or_init(Box::default)
    }

    /// Records what a request of a step moved.
    pub fn transfer(&self, step: StepId, transfer: &Transfer) {
        let cell = self.transfers[step.index()].get_or_init(Box::default);
        cell.record(&self.shapes.speed, &self.shapes.plain, transfer);
    }

    /// Records a session that ended, with its duration in nanoseconds, under the step that opened it.
    pub fn session(&self, step: StepId, nanoseconds: u64, outcome: Outcome) {
        self.session_cell(step).ended(&self.shapes.session[step.index()], outcome, nanoseconds);
    }

    /// Records that the generator may have made a session longer, by `delay` nanoseconds. To be called after [`Set::session`].
    pub fn delayed_session(&self, step: StepId, nanoseconds: u64, outcome: Outcome, delay: u64) {
        self.delays.add(1);
        self.session_cell(step).delayed(&self.shapes.session[step.index()], outcome, nanoseconds, delay);
    }

    /// Counts what went over the connection of a session.
    #[inline]
    pub fn passed(&self, step: StepId, passed: &Passed) {
        self.session_cell(step).passed(passed);
    }

    /// Records how old a message was when it came, in nanoseconds; `skewed` if by the two clocks it came before it was published.
    #[inline]
    pub fn latency(&self, message: MessageId, nanoseconds: u64, skewed: bool) {
        self.message_cell(message).latency(&self.shapes.message[message.index()], nanoseconds, skewed);
    }

    /// Records that the generator may have made a message's latency longer, by `delay` nanoseconds. To be called after
    /// [`Set::latency`].
    pub fn delayed_latency(&self, message: MessageId, nanoseconds: u64, delay: u64) {
        self.delays.add(1);
        self.message_cell(message).delayed(&self.shapes.message[message.index()], nanoseconds, delay);
    }

    /// Counts a message that was read right behind a pause of the generator.
    pub fn behind(&self, message: MessageId) {
        self.message_cell(message).behind();
    }

    /// Counts what became of messages.
    #[inline]
    pub fn numbered(&self, message: MessageId, numbered: &Numbered) {
        let alike = self.layout.messages[message.index()].is_alike();
        self.message_cell(message).numbered(numbered, alike);
    }

    /// Somebody listened to a kind of message for so many nanoseconds, maybe in a silence.
    pub fn listened(&self, message: MessageId, nanoseconds: u64, silent: bool) {
        self.message_cell(message).listened(nanoseconds, silent);
    }

    /// So many nanoseconds of a silence the worker itself stood still.
    pub fn stood(&self, message: MessageId, nanoseconds: u64) {
        self.message_cell(message).stood(nanoseconds);
    }

    /// Counts the listeners of a step that opens sessions.
    pub fn listeners(&self, step: StepId, presence: &Presence) {
        self.session_cell(step).listeners(presence);
    }
}
