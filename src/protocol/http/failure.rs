//! What went wrong on a connection, in a reason and in words.

use std::error::Error;
use std::io;

use super::exchange::Stage;
use crate::base::Reason;
use crate::net::dial::{explain, reason_of};

/// The most headers that an answer may have. hyper's own limit is 100.
pub(super) const MAX_HEADERS: usize = 256;

/// Why a request has no complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub reason: Reason,
    pub detail: String,
    /// Whether the peer's answer is there, and can't be taken for what is wrong with it.
    pub malformed: bool,
}

impl Failure {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), malformed: false }
    }

    /// An answer that can't be taken for what is wrong with it.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self { malformed: true, ..Self::new(Reason::Protocol, detail) }
    }

    /// A body that was to be read is longer than may be kept. `what` says of which size it is.
    pub fn too_long(what: &str, most: usize) -> Self {
        let way_out = "raise that, or write `discard_body: true`, by which a body is counted only";
        Self::new(Reason::Protocol, format!("{what}, and `max_body` is {most} bytes; {way_out}"))
    }

    /// The failure behind hyper's error at this stage.
    pub fn of(error: &hyper::Error, stage: Stage) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                return Self::of_io(io, stage);
            }
            source = cause.source();
        }
        if error.is_parse_too_large() {
            Self::malformed(format!("the answer has more than {MAX_HEADERS} headers, or they are too long"))
        } else if error.is_parse() {
            Self::malformed(format!("the answer is not HTTP/1.1: {error}"))
        } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            Self::ended(stage)
        } else {
            Self::new(Reason::Protocol, format!("the exchange broke off: {error}"))
        }
    }

    fn of_io(error: &io::Error, stage: Stage) -> Self {
        let doing = stage.doing();
        match reason_of(error) {
            // As the library of TLS words it. A body whose length isn't given may be whole, and anybody may have cut it.
            Reason::Closed if stage == Stage::Body && error.to_string().contains("close_notify") => {
                let detail = "the peer closed the connection in the middle of the body, or behind it without the goodbye of TLS (close_notify), so it may not be whole";
                Self::new(Reason::Protocol, detail)
            }
            Reason::Closed => Self::ended(stage),
            // hyper reports a chunk that is none, or a body after its end, as input that is not valid.
            Reason::Other if error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::InvalidData => {
                Self::new(Reason::Protocol, format!("the answer is not HTTP/1.1: {error}"))
            }
            reason => Self::new(reason, format!("the connection broke while {doing}: {}", explain(error))),
        }
    }

    /// The peer closed the connection at this stage.
    pub fn ended(stage: Stage) -> Self {
        match stage {
            Stage::Body => Self::new(Reason::Protocol, "the peer closed the connection in the middle of the body"),
            Stage::Head => Self::new(Reason::Protocol, "the peer closed the connection in the middle of the headers"),
            _ => Self::new(Reason::Closed, "the peer closed the connection without an answer"),
        }
    }
}
