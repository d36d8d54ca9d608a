//! Closed users that the load wants and that are gone before their time, don't get past their `start`, or hang in what they asked for in an
//! earlier phase: what they would have sent is missing, and nobody knows whether the target would have borne it.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Mode, Place, Pool, State};
use crate::base::units::nanos;
use crate::engine::slot::Slot;

/// How often those who are missing for long are reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The shortest wait for what was asked for before an edge, however short the drain is.
const EVERYDAY: Duration = Duration::from_secs(1);

/// Who is missing in the present phase, while its load is a closed one.
pub(super) struct Absence {
    /// Users that are wanted and have ended themselves.
    gone: u64,
    /// Until when they have been reported.
    reported: Instant,
    /// Until when all that were wanted have been reported.
    counted: Instant,
    /// When to report all again.
    next: Instant,
    /// What was reported for a load of a number of iterations: it is taken back if they are all done in the end.
    reported_time: Missed,
    /// When the phase began.
    start: Instant,
    /// When to look who still waits for what it asked for before that.
    look: Option<Instant>,
    /// Whether there is anyone.
    hanging: bool,
}

impl Absence {
    fn new(start: Instant) -> Self {
        let (reported, counted, next) = (start, start, start + REPORT_EVERY);
        Self { gone: 0, reported, counted, next, reported_time: Missed::default(), start, look: None, hanging: false }
    }

    /// Looks at who may hang: what it asked for before the phase should have been answered by now.
    fn look_at(&mut self, slot: &Slot) {
        if slot.hangs.get().is_none() && !slot.is_starting() && slot.asked_before(self.start) {
            slot.hangs.set(Some(slot.grace.get().0));
        }
        self.hanging |= slot.hangs.get().is_some();
    }

    /// The time of `wanted` users up to `at` that wasn't reported.
    fn report_wanted(&mut self, at: Instant, wanted: u64) -> u64 {
        let time = nanos(at.saturating_duration_since(self.counted)).saturating_mul(wanted);
        self.counted = self.counted.max(at);
        time
    }

    fn report_gone(&mut self, at: Instant) -> u64 {
        let time = nanos(at.saturating_duration_since(self.reported)).saturating_mul(self.gone);
        self.reported = self.reported.max(at);
        time
    }
}

/// How long users were missing, in nanoseconds; and how much of that they waited for what they had asked for in an earlier phase.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Missed {
    pub time: u64,
    pub hung: u64,
}

impl Missed {
    fn plus(self, other: Self) -> Self {
        Self { time: self.time + other.time, hung: self.hung + other.hung }
    }

    /// They were gone for so long, too.
    fn gone(self, time: u64) -> Self {
        Self { time: self.time + time, ..self }
    }
}

/// What of these wasn't reported until `at`.
fn report_all_late<'a>(slots: impl Iterator<Item = &'a Rc<Slot>>, at: Instant) -> Missed {
    slots.map(|slot| report_late(slot, at)).fold(Missed::default(), Missed::plus)
}

/// A user that isn't through its start for so long that it is missing, or that hangs: the time until `at` that wasn't reported.
fn report_late(slot: &Slot, at: Instant) -> Missed {
    let report = |missing: &Cell<Option<Instant>>| {
        let Some(since) = missing.get() else { return 0 };
        missing.set(Some(since.max(at)));
        nanos(at.saturating_duration_since(since))
    };
    let hung = report(&slot.hangs);
    Missed { time: report(&slot.late) + hung, hung }
}

/// A user is wanted from `at` on: what came before that is none of the phase's.
fn counts_from(slot: &Slot, at: Instant) {
    for missing in [&slot.late, &slot.hangs] {
        missing.set(missing.get().map(|since| since.max(at)));
    }
    let (since, until) = slot.grace.get();
    slot.grace.set((since.max(at), until));
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
    /// A user begins its start at `since`, if it has one.
    pub(super) fn begin_start(&self, slot: &Slot, since: Instant) {
        let late = self.starts.then(|| since + self.described().start_within);
        slot.late.set(late);
        slot.grace.set((since, late.unwrap_or(since)));
    }

    /// A phase begins at `start`.
    pub(super) fn begin_absence(&self, state: &mut State, start: Instant) {
        let closed = matches!(state.mode, Mode::Closed { .. });
        let mut absence = Absence::new(start);
        absence.look = self.drained.get().map(|drained| drained.max(start + EVERYDAY));
        for slot in state.places.iter().filter_map(Place::slot) {
            counts_from(slot, start);
            absence.hanging |= slot.hangs.get().is_some();
        }
        state.absence = closed.then_some(absence);
    }

    /// A phase is over, and has drained at `at`.
    pub fn drains(&self, at: Instant) {
        self.drained.set(Some(at));
    }

    /// The present phase, if there is one, is over at `at`, and has drained at `drained`.
    pub fn end_absence(&self, at: Instant, drained: Instant) {
        let mut state = self.state.borrow_mut();
        self.report_all_missing(&mut state, at);
        let (Some(absence), Mode::Closed { wanted, .. }) = (state.absence.take(), &state.mode) else { return };
        if !self.is_all_done(&state, &absence) {
            self.leaves_unsure(&state, &absence, (at, drained), 0..*wanted);
        } else if let Some(recorder) = self.newest() {
            let Missed { time, hung } = absence.reported_time;
            recorder.set.made_up(self.id(), time, hung);
        }
    }

    /// The load no longer asks for these users from `at` on. Whether what they do then ever ends is known at `drained`.
    pub(super) fn leaves_unsure(&self, state: &State, absence: &Absence, (at, drained): (Instant, Instant), users: Range<u64>) {
        for slot in between(&state.places, users.start, users.end).iter().filter_map(Place::slot) {
            let (since, until) = slot.grace.get();
            let waits = slot.hangs.get().is_none() && slot.asked_before(absence.start);
            let (until, known, hangs) = match absence.look {
                _ if slot.is_starting() => (until.min(at), drained, false),
                Some(look) if waits => (at, look, true),
                _ => continue,
            };
            if until > since {
                let time = nanos(until - since);
                self.is_unsure(slot, Missed { time, hung: if hangs { time } else { 0 } }, known);
            }
        }
    }

    /// When it is due, looks who still waits for what it asked for before the phase; answers when to look.
    fn look_who_hangs(&self, state: &mut State, now: Instant) -> Option<Instant> {
        let State { mode: Mode::Closed { wanted, .. }, places, absence: Some(absence), .. } = state else { return None };
        // Behind a pause what has come is read first.
        let look = absence.look? + Duration::from_nanos(self.ctx.pulse.paused_within(absence.start, now));
        if now < look {
            return Some(look);
        }
        absence.look = None;
        between(places, 0, *wanted).iter().filter_map(Place::slot).for_each(|slot| absence.look_at(slot));
        None
    }

    /// What a user of whom that was of interest had asked for is over.
    pub fn goes_on(&self, slot: &Slot, at: Instant) {
        let mut state = self.state.borrow_mut();
        let start = state.absence.as_ref().map(|absence| absence.start);
        // Its start is over when it says so.
        if slot.is_starting() || start.is_some_and(|start| slot.asked_before(start)) {
            return;
        }
        if let (Some(_), Mode::Closed { wanted, .. }) = (&state.absence, &state.mode)
            && slot.local < *wanted
        {
            self.missed(&mut state, report_late(slot, at));
        }
        drop(state);
        slot.hangs.set(None);
        slot.unsure.set(false);
        self.was_there(slot);
    }

    /// Reports now and then who is missing; answers when to ask again.
    pub fn report_absence(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.borrow_mut();
        let look = self.look_who_hangs(&mut state, now);
        let absence = state.absence.as_mut()?;
        if absence.gone == 0 && !absence.hanging && (!self.starts || self.aside.get() == 0) {
            absence.reported = absence.reported.max(now);
            return look;
        }
        if absence.next <= now {
            absence.next = now + REPORT_EVERY;
            self.report_all_missing(&mut state, now);
        }
        state.absence.as_ref().map(|absence| absence.next).into_iter().chain(look).min()
    }

    fn report_all_missing(&self, state: &mut State, at: Instant) {
        let State { mode: Mode::Closed { wanted, .. }, places, absence, .. } = &mut *state else { return };
        let Some(missing) = absence else { return };
        self.wanted(missing.report_wanted(at, *wanted));
        let gone = missing.report_gone(at);
        let late = match self.starts || missing.hanging {
            true => report_all_late(between(places, 0, *wanted).iter().filter_map(Place::slot), at),
            false => Missed::default(),
        };
        self.missed(state, late.gone(gone));
    }

    /// Whether the load is a number of iterations, and all of them are done or under way: whoever was missing, nothing of it is.
    fn is_all_done(&self, State { mode, places, .. }: &State, absence: &Absence) -> bool {
        let Mode::Closed { wanted, each, total, .. } = mode else { return false };
        let Some(recorder) = self.newest() else { return false };
        let done = |each: u64| {
            let has_done = |place: &Place| place.slot().is_none_or(|slot| slot.done_in(recorder.phase_run.number) >= each);
            *wanted > 0 && absence.gone == 0 && places.len() as u64 >= *wanted && between(places, 0, *wanted).iter().all(has_done)
        };
        total.as_ref().is_some_and(|budget| budget.is_done()) || each.is_some_and(done)
    }

    /// The level changes at `at`: who has no place in it isn't missed.
    pub(super) fn level_changes(&self, state: &mut State, at: Instant, before: u64, after: u64) {
        let State { places, absence: Some(absence), .. } = &mut *state else { return };
        self.wanted(absence.report_wanted(at, before));
        let gone = absence.report_gone(at);
        let mut late = Missed::default();
        if after < before {
            let leaving = between(places, after, before);
            // Who had done all its iterations isn't among those.
            absence.gone = absence.gone.saturating_sub(ended(leaving));
            late = report_all_late(leaving.iter().filter_map(Place::slot), at);
        } else {
            let coming = between(places, before, after);
            absence.gone += ended(coming);
            for slot in coming.iter().filter_map(Place::slot) {
                counts_from(slot, at);
                if absence.look.is_none() {
                    absence.look_at(slot);
                }
            }
        }
        self.missed(state, late.gone(gone));
    }

    /// A user has its start behind it.
    pub fn is_up(&self, slot: &Slot, at: Instant) {
        let mut state = self.state.borrow_mut();
        if let (Some(_), Mode::Closed { wanted, .. }) = (&state.absence, &state.mode)
            && slot.local < *wanted
        {
            self.missed(&mut state, report_late(slot, at));
        }
        drop(state);
        self.was_there(slot);
        self.came_through(slot);
        slot.late.set(None);
    }

    /// A user is gone whose place was its own; whether it ended itself.
    pub(super) fn leaves(&self, state: &mut State, slot: &Slot, ended_itself: bool) {
        let State { mode: Mode::Closed { wanted, each, .. }, absence: Some(absence), .. } = &mut *state else { return };
        let Some(recorder) = self.newest().filter(|_| slot.local < *wanted) else { return };
        let now = Instant::now();
        let done = each.is_some_and(|each| slot.done_in(recorder.phase_run.number) >= each);
        let mut missed = report_late(slot, now);
        if ended_itself && !done {
            missed = missed.gone(absence.report_gone(now));
            absence.gone += 1;
            absence.next = absence.next.min(now + REPORT_EVERY);
            // The worker's loop comes to it from here on.
            self.ctx.nudge.notify_one();
        }
        self.missed(state, missed);
    }

    /// An attempt of a user's start failed at `at`: it is missing from then on.
    pub fn start_failed(&self, slot: &Slot, at: Instant) {
        slot.late.set(Some(slot.late.get().map_or(at, |late| late.min(at))));
        let (since, until) = slot.grace.get();
        slot.grace.set((since, until.min(at)));
    }

    fn wanted(&self, time: u64) {
        if time > 0
            && let Some(recorder) = self.newest()
        {
            recorder.set.wanted(self.id(), time);
        }
    }

    /// Users were missing for so long. Where the load is a number of iterations others may do theirs yet.
    pub(super) fn missed(&self, state: &mut State, missed: Missed) {
        let Some(recorder) = self.newest().filter(|_| missed.time > 0) else { return };
        recorder.set.absent(self.id(), missed.time, missed.hung);
        if let State { mode: Mode::Closed { each, total, .. }, absence: Some(absence), .. } = state
            && (each.is_some() || total.is_some())
        {
            absence.reported_time = absence.reported_time.plus(missed);
        }
    }
}
