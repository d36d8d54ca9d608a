//! An open connection to a namespace.

use std::time::Duration;

use crate::protocol::session::{Incoming, Lost, Outgoing};

/// An open connection to a namespace.
#[derive(Debug)]
pub struct Connection {
    carrier: crate::protocol::websocket::Connection,
}

impl Connection {
    /// Sends an event; see [`crate::protocol::session::Connection::send`].
    ///
    /// # Errors
    /// The connection was lost, or the peer did not take the message in time.
    pub async fn send(&mut self, message: Outgoing) -> Result<u64, Lost> {
        self.carrier.send(message).await
    }

    /// The next message; see [`crate::protocol::session::Connection::next`].
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn next(&mut self) -> Result<Incoming, Lost> {
        self.carrier.next().await
    }

    /// Says goodbye and closes; see [`crate::protocol::session::Connection::close`].
    pub async fn close(&mut self, within: Duration) {
        self.carrier.close(within).await;
    }

    /// Bytes sent and received on the wire, the handshake's included.
    pub fn traffic(&self) -> (u64, u64) {
        self.carrier.traffic()
    }
}
