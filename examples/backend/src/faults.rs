//! Slowness, freezes and errors on demand, so that what a load test is for can be shown: `DELAY`, `FREEZE`, `ERROR_RATE`.

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
    error_rate: f64,
    requests: AtomicU64,
}

impl Faults {
    /// The faults that the configuration asks for.
    pub fn new(config: &Config) -> Self {
        let Config { delay, freeze, error_rate, .. } = *config;
        Self { start: Instant::now(), delay, freeze, error_rate, requests: AtomicU64::new(0) }
    }

    /// How long a request that came `at` after the start has to wait.
    fn wait(&self, at: Duration) -> Duration {
        let Some(Freeze { lasts, every }) = self.freeze else { return self.delay };
        let into = Duration::from_nanos((at.as_nanos() % every.as_nanos()) as u64);
        lasts.saturating_sub(into) + self.delay
    }

    /// Whether the next request fails: evenly spread, exactly the share asked for.
    fn fails(&self) -> bool {
        if self.error_rate == 0.0 {
            return false;
        }
        let n = self.requests.fetch_add(1, Ordering::Relaxed) as f64;
        ((n + 1.0) * self.error_rate).floor() > (n * self.error_rate).floor()
    }
}

/// The middleware around all routes of the API.
pub async fn apply(State(app): State<App>, request: Request, next: Next) -> Response {
    let wait = app.faults.wait(app.faults.start.elapsed());
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if app.faults.fails() { ApiError::OnDemand.into_response() } else { next.run(request).await }
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
        assert_eq!((0..10_000).filter(|_| faults.fails()).count(), 100);
        let none = super::tests::faults("DELAY", "1ms");
        assert_eq!((0..1000).filter(|_| none.fails()).count(), 0);
    }
}
