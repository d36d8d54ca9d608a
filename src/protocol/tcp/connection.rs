//! An open TCP connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::{Frame, PreparedConnect};
use crate::base::Reason;
use crate::base::units::show_seconds;
use crate::net::dial::{explain, reason_of};
use crate::net::{Meter, Stream};
use crate::protocol::inbox::Inbox;
use crate::protocol::message::{Incoming, IncomingKind, Lost, Outgoing, Text};
use crate::protocol::opening::{Attempt, OpenError, Opening};
use crate::protocol::patience::within;

/// What is read at once, and what an idle connection holds.
const READ_BUFFER: usize = 4096;
/// A buffer that a long message has left behind is given back above this.
const KEPT_BUFFER: usize = 4 * READ_BUFFER;

/// Dials.
pub(super) async fn open(prepared: PreparedConnect) -> Attempt<Box<Connection>> {
    let limit = prepared.timeout;
    let mut opening = Opening::new();
    let result = tokio::time::timeout(limit, connect(prepared, &mut opening)).await;
    let result = result.unwrap_or_else(|_| Err(opening.timed_out(limit)));
    opening.finish(result.map(Box::new))
}

async fn connect(prepared: PreparedConnect, opening: &mut Opening) -> Result<Connection, OpenError> {
    let stream = opening.dial(&prepared.endpoint).await?;
    opening.connected();
    let PreparedConnect { frame, timeout, max_message, .. } = prepared;
    Ok(Connection {
        meter: Arc::clone(stream.meter()),
        stream: Some(stream),
        frame,
        timeout,
        max_message,
        read: BytesMut::new(),
        scanned: 0,
        unsent: BytesMut::new(),
        inbox: Inbox::default(),
        finished: false,
        ended: None,
        lost: None,
    })
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    /// Absent once this side has closed it.
    stream: Option<Stream>,
    meter: Arc<Meter>,
    frame: Frame,
    timeout: Duration,
    max_message: usize,
    /// What was read and is no whole message yet.
    read: BytesMut,
    scanned: usize,
    /// What is to be written, of a message that was begun.
    unsent: BytesMut,
    inbox: Inbox,
    /// This side has ended its sending.
    finished: bool,
    /// Why nothing more can be read, though it may still be possible to write.
    ended: Option<Lost>,
    lost: Option<Lost>,
}

impl Connection {
    /// Sends a message in its frame; see [`crate::protocol::session::Connection::send`].
    ///
    /// # Errors
    /// The connection was lost, the peer did not take the message in time, or the frame cannot carry it.
    pub async fn send(&mut self, message: Outgoing) -> Result<u64, Lost> {
        let message = match &message {
            Outgoing::Text(text) => text.as_bytes(),
            Outgoing::Binary(bytes) => bytes,
            Outgoing::Event { .. } | Outgoing::Ack { .. } => {
                return Err(Lost::new(Reason::Other, "TCP has no events; they are Socket.IO's"));
            }
        };
        if self.finished && self.lost.is_none() {
            return Err(Lost::new(Reason::Other, "this side has ended its sending"));
        }
        if self.lost.is_none() {
            self.frame.encode(message, &mut self.unsent).map_err(|problem| Lost::new(Reason::Other, problem))?;
        }
        self.write("did not take a message", false).await.map(|()| message.len() as u64)
    }

    /// Whether both sides have ended their sending, this one first, and nothing is left of a message: an end that was asked for.
    pub fn is_over(&self) -> bool {
        self.finished && self.ended.is_some() && self.lost.is_none() && self.read.is_empty()
    }

    /// Closes the sending side: the peer reads the end, and may go on sending. A last line of its own needs no newline then.
    ///
    /// # Errors
    /// The connection was lost, or the peer did not take what was left to send in time.
    pub async fn finish(&mut self) -> Result<(), Lost> {
        self.finished = true;
        self.write("did not take what was left to send", true).await
    }

    /// Writes what is left, and with `last` ends the sending side: both in the one time limit.
    async fn write(&mut self, what: &str, last: bool) -> Result<(), Lost> {
        let limit = self.timeout;
        match within(limit, poll_fn(|cx| self.poll_write(cx, last))).await {
            Some(result) => result,
            None => {
                let limit = show_seconds(limit.as_secs_f64());
                Err(self.lose(Lost::new(Reason::Timeout, format!("the peer {what} within {limit}"))))
            }
        }
    }

    /// Writes what is left; reads meanwhile, since a peer may wait for its own messages to be read before it reads on.
    fn poll_write(&mut self, cx: &mut Context<'_>, last: bool) -> Poll<Result<(), Lost>> {
        let written = match self.poll_flush(cx) {
            // What TLS says last has to be taken, too.
            Poll::Ready(Ok(())) if last => self.poll_shutdown(cx),
            written => written,
        };
        if written.is_ready() {
            return written;
        }
        while self.ended.is_none() && self.inbox.has_room(self.max_message) {
            match self.poll_read(cx) {
                Poll::Ready(Ok(message)) => self.inbox.push(message),
                // The peer may have closed its sending side only.
                Poll::Ready(Err(_)) if self.lost.is_none() => break,
                Poll::Ready(Err(lost)) => return Poll::Ready(Err(lost)),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let Self { stream: Some(stream), lost: None, .. } = self else { return Poll::Ready(Err(self.end())) };
        let mut stream = Pin::new(stream);
        while !self.unsent.is_empty() {
            match ready!(stream.as_mut().poll_write(cx, &self.unsent)) {
                Ok(0) => return Poll::Ready(Err(self.fail(&io::ErrorKind::WriteZero.into()))),
                Ok(written) => self.unsent.advance(written),
                Err(error) => return Poll::Ready(Err(self.fail(&error))),
            }
        }
        if self.unsent.capacity() > KEPT_BUFFER {
            self.unsent = BytesMut::new();
        }
        stream.poll_flush(cx).map_err(|error| self.fail(&error))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(self.end())) };
        Pin::new(stream).poll_shutdown(cx).map_err(|error| self.fail(&error))
    }

    /// The next message; see [`crate::protocol::session::Connection::next`].
    ///
    /// # Errors
    /// The connection was lost, or the peer closed its sending side.
    pub async fn next(&mut self) -> Result<Incoming, Lost> {
        poll_fn(|cx| {
            if let Some(message) = self.inbox.pop() {
                return Poll::Ready(Ok(message));
            }
            // A message whose sending was given up half-way is sent to its end.
            if !self.unsent.is_empty()
                && let Poll::Ready(Err(lost)) = self.poll_flush(cx)
            {
                return Poll::Ready(Err(lost));
            }
            self.poll_read(cx)
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Lost>> {
        loop {
            if self.lost.is_some() || self.ended.is_some() {
                return Poll::Ready(Err(self.end()));
            }
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(self.end())) };
            match self.frame.decode(&mut self.read, &mut self.scanned, self.max_message) {
                Ok(Some(message)) => {
                    let kind = Text::try_from(message.clone()).map_or(IncomingKind::Binary(message), IncomingKind::Text);
                    return Poll::Ready(Ok(Incoming::now(kind)));
                }
                Ok(None) => {}
                Err(problem) => return Poll::Ready(Err(self.lose(Lost::new(Reason::Protocol, problem)))),
            }
            if self.read.is_empty() && self.read.capacity() > KEPT_BUFFER {
                self.read = BytesMut::new();
            }
            self.read.reserve(READ_BUFFER);
            let read = pin!(stream.read_buf(&mut self.read)).poll(cx);
            match ready!(read) {
                Ok(0) => {
                    // What answers a dialogue that this side has ended, ends with it: `printf 'total 8'`.
                    if self.finished && self.frame == Frame::Line && !self.read.is_empty() {
                        self.read.extend_from_slice(b"\n");
                        continue;
                    }
                    self.ended = Some(match self.read.len() {
                        0 => Lost::by_peer("the peer closed the connection"),
                        left => {
                            let detail = format!(
                                "the peer closed the connection in the middle of a message, of which {left} bytes had come"
                            );
                            Lost::new(Reason::Closed, detail)
                        }
                    });
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.fail(&error))),
            }
        }
    }

    /// Closes the sending side; see [`crate::protocol::session::Connection::goodbye`].
    pub async fn goodbye(&mut self) {
        if self.lost.is_some() || self.finish().await.is_err() {
            self.stream = None;
        }
    }

    /// What still comes, up to the end of the peer's sending; see [`crate::protocol::session::Connection::parting`].
    pub async fn parting(&mut self) -> Option<Incoming> {
        self.stream.as_ref()?;
        let message = poll_fn(|cx| match self.inbox.pop() {
            Some(message) => Poll::Ready(Ok(message)),
            None => self.poll_read(cx),
        });
        let message = message.await.ok();
        if message.is_none() {
            self.stream = None;
        }
        message
    }

    /// Closes the socket.
    pub(in crate::protocol) fn shut(&mut self) {
        self.stream = None;
        self.read = BytesMut::new();
        self.lose(Lost::by_us());
    }

    /// Ends the sending side without waiting; see [`crate::protocol::session::Connection::leave`].
    pub fn leave(&mut self) {
        if let Self { stream: Some(stream), lost: None, .. } = self
            && self.unsent.is_empty()
        {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
            self.lose(Lost::by_us());
        }
    }

    /// Bytes sent and received on the wire, those of TLS included.
    pub fn traffic(&self) -> (u64, u64) {
        (self.meter.sent(), self.meter.received())
    }

    /// Why the connection is over.
    fn end(&self) -> Lost {
        self.lost.clone().or_else(|| self.ended.clone()).unwrap_or_else(Lost::by_us)
    }

    fn lose(&mut self, lost: Lost) -> Lost {
        self.lost.get_or_insert(lost).clone()
    }

    fn fail(&mut self, error: &io::Error) -> Lost {
        let lost = match reason_of(error) {
            Reason::Closed => Lost::new(Reason::Closed, "the peer closed the connection"),
            reason => Lost::new(reason, format!("the connection broke: {}", explain(error))),
        };
        self.lose(lost)
    }
}
