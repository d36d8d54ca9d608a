//! Arrivals for which nobody is free, and which wait a moment for somebody who will be.
//!
//! Some the worker itself comes to late. It finds many of them at once, while the answers that would make users free lie unread: a
//! new user for each would open connections that the load doesn't need. So new users are made for them by a third
//! faster than they were due, until that has caught up, and a user that becomes free meanwhile takes the next one at once. What that adds is
//! the generator's lag and recorded as such: three quarters of the worker's own lateness at most, whatever the target does.
//!
//! Others find far more users busy than mostly are: a fast target stands still for a moment. They wait for [`MOMENT`] at most, which is
//! the generator's lag, too. A target that has become slow is believed some hundred arrivals later.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Mode, Pool};

/// An arrival that the worker comes to so long after it was due is late; timers and other work take as much at times. As long the users have at
/// least to become free.
const LATE: Duration = Duration::from_micros(500);

/// So long an arrival waits at most where far more users are busy than mostly are.
const MOMENT: Duration = Duration::from_millis(5);
/// As many users a worker has in any case.
const FEW: f64 = 16.0;
/// Far more than mostly: so many times.
const FAR_MORE: f64 = 3.0;

/// How many users arrivals find busy, on the average over the last [`Busy::OVER`] or so.
#[derive(Debug)]
pub(super) struct Busy(Cell<f64>);

impl Busy {
    const OVER: f64 = 512.0;
    /// Before anything is known: a target is slow until it has shown that it is fast.
    const UNKNOWN: f64 = 1e3;

    /// An arrival finds so many busy.
    pub(super) fn see(&self, busy: u32) {
        self.0.set(self.0.get() + (f64::from(busy) - self.0.get()) / Self::OVER);
    }

    /// Whether so many users are far more than the load mostly needs.
    fn has_plenty(&self, users: u64) -> bool {
        users as f64 >= FEW.max(FAR_MORE * self.0.get())
    }
}

impl Default for Busy {
    fn default() -> Self {
        Self(Cell::new(Self::UNKNOWN))
    }
}

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
    /// Whether an arrival waits for a user to become free before a new one is made, and until when.
    pub fn holds(&self, due: Instant, now: Instant) -> Option<Instant> {
        let state = self.state.borrow();
        // Whoever is busy may become free; without anybody there is nothing to wait for.
        let may_free = self.running.get() > 0 && !state.idle.is_at_work();
        let fresh = matches!(state.mode, Mode::Open { most, .. } if state.present < most) || state.idle.len() > 0;
        let until = if may_free && fresh && !self.starts {
            let moment = Some(due + MOMENT).filter(|until| *until > now && self.busy.has_plenty(state.present));
            Spread::holds(&mut self.late.borrow_mut(), due, now).max(moment)
        } else {
            None
        };
        self.holds.set(until.is_some());
        until
    }

    /// No arrival is late any more, and none waits.
    pub fn is_on_time(&self) {
        self.holds.set(false);
        *self.late.borrow_mut() = None;
    }

    /// A user became free: the worker's loop comes to an arrival that waits for one.
    pub(super) fn frees(&self) {
        if self.holds.get() {
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

    /// So many users there are in the end at 10,000 arrivals a second for a second, where an answer takes as long as it says for the time.
    fn users_with(answers_in: impl Fn(u64) -> u64) -> (usize, u64) {
        let (busy, mut users, mut longest) = (Busy::default(), Vec::<u64>::new(), 0);
        for due in (0..1_000_000).step_by(100) {
            busy.see(users.iter().filter(|free| **free > due).count() as u32);
            let waits = if busy.has_plenty(users.len() as u64) { MOMENT.as_micros() as u64 } else { 0 };
            match users.iter_mut().min().filter(|free| **free <= due + waits) {
                Some(user) => {
                    let begins = due.max(*user);
                    longest = longest.max(begins - due);
                    *user = begins + answers_in(begins);
                }
                None => {
                    longest = longest.max(waits);
                    users.push(due + waits + answers_in(due + waits));
                }
            }
        }
        (users.len(), longest)
    }

    #[test]
    fn a_fast_target_that_stands_still_for_a_moment_gets_no_more_connections_than_it_needs() {
        let stands_still =
            |for_us: u64| move |now: u64| if (500_000..500_000 + for_us).contains(&now) { 500_000 + for_us - now } else { 300 };
        assert!(users_with(stands_still(0)).0 <= 4);
        assert!(users_with(stands_still(9000)).0 <= 64);
        // A slow one gets what it needs, and at once.
        assert_eq!(users_with(|_| 100_000), (1000, 0));
        // One that becomes slow gets it after some hundred arrivals.
        let (users, longest) = users_with(|now| if now < 500_000 { 300 } else { 100_000 });
        assert!((950..=1060).contains(&users) && longest <= 5000, "{users} {longest}");
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
