//! Socket.IO (protocol 5 over Engine.IO 4), as the servers of versions 3 and 4 speak it, over the WebSocket driver.
//!
//! A connection begins with a WebSocket, or with polling that is upgraded to one as browsers do it; from then on every packet is
//! a message of the WebSocket. The server pings, and is answered while [`Connection::next`] is polled; a server that has said
//! nothing for its own interval and time limit is lost (`timeout`).

mod connection;
mod engine;
mod packet;
mod polling;

use std::time::Duration;

use bytes::Bytes;

use super::TIMEOUT;
use super::http::Cookies;
use super::message::MAX_MESSAGE;
use super::opening::Attempt;
use super::sent::Sent;
use super::site::{Site, SiteError, Visit};
use crate::base::secrets::secrets_of_answer;
use crate::expr::{EvalError, JsonTemplate, Scope, Template};

pub use connection::Connection;

/// The path of the endpoint where nothing else is said.
pub const DEFAULT_PATH: &str = "/socket.io/";

/// How the connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// By a WebSocket from the first byte.
    #[default]
    WebSocket,
    /// By HTTP long polling, which is then upgraded to a WebSocket, as browsers do.
    Polling,
}

/// A `connect` of Socket.IO as resolved.
#[derive(Debug, Clone)]
pub struct Connector {
    /// Where the server is: scheme, host and port. What path it has is taken for `path`, if that is the default.
    pub site: Site,
    /// The path of the server's endpoint.
    pub path: Template,
    /// The namespace to connect to.
    pub namespace: Template,
    /// What goes with CONNECT.
    pub auth: Option<JsonTemplate>,
    /// How the connection begins.
    pub transport: Transport,
    /// Until CONNECT is answered, and for each message that is sent.
    pub timeout: Duration,
    /// The longest message that is taken, in bytes; a packet's attachments together are no longer either.
    pub max_message: usize,
}

impl Connector {
    /// A connector with the defaults of a profile.
    pub fn new(url: Template) -> Self {
        Self {
            site: Site::new(url),
            path: Template::literal(DEFAULT_PATH),
            namespace: Template::literal("/"),
            auth: None,
            transport: Transport::WebSocket,
            timeout: TIMEOUT,
            max_message: MAX_MESSAGE,
        }
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
        let (mut path, mut namespace) = (String::new(), String::new());
        self.path.text(scope, &mut path)?;
        self.namespace.text(scope, &mut namespace)?;
        let auth = self.auth.as_ref().map(|auth| auth.render(scope)).transpose()?;
        let Self { transport, timeout, max_message, .. } = *self;
        Ok(PreparedConnect { visit, path, namespace, auth, transport, timeout, max_message })
    }
}

/// A `connect` as rendered for one user.
#[derive(Debug)]
pub struct PreparedConnect {
    visit: Visit,
    path: String,
    namespace: String,
    auth: Option<Bytes>,
    transport: Transport,
    timeout: Duration,
    max_message: usize,
}

impl PreparedConnect {
    /// What must not be shown of it.
    pub fn credentials(&self) -> Sent {
        let mut sent = self.visit.credentials();
        let auth = self.auth.iter().map(|auth| String::from_utf8_lossy(auth));
        sent.values.extend(auth.flat_map(|auth| secrets_of_answer(&auth)));
        sent
    }
}

/// Dials, shakes hands and connects to the namespace.
pub(super) async fn open(prepared: PreparedConnect, cookies: Option<&mut Cookies>) -> Attempt<Box<Connection>> {
    engine::open(prepared, cookies).await
}

#[cfg(test)]
mod tests;
