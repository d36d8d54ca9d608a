//! How long one peer may keep a thread: what it sends without a pause is read turn by turn, and others have theirs in between. What it
//! says must not matter, for there are many ways to say nothing without an end.

use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Context;

/// What a turn may take, in bytes and in nanoseconds.
pub(super) const BYTES: usize = 64 * 1024;
const NANOSECONDS: u64 = 1_000_000;
/// No read counts for less.
pub(super) const LEAST: usize = 2048;
/// No more is read at once, since nobody is interrupted in it.
pub(super) const AT_ONCE: usize = 16 * 1024;

/// The present turn of a connection.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// How much of it is used up.
    used: AtomicUsize,
    began: AtomicU64,
}

impl Turn {
    /// The peer has paused, or is asked anew.
    #[inline]
    pub fn begins_anew(&self) {
        self.used.store(0, Relaxed);
    }

    /// Whether it is over; the next one then begins. `now` gives the time in nanoseconds.
    #[inline]
    pub fn ends(&self, now: impl FnOnce() -> u64) -> bool {
        let used = self.used.load(Relaxed);
        let ends = used > 0 && (used >= BYTES || now().saturating_sub(self.began.load(Relaxed)) >= NANOSECONDS);
        if ends {
            self.begins_anew();
        }
        ends
    }

    /// So many bytes were read.
    #[inline]
    pub fn read(&self, bytes: usize, now: impl FnOnce() -> u64) {
        let used = self.used.load(Relaxed);
        if used == 0 {
            self.began.store(now(), Relaxed);
        }
        self.used.store(used + bytes.max(LEAST), Relaxed);
    }
}

/// Lets others have their turn, timers and sockets among them, before the task of `cx` goes on.
pub fn give_way(cx: &mut Context<'_>) {
    // Its first poll asks the runtime for that.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}
