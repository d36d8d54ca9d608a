//! The interpreter: one iteration of one user, step after step, with the due time of each.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::run::{Nested, Run};
use super::session::alongside;
use super::sink::Sink;
use super::steps;
use super::stop::Stop;
use super::types::{End, Flow, OnError, Step, StepKind};
use super::user::User;
use crate::base::Outcome;
use futures_util::FutureExt as _;

/// What the user has begun: an iteration, its start or its stop. It was due at `due`, and belongs to the phase that the user
/// entered last. How it ended, and whether that was well, an error or a time limit.
///
/// May be dropped at any await; a request in flight is then reported as `interrupted`.
pub async fn carry_out<S: Sink>(flow: &Flow, user: &mut User, due: Instant, sink: &S) -> (End, Outcome) {
    user.rest = Duration::ZERO;
    let done = Run::new(user, sink, due).flow(flow).await;
    user.scope.waits();
    match done {
        Ok(()) => (End::Completed, Outcome::Ok),
        Err(Stop::Failed(broken)) => (End::Failed, broken.outcome()),
        Err(Stop::End(end, outcome)) => (end, outcome),
    }
}

/// How a flow that is done once ended before its last step.
#[derive(Debug, PartialEq, Eq)]
pub struct Halt {
    /// How it ended.
    pub end: End,
    /// If a step failed: which, and why, without the user's secrets.
    pub why: String,
    /// Nothing was wrong but checks that didn't hold in time, and each of them was reported.
    pub unheld: bool,
}

/// A flow that is done once for the whole run, from now on.
///
/// # Errors
/// It ended before its last step.
///
/// May be dropped at any await, like [`carry_out`].
pub async fn once<S: Sink>(flow: &Flow, user: &mut User, sink: &S) -> Result<(), Halt> {
    user.scope.begin_iteration(0);
    let mut run = Run::new(user, sink, Instant::now());
    match run.flow(flow).await {
        Ok(()) => Ok(()),
        Err(Stop::Failed(broken)) => {
            let why = run.user.redact(&broken.why);
            Err(Halt { end: End::Failed, why, unheld: broken.unheld })
        }
        Err(Stop::End(End::Abort(why), _)) => Err(Halt { end: End::Abort(why.clone()), why, unheld: false }),
        Err(Stop::End(end, _)) => Err(Halt { end, why: String::new(), unheld: false }),
    }
}

impl<'a, S: Sink> Run<'a, S> {
    /// The steps of a flow, one after the other.
    pub(super) async fn flow(&mut self, flow: &Flow) -> Result<(), Stop> {
        for (index, step) in flow.steps.iter().enumerate() {
            if let Err(stop) = self.step(step).await {
                self.left_out(&stop, &flow.steps[index + 1..]);
                return Err(stop);
            }
        }
        Ok(())
    }

    /// A flow within a step.
    fn nested<'s>(&'s mut self, flow: &'s Flow) -> Nested<'s> {
        Box::pin(self.flow(flow))
    }

    async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        self.sink.comes_to(step.number);
        // The load's clock stands still in a pause, and so does what is due.
        let held = match self.session {
            _ if step.kind.is_instant() => Duration::ZERO,
            None => held(self.sink.gate(self.due)).await,
            Some(_) => self.held_in_session().await,
        };
        self.due += held;
        self.held += held;
        if step.condition.as_ref().is_some_and(|condition| !condition.truth(&self.user.scope).unwrap_or(false)) {
            return Ok(());
        }
        if step.kind.takes_time() && self.sink.is_over() {
            return Err(Stop::End(End::CutShort, Outcome::Interrupted));
        }
        if step.kind.knocks() && !self.sink.may_knock() {
            return Err(Stop::End(End::CutShort, Outcome::Error));
        }
        let due = self.due;
        let done: Result<(), Stop> = match &step.kind {
            // In boxes, since a user mostly waits for something else: what a request takes is 3.5 KB.
            StepKind::Http(http) => Box::pin(steps::http::run(http, self)).await.map_err(Stop::from),
            StepKind::Session(session) => Box::pin(steps::session::run(session, self)).await,
            StepKind::Message(message) => steps::session::message(message, self).await.map_err(Stop::from),
            StepKind::Think(think) => steps::think::run(*think, self).await.map_err(Stop::from),
            StepKind::Set(values) => steps::set::run(values, self).map_err(Stop::from),
            StepKind::Count(amounts) => steps::own::count(amounts, self).map_err(Stop::from),
            StepKind::Record(amounts) => steps::own::record(amounts, self).map_err(Stop::from),
            StepKind::Remember(values) => steps::remember::run(values, self).map_err(Stop::from),
            StepKind::Choose(choose) => match steps::choose::one(choose, self.user) {
                Some(flow) => self.nested(flow).await,
                None => Ok(()),
            },
            StepKind::Maybe(maybe) => match steps::choose::maybe(maybe, self.user) {
                true => self.nested(&maybe.flow).await,
                false => Ok(()),
            },
            StepKind::Repeat(repeat) => steps::repeat::repeat(repeat, self).await,
            StepKind::ForEach(each) => steps::repeat::for_each(each, self).await,
            StepKind::Group(group) => steps::group::run(group, self).await,
            StepKind::Call(flow) => self.nested(flow).await,
            StepKind::Eventually(eventually) => steps::eventually::run(eventually, self).await,
        };
        if step.kind.takes_time() {
            self.belongs = if step.kind.is_sampled() { due } else { self.due };
        }
        match (done, step.on_error) {
            (Ok(()), _) => Ok(()),
            (Err(Stop::Failed(broken)), OnError::Continue) if self.session.as_ref().is_some_and(|session| session.is_over()) => {
                Err(Stop::Failed(broken))
            }
            (Err(Stop::Failed(broken)), OnError::Continue) => self.goes_on(broken.why).await,
            (Err(Stop::Failed(broken)), OnError::EndUser) => Err(Stop::End(End::EndUser, broken.outcome())),
            (Err(Stop::Failed(broken)), OnError::AbortRun) => {
                Err(Stop::End(End::Abort(self.user.redact(&broken.why)), broken.outcome()))
            }
            (Err(stop), _) => Err(stop),
        }
    }

    /// As [`held`]; the session's connection is read meanwhile.
    async fn held_in_session(&mut self) -> Duration {
        let (sink, due) = (self.sink, self.due);
        if sink.gate(due).now_or_never().is_some() {
            return Duration::ZERO;
        }
        let Some(session) = &mut self.session else { return Duration::ZERO };
        Box::pin(alongside(session, Box::pin(held(sink.gate(due))))).await
    }

    /// A step failed, and the flow goes on: an attempt that it is part of has failed all the same. What the error left out within the
    /// step would have waited, so the next one is due after that.
    async fn goes_on(&mut self, why: String) -> Result<(), Stop> {
        if let Some(attempt) = &mut self.attempt {
            attempt.wrong.get_or_insert(why);
        }
        match std::mem::take(&mut self.user.rest) {
            Duration::ZERO => Ok(()),
            // In a box, since it is rare.
            rest => Box::pin(self.wait(self.due + rest)).await,
        }
    }
}

/// Awaits a gate and returns how long it was shut; nothing where it was open.
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
