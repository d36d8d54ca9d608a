//! How far a request has come, and the exchange that it makes in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, response};

use super::connection::Connection;
use super::exchange::{Disconnect, Exchange, Stage};
use super::failure::Failure;
use super::http2::{H2Connection, StreamPermit};
use super::redirect;
use super::upload::Tally;
use crate::base::units::show_seconds;
use crate::base::{Outcome, Reason};
use crate::net::{DialTimes, Dialing, Meter};
use crate::protocol::{Connect, Knock};

/// What became of connections and of an answer, and was not reported yet. Kept by the user, since a request may be dropped.
#[derive(Debug, Default)]
pub struct Unreported {
    /// The status of the answer that was being read; 0 if there was none.
    pub status: u16,
    /// Connections that were opened, or not.
    pub connects: Vec<Connect>,
    /// Connections that ended.
    pub disconnects: Vec<Disconnect>,
}

impl Unreported {
    /// Whether there is nothing to report of connections.
    pub fn is_empty(&self) -> bool {
        self.connects.is_empty() && self.disconnects.is_empty()
    }

    /// Connections that this side closed.
    pub(super) fn closed(&mut self, count: usize) {
        self.disconnects.extend((0..count).map(|_| Disconnect { reason: None }));
    }

    /// The request was dropped: what it was still opening ends with it.
    pub(super) fn dropped(&mut self, knock: &Knock) {
        knock.dialled(Err(None));
        self.connects.extend(knock.unreported());
    }
}

/// How far a request has come; readable after its future was dropped.
pub(super) struct Progress<'c> {
    pub stage: Stage,
    pub dialing: Dialing,
    /// The connection in use, with what its meter said when this request began.
    pub meter: Option<(Arc<Meter>, u64, u64)>,
    /// The connection in use where it takes many requests at once, and whether it is for this one only.
    pub line: Option<(H2Connection, bool)>,
    /// For how long the connection in use had been idle, if it had served before.
    idle: Option<Duration>,
    pub sent_at: Option<Instant>,
    pub first_received: Option<Instant>,
    pub sent: u64,
    pub received: u64,
    pub status: u16,
    pub headers: HeaderMap,
    pub body_bytes: u64,
    pub sha256: Option<Box<str>>,
    /// Whether something was sent of the request: the first, or the one that the last redirect asked for.
    pub asked: bool,
    /// Whether the answer to it came to its end, or is known to be wrong.
    pub answered: bool,
    /// Whether only the beginning of the body is kept.
    pub cut: bool,
    pub processing: Duration,
    /// What an idle connection had that belongs to no answer.
    pub stray: Option<Box<str>>,
    /// What is sent as it is made, if that is sent.
    pub upload: Option<Arc<Tally>>,
    /// Whether redirects are followed.
    pub follows: bool,
    pub unreported: &'c mut Unreported,
    knock: &'c Knock,
}

impl<'c> Progress<'c> {
    pub fn new(unreported: &'c mut Unreported, knock: &'c Knock) -> Self {
        Self {
            stage: Stage::Pool,
            dialing: Dialing::default(),
            meter: None,
            line: None,
            idle: None,
            sent_at: None,
            first_received: None,
            sent: 0,
            received: 0,
            status: 0,
            headers: HeaderMap::new(),
            body_bytes: 0,
            sha256: None,
            asked: false,
            answered: false,
            cut: false,
            processing: Duration::ZERO,
            stray: None,
            upload: None,
            follows: false,
            unreported,
            knock,
        }
    }

    /// Connections that this side closed.
    pub fn closed(&mut self, count: usize) {
        self.unreported.closed(count);
    }

    /// A request is about to be sent: the first, or one that a redirect asks for.
    pub fn sends(&mut self) {
        (self.asked, self.answered, self.idle) = (false, false, None);
        (self.status, self.unreported.status) = (0, 0);
    }

    /// The head of an answer has come.
    pub fn answers(&mut self, head: response::Parts) {
        self.stage = Stage::Body;
        self.status = head.status.as_u16();
        // A redirect that is followed is not what the request is answered with.
        self.unreported.status = if self.follows && redirect::leads_on(head.status, &head.headers) { 0 } else { self.status };
        self.headers = head.headers;
        self.body_bytes = 0;
    }

    /// An attempt to open a connection begins.
    pub fn dials(&mut self) {
        self.stage = Stage::Dial(crate::net::Stage::Dns);
        self.knock.begins();
    }

    /// It is over.
    pub fn dialled(&mut self, result: Result<DialTimes, Reason>) {
        self.knock.dialled(result.map_err(Some));
    }

    pub fn disconnected(&mut self, reason: Option<Reason>) {
        self.unreported.disconnects.push(Disconnect { reason });
    }

    /// A connection that was kept turns out to have ended before this request.
    pub fn had_ended(&mut self, connection: &Connection) {
        let stray = connection.stray();
        let reason = if stray.is_some() { Reason::Protocol } else { Reason::Closed };
        self.stray = stray.map(|failure| {
            let idle = show_seconds(connection.last_used().elapsed().as_secs_f64());
            format!(
                "{}; they came late, on a connection that had been idle for up to {idle}, and this request went over another",
                failure.detail
            )
            .into()
        });
        self.disconnected(Some(reason));
    }

    /// A connection is in use from here.
    pub fn begin(&mut self, connection: &Connection, is_new: bool) {
        let meter = Arc::clone(&connection.meter);
        let (sent, received) = if is_new { (0, 0) } else { (meter.sent(), meter.received()) };
        self.meter = Some((meter, sent, received));
        self.idle = (!is_new).then(|| connection.last_used().elapsed());
        self.stage = Stage::Send;
    }

    /// A connection that takes many requests at once is in use from here, perhaps for this one only.
    pub fn boards(&mut self, ticket: &StreamPermit, fresh: bool) {
        self.line = Some((ticket.line().clone(), fresh));
        self.idle = ticket.idle_since().map(|since| since.elapsed());
    }

    /// The connection is no longer in use: its figures are taken over.
    pub fn settle(&mut self) {
        if let Some((line, _)) = self.line.take() {
            // What requests that go at the same time take is divided by who asks first; the sum is exact.
            let (sent, received) = line.claim();
            self.sent += sent;
            self.received += received;
        }
        if let Some((meter, sent, received)) = self.meter.take() {
            self.sent += meter.sent() - sent;
            self.received += meter.received() - received;
            self.sent_at = self.sent_at.or(meter.first_sent());
            self.asked |= meter.first_sent().is_some();
            self.first_received = meter.first_received();
            self.processing = match (meter.last_sent(), self.first_received) {
                (Some(sent), Some(received)) => received.saturating_duration_since(sent),
                _ => Duration::ZERO,
            };
        }
    }

    /// A failure with what the upload says of it: a file that can't be read is not the peer's fault.
    pub fn of_upload(&self, failure: Failure) -> Failure {
        match self.upload.as_ref().and_then(|tally| tally.failure()) {
            Some((reason, detail)) => Failure::new(reason, detail),
            None => failure,
        }
    }

    pub fn finish(mut self, result: Option<Result<Bytes, Failure>>, limit: Duration) -> Exchange {
        let ended = Instant::now();
        let (outcome, reason, detail, body) = match result {
            Some(Ok(body)) => (Outcome::Ok, None, None, body),
            Some(Err(failure)) if failure.reason == Reason::Timeout => {
                (Outcome::Timeout, Some(failure.reason), Some(failure.detail), Bytes::new())
            }
            Some(Err(failure)) => (Outcome::Error, Some(failure.reason), Some(failure.detail), Bytes::new()),
            None => {
                let detail = self.timed_out(limit);
                (Outcome::Timeout, Some(Reason::Timeout), Some(detail), Bytes::new())
            }
        };
        self.settle();
        // A failure after the answer is not the connection's.
        let idle = self.idle.filter(|_| self.asked && !self.answered);
        let detail = detail.map(|detail| match idle {
            Some(idle) => format!("{detail}; the connection had been idle for {}", show_seconds(idle.as_secs_f64())),
            None => detail,
        });
        if self.upload.as_ref().is_some_and(|tally| !tally.is_complete()) {
            self.processing = Duration::ZERO;
        }
        let Unreported { disconnects, .. } = std::mem::take(self.unreported);
        let wait = match (self.sent_at, self.first_received) {
            (Some(sent), Some(received)) => received.saturating_duration_since(sent),
            _ => Duration::ZERO,
        };
        Exchange {
            outcome,
            reason,
            detail,
            status: self.status,
            headers: self.headers,
            body,
            sent_at: self.sent_at,
            ended,
            wait,
            processing: self.processing,
            sent: self.sent,
            received: self.received,
            body_bytes: self.body_bytes,
            sha256: self.sha256.map(String::from),
            unanswered: self.asked && !self.answered,
            stray: self.stray,
            upload: self.upload.map(|tally| Box::new(tally.uploaded())),
            connects: self.knock.unreported(),
            disconnects,
        }
    }

    fn timed_out(&mut self, limit: Duration) -> String {
        match (self.stage, &self.meter) {
            (Stage::Dial(_), _) => {
                self.stage = Stage::Dial(self.dialing.stage);
                self.dialled(Err(Reason::Timeout));
            }
            (Stage::Pool, _) => {}
            _ if self.line.is_some() => {
                // The stream is reset, and the connection stays for others, if it is for others.
                if matches!(self.line, Some((_, true))) {
                    self.disconnected(Some(Reason::Timeout));
                }
            }
            (stage, meter) => {
                if let (Stage::Send | Stage::FirstByte | Stage::Head, Some((meter, ..))) = (stage, meter) {
                    self.stage = Stage::of_head(meter);
                }
                self.disconnected(Some(Reason::Timeout));
            }
        }
        let limit = show_seconds(limit.as_secs_f64());
        format!("timed out after {limit} while {}", self.stage.doing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_known_of_each_answer_that_is_not_followed() {
        for (follows, status, location, known) in [
            (true, 200, "/x", 200),
            (true, 300, "/x", 300),
            (true, 302, "", 302),
            (true, 302, "/x", 0),
            (true, 304, "/x", 304),
            (false, 302, "/x", 302),
        ] {
            let (mut unreported, knock) = (Unreported::default(), Knock::default());
            let mut progress = Progress::new(&mut unreported, &knock);
            progress.follows = follows;
            let mut answer = http::Response::builder().status(status);
            if !location.is_empty() {
                answer = answer.header("location", location);
            }
            progress.answers(answer.body(()).unwrap().into_parts().0);
            assert_eq!(unreported.status, known, "{status} {location}");
        }
    }
}
