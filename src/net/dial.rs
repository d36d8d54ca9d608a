//! From an endpoint to an open connection: DNS, TCP, the tunnel through a proxy, TLS, each timed.
//!
//! Addresses are tried as RFC 8305 has it: the next one [`STAGGER`] after the last was begun, or at once when it failed;
//! the first that connects wins. There is no time limit here: the caller drops the future when its own passes, and reads
//! from [`Dialing`] how far it came.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::dns;
use super::host_port::HostPort;
use super::local::Limit;
use super::proxy::Refusal;
use super::route::Route;
use super::stream::{Counted, Stream};
use super::tls::{Tls, advice, is_tls};
use crate::base::Reason;

/// How long an address may take before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// Where to connect.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// A name or an address; IPv6 with or without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How to do TLS; plain TCP if absent.
    pub tls: Option<Arc<Tls>>,
    /// What is offered to speak within TLS.
    pub alpn: Alpn,
    /// By which way to get there.
    pub route: Arc<Route>,
}

/// What a client offers to speak within TLS (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alpn {
    /// Nothing is said of it.
    #[default]
    Silent,
    /// HTTP/1.1 only.
    Http11,
    /// HTTP/2 only.
    Http2,
    /// HTTP/2 or else HTTP/1.1.
    Either,
}

impl Alpn {
    /// As it goes on the wire, what is liked best first.
    fn offered(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Alpn::Silent => &[],
            Alpn::Http11 => &[b"http/1.1"],
            Alpn::Http2 => &[b"h2"],
            Alpn::Either => &[b"h2", b"http/1.1"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

impl Endpoint {
    /// Plain TCP, straight there.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, tls: None, alpn: Alpn::default(), route: Route::direct() }
    }

    /// Host and port of whom a connection is made to: the proxy where there is one, and whom `connect_to` names.
    pub fn peer(&self) -> (&str, u16) {
        match self.route.proxy() {
            Some(proxy) => (&proxy.host, proxy.port),
            None => self.route.instead_of(&self.host, self.port).unwrap_or((&self.host, self.port)),
        }
    }

    /// Whether both the host that is asked for and the one that `connect_to` names for it are among these, the only ones that may be
    /// loaded; all may be if there is no list.
    ///
    /// # Errors
    /// One of them isn't.
    pub fn allowed(&self, hosts: Option<&[HostPort]>) -> Result<(), NotAllowed> {
        let Some(hosts) = hosts else { return Ok(()) };
        let asked = (self.host.as_str(), self.port);
        let refused = [Some(asked), self.route.instead_of(asked.0, asked.1)]
            .into_iter()
            .flatten()
            .find(|(host, port)| !hosts.iter().any(|allowed| allowed.covers(host, *port)));
        let Some((host, port)) = refused else { return Ok(()) };
        let refused = HostPort { host: host.trim_matches(['[', ']']).to_owned(), port: None };
        // The port is to blame where the host is among them at another one.
        let port = hosts.iter().any(|allowed| allowed.meets(&refused)).then_some(port);
        Err(NotAllowed(HostPort { port, ..refused }))
    }

    /// Host and port as they are given to a proxy: an IPv6 address in brackets.
    fn authority(&self) -> String {
        match self.host.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{}", self.port),
            Err(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A host that the profile does not allow, with the port if it does at another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("goes to `{0}`, which is not among `limits: {{hosts: …}}`")]
pub struct NotAllowed(pub HostPort);

/// The part of a dial that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Resolving the name.
    #[default]
    Dns,
    /// Connecting.
    Tcp,
    /// Waiting for the proxy to connect to the target.
    Proxy,
    /// Shaking hands.
    Tls,
}

impl Stage {
    /// As a message names it: "timed out while …".
    pub const fn doing(self) -> &'static str {
        match self {
            Stage::Dns => "resolving the name (dns)",
            Stage::Tcp => "connecting (connect)",
            Stage::Proxy => "waiting for the proxy to connect (connect)",
            Stage::Tls => "in the TLS handshake (tls)",
        }
    }
}

/// How long a dial's parts took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DialTimes {
    /// All of it.
    pub total: Duration,
    /// Resolving the name; absent where an address was written.
    pub dns: Option<Duration>,
    /// The TCP handshake, failed attempts before it and the way through a proxy included.
    pub tcp: Duration,
    /// The TLS handshake; absent without TLS.
    pub tls: Option<Duration>,
}

/// A dial as it goes: what it is doing, and the times so far. Readable after its future was dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dialing {
    /// The part under way, or the last one.
    pub stage: Stage,
    /// The times of the parts that are over.
    pub times: DialTimes,
}

/// Why a connection could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DialError {
    /// The label under which it is counted.
    pub reason: Reason,
    /// The part that failed.
    pub stage: Stage,
    /// What happened and, where it can be known, what to change.
    pub message: String,
}

impl DialError {
    fn new(reason: Reason, stage: Stage, message: impl Into<String>) -> Self {
        Self { reason, stage, message: message.into() }
    }
}

/// Opens a connection, through the route's proxy if it has one; `dialing` says how far it came, also when the future is
/// dropped.
///
/// # Errors
/// A name cannot be resolved, no address accepts, the proxy does not connect, or the TLS handshake fails.
pub async fn dial(endpoint: &Endpoint, dialing: &mut Dialing) -> Result<Stream, DialError> {
    open(endpoint, true, dialing).await
}

/// Opens a connection to the route's proxy and asks nothing of it: the caller writes requests in absolute form, and no TLS is
/// done. Without a proxy it is as [`dial`].
///
/// # Errors
/// As for [`dial`].
pub async fn dial_to_proxy(endpoint: &Endpoint, dialing: &mut Dialing) -> Result<Stream, DialError> {
    open(endpoint, endpoint.route.proxy().is_none(), dialing).await
}

async fn open(endpoint: &Endpoint, through: bool, dialing: &mut Dialing) -> Result<Stream, DialError> {
    let start = Instant::now();
    *dialing = Dialing::default();
    let proxy = endpoint.route.proxy();
    let (host, port) = endpoint.peer();
    let found = dns::resolve(host, port, endpoint.route.options().refresh)
        .await
        .map_err(|error| DialError::new(error.reason(), Stage::Dns, format!("cannot resolve `{host}`: {error}")))?;
    let resolved = Instant::now();
    if found.asked {
        dialing.times.dns = Some(resolved - start);
    }
    dialing.stage = Stage::Tcp;
    let mut tcp = connect(&found.addresses, &endpoint.route).await.map_err(|error| {
        let whom = match proxy {
            Some(proxy) => format!("the proxy {proxy}"),
            None if (host, port) == (&endpoint.host, endpoint.port) => endpoint.to_string(),
            None => format!("{}, which `connect_to` names for {endpoint}", HostPort { host: host.to_owned(), port: Some(port) }),
        };
        DialError::new(reason_of(&error), Stage::Tcp, format!("cannot connect to {whom}: {}", explain(&error)))
    })?;
    // A request is one small write that waits for its answer: Nagle's algorithm would only delay it.
    let _ = tcp.set_nodelay(true);
    if let (Some(proxy), true) = (proxy, through) {
        dialing.stage = Stage::Proxy;
        let failed = |reason, what: &dyn fmt::Display| {
            DialError::new(reason, Stage::Proxy, format!("the proxy {proxy} did not connect to {endpoint}: {what}"))
        };
        proxy
            .tunnel(&mut tcp, &endpoint.authority())
            .await
            .map_err(|error| failed(reason_of(&error), &explain(&error)))?
            .map_err(|refusal| failed(if refusal == Refusal::NotHttp { Reason::Protocol } else { Reason::Refused }, &refusal))?;
    }
    let connected = Instant::now();
    dialing.times.tcp = connected - resolved;
    let counted = Counted::new(tcp);
    let stream = match &endpoint.tls {
        Some(tls) if through => {
            dialing.stage = Stage::Tls;
            let stream = shake_hands(endpoint, tls, counted).await?;
            dialing.times.tls = Some(connected.elapsed());
            stream
        }
        _ => Stream::plain(counted),
    };
    dialing.times.total = start.elapsed();
    Ok(stream)
}

async fn shake_hands(endpoint: &Endpoint, tls: &Tls, counted: Counted) -> Result<Stream, DialError> {
    let failed = |message: String| DialError::new(Reason::Tls, Stage::Tls, message);
    let config = tls.config().map_err(|error| failed(error.to_string()))?;
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let name = tls.server_name(host).map_err(|error| failed(error.to_string()))?;
    let stream = TlsConnector::from(config).with_alpn(endpoint.alpn.offered()).connect(name, counted).await.map_err(|error| {
        match Limit::of(&error) {
            Some(limit) => DialError::new(Reason::Local, Stage::Tls, limit.to_string()),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                failed(format!("TLS handshake with {endpoint} failed: the peer closed the connection"))
            }
            None => failed(format!("TLS handshake with {endpoint} failed: {}", explain(&error))),
        }
    })?;
    Ok(Stream::tls(stream))
}

async fn connect(addresses: &[std::net::SocketAddr], route: &Route) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return route.connect(*only).await;
    }
    let mut left = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    attempts.extend(left.next().map(|to| route.connect(*to)));
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = tokio::time::sleep(STAGGER);
        tokio::select! {
            ended = attempts.next() => match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => {
                    // Where this machine failed at one address, it isn't known whether the target is there.
                    if Limit::of(&last).is_none() {
                        last = error;
                    }
                    attempts.extend(left.next().map(|to| route.connect(*to)));
                }
                None => return Err(last),
            },
            () = next, if left.len() > 0 => attempts.extend(left.next().map(|to| route.connect(*to))),
        }
    }
}

/// The label for an I/O error on a connection.
pub fn reason_of(error: &io::Error) -> Reason {
    use io::ErrorKind as Kind;
    match error.kind() {
        _ if is_tls(error) => Reason::Tls,
        _ if Limit::of(error).is_some() => Reason::Local,
        Kind::ConnectionRefused => Reason::Refused,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Reason::Reset,
        Kind::TimedOut => Reason::Timeout,
        Kind::UnexpectedEof => Reason::Closed,
        _ => Reason::Other,
    }
}

/// An I/O error in words, with what to change where this machine is what stands in the way, or the two sides of TLS don't suit.
pub fn explain(error: &io::Error) -> String {
    Limit::of(error).map_or_else(|| format!("{error}{}", advice(error)), |limit| limit.to_string())
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
