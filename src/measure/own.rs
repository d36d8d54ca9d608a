//! What scenarios put into the metrics of the profile's own.

use serde::{Deserialize, Serialize};

use super::arith::{less, take};
use super::atoms::{Cell, Count, Float};
use super::outcomes::Lazy;
use super::sparse::Sparse;

/// What one scenario put into one of the profile's own metrics.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OwnTotals {
    /// The sum, of a counter.
    pub counter: f64,
    /// The values, of a histogram.
    pub histogram: Sparse,
    /// What a gauge was set to last, behind the Unix time at which it was.
    #[serde(default)]
    pub gauge: Option<(f64, f64)>,
    /// Iterations that were cut off before the last step that could have put something into it.
    #[serde(default)]
    pub unfinished: u64,
    /// The same of users' `start` and `stop`.
    #[serde(default)]
    pub aside: u64,
}

impl OwnTotals {
    /// Adds another's values to these.
    pub fn add(&mut self, other: &OwnTotals) {
        self.counter += other.counter;
        self.histogram.add(&other.histogram);
        let later = |(at, _): &(f64, f64)| self.gauge.is_none_or(|gauge| gauge.0 < *at);
        self.gauge = other.gauge.filter(later).or(self.gauge);
        self.unfinished += other.unfinished;
        self.aside += other.aside;
    }

    /// Takes away what was there earlier. What a gauge was set to before that says nothing of the time since.
    pub(super) fn take(&mut self, earlier: &OwnTotals) {
        self.counter -= earlier.counter;
        take(&mut self.histogram, &earlier.histogram);
        less(&mut self.unfinished, &earlier.unfinished);
        less(&mut self.aside, &earlier.aside);
        self.gauge = self.gauge.filter(|gauge| earlier.gauge.is_none_or(|earlier| earlier.0 < gauge.0));
    }
}

/// The same as it is recorded.
#[derive(Debug, Default)]
pub(super) struct OwnCell {
    pub counter: Float,
    pub histogram: Lazy,
    pub gauge: Cell,
    pub set_at: Cell,
    pub unfinished: Count,
    pub aside: Count,
}
