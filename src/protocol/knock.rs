//! The connection that a user is opening, as others see it: one that hangs is known of before its time limit is over.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use crate::measure::StepId;

/// One for each user, who opens one connection at a time.
#[derive(Debug, Clone, Default)]
pub struct Knock(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    step: Cell<Option<StepId>>,
    since: Cell<Option<Instant>>,
}

impl Knock {
    /// What is opened from here on is opened for this step.
    pub fn is_for(&self, step: StepId) {
        self.0.step.set(Some(step));
    }

    /// An attempt to open a connection begins.
    pub fn begins(&self) {
        self.0.since.set(Some(Instant::now()));
    }

    /// It is over. Since when it was under way, if it was.
    pub fn ends(&self) -> Option<Instant> {
        self.0.since.take()
    }

    /// For which step a connection is being opened, and since when.
    pub fn under_way(&self) -> Option<(StepId, Instant)> {
        self.0.step.get().zip(self.0.since.get())
    }
}
