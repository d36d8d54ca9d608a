//! Sleeping until an instant, to some tens of microseconds: one timer for all that a worker waits for.
//!
//! tokio's own timer counts in milliseconds and is late by 0.6 to 1 ms, which a response time measured from when a
//! request was due would show as the target's. A `timerfd` is late by 40 to 70 µs, but each wake costs a system call or
//! two: so one descriptor serves a heap of deadlines, and where they are dense, wakes keep a distance ([`DENSE_GAP`]).
//! Nothing is ever woken before its time.
//!
//! Elsewhere than on Linux the same heap is driven by tokio's timer.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Wakes keep at least this distance while more than [`DENSE_WAKES`] of them came within [`DENSE_SPAN`]. A quarter of a
/// millisecond bounds the cost at 4,000 wakes a second and stays below what a histogram bucket shows at 25 ms.
const DENSE_GAP: Duration = Duration::from_micros(250);
/// How many wakes within [`DENSE_SPAN`] count as dense.
const DENSE_WAKES: u32 = 20;
/// The span over which wakes are counted.
const DENSE_SPAN: Duration = Duration::from_millis(10);

/// A worker's timer. Clones share it; it doesn't leave its thread.
#[derive(Clone)]
pub struct Timer {
    inner: Rc<RefCell<Inner>>,
    alarm: Rc<Alarm>,
}

struct Inner {
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    sleepers: Vec<Option<Waker>>,
    vacant: Vec<u32>,
    armed: Option<Instant>,
    last_wake: Instant,
    span_start: Instant,
    span_wakes: u32,
}

impl Timer {
    /// A timer on the current runtime.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        let now = Instant::now();
        let inner = Inner {
            deadlines: BinaryHeap::new(),
            sleepers: Vec::new(),
            vacant: Vec::new(),
            armed: None,
            last_wake: now,
            span_start: now,
            span_wakes: 0,
        };
        Ok(Self { inner: Rc::new(RefCell::new(inner)), alarm: Rc::new(Alarm::new()?) })
    }

    /// Resolves at `at`, or at once if that has passed.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { timer: self.clone(), at, slot: None }
    }

    /// Wakes what is due by `now`; to be called where the loop is awake anyway.
    pub fn fire_due(&self, now: Instant) {
        self.inner.borrow_mut().fire(now);
    }

    /// Drives the timer; runs as long as the worker does.
    ///
    /// # Errors
    /// The descriptor failed.
    pub async fn drive(&self) -> io::Result<()> {
        loop {
            self.alarm.ring().await?;
            let mut inner = self.inner.borrow_mut();
            let now = Instant::now();
            inner.woken(now);
            inner.fire(now);
            inner.armed = None;
            let next = inner.next_alarm();
            self.arm(&mut inner, next, now)?;
        }
    }

    fn arm(&self, inner: &mut Inner, at: Option<Instant>, now: Instant) -> io::Result<()> {
        if let Some(at) = at
            && inner.armed.is_none_or(|armed| at < armed)
        {
            self.alarm.set(at.saturating_duration_since(now))?;
            inner.armed = Some(at);
        }
        Ok(())
    }

    fn register(&self, at: Instant, now: Instant, waker: Waker) -> u32 {
        let mut inner = self.inner.borrow_mut();
        let slot = match inner.vacant.pop() {
            Some(slot) => slot,
            None => {
                inner.sleepers.push(None);
                (inner.sleepers.len() - 1) as u32
            }
        };
        inner.sleepers[slot as usize] = Some(waker);
        inner.deadlines.push(Reverse((at, slot)));
        let next = inner.next_alarm();
        if let Err(error) = self.arm(&mut inner, next, now) {
            tracing::error!(%error, "the worker's timer can't be set");
        }
        slot
    }
}

impl Inner {
    fn fire(&mut self, now: Instant) {
        while let Some(Reverse((at, slot))) = self.deadlines.peek().copied() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            match self.sleepers[slot as usize].take() {
                Some(waker) => waker.wake(),
                None => self.vacant.push(slot), // its sleeper was dropped
            }
        }
    }

    fn woken(&mut self, now: Instant) {
        if now.duration_since(self.span_start) > DENSE_SPAN {
            self.span_start = now;
            self.span_wakes = 0;
        }
        self.span_wakes += 1;
        self.last_wake = now;
    }

    fn next_alarm(&self) -> Option<Instant> {
        let Reverse((at, _)) = *self.deadlines.peek()?;
        Some(if self.span_wakes > DENSE_WAKES { at.max(self.last_wake + DENSE_GAP) } else { at })
    }
}

/// The future of [`Timer::sleep_until`].
pub struct Sleep {
    timer: Timer,
    at: Instant,
    /// Our place among the sleepers. While the place holds a waker, its deadline is in the heap; an empty place whose
    /// deadline has fired is ours to give back.
    slot: Option<u32>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if now >= self.at {
            self.release();
            return Poll::Ready(());
        }
        match self.slot {
            None => self.slot = Some(self.timer.register(self.at, now, cx.waker().clone())),
            Some(slot) => {
                let mut inner = self.timer.inner.borrow_mut();
                if let Some(waker) = &mut inner.sleepers[slot as usize] {
                    waker.clone_from(cx.waker());
                }
            }
        }
        Poll::Pending
    }
}

impl Sleep {
    fn release(&mut self) {
        if let Some(slot) = self.slot.take() {
            let mut inner = self.timer.inner.borrow_mut();
            // Not fired yet: the heap still names the place and gives it back when it comes to it.
            if inner.sleepers[slot as usize].take().is_none() {
                inner.vacant.push(slot);
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(target_os = "linux")]
mod alarm {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::time::Duration;

    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A `timerfd` on the monotonic clock.
    pub(super) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            // SAFETY: no pointers; the result is checked.
            let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: a new descriptor that nobody else owns.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            // SAFETY: the descriptor is owned by the `AsyncFd`, and nothing closes or replaces it before that is dropped.
            Ok(Self(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?))
        }

        pub(super) fn set(&self, after: Duration) -> io::Result<()> {
            let after = after.max(Duration::from_nanos(1)); // zero would disarm it
            let spec = libc::itimerspec {
                it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: libc::timespec {
                    tv_sec: after.as_secs() as libc::time_t,
                    tv_nsec: after.subsec_nanos() as libc::c_long,
                },
            };
            // SAFETY: a valid descriptor and a valid, initialised structure; the old value isn't asked for.
            let result = unsafe { libc::timerfd_settime(self.0.get_ref().as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) };
            if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        }

        pub(super) async fn ring(&self) -> io::Result<()> {
            loop {
                let mut ready = self.0.readable().await?;
                let mut count = [0u8; 8];
                // SAFETY: the buffer is valid for its length.
                let read = unsafe { libc::read(self.0.get_ref().as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
                if read == 8 {
                    return Ok(());
                }
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::WouldBlock => ready.clear_ready(),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    use std::cell::Cell;
    use std::io;
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::Instant;

    /// tokio's timer behind the same face.
    pub(super) struct Alarm {
        at: Cell<Option<Instant>>,
        changed: Notify,
    }

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self { at: Cell::new(None), changed: Notify::new() })
        }

        pub(super) fn set(&self, after: Duration) -> io::Result<()> {
            self.at.set(Some(Instant::now() + after));
            self.changed.notify_one();
            Ok(())
        }

        pub(super) async fn ring(&self) -> io::Result<()> {
            loop {
                match self.at.get() {
                    None => self.changed.notified().await,
                    Some(at) => tokio::select! {
                        () = tokio::time::sleep_until(at) => { self.at.set(None); return Ok(()) }
                        () = self.changed.notified() => {}
                    },
                }
            }
        }
    }
}

use alarm::Alarm;

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_worker<F: Future<Output = ()>>(test: impl FnOnce(Timer) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let timer = Timer::new().unwrap();
            let driver = timer.clone();
            tokio::task::spawn_local(async move { driver.drive().await.unwrap() });
            test(timer).await;
        });
    }

    #[test]
    fn wakes_in_order_and_never_early() {
        on_a_worker(|timer| async move {
            let start = Instant::now();
            let woken = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = [30u64, 5, 20, 5, 0]
                .into_iter()
                .map(|ms| {
                    let (timer, woken) = (timer.clone(), woken.clone());
                    tokio::task::spawn_local(async move {
                        let at = start + Duration::from_millis(ms);
                        timer.sleep_until(at).await;
                        assert!(Instant::now() >= at);
                        woken.borrow_mut().push(ms);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*woken.borrow(), [0, 5, 5, 20, 30]);
        });
    }

    #[test]
    fn a_dropped_sleeper_gives_its_place_back() {
        on_a_worker(|timer| async move {
            for _ in 0..100 {
                let mut sleep = Box::pin(timer.sleep_until(Instant::now() + Duration::from_millis(2)));
                assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                drop(sleep);
            }
            timer.sleep_until(Instant::now() + Duration::from_millis(10)).await;
            timer.fire_due(Instant::now());
            let inner = timer.inner.borrow();
            assert!(inner.deadlines.is_empty());
            assert_eq!(inner.vacant.len(), inner.sleepers.len());
        });
    }

    #[test]
    fn thousands_of_sleepers_all_wake() {
        on_a_worker(|timer| async move {
            let start = Instant::now();
            let tasks: Vec<_> = (0..5000u64)
                .map(|i| {
                    let timer = timer.clone();
                    tokio::task::spawn_local(async move { timer.sleep_until(start + Duration::from_micros(i * 10)).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}
