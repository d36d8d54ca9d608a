//! The clock of a run.

use std::time::{Duration, Instant, SystemTime};

use super::process::unix_time;

/// The wall clock as it went when a run began: its times stay in order, and the durations between them right, whatever the wall clock is set
/// to meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: (Instant, SystemTime),
}

impl Default for Clock {
    fn default() -> Self {
        Self { began: (Instant::now(), SystemTime::now()) }
    }
}

impl Clock {
    /// When it began.
    pub fn began(&self) -> SystemTime {
        self.began.1
    }

    /// The time of an instant.
    pub fn wall(&self, at: Instant) -> SystemTime {
        let (instant, wall) = self.began;
        match at.checked_duration_since(instant) {
            Some(after) => wall + after,
            None => wall - instant.duration_since(at),
        }
    }

    /// The present time.
    pub fn now(&self) -> SystemTime {
        self.wall(Instant::now())
    }

    /// How long until a time (Unix seconds); zero if it is over.
    pub fn until(&self, time: f64) -> Duration {
        Duration::try_from_secs_f64(time - unix_time(self.now())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_as_it_began() {
        let second = Duration::from_secs(1);
        let clock = Clock::default();
        let later = Instant::now() + second;
        assert!(clock.wall(later) - second >= clock.began());
        assert_eq!(clock.wall(later + second), clock.wall(later) + second);
        assert_eq!(clock.wall(clock.began.0 - second), clock.began() - second);
        assert_eq!(clock.until(unix_time(clock.began())), Duration::ZERO);
        assert!(clock.until(unix_time(clock.now()) + 60.0) > 59 * second);
    }
}
