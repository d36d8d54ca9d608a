//! Where a request's connection comes from and where it goes back to: the user, a pool, or nowhere.

use super::address::Origin;
use super::connection::Connection;
use super::pool::Lease;

/// The most connections a user keeps, one an origin; the one unused for longest is closed for a new one.
const MAX_CONNECTIONS: usize = 8;

/// Where a request's connection comes from and goes back to.
pub(super) enum Home<'a> {
    #[allow(clippy::vec_box, reason = "as in `Client`")]
    User {
        connections: &'a mut Vec<Box<Connection>>,
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
            Home::User { connections, out } => {
                let at = connections.iter().position(|open| open.origin.shares_connections_with(origin))?;
                out.open = true;
                Some(connections.remove(at))
            }
            Home::Pool(lease) => lease.take(origin),
            Home::Fresh(_) => None,
        }
    }

    /// Before a connection is opened. Returns whether an idle one was closed for it.
    pub fn make_room(&mut self) -> bool {
        match self {
            Home::User { connections, .. } if connections.len() >= MAX_CONNECTIONS => {
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
