//! Evenly spaced: arrival n is due where the area under the rate reaches n + 1.
//!
//! So there is none at t = 0, the one due exactly at the end counts, and a fraction that a stage leaves over is carried into
//! the next. A due time is a function of n and the shape alone, never a sum of gaps, so that nothing drifts.
//! Bursts are merged in: they number before an arrival of the rate that is due at the same nanosecond.

use crate::load::{Shape, whole};
use std::time::Duration;

/// Consecutive arrivals of one kind.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The number of the first of them among all arrivals.
    first: u64,
    count: u64,
    /// When a burst is due; `None` for arrivals of the rate.
    at: Option<Duration>,
    /// The number of the first of them among the arrivals of the rate alone.
    under_rate: u64,
}

/// Evenly spaced arrivals of one worker.
#[derive(Debug, Clone)]
pub(super) struct Even {
    rate: Shape,
    runs: Vec<Run>,
    /// The run that the next arrival is in, or an earlier one.
    run: usize,
    next: Option<u64>,
    modulus: u64,
}

/// When the arrival `n` of the rate alone is due.
fn due(rate: &Shape, n: u64) -> Option<Duration> {
    rate.when(n as f64 + 1.0)
}

/// How many arrivals of the rate alone fulfil `early`, which holds up to some due time and not after: by halving, since due times
/// are rounded to nanoseconds and the area isn't.
fn count_while(rate: &Shape, early: impl Fn(Duration) -> bool) -> u64 {
    let (mut low, mut high) = (0, whole(rate.total_area()));
    while low < high {
        let middle = low + (high - low) / 2;
        if due(rate, middle).is_some_and(&early) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

impl Even {
    /// A worker's arrivals; `bursts` in the order of their times.
    pub(super) fn new(rate: &Shape, bursts: &[(Duration, u64)], index: u64, modulus: u64) -> Self {
        let total = whole(rate.total_area());
        let mut runs = vec![];
        let (mut first, mut under_rate) = (0, 0);
        let mut push = |count: u64, at: Option<Duration>, under_rate: u64| {
            if count > 0 {
                runs.push(Run { first, count, at, under_rate });
                first = first.saturating_add(count);
            }
        };
        for &(at, count) in bursts {
            let before = count_while(rate, |due| due < at);
            push(before - under_rate, None, under_rate);
            push(count, Some(at), 0);
            under_rate = before;
        }
        push(total - under_rate, None, under_rate);
        Self { rate: rate.clone(), runs, run: 0, next: Some(index), modulus }
    }

    pub(super) fn due_by(rate: &Shape, bursts: &[(Duration, u64)], t: Duration) -> u64 {
        let burst = bursts.iter().filter(|burst| burst.0 <= t).fold(0u64, |sum, burst| sum.saturating_add(burst.1));
        burst.saturating_add(count_while(rate, |due| due <= t))
    }

    pub(super) fn next(&mut self) -> Option<(u64, Duration)> {
        let n = self.next?;
        loop {
            let run = self.runs.get(self.run)?;
            let place = n - run.first;
            if place < run.count {
                self.next = n.checked_add(self.modulus);
                let due = match run.at {
                    Some(at) => at,
                    None => due(&self.rate, run.under_rate + place)?,
                };
                return Some((n, due));
            }
            self.run += 1;
        }
    }
}
