//! An open WebSocket.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink, Stream as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::{Framing, PreparedConnect};
use crate::base::Reason;
use crate::base::units::show_seconds;
use crate::net::dial::{explain, reason_of};
use crate::net::{Meter, Stream};
use crate::protocol::inbox::Inbox;
use crate::protocol::message::{Incoming, IncomingKind, Lost, Outgoing, Text};
use crate::protocol::patience::within;

/// What is read at once, and what an idle connection holds: ten thousand of them are to be cheap.
const READ_BUFFER: usize = 2048;
/// How many pings may go unanswered since the peer reads nothing: each answer is kept until it does.
const MAX_UNREAD: u32 = 1000;
/// How long a peer that has answered the close frame may take to close the socket, which is its part.
const LINGER: Duration = Duration::from_secs(1);

/// An open WebSocket. Pings are answered while it is polled.
#[derive(Debug)]
pub struct Connection {
    /// Absent once this side has closed it.
    socket: Option<WebSocketStream<Stream>>,
    meter: Arc<Meter>,
    inbox: Inbox,
    framing: Framing,
    /// What is left of a message that is taken line by line.
    lines: Option<Lines>,
    timeout: Duration,
    max_message: usize,
    /// Pings that came while the socket took nothing.
    unread: u32,
    lost: Option<Lost>,
}

impl Connection {
    /// A connection whose handshake is over; `rest` came behind it.
    pub(super) async fn new(stream: Stream, rest: Bytes, meter: Arc<Meter>, prepared: &PreparedConnect) -> Self {
        let PreparedConnect { framing, timeout, max_message, .. } = *prepared;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let socket = WebSocketStream::from_partially_read(stream, rest.into(), Role::Client, Some(config)).await;
        let (inbox, lines) = (Inbox::default(), None);
        Self { socket: Some(socket), meter, inbox, framing, lines, timeout, max_message, unread: 0, lost: None }
    }

    /// Sends a message; see [`crate::protocol::session::Connection::send`].
    ///
    /// # Errors
    /// The connection was lost, the peer did not take the message in time, or it is one of Socket.IO's.
    pub async fn send(&mut self, message: Outgoing) -> Result<u64, Lost> {
        let message = match message {
            Outgoing::Text(text) => Message::Text(text),
            Outgoing::Binary(bytes) => Message::Binary(bytes),
            Outgoing::Event { .. } | Outgoing::Ack { .. } => {
                return Err(Lost::new(Reason::Other, "WebSocket has no events; they are Socket.IO's"));
            }
        };
        let bytes = message.len() as u64;
        let mut message = Some(message);
        let limit = self.timeout;
        match within(limit, poll_fn(|cx| self.poll_send(cx, &mut message))).await {
            Some(result) => result.map(|()| bytes),
            None => {
                let limit = show_seconds(limit.as_secs_f64());
                Err(self.lose(Lost::new(Reason::Timeout, format!("the peer did not take a message within {limit}"))))
            }
        }
    }

    /// Hands `message` over, if there is one, and everything to the socket. What came meanwhile is kept.
    pub(in crate::protocol) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), Lost>> {
        let Self { socket: Some(socket), lost: None, .. } = self else { return Poll::Ready(Err(self.end())) };
        let mut socket = Pin::new(socket);
        let mut sent = socket.as_mut().poll_ready(cx);
        if let (Poll::Ready(Ok(())), Some(message)) = (&sent, message.take_if(|_| sent.is_ready())) {
            sent = Poll::Ready(socket.as_mut().start_send(message));
        }
        if let Poll::Ready(Ok(())) = sent {
            sent = socket.as_mut().poll_flush(cx);
        }
        if let Poll::Ready(result) = sent {
            return Poll::Ready(result.map_err(|error| self.fail(&error)));
        }
        // A peer may wait for its own messages to be read before it reads on.
        while self.inbox.has_room(self.max_message) {
            match self.poll_read(cx) {
                Poll::Ready(Ok(message)) => self.inbox.push(message),
                Poll::Ready(Err(lost)) => return Poll::Ready(Err(lost)),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    /// The next message; see [`crate::protocol::session::Connection::next`].
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn next(&mut self) -> Result<Incoming, Lost> {
        poll_fn(|cx| self.poll_incoming(cx)).await
    }

    /// As [`Self::next`].
    pub(in crate::protocol) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Lost>> {
        match self.inbox.pop() {
            Some(message) => Poll::Ready(Ok(message)),
            None => self.poll_read(cx),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Lost>> {
        if let Some(line) = self.line() {
            return Poll::Ready(Ok(line));
        }
        let Self { socket: Some(socket), lost: None, .. } = self else { return Poll::Ready(Err(self.end())) };
        loop {
            let message = match std::task::ready!(Pin::new(&mut *socket).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(Err(self.fail(&error))),
                None => return Poll::Ready(Err(self.lose(Lost::new(Reason::Closed, "the peer closed the connection")))),
            };
            match message {
                Message::Text(_) | Message::Binary(_) => {
                    if let Some(incoming) = split(message, self.framing, &mut self.lines) {
                        return Poll::Ready(Ok(incoming));
                    }
                }
                // A ping's answer goes out with the next turn.
                Message::Ping(_) => {
                    self.unread = if self.meter.is_blocked() { self.unread + 1 } else { 0 };
                    if self.unread > MAX_UNREAD {
                        let lost = Lost::new(Reason::Protocol, "the peer sends pings and doesn't read their answers");
                        return Poll::Ready(Err(self.lose(lost)));
                    }
                }
                Message::Pong(_) | Message::Frame(_) => {}
                Message::Close(frame) => {
                    // The answer to it, if the socket takes it at once.
                    let _ = Pin::new(&mut *socket).poll_flush(cx);
                    return Poll::Ready(Err(self.lose(closed_by(frame))));
                }
            }
        }
    }

    /// Says goodbye; see [`crate::protocol::session::Connection::goodbye`].
    pub async fn goodbye(&mut self) {
        if self.lost.is_none() {
            let mut frame = Some(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })));
            if poll_fn(|cx| self.poll_send(cx, &mut frame)).await.is_ok() {
                self.lose(Lost::by_us());
                return;
            }
        }
        // A connection that broke has nobody to say goodbye to; one that the peer closed is left to the peer to end.
        if self.lost.as_ref().is_some_and(|lost| lost.code.is_none() && *lost != Lost::by_us()) {
            self.socket = None;
        }
    }

    /// What still comes; see [`crate::protocol::session::Connection::parting`].
    pub async fn parting(&mut self) -> Option<Incoming> {
        if let Some(message) = self.inbox.pop().or_else(|| self.line()) {
            return Some(message);
        }
        let socket = self.socket.as_mut()?;
        loop {
            match next(socket).await {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    if let Some(incoming) = split(message, self.framing, &mut self.lines) {
                        return Some(incoming);
                    }
                }
                Some(Ok(Message::Close(_))) => {
                    let _ = tokio::time::timeout(LINGER, async { while let Some(Ok(_)) = next(socket).await {} }).await;
                    break;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        self.socket = None;
        None
    }

    /// The next line of a message that is taken line by line.
    fn line(&mut self) -> Option<Incoming> {
        let line = self.lines.as_mut()?.next();
        if line.is_none() {
            self.lines = None;
        }
        line
    }

    /// Closes the socket.
    pub(in crate::protocol) fn shut(&mut self) {
        self.socket = None;
        self.lose(Lost::by_us());
    }

    /// Says goodbye without waiting; see [`crate::protocol::session::Connection::leave`].
    pub fn leave(&mut self) {
        if let Self { socket: Some(socket), lost: None, .. } = self {
            say_at_once(socket, CloseCode::Normal);
            self.lose(Lost::by_us());
        }
    }

    /// Bytes sent and received on the wire, the handshake's included.
    pub fn traffic(&self) -> (u64, u64) {
        (self.meter.sent(), self.meter.received())
    }

    /// Why the connection is over.
    fn end(&self) -> Lost {
        self.lost.clone().unwrap_or_else(Lost::by_us)
    }

    /// The connection counts as lost for this reason, if it isn't already.
    pub(in crate::protocol) fn lose(&mut self, lost: Lost) -> Lost {
        self.lost.get_or_insert(lost).clone()
    }

    /// The connection is lost to this error. A peer that broke the protocol gets the code, as far as the socket takes it at once.
    fn fail(&mut self, error: &Error) -> Lost {
        let (lost, goodbye) = explain_error(error, self.max_message);
        if let (Some(code), Some(socket)) = (goodbye, &mut self.socket) {
            say_at_once(socket, code);
        }
        self.lose(lost)
    }
}

/// What is left of a message whose lines are messages.
#[derive(Debug)]
struct Lines {
    at: Instant,
    wall: SystemTime,
    rest: Bytes,
    text: bool,
}

impl Iterator for Lines {
    type Item = Incoming;

    /// The next line that isn't empty, without its end.
    fn next(&mut self) -> Option<Incoming> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len());
            let mut line = self.rest.split_to(end);
            self.rest.advance(usize::from(!self.rest.is_empty()));
            if line.ends_with(b"\r") {
                line.truncate(line.len() - 1);
            }
            if !line.is_empty() {
                let kind = match Text::try_from(line.clone()) {
                    Ok(text) if self.text => IncomingKind::Text(text),
                    _ => IncomingKind::Binary(line),
                };
                return Some(Incoming { at: self.at, wall: self.wall, kind });
            }
        }
        None
    }
}

/// What a message of the wire is to the caller: itself, or the first of its lines, whose rest then is in `lines`.
fn split(message: Message, framing: Framing, lines: &mut Option<Lines>) -> Option<Incoming> {
    let kind = match message {
        Message::Text(text) => IncomingKind::Text(text),
        Message::Binary(bytes) => IncomingKind::Binary(bytes),
        _ => return None,
    };
    let Incoming { at, wall, kind } = Incoming::now(kind);
    let (text, rest) = match (framing, kind) {
        (Framing::Message, kind) => return Some(Incoming { at, wall, kind }),
        (Framing::Line, IncomingKind::Text(text)) => (true, Bytes::from(text)),
        (Framing::Line, IncomingKind::Binary(bytes)) => (false, bytes),
        (Framing::Line, _) => return None,
    };
    let mut all = Lines { at, wall, rest, text };
    let first = all.next();
    *lines = (!all.rest.is_empty()).then_some(all);
    first
}

/// Sends a close frame as far as the socket takes it at once.
fn say_at_once(socket: &mut WebSocketStream<Stream>, code: CloseCode) {
    let mut socket = Pin::new(socket);
    let _ = socket.as_mut().start_send(Message::Close(Some(CloseFrame { code, reason: "".into() })));
    let _ = socket.as_mut().poll_flush(&mut Context::from_waker(Waker::noop()));
}

async fn next(socket: &mut WebSocketStream<Stream>) -> Option<Result<Message, Error>> {
    poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx)).await
}

/// The peer's close frame.
fn closed_by(frame: Option<CloseFrame>) -> Lost {
    match frame {
        // What the library makes of a code that no peer may send.
        Some(frame) if frame.code == CloseCode::Protocol && frame.reason == "Protocol violation" => {
            Lost::new(Reason::Protocol, "the peer's close frame has a code that may not be sent")
        }
        Some(frame) => {
            let code = u16::from(frame.code);
            Lost { code: Some(code), ..Lost::by_peer(format!("the peer closed the connection with code {code}")) }
        }
        // 1005 stands for a close frame without a code (RFC 6455, 7.1.5).
        None => Lost { code: Some(1005), ..Lost::by_peer("the peer closed the connection without a code") },
    }
}

/// What an error means, and the code for the peer if it broke the protocol.
fn explain_error(error: &Error, max_message: usize) -> (Lost, Option<CloseCode>) {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => (Lost::new(Reason::Closed, "the peer closed the connection"), None),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            (Lost::new(Reason::Closed, "the peer closed the connection without a close frame"), None)
        }
        Error::Protocol(ProtocolError::SendAfterClosing) => {
            (Lost::new(Reason::Closed, "the peer had closed the connection before a message was sent"), None)
        }
        Error::Protocol(error) => {
            (Lost::new(Reason::Protocol, format!("the peer broke the protocol: {error}")), Some(CloseCode::Protocol))
        }
        Error::Utf8(_) => (Lost::new(Reason::Protocol, "the peer sent text that is not UTF-8"), Some(CloseCode::Invalid)),
        Error::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            let detail = format!("the peer sent a message of {size} bytes or more, and `max_message` is {max_message}");
            (Lost::new(Reason::Protocol, detail), Some(CloseCode::Size))
        }
        Error::Io(error) => {
            let reason = reason_of(error);
            (Lost::new(reason, format!("the connection broke: {}", explain(error))), None)
        }
        error => (Lost::new(Reason::Other, error.to_string()), None),
    }
}
