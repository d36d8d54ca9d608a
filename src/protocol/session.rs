//! What the real-time drivers have in common: a connection that stays open and carries messages both ways.
//!
//! A [`Connector`] is a step's `connect` as resolved. [`Connector::prepare`] renders it for one virtual user, [`open`] dials and
//! shakes hands, and says in an [`Attempt`] what came of it. From then on there is a [`Connection`]: [`Connection::send`],
//! [`Connection::next`], [`Connection::close`]. A driver knows frames and nothing of steps or metrics.
//!
//! Nothing runs beside the caller: pings of the peer are answered, and silence is noticed, while [`Connection::next`] or
//! [`Connection::send`] is polled. Whoever holds a connection polls `next` whenever it has nothing else to do. A future of this
//! module may be dropped at any await; a dropped connection closes its socket, without a goodbye unless [`Connection::leave`] said one.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::Value as Json;

use super::http::Cookies;
use super::{inbox, socketio, tcp, websocket};
use crate::base::{Outcome, Protocol, Reason};
use crate::expr::{EvalError, Scope};
use crate::net::{DialTimes, Endpoint};

/// Text that is cheap to clone: a slice of what was read.
pub use tokio_tungstenite::tungstenite::Utf8Bytes as Text;

/// The longest message that is taken where nothing else is said, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// A `connect` as resolved, by protocol.
#[derive(Debug, Clone)]
pub enum Connector {
    /// WebSocket.
    WebSocket(Box<websocket::Connector>),
    /// Socket.IO.
    SocketIo(Box<socketio::Connector>),
    /// TCP.
    Tcp(Box<tcp::Connector>),
}

/// A `connect` as rendered for one user.
#[derive(Debug)]
pub enum Prepared {
    /// WebSocket.
    WebSocket(Box<websocket::Prepared>),
    /// Socket.IO.
    SocketIo(Box<socketio::Prepared>),
    /// TCP.
    Tcp(Box<tcp::Prepared>),
}

impl Connector {
    /// Where it goes, if that is the same for all users.
    pub fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Connector::WebSocket(connector) => connector.site.destination(),
            Connector::SocketIo(connector) => connector.site.destination(),
            Connector::Tcp(connector) => connector.destination(),
        }
    }

    /// What it speaks.
    pub const fn protocol(&self) -> Protocol {
        match self {
            Connector::WebSocket(_) => Protocol::Websocket,
            Connector::SocketIo(_) => Protocol::Socketio,
            Connector::Tcp(_) => Protocol::Tcp,
        }
    }

    /// The longest message that is taken, in bytes.
    pub const fn max_message(&self) -> usize {
        match self {
            Connector::WebSocket(connector) => connector.max_message,
            Connector::SocketIo(connector) => connector.max_message,
            Connector::Tcp(connector) => connector.max_message,
        }
    }

    /// Renders it for the user whose scope it is.
    ///
    /// # Errors
    /// An expression that cannot be evaluated, or whose result cannot stand where it is to stand.
    pub fn prepare(&self, scope: &Scope) -> Result<Prepared, EvalError> {
        Ok(match self {
            Connector::WebSocket(connector) => Prepared::WebSocket(Box::new(connector.prepare(scope)?)),
            Connector::SocketIo(connector) => Prepared::SocketIo(Box::new(connector.prepare(scope)?)),
            Connector::Tcp(connector) => Prepared::Tcp(Box::new(connector.prepare(scope)?)),
        })
    }
}

impl Prepared {
    /// What it speaks.
    pub const fn protocol(&self) -> Protocol {
        match self {
            Prepared::WebSocket(_) => Protocol::Websocket,
            Prepared::SocketIo(_) => Protocol::Socketio,
            Prepared::Tcp(_) => Protocol::Tcp,
        }
    }

    /// The credentials that were rendered into its headers: never to be shown.
    pub fn credentials(&self) -> Vec<HeaderValue> {
        match self {
            Prepared::WebSocket(prepared) => prepared.credentials(),
            Prepared::SocketIo(prepared) => prepared.credentials(),
            Prepared::Tcp(_) => Vec::new(),
        }
    }
}

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
    pub(super) fn of(dial: DialTimes) -> Self {
        Self { total: dial.total, dns: dial.dns, tcp: dial.tcp, tls: dial.tls, handshake: None }
    }
}

/// What came of opening a connection.
#[derive(Debug)]
pub struct Attempt {
    /// The connection, or why there is none.
    pub result: Result<Connection, OpenError>,
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

/// Opens a connection. With `cookies`, those that are for the address go with the handshake, and those that its answer sets are
/// kept, if the connector says so.
pub async fn open(prepared: Prepared, cookies: Option<&mut Cookies>) -> Attempt {
    // Boxed, since a handshake's future is large and a user is held for long.
    match prepared {
        Prepared::WebSocket(prepared) => Box::pin(websocket::open(*prepared, cookies)).await,
        Prepared::SocketIo(prepared) => Box::pin(socketio::open(*prepared, cookies)).await,
        Prepared::Tcp(prepared) => Box::pin(tcp::open(*prepared)).await,
    }
}

/// An open connection.
#[derive(Debug)]
pub enum Connection {
    /// WebSocket.
    WebSocket(Box<websocket::Connection>),
    /// Socket.IO.
    SocketIo(Box<socketio::Connection>),
    /// TCP.
    Tcp(Box<tcp::Connection>),
}

impl Connection {
    /// Sends a message; returns how many bytes of payload it had. A peer that reads nothing holds this up for the connector's
    /// `timeout` at most. What comes meanwhile is kept for [`Self::next`].
    ///
    /// # Errors
    /// The connection was lost, the peer did not take the message in time, or the protocol has no such message.
    pub async fn send(&mut self, message: Outgoing) -> Result<u64, Lost> {
        match self {
            Connection::WebSocket(connection) => connection.send(message).await,
            Connection::SocketIo(connection) => connection.send(message).await,
            Connection::Tcp(connection) => connection.send(message).await,
        }
    }

    /// The next message. Dropping the future loses none.
    ///
    /// # Errors
    /// The connection was lost; the same again when asked again.
    pub async fn next(&mut self) -> Result<Incoming, Lost> {
        match self {
            Connection::WebSocket(connection) => connection.next().await,
            Connection::SocketIo(connection) => connection.next().await,
            Connection::Tcp(connection) => connection.next().await,
        }
    }

    /// Says goodbye as the protocol has it. [`Self::parting`] is what the peer says until its own.
    pub async fn goodbye(&mut self) {
        match self {
            Connection::WebSocket(connection) => connection.goodbye().await,
            Connection::SocketIo(connection) => connection.goodbye().await,
            Connection::Tcp(connection) => connection.goodbye().await,
        }
    }

    /// After [`Self::goodbye`]: the next message; nothing once the peer has said its goodbye, too, or is gone. Dropping the future
    /// loses none.
    pub async fn parting(&mut self) -> Option<Incoming> {
        match self {
            Connection::WebSocket(connection) => connection.parting().await,
            Connection::SocketIo(connection) => connection.parting().await,
            Connection::Tcp(connection) => connection.parting().await,
        }
    }

    /// Says goodbye, waits for the peer's at most `within`, and closes the socket. What comes meanwhile is thrown away. A second
    /// call does nothing.
    pub async fn close(&mut self, within: Duration) {
        let farewell = async {
            self.goodbye().await;
            while self.parting().await.is_some() {}
        };
        let _ = tokio::time::timeout(within, farewell).await;
        match self {
            Connection::WebSocket(connection) => connection.shut(),
            Connection::SocketIo(connection) => connection.shut(),
            Connection::Tcp(connection) => connection.shut(),
        }
    }

    /// Says goodbye as far as the socket takes it at once, for who can't wait. Then it is to be dropped.
    pub fn leave(&mut self) {
        match self {
            Connection::WebSocket(connection) => connection.leave(),
            Connection::SocketIo(connection) => connection.leave(),
            Connection::Tcp(connection) => connection.leave(),
        }
    }

    /// Answers an event of the peer's that wants an acknowledgement, with this argument. It goes out while the connection is polled
    /// next. Whether there is such a thing over this protocol.
    pub fn acknowledge(&mut self, id: u64, args: Vec<Json>) -> bool {
        match self {
            Connection::SocketIo(connection) => {
                connection.acknowledge(id, args);
                true
            }
            Connection::WebSocket(_) | Connection::Tcp(_) => false,
        }
    }

    /// Bytes sent and received on the wire since it was opened, the handshake's included.
    pub fn traffic(&self) -> (u64, u64) {
        match self {
            Connection::WebSocket(connection) => connection.traffic(),
            Connection::SocketIo(connection) => connection.traffic(),
            Connection::Tcp(connection) => connection.traffic(),
        }
    }
}

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
        inbox::size(self)
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
