//! Where a user's flow reports to: the sets of the phases that its requests are due in.

mod attached;
mod delays;
mod opening;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;

use crate::base::trace::TraceId;
use crate::base::units::nanos;
use crate::base::{Outcome, Protocol, Reason};
use crate::expr::{Explanation, ListId, Value};
use crate::flow::{Ears, Failure, Finding, Lack, Sink, Stretch, Work};
use crate::measure::exemplars::Exemplar;
use crate::measure::process::unix_time;
use crate::measure::{
    CheckId, ConnectTimes, GroupId, MessageId, Numbered, OwnId, Passed, PhaseId, Sample, Set, StepId, Transfer,
};
use crate::protocol::Sent;

use self::opening::BeingOpened;
use super::examples::{ErrorExample, log_broken, log_check};
use super::gaps::Gaps;
use super::phase_run::PhaseRecorder;
use super::place::{Place, Standing, open};
use super::pool::Pool;
use super::report::Report;
use super::slot::{Opening, Slot};
use crate::protocol::Knock;

/// Lags of one iteration that are kept apart.
const LAGS: usize = 16;
/// What is read within so many nanoseconds after a pause may have come during it; later reads came after it.
const BEHIND: u64 = 1_000_000_000;
/// One for each user. While its user does something, it holds the phase run in which that began, so that a phase
/// isn't taken for drained; while the user thinks or is held at the gate, it holds none.
pub(super) struct UserSink {
    pool: Rc<Pool>,
    slot: Rc<Slot>,
    attached: RefCell<Option<Rc<PhaseRecorder>>>,
    /// The phase run in which the iteration began.
    home: RefCell<Option<Rc<PhaseRecorder>>>,
    /// When the iteration's arrival was due. What is due just then belongs to the arrival's phase: the arrival that is due
    /// exactly at a phase's end counts for that phase, and not for the one that begins there.
    arrival: Cell<Option<Instant>>,
    turned_away: Cell<Option<Instant>>,
    /// The connection that the user opens, and those of them that the records know of.
    knock: OnceCell<Knock>,
    opening: RefCell<Vec<BeingOpened>>,
    /// When the iteration, or a step behind a pause, began later than it was due, and by how much; what a pause of the worker is
    /// to blame for is not among it.
    lags: RefCell<Gaps<LAGS>>,
    /// The iteration lasts until the user is asked to end, and nobody waits for it until then.
    open_ended: Cell<bool>,
}

impl UserSink {
    pub fn new(pool: Rc<Pool>, slot: Rc<Slot>) -> Self {
        Self {
            pool,
            slot,
            attached: RefCell::default(),
            home: RefCell::default(),
            arrival: Cell::new(None),
            turned_away: Cell::new(None),
            knock: OnceCell::new(),
            opening: RefCell::default(),
            lags: RefCell::default(),
            open_ended: Cell::new(false),
        }
    }

    /// An iteration begins in a phase run that counts the user as attached already.
    pub fn adopt(&self, recorder: Rc<PhaseRecorder>, arrival: Option<Instant>) {
        self.detach();
        self.arrival.set(arrival);
        self.lags.borrow_mut().clear();
        self.turned_away.set(None);
        self.slot.away.next_iteration();
        *self.attached.borrow_mut() = Some(recorder.clone());
        *self.home.borrow_mut() = Some(recorder);
    }

    /// The iteration ends. Answers whether it was counted as under way until now.
    pub fn iteration_ends(&self) -> bool {
        !self.open_ended.take()
    }

    /// Nothing answered to what was due at `due`.
    fn is_away(&self, step: StepId, due: Instant, failure: &Failure<'_>) {
        let (ctx, now) = (&self.pool.ctx, Instant::now());
        let (paused, cause) = (|since| ctx.paused_within(since, now), || failure.words(&ctx.shared.plan.secrets));
        if let Some(reason) = ctx.shared.reach.fails((self.pool.scenario, step), (due, now), paused, cause) {
            ctx.report(Report::Abort(reason));
        }
    }

    /// Whether this was due with the iteration's arrival, and not after something that came of it. All that comes of an arrival that is due
    /// exactly at a phase's end belongs to that phase, for as long as its record is open.
    fn is_of_arrival(&self, due: Instant) -> bool {
        let Some(arrival) = self.arrival.get() else { return false };
        let of_the_end =
            |home: &PhaseRecorder| home.phase_run.end.get().is_some_and(|end| arrival >= *end) && !home.was_closed_by(due);
        arrival == due || self.home.borrow().as_deref().is_some_and(of_the_end)
    }

    /// The phase run that something due at `due` belongs to, and in which of its sets it counts.
    fn place_of(&self, due: Instant) -> Option<(Rc<PhaseRecorder>, Place)> {
        // Of an arrival, or its scenario has no phase any more: the one in which the iteration began.
        let of_arrival = self.is_of_arrival(due);
        let home = self.home.borrow();
        let of_due = self.pool.live_at(due).filter(|_| !of_arrival);
        let recorder = of_due.or_else(|| home.clone())?;
        // What is held over its phase's drain counts where it ends.
        let outlasted = recorder.is_closed();
        // The record of the phase that it was due in may be forgotten already.
        let forgotten = || due < recorder.phase_run.start() && home.as_ref().is_some_and(|home| home.is_closed());
        if outlasted || (!of_arrival && forgotten()) {
            return Some(self.pool.early(recorder));
        }
        let late = !of_arrival && recorder.phase_run.end.get().is_some_and(|end| due >= *end);
        Some((recorder, if late { Place::Late } else { Place::InTime }))
    }

    /// What began to be recorded so, and was due at `due`, is over.
    fn moves(&self, due: Instant, begun: Option<Standing>, step: impl Fn(&Set, u64, bool)) {
        let Some((recorder, place)) = self.place_of(due) else { return };
        let set = place.of(&recorder.set);
        let since = begun.as_ref().map_or(0, |begun| begun.2);
        if let Some((before, then, _)) = begun.filter(|(before, then, _)| !Rc::ptr_eq(before, &recorder) || *then != place)
            && !before.is_closed()
        {
            // It began just past an edge that nobody had come to yet.
            step(then.of(&before.set), since, false);
            step(set, since, true);
        }
        step(set, since, false);
    }

    fn recorder_of(&self, due: Instant) -> Option<Rc<PhaseRecorder>> {
        self.place_of(due).map(|(recorder, _)| recorder)
    }

    /// Records into the set that something due at `due` belongs to.
    fn record(&self, due: Instant, record: impl FnOnce(&Set)) {
        if let Some((recorder, place)) = self.place_of(due) {
            record(place.of(&recorder.set));
        }
    }

    /// Whether the user is at its start, which the next phase waits for.
    fn is_kept_at_start(&self) -> bool {
        self.slot.is_starting() && self.pool.is_kept(&self.slot)
    }

    /// Waits until the user is to end.
    async fn unwanted(&self) {
        while !self.pool.is_unwanted(&self.slot) {
            self.slot.changed.notified().await;
        }
    }

    /// How long the worker stood still in the last `nanoseconds` before `at`.
    fn paused_for(&self, nanoseconds: u64, at: Instant) -> u64 {
        at.checked_sub(Duration::from_nanos(nanoseconds)).map_or(0, |since| self.pool.ctx.paused_within(since, at))
    }

    /// The name of the phase run's phase.
    fn phase_of(&self, recorder: &PhaseRecorder) -> &str {
        let phases = &self.pool.ctx.shared.plan.layout.phases;
        phases.get(recorder.phase_run.phase).map_or("", String::as_str)
    }

    /// So many connections more are open (or fewer, if negative).
    fn opened(&self, protocol: Protocol, by: i64) {
        self.pool.ctx.gauges.add_connections(self.pool.id(), protocol, by);
    }
}

impl Drop for UserSink {
    fn drop(&mut self) {
        self.pool.nobody_away(&self.slot.away);
        let left: Vec<Instant> = self.opening.borrow().iter().map(BeingOpened::began).collect();
        left.into_iter().for_each(|began| self.no_longer_opens(began));
        self.detach();
    }
}

impl Sink for UserSink {
    type Begun = Option<Standing>;

    fn sample(&self, step: StepId, due: Instant, sample: &Sample) {
        if sample.outcome == Outcome::Ok || sample.status > 0 {
            self.turned_away.set(None);
        }
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

    fn credentials(&self, sent: &Sent, answer: &HeaderMap) {
        self.pool.ctx.overheard.credentials(&self.pool.ctx.shared.plan.secrets, sent, answer);
    }

    fn secrets(&self, found: Vec<String>) {
        self.pool.ctx.shared.plan.secrets.learn(found);
    }

    fn traced(&self, step: StepId, due: Instant, sample: &Sample, trace: TraceId) {
        let Some(recorder) = self.recorder_of(due) else { return };
        let exemplar = Exemplar { trace, value: sample.response as f64 / 1e9, at: unix_time(SystemTime::now()) };
        self.pool.ctx.shared.store.exemplars.offer(PhaseId::at(recorder.phase_run.phase), step, sample.outcome, exemplar);
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
        self.turned_away.set(None);
        self.no_longer_opens(at);
        self.record(at, |set| {
            set.connected(self.pool.id(), protocol, times);
            let paused = self.paused_for(times.total, opened);
            set.delayed_connect(self.pool.id(), protocol, Outcome::Ok, times.total, paused);
        });
        self.pool.carries(protocol, at, opened);
        self.opened(protocol, 1);
    }

    fn stood(&self, from: Instant, to: Instant) -> Duration {
        Duration::from_nanos(self.delay(from, to))
    }

    fn undone(&self, at: Instant, checks: &[CheckId]) {
        self.record(at, |set| set.undone(self.pool.id(), checks));
    }

    fn begins(&self, work: Work, due: Instant) -> Self::Begun {
        self.slot.asks(work, due);
        let (recorder, place) = self.place_of(due)?;
        let since = self.counts_since(due);
        open(place.of(&recorder.set), self.pool.id(), work, since, true);
        Some((recorder, place, since))
    }

    fn ends(&self, work: Work, due: Instant, begun: Self::Begun) {
        if self.slot.is_answered(work, due) {
            self.pool.goes_on(&self.slot, Instant::now());
        }
        self.moves(due, begun, |set, since, begins| open(set, self.pool.id(), work, since, begins));
    }

    fn unconnected(&self, protocol: Protocol, at: Instant, reason: Option<Reason>, lasted: Duration) {
        self.turned_away.set(reason.map(|_| Instant::now()));
        self.no_longer_opens(at);
        self.record(at, |set| {
            let paused = self.pool.ctx.paused_within(at, at + lasted);
            let lasted = nanos(lasted);
            let outcome = set.unconnected(self.pool.id(), protocol, reason, lasted);
            set.delayed_connect(self.pool.id(), protocol, outcome, lasted, paused);
        });
    }

    fn disconnected(&self, protocol: Protocol, at: Instant, reason: Option<Reason>) {
        if let Some(reason) = reason {
            if matches!(reason, Reason::Closed | Reason::Reset) {
                self.turned_away.set(Some(Instant::now()));
            }
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

    fn listener_due(&self, step: StepId, due: Instant) {
        // How long the session of an arrival would last isn't known.
        let of_arrival = self.arrival.get().is_some();
        self.slot.opening.set(Some(Opening { step, due, of_arrival, given_up: false }));
    }

    fn listener_came(&self, step: StepId, at: Instant) {
        self.pool.listener_came(&self.slot, step, at, |due| self.delay(due, at));
    }

    fn listener_refused(&self, step: StepId, due: Instant, at: Instant) {
        self.refused(step, due, at);
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
        self.record(at, |set| {
            set.numbered(message, numbered);
            if numbered.received > 0 && self.paused_for(BEHIND, at) > 0 {
                set.behind(message);
            }
        });
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
        let Some(recorder) = self.recorder_of(due) else { return };
        let Some(wanted) = recorder.errors.wants(step, failure.reason, Instant::now()) else { return };
        let shared = &self.pool.ctx.shared;
        let example = ErrorExample::of(&shared.plan, PhaseId::at(recorder.phase_run.phase), step, failure);
        shared.examples.take(&shared.plan, example, wanted);
    }

    /// It has no sample of whose errors a report could show examples, so it is reported in the log.
    fn broken(&self, at: Instant, reason: Reason, detail: &str) {
        let Some((recorder, place)) = self.place_of(at) else { return };
        place.of(&recorder.set).step_error(self.pool.id(), reason);
        log_broken(&self.pool.ctx.shared.plan, self.phase_of(&recorder), detail, &recorder.errors);
    }

    fn unheld(&self, check: CheckId, due: Instant, how: &dyn Fn() -> Explanation) {
        let Some(recorder) = self.recorder_of(due) else { return };
        if recorder.errors.wants_check(check, Instant::now()) {
            log_check(&self.pool.ctx.shared.plan, self.phase_of(&recorder), check, &how());
        }
    }

    async fn sleep_until(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        self.detach();
        if self.slot.is_starting() {
            // Nobody waits for the start of a user that is to go.
            tokio::select! {
                () = self.pool.ctx.timer.sleep_until(at) => {}
                () = self.unwanted() => {}
            }
        } else {
            self.pool.ctx.timer.sleep_until(at).await;
        }
        let lag = Instant::now().saturating_duration_since(at);
        // An iteration whose last step this is doesn't end while the load stands still, when no phase could count it.
        if self.pool.ctx.gate.holds() && !self.pool.is_unwanted(&self.slot) && !self.is_kept_at_start() {
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
        self.unwanted().await;
        self.attach();
    }

    fn comes_to(&self, step: u32) {
        self.slot.step.set(step);
    }

    fn is_over(&self) -> bool {
        // An iteration under way comes to its end. A start that nobody needs any more has none.
        self.slot.is_starting() && self.pool.is_unwanted(&self.slot)
    }

    fn may_knock(&self) -> bool {
        // One request for each turn.
        !self.pool.is_held_back() || self.slot.probe.take()
    }

    fn hung_up(&self) {
        self.turned_away.set(Some(Instant::now()));
    }

    fn turned_away(&self) -> Option<Instant> {
        self.turned_away.get()
    }

    fn is_asked_to_end(&self) -> bool {
        self.pool.is_unwanted(&self.slot)
    }

    async fn gate(&self, due: Instant) {
        // Who is to end its iteration is let through, for the run waits for that; and so is what was due with an arrival, which belongs
        // to the phase that is over.
        if self.pool.ctx.gate.holds()
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
