//! What a user does before its first iteration and after its last one: `start` and `stop`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::base::Outcome;
use crate::base::random::Stream;
use crate::expr::{Layer, Symbol, Value};
use crate::flow::{self, End, Flow, User};
use crate::measure::OwnId;

use super::picker::Who;
use super::pool::Pool;
use super::report::Report;
use super::sink::UserSink;
use super::slot::Slot;

/// The least time from the end of an attempt to start until the next one; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest of them. Each is drawn out by up to a half, so that users that failed together don't come back together.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How a start ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    /// The user can iterate.
    Yes,
    /// The user isn't wanted any more.
    Unwanted,
    /// The user has ended itself.
    Ended,
}

/// Marks its user as busy with `start` or `stop` for as long as it lives; a phase that drains waits for the user.
struct StartStopGuard<'a> {
    pool: &'a Rc<Pool>,
    slot: &'a Slot,
    sink: &'a UserSink,
    /// What it puts into metrics of the profile's own, and behind which step it surely has.
    amounts: &'a BTreeMap<OwnId, u32>,
    /// Its flow is under way.
    within: bool,
}

impl<'a> StartStopGuard<'a> {
    fn new(pool: &'a Rc<Pool>, slot: &'a Slot, sink: &'a UserSink, amounts: &'a BTreeMap<OwnId, u32>) -> Self {
        slot.busy.set(true);
        pool.aside();
        Self { pool, slot, sink, amounts, within: false }
    }

    async fn carry_out(&mut self, flow: &Flow, user: &mut User) -> End {
        self.slot.step.set(0);
        self.within = true;
        let (end, outcome) = flow::carry_out(flow, user, Instant::now(), self.sink).await;
        if outcome == Outcome::Interrupted {
            self.leaves_unfinished();
        }
        self.within = false;
        end
    }

    /// It was cut off at a step: what it would still have counted, nobody knows.
    fn leaves_unfinished(&self) {
        let Some(recorder) = self.pool.present() else { return };
        let step = self.slot.step.get();
        for (own, _) in self.amounts.iter().filter(|(_, last)| step <= **last) {
            recorder.set.unfinished_aside(*own, self.pool.id());
        }
    }
}

impl Drop for StartStopGuard<'_> {
    fn drop(&mut self) {
        if self.within {
            self.leaves_unfinished();
        }
        self.sink.detach();
        self.pool.back();
        self.slot.busy.set(false);
        self.pool.ctx.check();
    }
}

/// Does a user's start again and again until it succeeds, ever more rarely: a target that is away isn't knocked at by everyone.
pub(super) async fn start(flow: &Flow, pool: &Rc<Pool>, slot: &Rc<Slot>, user: &mut User, sink: &UserSink) -> Started {
    let mut aside = StartStopGuard::new(pool, slot, sink, &pool.described().aside[0]);
    let Ok(claim) = pool.claim_for_life() else { return Started::Ended };
    let ctx = &pool.ctx;
    let (seed, scenario) = (ctx.shared.plan.seed, pool.scenario as u64);
    let who = Who { scenario, user: slot.number, iteration: Who::LIFE };
    ctx.picker.put(&pool.described().rows.start, claim, who, Layer::Start, user.scope_mut());
    let rows: Vec<(Symbol, Value)> = ctx.picker.symbols(&pool.described().rows.start, user.scope());
    let mut waits = Stream::keyed(&[seed, scenario, slot.number, Who::LIFE, u64::MAX]);
    for attempt in 0.. {
        // Its phase may be over before it had its first turn: then no record would hold what it does.
        if pool.is_unwanted(slot) {
            if attempt == 0 {
                pool.was_there(slot);
            }
            return Started::Unwanted;
        }
        while pool.holds_back(slot, false) {
            slot.changed.notified().await;
            if pool.is_unwanted(slot) {
                return Started::Unwanted;
            }
        }
        if let Some(recorder) = pool.present() {
            user.enter_phase(ctx.phase_name(&recorder));
        }
        let end = aside.carry_out(flow, user).await;
        sink.detach();
        slot.probe.set(false);
        match end {
            End::Completed => break,
            // It is cut short where its target is away, or where the user is to go: that has come so far in time.
            End::CutShort if pool.is_unwanted(slot) => {
                pool.was_there(slot);
                return Started::Unwanted;
            }
            End::Failed | End::CutShort => pool.start_failed(slot, Instant::now()),
            End::EndUser => {
                pool.was_there(slot);
                return Started::Ended;
            }
            End::Abort(reason) => {
                ctx.report(Report::Abort(reason));
                return Started::Ended;
            }
        }
        let again = Instant::now() + wait(attempt, &mut waits);
        loop {
            if pool.is_unwanted(slot) {
                return Started::Unwanted;
            }
            tokio::select! {
                () = ctx.timer.sleep_until(again) => break,
                () = slot.changed.notified() => {}
            }
        }
        user.begin_start();
        rows.iter().for_each(|(symbol, value)| user.scope_mut().set(Layer::Start, *symbol, value.clone()));
    }
    let now = Instant::now();
    pool.is_up(slot, now);
    slot.starts_at(now);
    Started::Yes
}

fn wait(attempt: u32, stream: &mut Stream) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << attempt.min(16)).min(LONGEST_WAIT);
    whole + whole.mul_f64(stream.unit() / 2.0)
}

/// Does a user's stop, once, whatever comes of it. It has what is left of its phase's drain.
pub(super) async fn stop(flow: &Flow, pool: &Rc<Pool>, slot: &Rc<Slot>, user: &mut User, sink: &UserSink) {
    let mut aside = StartStopGuard::new(pool, slot, sink, &pool.described().aside[1]);
    let ctx = &pool.ctx;
    if let Some(at) = slot.cut_at.get() {
        // What was to cut off its iteration is not for this.
        ctx.interrupt_later(at, pool.scenario, slot);
    }
    let (needs, recorder) = (&pool.described().rows.stop, pool.newest());
    if let Some(recorder) = &recorder {
        user.enter_phase(ctx.phase_name(recorder));
    }
    let Ok(claim) = ctx.picker.claim(needs, recorder.map_or(0, |recorder| recorder.phase_run.number)) else { return };
    user.begin_stop();
    let who = Who { scenario: pool.scenario as u64, user: slot.number, iteration: Who::LIFE };
    ctx.picker.put(needs, claim, who, Layer::Iteration, user.scope_mut());
    if let End::Abort(reason) = aside.carry_out(flow, user).await {
        ctx.report(Report::Abort(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ_from_user_to_user() {
        let of = |user| {
            let mut stream = Stream::keyed(&[user]);
            (0..40).map(|attempt| wait(attempt, &mut stream)).collect::<Vec<_>>()
        };
        let waits = of(1);
        assert!(waits[0] >= FIRST_WAIT && waits[0] < FIRST_WAIT * 2);
        assert!(waits[3] >= FIRST_WAIT * 8);
        assert!(waits[10..].iter().all(|wait| (LONGEST_WAIT..LONGEST_WAIT * 2).contains(wait)));
        assert_ne!(waits, of(2));
    }
}
