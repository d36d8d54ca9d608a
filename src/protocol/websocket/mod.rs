//! WebSocket (RFC 6455): the handshake over a stream of ours, frames by tokio-tungstenite.
//!
//! The handshake is this module's own, on hyper: so a refusal comes with its status, headers and a reason, a `Connection` header
//! with more than one token is understood, and the parts are timed. Pings are answered by themselves. No extension is asked
//! for, so messages are not compressed.

mod connection;
mod handshake;

use std::time::Duration;

use super::TIMEOUT;
use super::http::Cookies;
use super::message::MAX_MESSAGE;
use super::opening::Attempt;
use super::sent::Sent;
use super::site::{Site, SiteError, Visit};
use crate::expr::{EvalError, Scope, Template};

pub use connection::Connection;
pub(super) use handshake::connect;
pub(super) use tokio_tungstenite::tungstenite::protocol::Message;

/// What of the wire is a message to the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// A message of WebSocket.
    #[default]
    Message,
    /// Each line of a message of WebSocket that isn't empty, for servers that write what has queued up into one.
    Line,
}

/// A `connect` of WebSocket as resolved.
#[derive(Debug, Clone)]
pub struct Connector {
    /// Where to.
    pub site: Site,
    /// The subprotocols that are offered, the best first; the server has to choose one of them.
    pub subprotocols: Vec<String>,
    /// What is a message.
    pub framing: Framing,
    /// For all of opening a connection, and for each message that is sent.
    pub timeout: Duration,
    /// The longest message that is taken, in bytes; a longer one ends the connection (`protocol`).
    pub max_message: usize,
}

impl Connector {
    /// A connector with the defaults of a profile.
    pub fn new(url: Template) -> Self {
        let (subprotocols, framing) = (Vec::new(), Framing::Message);
        Self { site: Site::new(url), subprotocols, framing, timeout: TIMEOUT, max_message: MAX_MESSAGE }
    }

    /// Whether what is static of it can be used; for when a profile is loaded.
    ///
    /// # Errors
    /// A URL or a header that no handshake could carry.
    pub fn check(&self) -> Result<(), SiteError> {
        self.site.check()
    }

    /// Renders it for the user whose scope it is.
    ///
    /// # Errors
    /// An expression that cannot be evaluated, or whose result cannot stand where it is to stand.
    pub fn prepare(&self, scope: &Scope) -> Result<PreparedConnect, EvalError> {
        let visit = self.site.render(scope)?;
        let subprotocols = self.subprotocols.clone();
        let Self { framing, timeout, max_message, .. } = *self;
        Ok(PreparedConnect { visit, subprotocols, framing, timeout, max_message })
    }
}

/// A `connect` as rendered for one user.
#[derive(Debug)]
pub struct PreparedConnect {
    pub(super) visit: Visit,
    pub(super) subprotocols: Vec<String>,
    pub(super) framing: Framing,
    pub(super) timeout: Duration,
    pub(super) max_message: usize,
}

impl PreparedConnect {
    /// The credentials in its headers.
    pub fn credentials(&self) -> Sent {
        self.visit.credentials()
    }
}

/// Dials and shakes hands.
pub(super) async fn open(prepared: PreparedConnect, cookies: Option<&mut Cookies>) -> Attempt<Box<Connection>> {
    handshake::open(prepared, cookies).await
}

#[cfg(test)]
mod tests;
