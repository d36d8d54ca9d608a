//! TCP, plain or through TLS: messages are the frames that a stream of bytes is cut into.

mod connection;
mod frame;

use std::sync::Arc;
use std::time::Duration;

use super::TIMEOUT;
use super::message::MAX_MESSAGE;
use super::opening::Attempt;
use crate::expr::{EvalError, Scope, Template};
use crate::net::{Endpoint, HostPort, Route, Tls};

pub use connection::Connection;
pub use frame::{Frame, Width};

/// A `connect` of TCP as resolved.
#[derive(Debug, Clone)]
pub struct Connector {
    /// `host:port`, IPv6 in brackets.
    pub address: Template,
    /// How to do TLS; plain TCP if absent.
    pub tls: Option<Arc<Tls>>,
    /// By which way to get there; a proxy is asked for a tunnel.
    pub route: Arc<Route>,
    /// Where a message ends.
    pub frame: Frame,
    /// For opening a connection, and for each message that is sent.
    pub timeout: Duration,
    /// The longest message that is taken, in bytes; a longer one ends the connection (`protocol`).
    pub max_message: usize,
    /// The only hosts that may be connected to; all if absent.
    pub hosts: Option<Arc<[HostPort]>>,
}

impl Connector {
    /// A connector with the defaults of a profile.
    pub fn new(address: Template) -> Self {
        let (route, frame) = (Route::direct(), Frame::Line);
        Self { address, tls: None, route, frame, timeout: TIMEOUT, max_message: MAX_MESSAGE, hosts: None }
    }

    /// Whether what is static of it can be used; for when a profile is loaded. The error says what is wrong with the address.
    ///
    /// # Errors
    /// An address without a port, or one that `limits: {hosts: …}` does not allow.
    pub fn check(&self) -> Result<(), String> {
        self.address.as_static().map_or(Ok(()), |text| self.endpoint(text).map(|_| ()))
    }

    /// Renders it for the user whose scope it is.
    ///
    /// # Errors
    /// An expression that cannot be evaluated, or whose result is no address.
    pub fn prepare(&self, scope: &Scope) -> Result<PreparedConnect, EvalError> {
        let mut text = String::new();
        self.address.text(scope, &mut text)?;
        let endpoint = self.endpoint(&text).map_err(|problem| EvalError::new("connect", format!("the result {problem}")))?;
        Ok(PreparedConnect { endpoint, frame: self.frame.clone(), timeout: self.timeout, max_message: self.max_message })
    }

    /// Where it goes, if that is the same for all users.
    pub fn destination(&self) -> Option<Endpoint> {
        self.address.as_static().and_then(|text| self.endpoint(text).ok())
    }

    fn endpoint(&self, text: &str) -> Result<Endpoint, String> {
        let wrong = || "is no address; write host:port, like 127.0.0.1:9000 or [::1]:9000".to_owned();
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // An IPv6 address without brackets can't be separated from its port.
        if host.is_empty() || (bare.is_none() && host.contains([':', '/', '[', ']'])) {
            return Err(wrong());
        }
        let endpoint = Endpoint { tls: self.tls.clone(), route: Arc::clone(&self.route), ..Endpoint::new(host, port) };
        endpoint.allowed(self.hosts.as_deref()).map_err(|refused| refused.to_string())?;
        Ok(endpoint)
    }
}

/// A `connect` as rendered for one user.
#[derive(Debug)]
pub struct PreparedConnect {
    pub(super) endpoint: Endpoint,
    pub(super) frame: Frame,
    pub(super) timeout: Duration,
    pub(super) max_message: usize,
}

/// Dials.
pub(super) async fn open(prepared: PreparedConnect) -> Attempt<Box<Connection>> {
    connection::open(prepared).await
}

#[cfg(test)]
mod tests;
