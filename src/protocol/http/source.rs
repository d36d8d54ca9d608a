//! Where a request's connection comes from and where it goes back to: the user, a pool, or nowhere.

use super::address::Origin;
use super::connection::Connection;
use super::http2::{H2Connection, StreamPermit};
use super::pool::Lease;

/// The most connections a user keeps, one an origin; the one unused for longest is closed for a new one.
const MAX_CONNECTIONS: usize = 8;

/// Where a request's connection comes from and goes back to.
pub(super) enum ConnectionSource<'a> {
    #[allow(clippy::vec_box, reason = "as in `Client`")]
    User {
        connections: &'a mut Vec<Box<Connection>>,
        lines: &'a mut Vec<H2Connection>,
        out: CheckedOut<'a>,
    },
    Pool(Lease<'a>),
    Fresh(CheckedOut<'a>),
}

/// Notes a user's connection that is dropped with its request.
pub(super) struct CheckedOut<'a> {
    pub open: bool,
    pub lost: &'a mut usize,
}

impl Drop for CheckedOut<'_> {
    fn drop(&mut self) {
        if self.open {
            *self.lost += 1;
        }
    }
}

impl ConnectionSource<'_> {
    /// An idle connection to `origin`.
    pub fn take(&mut self, origin: &Origin) -> Option<Box<Connection>> {
        match self {
            ConnectionSource::User { connections, out, .. } => {
                let at = connections.iter().position(|open| open.origin.shares_connections_with(origin))?;
                out.open = true;
                Some(connections.remove(at))
            }
            ConnectionSource::Pool(lease) => lease.take(origin),
            ConnectionSource::Fresh(_) => None,
        }
    }

    /// A connection to `origin` that takes many requests at once, if one is to be used; where there are shared connections,
    /// otherwise the right to open one or to use one that takes one at a time.
    pub async fn reserve(&mut self, origin: &Origin) -> Option<StreamPermit> {
        match self {
            ConnectionSource::User { lines, .. } => {
                lines.iter().find(|line| line.origin().shares_connections_with(origin)).map(H2Connection::reserve)
            }
            ConnectionSource::Pool(lease) => lease.reserve(origin).await,
            ConnectionSource::Fresh(_) => None,
        }
    }

    /// Whether a connection that takes one request at a time may be opened or used.
    pub fn is_admitted(&self) -> bool {
        !matches!(self, ConnectionSource::Pool(lease) if !lease.is_admitted())
    }

    /// Keeps a line for the requests to come. Returns whether it is kept beyond this one.
    pub fn keep(&mut self, line: &H2Connection) -> bool {
        match self {
            ConnectionSource::User { lines, .. } => lines.push(line.clone()),
            ConnectionSource::Pool(lease) => lease.keep(line),
            ConnectionSource::Fresh(_) => return false,
        }
        self.set_open(false);
        true
    }

    /// Lets go of a line that is of no use any more.
    pub fn forget(&mut self, line: &H2Connection) {
        match self {
            ConnectionSource::User { lines, .. } => lines.retain(|other| !other.is(line)),
            ConnectionSource::Pool(lease) => lease.forget(line),
            ConnectionSource::Fresh(_) => {}
        }
    }

    /// Before a connection is opened. Returns whether an idle one was closed for it.
    pub fn make_room(&mut self) -> bool {
        match self {
            ConnectionSource::User { connections, lines, .. } if connections.len() + lines.len() >= MAX_CONNECTIONS => {
                if connections.is_empty() {
                    // One that has ended may have been reported.
                    return lines.remove(0).claim_end();
                }
                connections.remove(0);
                true
            }
            ConnectionSource::Pool(lease) => lease.make_room(),
            ConnectionSource::User { .. } | ConnectionSource::Fresh(_) => false,
        }
    }

    /// Notes whether a connection is out.
    pub fn set_open(&mut self, open: bool) {
        match self {
            ConnectionSource::User { out, .. } | ConnectionSource::Fresh(out) => out.open = open,
            ConnectionSource::Pool(lease) => lease.open = open,
        }
    }

    /// Takes a connection back after an answer, if it can be used again. Returns whether it is kept.
    pub fn put(&mut self, mut connection: Box<Connection>) -> bool {
        let keep = connection.is_reusable();
        match self {
            ConnectionSource::User { connections, .. } if keep => connections.push(connection),
            ConnectionSource::Pool(lease) if keep => lease.put(connection),
            _ => {
                self.set_open(false);
                return false;
            }
        }
        self.set_open(false);
        true
    }
}
