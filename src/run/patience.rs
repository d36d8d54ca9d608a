//! How long a run waits for threads that were asked to end.

use std::time::{Duration, Instant};

/// How long threads that generate load have to end once they are asked to end at once. The record is then written without them.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// Waits until a moment has passed; for ever if there is none.
pub(super) async fn passed(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
