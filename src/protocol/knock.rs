//! The connection that a user is opening, as others see it: one that hangs is known of before its time limit is over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::base::Reason;
use crate::measure::StepId;
use crate::net::DialTimes;

/// An attempt to open a connection that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// When it was over.
    pub at: Instant,
    /// How long it had lasted by then.
    pub lasted: Duration,
    /// How long its parts took, or why there is none; without a reason where the request was dropped meanwhile.
    pub result: Result<DialTimes, Option<Reason>>,
}

/// One for each user, who opens one connection at a time.
#[derive(Debug, Clone, Default)]
pub struct Knock(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    step: Cell<Option<StepId>>,
    since: Cell<Option<Instant>>,
    dialled: RefCell<Vec<Connect>>,
}

impl Knock {
    /// What is opened from here on is opened for this step.
    pub fn is_for(&self, step: StepId) {
        self.0.step.set(Some(step));
    }

    /// An attempt to open a connection begins.
    pub fn begins(&self) -> Instant {
        let now = Instant::now();
        self.0.since.set(Some(now));
        now
    }

    /// It is over. Since when it was under way, if it was.
    pub fn ends(&self) -> Option<Instant> {
        self.0.since.take()
    }

    /// It is over, and how it came out is still to be reported.
    pub fn dialled(&self, result: Result<DialTimes, Option<Reason>>) {
        if let Some(since) = self.ends() {
            let at = Instant::now();
            self.0.dialled.borrow_mut().push(Connect { at, lasted: at.saturating_duration_since(since), result });
        }
    }

    /// Attempts that were not reported yet.
    pub fn unreported(&self) -> Vec<Connect> {
        std::mem::take(&mut self.0.dialled.borrow_mut())
    }

    /// For which step a connection is being opened, and since when.
    pub fn under_way(&self) -> Option<(StepId, Instant)> {
        self.0.step.get().zip(self.0.since.get())
    }
}
