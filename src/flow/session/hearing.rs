//! Handlers that listen: they report to the sink what they miss, at the latest when they go.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::ears::{Ears, Finding, Stream};
use super::marks::Sequences;
use super::types::Handlers;
use crate::flow::sink::Sink;

/// What some handlers have heard, for as long as they listen. What never came is reported when that ends, or when it is dropped.
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
        let mut report = |message, finding: Finding| match finding {
            Finding::Missed(lack) => self.sink.missed(message, &lack),
            Finding::Listened(stretch) => self.sink.listened(message, &stretch),
        };
        for mut stream in ears.streams.take() {
            let message = stream.message;
            if let Some(silence) = &mut stream.silence {
                silence.end(at, &mut |stretch| report(message, Finding::Listened(stretch)));
            }
            if let Some(mut numbers) = stream.numbers {
                let mut lacks = Vec::new();
                numbers.heard.each(|tracker, marks| tracker.end(at, marks, &mut lacks));
                numbers.report(lacks, &mut report);
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
