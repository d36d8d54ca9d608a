//! Connections that a worker's users of one scenario share: `connections: {shared: n}`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::address::Origin;
use super::connection::Connection;

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
    /// Connections that were dropped with their request, and of which nobody has been told yet.
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

    /// Closes the idle connections, for the end of the worker; returns how many connections are gone that no exchange told.
    pub fn close(&self) -> usize {
        let mut state = self.state();
        let closed = state.idle.len() + state.lost;
        *state = State::default();
        closed
    }

    /// Somebody has told of one connection that was dropped with its request.
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
        // The semaphore is never closed; if it were, the request would go on without a permit.
        let permit = self.permits.acquire().await.ok();
        Lease { pool: self, _permit: permit, open: false }
    }
}

/// The right to use one connection of a pool. If it is dropped with the connection still out, that counts as lost.
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    _permit: Option<SemaphorePermit<'p>>,
    /// Whether a connection is out.
    pub open: bool,
}

impl Lease<'_> {
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
        in_use + state.idle.len() > self.pool.size && state.idle.pop_front().is_some()
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
