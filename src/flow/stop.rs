//! Why a flow went no further.

use super::types::End;
use crate::base::{Outcome, Reason};

/// A step that failed.
pub(super) struct Broken {
    /// What happened, in words.
    pub(super) why: String,
    /// It was given up at a time limit: whatever it stands in would have taken longer.
    pub(super) timed_out: bool,
    /// Nothing was wrong but checks that didn't hold, and each of them was reported.
    pub(super) unheld: bool,
}

impl Broken {
    /// It failed for anything but its time limit.
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), timed_out: false, unheld: false }
    }

    /// It failed for that reason.
    pub(super) fn because(reason: Reason, why: String) -> Self {
        Self { why, timed_out: reason == Reason::Timeout, unheld: false }
    }

    /// How what the step stands in ended.
    pub(super) fn outcome(&self) -> Outcome {
        if self.timed_out { Outcome::Timeout } else { Outcome::Error }
    }
}

/// Why a flow went no further.
pub(super) enum Stop {
    /// A step failed, which ends what it stands in. What that leads to is said by the step around it (a nested flow that fails
    /// is a step that fails), and by the iteration at last.
    Failed(Broken),
    /// The user or the run is to end, and this is how all that it stands in ended: nothing around it changes that.
    End(End, Outcome),
}

impl Stop {
    /// How an iteration or a group ended that went no further for it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Failed(broken) => broken.outcome(),
            Self::End(_, outcome) => *outcome,
        }
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Failed(broken)
    }
}
