//! Examples of errors: a bounded number for each step and reason, so that a report can show what went wrong.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::base::Reason;
use crate::expr::Explanation;
use crate::flow::Failure;
use crate::measure::{CheckId, PhaseId, StepId};
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
        let redact = |text: &str| failure.redact(text, &plan.secrets);
        // Redacted before it is cut: what is left of a secret that was cut in two would not be found.
        let searched = String::from_utf8_lossy(&failure.body[..failure.body.len().min(BODY_SEARCHED)]);
        let body = redact(&searched).chars().take(BODY_SHOWN).collect();
        let detail = failure.words(&plan.secrets);
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
const BODY_SEARCHED: usize = 16 * 1024;

/// Examples kept of each step's reason, from each thread in each turn of a phase.
const KEPT: u8 = 3;
/// The least time between two lines of the log about a step's reason.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// The most lines of the log about errors in that time, over all steps and reasons.
const MOST_REPORTS: usize = 20;

/// What one thread has seen of each step's reason, so that a flood of errors stays cheap.
#[derive(Default)]
pub(super) struct Seen {
    errors: RefCell<HashMap<(StepId, Reason), Counted>>,
    /// Which errors of steps without samples were reported, and when.
    broken: RefCell<HashMap<String, Instant>>,
    /// Which checks were reported as failed, and when.
    unheld: RefCell<HashMap<CheckId, Instant>>,
}

#[derive(Default)]
struct Counted {
    count: u8,
    /// When a line was wanted last.
    reported: Option<Instant>,
}

/// What is wanted of one more error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// An example for the record.
    example: bool,
    /// Perhaps a line in the log.
    line: bool,
}

impl Seen {
    /// What is wanted of one more error that happens `now`; nothing of most.
    pub fn wants(&self, step: StepId, reason: Reason, now: Instant) -> Option<Wanted> {
        let mut seen = self.errors.borrow_mut();
        let counted = seen.entry((step, reason)).or_default();
        counted.count = counted.count.saturating_add(1);
        let line = counted.reported.is_none_or(|reported| now.saturating_duration_since(reported) >= REPORT_EVERY);
        if line {
            counted.reported = Some(now);
        }
        let wanted = Wanted { example: counted.count <= KEPT, line };
        (wanted.example || wanted.line).then_some(wanted)
    }

    /// Whether the log wants a line with these words: one in a while, and not of too many.
    pub fn wants_words(&self, words: &str, now: Instant) -> bool {
        may_report(&mut self.broken.borrow_mut(), words, now)
    }

    /// Whether the log wants a line about this check that failed: one in a while, and not of too many.
    pub fn wants_check(&self, check: CheckId, now: Instant) -> bool {
        may_report(&mut self.unheld.borrow_mut(), &check, now)
    }
}

/// Logs a step without samples that could not be done, if it is its turn.
pub(super) fn log_broken(plan: &Plan, phase: &str, detail: &str, seen: &Seen) {
    let detail = plan.secrets.redact_own(detail);
    if seen.wants_words(&detail, Instant::now()) {
        tracing::warn!(profile = %plan.name, phase, %detail, "a step could not be done");
    }
}

/// Logs how a check failed.
pub(super) fn log_check(plan: &Plan, phase: &str, check: CheckId, how: &Explanation) {
    let check = plan.layout.checks.get(check.index()).map_or("", |check| check.name.as_str());
    let what = if how.is_unclear() { "a check could not be evaluated" } else { "a check failed" };
    tracing::info!(profile = %plan.name, phase, check, detail = how.show(&plan.secrets), "{what}");
}

/// Whether there may be a line about `what` now, which is noted in `reported`: each once in a while, and not of too many.
fn may_report<K, Q>(reported: &mut HashMap<K, Instant>, what: &Q, now: Instant) -> bool
where
    K: Borrow<Q> + Hash + Eq,
    Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
{
    reported.retain(|_, at| now.saturating_duration_since(*at) < REPORT_EVERY);
    let room = reported.len() < MOST_REPORTS && !reported.contains_key(what);
    if room {
        reported.insert(what.to_owned(), now);
    }
    room
}

/// The examples of a run, and when the log had one last.
#[derive(Default)]
pub(super) struct Examples {
    kept: Mutex<Vec<ErrorExample>>,
    reported: Mutex<HashMap<(StepId, Reason), Instant>>,
}

impl Examples {
    /// Takes an example as far as it is `wanted`, into the record and into the log.
    pub fn take(&self, plan: &Plan, example: ErrorExample, wanted: Wanted) {
        if wanted.line && self.may_report(example.step, example.reason, Instant::now()) {
            report(plan, &example);
        }
        if wanted.example {
            self.add(example);
        }
    }

    /// Whether the log has room for one more line, over all threads.
    fn may_report(&self, step: StepId, reason: Reason, now: Instant) -> bool {
        may_report(&mut self.reported.lock().unwrap_or_else(PoisonError::into_inner), &(step, reason), now)
    }

    /// Keeps the example if there is room for it.
    fn add(&self, example: ErrorExample) {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            all.iter().filter(|other| (other.phase, other.step, other.reason) == (example.phase, example.step, example.reason));
        if same.count() < PER_STEP_AND_REASON && all.len() < PER_RUN {
            all.push(example);
        }
    }

    /// All that were kept.
    pub fn all(&self) -> Vec<ErrorExample> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A line of the log. It is the target's error and not the program's, so it is no warning.
fn report(plan: &Plan, example: &ErrorExample) {
    let step = plan.layout.steps.get(example.step.index());
    let scenario = step.and_then(|step| plan.layout.scenarios.get(step.scenario.index()));
    tracing::info!(
        profile = %plan.name,
        phase = plan.layout.phases.get(example.phase.index()).map_or("", String::as_str),
        scenario = scenario.map_or("", |scenario| scenario.name.as_str()),
        step = step.map_or("", |step| step.name.as_str()),
        reason = example.reason.label(),
        status = example.status,
        detail = example.detail,
        body = example.body,
        "a step failed"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_few_are_wanted_and_the_log_has_one_in_a_while() {
        let (seen, examples) = (Seen::default(), Examples::default());
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let wanted: Vec<_> = (0..1000).filter_map(|ms| seen.wants(StepId(0), Reason::Reset, at(ms))).collect();
        assert_eq!(wanted.len(), KEPT as usize);
        assert_eq!(wanted.iter().map(|wanted| wanted.line).collect::<Vec<_>>(), [true, false, false]);
        let later = seen.wants(StepId(0), Reason::Reset, at(10_000));
        assert_eq!(later, Some(Wanted { example: false, line: true }));
        assert!(seen.wants(StepId(1), Reason::Reset, at(0)).is_some() && seen.wants(StepId(0), Reason::Status, at(0)).is_some());
        let words: Vec<_> = (0..30_000).step_by(100).filter(|ms| seen.wants_words("set: `x` is undefined", at(*ms))).collect();
        assert_eq!(words, [0, 10_000, 20_000]);
        assert_eq!((0..100).filter(|n| seen.wants_words(&format!("set: `x{n}`"), at(0))).count(), MOST_REPORTS - 1);
        // Two threads that both want a line get one; many steps at once don't flood it either.
        assert!(
            examples.may_report(StepId(0), Reason::Reset, at(0)) && !examples.may_report(StepId(0), Reason::Reset, at(9_999))
        );
        assert!(examples.may_report(StepId(0), Reason::Reset, at(10_000)));
        let lines = (1..100).filter(|step| examples.may_report(StepId(*step), Reason::Reset, at(10_001))).count();
        assert_eq!(lines, MOST_REPORTS - 1);
    }

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
