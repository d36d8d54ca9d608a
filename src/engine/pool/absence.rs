//! Closed users that the load wants and that are gone before their time, or don't get past their `start`: what they would have sent is
//! missing, and nothing tells whether the target would have borne it.

use std::time::{Duration, Instant};

use super::{Mode, Place, Pool, State};
use crate::base::units::nanos;
use crate::engine::user::Slot;

/// How often it is told of those who are missing for long.
const TOLD: Duration = Duration::from_secs(1);

/// Who is missing in the present phase, while its load is a closed one.
pub(super) struct Absence {
    /// Users that are wanted and have ended themselves.
    gone: u64,
    /// Until when it has been told of them.
    told: Instant,
    /// Until when it has been told of all that were wanted.
    counted: Instant,
    /// When to tell of all again.
    next: Instant,
}

impl Absence {
    /// The time of `wanted` users up to `at` that wasn't told.
    fn tell_wanted(&mut self, at: Instant, wanted: u64) -> u64 {
        let time = nanos(at.saturating_duration_since(self.counted)).saturating_mul(wanted);
        self.counted = self.counted.max(at);
        time
    }

    fn tell_gone(&mut self, at: Instant) -> u64 {
        let time = nanos(at.saturating_duration_since(self.told)).saturating_mul(self.gone);
        self.told = self.told.max(at);
        time
    }
}

/// A user that isn't through its start for so long that it is missing: the time until `at` that wasn't told.
fn tell_late(slot: &Slot, at: Instant) -> u64 {
    let Some(late) = slot.late.get() else { return 0 };
    slot.late.set(Some(late.max(at)));
    nanos(at.saturating_duration_since(late))
}

/// How many of these have ended themselves.
fn ended(places: &[Place]) -> u64 {
    places.iter().filter(|place| matches!(place, Place::Ended)).count() as u64
}

/// The places of the users from one level to another.
fn between(places: &[Place], from: u64, to: u64) -> &[Place] {
    let end = places.len().min(to as usize);
    &places[end.min(from as usize)..end]
}

impl Pool {
    /// From when a user counts as missing that begins its start at `since`; never, if it has none.
    pub(super) fn late_from(&self, since: Instant) -> Option<Instant> {
        self.starts.then(|| since + self.described().start_within)
    }

    /// A phase begins at `start`.
    pub(super) fn begin_absence(&self, state: &mut State, start: Instant) {
        let closed = matches!(state.mode, Mode::Closed { .. });
        state.absence = closed.then_some(Absence { gone: 0, told: start, counted: start, next: start + TOLD });
        for slot in state.places.iter().filter_map(Place::slot) {
            slot.late.set(slot.late.get().map(|late| late.max(start)));
        }
    }

    /// The present phase, if there is one, is over at `at`.
    pub fn end_absence(&self, at: Instant) {
        let mut state = self.state.borrow_mut();
        self.tell_all_missing(&mut state, at);
        state.absence = None;
    }

    /// Tells now and then of those who are missing; answers when to ask again.
    pub fn tell_absence(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.borrow_mut();
        let absence = state.absence.as_mut()?;
        if absence.gone == 0 && (!self.starts || self.aside.get() == 0) {
            absence.told = absence.told.max(now);
            return None;
        }
        if absence.next <= now {
            absence.next = now + TOLD;
            self.tell_all_missing(&mut state, now);
        }
        state.absence.as_ref().map(|absence| absence.next)
    }

    fn tell_all_missing(&self, state: &mut State, at: Instant) {
        let State { mode: Mode::Closed { wanted, total, .. }, places, absence, .. } = state else { return };
        let Some(missing) = absence else { return };
        self.wanted(missing.tell_wanted(at, *wanted));
        if total.as_ref().is_some_and(|budget| budget.is_done()) {
            // What they would have done was done by others.
            *absence = None;
            return;
        }
        let mut time = missing.tell_gone(at);
        if self.starts {
            let starting = between(places, 0, *wanted).iter().filter_map(Place::slot);
            time += starting.map(|slot| tell_late(slot, at)).sum::<u64>();
        }
        self.missed(time);
    }

    /// The level changes at `at`: who has no place in it isn't missed.
    pub(super) fn level_changes(&self, state: &mut State, at: Instant, before: u64, after: u64) {
        let State { places, absence: Some(absence), .. } = state else { return };
        self.wanted(absence.tell_wanted(at, before));
        let mut time = absence.tell_gone(at);
        if after < before {
            let leaving = between(places, after, before);
            // Who had done all its iterations isn't among those.
            absence.gone = absence.gone.saturating_sub(ended(leaving));
            time += leaving.iter().filter_map(Place::slot).map(|slot| tell_late(slot, at)).sum::<u64>();
        } else {
            let coming = between(places, before, after);
            absence.gone += ended(coming);
            for slot in coming.iter().filter_map(Place::slot) {
                slot.late.set(slot.late.get().map(|late| late.max(at)));
            }
        }
        self.missed(time);
    }

    /// A user has its start behind it.
    pub fn is_up(&self, slot: &Slot, at: Instant) {
        let state = self.state.borrow();
        if let (Some(_), Mode::Closed { wanted, .. }) = (&state.absence, &state.mode)
            && slot.local < *wanted
        {
            self.missed(tell_late(slot, at));
        }
        self.came_through(slot);
        slot.late.set(None);
    }

    /// A user is gone whose place was its own; whether it ended itself.
    pub(super) fn leaves(&self, state: &mut State, slot: &Slot, ended_itself: bool) {
        let State { mode: Mode::Closed { wanted, each, .. }, absence: Some(absence), .. } = state else { return };
        let Some(live) = self.newest().filter(|_| slot.local < *wanted) else { return };
        let now = Instant::now();
        let done = each.is_some_and(|each| slot.done_in(live.activation.number) >= each);
        let mut time = tell_late(slot, now);
        if ended_itself && !done {
            time += absence.tell_gone(now);
            absence.gone += 1;
            absence.next = absence.next.min(now + TOLD);
            // The worker's loop comes to it from here on.
            self.ctx.nudge.notify_one();
        }
        self.missed(time);
    }

    /// An attempt of a user's start failed at `at`: it is missing from then on.
    pub fn start_failed(&self, slot: &Slot, at: Instant) {
        slot.late.set(Some(slot.late.get().map_or(at, |late| late.min(at))));
    }

    fn wanted(&self, time: u64) {
        if time > 0
            && let Some(live) = self.newest()
        {
            live.set.wanted(self.id(), time);
        }
    }

    fn missed(&self, time: u64) {
        if time > 0
            && let Some(live) = self.newest()
        {
            live.set.absent(self.id(), time);
        }
    }
}
