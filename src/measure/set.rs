//! What one worker records for one phase.
//!
//! A set has a single writer, its worker's thread; anyone may read it meanwhile ([`Set::totals`]). A second writer would lose
//! counts, though never more than that. What a worker doesn't touch takes no memory.
//!
//! Writes are ordered so that a snapshot is consistent: what is due is written first and read last, so due is never less than
//! what has started, was dropped or cancelled; likewise requests and their errors, checks and their failures.

mod read;

use std::sync::{Arc, OnceLock};

use super::atoms::{Count, Float};
use super::delayed::DelayedCell;
use super::gauges::Gauges;
use super::heard::Presence;
use super::hist::{Buckets, Histogram};
use super::layout::{CheckId, GroupId, Layout, MessageId, OwnId, OwnKind, PhaseId, ScenarioId, StepId};
use super::messages::{MessageCell, Numbered, Passed, SessionCell};
use super::open::OpenCell;
use super::sample::{ConnectTimes, Layer, Sample};
use super::shapes::Shapes;
use super::sparse::Sparse;
use super::totals::ByOutcome;
use super::transfer::{Transfer, TransferCell};
use crate::base::{DropReason, Outcome, Protocol, Reason};

/// A histogram for each outcome, made when first touched.
#[derive(Debug, Default)]
pub(super) struct Outcomes([OnceLock<Box<Histogram>>; Outcome::COUNT]);

impl Outcomes {
    #[inline]
    pub(super) fn record(&self, buckets: &Buckets, outcome: Outcome, nanoseconds: u64) {
        self.0[outcome.index()].get_or_init(|| Box::new(Histogram::new(buckets))).record_nanos(buckets, nanoseconds);
    }

    pub(super) fn totals(&self, buckets: &Buckets) -> ByOutcome {
        std::array::from_fn(|i| self.0[i].get().map(|histogram| histogram.snapshot(buckets)).unwrap_or_default())
    }
}

/// A histogram that is made when first touched.
#[derive(Debug, Default)]
pub(super) struct Lazy(OnceLock<Box<Histogram>>);

impl Lazy {
    #[inline]
    pub(super) fn get(&self, buckets: &Buckets) -> &Histogram {
        self.0.get_or_init(|| Box::new(Histogram::new(buckets)))
    }

    pub(super) fn totals(&self, buckets: &Buckets) -> Sparse {
        self.0.get().map(|histogram| histogram.snapshot(buckets)).unwrap_or_default()
    }
}

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
    open: OpenCell,
}

#[derive(Debug, Default)]
struct ScenarioCell {
    due: Count,
    started: Count,
    dropped: [Count; DropReason::COUNT],
    cancelled: Count,
    iterations: Outcomes,
    open: OpenCell,
    step_errors: Reasons,
    undone: Count,
    delayed_iterations: DelayedCell,
    absent: Count,
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

#[derive(Debug, Default)]
struct OwnCell {
    counter: Float,
    histogram: Lazy,
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

    /// A request begins, or one that had begun is over.
    #[inline]
    pub fn request_open(&self, step: StepId, begins: bool) {
        self.steps[step.index()].get_or_init(Box::default).open.step(begins);
    }

    /// An iteration begins, or one that had begun is over.
    pub fn iteration_open(&self, scenario: ScenarioId, begins: bool) {
        self.scenarios[scenario.index()].open.step(begins);
    }

    /// A group begins, or one that had begun is over.
    pub fn group_open(&self, group: GroupId, begins: bool) {
        self.open_groups[group.index()].step(begins);
    }

    /// Records one sample of a step.
    #[inline]
    pub fn sample(&self, step: StepId, sample: &Sample) {
        let cell = self.steps[step.index()].get_or_init(Box::default);
        cell.response.record(&self.shapes.response[step.index()], sample.outcome, sample.response);
        if sample.service > 0 {
            cell.service.record(&self.shapes.service[step.index()], sample.outcome, sample.service);
        }
        if let Some(reason) = sample.reason {
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
        let i = scenario.index();
        self.scenarios[i].delayed_iterations.record(&self.shapes.iteration[i], outcome, nanoseconds, delay);
    }

    /// Closed users were wanted, together for so many nanoseconds. To be called before [`Set::absent`].
    pub fn wanted(&self, scenario: ScenarioId, nanoseconds: u64) {
        self.scenarios[scenario.index()].wanted.add(nanoseconds);
    }

    /// Closed users that the load wanted were gone before their time, together for so many nanoseconds.
    pub fn absent(&self, scenario: ScenarioId, nanoseconds: u64) {
        self.scenarios[scenario.index()].absent.add(nanoseconds);
    }

    /// The worker stood still, and held closed users up for so many nanoseconds together.
    pub fn held(&self, scenario: ScenarioId, nanoseconds: u64) {
        self.scenarios[scenario.index()].held.add(nanoseconds);
    }

    /// Closed users were held back because their target was away, together for so many nanoseconds.
    pub fn held_back(&self, scenario: ScenarioId, nanoseconds: u64) {
        self.scenarios[scenario.index()].held_back.add(nanoseconds);
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
        self.message_cell(message).delayed(&self.shapes.message[message.index()], nanoseconds, delay);
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

    /// Counts the listeners of a step that opens sessions.
    pub fn listeners(&self, step: StepId, presence: &Presence) {
        self.session_cell(step).listeners(presence);
    }

    /// Adds to a counter of the profile's own. Counters only grow: what is negative or no number is left out.
    pub fn count(&self, metric: OwnId, scenario: ScenarioId, n: f64) {
        if n > 0.0 && n.is_finite() {
            self.own(metric, scenario).counter.add(n);
        }
    }

    /// Observes a value: a histogram of the profile's own takes it up, a gauge becomes it. NaN is left out.
    pub fn observe(&self, metric: OwnId, scenario: ScenarioId, value: f64) {
        if matches!(self.layout.own[metric.index()].kind, OwnKind::Gauge) {
            self.gauges.set_own(metric, scenario, value);
        } else {
            let buckets = &self.shapes.own[metric.index()];
            self.own(metric, scenario).histogram.get(buckets).record(buckets, value);
        }
    }

    fn own(&self, metric: OwnId, scenario: ScenarioId) -> &OwnCell {
        self.own[metric.index() * self.layout.scenarios.len() + scenario.index()].get_or_init(Box::default)
    }
}
