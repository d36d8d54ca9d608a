//! What the handlers of one listener have heard: of numbers what is lacking, of time what was silent.
//!
//! A listener may stay for hours, while its phases come and go. So whoever keeps the record of a phase can [`Ears::settle`] with all that
//! listen before that record is closed, and what was due before the edge counts on that side of it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lack::Lack;
use super::marks::{self, Marks, Sequences};
use super::sequence::{LAG, Tracker};
use super::silence::{Silence, Stretch};
use super::types::Handler;
use crate::measure::{MessageId, Numbered};

/// Senders that one listener follows at once.
const SENDERS: usize = 256;

/// What was found of a kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Messages never came.
    Missed(Lack),
    /// Somebody listened.
    Listened(Stretch),
}

/// What the handlers of one listener have heard.
#[derive(Debug)]
pub struct Ears {
    /// One for each handler that is followed, in their order.
    pub(super) streams: RefCell<Vec<Stream>>,
    /// Messages may have come that no handler has seen: what isn't there says nothing.
    pub(super) unsure: Cell<bool>,
    /// This side has said goodbye: nothing is due any more.
    pub(super) closed: Cell<bool>,
}

/// What one handler has heard.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) message: MessageId,
    /// Of numbers, with `sequence`.
    pub(super) numbers: Option<Numbers>,
    /// Of silences, with `every`.
    pub(super) silence: Option<Silence>,
}

#[derive(Debug)]
pub(super) struct Numbers {
    message: MessageId,
    since: Instant,
    sequences: Arc<Sequences>,
    pub(super) heard: Heard,
    /// Another handler of the name has counted what this one would.
    doubled: bool,
}

#[derive(Debug)]
pub(super) enum Heard {
    /// All who send count together.
    One(Tracker, Arc<Marks>),
    /// Each sender counts by itself.
    Each(HashMap<u64, (Tracker, Arc<Marks>)>),
}

impl Ears {
    /// How long after an edge it is known at the latest what was due before it.
    pub fn patience(&self) -> Duration {
        let streams = self.streams.borrow();
        let numbers = streams.iter().filter(|stream| stream.numbers.is_some()).map(|_| LAG);
        let silences = streams.iter().filter_map(|stream| stream.silence.as_ref()).map(Silence::limit);
        numbers.chain(silences).max().unwrap_or_default()
    }

    /// Reports what was missed and what was silent up to `edge`, as far as that is known `now`. Answers whether that is all.
    pub fn settle(&self, edge: Instant, now: Instant, report: &mut dyn FnMut(MessageId, Finding)) -> bool {
        if self.closed.get() {
            return true;
        }
        if self.unsure.get() {
            return false;
        }
        let mut all = true;
        for stream in self.streams.borrow_mut().iter_mut() {
            let message = stream.message;
            if let Some(numbers) = &mut stream.numbers {
                let mut lacks = Vec::new();
                numbers.heard.each(|tracker, marks| all &= tracker.settle(edge, now, marks, &mut lacks));
                numbers.report(lacks, report);
            }
            if let Some(silence) = &mut stream.silence {
                all &= silence.settle(edge, now, &mut |stretch| report(message, Finding::Listened(stretch)));
            }
        }
        all
    }
}

impl Stream {
    pub(super) fn new(handler: &Handler, sequences: &Arc<Sequences>, since: Instant) -> Option<Self> {
        let message = handler.message?;
        let numbers = handler.sequence.is_some().then(|| Numbers {
            message,
            since,
            sequences: sequences.clone(),
            heard: match handler.sender {
                None => Heard::One(Tracker::new(since), sequences.stream(message, None)),
                Some(_) => Heard::Each(HashMap::new()),
            },
            doubled: false,
        });
        Some(Self { message, numbers, silence: handler.every.map(|every| Silence::new(every, since)) })
    }
}

impl Heard {
    pub(super) fn each(&mut self, mut visit: impl FnMut(&mut Tracker, &Marks)) {
        match self {
            Heard::One(tracker, marks) => visit(tracker, marks),
            Heard::Each(senders) => senders.values_mut().for_each(|(tracker, marks)| visit(tracker, marks)),
        }
    }
}

impl Numbers {
    /// A numbered message came.
    pub(super) fn see(&mut self, number: i64, sender: Option<&str>, at: Instant, lacks: &mut Vec<Lack>) -> Numbered {
        match &mut self.heard {
            Heard::One(tracker, marks) => tracker.see(number, at, marks, lacks),
            Heard::Each(senders) => {
                let key = marks::key(sender.unwrap_or_default());
                if senders.len() >= SENDERS && !senders.contains_key(&key) {
                    self.sequences.crowded(self.message);
                    return Numbered { received: 1, ..Numbered::default() };
                }
                let (tracker, marks) = senders
                    .entry(key)
                    .or_insert_with(|| (Tracker::new(self.since), self.sequences.stream(self.message, Some(key))));
                tracker.see(number, at, marks, lacks)
            }
        }
    }

    /// Another handler of the name counts the same.
    pub(super) fn is_double(&mut self) {
        self.doubled = true;
    }

    /// Whether there were more senders than are followed, and that is still to be reported: once a run.
    pub(super) fn is_crowding_to_be_reported(&self) -> bool {
        self.sequences.is_to_be_reported(self.message)
    }

    pub(super) fn report(&self, lacks: Vec<Lack>, report: &mut dyn FnMut(MessageId, Finding)) {
        if !self.doubled {
            lacks.into_iter().for_each(|lack| report(self.message, Finding::Missed(lack)));
        }
    }
}
