//! Whether a worker goes on: it beats with all that it does and at least every [`BEAT`], and where it hasn't, it stood still. The
//! process was stopped, the machine starved, or something kept the worker for itself; whatever was under way took longer for it.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::gaps::Gaps;
use crate::base::units::nanos;

/// How often a worker beats at least.
pub(super) const BEAT: Duration = Duration::from_millis(50);
/// A beat that is later than this shows a pause. A shorter one can't be distinguished from a machine that has other work, too.
const PAUSE: Duration = Duration::from_millis(100);
/// Pauses that are kept apart.
const MOST: usize = 1024;

/// One for each worker.
#[derive(Debug)]
pub(super) struct Pulse {
    begun: Instant,
    last: Cell<Instant>,
    pauses: RefCell<Gaps<MOST>>,
}

impl Pulse {
    /// A worker that begins now.
    pub fn new(now: Instant) -> Self {
        Self { begun: now, last: Cell::new(now), pauses: RefCell::default() }
    }

    /// The worker is at work at `now`. Since when it stood still, if it did.
    #[inline]
    pub fn beat(&self, now: Instant) -> Option<Instant> {
        let last = self.last.get();
        if now <= last {
            return None;
        }
        self.last.set(now);
        if now - last <= BEAT + PAUSE {
            return None;
        }
        self.pauses.borrow_mut().add(last, now, nanos(now - last));
        Some(last)
    }

    /// What its clock showed at `at`, in nanoseconds since it began: a clock that stands still where the worker does.
    #[inline]
    pub fn clock(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.begun)).saturating_sub(self.paused_within(self.begun, at))
    }

    /// How long it stood still between two moments, in nanoseconds, as far as its beats show.
    #[inline]
    pub fn paused_within(&self, from: Instant, to: Instant) -> u64 {
        self.pauses.borrow().within(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_is_late_shows_a_pause() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let pulse = Pulse::new(start);
        for at in [50, 100, 90, 250] {
            assert_eq!(pulse.beat(ms(at)), None, "{at}");
        }
        assert_eq!(pulse.beat(ms(401)), Some(ms(250)));
        assert_eq!(pulse.beat(ms(401)), None);
        assert_eq!(pulse.beat(ms(3401)), Some(ms(401)), "pauses may follow each other");
        let within = |from, to| pulse.paused_within(ms(from), ms(to)) / 1_000_000;
        assert_eq!(
            [within(0, 250), within(0, 300), within(300, 350), within(260, 9999), within(3401, 9999)],
            [0, 50, 50, 3141, 0]
        );
        assert_eq!([200, 250, 300, 401, 3401, 3411].map(|at| pulse.clock(ms(at)) / 1_000_000), [200, 250, 250, 250, 250, 260]);
    }
}
