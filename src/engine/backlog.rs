//! The queue that a pause of the generator leaves behind: what waits in it waits for the pause, too.

use std::time::{Duration, Instant};

/// A shorter wait is no queue.
pub(super) const LEAST: Duration = Duration::from_millis(1);

/// For how long there has been a queue, for a scenario's users or for the connections that they share, and how long workers stood
/// still meanwhile. Once it has been empty, an earlier pause is no excuse.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    stretch: Option<Stretch>,
    /// The last pause.
    pause: Option<(Instant, Instant)>,
    /// Arrivals that would have been served meanwhile at most, and that take the place of later ones: each may be why one of those is
    /// dropped.
    displaced: u64,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Instant,
    to: Instant,
    /// The longest that any one worker stood still in it, together.
    paused: Duration,
}

impl Backlog {
    /// Something that was due at `due` had to wait until `until`. Answers how much of that the generator may be to blame for;
    /// `paused` says for how many nanoseconds a worker stood still between two moments.
    pub fn waited(&mut self, due: Instant, until: Instant, paused: impl FnOnce(Instant, Instant) -> u64) -> Duration {
        let wait = until.saturating_duration_since(due);
        if wait < LEAST {
            return Duration::ZERO;
        }
        let alone = Stretch { from: due, to: until, paused: Duration::ZERO };
        let mut stretch = match self.stretch {
            Some(last) if due <= last.to => Stretch { from: last.from.min(due), to: last.to.max(until), ..last },
            _ => alone,
        };
        stretch.paused = stretch.paused.max(Duration::from_nanos(paused(stretch.from, stretch.to)));
        self.stretch = Some(stretch);
        wait.min(stretch.paused)
    }

    /// A worker stood still while so many arrivals waited. Those of workers that stood still together are the same.
    pub fn stood(&mut self, from: Instant, to: Instant, waiting: usize) {
        let together = self.pause.filter(|pause| pause.1 > from);
        if together.is_none() {
            self.displaced += waiting as u64;
        }
        self.pause = Some(together.map_or((from, to), |pause| (pause.0.min(from), pause.1.max(to))));
    }

    /// An arrival comes late, since a worker stood still.
    pub fn comes_late(&mut self) {
        self.displaced += 1;
    }

    /// An arrival is dropped, since nobody is free. Answers whether a pause may be why. It isn't any more once an arrival found somebody
    /// free (at `calm` the last one did), and the users that were busy behind the pause have had as long as that.
    pub fn drops(&mut self, calm: Option<Instant>) -> bool {
        let over = |(from, to): (Instant, Instant)| calm.is_some_and(|calm| calm > to + to.saturating_duration_since(from));
        if self.pause.is_none_or(over) {
            self.displaced = 0;
        }
        let displaced = self.displaced > 0;
        self.displaced = self.displaced.saturating_sub(1);
        displaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::nanos;

    #[test]
    fn a_pause_counts_until_the_queue_was_empty() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // The worker stood still from 1,000 ms to 1,500 ms.
        let paused = |from: Instant, to: Instant| nanos(to.min(at(1500)).saturating_duration_since(from.max(at(1000))));
        let mut backlog = Backlog::default();
        let mut waited = |due, until| backlog.waited(at(due), at(until), paused).as_millis();
        assert_eq!(waited(900, 950), 0, "before it");
        assert_eq!(waited(1010, 1510), 490, "all of the pause that it saw");
        assert_eq!(waited(1400, 2100), 490, "no longer than the pause");
        assert_eq!(waited(1900, 2200), 300, "due after it, and behind those that were due in it");
        assert_eq!(waited(2150, 2450), 300);
        assert_eq!(waited(2460, 2900), 0, "the queue was empty");
        assert_eq!(waited(1500, 1500), 0, "nothing waited");
    }

    #[test]
    fn a_pause_is_why_as_many_are_dropped_as_it_kept_from_being_served() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut backlog = Backlog::default();
        let dropped = |backlog: &mut Backlog, calm| (0..100).filter(|_| backlog.drops(calm)).count();
        assert_eq!(dropped(&mut backlog, None), 0, "the target alone");
        // Two workers stood still together while 5 waited, and 10 came meanwhile.
        for _ in 0..2 {
            backlog.stood(at(1000), at(1500), 5);
            (0..5).for_each(|_| backlog.comes_late());
        }
        assert_eq!(dropped(&mut backlog, Some(at(990))), 15);
        assert_eq!(dropped(&mut backlog, Some(at(990))), 0, "a target that hangs all the time is to blame for the rest");
        backlog.stood(at(3000), at(3500), 5);
        assert!(backlog.drops(Some(at(3900))), "some may still be busy for it");
        assert_eq!(dropped(&mut backlog, Some(at(4001))), 0, "somebody was free long after it");
    }
}
