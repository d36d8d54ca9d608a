//! Times that the generator itself may have made longer.
//!
//! A request that started late, or whose worker stood still while it was under way, took between its measured time less that delay
//! and its measured time. Such samples are recorded twice more: as they were measured, and as the least that they can have been. Taking
//! the first from all samples and adding the second gives the times as they would be if every delay was the generator's own.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::arith::{each, take};
use super::hist::Buckets;
use super::outcomes::ByOutcome;
use super::outcomes::Outcomes;
use super::sparse::Sparse;
use crate::base::Outcome;

/// Delayed samples as they are recorded; nothing is allocated until there is one.
#[derive(Debug, Default)]
pub(super) struct DelayedCell(OnceLock<Box<(Outcomes, Outcomes)>>);

impl DelayedCell {
    /// Records a sample of `nanoseconds` that was delayed by up to `delay`.
    #[inline]
    pub(super) fn record(&self, buckets: &Buckets, outcome: Outcome, nanoseconds: u64, delay: u64) {
        if delay > 0 {
            let (measured, least) = &**self.0.get_or_init(Box::default);
            measured.record(buckets, outcome, nanoseconds);
            least.record(buckets, outcome, nanoseconds.saturating_sub(delay));
        }
    }

    /// What was recorded. It must be read before the samples themselves, so that it never holds one that those lack.
    pub(super) fn totals(&self, buckets: &Buckets) -> Delayed {
        let Some(cells) = self.0.get() else { return Delayed::default() };
        // Written second, so read first: a time that is known only as its least would count twice otherwise.
        let least = cells.1.totals(buckets);
        Delayed { measured: cells.0.totals(buckets), least }
    }
}

/// The samples of one kind that the generator delayed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Delayed {
    /// As they were measured: the most that each can have taken.
    pub measured: ByOutcome,
    /// The least that each can have taken.
    pub least: ByOutcome,
}

impl Delayed {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.measured.iter().map(Sparse::count).sum()
    }

    /// Adds another's to these.
    pub fn add(&mut self, other: &Delayed) {
        each(&mut self.measured, &other.measured, Sparse::add);
        each(&mut self.least, &other.least, Sparse::add);
    }

    /// Takes away what was there earlier.
    pub(super) fn take(&mut self, earlier: &Delayed) {
        each(&mut self.measured, &earlier.measured, take);
        each(&mut self.least, &earlier.least, take);
    }
}
