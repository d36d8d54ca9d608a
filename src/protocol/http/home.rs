//! Where a request's connection comes from and where it goes back to: the user, a pool, or nowhere.

use super::address::Origin;
use super::connection::Connection;
use super::http2::{Line, Ticket};
use super::pool::Lease;

/// The most connections a user keeps, one an origin; the one unused for longest is closed for a new one.
const MAX_CONNECTIONS: usize = 8;

/// Where a request's connection comes from and goes back to.
pub(super) enum Home<'a> {
    #[allow(clippy::vec_box, reason = "as in `Client`")]
    User {
        connections: &'a mut Vec<Box<Connection>>,
        lines: &'a mut Vec<Line>,
        out: Out<'a>,
    },
    Pool(Lease<'a>),
    Fresh(Out<'a>),
}

/// Notes a user's connection that is dropped with its request.
pub(super) struct Out<'a> {
    pub open: bool,
    pub lost: &'a mut usize,
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        if self.open {
            *self.lost += 1;
        }
    }
}

impl Home<'_> {
    /// An idle connection to `origin`.
    pub fn take(&mut self, origin: &Origin) -> Option<Box<Connection>> {
        match self {
            Home::User { connections, out, .. } => {
                let at = connections.iter().position(|open| open.origin.shares_connections_with(origin))?;
                out.open = true;
                Some(connections.remove(at))
            }
            Home::Pool(lease) => lease.take(origin),
            Home::Fresh(_) => None,
        }
    }

    /// A connection to `origin` that takes many requests at once, if one is to be used; where there are shared connections,
    /// otherwise the right to open one or to use one that takes one at a time.
    pub async fn board(&mut self, origin: &Origin) -> Option<Ticket> {
        match self {
            Home::User { lines, .. } => lines.iter().find(|line| line.origin().shares_connections_with(origin)).map(Line::board),
            Home::Pool(lease) => lease.board(origin).await,
            Home::Fresh(_) => None,
        }
    }

    /// Whether a connection that takes one request at a time may be opened or used.
    pub fn is_admitted(&self) -> bool {
        !matches!(self, Home::Pool(lease) if !lease.is_admitted())
    }

    /// Keeps a line for the requests to come. Returns whether it is kept beyond this one.
    pub fn keep(&mut self, line: &Line) -> bool {
        match self {
            Home::User { lines, .. } => lines.push(line.clone()),
            Home::Pool(lease) => lease.keep(line),
            Home::Fresh(_) => return false,
        }
        self.set_open(false);
        true
    }

    /// Lets go of a line that is of no use any more.
    pub fn forget(&mut self, line: &Line) {
        match self {
            Home::User { lines, .. } => lines.retain(|other| !other.is(line)),
            Home::Pool(lease) => lease.forget(line),
            Home::Fresh(_) => {}
        }
    }

    /// Before a connection is opened. Returns whether an idle one was closed for it.
    pub fn make_room(&mut self) -> bool {
        match self {
            Home::User { connections, lines, .. } if connections.len() + lines.len() >= MAX_CONNECTIONS => {
                if connections.is_empty() {
                    // One that has ended may have been told of.
                    return lines.remove(0).tell();
                }
                connections.remove(0);
                true
            }
            Home::Pool(lease) => lease.make_room(),
            Home::User { .. } | Home::Fresh(_) => false,
        }
    }

    /// Notes whether a connection is out.
    pub fn set_open(&mut self, open: bool) {
        match self {
            Home::User { out, .. } | Home::Fresh(out) => out.open = open,
            Home::Pool(lease) => lease.open = open,
        }
    }

    /// Takes a connection back after an answer, if it can be used again. Returns whether it is kept.
    pub fn put(&mut self, mut connection: Box<Connection>) -> bool {
        let keep = connection.is_reusable();
        match self {
            Home::User { connections, .. } if keep => connections.push(connection),
            Home::Pool(lease) if keep => lease.put(connection),
            _ => {
                self.set_open(false);
                return false;
            }
        }
        self.set_open(false);
        true
    }
}
