//! One keep-alive connection: hyper's state machine, polled in the future of whoever uses it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::address::Origin;
use super::body::Payload;
use super::exchange::Stage;
use super::failure::{Failure, MAX_HEADERS};
use super::gate::Gate;
use super::received::{Collector, Received};
use super::upload::Tally;
use crate::base::Reason;
use crate::net::{DialError, Dialing, Meter, Stream, give_way};

/// What goes over a connection.
pub(super) type Outgoing = http::Request<Payload>;

/// A connection that was idle for less is used without asking the kernel whether the peer is still there: a peer that closes
/// so soon does so while the request is on its way, and nothing would show it.
const IDLE: Duration = Duration::from_millis(1);

/// How much of an upload may stand in the socket's buffer without being on its way, in bytes.
const UNSENT: u32 = 256 * 1024;

/// How much of a body is taken before others have their turn, in pieces: a read may have brought thousands of them.
const MOST_FRAMES: usize = 128;

/// An open connection to an origin.
#[derive(Debug)]
pub(super) struct Connection {
    pub origin: Arc<Origin>,
    pub meter: Arc<Meter>,
    sender: http1::SendRequest<Payload>,
    driver: Driver,
    gate: Gate,
    last_used: Instant,
}

/// hyper's side of the connection, until it is over.
#[derive(Debug)]
struct Driver {
    connection: Option<http1::Connection<TokioIo<Stream>, Payload>>,
    error: Option<hyper::Error>,
}

impl Driver {
    /// Reads, writes and hands over what can be.
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && let Poll::Ready(result) = Pin::new(connection).poll(cx)
        {
            self.connection = None;
            self.error = result.err();
        }
    }
}

/// HTTP/1.1 with answers' headers as browsers read them.
pub(in crate::protocol) fn http1_client() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_headers(MAX_HEADERS).allow_obsolete_multiline_headers_in_responses(true);
    builder
}

/// Why a request was not answered.
pub(super) enum Unanswered {
    /// Not a byte of it was written, since the connection had ended before. Here it is back.
    Unsent(Box<Outgoing>),
    /// It failed.
    Failed(Failure),
}

impl Connection {
    /// Makes a connection of a stream. Boxed, since it changes hands twice a request.
    pub async fn open(origin: &Arc<Origin>, stream: Stream, dialing: &Dialing) -> Result<Box<Self>, DialError> {
        let meter = Arc::clone(stream.meter());
        let (sender, connection) = http1_client().handshake(TokioIo::new(stream)).await.map_err(|error| DialError {
            reason: Reason::Other,
            stage: dialing.stage,
            message: format!("the connection to {} cannot be used: {error}", origin.endpoint),
        })?;
        let driver = Driver { connection: Some(connection), error: None };
        Ok(Box::new(Self { origin: Arc::clone(origin), meter, sender, driver, gate: Gate::new(), last_used: Instant::now() }))
    }

    /// Whether an idle connection can take a request, as far as this side can know.
    pub fn is_usable(&mut self) -> bool {
        if self.last_used.elapsed() > IDLE {
            // The peer had its pause: what it has said meanwhile is read at once.
            self.meter.restart();
            // With TLS there may be a session ticket to read, so there only hyper knows.
            let readable = !self.origin.is_secure() && self.meter.is_readable();
            self.driver.poll(&mut Context::from_waker(Waker::noop()));
            if readable {
                return false;
            }
        }
        !self.sender.is_closed()
    }

    /// Bytes came behind the last answer that belong to none.
    pub fn stray(&self) -> Option<Failure> {
        let error = self.driver.error.as_ref()?;
        // hyper has no question for it, but no other error of an idle connection is of this kind. What ends behind an answer has cut off nothing
        // of it, with the goodbye of TLS or without.
        let stray = Failure::of(error, Stage::FirstByte).reason == Reason::Protocol && !error.is_incomplete_message();
        stray.then(|| Failure::new(Reason::Protocol, "bytes came behind the end of the answer that belong to no answer"))
    }

    /// When its last answer was complete, or it was opened.
    pub fn last_used(&self) -> Instant {
        self.last_used
    }

    /// Whether the connection can be kept after an answer.
    pub fn is_reusable(&mut self) -> bool {
        self.last_used = Instant::now();
        self.driver.connection.is_some() && !self.sender.is_closed()
    }

    /// Sends a request and reads the answer's head, which may come before all is sent.
    pub async fn send(&mut self, request: Outgoing, stage: &mut Stage) -> Result<http::Response<Incoming>, Unanswered> {
        self.meter.restart();
        if matches!(request.body(), Payload::Streamed(_)) {
            self.meter.expect_long_body(UNSENT);
        }
        let Self { sender, driver, meter, gate, .. } = self;
        if !sender.is_ready() {
            // The end of the last answer may not have been looked at yet. An error shows in the next step.
            let _ = poll_fn(|cx| {
                gate.poll(cx, |cx| {
                    driver.poll(cx);
                    sender.poll_ready(cx)
                })
            })
            .await;
        }
        // Sending signals the driver, which is polled next.
        gate.shut();
        let mut response = pin!(sender.try_send_request(request));
        let result = poll_fn(|cx| {
            gate.poll(cx, |cx| {
                driver.poll(cx);
                response.as_mut().poll(cx)
            })
        })
        .await;
        *stage = Stage::of_head(meter);
        result.map_err(|mut error| match error.take_message() {
            Some(request) if meter.first_sent().is_none() => Unanswered::Unsent(Box::new(request)),
            _ => Unanswered::Failed(Failure::of(driver.error.as_ref().unwrap_or(error.error()), *stage)),
        })
    }

    /// Sends the rest of an upload whose answer has come already, as far as the peer takes it.
    pub async fn finish(&mut self, tally: &Tally) {
        let Self { driver, meter, gate, .. } = self;
        poll_fn(|cx| {
            gate.poll(cx, |cx| {
                driver.poll(cx);
                let over = tally.is_complete() || driver.connection.is_none() || meter.is_cut_off();
                if over { Poll::Ready(()) } else { Poll::Pending }
            })
        })
        .await;
    }

    /// Reads an answer's body.
    pub async fn read(&mut self, mut incoming: Incoming, mut collector: Collector) -> Result<Received, Failure> {
        let Self { driver, gate, .. } = self;
        let mut step = |cx: &mut Context<'_>| {
            let mut driven = false;
            for _ in 0..MOST_FRAMES {
                if incoming.is_end_stream() {
                    return Poll::Ready(Ok(()));
                }
                match Pin::new(&mut incoming).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        let Ok(data) = frame.into_data() else { continue };
                        collector.push(data);
                    }
                    Poll::Ready(Some(Err(error))) => {
                        let error = driver.error.as_ref().unwrap_or(&error);
                        return Poll::Ready(Err(Failure::of(error, Stage::Body)));
                    }
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending if driven => return Poll::Pending,
                    Poll::Pending => {
                        driver.poll(cx);
                        driven = true;
                        continue;
                    }
                }
                driven = false;
            }
            give_way(cx);
            Poll::Pending
        };
        poll_fn(|cx| gate.poll(cx, &mut step)).await?;
        Ok(collector.finish())
    }
}
