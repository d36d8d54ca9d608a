//! Arrivals that the worker itself comes to late. It finds many of them at once, while the answers that would make users free lie unread: a
//! new user for each would open connections that the load doesn't need. So they are given out at twice the pace that they were due at, until
//! that has caught up, and a user that becomes free meanwhile takes the next one at once. What that adds is the generator's lag and recorded
//! as such: half of the worker's own lateness at most, whatever the target does.

use std::time::{Duration, Instant};

use super::{Mode, Pool};

/// An arrival that the worker comes to so long after it was due is late; timers and other work take as much at times. As long the users have at
/// least to become free.
const LATE: Duration = Duration::from_micros(500);

/// How the arrivals are given out that the worker came to late.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// From then on.
    from: Instant,
    /// How late the worker was.
    lag: Duration,
    /// When the one was due that is held back.
    held: Option<Instant>,
}

impl Spread {
    /// The worker comes at `now` to what was due at `due`.
    fn new(due: Instant, now: Instant) -> Self {
        Self { from: now, lag: now.saturating_duration_since(due), held: None }
    }

    /// When an arrival gets a new user, if none became free.
    fn turn(&self, due: Instant) -> Instant {
        let pace = (due + self.lag).saturating_duration_since(self.from) / 2;
        self.from + pace.max(LATE.min(self.lag / 2))
    }

    /// Whether an arrival for which nobody is free has to wait, and until when.
    fn holds(spread: &mut Option<Self>, due: Instant, now: Instant) -> Option<Instant> {
        if now.saturating_duration_since(due) <= LATE {
            return None;
        }
        let present = spread.get_or_insert_with(|| Self::new(due, now));
        let passed = now.saturating_duration_since(present.turn(due));
        if passed > LATE && present.held != Some(due) {
            // The worker was late once more.
            *present = Self::new(due, now);
        }
        let turn = present.turn(due);
        present.held = (turn > now).then_some(due);
        present.held.map(|_| turn)
    }
}

impl Pool {
    /// Whether an arrival that the worker comes to late waits for a user to become free, and until when.
    pub fn holds_late(&self, due: Instant, now: Instant) -> Option<Instant> {
        let state = self.state.borrow();
        // Whoever is busy may become free; without anybody there is nothing to wait for.
        let may_free = self.running.get() > 0 && !state.idle.is_at_work();
        let fresh = matches!(state.mode, Mode::Open { most, .. } if state.present < most) || state.idle.len() > 0;
        if may_free && fresh && !self.starts { Spread::holds(&mut self.late.borrow_mut(), due, now) } else { None }
    }

    /// No arrival is late any more.
    pub fn is_on_time(&self) {
        *self.late.borrow_mut() = None;
    }

    /// A user became free: the worker's loop comes to an arrival that waits for one.
    pub(super) fn frees(&self) {
        if self.late.borrow().is_some_and(|spread| spread.held.is_some()) {
            self.ctx.nudge.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_given_out_at_twice_its_pace_until_that_has_caught_up() {
        let start = Instant::now();
        let us = |us| start + Duration::from_micros(us);
        let mut late = None;
        let mut holds = |due, now| Spread::holds(&mut late, us(due), us(now)).map(|at| at.duration_since(start).as_micros());
        assert_eq!(holds(0, 500), None, "that is on time");
        // Late by 8 ms: who is free gets a moment to say so, then they come by turns.
        assert_eq!((holds(0, 8000), holds(0, 8499), holds(0, 8500)), (Some(8500), Some(8500), None));
        assert_eq!((holds(400, 8500), holds(4000, 8501), holds(4000, 10_000)), (None, Some(10_000), None));
        // One that was held has its turn, however late the worker comes to that.
        assert_eq!((holds(8000, 10_000), holds(8000, 14_000)), (Some(12_000), None));
        // That was late once more, for those behind it.
        assert_eq!((holds(8200, 14_000), holds(14_000, 14_600)), (Some(14_500), Some(16_900)));
        assert_eq!(holds(16_500, 16_900), None);
    }

    #[test]
    fn nobody_waits_longer_than_half_of_what_the_worker_was_late() {
        let start = Instant::now();
        let (lag, now) = (Duration::from_millis(20), start + Duration::from_millis(20));
        let spread = Spread::new(start, now);
        for ms in 0..=40 {
            let due = start + Duration::from_millis(ms);
            let waits = spread.turn(due).saturating_duration_since(due.max(now));
            assert!(waits <= lag / 2, "{waits:?} at {ms} ms");
        }
        assert_eq!(spread.turn(now + lag), now + lag, "by then it has caught up");
    }
}
