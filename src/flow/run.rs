//! An iteration under way: whose it is, what is due, and what every step does to it.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use super::rhythm::Rhythm;
use super::session::Session;
use super::sink::Sink;
use super::stop::{Broken, Stop};
use super::types::{End, Step};
use super::user::User;
use crate::base::secrets::{Secrets, secrets_of_answer};
use crate::base::{Outcome, Reason};
use crate::expr::{Explanation, Expression};
use crate::measure::CheckId;

/// An iteration under way.
pub(super) struct Run<'a, S: Sink> {
    pub(super) user: &'a mut User,
    pub(super) sink: &'a S,
    /// When the next timed step is due: with its arrival, then when the step before it ended, thinking included.
    pub(super) due: Instant,
    /// When the last request was due, or the last wait was over: what was made of that without any time of its own belongs with it.
    pub(super) belongs: Instant,
    /// The session that the steps stand in.
    pub(super) session: Option<Box<Session<'a, S>>>,
    /// How long the run was paused so far.
    pub(super) held: Duration,
    /// What an attempt of `eventually` found, while there is one.
    pub(super) attempt: Option<Box<Attempt>>,
}

/// What happened in an attempt that may be followed by another.
#[derive(Default)]
pub(super) struct Attempt {
    /// Its checks, which are reported once it is known to be the last.
    pub(super) checks: Vec<(CheckId, Result<(), Explanation>)>,
    /// The first thing that was not as it should be.
    pub(super) wrong: Option<String>,
}

/// A flow under way within a step; in a box, so that what a user's task takes doesn't grow with how deep flows are nested.
pub(super) type Nested<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + 'a>>;

impl<'a, S: Sink> Run<'a, S> {
    /// A flow that begins at `due`.
    pub(super) fn new(user: &'a mut User, sink: &'a S, due: Instant) -> Self {
        Self { user, sink, due, belongs: due, held: Duration::ZERO, attempt: None, session: None }
    }

    /// Waits until what comes next is due, unless the flow is to end before that.
    pub(super) async fn wait(&mut self, due: Instant) -> Result<(), Stop> {
        if self.sink.is_over() {
            return Err(Stop::End(End::CutShort, Outcome::Interrupted));
        }
        (self.due, self.belongs) = (due, due);
        self.wait_until(due).await?;
        Ok(())
    }

    /// A flow went no further, and these steps of it are left out.
    pub(super) fn left_out(&mut self, stop: &Stop, steps: &[Step]) {
        if matches!(stop, Stop::Failed(_)) && !steps.is_empty() {
            let rest = Rhythm::of(self.user).steps(steps);
            self.user.rest = self.user.rest.saturating_add(rest);
        }
    }

    /// Reports a check of something that was due at `due`; in an attempt it is kept until that is known to be the last. `sent` gives what
    /// is secret of what was sent for it.
    pub(super) fn check(&mut self, check: CheckId, due: Instant, expression: &Expression, sent: &dyn Fn() -> Vec<String>) {
        let passed = expression.truth(&self.user.scope);
        let (user, sink) = (&*self.user, self.sink);
        let how = || {
            let mut how = expression.explain(&user.scope);
            sink.secrets(how.secrets().to_vec());
            how.redact(|text| {
                let found: Vec<String> = user.secrets(text).into_iter().chain(secrets_of_answer(text)).chain(sent()).collect();
                sink.secrets(found.clone());
                Secrets::new(found).redact(text).into_owned()
            });
            how
        };
        match (&mut self.attempt, passed) {
            (None, Ok(true)) => self.sink.check(check, due, true),
            (None, _) => {
                self.sink.unheld(check, due, &how);
                self.sink.check(check, due, false);
            }
            (Some(attempt), Ok(true)) => attempt.checks.push((check, Ok(()))),
            (Some(attempt), passed) => {
                attempt.checks.push((check, Err(how())));
                attempt.wrong.get_or_insert_with(|| match passed {
                    Ok(_) => format!("`{}` did not hold", expression.source()),
                    Err(error) => error.to_string(),
                });
            }
        }
    }

    /// A step without samples failed.
    pub(super) fn broken(&self, reason: Reason, detail: String) -> Broken {
        self.sink.broken(self.belongs, reason, &detail);
        Broken::because(reason, detail)
    }
}
