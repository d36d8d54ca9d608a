//! The gate before every step: closed while the run is paused. What is under way as it closes may end, for as long as its phase drains.

use std::cell::Cell;
use std::time::Instant;

use tokio::sync::Notify;

/// One for each worker.
pub(super) struct Gate {
    closed: Cell<bool>,
    /// From when on steps of iterations that are under way are held, too.
    holds_from: Cell<Instant>,
    opened_at: Cell<Instant>,
    changed: Notify,
}

impl Gate {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { closed: Cell::new(false), holds_from: Cell::new(now), opened_at: Cell::new(now), changed: Notify::new() }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// No iteration begins any more; those under way may end until `drained`.
    pub fn close(&self, drained: Instant) {
        self.closed.set(true);
        self.holds_from.set(drained);
    }

    /// Whether a step of an iteration that is under way is held.
    pub fn holds(&self) -> bool {
        self.closed.get() && Instant::now() >= self.holds_from.get()
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
    use std::time::Duration;

    #[test]
    fn holds_while_closed() {
        let gate = Gate::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(std::pin::pin!(gate.opened()).poll(&mut cx).is_ready());
        gate.close(Instant::now() + Duration::from_secs(60));
        assert!(gate.is_closed() && !gate.holds(), "what is under way may end");
        gate.close(Instant::now());
        assert!(gate.holds());
        let mut waiting = std::pin::pin!(gate.opened());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let at = Instant::now();
        gate.open(at);
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
        assert_eq!(gate.opened_at(), at);
    }
}
