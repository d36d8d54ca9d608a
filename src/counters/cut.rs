//! Edges in the clock of the samples, and a series at an edge.

use serde::{Deserialize, Serialize};

use super::sums::Sums;

/// An edge, in the clock of the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct At {
    /// Unix seconds.
    pub(crate) time: f64,
    /// How far `time` may be off, in seconds.
    pub(crate) off: f64,
    /// Nothing happens from `time` to `still_until`, so that any sample between them is exact.
    pub(crate) still_until: Option<f64>,
    /// Our load has ended, and nobody else's is known: a counter that stands still between the first two samples past the edge stood still
    /// since the edge.
    pub(crate) ended: bool,
    /// How much later than that a sample has to be to show all that happened before the edge, in seconds.
    pub(crate) late: f64,
}

impl At {
    /// An edge at a sample.
    pub(crate) const fn sample(time: f64) -> Self {
        Self { still_until: Some(time), ..Self::flowing(time, 0.0) }
    }

    /// An edge of a load that goes on.
    pub(crate) const fn flowing(time: f64, off: f64) -> Self {
        Self { time, off, still_until: None, ended: false, late: 0.0 }
    }
}

/// Why there is no increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// No sample at or before the first edge (after it, where the load stood still).
    NoStart,
    /// No sample at or after the second edge.
    NoEnd,
}

/// A series at an edge: all that has to be kept of it to know its increase from there on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cut {
    /// The value, interpolated where the edge is between two samples.
    pub(crate) value: f64,
    /// What most likely comes to it.
    pub(super) base: f64,
    /// The last sample before the edge and the first after it; the same where the edge is exact.
    pub(super) around: [Sums; 2],
    /// Time and value of the series' first sample.
    pub(crate) first: (f64, f64),
}

impl Cut {
    /// The time of the first sample past the edge.
    pub(crate) fn until(&self) -> f64 {
        self.around[1].time
    }

    /// The same, where what was counted since an earlier one may have been counted past the edge.
    pub(crate) fn since(self, earlier: &Self) -> Self {
        Self { around: [earlier.around[1], self.around[1]], ..self }
    }
}
