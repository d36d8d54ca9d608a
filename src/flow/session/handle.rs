//! What is done with each message that comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;

use super::marks::{self, Marks, Sequences};
use super::sequence::Tracker;
use super::types::{Handler, Handlers};
use crate::base::Reason;
use crate::base::units::nanos;
use crate::expr::{Content, EvalError, ExtractError, MessageObject, Scope};
use crate::flow::interpret::Run;
use crate::flow::sink::Sink;
use crate::measure::{MessageId, Numbered};
use crate::protocol::session::{Incoming, IncomingKind};

/// Senders that one listener follows at once.
const SENDERS: usize = 256;

/// What is told where there are more.
const CROWDED: &str = "`sequence` has more senders than are followed (256 by one listener, 10000 in all); what is missed of the others isn't known: \
                       let each listener hear fewer, or leave `sender` out where all count together";

/// What some handlers have heard of numbered messages. What never came is told when it ends, or is dropped.
pub(in crate::flow) struct Hearing<'a, S: Sink> {
    sink: &'a S,
    /// One for each handler with `sequence`, in their order.
    streams: Vec<Stream>,
}

struct Stream {
    message: MessageId,
    since: Instant,
    sequences: Arc<Sequences>,
    heard: Heard,
    /// Another handler of the name has counted what this one would.
    doubled: bool,
}

enum Heard {
    /// All who send count together.
    One(Tracker, Arc<Marks>),
    /// Each sender counts by itself.
    Each(HashMap<u64, (Tracker, Arc<Marks>)>),
}

impl<'a, S: Sink> Hearing<'a, S> {
    pub(in crate::flow) fn new(handlers: &Handlers, sink: &'a S, sequences: &Arc<Sequences>, since: Instant) -> Self {
        let numbered = handlers.each.iter().filter(|handler| handler.sequence.is_some());
        let stream = |handler: &Handler| {
            let message = handler.message?;
            let heard = match handler.sender {
                None => Heard::One(Tracker::new(since), sequences.stream(message, None)),
                Some(_) => Heard::Each(HashMap::new()),
            };
            Some(Stream { message, since, sequences: sequences.clone(), heard, doubled: false })
        };
        Self { sink, streams: numbered.filter_map(stream).collect() }
    }

    /// The connection was brought back.
    pub(super) fn reconnected(&mut self) {
        let now = Instant::now();
        for stream in &mut self.streams {
            match &mut stream.heard {
                Heard::One(tracker, _) => tracker.reconnected(now),
                Heard::Each(senders) => senders.values_mut().for_each(|(tracker, _)| tracker.reconnected(now)),
            }
        }
    }

    /// From `at` on nobody listened any more.
    pub(super) fn end(&mut self, at: Instant) {
        for stream in self.streams.drain(..).filter(|stream| !stream.doubled) {
            let told = match stream.heard {
                Heard::One(tracker, marks) => tracker.end(at, &marks),
                Heard::Each(senders) => senders
                    .into_values()
                    .map(|(tracker, marks)| tracker.end(at, &marks))
                    .fold(Numbered::default(), Numbered::plus),
            };
            if !told.is_empty() {
                self.sink.numbered(stream.message, Instant::now(), &told);
            }
        }
    }
}

impl<S: Sink> Drop for Hearing<'_, S> {
    fn drop(&mut self) {
        if !self.streams.is_empty() {
            self.end(Instant::now());
        }
    }
}

impl Stream {
    /// A numbered message came.
    fn see(&mut self, number: i64, sender: Option<&str>, at: Instant) -> Numbered {
        match &mut self.heard {
            Heard::One(tracker, marks) => tracker.see(number, at, marks),
            Heard::Each(senders) => {
                let key = marks::key(sender.unwrap_or_default());
                if senders.len() >= SENDERS && !senders.contains_key(&key) {
                    self.sequences.crowded(self.message);
                    return Numbered { received: 1, ..Numbered::default() };
                }
                let (tracker, marks) = senders
                    .entry(key)
                    .or_insert_with(|| (Tracker::new(self.since), self.sequences.stream(self.message, Some(key))));
                tracker.see(number, at, marks)
            }
        }
    }
}

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
    ) -> Option<Arc<MessageObject>> {
        let session = self.session.as_mut()?;
        let Incoming { at, wall, kind } = incoming;
        session.passed(at, 0, 1);
        let answer = matches!(kind, IncomingKind::Ack { .. });
        let read = session.step.on.read || listening.as_ref().is_some_and(|listening| listening.on.read);
        if !wants && (answer || (session.step.on.each.is_empty() && listening.is_none())) {
            return None;
        }
        let message = (wants || read).then(|| MessageObject::new(content(kind)));
        // An acknowledgement is for who waits for it.
        if !answer {
            let scope = &mut self.user.scope;
            let before = scope.message().cloned();
            scope.set_message(message.clone());
            let step = session.step;
            let (mut came, mut wrong) = (Vec::new(), Vec::new());
            let mut all = |on: &Handlers, hearing: &mut Hearing<'_, S>, scope: &mut Scope| {
                let mut stream = 0;
                for handler in &on.each {
                    let numbered = handler.sequence.is_some() && handler.message.is_some();
                    let heard = if numbered { hearing.streams.get_mut(stream) } else { None };
                    stream += usize::from(numbered);
                    if let Err(error) = one(handler, heard, &mut came, scope, self.sink, at, wall) {
                        wrong.push(error);
                    }
                }
            };
            all(&step.on, &mut session.hearing, scope);
            if let Some(listening) = listening {
                all(listening.on, &mut listening.hearing, scope);
            }
            scope.set_message(before);
            for Came { message, numbered, .. } in came {
                self.sink.numbered(message, at, &numbered);
            }
            for Wrong { reason, detail } in wrong {
                session.tell_error(at, reason, &detail);
            }
        }
        message.filter(|_| wants)
    }
}

/// What a message counts as under one name: once, however many handlers of that name take it.
struct Came {
    message: MessageId,
    numbered: Numbered,
    /// A handler with `sequence` has counted it.
    by_number: bool,
    /// A handler with `latency_from` has timed it.
    timed: bool,
}

/// The count under this name.
fn count_of(came: &mut Vec<Came>, message: MessageId) -> &mut Came {
    let at = came.iter().position(|one| one.message == message).unwrap_or_else(|| {
        let numbered = Numbered { received: 1, ..Numbered::default() };
        came.push(Came { message, numbered, by_number: false, timed: false });
        came.len() - 1
    });
    &mut came[at]
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

/// Gives a message to one handler.
///
/// # Errors
/// The first of its expressions that could not be evaluated, or what was required and not found; what is before it was done.
fn one<S: Sink>(
    handler: &Handler,
    heard: Option<&mut Stream>,
    came: &mut Vec<Came>,
    scope: &mut Scope,
    sink: &S,
    at: Instant,
    wall: SystemTime,
) -> Result<(), Wrong> {
    if handler.matches.as_ref().is_some_and(|matches| !matches.truth(scope).unwrap_or(false)) {
        return Ok(());
    }
    if let Some(message) = handler.message {
        // One without a number came all the same.
        let counted = count_of(came, message);
        match (&handler.sequence, heard) {
            (Some(_), Some(heard)) if counted.by_number => heard.doubled = true,
            (Some(sequence), Some(heard)) => {
                let number = sequence.whole(scope)?;
                let sender =
                    handler.sender.as_ref().map(|sender| sender.value(scope).map(|value| value.to_string())).transpose()?;
                counted.numbered = heard.see(number, sender.as_deref(), at);
                counted.by_number = true;
                if heard.sequences.is_to_be_told(message) {
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
    Ok(())
}

/// Unix seconds; before 1970 below 0.
fn since_epoch(wall: SystemTime) -> f64 {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
