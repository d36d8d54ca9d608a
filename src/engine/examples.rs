//! Examples of errors: a bounded number for each step and reason, so that a report can show what went wrong.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::base::Reason;
use crate::flow::Failure;
use crate::measure::{PhaseId, StepId};
use crate::plan::Plan;

/// One error as it happened.
#[derive(Debug, Clone)]
pub struct ErrorExample {
    /// When it was noticed.
    pub at: SystemTime,
    /// The phase that the request belongs to.
    pub phase: PhaseId,
    /// The step that failed.
    pub step: StepId,
    /// Why.
    pub reason: Reason,
    /// The status code of the answer; 0 without one.
    pub status: u16,
    /// What happened in words, redacted.
    pub detail: String,
    /// The first bytes of the answer's body as text, redacted.
    pub body: String,
}

impl ErrorExample {
    /// An example of a failure that happens just now.
    pub(super) fn of(plan: &Plan, phase: PhaseId, step: StepId, failure: &Failure<'_>) -> Self {
        let secrets = plan.secrets.with((failure.secrets)());
        // Redacted before it is cut: what is left of a secret that was cut in two would not be found.
        let searched = String::from_utf8_lossy(&failure.body[..failure.body.len().min(BODY_SEARCHED)]);
        let body = secrets.redact(&searched).chars().take(BODY_SHOWN).collect();
        let detail = secrets.redact(failure.detail).into_owned();
        let (reason, status) = (failure.reason, failure.status);
        Self { at: SystemTime::now(), phase, step, reason, status, detail, body }
    }
}

/// The most examples of one step and reason over a run.
const PER_STEP_AND_REASON: usize = 5;
/// The most examples over a run.
const PER_RUN: usize = 500;
/// The most characters of a body that an example shows.
const BODY_SHOWN: usize = 200;

/// So many bytes of a body are searched for secrets before it is cut: far beyond what is shown, since what is taken out makes
/// room for more.
const BODY_SEARCHED: usize = 64 * 1024;

/// The examples of a run.
#[derive(Default)]
pub(super) struct Examples(Mutex<Vec<ErrorExample>>);

impl Examples {
    /// Keeps the example if there is room for it.
    pub fn add(&self, example: ErrorExample) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            all.iter().filter(|other| (other.phase, other.step, other.reason) == (example.phase, example.step, example.reason));
        if same.count() < PER_STEP_AND_REASON && all.len() < PER_RUN {
            all.push(example);
        }
    }

    /// All that were kept.
    pub fn all(&self) -> Vec<ErrorExample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_for_each_step_and_reason() {
        let examples = Examples::default();
        for i in 0..50 {
            let reason = if i % 2 == 0 { Reason::Reset } else { Reason::Status };
            let detail = String::new();
            let body = String::new();
            examples.add(ErrorExample {
                at: SystemTime::now(),
                phase: PhaseId(0),
                step: StepId(0),
                reason,
                status: 0,
                detail,
                body,
            });
        }
        assert_eq!(examples.all().len(), 2 * PER_STEP_AND_REASON);
    }
}
