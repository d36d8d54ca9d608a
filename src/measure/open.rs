//! Work that is under way: what of it began, and what of that is over.

use serde::{Deserialize, Serialize};

use super::atoms::Count;
use super::totals::less;

/// Pieces of work as they begin and end: what began and didn't end is under way, or outlasted the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Open {
    /// Those that began.
    pub begun: u64,
    /// Those of them that ended, however they did.
    pub over: u64,
}

impl Open {
    /// How many are under way; of a part of a phase those at its end, less those at its beginning.
    pub fn under_way(&self) -> i64 {
        self.begun as i64 - self.over as i64
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.over += other.over;
    }

    pub(super) fn take(&mut self, earlier: &Self) {
        less(&mut self.begun, &earlier.begun);
        less(&mut self.over, &earlier.over);
    }
}

/// The same as it is recorded.
#[derive(Debug, Default)]
pub(super) struct OpenCell {
    begun: Count,
    over: Count,
}

impl OpenCell {
    #[inline]
    pub(super) fn step(&self, begins: bool) {
        if begins { &self.begun } else { &self.over }.add(1);
    }

    /// Read against the order of writing: what is over has begun.
    pub(super) fn totals(&self) -> Open {
        let over = self.over.get();
        Open { begun: self.begun.get(), over }
    }
}
