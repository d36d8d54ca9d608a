//! Connections that a worker's users of one scenario share: `connections: {shared: n}`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::address::Origin;
use super::connection::Connection;
use super::http2::{H2Connection, StreamPermit};

/// At most so many connections, handed out first come, first served; those waiting wait within their request's time.
///
/// It belongs to one worker, so its lock is never waited for.
#[derive(Debug)]
pub struct Pool {
    size: usize,
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one idle for longest in front: it is used next, so that none is left to the peer's idle timeout.
    idle: VecDeque<Box<Connection>>,
    /// Connections that take many requests at once.
    lines: Vec<H2Connection>,
    /// Connections that were dropped with their request, and not reported yet.
    lost: usize,
}

impl Pool {
    /// A pool of `size` connections, at least one.
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self { size, permits: Semaphore::new(size), state: Mutex::default() }
    }

    /// How many connections there may be.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Closes the idle connections, for the end of the worker; returns how many connections are gone that no exchange reported.
    pub fn close(&self) -> usize {
        let mut state = self.state();
        let closed = state.idle.len() + state.lost + state.lines.iter().filter(|line| line.claim_end()).count();
        *state = State::default();
        closed
    }

    /// One connection that was dropped with its request has been reported.
    pub(super) fn forget_lost(&self) {
        let mut state = self.state();
        state.lost = state.lost.saturating_sub(1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves the list whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the right to use one connection.
    pub(super) async fn lease(&self) -> Lease<'_> {
        let mut lease = self.visit();
        lease.admit().await;
        lease
    }

    /// For a request that may find a connection which takes many at once: no right to any other yet.
    pub(super) fn visit(&self) -> Lease<'_> {
        Lease { pool: self, permit: None, open: false }
    }
}

/// The right to use one connection of a pool. If it is dropped with the connection still out, that counts as lost.
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    permit: Option<SemaphorePermit<'p>>,
    /// Whether a connection is out.
    pub open: bool,
}

impl Lease<'_> {
    /// Whether it is the right to use one connection.
    pub fn is_admitted(&self) -> bool {
        self.permit.is_some()
    }

    async fn admit(&mut self) {
        // The semaphore is never closed; if it were, the request would go on without a permit.
        self.permit = self.pool.permits.acquire().await.ok();
    }

    /// A line to `origin`, if one is idle or there may be no more; otherwise the right to open one, or to use one of those that
    /// take one request at a time.
    pub async fn reserve(&mut self, origin: &Origin) -> Option<StreamPermit> {
        loop {
            if let Some(ticket) = self.line(origin) {
                self.permit = None;
                return Some(ticket);
            }
            if self.is_admitted() {
                return None;
            }
            self.admit().await;
        }
    }

    /// The line that carries least, unless it carries something and one more may be opened.
    fn line(&self, origin: &Origin) -> Option<StreamPermit> {
        let state = self.pool.state();
        let fitting = state.lines.iter().filter(|line| line.origin().shares_connections_with(origin));
        let least = fitting.min_by_key(|line| line.load())?;
        let others = self.pool.size - self.pool.permits.available_permits() - usize::from(self.permit.is_some());
        let full = state.lines.len() + others >= self.pool.size;
        (least.load() == 0 || full).then(|| least.reserve())
    }

    /// Adds a line that was opened; the right to open another is given back.
    pub fn keep(&mut self, line: &H2Connection) {
        self.pool.state().lines.push(line.clone());
        self.permit = None;
    }

    /// Takes a line out.
    pub fn forget(&mut self, line: &H2Connection) {
        self.pool.state().lines.retain(|other| !other.is(line));
    }

    /// An idle connection to `origin`.
    pub fn take(&mut self, origin: &Origin) -> Option<Box<Connection>> {
        let mut state = self.pool.state();
        let at = state.idle.iter().position(|connection| connection.origin.shares_connections_with(origin))?;
        self.open = true;
        state.idle.remove(at)
    }

    /// Makes room for one more connection: closes the one that has been idle for longest if all there may be are open.
    /// Returns whether it did.
    pub fn make_room(&mut self) -> bool {
        let mut state = self.pool.state();
        let in_use = self.pool.size - self.pool.permits.available_permits();
        if in_use + state.idle.len() + state.lines.len() <= self.pool.size {
            return false;
        }
        if state.idle.pop_front().is_some() {
            return true;
        }
        let unused = state.lines.iter().position(|line| line.load() == 0);
        unused.is_some_and(|at| state.lines.remove(at).claim_end())
    }

    /// Gives a connection back.
    pub fn put(&mut self, connection: Box<Connection>) {
        self.open = false;
        self.pool.state().idle.push_back(connection);
    }

    /// How many connections were dropped with their requests since the last time somebody asked.
    pub fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.pool.state().lost)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.open {
            self.pool.state().lost += 1;
        }
    }
}
