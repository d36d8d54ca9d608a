//! What an iteration takes, as far as a profile says: its pauses, its limits of time, its requests.

use std::time::Duration;

use super::LONGEST;
use crate::measure::StepId;

/// What the loads need to know of a scenario.
#[derive(Debug, Default, Clone)]
pub(in crate::plan) struct Pace {
    /// How long an iteration may take at most: its time limits and its longest pauses.
    pub longest: Duration,
    /// The mean of its pauses.
    pub pauses: Duration,
    /// How often each step is done in the mean.
    pub requests: Vec<(StepId, f64)>,
}

impl Pace {
    /// Adds a pause.
    pub fn pause(&mut self, mean: Duration, longest: Duration) {
        self.pauses = self.pauses.saturating_add(mean).min(LONGEST);
        self.longest = self.longest.saturating_add(longest).min(LONGEST);
    }

    /// Adds a request with its limit of time.
    pub fn request(&mut self, step: StepId, timeout: Duration) {
        self.longest = self.longest.saturating_add(timeout).min(LONGEST);
        self.requests.push((step, 1.0));
    }

    /// What comes after.
    pub fn then(&mut self, next: Pace) {
        self.pause(next.pauses, next.longest);
        self.requests.extend(next.requests);
    }

    /// So many times the same.
    pub fn times(mut self, n: f64) -> Pace {
        self.pauses = multiplied(self.pauses, n);
        self.longest = multiplied(self.longest, n.ceil());
        self.requests.iter_mut().for_each(|(_, times)| *times *= n);
        self
    }

    /// One of several, each with its share: the mean of the pauses, and the longest.
    pub fn either(branches: impl IntoIterator<Item = (f64, Pace)>) -> Pace {
        let mut all = Pace::default();
        for (share, branch) in branches {
            let longest = all.longest.max(branch.longest);
            all.then(Pace { longest: Duration::ZERO, ..branch }.times(share));
            all.longest = longest;
        }
        all
    }
}

fn multiplied(length: Duration, by: f64) -> Duration {
    Duration::try_from_secs_f64(length.as_secs_f64() * by).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_count_by_their_shares_and_turns_by_their_number() {
        let of = |seconds: u64, step: u32| {
            let mut pace = Pace::default();
            pace.pause(Duration::from_secs(seconds), Duration::from_secs(2 * seconds));
            pace.request(StepId(step), Duration::from_secs(30));
            pace
        };
        let pace = Pace::either([(0.75, of(4, 0)), (0.25, of(8, 1))]);
        assert_eq!((pace.pauses, pace.longest), (Duration::from_secs(5), Duration::from_secs(46)));
        assert_eq!(pace.requests, [(StepId(0), 0.75), (StepId(1), 0.25)]);
        let pace = pace.times(4.0);
        assert_eq!((pace.pauses, pace.longest), (Duration::from_secs(20), Duration::from_secs(184)));
        assert_eq!(pace.requests, [(StepId(0), 3.0), (StepId(1), 1.0)]);
        assert_eq!(of(4, 0).times(1e30).longest, LONGEST);
    }
}
