//! Turns that several users take at the same time, in one task: each takes the next turn when it is done with its last one.
//!
//! Every turn begins with the variables from before the step, and what it sets is its own, so that no turn depends on which
//! user takes it. Cookies and connections are each user's for all its turns. Where a turn fails, no further one begins; those under
//! way end first.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::turns::Turns;
use crate::flow::run::{Attempt, Run};
use crate::flow::sink::Sink;
use crate::flow::stop::Stop;
use crate::flow::types::Flow;
use crate::flow::user::User;

pub(super) async fn run<S: Sink>(turns: Turns<'_>, users: u32, flow: &Flow, run: &mut Run<'_, S>) -> Result<(), Stop> {
    let users = turns.limit().map_or(users, |limit| users.min(u32::try_from(limit).unwrap_or(users)));
    let seed = run.user.scope.random().next_u64();
    let all =
        All { turns: RefCell::new(turns), seed, flow, parent: run.user, sink: run.sink, users, due: run.due, held: run.held };
    let in_attempt = run.attempt.is_some();
    let mut lanes: FuturesUnordered<_> = (0..users).map(|lane| all.lane(lane, in_attempt)).collect();
    let (mut last, mut first_stop) = (run.due, None);
    let mut rested = run.due;
    let mut attempts = Vec::new();
    while let Some(ended) = lanes.next().await {
        last = last.max(ended.at);
        rested = rested.max(ended.at + ended.rest);
        attempts.extend(ended.attempt);
        if let Err(stop) = ended.done {
            // What failed for more than checks says more.
            match &first_stop {
                Some(Stop::Failed(first)) if first.unheld => first_stop = Some(stop),
                Some(_) => {}
                None => first_stop = Some(stop),
            }
        }
    }
    drop(lanes);
    (run.due, run.belongs) = (last, last);
    run.user.rest = rested.saturating_duration_since(last);
    if let Some(attempt) = &mut run.attempt {
        for lane in attempts {
            attempt.checks.extend(lane.checks);
            attempt.wrong = attempt.wrong.take().or(lane.wrong);
        }
    }
    first_stop.map_or(Ok(()), Err)
}

/// What the users have in common.
struct All<'a, 'f, S: Sink> {
    turns: RefCell<Turns<'f>>,
    seed: u64,
    flow: &'a Flow,
    parent: &'a User,
    sink: &'a S,
    users: u32,
    due: Instant,
    held: Duration,
}

/// How it ended for one user.
struct Ended {
    at: Instant,
    /// How long what it left out would have waited.
    rest: Duration,
    done: Result<(), Stop>,
    attempt: Option<Box<Attempt>>,
}

impl<S: Sink> All<'_, '_, S> {
    /// One user's turns.
    async fn lane(&self, lane: u32, in_attempt: bool) -> Ended {
        let mut person = Person { user: self.parent.fork(lane), sink: self.sink };
        let mut run = Run::new(&mut person.user, self.sink, self.due);
        run.held = self.held;
        run.attempt = in_attempt.then(Box::default);
        let done = loop {
            run.user.scope = self.parent.scope.fork(self.seed, self.turns.borrow().index());
            let next = self.turns.borrow_mut().next(&mut run);
            match next {
                Ok(Some(turn)) => {
                    if let Err(stop) = turn.run(self.flow, &mut run).await {
                        self.turns.borrow().left_out(&stop, self.users, self.flow, &mut run);
                        self.turns.borrow_mut().stop();
                        break Err(stop);
                    }
                    tokio::task::coop::consume_budget().await;
                }
                Ok(None) => break Ok(()),
                Err(broken) => {
                    self.turns.borrow_mut().stop();
                    break Err(broken.into());
                }
            }
        };
        Ended { at: run.due, rest: run.user.rest, done, attempt: run.attempt.take() }
    }
}

/// One of the users; it closes its connections when it goes, however it does.
struct Person<'a, S: Sink> {
    user: User,
    sink: &'a S,
}

impl<S: Sink> Drop for Person<'_, S> {
    fn drop(&mut self) {
        self.user.close(self.sink);
    }
}
