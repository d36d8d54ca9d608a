//! Requests that were interrupted after their status had come: how they would have ended isn't known, and what they were answered with is.

use serde::{Deserialize, Serialize};

use super::arith::less;
use super::atoms::Count;
use super::sample::Sample;

/// Interrupted requests whose status had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cut {
    /// All of them.
    pub answered: u64,
    /// Those of them whose status is an error.
    pub wrong: u64,
}

impl Cut {
    /// Adds another's to these.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.wrong += other.wrong;
    }

    /// Takes away what was there `earlier`.
    pub fn take(&mut self, earlier: &Self) {
        less(&mut self.answered, &earlier.answered);
        less(&mut self.wrong, &earlier.wrong);
    }
}

/// The same as it is recorded.
#[derive(Debug, Default)]
pub(super) struct CutCell {
    answered: Count,
    wrong: Count,
}

impl CutCell {
    /// A request was interrupted: whether it was an error isn't known, but where its status says so.
    pub(super) fn note(&self, sample: &Sample) {
        if sample.status > 0 {
            self.answered.add(1);
            self.wrong.add(u64::from(sample.reason.is_some()));
        }
    }

    /// Read against the order of writing.
    pub(super) fn totals(&self) -> Cut {
        let wrong = self.wrong.get();
        Cut { answered: self.answered.get(), wrong }
    }
}
