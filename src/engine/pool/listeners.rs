//! Who of a pool's users listens, and who should and can't: what that adds to the records of the phases.
//!
//! A user of a closed load whose session could not be opened is away from when that was due until it next connects, or ends. Of an arrival it
//! isn't known how long its session would have lasted: it counts as one session.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Pool;
use crate::base::units::nanos;
use crate::engine::activation::Live;
use crate::flow::{Ears, Finding};
use crate::measure::{MessageId, Numbered, Presence, StepId};

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
    told: Instant,
}

/// The steps that one user can't connect to.
#[derive(Default)]
pub(in crate::engine) struct Away {
    /// Each with the iteration in which that was so last.
    steps: RefCell<Vec<(StepId, u64)>>,
    iteration: Cell<u64>,
}

impl Away {
    /// Another iteration begins.
    pub fn next_iteration(&self) {
        self.iteration.set(self.iteration.get() + 1);
    }

    /// One that could not be connected to.
    fn begins(&self, step: StepId) {
        self.steps.borrow_mut().push((step, self.iteration.get()));
    }

    /// The steps that this user is no longer away from, now that it tries to connect to one: that one, and those of earlier iterations.
    fn ended_by(&self, step: StepId) -> Vec<StepId> {
        let iteration = self.iteration.get();
        let mut steps = self.steps.borrow_mut();
        steps.extract_if(.., |(other, then)| *other == step || *then < iteration).map(|(step, _)| step).collect()
    }
}

impl Pool {
    /// A session is open.
    pub fn listener_came(&self, step: StepId, at: Instant, away: &Away) {
        away.ended_by(step).into_iter().for_each(|step| self.change(step, at, |of| of.away -= 1));
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
            self.count(&Presence { away: nanos(at.saturating_duration_since(due)), ..Presence::default() }, step);
        }
        ended.into_iter().for_each(|step| self.change(step, at, |of| of.away -= 1));
        self.change(step, at, |of| of.away += 1);
        away.begins(step);
    }

    /// A user is gone.
    pub fn nobody_away(&self, away: &Away) {
        let now = Instant::now();
        away.steps.take().into_iter().for_each(|(step, _)| self.change(step, now, |of| of.away -= 1));
    }

    /// Records the time of all listeners up to a moment.
    pub fn tell_listeners(&self, until: Instant) {
        let steps: Vec<StepId> = self.listeners.steps.borrow().keys().copied().collect();
        steps.into_iter().for_each(|step| self.change(step, until, |_| {}));
    }

    /// Those who are there at an edge go on from one phase to the next.
    pub fn hand_over_listeners(&self, to: Option<&Live>) {
        for (step, of) in self.listeners.steps.borrow().iter().filter(|(_, of)| of.present > 0) {
            match to {
                Some(live) => live.set.listeners(*step, &Presence { there: of.present, ..Presence::default() }),
                None => self.count(&Presence { ended: of.present, ..Presence::default() }, *step),
            }
        }
    }

    /// Records the time that has passed, then changes who is there.
    fn change(&self, step: StepId, at: Instant, change: impl FnOnce(&mut Attending)) {
        let mut steps = self.listeners.steps.borrow_mut();
        let of = steps.entry(step).or_insert_with(|| Attending { present: 0, away: 0, told: at });
        let passed = nanos(at.saturating_duration_since(of.told));
        of.told = of.told.max(at);
        let presence =
            Presence { present: passed.saturating_mul(of.present), away: passed.saturating_mul(of.away), ..Presence::default() };
        change(of);
        drop(steps);
        self.count(&presence, step);
    }

    fn count(&self, presence: &Presence, step: StepId) {
        if *presence != Presence::default()
            && let Some(live) = self.newest()
        {
            live.set.listeners(step, presence);
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
        let lives = self.lives.borrow();
        let mut missed = 0;
        for (place, live) in lives.iter().enumerate() {
            let from = if place > 0 { Some(live.activation.start()) } else { None };
            let to = lives.get(place + 1).map(|next| next.activation.start());
            match finding {
                Finding::Missed(lack) => {
                    let by = to.map_or(lack.count, |to| lack.before(to));
                    if by > missed {
                        live.set.numbered(message, &Numbered { missed: by - missed, ..Numbered::default() });
                        missed = by;
                    }
                }
                Finding::Listened(stretch) => {
                    let from = from.map_or(stretch.from, |from| from.max(stretch.from));
                    let to = to.map_or(stretch.to, |to| to.min(stretch.to));
                    if from < to {
                        live.set.listened(message, nanos(to.duration_since(from)), stretch.silent);
                    }
                }
            }
        }
        !lives.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_away_is_so_until_it_tries_again_in_another_iteration_or_at_that_step() {
        let away = Away::default();
        away.next_iteration();
        assert!(away.ended_by(StepId(1)).is_empty());
        away.begins(StepId(1));
        assert!(away.ended_by(StepId(2)).is_empty(), "two sessions side by side");
        away.begins(StepId(2));
        assert_eq!(away.ended_by(StepId(1)), [StepId(1)]);
        away.begins(StepId(1));
        away.next_iteration();
        assert_eq!(away.ended_by(StepId(3)), [StepId(2), StepId(1)], "another turn, another room");
        assert!(away.ended_by(StepId(1)).is_empty());
    }
}
