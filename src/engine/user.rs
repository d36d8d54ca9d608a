//! One virtual user as a task: it asks its pool what to do, iterates, and records how each iteration ended.

use std::cell::{Cell, OnceCell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::base::Outcome;
use crate::base::units::nanos;
use crate::flow::{self, End, RETRY, Sink as _};
use crate::protocol::Knock;

use super::activation::Live;
use super::arrival::Arrival;
use super::aside::{self, Started};
use super::picker::Claim;
use super::pool::{Decision, Pool};
use super::report::Report;
use super::sink::UserSink;

/// An iteration that lasted no longer had no time to do anything, in nanoseconds.
const NO_TIME: u64 = 100_000_000;

/// An iteration this short has hardly waited for anything: without a break a user whose every step fails at once would
/// keep the worker from all others.
const QUICK: Duration = Duration::from_micros(50);

/// What a user's task and its pool both know of it.
pub(super) struct Slot {
    /// Its number among the worker's users of the scenario.
    pub local: u64,
    /// Its number over the whole run and all shards.
    pub number: u64,
    /// Told to ask anew what to do.
    pub changed: Notify,
    /// An arrival that was given to it.
    pub mail: Cell<Option<Arrival>>,
    /// The rows that its next iteration has, of data that can run out.
    pub rows: Cell<Claim>,
    /// Stands among the pool's free users.
    pub idle: Cell<bool>,
    /// Iterates, or is about to.
    pub busy: Cell<bool>,
    /// Waits until its target is back, or for its turn to probe it.
    pub held_back: Cell<bool>,
    /// Its target is away, and its next request looks whether it is back.
    pub probe: Cell<bool>,
    /// When its iteration is cut off, as was last said.
    pub cut_at: Cell<Option<Instant>>,
    /// Has done all that the phase asks of it, and was counted.
    pub finished: Cell<bool>,
    /// While it is at its start: from when it is missing where it is wanted, or until when that was told.
    pub late: Cell<Option<Instant>>,
    /// Iterations over its life.
    iteration: Cell<u64>,
    /// Iterations in the activation with that number.
    done: Cell<(u64, u64)>,
    last_due: Cell<Option<Instant>>,
    /// The last iteration was turned away.
    turned_away: Cell<bool>,
    last_end: Cell<Instant>,
    /// How long the steps would still have waited that an error left out of the last iteration.
    rest: Cell<Duration>,
    /// The connection that it is opening.
    pub knock: OnceCell<Knock>,
    task: RefCell<Option<AbortHandle>>,
}

impl Slot {
    pub fn new(local: u64, number: u64, since: Instant) -> Rc<Self> {
        Rc::new(Self {
            local,
            number,
            changed: Notify::new(),
            mail: Cell::new(None),
            rows: Cell::new(None),
            idle: Cell::new(false),
            busy: Cell::new(false),
            held_back: Cell::new(false),
            probe: Cell::new(false),
            cut_at: Cell::new(None),
            finished: Cell::new(false),
            late: Cell::new(None),
            iteration: Cell::new(0),
            done: Cell::new((0, 0)),
            last_due: Cell::new(None),
            turned_away: Cell::new(false),
            last_end: Cell::new(since),
            rest: Cell::new(Duration::ZERO),
            knock: OnceCell::new(),
            task: RefCell::new(None),
        })
    }

    /// Which iteration it is in, or will be in next; from 0.
    pub fn iteration(&self) -> u64 {
        self.iteration.get()
    }

    /// When its last iteration ended, or since when it is here.
    pub fn last_end(&self) -> Instant {
        self.last_end.get()
    }

    /// Iterations that it began in this activation.
    pub fn done_in(&self, activation: u64) -> u64 {
        let (number, done) = self.done.get();
        if number == activation { done } else { 0 }
    }

    /// When its next iteration is due: at `max(last due + pacing, last end + rest)`, where [`RETRY`] is the least pacing after one
    /// that was turned away, and the rest is what the steps would have waited that an error left out.
    pub fn next_due(&self, pacing: Option<Duration>) -> Instant {
        let end = self.last_end.get() + self.rest.get();
        let least = if self.turned_away.get() { RETRY } else { Duration::ZERO };
        match self.last_due.get() {
            Some(due) => end.max(due + pacing.unwrap_or_default().max(least)),
            None => end,
        }
    }

    /// Whether it has its start to do before it is free.
    pub fn is_starting(&self) -> bool {
        self.late.get().is_some()
    }

    /// Cuts off what it does.
    pub fn abort(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.abort();
        }
    }

    /// It has started: its first iteration is due now.
    pub fn starts_at(&self, at: Instant) {
        self.last_end.set(at);
    }

    /// It was held back until `at`: nothing was due for it before that.
    pub fn resumes_at(&self, at: Instant) {
        self.last_end.set(at);
        self.rest.set(Duration::ZERO);
    }

    fn begins(&self, due: Instant, activation: u64) {
        self.last_due.set(Some(due));
        self.done.set((activation, self.done_in(activation) + 1));
    }

    fn ends(&self, at: Instant, turned_away: bool, rest: Duration) {
        self.last_end.set(at);
        self.rest.set(rest);
        self.turned_away.set(turned_away);
        self.iteration.set(self.iteration.get() + 1);
    }
}

/// Starts a user's task on this worker.
pub(super) fn spawn(pool: Rc<Pool>, slot: Rc<Slot>) {
    // Made here, since a task that is cut off before its first turn is dropped without having run.
    let presence = Presence { pool, slot: slot.clone(), ended_itself: Cell::new(false) };
    let pool = presence.pool.clone();
    // Combined rather than awaited in a block of its own, which would hold the whole of it twice.
    let life = AssertUnwindSafe(live(presence)).catch_unwind().map(move |life| {
        if life.is_err() {
            let scenario = &pool.ctx.shared.plan.scenarios[pool.scenario].name;
            let reason = format!("a user of `{scenario}` panicked; please report this with the lines above");
            pool.ctx.report(Report::Failed { worker: None, reason });
        }
    });
    let task = tokio::task::spawn_local(life);
    *slot.task.borrow_mut() = Some(task.abort_handle());
}

/// Tells the pool when the task ends, however it does.
struct Presence {
    pool: Rc<Pool>,
    slot: Rc<Slot>,
    ended_itself: Cell<bool>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(arrival) = self.slot.mail.take() {
            // Given to it, and never begun.
            if let Some(live) = self.pool.live(arrival.activation) {
                live.set.iteration(self.pool.id(), 0, Outcome::Interrupted);
                live.set.unsent(self.pool.id());
                live.detach();
            } else {
                self.pool.came_too_late();
            }
            self.pool.ended(&self.slot);
        }
        self.pool.gone(&self.slot, self.ended_itself.get());
        self.pool.ctx.check();
    }
}

/// What a user is and has; it closes its connections when it goes, however it does.
struct Person<'a> {
    user: flow::User,
    sink: &'a UserSink,
}

impl Drop for Person<'_> {
    fn drop(&mut self) {
        self.user.close(self.sink);
    }
}

async fn live(presence: Presence) {
    let (pool, slot) = (presence.pool.clone(), presence.slot.clone());
    let scenario = pool.described();
    let sink = UserSink::new(pool.clone(), slot.clone());
    let user = flow::User::new(slot.number, &pool.ctx.shared.users[pool.scenario]);
    // Set here only, and once.
    let _ = slot.knock.set(user.knock());
    let mut person = Person { user, sink: &sink };
    if let Some(connections) = &pool.connections {
        person.user.share(connections.clone());
    }
    if let Some(flow) = &scenario.start {
        // In a box, since few users have one and each does it once.
        match Box::pin(aside::start(flow, &pool, &slot, &mut person.user, &sink)).await {
            Started::Yes => {}
            Started::Unwanted => return,
            Started::Ended => {
                presence.ended_itself.set(true);
                return;
            }
        }
    }
    loop {
        match pool.decide(&slot) {
            Decision::Leave => break,
            Decision::End => {
                presence.ended_itself.set(true);
                break;
            }
            Decision::Wait => {
                pool.ctx.check();
                slot.changed.notified().await;
            }
            Decision::Paused => {
                tokio::select! {
                    () = pool.ctx.gate.opened() => {}
                    () = slot.changed.notified() => {}
                }
            }
            Decision::At(due) => {
                tokio::select! {
                    () = pool.ctx.timer.sleep_until(due) => {}
                    () = slot.changed.notified() => {}
                }
            }
            Decision::Iterate { due, arrival } => {
                let began = Instant::now();
                let Some(iteration) = Iteration::begin(&pool, &slot, &sink, began, due, arrival) else { break };
                let user = &mut person.user;
                user.enter_phase(pool.ctx.phase_name(&iteration.live));
                user.begin_iteration(slot.iteration());
                if !scenario.rows.flow.is_empty() {
                    pool.put_rows(&slot, user);
                }
                let (end, outcome) = flow::carry_out(&scenario.flow, user, due, &sink).await;
                iteration.finish(outcome, person.user.rest());
                match end {
                    End::Completed | End::Failed | End::CutShort => {}
                    End::EndUser => {
                        presence.ended_itself.set(true);
                        break;
                    }
                    End::Abort(reason) => {
                        pool.ctx.report(Report::Abort(reason));
                        presence.ended_itself.set(true);
                        break;
                    }
                }
                // The clock was read a moment ago, when the iteration ended.
                let now = slot.last_end();
                pool.ctx.timer.fire_due(now);
                if now.saturating_duration_since(began) < QUICK {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    if let Some(flow) = &scenario.stop {
        Box::pin(aside::stop(flow, &pool, &slot, &mut person.user, &sink)).await;
    }
}

/// One iteration under way. Dropped before its end, it was cut off.
struct Iteration<'a> {
    pool: &'a Rc<Pool>,
    slot: &'a Slot,
    sink: &'a UserSink,
    live: Rc<Live>,
    due: Instant,
    outcome: Outcome,
    /// It serves an arrival: who has served one is free for the next at once.
    serves: bool,
    rest: Duration,
}

impl<'a> Iteration<'a> {
    fn begin(
        pool: &'a Rc<Pool>,
        slot: &'a Slot,
        sink: &'a UserSink,
        began: Instant,
        due: Instant,
        arrival: Option<Arrival>,
    ) -> Option<Self> {
        let live = match arrival {
            Some(arrival) => pool.live(arrival.activation),
            None => pool.live_at(began).inspect(|live| live.attach()),
        };
        let Some(live) = live else {
            if arrival.is_some() {
                pool.came_too_late();
            }
            pool.ended(slot);
            return None;
        };
        let lag = match arrival {
            Some(arrival) => arrival.lag + began.saturating_duration_since(arrival.handled),
            None => began.saturating_duration_since(due),
        };
        // Whoever was handled later than the pacer came to it waited for a user.
        let waited_until = arrival.filter(|arrival| arrival.handled > due + arrival.lag).map(|arrival| arrival.handled);
        live.set.start_lag(pool.id(), nanos(lag));
        slot.begins(due, live.activation.number);
        live.iteration_begins();
        live.set.iteration_open(pool.id(), true);
        sink.adopt(live.clone(), arrival.map(|arrival| arrival.due));
        let behind = waited_until.map_or(Duration::ZERO, |until| sink.queued(due, until));
        sink.lagged(due, began, lag + behind);
        let (outcome, serves, rest) = (Outcome::Interrupted, arrival.is_some(), Duration::ZERO);
        Some(Self { pool, slot, sink, live, due, outcome, serves, rest })
    }

    fn finish(mut self, outcome: Outcome, rest: Duration) {
        self.outcome = outcome;
        self.rest = if self.serves { Duration::ZERO } else { rest };
    }
}

impl Drop for Iteration<'_> {
    fn drop(&mut self) {
        let end = Instant::now();
        if self.sink.iteration_ends() {
            self.live.iteration_ends();
        }
        // One that outlasted its phase's drain counts where it ends, so that every iteration is in one record.
        let (live, place) = self.pool.record_of(self.live.clone());
        let set = place.of(&live.set);
        let took = nanos(end.saturating_duration_since(self.due));
        set.iteration(self.pool.id(), took, self.outcome);
        let delay = self.sink.delay(self.due, end);
        set.delayed_iteration(self.pool.id(), took, self.outcome, delay);
        // But for the delay it would have had no time to do anything: it was cut off before it could.
        if self.serves && self.outcome == Outcome::Interrupted && delay > 0 && took - delay.min(took) < NO_TIME {
            set.unsent(self.pool.id());
        }
        set.iteration_open(self.pool.id(), false);
        self.slot.ends(end, self.sink.turned_away().is_some(), self.rest);
        self.slot.probe.set(false);
        self.sink.detach();
        self.pool.ended(self.slot);
        self.pool.ctx.check();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_iteration_is_due_by_pacing_by_the_rest_of_the_last_one_and_after_a_while_where_nobody_was_reached() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let slot = Slot::new(0, 0, start);
        assert_eq!(slot.next_due(Some(Duration::from_secs(2))), start);
        slot.begins(ms(10), 0);
        slot.ends(ms(15), false, Duration::ZERO);
        assert_eq!(slot.next_due(None), ms(15));
        assert_eq!(slot.next_due(Some(Duration::from_millis(50))), ms(60));
        slot.ends(ms(15), true, Duration::ZERO);
        assert_eq!(slot.next_due(None), ms(110));
        assert_eq!(slot.next_due(Some(Duration::from_millis(200))), ms(210));
        slot.ends(ms(500), true, Duration::ZERO);
        assert_eq!(slot.next_due(None), ms(500));
        slot.ends(ms(20), true, Duration::from_millis(300));
        assert_eq!(slot.next_due(Some(Duration::from_millis(200))), ms(320));
        assert_eq!(slot.next_due(Some(Duration::from_millis(400))), ms(410));
    }
}
