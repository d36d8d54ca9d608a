//! One virtual user as a task: it asks its pool what to do, iterates, and records how each iteration ended.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use crate::base::Outcome;
use crate::base::units::nanos;
use crate::flow::{self, End, Sink as _};
use crate::measure::Set;

use super::arrival::Arrival;
use super::aside::{self, Started};
use super::phase_run::PhaseRecorder;
use super::place::Place;
use super::pool::{Decision, Pool};
use super::report::Report;
use super::sink::UserSink;
use super::slot::{Opens, Slot};

/// An iteration shorter than this had no time to do anything (nanoseconds).
const NO_TIME: u64 = 100_000_000;

/// An iteration this short has hardly waited for anything: without a break a user whose every step fails at once would
/// keep the worker from all others.
const QUICK: Duration = Duration::from_micros(50);

/// Starts a user's task on this worker.
pub(super) fn spawn(pool: Rc<Pool>, slot: Rc<Slot>) {
    // Made here, since a task that is cut off before its first turn is dropped without having run.
    let presence = UserTask { pool, slot: slot.clone(), ended_itself: Cell::new(false) };
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
    slot.runs(task.abort_handle());
}

/// Informs the pool when the task ends, however it does.
struct UserTask {
    pool: Rc<Pool>,
    slot: Rc<Slot>,
    ended_itself: Cell<bool>,
}

impl Drop for UserTask {
    fn drop(&mut self) {
        if let Some(arrival) = self.slot.mail.take() {
            // Given to it, and never begun.
            if let Some(recorder) = self.pool.recorder(arrival.phase_run) {
                recorder.set.iteration(self.pool.id(), 0, Outcome::Interrupted);
                leaves_unfinished(&self.pool, &recorder.set, 0);
                recorder.set.unsent(self.pool.id());
                recorder.detach();
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
struct OpenUser<'a> {
    user: flow::User,
    sink: &'a UserSink,
}

impl Drop for OpenUser<'_> {
    fn drop(&mut self) {
        self.user.close(self.sink);
    }
}

async fn live(presence: UserTask) {
    let (pool, slot) = (presence.pool.clone(), presence.slot.clone());
    let scenario = pool.described();
    let shared = Rc::new(UserSink::new(pool.clone(), slot.clone()));
    let sink = &*shared;
    let user = flow::User::new(slot.number, &pool.ctx.shared.users[pool.scenario]);
    sink.follow_knock(user.knock());
    // Set here only, and once.
    let opens: Weak<dyn Opens> = Rc::<UserSink>::downgrade(&shared);
    let _ = slot.sink.set(opens);
    let mut person = OpenUser { user, sink };
    if let Some(connections) = &pool.connections {
        person.user.share(connections.clone());
    }
    if let Some(flow) = &scenario.start {
        // In a box, since few users have one and each does it once.
        match Box::pin(aside::start(flow, &pool, &slot, &mut person.user, sink)).await {
            Started::Yes => {}
            Started::Unwanted => return,
            Started::Ended => {
                presence.ended_itself.set(true);
                return;
            }
        }
    }
    // Held until the task is over.
    let mut _parting = None;
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
                let Some(iteration) = Iteration::begin(&pool, &slot, sink, began, due, arrival) else { break };
                let user = &mut person.user;
                user.enter_phase(pool.ctx.phase_name(&iteration.recorder));
                user.begin_iteration(slot.iteration());
                if !scenario.rows.flow.is_empty() {
                    pool.put_rows(&slot, user);
                }
                let (end, outcome) = flow::carry_out(&scenario.flow, user, due, sink).await;
                let goes = matches!(end, End::EndUser | End::Abort(_)) || pool.is_unwanted(&slot);
                _parting = (goes && scenario.stop.is_some()).then(|| Parting::new(&pool)).flatten();
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
        Box::pin(aside::stop(flow, &pool, &slot, &mut person.user, sink)).await;
    }
}

/// What a user does between its last iteration and its end is waited for like an iteration, within the drain.
struct Parting {
    pool: Rc<Pool>,
    recorder: Rc<PhaseRecorder>,
}

impl Parting {
    fn new(pool: &Rc<Pool>) -> Option<Self> {
        let recorder = pool.newest()?;
        recorder.iteration_begins();
        Some(Self { pool: pool.clone(), recorder })
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        self.recorder.iteration_ends();
        self.pool.ctx.check();
    }
}

/// An iteration was cut off at a step: what it would still have put into metrics of the profile's own, nobody knows.
fn leaves_unfinished(pool: &Pool, set: &Set, step: u32) {
    for (own, _) in pool.described().amounts.iter().filter(|(_, last)| step <= **last) {
        set.unfinished(*own, pool.id());
    }
}

/// One iteration under way. Dropped before its end, it was cut off.
struct Iteration<'a> {
    pool: &'a Rc<Pool>,
    slot: &'a Slot,
    sink: &'a UserSink,
    recorder: Rc<PhaseRecorder>,
    due: Instant,
    /// The same by the worker's clock.
    since: u64,
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
        let recorder = match arrival {
            Some(arrival) => pool.recorder(arrival.phase_run),
            None => pool.live_at(began).inspect(|recorder| recorder.attach()),
        };
        let Some(recorder) = recorder else {
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
        recorder.set.start_lag(pool.id(), nanos(lag));
        slot.begins(due, recorder.phase_run.number);
        recorder.iteration_begins();
        sink.adopt(recorder.clone(), arrival.map(|arrival| arrival.due));
        let behind = waited_until.map_or(Duration::ZERO, |until| sink.queued(due, until));
        sink.lagged(due, began, lag + behind);
        let since = sink.counts_since(due);
        recorder.set.iteration_open(pool.id(), since, true);
        let (outcome, serves, rest) = (Outcome::Interrupted, arrival.is_some(), Duration::ZERO);
        Some(Self { pool, slot, sink, recorder, due, since, outcome, serves, rest })
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
            self.recorder.iteration_ends();
        }
        // One that outlasted its phase's drain counts where it ends, so that every iteration is in one record.
        let (recorder, place) = self.pool.record_of(self.recorder.clone());
        let set = place.of(&recorder.set);
        let took = nanos(end.saturating_duration_since(self.due));
        set.iteration(self.pool.id(), took, self.outcome);
        if self.outcome == Outcome::Interrupted {
            let step = self.slot.step.get();
            if place == Place::InTime {
                leaves_unfinished(self.pool, set, step);
            }
            // What was still to come was due in the present phase, wherever the iteration began.
            let present = self.pool.live_at(end).filter(|present| place != Place::InTime || !Rc::ptr_eq(present, &recorder));
            if let Some(present) = present {
                leaves_unfinished(self.pool, &present.set, step);
            }
        }
        let delay = self.sink.delay(self.due, end);
        set.delayed_iteration(self.pool.id(), took, self.outcome, delay);
        // It asked for nothing, and but for the delay it would have had no time to.
        let asked = self.slot.has_asked();
        if self.serves && self.outcome == Outcome::Interrupted && !asked && delay > 0 && took - delay.min(took) < NO_TIME {
            set.unsent(self.pool.id());
        }
        set.iteration_open(self.pool.id(), self.since, false);
        self.slot.ends(end, self.sink.turned_away().is_some(), self.rest);
        self.slot.probe.set(false);
        self.sink.detach();
        self.pool.ended(self.slot);
        self.pool.ctx.check();
    }
}
