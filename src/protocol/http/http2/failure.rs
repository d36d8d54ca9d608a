//! What went wrong on a stream or with its connection, in a reason and in words.
//!
//! | what happened | reason | the connection |
//! |---|---|---|
//! | RST_STREAM with REFUSED_STREAM | `refused` | stays |
//! | RST_STREAM with another code | `reset` | stays |
//! | GOAWAY before the request was taken | `closed` | ends, as announced |
//! | GOAWAY with an error code | `closed` | ends |
//! | the peer closed or broke the connection | as without HTTP/2 | ends |
//! | frames that are not HTTP/2, or against its rules | `protocol` | stays, if only this stream is concerned |

use h2::Reason as Code;

use super::watched::End;
use crate::base::Reason;
use crate::protocol::http::exchange::Stage;
use crate::protocol::http::failure::Failure;

/// The longest headers of an answer, in bytes, as generous as with HTTP/1.1.
pub(super) const MAX_HEADERS: u32 = 256 * 1024;

/// What a failure means for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol::http) enum Over {
    /// It stays.
    No,
    /// It ends, as the peer had announced.
    Announced,
    /// It has ended.
    Lost,
}

/// A failure, and what that means for the connection.
pub(super) struct Outage {
    pub failure: Failure,
    pub over: Over,
}

/// Reads `h2`'s error at this stage; `end` is how the connection's bytes ended, if they did.
pub(super) fn outage(error: &h2::Error, end: Option<&End>, stage: Stage) -> Outage {
    let doing = stage.doing();
    let code = error.reason().unwrap_or(Code::NO_ERROR);
    let name = format!("{code:?}");
    let of = |reason, detail: String, over| Outage { failure: Failure::new(reason, detail), over };
    let malformed = |detail| Outage { failure: Failure::malformed(detail), over: Over::No };
    if error.is_io() {
        let failure = match end {
            Some(End::Broken(reason, text)) => Failure::new(*reason, format!("the connection broke while {doing}: {text}")),
            Some(End::Closed) | None => Failure::ended(stage),
        };
        return Outage { failure, over: Over::Lost };
    }
    match (error.is_reset(), error.is_go_away(), error.is_remote()) {
        (true, _, true) if code == Code::REFUSED_STREAM => {
            of(Reason::Refused, "the peer refused the stream (RST_STREAM with REFUSED_STREAM)".into(), Over::No)
        }
        (true, _, true) => {
            of(Reason::Reset, format!("the peer reset the stream while {doing} (RST_STREAM with {name})"), Over::No)
        }
        (_, true, true) if code == Code::NO_ERROR => {
            of(Reason::Closed, "the peer closes the connection and did not take the request (GOAWAY)".into(), Over::Announced)
        }
        (_, true, true) => {
            of(Reason::Closed, format!("the peer closed the connection while {doing} (GOAWAY with {name})"), Over::Lost)
        }
        // The library says no more of headers that are too long.
        (true, _, false) if code == Code::PROTOCOL_ERROR => {
            let most = MAX_HEADERS / 1024;
            malformed(format!("the answer breaks the rules of HTTP/2, or has more than {most} KiB of headers ({name})"))
        }
        (true, _, false) => malformed(format!("the answer breaks the rules of HTTP/2 ({name})")),
        (_, true, false) if code == Code::ENHANCE_YOUR_CALM => {
            let what = format!("the peer sends headers, resets or frames without a use, more than is taken ({name})");
            of(Reason::Protocol, what, Over::Lost)
        }
        (_, true, false) => of(Reason::Protocol, format!("what the peer sends is not HTTP/2 ({name})"), Over::Lost),
        // An error of this side's own making: a header that HTTP/2 cannot carry.
        _ => of(Reason::Other, format!("the request cannot be sent over HTTP/2: {error}"), Over::No),
    }
}
