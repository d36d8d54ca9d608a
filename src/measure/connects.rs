//! Connections of one scenario over one protocol, at one moment or between two.

use serde::{Deserialize, Serialize};

use super::arith::{each, less, more, take};
use super::delayed::Delayed;
use super::open::Open;
use super::sparse::Sparse;
use crate::base::Reason;

/// Connections of one scenario over one protocol.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConnectTotals {
    /// Those that were open when the phase began.
    #[serde(default)]
    pub carried: u64,
    /// How long those took that succeeded.
    pub duration: Sparse,
    /// Those that ran into their time limit, by how long that took.
    #[serde(default)]
    pub timed_out: Sparse,
    /// Those that were still being opened when their request was cut off, by how long they had been until then.
    #[serde(default)]
    pub cut_off: Sparse,
    /// Attempts that lasted for a while as they begin and end: what began and isn't over is still being opened. Of those that are soon over
    /// some aren't reported here.
    #[serde(default)]
    pub open: Open,
    /// Of all three those that the generator delayed.
    #[serde(default)]
    pub delayed: Delayed,
    /// The layers' shares of it, by [`super::Layer`].
    pub layers: [Sparse; 4],
    /// Those that failed, by [`Reason::index`].
    pub failures: [u64; Reason::COUNT],
    /// Connections that ended unasked, by [`Reason::index`].
    pub disconnects: [u64; Reason::COUNT],
}

impl ConnectTotals {
    /// Attempts to connect, those among them that failed or were cut off.
    pub fn attempts(&self) -> u64 {
        self.duration.count() + self.failures.iter().sum::<u64>() + self.cut_off.count()
    }

    /// Connections that were open at any time: from before, or opened.
    pub fn there(&self) -> u64 {
        self.carried + self.duration.count()
    }

    /// Adds another's connections to these.
    pub fn add(&mut self, other: &ConnectTotals) {
        self.carried += other.carried;
        self.duration.add(&other.duration);
        self.timed_out.add(&other.timed_out);
        self.cut_off.add(&other.cut_off);
        self.open.add(&other.open);
        self.delayed.add(&other.delayed);
        each(&mut self.layers, &other.layers, Sparse::add);
        each(&mut self.failures, &other.failures, more);
        each(&mut self.disconnects, &other.disconnects, more);
    }

    /// Takes away what was there earlier.
    pub(super) fn take(&mut self, earlier: &ConnectTotals) {
        take(&mut self.duration, &earlier.duration);
        take(&mut self.timed_out, &earlier.timed_out);
        take(&mut self.cut_off, &earlier.cut_off);
        self.open.take(&earlier.open);
        self.delayed.take(&earlier.delayed);
        each(&mut self.layers, &earlier.layers, take);
        each(&mut self.failures, &earlier.failures, less);
        each(&mut self.disconnects, &earlier.disconnects, less);
    }
}
