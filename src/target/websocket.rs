//! WebSocket: an upgrade at any path that echoes over HTTP, `/ws` by custom.
//!
//! | URL | what it does |
//! |---|---|
//! | `/ws` | sends every message back |
//! | `/ws/fanout?rate=2&bytes=200` | sends an event twice a second, of so many bytes at least; what comes is counted (and sent back with `&echo`) |
//!
//! One fault at most, at once or after so many messages (`&after=3`; those received, or the events sent): `?close=1011` (a close
//! frame with that code), `?drop` (closed without one), `?reset`, `?garbage` (what is no frame), `?huge=10MB` (one message of that
//! size), `?deaf` (reads no more), and `?accept=wrong` (a wrong key in the handshake).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Uri};
use tokio::io::AsyncWriteExt;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::TargetState;
use super::counts::{Session, SocketKind};
use super::fanout::{Event, Hub, Topic};
use super::socket::Socket;
use crate::base::units::parse_size;

/// What is read at once, and what an idle session holds.
const READ_BUFFER: usize = 1024;
/// The longest message that is taken, and the longest huge one.
const MAX_MESSAGE: u64 = 64 * 1024 * 1024;
/// How long a client may take to answer a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What goes wrong on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Close(u16),
    Drop,
    Reset,
    Garbage,
    Huge(u64),
    Deaf,
}

/// What the URL of an upgrade asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ask {
    topic: Option<Topic>,
    echo: bool,
    fault: Option<Fault>,
    /// How many messages come before the fault.
    after: u64,
    wrong_key: bool,
}

impl Ask {
    /// Reads a URL; otherwise what is wrong with it, for the one who wrote it.
    pub fn parse(uri: &Uri) -> Result<Self, String> {
        let fanout = uri.path().trim_end_matches('/').ends_with("/fanout");
        let mut ask = Self { topic: None, echo: !fanout, fault: None, after: 0, wrong_key: false };
        let (mut rate, mut bytes) = ("2", 0);
        let size = |text: &str| match parse_size(text) {
            Ok(size) if size <= MAX_MESSAGE => Ok(size),
            _ => Err(format!("`{text}` is no size up to 64MiB; write one like 10MB")),
        };
        for part in uri.query().into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "rate" => rate = value,
                "bytes" => bytes = usize::try_from(size(value)?).map_err(|error| error.to_string())?,
                "echo" => ask.echo = true,
                "close" => {
                    let code = value.parse().map_err(|_| format!("`{value}` is no close code; write one like 1011"))?;
                    ask.fault = Some(Fault::Close(code));
                }
                "drop" => ask.fault = Some(Fault::Drop),
                "reset" => ask.fault = Some(Fault::Reset),
                "garbage" => ask.fault = Some(Fault::Garbage),
                "huge" => ask.fault = Some(Fault::Huge(size(value)?)),
                "deaf" => ask.fault = Some(Fault::Deaf),
                "after" => ask.after = value.parse().map_err(|_| format!("`{value}` is no number of messages"))?,
                "accept" if value == "wrong" => ask.wrong_key = true,
                // Whatever else a query holds is the client's own.
                _ => {}
            }
        }
        if fanout {
            ask.topic = Some(Topic::parse(&rate.replace("%2F", "/").replace("%2f", "/"), bytes)?);
        }
        Ok(ask)
    }

    /// The headers of the 101 that answers such a request.
    pub fn accept(&self, request: &HeaderMap) -> Result<HeaderMap, String> {
        let key = request.get(SEC_WEBSOCKET_KEY).ok_or("an upgrade needs the header `sec-websocket-key`")?;
        let key = if self.wrong_key { b"wrong" } else { key.as_bytes() };
        let accept = HeaderValue::try_from(derive_accept_key(key)).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        // The first that is offered is as good as any.
        let offered = request.get(SEC_WEBSOCKET_PROTOCOL).and_then(|offered| offered.to_str().ok());
        if let Some(Ok(first)) = offered.and_then(|offered| offered.split(',').next()).map(|first| first.trim().try_into()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, first);
        }
        Ok(headers)
    }
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The server's side of a WebSocket whose handshake is over.
pub(super) async fn accepted(socket: Socket, rest: Bytes) -> WebSocketStream<Socket> {
    let longest = usize::try_from(MAX_MESSAGE).unwrap_or(usize::MAX);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    WebSocketStream::from_partially_read(socket, rest.into(), Role::Server, Some(config)).await
}

/// Serves a session to its end.
pub(super) async fn serve(
    mut socket: WebSocketStream<Socket>,
    ask: Ask,
    reset: &AtomicBool,
    shared: &Arc<TargetState>,
    stopping: watch::Receiver<bool>,
) {
    let counts = shared.counts.of(SocketKind::Websocket);
    let _open = Session::begin(counts);
    // The topic was fine when the URL was read; there may be too many by now.
    let Ok(events) = ask.topic.map(|topic| Hub::listen(shared, topic)).transpose() else { return };
    let mut session = Talk { socket: &mut socket, events, shared, stopping, seen: 0 };
    let end = session.run(&ask).await;
    let farewell = match end {
        End::Lost => return,
        End::Stopped => CloseFrame { code: CloseCode::Away, reason: "".into() },
        End::Fault(Fault::Drop) => return,
        End::Fault(Fault::Reset) => {
            reset.store(true, Relaxed);
            return;
        }
        End::Fault(Fault::Close(code)) => CloseFrame { code: code.into(), reason: "".into() },
        End::Fault(Fault::Garbage) => {
            let _ = socket.get_mut().write_all(&[0xff; 64]).await;
            CloseFrame { code: CloseCode::Normal, reason: "".into() }
        }
        End::Fault(Fault::Huge(_) | Fault::Deaf) => return,
    };
    let goodbye = async {
        let _ = socket.send(Message::Close(Some(farewell))).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

/// How a session ends.
enum End {
    Lost,
    Stopped,
    Fault(Fault),
}

struct Talk<'s> {
    socket: &'s mut WebSocketStream<Socket>,
    events: Option<Receiver<Event>>,
    shared: &'s Arc<TargetState>,
    stopping: watch::Receiver<bool>,
    /// Messages received, or events sent where there are any.
    seen: u64,
}

impl Talk<'_> {
    async fn run(&mut self, ask: &Ask) -> End {
        let counts = self.shared.counts.of(SocketKind::Websocket);
        loop {
            match ask.fault {
                Some(Fault::Huge(bytes)) if self.seen == ask.after => {
                    self.seen += 1;
                    let bytes = vec![b'x'; usize::try_from(bytes).unwrap_or(0)];
                    if self.socket.send(Message::Binary(bytes.into())).await.is_err() {
                        return End::Lost;
                    }
                    counts.sent();
                }
                Some(Fault::Deaf) if self.seen >= ask.after => {
                    let _ = self.stopping.changed().await;
                    return End::Fault(Fault::Deaf);
                }
                Some(fault) if self.seen >= ask.after && !matches!(fault, Fault::Huge(_)) => return End::Fault(fault),
                _ => {}
            }
            tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(message)) => {
                        if let Err(end) = self.answer(message, ask.echo).await {
                            return end;
                        }
                    }
                    _ => return End::Lost,
                },
                event = next(&mut self.events) => match event {
                    Ok(event) => {
                        if self.socket.send(Message::Text(event.text)).await.is_err() {
                            return End::Lost;
                        }
                        counts.sent_event();
                        self.seen += 1;
                    }
                    Err(skipped) => counts.skipped(skipped),
                },
                _ = self.stopping.changed() => return End::Stopped,
            }
        }
    }

    async fn answer(&mut self, message: Message, echo: bool) -> Result<(), End> {
        // Pings are answered and goodbyes returned by the library.
        if !message.is_text() && !message.is_binary() {
            return Ok(());
        }
        let counts = self.shared.counts.of(SocketKind::Websocket);
        counts.received();
        if self.events.is_none() {
            self.seen += 1;
        }
        if let Some(freeze) = &self.shared.freeze {
            freeze.hold().await;
        }
        if echo {
            Pin::new(&mut *self.socket).send(message).await.map_err(|_| End::Lost)?;
            counts.sent();
        }
        Ok(())
    }
}

/// The next event, or how many were skipped; never, where nothing is listened to.
pub(super) async fn next(events: &mut Option<Receiver<Event>>) -> Result<Event, u64> {
    let Some(receiver) = events else { return std::future::pending().await };
    match receiver.recv().await {
        Ok(event) => Ok(event),
        Err(RecvError::Lagged(skipped)) => Err(skipped),
        Err(RecvError::Closed) => {
            *events = None;
            Err(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let ask = |uri: &str| Ask::parse(&uri.parse().unwrap());
        let echo = Ask { topic: None, echo: true, fault: None, after: 0, wrong_key: false };
        assert_eq!(ask("/ws?token=1"), Ok(echo));
        let topic = Topic::parse("2", 0).unwrap();
        assert_eq!(ask("/ws/fanout"), Ok(Ask { topic: Some(topic), echo: false, ..echo }));
        let topic = Topic::parse("30/m", 200).unwrap();
        assert_eq!(ask("/ws/fanout/?rate=30%2Fm&bytes=200&echo"), Ok(Ask { topic: Some(topic), ..echo }));
        assert_eq!(ask("/ws?close=1011&after=3"), Ok(Ask { fault: Some(Fault::Close(1011)), after: 3, ..echo }));
        assert_eq!(ask("/?accept=wrong"), Ok(Ask { wrong_key: true, ..echo }));
        for wrong in ["/ws/fanout?rate=0", "/ws?close=x", "/ws?huge=1GB", "/ws?after=-1"] {
            assert!(ask(wrong).is_err(), "{wrong}");
        }
    }
}
