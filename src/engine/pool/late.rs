//! Arrivals that the worker itself comes to late. It finds many of them at once, while the answers that would make users free lie unread: a
//! new user for each would open connections that the load doesn't need. So new users are made for them by a third
//! faster than they were due, until that has caught up, and a user that becomes free meanwhile takes the next one at once. What that adds is
//! the generator's lag and recorded as such: three quarters of the worker's own lateness at most, whatever the target does.

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
        let pace = (due + self.lag).saturating_duration_since(self.from) * 3 / 4;
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
    fn what_comes_late_is_given_out_a_third_faster_until_that_has_caught_up() {
        let start = Instant::now();
        let us = |us| start + Duration::from_micros(us);
        let mut late = None;
        let mut holds = |due, now| Spread::holds(&mut late, us(due), us(now)).map(|at| at.duration_since(start).as_micros());
        assert_eq!(holds(0, 500), None, "that is on time");
        // Late by 8 ms: who is free gets a moment to say so, then they come by turns.
        assert_eq!((holds(0, 8000), holds(0, 8499), holds(0, 8500)), (Some(8500), Some(8500), None));
        assert_eq!((holds(400, 8500), holds(4000, 8501), holds(4000, 11_000)), (None, Some(11_000), None));
        // One that was held has its turn, however late the worker comes to that.
        assert_eq!((holds(8000, 11_000), holds(8000, 16_000)), (Some(14_000), None));
        // That was late once more, for those behind it.
        assert_eq!((holds(8200, 16_000), holds(14_000, 16_600)), (Some(16_500), Some(20_350)));
        assert_eq!(holds(20_000, 20_350), None);
    }

    /// So many users there are in the end, of `users` that are busy at first, where a worker stood still for 100 ms at 10,000 arrivals a second.
    fn users_after_a_pause(mut users: Vec<u64>, answers_in: u64) -> usize {
        let start = Instant::now();
        let us = |us| start + Duration::from_micros(us);
        let mut late = None;
        let mut due = (0..4000).map(|n| n * 100).peekable();
        for now in (100_000..600_000).step_by(20) {
            while let Some(next) = due.peek().copied().filter(|due| *due <= now) {
                match users.iter_mut().find(|free| **free <= now) {
                    Some(user) => *user = now + answers_in,
                    None if Spread::holds(&mut late, us(next), us(now)).is_some() => break,
                    None => users.push(now + answers_in),
                }
                due.next();
            }
        }
        assert_eq!(due.next(), None, "all have been given out");
        users.len()
    }

    #[test]
    fn a_pause_makes_few_more_users_than_the_load_needs() {
        // Answered within 4 ms the load needs 40.
        let busy = |users: u64, until: u64| (0..users).map(|user| 100_000 + until * user / users).collect::<Vec<u64>>();
        assert!(users_after_a_pause(busy(40, 4000), 4000) <= 64);
        assert!(users_after_a_pause(busy(1, 3000), 3000) <= 64);
        assert!(users_after_a_pause(busy(10, 1000), 1000) <= 24);
        // Where nothing is answered each arrival has a user of its own.
        assert_eq!(users_after_a_pause(busy(40, 4000), 10_000_000), 4000);
    }

    #[test]
    fn nobody_waits_longer_than_three_quarters_of_what_the_worker_was_late() {
        let start = Instant::now();
        let (lag, now) = (Duration::from_millis(20), start + Duration::from_millis(20));
        let spread = Spread::new(start, now);
        for ms in 0..=80 {
            let due = start + Duration::from_millis(ms);
            let waits = spread.turn(due).saturating_duration_since(due.max(now));
            assert!(waits <= lag * 3 / 4, "{waits:?} at {ms} ms");
        }
        assert_eq!(spread.turn(now + lag * 3), now + lag * 3, "by then it has caught up");
    }
}
