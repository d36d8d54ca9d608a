//! What goes over a session: messages either way, and its end.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use serde_json::Value as Json;

use crate::base::Reason;

/// Text that is cheap to clone: a slice of what was read.
pub use tokio_tungstenite::tungstenite::Utf8Bytes as Text;

/// The longest message that is taken where nothing else is said, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// Text: a text message; on Socket.IO the event `message`; on TCP its bytes, framed.
    Text(Text),
    /// Bytes, likewise.
    Binary(Bytes),
    /// An event of Socket.IO.
    Event {
        /// Its name.
        event: String,
        /// Its arguments. `{"_placeholder": true, "num": n}` stands for the n-th attachment, as on the wire.
        args: Vec<Json>,
        /// Bytes among the arguments.
        attachments: Vec<Bytes>,
        /// The number under which an acknowledgement is wanted; the caller's to choose, each once a connection.
        ack: Option<u64>,
    },
    /// The answer to an event of the peer's that wants one.
    Ack {
        /// The number that the event carried.
        id: u64,
        /// The arguments.
        args: Vec<Json>,
        /// Bytes among them.
        attachments: Vec<Bytes>,
    },
}

/// A message that came.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// When its last frame was read.
    pub at: Instant,
    /// The same, by the clock of the world.
    pub wall: SystemTime,
    /// What it is.
    pub kind: IncomingKind,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum IncomingKind {
    /// Text; on TCP a message whose bytes are UTF-8.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
    /// An event of Socket.IO.
    Event {
        /// Its name.
        event: String,
        /// Its arguments. `{"_placeholder": true, "num": n}` stands for the n-th attachment, as on the wire.
        args: Vec<Json>,
        /// Bytes among the arguments.
        attachments: Vec<Bytes>,
        /// The number to acknowledge it under, if the peer wants that.
        ack: Option<u64>,
    },
    /// The acknowledgement of an event that was sent.
    Ack {
        /// The number that was sent with it.
        id: u64,
        /// The arguments.
        args: Vec<Json>,
        /// Bytes among them.
        attachments: Vec<Bytes>,
    },
}

impl Incoming {
    /// A message that was read just now.
    pub(super) fn now(kind: IncomingKind) -> Self {
        Self { at: Instant::now(), wall: SystemTime::now(), kind }
    }

    /// About how many bytes it holds.
    pub fn size(&self) -> usize {
        match &self.kind {
            IncomingKind::Text(text) => text.len(),
            IncomingKind::Binary(bytes) => bytes.len(),
            IncomingKind::Event { args, attachments, .. } | IncomingKind::Ack { args, attachments, .. } => {
                args.iter().map(size_of_json).sum::<usize>() + attachments.iter().map(Bytes::len).sum::<usize>()
            }
        }
    }
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Lost {
    /// `closed` where the peer ended it properly or just closed the socket, `reset`, `timeout`, `protocol`, `tls`, …
    pub reason: Reason,
    /// WebSocket's close code, where the peer sent one.
    pub code: Option<u16>,
    /// The peer ended it as its protocol has it: by a close frame, a DISCONNECT, or the end of its stream between two messages.
    pub proper: bool,
    /// What happened in words, without what the messages held.
    pub detail: String,
}

impl Lost {
    /// An end that isn't as the protocol has it.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, code: None, proper: false, detail: detail.into() }
    }

    /// The peer ended it as its protocol has it.
    pub(super) fn by_peer(detail: impl Into<String>) -> Self {
        Self { proper: true, ..Self::new(Reason::Closed, detail) }
    }

    /// This side has closed the connection.
    pub(super) fn by_us() -> Self {
        Self::new(Reason::Closed, "this side has closed the connection")
    }
}

fn size_of_json(value: &Json) -> usize {
    let within = match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::String(text) => text.len(),
        Json::Array(list) => list.iter().map(size_of_json).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| name.len() + size_of_json(value)).sum(),
    };
    size_of::<Json>() + within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_large_as_what_it_holds() {
        let args = vec![serde_json::json!({"a": ["x".repeat(1000), 1]})];
        let kind = IncomingKind::Event { event: "e".into(), args, attachments: vec![Bytes::from(vec![0; 500])], ack: None };
        assert!((1500..2000).contains(&Incoming::now(kind).size()));
    }
}
