//! Times with what the generator may have made longer of them.

use crate::base::Outcome;
use crate::measure::{Delayed, Sparse};

/// Times as they were measured, and those of them that the generator may have made longer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::verdict) struct Times {
    /// The most that each can have taken.
    pub most: Sparse,
    delayed: Sparse,
    least: Sparse,
}

impl Times {
    /// Adds times that ended so; those that were delayed are known by all outcomes.
    pub(super) fn add(&mut self, outcome: Outcome, measured: &Sparse, delayed: &Delayed) {
        let at = outcome.index();
        self.most.add(measured);
        self.delayed.add(&delayed.measured[at]);
        self.least.add(&delayed.least[at]);
    }

    pub(super) fn minus(&self, earlier: &Self) -> Self {
        Self {
            most: self.most.minus(&earlier.most),
            delayed: self.delayed.minus(&earlier.delayed),
            least: self.least.minus(&earlier.least),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.most.count()
    }

    /// How many of them the generator delayed.
    pub fn delayed(&self) -> u64 {
        self.delayed.count()
    }

    /// The least that each can have taken.
    pub fn least(&self) -> Sparse {
        if self.delayed.is_empty() {
            return self.most.clone();
        }
        let mut least = self.most.minus(&self.delayed);
        least.add(&self.least);
        least
    }
}
