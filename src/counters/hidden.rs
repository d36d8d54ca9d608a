//! What a counter may have counted between its last sample and the reset behind it, which no sample shows.
//!
//! At most it is as much as one gap between samples holds at the counter's highest rate, and as many times more as that is above the
//! rate just before the reset: a load that changed as much between two samples may have changed as much once more. A counter that stood still
//! before the reset may have counted anything, whether or not it was ever seen to move: a load was about to begin.

use std::ops::Add;

use serde::{Deserialize, Serialize};

/// A rate over less than this many seconds says little.
const SHORT: f64 = 0.5;

/// Resets are the same ones if their times differ by less than this, in seconds.
const TOGETHER: f64 = 1e-3;

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

/// A reset between two samples, or what may be one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset {
    /// How far the samples are apart, in seconds.
    pub(super) gap: f64,
    /// How long the second one's scrape took, which the gap may be longer by.
    pub(super) took: f64,
    /// How much was counted between them.
    pub(super) counted: f64,
    /// The counter most likely went on, so that this is its rate before the reset as well.
    pub(super) went_on: bool,
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
    /// The times of the resets, added up: counters that reset together have the same.
    #[serde(default)]
    when: f64,
}

/// What resets may have hidden of one counter, or of several that reset together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Hidden {
    /// Whether there was a reset.
    reset: bool,
    /// The highest rates, added up.
    highest: f64,
    /// 1 by what the resets leave open: of one reset the rate before it by its gap.
    steady: f64,
    /// The times of the resets, added up; no number for several counters that didn't reset together.
    when: f64,
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

    /// Takes in the first sample after a reset: its time, and all that was counted up to it.
    pub(super) fn reset(&mut self, resets: &mut Resets, reset: &Reset, (time, sum): (f64, f64)) {
        let rate = reset.counted / reset.gap;
        resets.when += time;
        match self.before.into_iter().chain(reset.went_on.then_some(rate)).find(|rate| *rate > 0.0) {
            Some(before) => resets.open += (reset.gap + reset.took) / before,
            None => resets.blind += 1,
        }
        self.fresh(rate);
        self.window = Some((time, sum));
    }

    /// What is open where the counter went away without another sample: how long after its last one, at which it had counted `sum`.
    pub(super) fn vanished(mut self, mut resets: Resets, gap: f64, (time, sum): (f64, f64)) -> Resets {
        self.reset(&mut resets, &Reset { gap, took: 0.0, counted: 0.0, went_on: false }, (time, sum));
        self.so_far(resets)
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
        Self { reset: blind > 0 || open > 0.0, highest: to.highest, steady, when: to.when - from.when }
    }

    /// Any number.
    pub(super) fn unbounded() -> Self {
        Self { reset: true, highest: f64::INFINITY, steady: 0.0, when: f64::NAN }
    }

    /// Whether there was no reset.
    pub(crate) fn is_none(&self) -> bool {
        !self.reset
    }

    /// At most how much.
    pub(crate) fn most(&self) -> f64 {
        match self.steady {
            _ if !self.reset => 0.0,
            steady if steady > 0.0 => self.highest * self.highest / steady,
            _ => f64::INFINITY,
        }
    }
}

#[cfg(test)]
impl Hidden {
    /// By a reset that hid at most so much.
    pub(crate) fn bounded(most: f64) -> Self {
        Self { reset: true, highest: most, steady: most, when: 0.0 }
    }
}

impl Add for Hidden {
    type Output = Self;

    /// Of both together, where what resets one may reset the other: one that moved before the reset speaks for one that stood still.
    fn add(self, other: Self) -> Self {
        let together = (self.when - other.when).abs() < TOGETHER;
        let (steady, when) = match (self.reset, other.reset) {
            // Not the same resets: what each leaves open adds up.
            (true, true) if !together => ((self.steady.recip() + other.steady.recip()).recip(), f64::NAN),
            (true, _) => (self.steady + other.steady, self.when),
            (false, _) => (self.steady + other.steady, other.when),
        };
        Self { reset: self.reset || other.reset, highest: self.highest + other.highest, steady, when }
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
                true => {
                    let reset = Reset { gap: 5.0, took: 0.0, counted: rate * 5.0, went_on: false };
                    pace.reset(&mut resets, &reset, at);
                }
                false => pace.see(at.0, at.1),
            }
        }
        Hidden::between(&Resets::default(), &pace.so_far(resets))
    }

    #[test]
    fn a_steady_counter_hides_a_gap_and_one_that_changed_more() {
        assert_eq!(hidden(&[(10.0, false), (10.0, true), (10.0, false)]).most(), 50.0);
        assert_eq!(hidden(&[(10.0, false), (10.0, true), (10.0, true)]).most(), 100.0);
        // The rate after it, and the highest at any time, show what load there is.
        assert_eq!(hidden(&[(10.0, false), (20.0, true), (10.0, false)]).most(), 200.0);
        assert_eq!(hidden(&[(40.0, false), (10.0, false), (10.0, true)]).most(), 800.0);
        assert_eq!(hidden(&[(40.0, false), (10.0, false)]).most(), 0.0);
    }

    #[test]
    fn what_stood_still_before_may_have_counted_anything() {
        assert_eq!(hidden(&[(0.0, false), (10.0, true), (10.0, false)]).most(), f64::INFINITY);
        assert_eq!(hidden(&[(10.0, true)]).most(), f64::INFINITY);
        assert_eq!(hidden(&[(0.0, false), (0.0, true), (0.0, false)]).most(), f64::INFINITY, "no sample saw it move");
        assert_eq!(hidden(&[(0.0, false), (0.0, false)]).most(), 0.0, "it didn't start again");
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
    fn counters_that_reset_at_other_times_speak_for_themselves_alone() {
        let a = hidden(&[(10.0, false), (10.0, true), (10.0, false), (10.0, true)]);
        // The first reset found it at 0, so that nothing shows it; before the second it was fast.
        let b = hidden(&[(0.0, false), (0.0, false), (1e3, false), (1e3, true)]);
        assert!((a + b).most() >= 1010.0 * 1010.0 * 0.5, "{:?}", a + b);
        let still = hidden(&[(5.0, false), (0.0, false), (0.0, true)]);
        assert_eq!((a + still).most(), f64::INFINITY);
    }

    #[test]
    fn samples_close_to_each_other_are_no_burst() {
        let mut pace = Pace::default();
        [(0.0, 0.0), (9.9, 99.0), (10.0, 150.0), (15.0, 150.0)].iter().for_each(|(time, sum)| pace.see(*time, *sum));
        assert!(pace.highest < 11.0, "{pace:?}");
    }
}
