//! A waker between a connection and its user's task that keeps wake-ups to itself which the user would only cause itself.
//!
//! hyper's halves signal each other: sending a request wakes the connection, asking for a body wakes it, and so on. Here both
//! halves are polled by the same task, one right after the other, so each of these would only put the task in line once more:
//! one needless turn a request. While the gate is shut such a signal is a note to poll again before returning.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

use crate::net::give_way;

/// Wake-ups go to the task.
const OPEN: u8 = 0;
/// Polling goes on; nothing has been signalled.
const SHUT: u8 = 1;
/// Polling goes on; something has been signalled.
const NOTED: u8 = 2;

/// How often in a row a turn polls again for a note, before it lets other tasks have theirs.
const MOST: usize = 16;

/// One connection's gate.
#[derive(Debug)]
pub(super) struct Gate {
    shared: Arc<GateState>,
    waker: Waker,
}

#[derive(Debug)]
struct GateState {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for GateState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.compare_exchange(SHUT, NOTED, Ordering::AcqRel, Ordering::Acquire) == Err(OPEN) {
            self.task.wake();
        }
    }
}

impl Gate {
    pub fn new() -> Self {
        let shared = Arc::new(GateState { state: AtomicU8::new(OPEN), task: AtomicWaker::new() });
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Shuts the gate before a signal that [`Self::poll`] is going to follow up in any case.
    #[inline]
    pub fn shut(&self) {
        self.shared.state.store(SHUT, Ordering::Release);
    }

    /// Polls `step` until it is ready, or nothing has been signalled while it was polled. From then on signals wake the task.
    #[inline]
    pub fn poll<T>(&self, cx: &mut Context<'_>, mut step: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.shared.task.register(cx.waker());
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..MOST {
            self.shut();
            let polled = step(&mut inner);
            let noted = self.shared.state.swap(OPEN, Ordering::AcqRel) == NOTED;
            if polled.is_ready() || !noted {
                return polled;
            }
        }
        give_way(cx);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_signal_while_polling_is_a_note_and_afterwards_a_wake() {
        let (gate, task) = (Gate::new(), Arc::new(Counter::default()));
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        let mut kept = None;
        let mut polls = 0;
        let polled: Poll<()> = gate.poll(&mut cx, |cx| {
            polls += 1;
            if polls < 3 {
                cx.waker().wake_by_ref();
            }
            kept = Some(cx.waker().clone());
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((polls, task.0.load(Ordering::SeqCst)), (3, 0));
        kept.unwrap().wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_signals_for_ever_lets_others_have_their_turn() {
        let (gate, task) = (Gate::new(), Arc::new(Counter::default()));
        let waker = Waker::from(Arc::clone(&task));
        let mut polls = 0;
        let polled: Poll<()> = gate.poll(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((polls, task.0.load(Ordering::SeqCst)), (MOST, 1));
    }

    #[test]
    fn a_shut_gate_opens_with_the_next_poll() {
        let (gate, task) = (Gate::new(), Arc::new(Counter::default()));
        let waker = Waker::from(Arc::clone(&task));
        gate.shut();
        gate.waker.wake_by_ref();
        assert_eq!(gate.poll(&mut Context::from_waker(&waker), |_| Poll::Ready(7)), Poll::Ready(7));
        gate.waker.wake_by_ref();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }
}
