//! The gate before every step: closed while the run is paused.

use std::cell::Cell;
use std::time::Instant;

use tokio::sync::Notify;

/// One for each worker.
pub(super) struct Gate {
    closed: Cell<bool>,
    opened_at: Cell<Instant>,
    changed: Notify,
}

impl Gate {
    pub fn new() -> Self {
        Self { closed: Cell::new(false), opened_at: Cell::new(Instant::now()), changed: Notify::new() }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub fn close(&self) {
        self.closed.set(true);
    }

    pub fn open(&self, at: Instant) {
        if self.closed.replace(false) {
            self.opened_at.set(at);
            self.changed.notify_waiters();
        }
    }

    /// When it was last opened: nothing was due for a user while it was closed.
    pub fn opened_at(&self) -> Instant {
        self.opened_at.get()
    }

    /// Resolves once it is open.
    pub async fn opened(&self) {
        while self.closed.get() {
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    #[test]
    fn holds_while_closed() {
        let gate = Gate::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(std::pin::pin!(gate.opened()).poll(&mut cx).is_ready());
        gate.close();
        let mut waiting = std::pin::pin!(gate.opened());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let at = Instant::now();
        gate.open(at);
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
        assert_eq!(gate.opened_at(), at);
    }
}
