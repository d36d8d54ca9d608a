//! Where a user's flow reports to: the sets of the phases that its requests are due in.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::base::trace::TraceId;
use crate::base::units::nanos;
use crate::base::{Outcome, Protocol, Reason};
use crate::expr::{Explanation, ListId, Value};
use crate::flow::{Ears, Failure, Finding, Lack, Sink, Stretch, Work};
use crate::measure::exemplars::Exemplar;
use crate::measure::process::unix_time;
use crate::measure::{
    CheckId, ConnectTimes, GroupId, MessageId, Numbered, OwnId, Passed, PhaseId, Presence, Sample, Set, StepId, Transfer,
};

use super::activation::Live;
use super::examples::ErrorExample;
use super::gaps::Gaps;
use super::place::{Place, open};
use super::pool::{Away, Pool};
use super::report::Report;
use super::user::Slot;

/// Lags of one iteration that are kept apart.
const LAGS: usize = 16;
/// A lag of so few nanoseconds is none: what lies between two iterations of a closed user takes up to that, and no histogram shows it
/// in a time above 2 ms.
const LEAST_LAG: u64 = 10_000;

/// One for each user. While its user does something, it holds the activation in which that began, so that a phase
/// isn't taken for drained; while the user thinks or is held at the gate, it holds none.
pub(super) struct UserSink {
    pool: Rc<Pool>,
    slot: Rc<Slot>,
    attached: RefCell<Option<Rc<Live>>>,
    /// The activation in which the iteration began.
    home: RefCell<Option<Rc<Live>>>,
    /// When the iteration's arrival was due. What is due just then belongs to the arrival's phase: the arrival that is due
    /// exactly at a phase's end counts for that phase, and not for the one that begins there.
    arrival: Cell<Option<Instant>>,
    turned_away: Cell<bool>,
    /// When the iteration, or a step behind a pause, began later than it was due, and by how much; what a pause of the worker is
    /// to blame for is not among it.
    lags: RefCell<Gaps<LAGS>>,
    /// The iteration lasts until the user is asked to end, and nobody waits for it until then.
    open_ended: Cell<bool>,
    /// What it should listen to, and can't.
    away: Away,
}

impl UserSink {
    pub fn new(pool: Rc<Pool>, slot: Rc<Slot>) -> Self {
        Self {
            pool,
            slot,
            attached: RefCell::default(),
            home: RefCell::default(),
            arrival: Cell::new(None),
            turned_away: Cell::new(false),
            lags: RefCell::default(),
            open_ended: Cell::new(false),
            away: Away::default(),
        }
    }

    /// An iteration begins in an activation that counts the user as attached already.
    pub fn adopt(&self, live: Rc<Live>, arrival: Option<Instant>) {
        self.detach();
        self.arrival.set(arrival);
        self.lags.borrow_mut().clear();
        self.away.next_iteration();
        *self.attached.borrow_mut() = Some(live.clone());
        *self.home.borrow_mut() = Some(live);
    }

    /// What was due at `since` began only at `began`, and the generator is to blame for `lag` of that. What was due with it is longer
    /// by that.
    pub fn lagged(&self, since: Instant, began: Instant, lag: Duration) {
        let own = nanos(lag).saturating_sub(self.delay(since, began));
        if own > LEAST_LAG {
            self.lags.borrow_mut().add(since, began, own);
        }
    }

    /// What was due then waited in a queue, for a user or a shared connection, until `until`. Answers how much of that a pause of the
    /// generator left behind.
    pub fn queued(&self, due: Instant, until: Instant) -> Duration {
        let ctx = &self.pool.ctx;
        ctx.shared.backlog(self.pool.scenario).waited(due, until, |from, to| ctx.paused_within(from, to))
    }

    /// By how much the generator may have made longer what lasted from `from` to `to`, in nanoseconds: it began late, or the worker
    /// stood still.
    pub fn delay(&self, from: Instant, to: Instant) -> u64 {
        self.pool.ctx.paused_within(from, to) + self.lags.borrow().within(from, to)
    }

    /// Whether the last that the iteration did with connections was to fail to open one; asked once, when it ends.
    pub fn was_turned_away(&self) -> bool {
        self.turned_away.take()
    }

    /// The iteration ends. Answers whether it was counted as under way until now.
    pub fn iteration_ends(&self) -> bool {
        !self.open_ended.take()
    }

    /// The user does nothing for now.
    pub fn detach(&self) {
        if let Some(live) = self.attached.borrow_mut().take() {
            live.detach();
            if live.is_over() {
                self.pool.ctx.check();
            }
        }
    }

    /// The user goes on in the present activation of its scenario.
    fn attach(&self) {
        self.attach_to(self.pool.live_at(Instant::now()));
    }

    /// It goes on with what was due at `due`: the record of that phase waits for it, though the phase may be over by now.
    fn attach_at(&self, due: Instant) {
        let of_due = if self.is_of_arrival(due) { self.home.borrow().clone() } else { self.pool.live_at(due) };
        let open = of_due.filter(|live| !live.is_closed());
        self.attach_to(open.or_else(|| self.pool.live_at(Instant::now())));
    }

    fn attach_to(&self, live: Option<Rc<Live>>) {
        if self.open_ended.take()
            && let Some(home) = &*self.home.borrow()
        {
            home.iteration_begins();
        }
        let mut attached = self.attached.borrow_mut();
        let same = match (&*attached, &live) {
            (Some(held), Some(live)) => Rc::ptr_eq(held, live),
            _ => false,
        };
        if same {
            return;
        }
        if let Some(live) = &live {
            live.attach();
        }
        let before = std::mem::replace(&mut *attached, live);
        drop(attached);
        if let Some(before) = before {
            before.detach();
            if before.is_over() {
                self.pool.ctx.check();
            }
        }
    }

    /// Nothing answered to what was due at `due`.
    fn is_away(&self, step: StepId, due: Instant, failure: &Failure<'_>) {
        let (ctx, now) = (&self.pool.ctx, Instant::now());
        let paused = |since: Instant| ctx.paused_within(since, now);
        let cause = || failure.words(&ctx.shared.plan.secrets);
        if let Some(reason) = ctx.shared.reach.fails((self.pool.scenario, step), (due, now), paused, cause) {
            ctx.report(Report::Abort(reason));
        }
    }

    /// Whether this was due with the iteration's arrival, and not after something that came of it.
    fn is_of_arrival(&self, due: Instant) -> bool {
        self.arrival.get() == Some(due)
    }

    /// The activation that something due at `due` belongs to, and in which of its sets it counts.
    fn place_of(&self, due: Instant) -> Option<(Rc<Live>, Place)> {
        // Of an arrival, or its scenario has no phase any more: the one in which the iteration began.
        let of_arrival = self.is_of_arrival(due);
        let home = self.home.borrow();
        let of_due = self.pool.live_at(due).filter(|_| !of_arrival);
        let live = of_due.or_else(|| home.clone())?;
        // What is held over its phase's drain counts where it ends.
        let outlasted = live.is_closed();
        // The record of the phase that it was due in may be forgotten already.
        let forgotten = || due < live.activation.start() && home.as_ref().is_some_and(|home| home.is_closed());
        if outlasted || (!of_arrival && forgotten()) {
            return Some((self.pool.record_of(live), Place::Early));
        }
        let late = !of_arrival && live.activation.end.get().is_some_and(|end| due >= *end);
        Some((live, if late { Place::Late } else { Place::InTime }))
    }

    fn live_of(&self, due: Instant) -> Option<Rc<Live>> {
        self.place_of(due).map(|(live, _)| live)
    }

    /// Records into the set that something due at `due` belongs to.
    fn record(&self, due: Instant, record: impl FnOnce(&Set)) {
        if let Some((live, place)) = self.place_of(due) {
            record(place.of(&live.set));
        }
    }

    /// Whether the user is at its start, which the next phase waits for.
    fn is_kept_at_start(&self) -> bool {
        self.slot.is_starting() && self.pool.is_kept(&self.slot)
    }

    /// How long the worker stood still in the last `nanoseconds` before `at`.
    fn paused_for(&self, nanoseconds: u64, at: Instant) -> u64 {
        at.checked_sub(Duration::from_nanos(nanoseconds)).map_or(0, |since| self.pool.ctx.paused_within(since, at))
    }

    /// So many connections more are open (or fewer, if negative).
    fn opened(&self, protocol: Protocol, by: i64) {
        self.pool.ctx.gauges.add_connections(self.pool.id(), protocol, by);
    }
}

impl Drop for UserSink {
    fn drop(&mut self) {
        self.pool.nobody_away(&self.away);
        self.detach();
    }
}

impl Sink for UserSink {
    type Begun = Option<(Rc<Live>, Place)>;

    fn sample(&self, step: StepId, due: Instant, sample: &Sample) {
        let ctx = &self.pool.ctx;
        if ctx.shared.reach.sampled(ctx.worker, self.pool.scenario, step, due, sample) {
            ctx.target_is_back(self.pool.scenario);
        }
        self.record(due, |set| {
            set.sample(step, sample);
            let ended = due + Duration::from_nanos(sample.response);
            let sent = ended.checked_sub(Duration::from_nanos(sample.service)).unwrap_or(due);
            if self.pool.connections.is_some() {
                self.lagged(due, sent, self.queued(due, sent));
            }
            let delay = self.delay(due, ended);
            if delay > 0 {
                set.delayed_sample(step, sample, delay, self.pool.ctx.paused_within(sent, ended));
            }
        });
    }

    fn transfer(&self, step: StepId, due: Instant, transfer: &Transfer) {
        self.record(due, |set| set.transfer(step, transfer));
    }

    fn lost(&self, step: StepId, due: Instant) {
        self.record(due, |set| set.lost(step));
    }

    fn traced(&self, step: StepId, due: Instant, sample: &Sample, trace: TraceId) {
        let Some(live) = self.live_of(due) else { return };
        let exemplar = Exemplar { trace, value: sample.response as f64 / 1e9, at: unix_time(SystemTime::now()) };
        self.pool.ctx.shared.store.exemplars.offer(PhaseId::at(live.activation.phase), step, sample.outcome, exemplar);
    }

    fn check(&self, check: CheckId, due: Instant, passed: bool) {
        self.record(due, |set| set.check(check, passed));
    }

    fn group(&self, group: GroupId, at: Instant, ended: Instant, nanoseconds: u64, outcome: Outcome) {
        self.record(at, |set| {
            set.group(group, nanoseconds, outcome);
            set.delayed_group(group, nanoseconds, outcome, self.delay(at, ended));
        });
    }

    fn connected(&self, protocol: Protocol, at: Instant, opened: Instant, times: &ConnectTimes) {
        self.turned_away.set(false);
        self.record(at, |set| {
            set.connected(self.pool.id(), protocol, times);
            let paused = self.paused_for(times.total, opened);
            set.delayed_connect(self.pool.id(), protocol, Outcome::Ok, times.total, paused);
        });
        self.opened(protocol, 1);
    }

    fn undone(&self, at: Instant, checks: &[CheckId]) {
        self.record(at, |set| set.undone(self.pool.id(), checks));
    }

    fn begins(&self, work: Work, due: Instant) -> Self::Begun {
        let begun = self.place_of(due);
        if let Some((live, place)) = &begun {
            open(place.of(&live.set), work, true);
        }
        begun
    }

    fn ends(&self, work: Work, due: Instant, begun: Self::Begun) {
        let Some((live, place)) = self.place_of(due) else { return };
        let set = place.of(&live.set);
        if let Some((before, then)) = begun.filter(|(before, then)| !Rc::ptr_eq(before, &live) || *then != place)
            && !before.is_closed()
        {
            // It began just past an edge that nobody had come to yet.
            open(then.of(&before.set), work, false);
            open(set, work, true);
        }
        open(set, work, false);
    }

    fn unconnected(&self, protocol: Protocol, at: Instant, reason: Option<Reason>, lasted: Duration) {
        self.turned_away.set(reason.is_some());
        self.record(at, |set| {
            let lasted = nanos(lasted);
            let outcome = set.unconnected(self.pool.id(), protocol, reason, lasted);
            let ended = if reason.is_none() { at + Duration::from_nanos(lasted) } else { at };
            set.delayed_connect(self.pool.id(), protocol, outcome, lasted, self.paused_for(lasted, ended));
        });
    }

    fn disconnected(&self, protocol: Protocol, at: Instant, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.record(at, |set| set.disconnected(self.pool.id(), protocol, reason));
        }
        self.opened(protocol, -1);
    }

    fn session(&self, step: StepId, at: Instant, lasted: Duration, outcome: Outcome) {
        self.record(at, |set| {
            set.session(step, nanos(lasted), outcome);
            let delay = at.checked_sub(lasted).map_or(0, |since| self.delay(since, at));
            set.delayed_session(step, nanos(lasted), outcome, delay);
        });
        self.pool.listener_left(step, at);
    }

    fn listener_came(&self, step: StepId, at: Instant) {
        self.pool.listener_came(step, at, &self.away);
    }

    fn listener_refused(&self, step: StepId, due: Instant, at: Instant) {
        if self.arrival.get().is_some() {
            self.record(due, |set| set.listeners(step, &Presence { refused: 1, ..Presence::default() }));
        } else {
            self.pool.listener_refused(step, due, at, &self.away);
        }
    }

    fn passed(&self, step: StepId, at: Instant, passed: &Passed) {
        let ctx = &self.pool.ctx;
        if passed.received > 0 && ctx.shared.reach.answers(ctx.worker, self.pool.scenario, step, at) {
            ctx.target_is_back(self.pool.scenario);
        }
        self.record(at, |set| set.passed(step, passed));
    }

    fn latency(&self, message: MessageId, at: Instant, nanoseconds: u64, skewed: bool) {
        self.record(at, |set| {
            set.latency(message, nanoseconds, skewed);
            // One that came while the worker stood still was read late.
            set.delayed_latency(message, nanoseconds, self.paused_for(nanoseconds, at));
        });
    }

    fn numbered(&self, message: MessageId, at: Instant, numbered: &Numbered) {
        self.record(at, |set| set.numbered(message, numbered));
    }

    fn missed(&self, message: MessageId, lack: &Lack) {
        if !self.pool.find(message, &Finding::Missed(*lack)) {
            self.numbered(message, lack.last, &Numbered { missed: lack.count, ..Numbered::default() });
        }
    }

    fn listened(&self, message: MessageId, stretch: &Stretch) {
        if !self.pool.find(message, &Finding::Listened(*stretch)) {
            let length = nanos(stretch.to.saturating_duration_since(stretch.from));
            self.record(stretch.from, |set| set.listened(message, length, stretch.silent));
        }
    }

    fn follow(&self, ears: &Rc<Ears>) {
        self.pool.follow(ears);
    }

    fn unfollow(&self, ears: &Rc<Ears>) {
        self.pool.unfollow(ears);
    }

    fn count(&self, metric: OwnId, by: f64, at: Instant) {
        self.record(at, |set| set.count(metric, self.pool.id(), by));
    }

    fn observe(&self, metric: OwnId, value: f64, at: Instant) {
        self.record(at, |set| set.observe(metric, self.pool.id(), value));
    }

    fn remember(&self, list: ListId, value: Value) {
        let ctx = &self.pool.ctx;
        // A list that is full says so itself, and the run's verdict with it.
        ctx.shared.lists.append(ctx.worker, list, value);
    }

    fn failure(&self, step: StepId, due: Instant, failure: &Failure<'_>) {
        if failure.reason.is_away() {
            self.is_away(step, due, failure);
        }
        let Some(live) = self.live_of(due) else { return };
        let Some(wanted) = live.errors.wants(step, failure.reason, Instant::now()) else { return };
        let shared = &self.pool.ctx.shared;
        let example = ErrorExample::of(&shared.plan, PhaseId::at(live.activation.phase), step, failure);
        shared.examples.take(&shared.plan, example, wanted);
    }

    /// It has no sample of whose errors a report could show examples, so the log is where it is told.
    fn broken(&self, at: Instant, reason: Reason, detail: &str) {
        let Some(live) = self.live_of(at) else { return };
        live.set.step_error(self.pool.id(), reason);
        if live.errors.wants_words(detail, Instant::now()) {
            let plan = &self.pool.ctx.shared.plan;
            let phase = plan.layout.phases.get(live.activation.phase).map_or("", String::as_str);
            tracing::warn!(profile = %plan.name, phase, detail, "a step could not be done");
        }
    }

    fn unheld(&self, check: CheckId, due: Instant, how: &dyn Fn() -> Explanation) {
        let Some(live) = self.live_of(due) else { return };
        if !live.errors.wants_check(check, Instant::now()) {
            return;
        }
        let plan = &self.pool.ctx.shared.plan;
        let check = plan.layout.checks.get(check.index()).map_or("", |check| check.name.as_str());
        let phase = plan.layout.phases.get(live.activation.phase).map_or("", String::as_str);
        let how = how();
        let detail = how.show(|text| plan.secrets.redact(text).into_owned());
        if how.is_unclear() {
            tracing::info!(profile = %plan.name, phase, check, detail, "a check could not be evaluated");
        } else {
            tracing::info!(profile = %plan.name, phase, check, detail, "a check failed");
        }
    }

    async fn sleep_until(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        self.detach();
        self.pool.ctx.timer.sleep_until(at).await;
        let lag = Instant::now().saturating_duration_since(at);
        // An iteration whose last step this is doesn't end while the load stands still, when no phase could count it.
        if self.pool.ctx.gate.is_closed() && !self.pool.is_unwanted(&self.slot) && !self.is_kept_at_start() {
            self.pool.ctx.gate.opened().await;
        }
        self.attach();
        self.record(at, |set| set.start_lag(self.pool.id(), nanos(lag)));
        self.lagged(at, at + lag, lag);
    }

    async fn asked_to_end(&self) {
        self.detach();
        if !self.open_ended.replace(true)
            && let Some(home) = &*self.home.borrow()
        {
            home.iteration_ends();
        }
        self.pool.ctx.check();
        while !self.pool.is_unwanted(&self.slot) {
            self.slot.changed.notified().await;
        }
        self.attach();
    }

    fn may_knock(&self) -> bool {
        // One request for each turn.
        !self.pool.is_held_back() || self.slot.probe.take()
    }

    fn is_asked_to_end(&self) -> bool {
        self.pool.is_unwanted(&self.slot)
    }

    async fn gate(&self, due: Instant) {
        // Who is to end its iteration is let through, for the run waits for that; and so is what was due with an arrival, which belongs
        // to the phase that is over.
        if self.pool.ctx.gate.is_closed()
            && !self.is_of_arrival(due)
            && !self.pool.is_unwanted(&self.slot)
            && !self.is_kept_at_start()
        {
            self.detach();
            self.pool.ctx.gate.opened().await;
        }
        self.attach_at(due);
    }
}
