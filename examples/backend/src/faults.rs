//! Slowness, freezes, errors and broken promises on demand, so that what a load test is for can be shown: `DELAY`, `FREEZE`,
//! `ERROR_RATE`, `LOSE_ANSWERS`, `DROP_WRITES`, `COUNT_REPLAYS`, `STALE`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::config::{Config, Freeze};
use crate::error::ApiError;

/// The faults of one process; its clock starts with it.
pub struct Faults {
    start: Instant,
    delay: Duration,
    freeze: Option<Freeze>,
    errors: Share,
    lost_answers: Share,
    dropped_writes: Share,
    /// A vote that is sent again is counted again.
    pub count_replays: bool,
    /// How much later than cast a vote is seen, in seconds.
    pub stale: f64,
}

/// A share of what comes: evenly spread, exactly as much as was asked for.
struct Share {
    share: f64,
    seen: AtomicU64,
}

impl Share {
    fn new(share: f64) -> Self {
        Self { share, seen: AtomicU64::new(0) }
    }

    /// Whether the next one is among it.
    fn takes(&self) -> bool {
        if self.share == 0.0 {
            return false;
        }
        let n = self.seen.fetch_add(1, Ordering::Relaxed) as f64;
        ((n + 1.0) * self.share).floor() > (n * self.share).floor()
    }
}

impl Faults {
    /// The faults that the configuration asks for.
    pub fn new(config: &Config) -> Self {
        Self {
            start: Instant::now(),
            delay: config.delay,
            freeze: config.freeze,
            errors: Share::new(config.error_rate),
            lost_answers: Share::new(config.lose_answers),
            dropped_writes: Share::new(config.drop_writes),
            count_replays: config.count_replays,
            stale: config.stale.as_secs_f64(),
        }
    }

    /// How long a request that came `at` after the start has to wait.
    fn wait(&self, at: Duration) -> Duration {
        let Some(Freeze { lasts, every }) = self.freeze else { return self.delay };
        let into = Duration::from_nanos((at.as_nanos() % every.as_nanos()) as u64);
        lasts.saturating_sub(into) + self.delay
    }

    /// Whether the next vote is counted and answered 500 all the same.
    pub fn loses_answer(&self) -> bool {
        self.lost_answers.takes()
    }

    /// Whether the next vote is answered as if it had been kept, and isn't.
    pub fn drops_write(&self) -> bool {
        self.dropped_writes.takes()
    }
}

/// The middleware around all routes of the API.
pub async fn apply(State(app): State<App>, request: Request, next: Next) -> Response {
    let wait = app.faults.wait(app.faults.start.elapsed());
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if app.faults.errors.takes() {
        return ApiError::OnDemand.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(name: &str, value: &str) -> Faults {
        Faults::new(&Config::from_env(|asked| (asked == name).then(|| value.to_owned())).unwrap())
    }

    #[test]
    fn a_freeze_ends_for_all_at_once() {
        let faults = faults("FREEZE", "1s/5s");
        let wait = |ms| faults.wait(Duration::from_millis(ms)).as_millis();
        assert_eq!([wait(0), wait(400), wait(1000), wait(4999), wait(5000), wait(10_900)], [1000, 600, 0, 0, 1000, 100]);
    }

    #[test]
    fn the_share_of_errors_is_exact() {
        let faults = faults("ERROR_RATE", "1%");
        assert_eq!((0..10_000).filter(|_| faults.errors.takes()).count(), 100);
        let one_in_a_thousand = super::tests::faults("DROP_WRITES", "0.001");
        let dropped: Vec<_> = (1..=2500).filter(|_| one_in_a_thousand.drops_write()).collect();
        assert_eq!(dropped, [1000, 2000]);
        let none = super::tests::faults("DELAY", "1ms");
        assert_eq!((0..1000).filter(|_| none.errors.takes()).count(), 0);
    }
}
