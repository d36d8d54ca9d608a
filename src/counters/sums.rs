//! What a series counted up to a sample, in a form that is exact to the unit.

use serde::{Deserialize, Serialize};

use super::hidden::Resets;
use super::kind::MetricKind;

/// What was counted up to a sample: its value, and what was counted before the counter began at 0 the last time. The two are kept
/// apart, for near 2^53 their sum isn't exact to the unit. The zero of the scale is a counter's value 0 before its first sample;
/// whether that first sample was counted since it came up isn't sure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) time: f64,
    pub(super) value: f64,
    /// What comes to the value: at least, most likely, and at most.
    pub(super) base: [f64; 3],
    pub(super) resets: u64,
    pub(super) open: Resets,
}

/// The places in [`Sums::base`].
pub(super) const LEAST: usize = 0;
pub(super) const LIKELY: usize = 1;
pub(super) const MOST: usize = 2;

/// Where counters that count modulo 2^53 begin again, since beyond it a float doesn't hold every whole number.
pub(super) const WRAP: f64 = 9_007_199_254_740_992.0;

impl Sums {
    /// A series' first sample, which may not have been counted since it came up.
    pub(super) fn first(kind: MetricKind, (time, value): (f64, f64)) -> Self {
        let unsure = if kind == MetricKind::Counter { -value } else { 0.0 };
        Self { time, value, base: [unsure, 0.0, 0.0], ..Self::default() }
    }

    /// What was there before a sample, where no earlier one says so: nothing is sure of a counter, and of a gauge the same.
    pub(super) fn unseen(&self) -> Self {
        if self.base[LEAST] < 0.0 { Self { value: 0.0, base: [0.0; 3], ..*self } } else { *self }
    }

    /// What was counted since an earlier sample.
    pub(super) fn since(&self, earlier: &Self, bound: usize) -> f64 {
        (self.value - earlier.value) + (self.base[bound] - earlier.base[bound])
    }

    /// All that was counted, most likely.
    pub(super) fn total(&self) -> f64 {
        self.value + self.base[LIKELY]
    }
}
