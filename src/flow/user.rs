//! A virtual user between its iterations: its variables, cookies and connections.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::secrets::{Secrets, is_secret_cookie};
use crate::expr::{ScenarioValues, Scope, Symbol, Value};
use crate::protocol::Knock;
use crate::protocol::http::{Client, Pool};

use super::flight::report_connections;
use super::session::Sequences;
use super::sink::Sink;

/// What all users of a scenario are made of.
#[derive(Debug, Clone, Default)]
pub struct UserParts {
    /// What their expressions share.
    pub shared: Arc<ScenarioValues>,
    /// What they have heard of numbered messages.
    pub sequences: Arc<Sequences>,
}

/// One virtual user. It lives on one worker.
#[derive(Debug)]
pub struct User {
    pub(super) parts: Arc<UserParts>,
    pub(super) scope: Scope,
    pub(super) http: Client,
    pub(super) pool: Option<Rc<Pool>>,
    /// How often each choice of its flows was made so far.
    draws: Vec<u64>,
    /// Which of several that work through something at the same time it is.
    lane: u64,
    /// How long the steps would still have waited that an error left out of what it did last.
    pub(super) rest: Duration,
}

impl User {
    /// User `number`, counted from 0 over the whole run and all shards.
    pub fn new(number: u64, parts: &Arc<UserParts>) -> Self {
        Self {
            parts: parts.clone(),
            scope: Scope::new(parts.shared.clone(), number),
            http: Client::new(),
            pool: None,
            draws: Vec::new(),
            lane: 0,
            rest: Duration::ZERO,
        }
    }

    /// Another that works beside it: with its variables and its number, and with cookies and connections of its own.
    pub(super) fn fork(&self, lane: u32) -> Self {
        Self {
            parts: self.parts.clone(),
            scope: self.scope.fork(0, u64::from(lane)),
            http: Client::new(),
            pool: self.pool.clone(),
            draws: Vec::new(),
            lane: u64::from(lane),
            rest: Duration::ZERO,
        }
    }

    /// How often a choice was made before; this time is counted.
    pub(super) fn draws(&mut self, choice: u32) -> u64 {
        let choice = choice as usize;
        if self.draws.len() <= choice {
            self.draws.resize(choice + 1, 0);
        }
        let before = self.draws[choice];
        self.draws[choice] += 1;
        before
    }

    /// Its place among all who share a choice's decks.
    pub(super) fn place(&self) -> u64 {
        self.scope.user().wrapping_add(self.lane)
    }

    /// The connections that this worker's users of the scenario share, for requests that go over shared ones.
    pub fn share(&mut self, pool: Rc<Pool>) {
        self.pool = Some(pool);
    }

    /// What must not be shown of a text about what it does: its cookies, and what it can read that is named like a secret.
    pub fn secrets(&self, text: &str) -> Vec<String> {
        let cookies = self.http.cookies().filter(|value| is_secret_cookie(value)).map(str::to_owned);
        self.scope.secrets(text).into_iter().chain(cookies).collect()
    }

    /// A sentence about it without these.
    pub(super) fn redact(&self, text: &str) -> String {
        Secrets::new(self.secrets(text)).redact_own(text).into_owned()
    }

    /// What `phase` names in expressions from here on.
    pub fn enter_phase(&mut self, name: &str) {
        self.scope.set_phase(name);
    }

    /// Begins an iteration: what the last one left is gone.
    pub fn begin_iteration(&mut self, iteration: u64) {
        self.scope.begin_iteration(iteration);
    }

    /// Begins (another attempt at) its start: variables are gone, and those that are set last for its life.
    pub fn begin_start(&mut self) {
        self.scope.begin_start();
    }

    /// Begins its stop: what its last iteration left is gone.
    pub fn begin_stop(&mut self) {
        self.scope.begin_stop();
    }

    /// How long the steps behind the one that ended its last iteration by an error would have waited: whoever keeps that rhythm
    /// asks no more of a target that fails than of one that works.
    pub fn rest(&self) -> Duration {
        self.rest
    }

    /// The connection that it is opening, as long as it lives.
    pub fn knock(&self) -> Knock {
        self.http.knock().clone()
    }

    /// The user's number.
    pub fn number(&self) -> u64 {
        self.scope.user()
    }

    /// The user's variables.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The user's variables, to be set from outside of its flow, for instance with rows of data.
    pub fn scope_mut(&mut self) -> &mut Scope {
        &mut self.scope
    }

    /// The variables that it has set, for instance what set-up leaves to everybody; the user has none any more.
    pub fn take_variables(&mut self) -> Vec<(Symbol, Value)> {
        self.scope.take_variables()
    }

    /// Closes the user's own connections and forgets its cookies.
    pub fn close<S: Sink>(&mut self, sink: &S) {
        report_connections(sink, &self.http.close());
    }
}
