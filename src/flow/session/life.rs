//! A session from its connect to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::hearing::Hearing;
use super::queue::BoundedQueue;
use super::types::SessionStep;
use crate::base::units::nanos;
use crate::base::{Outcome, Protocol, Reason};
use crate::expr::MessageObject;
use crate::expr::json::Tree;
use crate::flow::flight::Flight;
use crate::flow::rhythm::RETRY;
use crate::flow::sink::{Failure, Sink, why_ended};
use crate::flow::stop::Broken;
use crate::flow::user::User;
use crate::measure::{self, Passed, Sample};
use crate::protocol::Knock;
use crate::protocol::session::{self as driver, Attempt, ConnectTimes, Connection, Incoming, Lost};

/// A message that the handlers have seen.
pub(super) struct Handled {
    pub(super) message: Arc<MessageObject>,
    /// It has been reported as not JSON.
    pub(super) unparsed: bool,
}

/// An open session. Dropped before [`Session::finish`], it was interrupted.
pub(in crate::flow) struct Session<'a, S: Sink> {
    pub(in crate::flow) step: &'a SessionStep,
    pub(super) sink: &'a S,
    /// None once either side has ended it.
    connection: Option<Connection>,
    /// How the peer ended it, until it is brought back.
    lost: Option<Lost>,
    /// The peer ended it as it was meant to.
    parted: bool,
    /// A step needed the connection when it was gone for good.
    over: bool,
    /// What was read while something else was awaited. Beyond what it has room for the peer has to wait.
    ahead: BoundedQueue<Incoming>,
    /// What came while an acknowledgement was awaited, and no `receive` has looked at.
    pub(super) unseen: BoundedQueue<(Instant, Handled)>,
    /// What `on` follows.
    pub(super) hearing: Hearing<'a, S>,
    since: Instant,
    /// When it was last tried to connect.
    tried: Instant,
    /// When this side said goodbye: what was sent later was owed to nobody.
    closing: Option<Instant>,
    /// Bytes sent and received that the sink knows of.
    reported: (u64, u64),
    /// Acknowledgements asked for so far.
    acks: u64,
    outcome: Outcome,
}

impl<'a, S: Sink> Session<'a, S> {
    /// Opens the connection; its sample was due at `due`. Answers when it ended, too.
    pub(in crate::flow) async fn open(
        step: &'a SessionStep,
        user: &mut User,
        sink: &'a S,
        due: Instant,
    ) -> (Instant, Result<Box<Self>, Broken>) {
        sink.listener_due(step.id, due);
        let (ended, connected) = connect(step, user, sink, due).await;
        match &connected {
            Ok(_) => sink.listener_came(step.id, ended),
            Err(_) => sink.listener_refused(step.id, due, ended),
        }
        let session = connected.map(|connection| {
            Box::new(Self {
                step,
                sink,
                reported: connection.traffic(),
                connection: Some(connection),
                lost: None,
                parted: false,
                over: false,
                ahead: BoundedQueue::new(step.connector.max_message()),
                unseen: BoundedQueue::new(step.connector.max_message()),
                hearing: Hearing::new(&step.on, sink, &user.parts.sequences, ended),
                since: ended,
                tried: ended,
                closing: None,
                acks: 0,
                outcome: Outcome::Interrupted,
            })
        });
        (ended, session)
    }

    /// The next message: one that was read already, or comes. Never, once this side has closed.
    ///
    /// # Errors
    /// The connection is lost; [`Session::lose`] is to be called if that wasn't known.
    pub(super) async fn next(&mut self) -> Result<Incoming, Lost> {
        if let Some(incoming) = self.read_before() {
            return Ok(incoming);
        }
        match (&mut self.connection, &self.lost) {
            (Some(connection), _) => connection.next().await,
            (None, Some(lost)) => Err(lost.clone()),
            (None, None) => std::future::pending().await,
        }
    }

    /// Reads ahead for as long as it is polled. A loss is reported at once; the next step on the connection fails.
    pub(super) async fn read_ahead(&mut self) -> std::convert::Infallible {
        loop {
            let Some(connection) = self.connection.as_mut().filter(|_| self.ahead.has_room()) else {
                return std::future::pending().await;
            };
            match connection.next().await {
                Ok(incoming) => {
                    self.hearing.set_unsure(true);
                    self.ahead.push(incoming.size(), incoming);
                }
                Err(lost) => {
                    self.lose(lost);
                    self.report_loss(Instant::now());
                }
            }
        }
    }

    /// The open connection, for a message to be sent.
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Whether this side has closed it, and all that came before is handled.
    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_none() && self.lost.is_none() && self.ahead.is_empty()
    }

    /// Ends the sending side.
    ///
    /// # Errors
    /// The connection is lost, or knows no such thing.
    pub(in crate::flow) async fn finish_sending(&mut self) -> Result<(), Broken> {
        let done = match &mut self.connection {
            Some(Connection::Tcp(connection)) => connection.finish().await,
            _ => return Err(self.report_closed(Instant::now())),
        };
        done.map_err(|lost| {
            let broken = Broken::because(lost.reason, lost.detail.clone());
            self.lose(lost);
            self.report_loss(Instant::now());
            broken
        })
    }

    /// Whether a step needed the connection when it was gone for good: no later step could do more.
    pub(in crate::flow) fn is_over(&self) -> bool {
        self.over
    }

    /// A step needs the connection, and it won't come back. Answers why.
    pub(super) fn gone(&mut self) -> Broken {
        self.over = true;
        let reason = self.lost.as_ref().map_or(Reason::Closed, |lost| lost.reason);
        Broken::because(reason, self.why_closed())
    }

    /// Whether the peer ended it as it was meant to, and all that came before is handled.
    pub(super) fn is_parted(&self) -> bool {
        self.parted && self.is_closed()
    }

    /// Whether the peer has ended it, and it wasn't brought back.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Why there is no connection, in words.
    fn why_closed(&self) -> String {
        match &self.lost {
            Some(lost) => lost.detail.clone(),
            None if self.parted => "the peer has ended the connection, as it was meant to".into(),
            None => "the session has closed its connection".into(),
        }
    }

    /// A number that no acknowledgement has had on this connection.
    pub(in crate::flow) fn next_ack(&mut self) -> u64 {
        self.acks += 1;
        self.acks - 1
    }

    /// A message came that holds no JSON, though that was asked for.
    pub(super) fn report_unparsed(&self, at: Instant) {
        self.sink.passed(self.step.id, at, &Passed { unparsed: 1, ..Passed::default() });
    }

    /// Answers the event of this number.
    pub(super) fn acknowledge(&mut self, at: Instant, id: u64, args: &[u8]) {
        let Some(serde_json::Value::Array(args)) = Tree::parse(args).map(Tree::exact) else {
            return self.report_error(at, Reason::Template, "`ack` is no list of JSON");
        };
        if self.connection.as_mut().is_some_and(|connection| connection.acknowledge(id, args)) {
            self.passed(at, 1, 0);
        }
    }

    /// Messages went over the connection just now.
    pub(super) fn passed(&mut self, at: Instant, sent: u64, received: u64) {
        let now = self.connection.as_ref().map_or(self.reported, Connection::traffic);
        let (sent_bytes, received_bytes) = (now.0.saturating_sub(self.reported.0), now.1.saturating_sub(self.reported.1));
        self.reported = now;
        let passed = Passed { sent, received, sent_bytes, received_bytes, unparsed: 0 };
        if passed != Passed::default() {
            self.sink.passed(self.step.id, at, &passed);
        }
    }

    /// The connection ended, and nobody had asked it to; or the peer ended it as it was meant to, or as this side had ended its own.
    pub(super) fn lose(&mut self, mut lost: Lost) {
        let over = matches!(&self.connection, Some(Connection::Tcp(connection)) if connection.is_over());
        let expected = self.step.closing.expected.covers(&lost);
        if expected && !over && self.tried.elapsed() < RETRY {
            self.sink.hung_up();
        }
        if over || (expected && self.step.reconnect.is_none()) {
            self.parted = true;
            self.closing.get_or_insert_with(Instant::now);
            self.hearing.close();
            return self.let_go();
        }
        let now = Instant::now();
        self.passed(now, 0, 0);
        let reason = why_ended(self.sink, now, lost.reason);
        if reason != lost.reason {
            lost.detail.push_str(", and the generator had stood still just before");
            lost.reason = reason;
        }
        if self.connection.take().is_some() {
            self.sink.disconnected(self.step.protocol(), now, (!expected).then_some(lost.reason));
        }
        self.hearing.lost(now);
        self.lost = Some(lost);
    }

    /// Reports a loss while no message was waited for: an error of the session's step, at that moment.
    pub(super) fn report_loss(&self, at: Instant) {
        self.report_loss_since(at, at);
    }

    /// The same of what was under way since `began`.
    pub(super) fn report_loss_since(&self, began: Instant, at: Instant) {
        let Some(lost) = self.lost.as_ref().filter(|lost| !self.step.closing.expected.covers(lost)) else { return };
        self.report_error_since(began, at, lost.reason, &lost.detail);
    }

    /// A step needs the connection, and there is none: an error, unless it is the loss that was reported already.
    pub(super) fn report_closed(&mut self, at: Instant) -> Broken {
        let broken = self.gone();
        if self.lost.is_none() {
            self.report_error(at, Reason::Closed, &broken.why);
        }
        broken
    }

    /// An error of the session's step that took no time of its own.
    pub(super) fn report_error(&self, at: Instant, reason: Reason, detail: &str) {
        self.report_error_since(at, at, reason, detail);
    }

    /// An error of the session's step that was under way from `began` to `at`.
    fn report_error_since(&self, began: Instant, at: Instant, reason: Reason, detail: &str) {
        let outcome = if reason == Reason::Timeout { Outcome::Timeout } else { Outcome::Error };
        let took = nanos(at.saturating_duration_since(began));
        let sample = Sample { response: took, service: took, outcome, reason: Some(reason), status: 0, sent: 0, received: 0 };
        self.sink.sample(self.step.id, began, &sample);
        let failure = Failure { reason, status: 0, detail, body: b"", secrets: &|_| Vec::new() };
        self.sink.failure(self.step.id, began, &failure);
    }

    /// When it may be connected anew at the earliest.
    pub(super) fn next_try(&self) -> Instant {
        self.tried + RETRY
    }

    /// Connects anew. What was followed goes on, or begins anew where its numbers do.
    pub(super) async fn reopen(&mut self, user: &mut User, due: Instant) -> bool {
        let (ended, connected) = connect(self.step, user, self.sink, due).await;
        self.tried = ended;
        let Ok(connection) = connected else { return false };
        self.reported = connection.traffic();
        self.connection = Some(connection);
        self.lost = None;
        self.acks = 0;
        self.hearing.reconnected();
        true
    }

    /// This side says goodbye. The connection, if it is open.
    pub(super) fn closing(&mut self) -> Option<&mut Connection> {
        let connection = self.connection.as_mut()?;
        self.closing.get_or_insert_with(Instant::now);
        self.hearing.close();
        Some(connection)
    }

    /// A message that was read ahead.
    pub(super) fn read_before(&mut self) -> Option<Incoming> {
        let incoming = self.ahead.pop()?;
        if self.ahead.is_empty() {
            self.hearing.set_unsure(false);
        }
        Some(incoming)
    }

    /// Whether there are such.
    pub(super) fn has_read_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// This side has closed, or just goes: then the goodbye is what can be said without waiting.
    pub(super) fn let_go(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.leave();
        }
        let now = Instant::now();
        self.passed(now, 0, 0);
        if self.connection.take().is_some() {
            self.sink.disconnected(self.step.protocol(), now, None);
        }
    }

    /// The steps ended so, and it is closed. Answers why the session failed though its steps didn't, if it did.
    pub(in crate::flow) fn finish(mut self: Box<Self>, steps: Outcome) -> Option<Broken> {
        let lost = self.lost.take().filter(|_| self.step.reconnect.is_none());
        self.outcome = if steps == Outcome::Ok && lost.is_some() { Outcome::Error } else { steps };
        lost.map(|lost| Broken::because(lost.reason, format!("session `{}`: {}", self.step.name, lost.detail)))
    }
}

impl<S: Sink> Drop for Session<'_, S> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.hearing.end(self.closing.unwrap_or(now));
        self.let_go();
        self.sink.session(self.step.id, now, now.saturating_duration_since(self.since), self.outcome);
    }
}

/// A connection of a session that is being opened.
struct Knocking {
    knock: Knock,
    since: Instant,
}

impl Knocking {
    fn at(step: &SessionStep, user: &User) -> Self {
        let knock = user.knock();
        knock.is_for(step.id);
        Self { since: knock.begins(), knock }
    }
}

impl Drop for Knocking {
    fn drop(&mut self) {
        self.knock.ends();
    }
}

/// One attempt to connect, with its sample.
async fn connect<S: Sink>(step: &SessionStep, user: &mut User, sink: &S, due: Instant) -> (Instant, Result<Connection, Broken>) {
    let protocol = step.protocol();
    let prepared = match step.connector.prepare(&user.scope) {
        Ok(prepared) => prepared,
        Err(error) => {
            let ended = due.max(Instant::now());
            let sample = Sample {
                response: nanos(ended.saturating_duration_since(due)),
                service: 0,
                outcome: Outcome::Error,
                reason: Some(Reason::Template),
                status: 0,
                sent: 0,
                received: 0,
            };
            sink.sample(step.id, due, &sample);
            let detail = error.to_string();
            let secrets = |text: &str| user.secrets(text);
            let failure = Failure { reason: Reason::Template, status: 0, detail: &detail, body: b"", secrets: &secrets };
            sink.failure(step.id, due, &failure);
            return (ended, Err(Broken::new(format!("step `{}` failed (template): {detail}", step.name))));
        }
    };
    let credentials = prepared.credentials();
    let knocking = Knocking::at(step, user);
    let began = knocking.since;
    let flight = Flight::opening(sink, step.id, (due, began), protocol);
    let attempt = driver::open(prepared, Some(user.http.jar())).await;
    drop(knocking);
    flight.landed();
    let Attempt { result, times, sent_at, ended, status, sent, received, .. } = attempt;
    // TCP sends nothing to connect: all of it is the target's time.
    let service = match (sent_at, times) {
        (_, Some(times)) if times.handshake.is_none() && result.is_ok() => times.total,
        (Some(sent_at), _) => ended.saturating_duration_since(sent_at),
        (None, _) => Duration::ZERO,
    };
    sink.credentials(&credentials, &HeaderMap::new());
    let (outcome, reason) = match &result {
        Ok(_) => (Outcome::Ok, None),
        Err(error) => (error.outcome, Some(error.reason)),
    };
    let response = nanos(ended.saturating_duration_since(due));
    sink.sample(step.id, due, &Sample { response, service: nanos(service), outcome, reason, status, sent, received });
    if result.is_err() && sent_at.is_some() && status == 0 && protocol != Protocol::Tcp {
        sink.lost(step.id, due);
    }
    match result {
        Ok(connection) => {
            sink.connected(protocol, began, ended, &layers(&times.unwrap_or_default()));
            (ended, Ok(connection))
        }
        Err(error) => {
            sink.unconnected(protocol, began, Some(error.reason), ended.saturating_duration_since(began));
            let secrets = |text: &str| user.secrets(text).into_iter().chain(credentials.secrets()).collect();
            let failure = Failure { reason: error.reason, status, detail: &error.detail, body: b"", secrets: &secrets };
            sink.failure(step.id, due, &failure);
            let why = format!("step `{}` failed ({}): {}", step.name, error.reason, error.detail);
            (ended, Err(Broken::because(error.reason, why)))
        }
    }
}

fn layers(times: &ConnectTimes) -> measure::ConnectTimes {
    measure::ConnectTimes {
        total: nanos(times.total),
        dns: times.dns.map(nanos),
        tcp: nanos(times.tcp),
        tls: times.tls.map(nanos),
        handshake: times.handshake.map(nanos),
    }
}
