//! Where a hook's flow reports to: the one set that it records into.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use tokio::sync::{Notify, watch};

use crate::base::trace::TraceId;
use crate::base::units::nanos;
use crate::base::{Outcome, Protocol, Reason};
use crate::expr::{Cause, Explanation, ListId, Lists, Value};
use crate::flow::{Failure, Sink, Stretch, Work};
use crate::measure::exemplars::Exemplar;
use crate::measure::process::unix_time;
use crate::measure::{
    CheckId, ConnectTimes, GroupId, MessageId, Numbered, OwnId, Passed, PhaseId, Sample, ScenarioId, Set, StepId, Store,
    Transfer, WorkerGauges,
};
use crate::plan::{Hook, HookKind, Plan};
use crate::protocol::Sent;

use super::super::examples::{ErrorExample, Examples, Seen};
use super::super::overheard::Overheard;
use super::super::pulse::Pulse;
use super::{HookOrder, StopRequest};

/// One for each hook; its users, where there are several at once, are in the same task.
pub(super) struct HookSink {
    plan: Arc<Plan>,
    scenario: ScenarioId,
    phase: PhaseId,
    set: Arc<Set>,
    gauges: Arc<WorkerGauges>,
    lists: Arc<Lists>,
    /// The part of the lists that is written here: behind those of the workers.
    writer: usize,
    examples: Rc<Examples>,
    errors: Seen,
    overheard: Overheard,
    wished: watch::Receiver<StopRequest>,
    /// A check that fails ends a set-up.
    checks_end: bool,
    failed: Cell<bool>,
    /// How checks failed, each the first time that it did, or the first that less accounts for.
    unheld: RefCell<Vec<(CheckId, String, Cause)>>,
    pub(super) pulse: Pulse,
    store: Arc<Store>,
    over: Notify,
}

impl HookSink {
    pub fn new(
        order: &HookOrder,
        hook: &Hook,
        set: Arc<Set>,
        examples: Rc<Examples>,
        wished: watch::Receiver<StopRequest>,
    ) -> Self {
        let gauges = order.store.gauges.worker();
        gauges.set_users(hook.scenario, 1);
        Self {
            plan: order.plan.clone(),
            scenario: hook.scenario,
            phase: hook.phase,
            set,
            gauges,
            lists: order.carried.lists.clone(),
            writer: order.options.workers.max(1),
            examples,
            errors: Seen::default(),
            overheard: Overheard::default(),
            wished,
            checks_end: order.kind == HookKind::Setup,
            failed: Cell::new(false),
            unheld: RefCell::default(),
            pulse: Pulse::new(Instant::now()),
            store: order.store.clone(),
            over: Notify::new(),
        }
    }

    /// Whether a check failed that ends the hook.
    pub fn a_check_failed(&self) -> bool {
        self.failed.get()
    }

    /// How checks failed, each as what decides of it.
    pub fn unheld(&self) -> Vec<(CheckId, String)> {
        self.unheld.take().into_iter().map(|(check, how, _)| (check, how)).collect()
    }

    /// What may account for the checks that failed.
    pub fn cause(&self) -> Cause {
        self.unheld.borrow().iter().map(|(.., cause)| *cause).max().unwrap_or_default()
    }
}

impl Sink for HookSink {
    type Begun = ();

    fn sample(&self, step: StepId, _: Instant, sample: &Sample) {
        self.set.sample(step, sample);
    }

    fn transfer(&self, step: StepId, _: Instant, transfer: &Transfer) {
        self.set.transfer(step, transfer);
    }

    fn lost(&self, step: StepId, _: Instant) {
        self.set.lost(step);
    }

    fn credentials(&self, sent: &Sent, answer: &HeaderMap) {
        self.overheard.credentials(&self.plan.secrets, sent, answer);
    }

    fn secrets(&self, found: Vec<String>) {
        self.plan.secrets.learn(found);
    }

    fn traced(&self, step: StepId, _: Instant, sample: &Sample, trace: TraceId) {
        let exemplar = Exemplar { trace, value: sample.response as f64 / 1e9, at: unix_time(SystemTime::now()) };
        self.store.exemplars.offer(self.phase, step, sample.outcome, exemplar);
    }

    fn check(&self, check: CheckId, _: Instant, passed: bool) {
        self.set.check(check, passed);
        if !passed && self.checks_end {
            self.failed.set(true);
            self.over.notify_waiters();
        }
    }

    fn group(&self, group: GroupId, _: Instant, _: Instant, nanoseconds: u64, outcome: Outcome) {
        self.set.group(group, nanoseconds, outcome);
    }

    fn connected(&self, protocol: Protocol, _: Instant, _: Instant, times: &ConnectTimes) {
        self.set.connected(self.scenario, protocol, times);
        self.gauges.add_connections(self.scenario, protocol, 1);
    }

    fn stood(&self, from: Instant, to: Instant) -> Duration {
        self.pulse.beat(to);
        Duration::from_nanos(self.pulse.paused_within(from, to))
    }

    fn undone(&self, _: Instant, checks: &[CheckId]) {
        self.set.undone(self.scenario, checks);
    }

    /// A hook is over when all that it began is.
    fn begins(&self, _: Work, _: Instant) {}

    fn ends(&self, _: Work, _: Instant, (): ()) {}

    fn unconnected(&self, protocol: Protocol, _: Instant, reason: Option<Reason>, lasted: Duration) {
        self.set.unconnected(self.scenario, protocol, reason, nanos(lasted));
    }

    fn disconnected(&self, protocol: Protocol, _: Instant, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.set.disconnected(self.scenario, protocol, reason);
        }
        self.gauges.add_connections(self.scenario, protocol, -1);
    }

    fn session(&self, step: StepId, _: Instant, lasted: Duration, outcome: Outcome) {
        self.set.session(step, nanos(lasted), outcome);
    }

    fn passed(&self, step: StepId, _: Instant, passed: &Passed) {
        self.set.passed(step, passed);
    }

    fn latency(&self, message: MessageId, _: Instant, nanoseconds: u64, skewed: bool) {
        self.set.latency(message, nanoseconds, skewed);
    }

    fn numbered(&self, message: MessageId, _: Instant, numbered: &Numbered) {
        self.set.numbered(message, numbered);
    }

    fn listened(&self, message: MessageId, stretch: &Stretch) {
        self.set.listened(message, nanos(stretch.to.saturating_duration_since(stretch.from)), stretch.silent);
    }

    fn count(&self, metric: OwnId, by: f64, _: Instant) {
        self.set.count(metric, self.scenario, by);
    }

    fn observe(&self, metric: OwnId, value: f64, _: Instant) {
        self.set.observe(metric, self.scenario, value);
    }

    fn remember(&self, list: ListId, value: Value) {
        // A list that is full says so itself, and the run's verdict with it.
        self.lists.append(self.writer, list, value);
    }

    fn failure(&self, step: StepId, _: Instant, failure: &Failure<'_>) {
        let Some(wanted) = self.errors.wants(step, failure.reason, Instant::now()) else { return };
        self.examples.take(&self.plan, ErrorExample::of(&self.plan, self.phase, step, failure), wanted);
    }

    fn broken(&self, _: Instant, reason: Reason, _: &str) {
        // Where the flow doesn't go on, what the hook came to has the words.
        self.set.step_error(self.scenario, reason);
    }

    fn unheld(&self, check: CheckId, _: Instant, how: &dyn Fn() -> Explanation) {
        let mut unheld = self.unheld.borrow_mut();
        let place = unheld.iter().position(|(other, ..)| *other == check);
        if place.is_some_and(|place| unheld[place].2 == Cause::Target) {
            return;
        }
        let how = how();
        match place.map(|place| &mut unheld[place]) {
            Some(first) if first.2 < how.cause() => (first.1, first.2) = (how.show(&self.plan.secrets), how.cause()),
            Some(_) => {}
            None => unheld.push((check, how.show(&self.plan.secrets), how.cause())),
        }
    }

    async fn sleep_until(&self, at: Instant) {
        let mut wished = self.wished.clone();
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            // Whoever is to end doesn't wait for what comes next.
            _ = wished.wait_for(|wish| *wish != StopRequest::GoOn) => {}
            () = self.over.notified() => {}
        }
    }

    async fn asked_to_end(&self) {
        let mut wished = self.wished.clone();
        tokio::select! {
            _ = wished.wait_for(|wish| *wish != StopRequest::GoOn) => {}
            () = self.over.notified() => {}
        }
    }

    fn is_over(&self) -> bool {
        self.failed.get() || *self.wished.borrow() != StopRequest::GoOn
    }

    async fn gate(&self, _: Instant) {}
}
