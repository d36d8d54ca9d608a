//! What the handlers of one listener have heard: of numbers what is lacking, of time what was silent.
//!
//! A listener may stay for hours, while its phases come and go. So whoever keeps the record of a phase can [`Ears::settle`] with all that
//! listen before that record is closed, and what was due before the edge counts on that side of it.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lack::Lack;
use super::marks::{self, Marks, Sequences};
use super::sequence::{LAG, Tracker};
use super::silence::{Silence, Stretch};
use super::types::{Handler, Handlers};
use crate::flow::sink::Sink;
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
    streams: RefCell<Vec<Stream>>,
    /// Messages may have come that no handler has seen: what isn't there says nothing.
    unsure: Cell<bool>,
    /// This side has said goodbye: nothing is due any more.
    closed: Cell<bool>,
}

/// What one handler has heard.
#[derive(Debug)]
pub(super) struct Stream {
    message: MessageId,
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
    heard: Heard,
    /// Another handler of the name has counted what this one would.
    doubled: bool,
}

#[derive(Debug)]
enum Heard {
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

    /// Tells what was missed and what was silent up to `edge`, as far as that is known `now`. Answers whether that is all.
    pub fn settle(&self, edge: Instant, now: Instant, tell: &mut dyn FnMut(MessageId, Finding)) -> bool {
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
                numbers.tell(lacks, tell);
            }
            if let Some(silence) = &mut stream.silence {
                all &= silence.settle(edge, now, &mut |stretch| tell(message, Finding::Listened(stretch)));
            }
        }
        all
    }
}

/// What some handlers have heard, for as long as they listen. What never came is told when that ends, or when it is dropped.
pub(in crate::flow) struct Hearing<'a, S: Sink> {
    sink: &'a S,
    /// None if no handler follows anything, or once it has ended.
    ears: Option<Rc<Ears>>,
}

impl<'a, S: Sink> Hearing<'a, S> {
    pub(in crate::flow) fn new(handlers: &Handlers, sink: &'a S, sequences: &Arc<Sequences>, since: Instant) -> Self {
        let followed = handlers.each.iter().filter(|handler| handler.is_followed());
        let streams: Vec<Stream> = followed.filter_map(|handler| Stream::new(handler, sequences, since)).collect();
        let ears = (!streams.is_empty())
            .then(|| Rc::new(Ears { streams: RefCell::new(streams), unsure: Cell::new(false), closed: Cell::new(false) }));
        if let Some(ears) = &ears {
            sink.follow(ears);
        }
        Self { sink, ears }
    }

    /// What each handler has heard, of those that are followed.
    pub(super) fn streams(&self) -> Option<RefMut<'_, Vec<Stream>>> {
        self.ears.as_ref().map(|ears| ears.streams.borrow_mut())
    }

    /// Whether messages may have come that no handler has seen.
    pub(super) fn set_unsure(&self, unsure: bool) {
        if let Some(ears) = &self.ears {
            ears.unsure.set(unsure);
        }
    }

    /// This side has said goodbye: what doesn't come from here on isn't missed.
    pub(super) fn close(&self) {
        if let Some(ears) = &self.ears {
            ears.closed.set(true);
        }
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self, at: Instant) {
        for stream in self.streams().iter_mut().flat_map(|streams| streams.iter_mut()) {
            if let Some(silence) = &mut stream.silence {
                silence.lost(at);
            }
        }
    }

    /// The connection was brought back.
    pub(super) fn reconnected(&mut self) {
        let now = Instant::now();
        for stream in self.streams().iter_mut().flat_map(|streams| streams.iter_mut()) {
            let message = stream.message;
            if let Some(numbers) = &mut stream.numbers {
                numbers.heard.each(|tracker, _| tracker.reconnected(now));
            }
            if let Some(silence) = &mut stream.silence {
                silence.back(now, &mut |stretch| self.sink.listened(message, &stretch));
            }
        }
    }

    /// From `at` on nobody listened any more.
    pub(super) fn end(&mut self, at: Instant) {
        let Some(ears) = self.ears.take() else { return };
        self.sink.unfollow(&ears);
        let mut tell = |message, finding: Finding| match finding {
            Finding::Missed(lack) => self.sink.missed(message, &lack),
            Finding::Listened(stretch) => self.sink.listened(message, &stretch),
        };
        for mut stream in ears.streams.take() {
            let message = stream.message;
            if let Some(silence) = &mut stream.silence {
                silence.end(at, &mut |stretch| tell(message, Finding::Listened(stretch)));
            }
            if let Some(mut numbers) = stream.numbers {
                let mut lacks = Vec::new();
                numbers.heard.each(|tracker, marks| tracker.end(at, marks, &mut lacks));
                numbers.tell(lacks, &mut tell);
            }
        }
    }
}

impl<S: Sink> Drop for Hearing<'_, S> {
    fn drop(&mut self) {
        if self.ears.is_some() {
            self.end(Instant::now());
        }
    }
}

impl Stream {
    fn new(handler: &Handler, sequences: &Arc<Sequences>, since: Instant) -> Option<Self> {
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
    fn each(&mut self, mut visit: impl FnMut(&mut Tracker, &Marks)) {
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

    /// Whether there were more senders than are followed, and that is to be told: once a run.
    pub(super) fn is_crowding_to_be_told(&self) -> bool {
        self.sequences.is_to_be_told(self.message)
    }

    fn tell(&self, lacks: Vec<Lack>, tell: &mut dyn FnMut(MessageId, Finding)) {
        if !self.doubled {
            lacks.into_iter().for_each(|lack| tell(self.message, Finding::Missed(lack)));
        }
    }
}
