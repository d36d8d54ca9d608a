//! Fan-out: events published at a steady rate to every listener, each serialised once for all of them.
//!
//! A topic (a rate and a size) has one publisher, which lives as long as somebody listens. An event is
//! `{"type":"EVENT_UPDATED","seq":n,"at":t}`: n counts from 1 over the topic's life, t is when it was due to be published, in
//! Unix seconds. A listener that is [`BACKLOG`] events behind is not waited for; what it misses is counted as skipped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::TargetState;
use crate::base::units::parse_rate;

/// How many events a listener may be behind.
const BACKLOG: usize = 256;
/// The most topics at once; each has a task and a backlog.
const MAX_TOPICS: usize = 64;
/// The highest rate, in events a second: above it the timer's grain shows.
const MAX_RATE: f64 = 1000.0;
/// The longest event, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// What is published: how often, and how long each event is at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Topic {
    /// The time from one event to the next.
    every: Duration,
    bytes: usize,
}

impl Topic {
    /// From a rate like `2`, `2/s` or `30/m`, and a length in bytes.
    pub fn parse(rate: &str, bytes: usize) -> Result<Self, String> {
        let wrong = || format!("`{rate}` is no rate of events up to {MAX_RATE}/s; write one like 2, 2/s or 30/m");
        let per_second = rate.parse().or_else(|_| parse_rate(rate)).map_err(|_| wrong())?;
        if !(0.001..=MAX_RATE).contains(&per_second) {
            return Err(wrong());
        }
        if bytes > MAX_BYTES {
            return Err(format!("an event has up to {MAX_BYTES} bytes"));
        }
        Ok(Self { every: Duration::from_secs_f64(1.0 / per_second), bytes })
    }
}

/// One event, in the forms that it is sent in.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// As JSON.
    pub text: Utf8Bytes,
    /// The same with a newline.
    pub line: Bytes,
    /// As an event of Socket.IO in the default namespace.
    pub packet: Utf8Bytes,
}

impl Event {
    fn new(seq: u64, at: SystemTime, bytes: usize) -> Self {
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut json = format!("{{\"type\":\"EVENT_UPDATED\",\"seq\":{seq},\"at\":{}.{:06}", at.as_secs(), at.subsec_micros());
        if let Some(missing) = bytes.checked_sub(json.len() + r#","pad":""}"#.len()) {
            json.push_str(",\"pad\":\"");
            json.extend(std::iter::repeat_n('x', missing));
            json.push('"');
        }
        json.push('}');
        let packet = format!("42[\"EVENT_UPDATED\",{json}]").into();
        let line = Bytes::from(json.clone() + "\n");
        Self { text: json.into(), line, packet }
    }
}

/// All topics of a target that somebody listens to.
#[derive(Debug, Default)]
pub(super) struct Hub {
    topics: Mutex<HashMap<Topic, Sender<Event>>>,
}

impl Hub {
    /// Listens to a topic; the first listener starts its publisher, on the runtime of this thread.
    pub fn listen(shared: &Arc<TargetState>, topic: Topic) -> Result<Receiver<Event>, String> {
        // A panic while the lock is held leaves the map whole.
        let mut topics = shared.hub.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.get(&topic) {
            return Ok(sender.subscribe());
        }
        if topics.len() >= MAX_TOPICS {
            return Err(format!("there are {MAX_TOPICS} topics at the most; listen at a rate that others listen at"));
        }
        let (sender, receiver) = broadcast::channel(BACKLOG);
        topics.insert(topic, sender.clone());
        tokio::spawn(publish(Arc::clone(shared), topic, sender));
        Ok(receiver)
    }

    /// Forgets a topic that nobody listens to any more; nobody can begin to meanwhile.
    fn forget(&self, topic: Topic, sender: &Sender<Event>) -> bool {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let deserted = sender.receiver_count() == 0;
        if deserted {
            topics.remove(&topic);
        }
        deserted
    }
}

async fn publish(shared: Arc<TargetState>, topic: Topic, sender: Sender<Event>) {
    let (start, began) = (Instant::now(), SystemTime::now());
    for seq in 1u64.. {
        // From the start each time, so that lateness does not add up.
        let due = topic.every.mul_f64(seq as f64);
        tokio::time::sleep_until((start + due).into()).await;
        // What is due while the target is frozen comes after it, and shows when it was due.
        if let Some(freeze) = &shared.freeze {
            freeze.hold().await;
        }
        let event = Event::new(seq, began + due, topic.bytes);
        if sender.send(event).is_ok() {
            shared.counts.published();
        } else if shared.hub.forget(topic, &sender) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_events() {
        let every = |rate| Topic::parse(rate, 0).map(|topic| topic.every.as_millis());
        assert_eq!((every("2"), every("2/s"), every("30/m")), (Ok(500), Ok(500), Ok(2000)));
        for wrong in ["0", "-1", "2000", "fast", "NaN"] {
            assert!(every(wrong).unwrap_err().contains("30/m"), "{wrong}");
        }
        let event = Event::new(7, UNIX_EPOCH + Duration::from_micros(1_500_000), 0);
        assert_eq!(event.text, r#"{"type":"EVENT_UPDATED","seq":7,"at":1.500000}"#);
        assert_eq!(event.line, format!("{}\n", event.text));
        assert_eq!(event.packet, format!("42[\"EVENT_UPDATED\",{}]", event.text));
        assert_eq!(Event::new(7, UNIX_EPOCH, 200).text.len(), 200);
    }
}
