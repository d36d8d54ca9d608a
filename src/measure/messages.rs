//! What is recorded of sessions and of the messages within them: how long sessions lasted, how many messages went either way,
//! how old they were, and which of the numbered ones never came.
//!
//! A message is counted as received once, so that over any stretch `received + missed` is the number of those that a listener
//! was owed: one that comes twice is repeated, one that comes after it was given up stays missed; the two are counted separately.
//!
//! What listeners missed that could not connect is no count of theirs. [`Heard`] works it out of what the others received.

use serde::{Deserialize, Serialize};

use super::arith::{each, less, take};
use super::atoms::Count;
use super::delayed::{Delayed, DelayedCell};
use super::heard::{Heard, Presence};
use super::hist::Buckets;
use super::outcomes::ByOutcome;
use super::outcomes::{Lazy, Outcomes};
use super::sparse::Sparse;
use crate::base::Outcome;

/// Which way a message went (the label `direction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From here to the target.
    Sent,
    /// From the target to here.
    Received,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Sent, Direction::Received];

    /// The value of the label.
    pub const fn label(self) -> &'static str {
        match self {
            Direction::Sent => "sent",
            Direction::Received => "received",
        }
    }
}

/// What went over a connection since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Messages sent.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Messages among those whose JSON was asked for, and which hold none.
    pub unparsed: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
}

/// What became of numbered messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbered {
    /// Messages that came, each once.
    pub received: u64,
    /// Numbers that never came, or came after they were given up.
    pub missed: u64,
    /// Messages that had come before.
    pub repeated: u64,
    /// Messages that came after a later one.
    pub reordered: u64,
}

impl Numbered {
    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            missed: self.missed + other.missed,
            repeated: self.repeated + other.repeated,
            reordered: self.reordered + other.reordered,
        }
    }
}

/// One step's sessions, as they are recorded.
#[derive(Debug, Default)]
pub(super) struct SessionCell {
    durations: Outcomes,
    delayed: DelayedCell,
    messages: [Count; 2],
    bytes: [Count; 2],
    unparsed: Count,
    present: Count,
    away: Count,
    there: Count,
    ended: Count,
    refused: Count,
}

impl SessionCell {
    pub(super) fn listeners(&self, presence: &Presence) {
        self.present.add(presence.present);
        self.away.add(presence.away);
        self.there.add(presence.there);
        self.ended.add(presence.ended);
        self.refused.add(presence.refused);
    }

    pub(super) fn presence(&self) -> Presence {
        // Read against the order of writing, so that no more ended than were there.
        let (refused, ended) = (self.refused.get(), self.ended.get());
        Presence { present: self.present.get(), away: self.away.get(), there: self.there.get(), ended, refused }
    }

    pub(super) fn ended(&self, buckets: &Buckets, outcome: Outcome, nanoseconds: u64) {
        self.durations.record(buckets, outcome, nanoseconds);
    }

    pub(super) fn delayed(&self, buckets: &Buckets, outcome: Outcome, nanoseconds: u64, delay: u64) {
        self.delayed.record(buckets, outcome, nanoseconds, delay);
    }

    #[inline]
    pub(super) fn passed(&self, passed: &Passed) {
        self.messages[Direction::Sent as usize].add(passed.sent);
        self.messages[Direction::Received as usize].add(passed.received);
        self.bytes[Direction::Sent as usize].add(passed.sent_bytes);
        self.bytes[Direction::Received as usize].add(passed.received_bytes);
        self.unparsed.add(passed.unparsed);
    }

    pub(super) fn totals(&self, buckets: &Buckets) -> SessionTotals {
        SessionTotals {
            delayed: self.delayed.totals(buckets),
            durations: self.durations.totals(buckets),
            messages: self.messages.each_ref().map(Count::get),
            bytes: self.bytes.each_ref().map(Count::get),
            unparsed: self.unparsed.get(),
        }
    }
}

/// One kind of message, as it is recorded.
#[derive(Debug, Default)]
pub(super) struct MessageCell {
    latency: Lazy,
    delayed: DelayedCell,
    received: Count,
    missed: Count,
    repeated: Count,
    reordered: Count,
    skewed: Count,
    alike: Count,
    behind: Count,
    listening: Count,
    silent: Count,
    stood: Count,
}

impl MessageCell {
    /// Somebody listened for so many nanoseconds, maybe in a silence.
    #[inline]
    pub(super) fn listened(&self, nanoseconds: u64, silent: bool) {
        self.listening.add(nanoseconds);
        if silent {
            self.silent.add(nanoseconds);
        }
    }

    #[inline]
    pub(super) fn latency(&self, buckets: &Buckets, nanoseconds: u64, skewed: bool) {
        self.latency.get(buckets).record_nanos(buckets, nanoseconds);
        if skewed {
            self.skewed.add(1);
        }
    }

    /// So many nanoseconds of a silence the worker itself stood still.
    pub(super) fn stood(&self, nanoseconds: u64) {
        self.stood.add(nanoseconds);
    }

    pub(super) fn behind(&self) {
        self.behind.add(1);
    }

    pub(super) fn delayed(&self, buckets: &Buckets, nanoseconds: u64, delay: u64) {
        self.delayed.record(buckets, Outcome::Ok, nanoseconds, delay);
    }

    #[inline]
    pub(super) fn numbered(&self, numbered: &Numbered, alike: bool) {
        self.received.add(numbered.received);
        if alike {
            self.alike.add(numbered.received);
        }
        self.missed.add(numbered.missed);
        self.repeated.add(numbered.repeated);
        self.reordered.add(numbered.reordered);
    }

    pub(super) fn totals(&self, buckets: &Buckets) -> MessageTotals {
        // Read against the order of writing, so that silence never exceeds listening.
        let silent = self.silent.get();
        MessageTotals {
            listeners: Presence::default(),
            silent,
            stood: self.stood.get(),
            listening: self.listening.get(),
            alike: self.alike.get(),
            behind: self.behind.get(),
            skewed: self.skewed.get(),
            delayed: self.delayed.totals(buckets),
            latency: self.latency.totals(buckets),
            received: self.received.get(),
            missed: self.missed.get(),
            repeated: self.repeated.get(),
            reordered: self.reordered.get(),
        }
    }
}

/// The sessions of one step, and what went over their connections.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SessionTotals {
    /// How long sessions lasted, by how they ended.
    pub durations: ByOutcome,
    /// Those of them that the generator delayed.
    #[serde(default)]
    pub delayed: Delayed,
    /// Messages, by [`Direction`].
    pub messages: [u64; 2],
    /// Bytes, by [`Direction`].
    pub bytes: [u64; 2],
    /// Messages received whose JSON was asked for, and which hold none.
    #[serde(default)]
    pub unparsed: u64,
}

impl SessionTotals {
    /// Adds another's to these.
    pub fn add(&mut self, other: &SessionTotals) {
        each(&mut self.durations, &other.durations, Sparse::add);
        self.delayed.add(&other.delayed);
        each(&mut self.messages, &other.messages, |mine, theirs| *mine += theirs);
        each(&mut self.bytes, &other.bytes, |mine, theirs| *mine += theirs);
        self.unparsed += other.unparsed;
    }

    pub(super) fn take(&mut self, earlier: &SessionTotals) {
        each(&mut self.durations, &earlier.durations, take);
        self.delayed.take(&earlier.delayed);
        each(&mut self.messages, &earlier.messages, less);
        each(&mut self.bytes, &earlier.bytes, less);
        less(&mut self.unparsed, &earlier.unparsed);
    }
}

/// One kind of message.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MessageTotals {
    /// From their being published to their receipt.
    pub latency: Sparse,
    /// Those latencies that the generator made longer, under [`Outcome::Ok`].
    #[serde(default)]
    pub delayed: Delayed,
    /// Messages that came, each once.
    pub received: u64,
    /// Numbers that never came.
    pub missed: u64,
    /// Messages that had come before.
    pub repeated: u64,
    /// Messages that came after a later one.
    pub reordered: u64,
    /// Messages that came before they were published, by the two clocks.
    pub skewed: u64,
    /// Of those received, what any other listener of the step would have received as well.
    #[serde(default)]
    pub alike: u64,
    /// Messages that were read right behind a pause of the generator: nobody knows when they came.
    #[serde(default)]
    pub behind: u64,
    /// Nanoseconds in which somebody listened, where a handler has `every`.
    #[serde(default)]
    pub listening: u64,
    /// Nanoseconds of those that lay in a silence.
    #[serde(default)]
    pub silent: u64,
    /// Nanoseconds of those in which the worker itself stood still.
    #[serde(default)]
    pub stood: u64,
    /// The listeners of the step.
    #[serde(default)]
    pub listeners: Presence,
}

impl MessageTotals {
    /// What its listeners heard, and what they missed.
    pub fn heard(&self) -> Heard {
        Heard {
            received: self.received,
            missed: self.missed,
            alike: self.alike,
            listening: self.listening,
            silent: self.silent,
            stood: self.stood,
            listeners: self.listeners,
        }
    }

    /// Adds another's to these.
    pub fn add(&mut self, other: &MessageTotals) {
        self.latency.add(&other.latency);
        self.delayed.add(&other.delayed);
        self.received += other.received;
        self.missed += other.missed;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
        self.skewed += other.skewed;
        self.alike += other.alike;
        self.behind += other.behind;
        self.listening += other.listening;
        self.silent += other.silent;
        self.stood += other.stood;
        self.listeners.add(&other.listeners);
    }

    pub(super) fn take(&mut self, earlier: &MessageTotals) {
        take(&mut self.latency, &earlier.latency);
        self.delayed.take(&earlier.delayed);
        less(&mut self.received, &earlier.received);
        less(&mut self.missed, &earlier.missed);
        less(&mut self.repeated, &earlier.repeated);
        less(&mut self.reordered, &earlier.reordered);
        less(&mut self.skewed, &earlier.skewed);
        less(&mut self.alike, &earlier.alike);
        less(&mut self.behind, &earlier.behind);
        less(&mut self.listening, &earlier.listening);
        less(&mut self.silent, &earlier.silent);
        less(&mut self.stood, &earlier.stood);
        self.listeners = self.listeners.minus(&earlier.listeners);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::layout::{Layout, MessageId, MessageLayout, PhaseId, ScenarioId, ScenarioLayout, StepId, StepLayout};
    use super::super::store::Store;
    use super::*;
    use crate::base::Protocol;

    const STEP: StepId = StepId(0);
    const MESSAGE: MessageId = MessageId(0);
    const PHASE: PhaseId = PhaseId(0);

    fn store() -> Arc<Store> {
        Store::new(Arc::new(Layout {
            phases: vec!["held".into()],
            scenarios: vec![ScenarioLayout::new("watchers")],
            steps: vec![StepLayout { session: Some(vec![1.0]), ..StepLayout::new(ScenarioId(0), "watch", Protocol::Websocket) }],
            messages: vec![MessageLayout { thresholds: vec![0.2], ..MessageLayout::new(STEP, "update") }],
            ..Layout::default()
        }))
    }

    #[test]
    fn sessions_and_messages_are_kept_and_subtracted() {
        let store = store();
        let set = store.open(PHASE);
        let passed = Passed { sent: 1, received: 3, unparsed: 2, sent_bytes: 10, received_bytes: 300 };
        let numbered = Numbered { received: 3, missed: 2, repeated: 1, reordered: 1 };
        let record = || {
            set.session(STEP, 900_000_000, Outcome::Ok);
            set.passed(STEP, &passed);
            set.latency(MESSAGE, 150_000_000, false);
            set.latency(MESSAGE, 0, true);
            set.numbered(MESSAGE, &numbered);
        };
        record();
        let first = store.totals(PHASE);
        record();
        store.retire(set);
        let rest = store.totals(PHASE).minus(&first);
        assert_eq!(rest, first);
        let session = &rest.sessions[0];
        assert_eq!((session.messages, session.bytes, session.unparsed), ([1, 3], [10, 300], 2));
        assert_eq!(session.durations[Outcome::Ok.index()].within_exactly(1.0), Some(1));
        let message = &rest.messages[0];
        assert_eq!((message.received, message.missed, message.repeated, message.reordered, message.skewed), (3, 2, 1, 1, 1));
        assert_eq!((message.latency.count(), message.latency.within_exactly(0.2)), (2, Some(2)));
    }

    #[test]
    fn what_was_reported_adds_up() {
        let one = Numbered { received: 1, missed: 2, repeated: 3, reordered: 4 };
        assert_eq!(one.plus(one), Numbered { received: 2, missed: 4, repeated: 6, reordered: 8 });
        assert!(Numbered::default().is_empty() && !one.is_empty());
        assert_eq!(Direction::ALL.map(Direction::label), ["sent", "received"]);
    }
}
