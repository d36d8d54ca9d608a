//! Distributions for each outcome: as they are recorded, in histograms that are made when they are first touched, and as they stand.

use std::sync::OnceLock;

use super::hist::{Buckets, Histogram};
use super::sparse::Sparse;
use crate::base::Outcome;

/// A histogram for each outcome, by [`Outcome::index`].
pub type ByOutcome = [Sparse; Outcome::COUNT];

/// The distribution that latencies are read from: that of [`Outcome::TIMED`].
pub fn timed(by: &ByOutcome) -> Sparse {
    let mut sum = Sparse::default();
    for outcome in Outcome::TIMED {
        sum.add(&by[outcome.index()]);
    }
    sum
}

/// A histogram for each outcome, made when first touched.
#[derive(Debug, Default)]
pub(super) struct Outcomes([OnceLock<Box<Histogram>>; Outcome::COUNT]);

impl Outcomes {
    #[inline]
    pub(super) fn record(&self, buckets: &Buckets, outcome: Outcome, nanoseconds: u64) {
        self.0[outcome.index()].get_or_init(|| Box::new(Histogram::new(buckets))).record_nanos(buckets, nanoseconds);
    }

    pub(super) fn totals(&self, buckets: &Buckets) -> ByOutcome {
        std::array::from_fn(|i| self.0[i].get().map(|histogram| histogram.snapshot(buckets)).unwrap_or_default())
    }
}

/// A histogram that is made when first touched.
#[derive(Debug, Default)]
pub(super) struct Lazy(OnceLock<Box<Histogram>>);

impl Lazy {
    #[inline]
    pub(super) fn get(&self, buckets: &Buckets) -> &Histogram {
        self.0.get_or_init(|| Box::new(Histogram::new(buckets)))
    }

    pub(super) fn totals(&self, buckets: &Buckets) -> Sparse {
        self.0.get().map(|histogram| histogram.snapshot(buckets)).unwrap_or_default()
    }
}
