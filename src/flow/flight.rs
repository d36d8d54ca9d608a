//! What is under way: cut off before it ends, it still leaves a sample.

use std::time::Instant;

use super::sink::Sink;
use crate::base::Outcome;
use crate::base::units::nanos;
use crate::measure::{Sample, StepId};

/// A timed piece of work under way. Dropped before it has landed, it was interrupted, and its sample says how long it had been
/// until then. What it took of that to connect can't be told from here, so its service time runs from when it was handed to the driver;
/// nor whether it was sent, so one that sends something is lost.
pub(super) struct Flight<'a, S: Sink> {
    sink: &'a S,
    step: StepId,
    due: Instant,
    began: Instant,
    sends: bool,
    in_flight: bool,
}

impl<'a, S: Sink> Flight<'a, S> {
    /// `sends`: something is sent for it that the peer may act on.
    pub(super) fn new(sink: &'a S, step: StepId, due: Instant, sends: bool) -> Self {
        Self { sink, step, due, began: Instant::now(), sends, in_flight: true }
    }

    /// It ended, and its sample is told by somebody else.
    pub(super) fn landed(mut self) {
        self.in_flight = false;
    }
}

impl<S: Sink> Drop for Flight<'_, S> {
    fn drop(&mut self) {
        if !self.in_flight {
            return;
        }
        let now = Instant::now();
        let sample = Sample {
            response: nanos(now.saturating_duration_since(self.due)),
            service: nanos(now.saturating_duration_since(self.began)),
            outcome: Outcome::Interrupted,
            reason: None,
            status: 0,
            sent: 0,
            received: 0,
        };
        self.sink.sample(self.step, self.due, &sample);
        if self.sends {
            self.sink.lost(self.step, self.due);
        }
    }
}
