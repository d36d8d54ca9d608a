//! An arrival on its way to a user, and the queue of those that wait for one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One arrival that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub scenario: usize,
    /// The phase run that it is due in.
    pub phase_run: u64,
    pub due: Instant,
    /// When a pacer, or a user that had become free, came to it.
    pub handled: Instant,
    /// How late the pacer was: the generator's own fault.
    pub lag: Duration,
    /// The target is away, and this one looks whether it is back.
    pub probe: bool,
}

/// How many arrivals of one scenario may wait; they take up to 12 MB.
const MOST: usize = 100_000;

/// Arrivals of one scenario that wait for a user to become free (`on_busy: {wait: …}`), over all workers: whichever
/// user is free first takes the one that has waited longest. In use only while all users are busy.
#[derive(Default)]
pub(super) struct WaitingRoom {
    length: AtomicUsize,
    queue: Mutex<VecDeque<(Arrival, Instant)>>,
}

impl WaitingRoom {
    /// Lets an arrival wait until `expires`, unless too many wait already.
    pub fn enter(&self, arrival: Arrival, expires: Instant) -> bool {
        let mut queue = self.lock();
        if queue.len() >= MOST {
            return false;
        }
        // Workers come a little out of order; the order of due times decides who is served.
        let place = queue.partition_point(|(other, _)| other.due <= arrival.due);
        queue.insert(place, (arrival, expires));
        self.length.store(queue.len(), Ordering::SeqCst);
        true
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.length.load(Ordering::SeqCst)
    }

    /// Whether nobody waits; see [`super::shared::FreeUsers::claim`].
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one that has waited longest, if it is `wanted`.
    pub fn next(&self, wanted: impl Fn(&Arrival) -> bool) -> Option<Arrival> {
        if self.is_empty() {
            return None;
        }
        let mut queue = self.lock();
        let next = if queue.front().is_some_and(|(arrival, _)| wanted(arrival)) { queue.pop_front() } else { None };
        self.length.store(queue.len(), Ordering::SeqCst);
        next.map(|(arrival, _)| arrival)
    }

    /// Those whose time is up by `now`, as far as they are `wanted`, and when the next one's will be.
    pub fn expire(&self, now: Instant, wanted: impl Fn(&Arrival) -> bool) -> (Vec<Arrival>, Option<Instant>) {
        if self.is_empty() {
            return (Vec::new(), None);
        }
        let mut queue = self.lock();
        let count = queue.iter().take_while(|(arrival, expires)| *expires <= now && wanted(arrival)).count();
        let expired = queue.drain(..count).map(|(arrival, _)| arrival).collect();
        self.length.store(queue.len(), Ordering::SeqCst);
        (expired, queue.front().map(|(_, expires)| *expires).filter(|expires| *expires > now))
    }

    /// All that wait in this phase run leave.
    pub fn clear(&self, phase_run: u64) -> Vec<Arrival> {
        let mut queue = self.lock();
        let (gone, stay): (VecDeque<_>, VecDeque<_>) = queue.drain(..).partition(|(arrival, _)| arrival.phase_run == phase_run);
        *queue = stay;
        self.length.store(queue.len(), Ordering::SeqCst);
        gone.into_iter().map(|(arrival, _)| arrival).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Arrival, Instant)>> {
        // A panic while it was held can't have left it half changed in a way that matters.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn served_by_due_time_expired_in_order_cleared_by_phase_run() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let arrival = |phase_run, due| Arrival {
            scenario: 0,
            phase_run,
            due: ms(due),
            handled: ms(due),
            lag: Duration::ZERO,
            probe: false,
        };
        let room = WaitingRoom::default();
        for (phase_run, due) in [(1, 20), (1, 10), (2, 30), (2, 40)] {
            assert!(room.enter(arrival(phase_run, due), ms(due + 100)));
        }
        assert_eq!(room.next(|_| true).map(|a| a.due), Some(ms(10)));
        assert!(room.next(|a| a.phase_run == 9).is_none());
        let (expired, next) = room.expire(ms(125), |_| true);
        assert_eq!(expired.iter().map(|a| a.due).collect::<Vec<_>>(), [ms(20)]);
        assert_eq!(next, Some(ms(130)));
        assert!(room.clear(1).is_empty());
        assert_eq!(room.clear(2).len(), 2);
        assert!(room.next(|_| true).is_none());
        let entered = (0..MOST as u64 + 5).filter(|due| room.enter(arrival(3, *due), ms(1_000_000))).count();
        assert_eq!((entered, room.clear(3).len()), (MOST, MOST), "no more may wait than can be remembered");
    }
}
