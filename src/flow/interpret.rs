//! The interpreter: one iteration of one user, step after step, with the due time of each.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::session::{Session, alongside};
use super::sink::Sink;
use super::steps;
use super::types::{End, Flow, OnError, Step, StepKind};
use super::user::User;
use crate::base::Secrets;
use futures_util::FutureExt as _;

/// An iteration under way.
pub(super) struct Run<'a, S: Sink> {
    pub(super) user: &'a mut User,
    pub(super) sink: &'a S,
    /// When the next timed step is due: with its arrival, then when the step before it ended, thinking included.
    pub(super) due: Instant,
    /// The session that the steps stand in.
    pub(super) session: Option<Box<Session<'a, S>>>,
}

/// A step that failed, in words.
pub(super) struct Broken(pub(super) String);

/// Why a flow went no further.
pub(super) enum Stop {
    /// A step failed, which ends what it stands in. What that leads to is said by the step around it (a nested flow that fails
    /// is a step that fails), and by the iteration at last.
    Failed(Broken),
    /// The user or the run is to end: nothing around it changes that.
    End(End),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Failed(broken)
    }
}

/// One iteration, which was due at `due`. It belongs to the phase that the user entered last.
///
/// May be dropped at any await; a request in flight is then told as `interrupted`.
pub async fn iterate<S: Sink>(flow: &Flow, user: &mut User, iteration: u64, due: Instant, sink: &S) -> End {
    user.scope.begin_iteration(iteration);
    let mut run = Run { user, sink, due, session: None };
    match run.flow(flow).await {
        Ok(()) => End::Completed,
        Err(Stop::Failed(_)) => End::Failed,
        Err(Stop::End(end)) => end,
    }
}

/// A flow that is done once for the whole run, from now on.
///
/// # Errors
/// How it ended before its last step, and if a step failed: which, and why, without the user's secrets.
///
/// May be dropped at any await, like [`iterate`].
pub async fn once<S: Sink>(flow: &Flow, user: &mut User, sink: &S) -> Result<(), (End, String)> {
    user.scope.begin_iteration(0);
    let mut run = Run { user, sink, due: Instant::now(), session: None };
    match run.flow(flow).await {
        Ok(()) => Ok(()),
        Err(Stop::Failed(Broken(why))) => {
            let why = Secrets::new(run.user.secrets()).redact(&why).into_owned();
            Err((End::Failed, why))
        }
        Err(Stop::End(End::Abort(why))) => Err((End::Abort(why.clone()), why)),
        Err(Stop::End(end)) => Err((end, String::new())),
    }
}

impl<S: Sink> Run<'_, S> {
    /// The steps of a flow, one after the other. Steps with flows of their own put them into a box, so that what a user's
    /// task takes doesn't grow with how deep flows are nested.
    pub(super) async fn flow(&mut self, flow: &Flow) -> Result<(), Stop> {
        for step in &flow.steps {
            self.step(step).await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        // The load's clock stands still in a pause, and so does what is due.
        let held = match self.session {
            None => held(self.sink.gate()).await,
            Some(_) => self.held_in_session().await,
        };
        self.due += held;
        if step.condition.as_ref().is_some_and(|condition| !condition.truth(&self.user.scope).unwrap_or(false)) {
            return Ok(());
        }
        if step.kind.takes_time() && self.sink.is_over() {
            return Err(Stop::End(End::CutShort));
        }
        let done: Result<(), Stop> = match &step.kind {
            StepKind::Http(http) => steps::http::run(http, self).await.map_err(Stop::from),
            StepKind::Session(session) => Box::pin(steps::session::run(session, self)).await,
            StepKind::Message(message) => Box::pin(steps::session::message(message, self)).await.map_err(Stop::from),
            StepKind::Think(think) => steps::think::run(*think, self).await.map_err(Stop::from),
            StepKind::Set(values) => steps::set::run(values, self).map_err(Stop::from),
            StepKind::Count(amounts) => steps::own::count(amounts, self).map_err(Stop::from),
            StepKind::Record(amounts) => steps::own::record(amounts, self).map_err(Stop::from),
            StepKind::Remember(values) => steps::remember::run(values, self).map_err(Stop::from),
        };
        match (done, step.on_error) {
            (Ok(()), _) | (Err(Stop::Failed(_)), OnError::Continue) => Ok(()),
            (Err(Stop::Failed(_)), OnError::EndUser) => Err(Stop::End(End::EndUser)),
            (Err(Stop::Failed(Broken(why))), OnError::AbortRun) => {
                Err(Stop::End(End::Abort(Secrets::new(self.user.secrets()).redact(&why).into_owned())))
            }
            (Err(stop), _) => Err(stop),
        }
    }

    /// As [`held`]; the session's connection is read meanwhile.
    async fn held_in_session(&mut self) -> Duration {
        let sink = self.sink;
        if sink.gate().now_or_never().is_some() {
            return Duration::ZERO;
        }
        let Some(session) = &mut self.session else { return Duration::ZERO };
        Box::pin(alongside(session, Box::pin(held(sink.gate())))).await
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
