//! What a counter may have counted between its last sample and the reset behind it, which no sample tells.
//!
//! At most it is as much as one gap between samples holds at the counter's highest rate, and as many times more as that is above the
//! rate just before the reset: a load that changed as much between two samples may have changed as much once more. A counter that stood still
//! before the reset, and moved at any other time, may have counted anything: a load was about to begin.

use std::ops::Add;

use serde::{Deserialize, Serialize};

/// A rate over less than this many seconds says little.
const SHORT: f64 = 0.5;

/// How fast a counter counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Where the present window begins: time and sum.
    window: Option<(f64, f64)>,
    /// Over the last window, a second.
    before: Option<f64>,
    /// The highest over any window.
    highest: f64,
}

/// What the resets up to a sample leave open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Resets {
    /// Of those before which the counter moved: the gap by the rate before it, added up.
    open: f64,
    /// Those before which it stood still, or was seen only once.
    blind: u64,
    /// The highest rate so far, a second.
    highest: f64,
}

/// What resets may have hidden of one counter, or of several that reset together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Hidden {
    /// Whether there was a reset.
    reset: bool,
    /// The highest rates, added up.
    highest: f64,
    /// The rates before the resets, each by its gap, added up.
    steady: f64,
}

impl Pace {
    /// Takes in a sample: its time, and all that was counted up to it.
    pub(super) fn see(&mut self, time: f64, sum: f64) {
        let Some((begun, from)) = self.window else {
            self.window = Some((time, sum));
            return;
        };
        if time - begun >= SHORT {
            self.fresh((sum - from) / (time - begun));
            self.window = Some((time, sum));
        }
    }

    /// Takes in the first sample after a reset: how much it counted, after what gap.
    pub(super) fn reset(&mut self, resets: &mut Resets, gap: f64, counted: f64, (time, sum): (f64, f64)) {
        match self.before.filter(|rate| *rate > 0.0) {
            Some(rate) => resets.open += gap / rate,
            None => resets.blind += 1,
        }
        self.fresh(counted / gap);
        self.window = Some((time, sum));
    }

    fn fresh(&mut self, rate: f64) {
        self.before = Some(rate);
        self.highest = self.highest.max(rate);
    }

    /// What is open up to the sample that was seen last.
    pub(super) fn so_far(&self, resets: Resets) -> Resets {
        Resets { highest: self.highest, ..resets }
    }
}

impl Hidden {
    /// Between two samples.
    pub(super) fn between(from: &Resets, to: &Resets) -> Self {
        let (open, blind) = (to.open - from.open, to.blind - from.blind);
        let steady = if blind > 0 || open <= 0.0 { 0.0 } else { open.recip() };
        Self { reset: blind > 0 || open > 0.0, highest: to.highest, steady }
    }

    /// Whether there was no reset.
    pub(crate) fn is_none(&self) -> bool {
        !self.reset
    }

    /// At most how much.
    pub(crate) fn most(&self) -> f64 {
        if !self.reset || self.highest <= 0.0 {
            return 0.0;
        }
        if self.steady > 0.0 { self.highest * self.highest / self.steady } else { f64::INFINITY }
    }
}

#[cfg(test)]
impl Hidden {
    /// By a reset that hid at most so much.
    pub(crate) fn bounded(most: f64) -> Self {
        Self { reset: true, highest: most, steady: most }
    }
}

impl Add for Hidden {
    type Output = Self;

    /// Of both together, where what resets one may reset the other: one that moved before the reset speaks for one that stood still.
    fn add(self, other: Self) -> Self {
        Self { reset: self.reset || other.reset, highest: self.highest + other.highest, steady: self.steady + other.steady }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts at these rates over gaps of 5 s each; a reset ends the gap of each that is marked.
    fn hidden(rates: &[(f64, bool)]) -> Hidden {
        let (mut pace, mut resets, mut sum) = (Pace::default(), Resets::default(), 0.0);
        pace.see(0.0, 0.0);
        for (n, (rate, reset)) in rates.iter().enumerate() {
            sum += rate * 5.0;
            let at = (5.0 * (n + 1) as f64, sum);
            match reset {
                true => pace.reset(&mut resets, 5.0, rate * 5.0, at),
                false => pace.see(at.0, at.1),
            }
        }
        Hidden::between(&Resets::default(), &pace.so_far(resets))
    }

    #[test]
    fn a_steady_counter_hides_a_gap_and_one_that_changed_more() {
        assert_eq!(hidden(&[(10.0, false), (10.0, true), (10.0, false)]).most(), 50.0);
        assert_eq!(hidden(&[(10.0, false), (10.0, true), (10.0, true)]).most(), 100.0);
        // The rate after it, and the highest at any time, tell what load there is.
        assert_eq!(hidden(&[(10.0, false), (20.0, true), (10.0, false)]).most(), 200.0);
        assert_eq!(hidden(&[(40.0, false), (10.0, false), (10.0, true)]).most(), 800.0);
        assert_eq!(hidden(&[(40.0, false), (10.0, false)]).most(), 0.0);
    }

    #[test]
    fn what_stood_still_before_may_have_counted_anything() {
        assert_eq!(hidden(&[(0.0, false), (10.0, true), (10.0, false)]).most(), f64::INFINITY);
        assert_eq!(hidden(&[(10.0, true)]).most(), f64::INFINITY);
        assert_eq!(hidden(&[(0.0, false), (0.0, true), (0.0, false)]).most(), 0.0, "it never moved");
    }

    #[test]
    fn one_that_moved_speaks_for_one_that_stood_still_in_the_same_system() {
        let (hits, misses) = (hidden(&[(100.0, false), (50.0, true)]), hidden(&[(0.0, false), (50.0, true)]));
        assert_eq!((misses.most(), (hits + misses).most()), (f64::INFINITY, 150.0 * 150.0 * 5.0 / 100.0));
        // One whose reset wasn't seen, since it stood at 0, has its rate all the same.
        let unseen = hidden(&[(0.0, false), (50.0, false)]);
        assert_eq!((hits + unseen).most(), (hits + misses).most());
    }

    #[test]
    fn samples_close_to_each_other_are_no_burst() {
        let mut pace = Pace::default();
        [(0.0, 0.0), (9.9, 99.0), (10.0, 150.0), (15.0, 150.0)].iter().for_each(|(time, sum)| pace.see(*time, *sum));
        assert!(pace.highest < 11.0, "{pace:?}");
    }
}
