//! A Poisson process: arrivals independent of each other.
//!
//! A process of rate 1 has independent exponential gaps of mean 1; its k-th arrival, carried to where the area under the rate
//! reaches the same value, is an arrival of the process of that rate (the time change theorem; Cinlar, Introduction to Stochastic
//! Processes, 1975, chapter 4). So ramps need no thinning, and every number drawn is used.
//! Each worker draws the whole stream of the seed and keeps its own: the numbering is the same everywhere.

use crate::base::random::Stream;
use crate::load::Shape;
use std::time::Duration;

/// A worker's arrivals of a Poisson process.
#[derive(Debug, Clone)]
pub(super) struct Poisson {
    rate: Shape,
    /// The area under the whole rate.
    area: f64,
    random: Stream,
    /// The area at which the next arrival of the rate is due, and when that is.
    reached: f64,
    due: Option<Duration>,
    /// Bursts that are still to come, the next one last.
    bursts: Vec<(Duration, u64)>,
    /// The number of the next arrival of all.
    n: u64,
    index: u64,
    modulus: u64,
}

impl Poisson {
    /// A worker's arrivals; `bursts` in the order of their times.
    pub(super) fn new(rate: &Shape, mut bursts: Vec<(Duration, u64)>, seed: u64, index: u64, modulus: u64) -> Self {
        bursts.reverse();
        let random = Stream::keyed(&[seed]);
        let mut poisson =
            Self { rate: rate.clone(), area: rate.total_area(), random, reached: 0.0, due: None, bursts, n: 0, index, modulus };
        poisson.draw();
        poisson
    }

    /// Draws the next arrival of the rate.
    fn draw(&mut self) {
        self.reached += self.random.exponential();
        // Without the tolerance of whole numbers: an area means nothing exact here.
        self.due = if self.reached <= self.area { self.rate.when(self.reached) } else { None };
    }

    pub(super) fn due_by(rate: &Shape, bursts: &[(Duration, u64)], seed: u64, t: Duration) -> u64 {
        let burst = bursts.iter().filter(|burst| burst.0 <= t).fold(0u64, |sum, burst| sum.saturating_add(burst.1));
        let mut all = Self::new(rate, Vec::new(), seed, 0, 1);
        let mut count = 0;
        while all.due.is_some_and(|due| due <= t) {
            count += 1;
            all.draw();
        }
        burst.saturating_add(count)
    }

    pub(super) fn next(&mut self) -> Option<(u64, Duration)> {
        loop {
            if let Some((at, count)) = self.bursts.last_mut()
                && self.due.is_none_or(|due| *at <= due)
            {
                // The next of its own within the burst, without counting through what isn't.
                let ahead = (self.index + self.modulus - self.n % self.modulus) % self.modulus;
                if ahead < *count {
                    *count -= ahead + 1;
                    let item = (self.n + ahead, *at);
                    self.n += ahead + 1;
                    return Some(item);
                }
                self.n += *count;
                self.bursts.pop();
                continue;
            }
            let due = self.due?;
            let n = self.n;
            self.n += 1;
            self.draw();
            if n % self.modulus == self.index {
                return Some((n, due));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arrivals, Spacing};
    use crate::load::{Piece, Shape};
    use std::time::Duration;

    fn ramp(seed: u64) -> Arrivals {
        let rate = Shape::new(vec![Piece { duration: Duration::from_secs(100), from: 0.0, to: 400.0 }]);
        Arrivals { rate, bursts: vec![], spacing: Spacing::Poisson { seed } }
    }

    /// Seeded, so it passes or fails for good: the bounds are five standard deviations.
    #[test]
    fn counts_and_gaps_are_those_of_a_poisson_process() {
        let arrivals = ramp(7);
        let dues: Vec<Duration> = arrivals.stream(0, 1).map(|arrival| arrival.1).collect();
        assert!((dues.len() as f64 - 20_000.0).abs() < 5.0 * 20_000f64.sqrt(), "{}", dues.len());
        // In equal parts of the area the counts have variance = mean (index of dispersion 1).
        let mut counts = [0f64; 200];
        for due in &dues {
            let part = arrivals.rate.area(*due) / 20_000.0 * 200.0;
            counts[(part as usize).min(199)] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / 200.0;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 199.0;
        assert!((variance / mean - 1.0).abs() < 5.0 * (2.0f64 / 199.0).sqrt(), "{variance} {mean}");
        // A gap in area is longer than 1 with probability 1/e.
        let long = dues.windows(2).filter(|w| arrivals.rate.area(w[1]) - arrivals.rate.area(w[0]) > 1.0).count() as f64;
        assert!((long / dues.len() as f64 - (-1f64).exp()).abs() < 5.0 * (0.2325 / 20_000f64).sqrt(), "{long}");
    }

    #[test]
    fn a_seed_fixes_them_and_another_changes_them() {
        let take = |seed| ramp(seed).stream(0, 1).take(20).collect::<Vec<_>>();
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
    }
}
