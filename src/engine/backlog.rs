//! The queue that a pause of the generator leaves behind: what waits in it waits for the pause, too.

use std::time::{Duration, Instant};

/// A shorter wait is no queue.
const LEAST: Duration = Duration::from_millis(1);

/// For how long there has been a queue, for a scenario's users or for the connections that they share, and how long workers stood
/// still meanwhile. Once it has been empty, an earlier pause is no excuse.
#[derive(Debug, Default)]
pub(super) struct Backlog(Option<Stretch>);

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
        let mut stretch = match self.0 {
            Some(last) if due <= last.to => Stretch { from: last.from.min(due), to: last.to.max(until), ..last },
            _ => alone,
        };
        stretch.paused = stretch.paused.max(Duration::from_nanos(paused(stretch.from, stretch.to)));
        self.0 = Some(stretch);
        wait.min(stretch.paused)
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
}
