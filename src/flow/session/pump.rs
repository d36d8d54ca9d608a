//! Waiting within a session: its connection is read meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use super::handle::Listening;
use super::life::{Handled, Session};
use super::types::Awaited;
use crate::base::units::{nanos, show_seconds};
use crate::base::{Outcome, Reason};
use crate::flow::flight::Flight;
use crate::flow::run::Run;
use crate::flow::sink::{Failure, Sink};
use crate::flow::stop::Broken;
use crate::measure::Sample;
use crate::protocol::session::{IncomingKind, Lost, Outgoing};

impl<'a, S: Sink> Run<'a, S> {
    /// Waits until a moment; what comes in a session goes to its handlers.
    ///
    /// # Errors
    /// The session's connection is lost.
    pub(in crate::flow) async fn wait_until(&mut self, at: Instant) -> Result<(), Broken> {
        let sink = self.sink;
        if self.session.is_none() {
            sink.sleep_until(at).await;
            return Ok(());
        }
        Box::pin(async move {
            let done = self.listen_until(|| sink.sleep_until(at), None, Lasting::Fixed).await;
            self.broken_off(at, done)
        })
        .await
    }

    /// A wait until `at` is over. If it broke off, what was left of it counts like the steps behind it.
    pub(in crate::flow) fn broken_off(&mut self, at: Instant, done: Result<(), Broken>) -> Result<(), Broken> {
        if done.is_err() {
            self.due = at.min(Instant::now());
            self.user.rest = at.saturating_duration_since(self.due);
        }
        done
    }

    /// Waits until a moment, or until the user is asked to end.
    ///
    /// # Errors
    /// The session's connection is lost.
    pub(in crate::flow) async fn wait_unless_asked(&mut self, at: Instant) -> Result<(), Broken> {
        let sink = self.sink;
        (self.due, self.belongs) = (at, at);
        Box::pin(async move {
            let stop = || async {
                tokio::select! {
                    () = sink.sleep_until(at) => {}
                    () = sink.asked_to_end() => {}
                }
            };
            let done = self.listen_until(stop, None, Lasting::Fixed).await;
            self.broken_off(at, done)
        })
        .await
    }

    /// Takes messages until `stop`, which is begun anew where a connection is brought back: that takes the user into its present
    /// phase, and only another wait lets go of it again. What lasts [`Lasting::Open`] is over, too, once the peer has ended the connection
    /// as it was meant to.
    ///
    /// # Errors
    /// The connection is lost, and was not brought back.
    pub(in crate::flow) async fn listen_until<F: Future>(
        &mut self,
        stop: impl Fn() -> F,
        mut listening: Option<&mut Listening<'_, 'a, S>>,
        lasting: Lasting,
    ) -> Result<(), Broken> {
        loop {
            let mut stopped = std::pin::pin!(stop());
            loop {
                let Some(session) = &mut self.session else { return Err(Broken::new("")) };
                if session.is_lost() && !session.has_read_ahead() {
                    if let Some(listening) = &mut listening {
                        listening.hearing.lost(Instant::now());
                    }
                    match Box::pin(self.recover(stopped.as_mut())).await? {
                        Recovered::Stopped => return Ok(()),
                        Recovered::Open => {
                            if let Some(listening) = &mut listening {
                                listening.hearing.reconnected();
                            }
                            break;
                        }
                    }
                }
                if session.is_parted() {
                    if let Some(listening) = &mut listening {
                        listening.hearing.end(Instant::now());
                    }
                    if lasting == Lasting::Open {
                        return Ok(());
                    }
                }
                let came = tokio::select! {
                    biased;
                    _ = stopped.as_mut() => return Ok(()),
                    came = session.next() => came,
                };
                match came {
                    Ok(incoming) => drop(self.handle(incoming, listening.as_deref_mut(), false)),
                    Err(lost) => {
                        session.lose(lost);
                        session.report_loss(Instant::now());
                    }
                }
            }
        }
    }

    /// Says goodbye and closes, if the connection is open. What comes before the peer's own goodbye is taken as ever; what was read
    /// ahead is kept.
    pub(in crate::flow) async fn close(&mut self) {
        let within = self.session.as_ref().map_or(Duration::ZERO, |session| session.step.closing.within);
        let farewell = async {
            if let Some(connection) = self.session.as_mut().and_then(|session| session.closing()) {
                connection.goodbye().await;
            }
            while let Some(connection) = self.session.as_mut().and_then(|session| session.connection())
                && let Some(incoming) = connection.parting().await
            {
                self.handle(incoming, None, false);
            }
        };
        let _ = tokio::time::timeout(within, farewell).await;
        if let Some(session) = &mut self.session {
            session.let_go();
        }
    }

    /// The steps are over: takes what was read ahead, and closes.
    pub(in crate::flow) async fn part(&mut self) {
        while let Some(incoming) = self.session.as_mut().and_then(|session| session.read_before()) {
            self.handle(incoming, None, false);
        }
        self.close().await;
    }

    /// Brings a lost connection back, as often as the session may.
    async fn recover<F: Future>(&mut self, mut stop: Pin<&mut F>) -> Result<Recovered, Broken> {
        let Self { user, sink, session: Some(session), .. } = self else { return Err(Broken::new("")) };
        let Some(reconnect) = session.step.reconnect.filter(|_| !session.is_over()) else { return Err(session.gone()) };
        for _ in 0..reconnect.times {
            let at = (Instant::now() + reconnect.after.draw(&mut user.scope.random())).max(session.next_try());
            tokio::select! {
                biased;
                _ = stop.as_mut() => return Ok(Recovered::Stopped),
                () = sink.sleep_until(at) => {}
            }
            if !sink.may_knock() {
                let why = session.gone().why;
                return Err(Broken::new(format!(
                    "{why}; no further attempt was made to connect again, since the target is away"
                )));
            }
            if session.reopen(user, at).await {
                return Ok(Recovered::Open);
            }
        }
        Err(Broken::new(format!("{}; {} attempts to connect again failed", session.gone().why, reconnect.times)))
    }

    /// The connection is there, or is brought back.
    async fn ready(&mut self) -> Result<(), Broken> {
        let Some(session) = &self.session else { return Err(Broken::new("")) };
        if session.is_lost() {
            Box::pin(self.recover(std::pin::pin!(std::future::pending::<()>()))).await?;
        }
        Ok(())
    }

    /// A message that could not be made: an error of the session's step, at this moment.
    pub(in crate::flow) fn unsendable(&self, detail: &str) -> Broken {
        if let Some(session) = &self.session {
            session.report_error(Instant::now(), Reason::Template, detail);
        }
        Broken::new(detail)
    }

    /// Sends a message. Answers the moment from which on it was on its way.
    ///
    /// # Errors
    /// The connection is lost or closed, or the peer doesn't take the message.
    pub(in crate::flow) async fn send(&mut self, message: Outgoing) -> Result<Instant, Broken> {
        self.ready().await?;
        let Some(session) = &mut self.session else { return Err(Broken::new("")) };
        // What came before is no answer to it.
        session.unseen.clear();
        let began = Instant::now();
        let step = session.step.id;
        let Some(connection) = session.connection() else { return Err(session.report_closed(began)) };
        // A message that is never taken is a request of the session's step without an answer.
        let flight = Flight::new(self.sink, step, began, true);
        let sent = connection.send(message).await;
        flight.landed();
        match sent {
            Ok(_) => {
                self.due = Instant::now();
                session.passed(self.due, 1, 0);
                Ok(began)
            }
            Err(lost) if lost.reason == Reason::Other => {
                // The message can't be sent by this protocol; the connection is as it was.
                session.report_error(began, lost.reason, &lost.detail);
                Err(Broken::new(lost.detail))
            }
            Err(lost) => {
                let broken = Broken::because(lost.reason, lost.detail.clone());
                session.lose(lost);
                self.due = Instant::now();
                if session.is_parted() {
                    return Err(session.report_closed(self.due));
                }
                session.report_loss_since(began, self.due);
                Err(broken)
            }
        }
    }

    /// Waits for a message, or with `ack` for that acknowledgement: its sample, and what is made of it. Service time runs from `sent`,
    /// if something was sent for it.
    ///
    /// # Errors
    /// It didn't come in time, or the connection is lost.
    pub(in crate::flow) async fn receive(
        &mut self,
        awaited: &Awaited,
        ack: Option<u64>,
        due: Instant,
        sent: Option<Instant>,
    ) -> Result<(), Broken> {
        if ack.is_none()
            && let Some((at, message)) = self.unseen(awaited)
        {
            return self.came(awaited, due, sent, at, message);
        }
        // That the connection was lost has been reported.
        self.ready().await?;
        if let Some(session) = self.session.as_mut().filter(|session| session.is_closed()) {
            let why = session.gone().why;
            return self.came_not(awaited, due, sent, Reason::Closed, why);
        }
        // What it answers was sent by a step before it, as far as is known.
        let flight = Flight::new(self.sink, awaited.id, due, true);
        let began = Instant::now();
        let deadline = began + awaited.within;
        let mut late = std::pin::pin!(tokio::time::sleep_until(deadline.into()));
        let found: Result<(Instant, Handled), Lost> = loop {
            let Some(session) = &mut self.session else { break Err(timed_out(awaited)) };
            let incoming = tokio::select! {
                biased;
                came = session.next() => match came {
                    Ok(incoming) => incoming,
                    Err(lost) => {
                        session.lose(lost.clone());
                        break Err(lost);
                    }
                },
                () = late.as_mut() => break Err(timed_out(awaited)),
            };
            let (at, size) = (incoming.at, incoming.size());
            let (ours, later) = match (&incoming.kind, ack) {
                (IncomingKind::Ack { id, .. }, Some(ack)) => (*id == ack, false),
                (IncomingKind::Ack { .. }, None) => (false, false),
                // An event is for the next `receive`.
                (_, Some(_)) => (false, session.unseen.has_room()),
                (_, None) => (true, false),
            };
            let message = self.handle(incoming, None, ours || later);
            if let Some(mut message) = message {
                if later {
                    if let Some(session) = &mut self.session {
                        session.unseen.push(size, (at, message));
                    }
                } else if at <= deadline && self.fits(awaited, at, &mut message) {
                    break Ok((at, message));
                }
            }
            if Instant::now() > deadline {
                break Err(timed_out(awaited));
            }
        };
        flight.landed();
        match found {
            Ok((at, message)) => self.came(awaited, due, sent, at, message),
            Err(lost) => self.came_not(awaited, due, sent, lost.reason, lost.detail),
        }
    }

    /// The first that fits of what came while an acknowledgement was awaited; what is before it is gone.
    fn unseen(&mut self, awaited: &Awaited) -> Option<(Instant, Handled)> {
        loop {
            let (at, mut message) = self.session.as_mut()?.unseen.pop()?;
            if self.fits(awaited, at, &mut message) {
                return Some((at, message));
            }
        }
    }

    /// Whether it is the message that is awaited, which is then that of the scope.
    fn fits(&mut self, awaited: &Awaited, at: Instant, handled: &mut Handled) -> bool {
        let looks = handled.message.vain_looks();
        let scope = &mut self.user.scope;
        let before = scope.message().cloned();
        scope.set_message(Some(handled.message.clone()));
        let fits = awaited.matches.as_ref().is_none_or(|matches| matches.truth(scope).unwrap_or(false));
        if !fits {
            scope.set_message(before);
        }
        self.report_unparsed(at, handled, looks);
        fits
    }

    /// Reports a message that holds no JSON though it was asked for since `looks` was read; once.
    fn report_unparsed(&self, at: Instant, handled: &mut Handled, looks: u32) {
        if !handled.unparsed && handled.message.vain_looks() > looks {
            handled.unparsed = true;
            if let Some(session) = &self.session {
                session.report_unparsed(at);
            }
        }
    }

    /// The message came: what is made of it, and its sample.
    fn came(
        &mut self,
        awaited: &Awaited,
        due: Instant,
        sent: Option<Instant>,
        at: Instant,
        mut handled: Handled,
    ) -> Result<(), Broken> {
        self.due = at.max(due);
        let looks = handled.message.vain_looks();
        let scope = &mut self.user.scope;
        let mut missing = None;
        for (symbol, extract) in &awaited.extract {
            match extract.from_message(&handled.message) {
                Ok(Some(value)) => scope.assign(*symbol, value),
                Ok(None) => scope.unset(*symbol),
                Err(error) => {
                    scope.unset(*symbol);
                    missing = missing.or_else(|| Some(error.to_string()));
                }
            }
        }
        self.sample(awaited, due, sent, at, missing.as_ref().map(|_| Reason::Data));
        for (check, expression) in &awaited.checks {
            self.check(*check, due, expression, &Vec::new);
        }
        self.report_unparsed(at, &mut handled, looks);
        match missing {
            None => Ok(()),
            Some(detail) => Err(self.failed(awaited, due, Reason::Data, &detail)),
        }
    }

    fn came_not(
        &mut self,
        awaited: &Awaited,
        due: Instant,
        sent: Option<Instant>,
        reason: Reason,
        detail: String,
    ) -> Result<(), Broken> {
        let now = Instant::now();
        self.due = now.max(due);
        self.sample(awaited, due, sent, now, Some(reason));
        self.sink.lost(awaited.id, due);
        Err(self.failed(awaited, due, reason, &detail))
    }

    fn sample(&self, awaited: &Awaited, due: Instant, sent: Option<Instant>, at: Instant, reason: Option<Reason>) {
        let response = nanos(at.saturating_duration_since(due));
        let sample = Sample {
            response,
            service: sent.map_or(response, |sent| nanos(at.saturating_duration_since(sent))),
            outcome: match reason {
                None => Outcome::Ok,
                Some(Reason::Timeout) => Outcome::Timeout,
                Some(_) => Outcome::Error,
            },
            reason,
            status: 0,
            sent: 0,
            received: 0,
        };
        self.sink.sample(awaited.id, due, &sample);
    }

    fn failed(&self, awaited: &Awaited, due: Instant, reason: Reason, detail: &str) -> Broken {
        let secrets = |text: &str| self.user.secrets(text);
        self.sink.failure(awaited.id, due, &Failure { reason, status: 0, detail, body: b"", secrets: &secrets });
        Broken::because(reason, format!("step `{}` failed ({reason}): {detail}", awaited.name))
    }
}

/// Waits for something that isn't the session's matter. What comes meanwhile is read, with its moment, and is handled when the
/// session is next waited in.
pub(in crate::flow) async fn alongside<S: Sink, F: Future>(session: &mut Session<'_, S>, mut work: Pin<Box<F>>) -> F::Output {
    tokio::select! {
        biased;
        done = work.as_mut() => done,
        never = session.read_ahead() => match never {},
    }
}

/// For how long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flow) enum Lasting {
    /// As long as was said, whatever becomes of the connection.
    Fixed,
    /// As long as there is a connection.
    Open,
}

/// What became of an attempt to bring a connection back.
enum Recovered {
    /// It is open.
    Open,
    /// Something else came first.
    Stopped,
}

fn timed_out(awaited: &Awaited) -> Lost {
    let within = show_seconds(awaited.within.as_secs_f64());
    Lost::new(Reason::Timeout, format!("no such message came within {within}"))
}
