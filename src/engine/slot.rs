//! What a user's task and its pool both know of it.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::arrival::Arrival;
use super::phase_run::PhaseRecorder;
use super::picker::Claim;
use crate::flow::{RETRY, Work};
use crate::measure::StepId;

/// See the module.
pub(super) struct Slot {
    /// Its number among the worker's users of the scenario.
    pub local: u64,
    /// Its number over the whole run and all shards.
    pub number: u64,
    /// It has to ask anew what to do.
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
    /// The number of the step that its iteration is at; 0 before the first.
    pub step: Cell<u32>,
    /// When its iteration is cut off, as was last said.
    pub cut_at: Cell<Option<Instant>>,
    /// Has done all that the phase asks of it, and was counted.
    pub finished: Cell<bool>,
    /// While it is at its start: from when it is missing where it is wanted, or until when that was reported.
    pub late: Cell<Option<Instant>>,
    /// Since when it counts in the present phase; and until when its start is no doubt, unless it never comes through.
    pub grace: Cell<(Instant, Instant)>,
    /// What it asked for was still not answered when the drain of the phase in which it did was over: from when it is missing, or until when
    /// that was reported.
    pub hangs: Cell<Option<Instant>>,
    /// It may be that it was missing: see `Pool::is_unsure`.
    pub unsure: Cell<bool>,
    /// When its requests that are under way were due.
    asks: RefCell<Vec<Instant>>,
    /// Iterations over its life.
    iteration: Cell<u64>,
    /// Iterations in the phase run with that number.
    done: Cell<(u64, u64)>,
    last_due: Cell<Option<Instant>>,
    /// The last iteration was turned away.
    turned_away: Cell<bool>,
    last_end: Cell<Instant>,
    /// The iteration has asked for something.
    asked: Cell<bool>,
    /// How long the steps would still have waited that an error left out of the last iteration.
    rest: Cell<Duration>,
    /// The session that it opens.
    pub opening: Cell<Option<Opening>>,
    /// What it should listen to, and can't.
    pub away: Away,
    /// Where its flow reports to.
    pub sink: OnceCell<Weak<dyn Opens>>,
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
            step: Cell::new(0),
            cut_at: Cell::new(None),
            finished: Cell::new(false),
            late: Cell::new(None),
            grace: Cell::new((since, since)),
            hangs: Cell::new(None),
            unsure: Cell::new(false),
            asks: RefCell::default(),
            iteration: Cell::new(0),
            done: Cell::new((0, 0)),
            last_due: Cell::new(None),
            turned_away: Cell::new(false),
            last_end: Cell::new(since),
            asked: Cell::new(false),
            rest: Cell::new(Duration::ZERO),
            opening: Cell::new(None),
            away: Away::default(),
            sink: OnceCell::new(),
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

    /// Iterations that it began in this phase run.
    pub fn done_in(&self, phase_run: u64) -> u64 {
        let (number, done) = self.done.get();
        if number == phase_run { done } else { 0 }
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

    /// A piece of its iteration's work begins that was due then.
    pub fn asks(&self, work: Work, due: Instant) {
        if matches!(work, Work::Request(_)) {
            self.asked.set(true);
            self.asks.borrow_mut().push(due);
        }
    }

    /// It is over. Answers whether it is of interest how the user goes on.
    pub fn is_answered(&self, work: Work, due: Instant) -> bool {
        let mut asks = self.asks.borrow_mut();
        if matches!(work, Work::Request(_))
            && let Some(at) = asks.iter().rposition(|asked| *asked == due)
        {
            asks.swap_remove(at);
        }
        self.hangs.get().is_some() || self.unsure.get()
    }

    /// Whether it waits for what it asked for before that.
    pub fn asked_before(&self, at: Instant) -> bool {
        self.asks.borrow().iter().any(|asked| *asked < at)
    }

    /// Whether it has its start to do before it is free.
    pub fn is_starting(&self) -> bool {
        self.late.get().is_some()
    }

    /// Whether the iteration has asked for something.
    pub fn has_asked(&self) -> bool {
        self.asked.get()
    }

    /// What it does is done by this task.
    pub fn runs(&self, task: AbortHandle) {
        *self.task.borrow_mut() = Some(task);
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

    /// Its next iteration begins.
    pub fn begins(&self, due: Instant, phase_run: u64) {
        self.asked.set(false);
        self.step.set(0);
        self.last_due.set(Some(due));
        self.done.set((phase_run, self.done_in(phase_run) + 1));
    }

    /// Its iteration ends.
    pub fn ends(&self, at: Instant, turned_away: bool, rest: Duration) {
        self.last_end.set(at);
        self.rest.set(rest);
        self.turned_away.set(turned_away);
        self.iteration.set(self.iteration.get() + 1);
    }
}

/// What opens a user's connections; its pool asks it.
pub(super) trait Opens {
    /// Reports what is being opened, and what was opened for a request that still goes on.
    fn report_opening(&self, now: Instant);

    /// The record of a phase closes: it has what is still being opened. Sessions of arrivals heard nothing until then, whatever comes of them.
    fn settle_opening(&self, recorder: &PhaseRecorder);
}

/// A session that a user opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub step: StepId,
    pub due: Instant,
    /// It came of an arrival.
    pub of_arrival: bool,
    /// It came of an arrival, and the record of its phase has it as one that could not be opened.
    pub given_up: bool,
}

/// The steps that one user can't connect to.
#[derive(Default)]
pub(super) struct Away {
    /// Each with the iteration in which that was so last.
    steps: RefCell<Vec<(StepId, u64)>>,
    iteration: Cell<u64>,
}

impl Away {
    /// Another iteration begins.
    pub fn next_iteration(&self) {
        self.iteration.set(self.iteration.get() + 1);
    }

    /// Whether this is one of them.
    pub fn is_from(&self, step: StepId) -> bool {
        self.steps.borrow().iter().any(|(other, _)| *other == step)
    }

    /// One that could not be connected to.
    pub fn begins(&self, step: StepId) {
        self.steps.borrow_mut().push((step, self.iteration.get()));
    }

    /// The user is gone, and with it away from none; these are the steps that it was away from.
    pub fn end(&self) -> Vec<StepId> {
        self.steps.take().into_iter().map(|(step, _)| step).collect()
    }

    /// The steps that this user is no longer away from, now that it tries to connect to one: that one, and those of earlier iterations.
    pub fn ended_by(&self, step: StepId) -> Vec<StepId> {
        let iteration = self.iteration.get();
        let mut steps = self.steps.borrow_mut();
        steps.extract_if(.., |(other, then)| *other == step || *then < iteration).map(|(step, _)| step).collect()
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
