//! How far the numbers that decided would have to move for an expression to come out otherwise.

/// What a pause or a limit of the generator would have had to keep back for checks that failed to hold without it. Each is the most that
/// any of them takes; a check that no number decided takes an infinite number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gap {
    /// Requests that were never sent, or whose answer nobody read: where a number is compared with what the profile expects.
    pub all: f64,
    /// Requests whose answer nobody read: where what the target counted is compared with what the run counted, for neither counts a request
    /// that was never sent.
    pub unread: f64,
}

impl Gap {
    /// Where no number decided.
    pub const NONE: Self = Self { all: f64::INFINITY, unread: f64::INFINITY };

    /// Whether so many requests account for it.
    pub fn is_bridged_by(&self, all: f64, unread: f64) -> bool {
        self.all <= all && self.unread <= unread
    }

    /// Both have to come out otherwise.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { all: self.all.max(other.all), unread: self.unread.max(other.unread) }
    }

    /// One of them has to: the nearer one.
    pub(super) fn or(self, other: Self) -> Self {
        if self.all + self.unread <= other.all + other.unread { self } else { other }
    }
}
