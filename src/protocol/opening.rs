//! A connection as it is being opened: how far it came, how long its parts took, and the [`Attempt`] that it makes in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::http::Stage;
use crate::base::units::show_seconds;
use crate::base::{Outcome, Reason};
use crate::net::{DialTimes, Dialing, Endpoint, Meter, Stream, dial};

/// How long the parts of opening a connection took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectTimes {
    /// From the start to the end of the last part that was over.
    pub total: Duration,
    /// Resolving the name; absent where an address was written.
    pub dns: Option<Duration>,
    /// The TCP handshake.
    pub tcp: Duration,
    /// The TLS handshake; absent without TLS.
    pub tls: Option<Duration>,
    /// The protocol's own handshake; absent where there is none, or it did not end well.
    pub handshake: Option<Duration>,
}

impl ConnectTimes {
    /// The times of a dial, before a handshake.
    fn of(dial: DialTimes) -> Self {
        Self { total: dial.total, dns: dial.dns, tcp: dial.tcp, tls: dial.tls, handshake: None }
    }
}

/// What came of opening a connection.
#[derive(Debug)]
pub struct Attempt<C> {
    /// The connection, or why there is none.
    pub result: Result<C, OpenError>,
    /// How long the parts took, once TCP (and TLS, if it is spoken) connected; absent if it did not.
    pub times: Option<ConnectTimes>,
    /// When the handshake's first byte was sent (for TCP, which sends none: when it was connected); absent if it came not so far.
    pub sent_at: Option<Instant>,
    /// When it was over.
    pub ended: Instant,
    /// The status of the handshake's answer, 101 where all went well; 0 without one.
    pub status: u16,
    /// The headers of that answer.
    pub headers: HeaderMap,
    /// Bytes sent on the wire so far.
    pub sent: u64,
    /// Bytes received on the wire so far.
    pub received: u64,
}

impl<C> Attempt<C> {
    /// The same with what `of` makes of the connection.
    pub(super) fn map<D>(self, of: impl FnOnce(C) -> D) -> Attempt<D> {
        let Self { result, times, sent_at, ended, status, headers, sent, received } = self;
        Attempt { result: result.map(of), times, sent_at, ended, status, headers, sent, received }
    }
}

/// Why a connection could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct OpenError {
    /// The label under which it is counted.
    pub reason: Reason,
    /// `Timeout` or `Error`.
    pub outcome: Outcome,
    /// What happened in words, without secrets.
    pub detail: String,
}

impl OpenError {
    /// An error of this reason; a timeout if that is what it is.
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let outcome = if reason == Reason::Timeout { Outcome::Timeout } else { Outcome::Error };
        Self { reason, outcome, detail: detail.into() }
    }
}

/// What is under way.
#[derive(Debug, Clone, Copy)]
enum Doing {
    Dial,
    /// The handshake of the protocol of this name.
    Handshake(&'static str),
    /// What follows that handshake, as a message names it.
    Waiting(&'static str),
}

/// How far opening a connection has come. Readable after the future that does it was dropped.
#[derive(Debug)]
pub(super) struct Opening {
    start: Instant,
    doing: Doing,
    dialing: Dialing,
    meter: Option<Arc<Meter>>,
    times: Option<ConnectTimes>,
    /// When the first dial was over, from the start.
    dialled: Duration,
    sent_at: Option<Instant>,
    /// Bytes of connections that served on the way and are closed.
    spent: (u64, u64),
    /// The status of the handshake's answer.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Opening {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            doing: Doing::Dial,
            dialing: Dialing::default(),
            meter: None,
            times: None,
            dialled: Duration::ZERO,
            sent_at: None,
            spent: (0, 0),
            status: 0,
            headers: HeaderMap::new(),
        }
    }

    /// Dials. The first dial's times are those of the connection.
    pub async fn dial(&mut self, endpoint: &Endpoint) -> Result<Stream, OpenError> {
        self.settle();
        self.doing = Doing::Dial;
        let stream = dial(endpoint, &mut self.dialing).await.map_err(|error| OpenError::new(error.reason, error.message))?;
        if self.times.is_none() {
            self.dialled = self.start.elapsed();
            self.times = Some(ConnectTimes::of(self.dialing.times));
        }
        self.meter = Some(Arc::clone(stream.meter()));
        Ok(stream)
    }

    /// The handshake of this protocol begins.
    pub fn shake(&mut self, protocol: &'static str) {
        self.doing = Doing::Handshake(protocol);
    }

    /// Something else than an answer of HTTP is waited for: "timed out while …".
    pub fn wait_for(&mut self, doing: &'static str) {
        self.doing = Doing::Waiting(doing);
    }

    /// What there is to send has been sent before there was a first byte: for a protocol without a handshake.
    pub fn connected(&mut self) {
        self.sent_at = Some(Instant::now());
    }

    /// The handshake is over and ended well; where several follow each other, so says the last one.
    pub fn shaken(&mut self) {
        self.settle_sent();
        let total = self.start.elapsed();
        if let Some(times) = &mut self.times {
            times.handshake = Some(total.saturating_sub(self.dialled));
            times.total = total;
        }
    }

    /// What to say of a time limit that has passed.
    pub fn timed_out(&self, limit: Duration) -> OpenError {
        let limit = show_seconds(limit.as_secs_f64());
        let doing = match (self.doing, &self.meter) {
            (Doing::Handshake(protocol), Some(meter)) => {
                format!("in the {protocol} handshake (handshake), {}", Stage::of_head(meter).doing())
            }
            (Doing::Waiting(doing), _) => doing.to_owned(),
            _ => self.dialing.stage.doing().to_owned(),
        };
        OpenError::new(Reason::Timeout, format!("timed out after {limit} while {doing}"))
    }

    /// The attempt.
    pub fn finish<C>(mut self, result: Result<C, OpenError>) -> Attempt<C> {
        let ended = Instant::now();
        self.settle();
        Attempt {
            result,
            times: self.times,
            sent_at: self.sent_at,
            ended,
            status: self.status,
            headers: self.headers,
            sent: self.spent.0,
            received: self.spent.1,
        }
    }

    fn settle_sent(&mut self) {
        let first = self.meter.as_ref().and_then(|meter| meter.first_sent());
        self.sent_at = self.sent_at.or(first);
    }

    /// Takes over what the meter of the connection in use says.
    fn settle(&mut self) {
        self.settle_sent();
        if let Some(meter) = self.meter.take() {
            self.spent.0 += meter.sent();
            self.spent.1 += meter.received();
        }
    }
}
