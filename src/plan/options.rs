//! What a plan is made for.

use std::net::SocketAddr;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How many generators share the run; 0 and 1 are one alone.
    pub shards: u64,
    /// Where the built-in target listens; nothing where the plan is only checked.
    pub builtin: Option<Builtin>,
    /// Whether the plan is to be carried out on this machine: what it surely can't bear is then an error, otherwise a warning.
    pub enforce: bool,
}

/// Where the built-in target listens.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// For HTTP, WebSocket and Socket.IO.
    pub http: SocketAddr,
    /// For plain TCP.
    pub tcp: SocketAddr,
}

impl Builtin {
    /// Whether it listens at this place.
    pub(super) fn is_at(builtin: Option<Self>, host: &str, port: u16) -> bool {
        match builtin {
            Some(builtin) => [builtin.http, builtin.tcp].iter().any(|at| at.port() == port && at.ip().to_string() == host),
            // Where it doesn't run, its place is held by a port that nobody has.
            None => port == 0,
        }
    }
}
