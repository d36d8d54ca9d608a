//! A time limit on what a peer has to do, which nothing breaks only because this thread stood still.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

/// How long a request may take, or opening a connection, a message that is sent and one that is awaited, where a profile says
/// nothing.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// As long it is looked once more before a peer is given up: where this thread stood still, the timer may go off before anything that came
/// meanwhile is read.
pub(super) const READING: Duration = Duration::from_millis(50);
/// How often it is looked whether the thread stood still: no more of that counts.
const STEP: Duration = Duration::from_millis(500);

/// What comes of the work; nothing if it takes too long.
pub(super) async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let (mut left, mut reads) = (limit, false);
    loop {
        let step = left.min(STEP);
        let until = Instant::now() + step;
        if let Ok(done) = tokio::time::timeout(step, work.as_mut()).await {
            return Some(done);
        }
        let late = until.elapsed() > READING;
        left -= step;
        if left.is_zero() {
            if reads && !late {
                return None;
            }
            (left, reads) = (READING, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether work comes to its end that takes so many turns of 20 ms, and stands still for a while in one of them.
    async fn ends(limit: u64, turns: u32, stands: u64) -> bool {
        let work = async {
            for turn in 0..turns {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if turn == 1 {
                    std::thread::sleep(Duration::from_millis(stands));
                }
            }
        };
        within(Duration::from_millis(limit), work).await.is_some()
    }

    #[tokio::test]
    async fn a_time_in_which_the_thread_stood_still_breaks_nothing() {
        assert!(!ends(100, u32::MAX, 0).await, "it takes for ever");
        assert!(ends(1000, 3, 0).await);
        assert!(ends(200, 3, 600).await, "what was left to do was done at once");
        assert!(ends(800, 6, 2000).await);
    }

    #[tokio::test]
    async fn what_is_there_is_taken_before_a_peer_is_given_up() {
        let began = Instant::now();
        // Nothing was read yet as the time is out, and what came is there with the next turn.
        let mut turns = 0;
        let work = std::future::poll_fn(|cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            if began.elapsed() > Duration::from_millis(100) && turns > 1 {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        });
        assert_eq!(within(Duration::from_millis(80), work).await, Some(()));
        assert_eq!(within(Duration::from_millis(80), std::future::pending::<()>()).await, None);
    }
}
