//! What became of one request.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;

use super::upload::Uploaded;
use crate::base::{Outcome, Reason};
use crate::net::{self, Meter};
use crate::protocol::Connect;

/// The part of a request that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for one of the shared connections.
    Pool,
    /// Waiting until the peer takes one more stream.
    Stream,
    /// Resolving, connecting, shaking hands.
    Dial(net::Stage),
    /// Sending.
    Send,
    /// All is sent, nothing has come.
    FirstByte,
    /// The answer's head has begun.
    Head,
    /// The answer's body has begun, or may begin.
    Body,
}

impl Stage {
    /// How far a request is that was begun and whose head has not been read.
    pub(crate) fn of_head(meter: &Meter) -> Self {
        if meter.first_received().is_some() {
            Stage::Head
        } else if meter.first_sent().is_none() || meter.is_blocked() {
            Stage::Send
        } else {
            Stage::FirstByte
        }
    }

    /// As a message names it: "timed out while …".
    pub const fn doing(self) -> &'static str {
        match self {
            Stage::Pool => "waiting for a shared connection",
            Stage::Stream => "waiting for a free stream",
            Stage::Dial(stage) => stage.doing(),
            Stage::Send => "sending",
            Stage::FirstByte => "waiting for the first byte",
            Stage::Head => "reading the headers",
            Stage::Body => "reading the body",
        }
    }
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// Why, where this side had not meant it to end: `closed` where the peer closed it or said that it would.
    pub reason: Option<Reason>,
}

/// One request with all of its redirects: the answer, or why there is none.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// `Ok` for every complete answer, whatever its status; `Error` or `Timeout` otherwise.
    pub outcome: Outcome,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// What happened in words, without secrets: which part timed out, what broke.
    pub detail: Option<String>,
    /// The status of the last answer; 0 if no head was read.
    pub status: u16,
    /// The headers of the last answer.
    pub headers: HeaderMap,
    /// Its body, unpacked; empty where it was discarded or is not complete, the beginning of a long one that nobody reads.
    pub body: Bytes,
    /// When the first byte was sent; absent if none was.
    pub sent_at: Option<Instant>,
    /// When it was over.
    pub ended: Instant,
    /// From the first byte sent to the last answer's first byte; 0 if none came.
    pub wait: Duration,
    /// From the last byte sent to the last answer's first byte: what the target took to answer once it could have all; 0 if no
    /// answer came, or it came before all was sent.
    pub processing: Duration,
    /// Bytes sent on the wire, those of handshakes included.
    pub sent: u64,
    /// Bytes received on the wire.
    pub received: u64,
    /// Bytes of the last answer's body as transferred, discarded or not.
    pub body_bytes: u64,
    /// The SHA-256 in hex of a complete body that wasn't kept, if that was asked for.
    pub sha256: Option<String>,
    /// Whether the request, or the one that the last redirect asked for, was sent and no answer came to its end, not even a wrong one.
    pub unanswered: bool,
    /// How far the upload came, if the request was one.
    pub upload: Option<Box<Uploaded>>,
    /// What an idle connection had that this request was to go over, and that belongs to no answer: it went over another.
    pub stray: Option<Box<str>>,
    /// Connections that were opened or could not be.
    pub connects: Vec<Connect>,
    /// Connections that ended.
    pub disconnects: Vec<Disconnect>,
}

impl Exchange {
    /// From the first byte sent to the end; 0 if nothing was sent.
    pub fn service(&self) -> Duration {
        self.sent_at.map_or(Duration::ZERO, |at| self.ended.saturating_duration_since(at))
    }

    /// Whether it was sent and not answered, so that the target may have done what it asks for. A target that refuses a stream
    /// hasn't.
    pub fn is_lost(&self) -> bool {
        self.unanswered && self.reason != Some(Reason::Refused)
    }
}
