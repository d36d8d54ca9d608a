//! The interpreter: one iteration of one user, step after step, with the due time of each.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::sink::Sink;
use super::steps;
use super::types::{End, Flow, OnError, Step, StepKind};
use super::user::User;
use crate::base::Secrets;

/// An iteration under way.
pub(super) struct Run<'a, S: Sink> {
    pub(super) user: &'a mut User,
    pub(super) sink: &'a S,
    /// When the next timed step is due: with its arrival, then when the step before it ended, thinking included.
    pub(super) due: Instant,
}

/// A step that failed, in words.
pub(super) struct Broken(pub(super) String);

/// How a step, or the flow so far, went on.
enum Onward {
    Next,
    End(End),
}

/// One iteration, which was due at `due`. It belongs to the phase that the user entered last.
///
/// May be dropped at any await; a request in flight is then told as `interrupted`.
pub async fn iterate<S: Sink>(flow: &Flow, user: &mut User, iteration: u64, due: Instant, sink: &S) -> End {
    user.scope.begin_iteration(iteration);
    let mut run = Run { user, sink, due };
    for step in &flow.steps {
        if let Onward::End(end) = run.step(step).await {
            return end;
        }
    }
    End::Completed
}

impl<S: Sink> Run<'_, S> {
    async fn step(&mut self, step: &Step) -> Onward {
        // The load's clock stands still in a pause, and so does what is due.
        self.due += held(self.sink.gate()).await;
        if step.condition.as_ref().is_some_and(|condition| !condition.truth(&self.user.scope).unwrap_or(false)) {
            return Onward::Next;
        }
        let done = match &step.kind {
            StepKind::Http(http) => steps::http::run(http, self).await,
            StepKind::Think(think) => {
                steps::think::run(*think, self).await;
                Ok(())
            }
            StepKind::Set(values) => steps::set::run(values, self),
            StepKind::Count(amounts) => steps::own::count(amounts, self),
            StepKind::Record(amounts) => steps::own::record(amounts, self),
        };
        match (done, step.on_error) {
            (Ok(()), _) | (Err(_), OnError::Continue) => Onward::Next,
            (Err(_), OnError::EndIteration) => Onward::End(End::Failed),
            (Err(_), OnError::EndUser) => Onward::End(End::EndUser),
            (Err(Broken(why)), OnError::AbortRun) => {
                Onward::End(End::Abort(Secrets::new(self.user.secrets()).redact(&why).into_owned()))
            }
        }
    }

    /// A step without samples failed.
    pub(super) fn broken(&self, detail: String) -> Broken {
        self.sink.broken(self.due, &detail);
        Broken(detail)
    }
}

/// Awaits a gate and tells how long it was shut; nothing where it was open.
async fn held(gate: impl Future<Output = ()>) -> Duration {
    let mut gate = pin!(gate);
    let mut since: Option<Instant> = None;
    poll_fn(|cx| {
        let state = gate.as_mut().poll(cx);
        if state.is_pending() {
            since.get_or_insert_with(Instant::now);
        }
        match state {
            Poll::Ready(()) => Poll::Ready(since.map_or(Duration::ZERO, |since| since.elapsed())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
