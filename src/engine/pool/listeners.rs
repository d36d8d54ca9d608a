//! Who of a pool's users listens, and who should and can't: what that adds to the records of the phases.
//!
//! A user of a closed load whose session could not be opened, or not for long, is away from when that was due until it next connects, or ends.
//! Of an arrival it isn't known how long its session would have lasted: it counts as one session.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Place, Pool};
use crate::base::units::nanos;
use crate::engine::phase_run::PhaseRecorder;
use crate::engine::slot::{Away, Opening, Slot};
use crate::flow::{Ears, Finding};
use crate::measure::{MessageId, Numbered, Presence, StepId};

/// Who waits longer for its session is away until it is open. A handshake takes its time on any day, and who is there misses nothing by that.
const SLOW: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct Listeners {
    /// By the step that opens the session.
    steps: RefCell<BTreeMap<StepId, Attending>>,
    /// Those that follow something, by their address.
    ears: RefCell<HashMap<*const Ears, Rc<Ears>>>,
}

/// The listeners of one step just now.
struct Attending {
    present: u64,
    away: u64,
    /// Up to when their time was recorded.
    reported: Instant,
}

impl Pool {
    /// A session is open. The generator itself is to blame for some of the time since it was due.
    pub fn listener_came(&self, slot: &Slot, step: StepId, at: Instant, delay: impl Fn(Instant) -> u64) {
        let ended = slot.away.ended_by(step);
        let opening = slot.opening.take().filter(|opening| !opening.of_arrival && !ended.contains(&step));
        if let Some(Opening { due, .. }) = opening {
            let from = due + Duration::from_nanos(delay(due));
            if at.saturating_duration_since(from) > SLOW {
                self.was_away(step, from, at);
            }
        }
        ended.into_iter().for_each(|step| self.change(step, at, |of| of.away -= 1));
        self.change(step, at, |of| of.present += 1);
        self.count(&Presence { there: 1, ..Presence::default() }, step);
    }

    /// A session ended.
    pub fn listener_left(&self, step: StepId, at: Instant) {
        self.change(step, at, |of| of.present -= 1);
        self.count(&Presence { ended: 1, ..Presence::default() }, step);
    }

    /// A user of a closed load could not open its session, which was due at `due`.
    pub fn listener_refused(&self, step: StepId, due: Instant, at: Instant, away: &Away) {
        let ended = away.ended_by(step);
        if !ended.contains(&step) {
            self.was_away(step, due, at);
        }
        ended.into_iter().for_each(|step| self.change(step, at, |of| of.away -= 1));
        self.change(step, at, |of| of.away += 1);
        away.begins(step);
    }

    /// Whoever has waited for its session for long is away from it.
    pub fn report_slow_listeners(&self, at: Instant) {
        let state = self.state.borrow();
        for slot in state.places.iter().filter_map(Place::slot) {
            let slow = |opening: &Opening| !opening.of_arrival && !slot.away.is_from(opening.step);
            let Some(Opening { step, due, .. }) = slot.opening.get().filter(slow) else { continue };
            let from = due + Duration::from_nanos(self.ctx.pulse.paused_within(due, at));
            if at.saturating_duration_since(from) > SLOW {
                self.was_away(step, from, at);
                self.change(step, at, |of| of.away += 1);
                slot.away.begins(step);
            }
        }
    }

    /// A user of a closed load was away, which wasn't reported: each phase has its part of that, but those whose record is closed.
    fn was_away(&self, step: StepId, from: Instant, to: Instant) {
        let oldest = self.recorders.borrow().first().map(|recorder| recorder.phase_run.start());
        let from = oldest.map_or(from, |oldest| from.max(oldest));
        self.parts(from, to, |recorder, from, to| {
            let away = nanos(to.duration_since(from));
            recorder.set.listeners(step, &Presence { away, ..Presence::default() });
        });
    }

    /// The part of a time that each phase has whose record isn't forgotten; what is before the oldest is its own.
    fn parts(&self, from: Instant, to: Instant, mut take: impl FnMut(&PhaseRecorder, Instant, Instant)) {
        let recorders = self.recorders.borrow();
        for (place, recorder) in recorders.iter().enumerate() {
            let from = if place > 0 { from.max(recorder.phase_run.start()) } else { from };
            let to = recorders.get(place + 1).map_or(to, |next| to.min(next.phase_run.start()));
            if from < to {
                take(recorder, from, to);
            }
        }
    }

    /// A user is gone.
    pub fn nobody_away(&self, away: &Away) {
        let now = Instant::now();
        away.end().into_iter().for_each(|step| self.change(step, now, |of| of.away -= 1));
    }

    /// Records the time of all listeners up to a moment.
    pub fn report_listeners(&self, until: Instant) {
        let steps: Vec<StepId> = self.listeners.steps.borrow().keys().copied().collect();
        steps.into_iter().for_each(|step| self.change(step, until, |_| {}));
    }

    /// Those who are there at an edge go on from one phase to the next.
    pub fn hand_over_listeners(&self, to: Option<&PhaseRecorder>) {
        for (step, of) in self.listeners.steps.borrow().iter().filter(|(_, of)| of.present > 0) {
            match to {
                Some(recorder) => recorder.set.listeners(*step, &Presence { there: of.present, ..Presence::default() }),
                None => self.count(&Presence { ended: of.present, ..Presence::default() }, *step),
            }
        }
    }

    /// Records the time that has passed, then changes who is there.
    fn change(&self, step: StepId, at: Instant, change: impl FnOnce(&mut Attending)) {
        let mut steps = self.listeners.steps.borrow_mut();
        let of = steps.entry(step).or_insert_with(|| Attending { present: 0, away: 0, reported: at });
        let passed = nanos(at.saturating_duration_since(of.reported));
        of.reported = of.reported.max(at);
        let presence =
            Presence { present: passed.saturating_mul(of.present), away: passed.saturating_mul(of.away), ..Presence::default() };
        change(of);
        drop(steps);
        self.count(&presence, step);
    }

    fn count(&self, presence: &Presence, step: StepId) {
        if *presence != Presence::default()
            && let Some(recorder) = self.newest()
        {
            recorder.set.listeners(step, presence);
        }
    }

    /// Follows what somebody hears.
    pub fn follow(&self, ears: &Rc<Ears>) {
        if !self.has_ears() {
            // From now on the worker has to look.
            self.ctx.nudge.notify_one();
        }
        self.listeners.ears.borrow_mut().insert(Rc::as_ptr(ears), ears.clone());
    }

    /// It hears nothing any more.
    pub fn unfollow(&self, ears: &Rc<Ears>) {
        self.listeners.ears.borrow_mut().remove(&Rc::as_ptr(ears));
    }

    /// Whether anybody is followed.
    pub fn has_ears(&self) -> bool {
        !self.listeners.ears.borrow().is_empty()
    }

    /// How long after an edge it is known at the latest of all who are followed what was due before it; none if nobody is.
    pub fn patience_of_ears(&self) -> Option<Duration> {
        self.listeners.ears.borrow().values().map(|ears| ears.patience()).max()
    }

    /// Records what those who are followed missed up to a moment, as far as that is known `now`. Answers whether that is all.
    pub fn settle_ears(&self, until: Instant, now: Instant) -> bool {
        let mut all = true;
        for ears in self.listeners.ears.borrow().values() {
            all &= ears.settle(until, now, &mut |message, finding| {
                self.find(message, &finding);
            });
        }
        all
    }

    /// Records a finding into the phases that it belongs to. What belongs to one whose record is closed counts in the oldest that
    /// isn't. False if there is none.
    pub fn find(&self, message: MessageId, finding: &Finding) -> bool {
        let recorders = self.recorders.borrow();
        match finding {
            Finding::Missed(lack) => {
                let mut missed = 0;
                for (place, recorder) in recorders.iter().enumerate() {
                    let by = recorders.get(place + 1).map_or(lack.count, |next| lack.before(next.phase_run.start()));
                    if by > missed {
                        recorder.set.numbered(message, &Numbered { missed: by - missed, ..Numbered::default() });
                        missed = by;
                    }
                }
            }
            Finding::Listened(stretch) => self.parts(stretch.from, stretch.to, |recorder, from, to| {
                recorder.set.listened(message, nanos(to.duration_since(from)), stretch.silent);
                if stretch.silent {
                    recorder.set.stood(message, self.ctx.paused_within(from, to));
                }
            }),
        }
        !recorders.is_empty()
    }
}
