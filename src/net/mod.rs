//! DNS, dialling, TLS, and a small HTTP client for the program's own questions.
//!
//! [`dial::dial`] turns an endpoint into a [`Stream`] and says how long DNS, TCP and TLS took, or which of them failed and
//! why. The protocol drivers build on it; [`client::Client`] does too, for what the program itself asks (a Prometheus, an
//! exporter). Nothing here retries and nothing here knows of steps or metrics.

pub mod auth;
pub mod client;
pub mod dial;
mod dns;
mod heard;
pub mod host_port;
pub mod local;
pub mod pem;
pub mod proxy;
pub mod route;
pub mod stream;
#[cfg(test)]
pub(crate) mod testing;
pub mod thread;
pub mod tls;
mod turn;
pub mod unpack;

pub use client::AGENT;
pub use dial::{Alpn, DialError, DialTimes, Dialing, Endpoint, Stage, dial, dial_to_proxy};
pub use host_port::HostPort;
pub use local::Limit;
pub use proxy::{Proxy, ProxyError};
pub use route::{Route, RouteOptions};
pub use stream::{Meter, Stream};
pub use tls::{Tls, TlsError, TlsOptions};
pub use turn::give_way;
