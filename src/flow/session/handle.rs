//! What is done with each message that comes.

use std::time::{Instant, SystemTime};

use bytes::Bytes;

use super::ears::Stream;
use super::hearing::Hearing;
use super::lack::Lack;
use super::life::Handled;
use super::types::{Handler, Handlers};
use crate::base::Reason;
use crate::base::units::nanos;
use crate::expr::{Content, EvalError, ExtractError, MessageObject, Scope};
use crate::flow::run::Run;
use crate::flow::sink::Sink;
use crate::measure::{MessageId, Numbered};
use crate::protocol::session::{Incoming, IncomingKind};

/// What is reported where there are more.
const CROWDED: &str = "`sequence` has more senders than are followed (256 by one listener, 10000 in all); what is missed of the others isn't known: \
                       let each listener hear fewer, or leave `sender` out where all count together";

/// The handlers of a `listen`, and what they have heard.
pub(in crate::flow) struct Listening<'l, 'a, S: Sink> {
    pub(in crate::flow) on: &'l Handlers,
    pub(in crate::flow) hearing: Hearing<'a, S>,
}

/// What a message holds, for expressions.
pub(super) fn content(kind: IncomingKind) -> Content {
    match kind {
        IncomingKind::Text(text) => Content::Text(Bytes::from(text)),
        IncomingKind::Binary(bytes) => Content::Binary(bytes),
        IncomingKind::Event { event, args, attachments, .. } => Content::Event { event: Some(event), args, attachments },
        IncomingKind::Ack { args, attachments, .. } => Content::Event { event: None, args, attachments },
    }
}

impl<'a, S: Sink> Run<'a, S> {
    /// Counts a message and gives it to the handlers. Answers it, if whoever waits `wants` to look at it.
    pub(super) fn handle(
        &mut self,
        incoming: Incoming,
        listening: Option<&mut Listening<'_, 'a, S>>,
        wants: bool,
    ) -> Option<Handled> {
        let session = self.session.as_mut()?;
        let Incoming { at, wall, kind } = incoming;
        session.passed(at, 0, 1);
        let answer = matches!(kind, IncomingKind::Ack { .. });
        let mut asked = if let IncomingKind::Event { ack, .. } = &kind { *ack } else { None };
        let read = session.step.on.read || listening.as_ref().is_some_and(|listening| listening.on.read);
        if !wants && (answer || (session.step.on.each.is_empty() && listening.is_none())) {
            return None;
        }
        let message = (wants || read).then(|| MessageObject::new(content(kind)));
        // What another user saw may be the same object.
        let looks = message.as_ref().map_or(0, |message| message.vain_looks());
        // An acknowledgement is for who waits for it.
        if !answer {
            let scope = &mut self.user.scope;
            let before = scope.message().cloned();
            scope.set_message(message.clone());
            let step = session.step;
            let (mut came, mut wrong, mut replies) = (Vec::new(), Vec::new(), Vec::new());
            let mut all = |on: &Handlers, hearing: &mut Hearing<'_, S>, scope: &mut Scope| {
                let mut streams = hearing.streams();
                let mut followed = streams.iter_mut().flat_map(|streams| streams.iter_mut());
                for handler in &on.each {
                    let heard = if handler.is_followed() { followed.next() } else { None };
                    match one(handler, heard, &mut came, scope, self.sink, at, wall) {
                        // The first that answers has answered.
                        Ok(Meant::Yes) => match handler.ack.as_ref().zip(asked).map(|(ack, id)| (id, ack.render(scope))) {
                            Some((id, Ok(args))) => {
                                asked = None;
                                replies.push((id, args));
                            }
                            Some((_, Err(error))) => wrong.push(error.into()),
                            None => {}
                        },
                        Ok(Meant::No) => {}
                        Err(error) => wrong.push(error),
                    }
                }
            };
            all(&step.on, &mut session.hearing, scope);
            if let Some(listening) = listening {
                all(listening.on, &mut listening.hearing, scope);
            }
            scope.set_message(before);
            for Came { message, numbered, lacks, .. } in came {
                self.sink.numbered(message, at, &numbered);
                lacks.iter().for_each(|lack| self.sink.missed(message, lack));
            }
            for Wrong { reason, detail } in wrong {
                session.report_error(at, reason, &detail);
            }
            for (id, args) in replies {
                session.acknowledge(at, id, &args);
            }
        }
        let unparsed = message.as_ref().is_some_and(|message| message.vain_looks() > looks);
        if unparsed {
            session.report_unparsed(at);
        }
        message.filter(|_| wants).map(|message| Handled { message, unparsed })
    }
}

/// What a message counts as under one name: once, however many handlers of that name take it.
struct Came {
    message: MessageId,
    numbered: Numbered,
    /// What is missed before it.
    lacks: Vec<Lack>,
    /// A handler with `sequence` has counted it.
    by_number: bool,
    /// A handler with `latency_from` has timed it.
    timed: bool,
}

/// The count under this name.
fn count_of(came: &mut Vec<Came>, message: MessageId) -> &mut Came {
    let at = came.iter().position(|one| one.message == message).unwrap_or_else(|| {
        let numbered = Numbered { received: 1, ..Numbered::default() };
        came.push(Came { message, numbered, lacks: Vec::new(), by_number: false, timed: false });
        came.len() - 1
    });
    &mut came[at]
}

/// Whether a handler was meant.
enum Meant {
    Yes,
    No,
}

/// What a handler could not do.
struct Wrong {
    reason: Reason,
    detail: String,
}

impl From<EvalError> for Wrong {
    fn from(error: EvalError) -> Self {
        Self { reason: Reason::Template, detail: error.to_string() }
    }
}

impl From<ExtractError> for Wrong {
    fn from(error: ExtractError) -> Self {
        Self { reason: Reason::Data, detail: error.to_string() }
    }
}

/// Gives a message to one handler. Answers whether it was meant.
///
/// # Errors
/// The first of its expressions that could not be evaluated, or what was required and not found; what is before it was done.
fn one<S: Sink>(
    handler: &Handler,
    mut heard: Option<&mut Stream>,
    came: &mut Vec<Came>,
    scope: &mut Scope,
    sink: &S,
    at: Instant,
    wall: SystemTime,
) -> Result<Meant, Wrong> {
    if handler.matches.as_ref().is_some_and(|matches| !matches.truth(scope).unwrap_or(false)) {
        return Ok(Meant::No);
    }
    if let Some(message) = handler.message {
        // One without a number came all the same.
        let counted = count_of(came, message);
        if let Some(silence) = heard.as_mut().and_then(|heard| heard.silence.as_mut()) {
            silence.came(at, &mut |stretch| sink.listened(message, &stretch));
        }
        match (&handler.sequence, heard.and_then(|heard| heard.numbers.as_mut())) {
            (Some(_), Some(numbers)) if counted.by_number => numbers.is_double(),
            (Some(sequence), Some(numbers)) => {
                let number = sequence.whole(scope)?;
                let sender =
                    handler.sender.as_ref().map(|sender| sender.value(scope).map(|value| value.to_string())).transpose()?;
                counted.numbered = numbers.see(number, sender.as_deref(), at, &mut counted.lacks);
                counted.by_number = true;
                if numbers.is_crowding_to_be_reported() {
                    sink.broken(at, Reason::Other, CROWDED);
                }
            }
            _ => {}
        }
        if let Some(from) = handler.latency_from.as_ref().filter(|_| !counted.timed) {
            counted.timed = true;
            let age = since_epoch(wall) - from.moment(scope)?;
            let latency = std::time::Duration::try_from_secs_f64(age).unwrap_or_default();
            sink.latency(message, at, nanos(latency), age < 0.0);
        }
    }
    let mut missing = None;
    for (symbol, extract) in &handler.extract {
        let found = scope.message().map_or(Ok(None), |message| extract.from_message(message));
        match found {
            Ok(Some(value)) => scope.assign(*symbol, value),
            Ok(None) => scope.unset(*symbol),
            Err(error) => {
                scope.unset(*symbol);
                missing.get_or_insert(error);
            }
        }
    }
    missing.map_or(Ok(()), Err)?;
    for (metric, expression) in &handler.count {
        sink.count(*metric, expression.number(scope)?, at);
    }
    for (metric, expression) in &handler.record {
        sink.observe(*metric, expression.number(scope)?, at);
    }
    Ok(Meant::Yes)
}

/// Unix seconds; before 1970 below 0.
fn since_epoch(wall: SystemTime) -> f64 {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
