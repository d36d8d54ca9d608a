//! What the real-time drivers have in common: a connection that stays open and carries messages both ways.
//!
//! A [`Connector`] is a step's `connect` as resolved. [`Connector::prepare`] renders it for one virtual user, [`open`] dials and
//! shakes hands, and says in an [`Attempt`] what came of it. From then on there is a [`Connection`]: [`Connection::send`],
//! [`Connection::next`], [`Connection::close`]. A driver knows frames and nothing of steps or metrics.
//!
//! Nothing runs beside the caller: pings of the peer are answered, and silence is noticed, while [`Connection::next`] or
//! [`Connection::send`] is polled. Whoever holds a connection polls `next` whenever it has nothing else to do. A future of this
//! module may be dropped at any await; a dropped connection closes its socket, without a goodbye unless [`Connection::leave`] said one.

use std::time::Duration;

use serde_json::Value as Json;

use super::http::Cookies;
use super::sent::Sent;
use super::{opening, socketio, tcp, websocket};
use crate::base::Protocol;
use crate::expr::{EvalError, Scope};
use crate::net::Endpoint;

pub use super::message::{Incoming, IncomingKind, Lost, MAX_MESSAGE, Outgoing, Text};
pub use super::opening::{ConnectTimes, OpenError};

/// What came of opening a connection.
pub type Attempt = opening::Attempt<Connection>;

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
pub enum PreparedConnect {
    /// WebSocket.
    WebSocket(Box<websocket::PreparedConnect>),
    /// Socket.IO.
    SocketIo(Box<socketio::PreparedConnect>),
    /// TCP.
    Tcp(Box<tcp::PreparedConnect>),
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
    pub fn prepare(&self, scope: &Scope) -> Result<PreparedConnect, EvalError> {
        Ok(match self {
            Connector::WebSocket(connector) => PreparedConnect::WebSocket(Box::new(connector.prepare(scope)?)),
            Connector::SocketIo(connector) => PreparedConnect::SocketIo(Box::new(connector.prepare(scope)?)),
            Connector::Tcp(connector) => PreparedConnect::Tcp(Box::new(connector.prepare(scope)?)),
        })
    }
}

impl PreparedConnect {
    /// What it speaks.
    pub const fn protocol(&self) -> Protocol {
        match self {
            PreparedConnect::WebSocket(_) => Protocol::Websocket,
            PreparedConnect::SocketIo(_) => Protocol::Socketio,
            PreparedConnect::Tcp(_) => Protocol::Tcp,
        }
    }

    /// What must not be shown of it.
    pub fn credentials(&self) -> Sent {
        match self {
            PreparedConnect::WebSocket(prepared) => prepared.credentials(),
            PreparedConnect::SocketIo(prepared) => prepared.credentials(),
            PreparedConnect::Tcp(_) => Sent::default(),
        }
    }
}

/// Opens a connection. With `cookies`, those that are for the address go with the handshake, and those that its answer sets are
/// kept, if the connector says so.
pub async fn open(prepared: PreparedConnect, cookies: Option<&mut Cookies>) -> Attempt {
    // Boxed, since a handshake's future is large and a user is held for long.
    match prepared {
        PreparedConnect::WebSocket(prepared) => Box::pin(websocket::open(*prepared, cookies)).await.map(Connection::WebSocket),
        PreparedConnect::SocketIo(prepared) => Box::pin(socketio::open(*prepared, cookies)).await.map(Connection::SocketIo),
        PreparedConnect::Tcp(prepared) => Box::pin(tcp::open(*prepared)).await.map(Connection::Tcp),
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
