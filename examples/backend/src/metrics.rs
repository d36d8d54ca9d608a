//! What `/metrics` shows, and the middleware that counts requests by route, method and status.
//!
//! Routes are templates (`/manga/{id}`), never paths, so that no client can invent a label value. `/metrics` itself is
//! not counted: what is counted is what clients of the API asked for.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{
    Counter, Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::app::App;
use crate::cache::CACHES;
use crate::routes::KINDS;

/// nginx's word for a client that went away before it was answered.
const CLIENT_CLOSED: &str = "499";

/// Seconds; from a cached answer to a client's patience.
const BOUNDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// All series of this process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    cache_hits: IntCounterVec,
    cache_misses: IntCounterVec,
    /// Votes that were counted.
    pub votes_accepted: IntCounter,
    /// Votes whose key was seen before: answered, not counted.
    pub votes_replayed: IntCounter,
    /// Votes answered 429.
    pub votes_limited: IntCounter,
    /// Webhooks that credited tokens.
    pub credits: IntCounter,
    /// Webhooks of events seen before: answered, not credited.
    pub credits_replayed: IntCounter,
    /// Calls that began.
    pub calls: IntCounter,
    /// Invoices paid.
    pub payments: IntCounter,
    /// Webhooks for an invoice already paid: answered, not credited.
    pub payments_replayed: IntCounter,
    /// Bookings that were made.
    pub bookings: IntCounter,
    /// Bookings that were paid.
    pub bookings_paid: IntCounter,
    /// Messages that were stored.
    pub messages: IntCounterVec,
    /// Bytes of files that were stored.
    pub uploaded_bytes: IntCounter,
    /// Bytes of files that were asked for.
    pub downloaded_bytes: IntCounter,
    pool: GaugeVec,
    pool_max: Gauge,
    pool_waiting: Gauge,
    cpu: Counter,
}

impl Metrics {
    /// Registers everything; what can be known appears at 0.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help));
        let counters =
            |name: &str, help: &str, labels: &[&str]| register(&registry, IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name: &str, help: &str| register(&registry, Gauge::new(name, help));
        let durations =
            HistogramOpts::new("http_request_duration_seconds", "Time to the head of the answer").buckets(BOUNDS.to_vec());
        let connections = Opts::new("db_pool_connections", "Connections to PostgreSQL");
        let metrics = Self {
            requests: counters("http_requests_total", "Requests answered", &["route", "method", "status"])?,
            duration: register(&registry, HistogramVec::new(durations, &["route", "method"]))?,
            cache_hits: counters("cache_hits_total", "Answers found in Redis", &["name"])?,
            cache_misses: counters("cache_misses_total", "Answers not found in Redis", &["name"])?,
            votes_accepted: counter("votes_accepted_total", "Votes counted")?,
            votes_replayed: counter("votes_replayed_total", "Votes answered again without being counted")?,
            votes_limited: counter("votes_limited_total", "Votes answered 429")?,
            credits: counter("credits_total", "Webhooks that credited tokens")?,
            credits_replayed: counter("credits_replayed_total", "Webhooks of events already credited")?,
            calls: counter("calls_total", "Calls that began")?,
            payments: counter("payments_total", "Invoices paid")?,
            payments_replayed: counter("payments_replayed_total", "Webhooks for invoices already paid")?,
            bookings: counter("bookings_total", "Bookings made")?,
            bookings_paid: counter("bookings_paid_total", "Bookings paid")?,
            messages: counters("messages_stored_total", "Messages stored", &["kind"])?,
            uploaded_bytes: counter("files_uploaded_bytes_total", "Bytes of files stored")?,
            downloaded_bytes: counter("files_downloaded_bytes_total", "Bytes of files asked for")?,
            pool: register(&registry, GaugeVec::new(connections, &["state"]))?,
            pool_max: gauge("db_pool_max_connections", "Connections to PostgreSQL at most")?,
            pool_waiting: gauge("db_pool_waiting_requests", "Requests that wait for a connection")?,
            cpu: register(&registry, Counter::new("process_cpu_seconds_total", "User and system CPU time"))?,
            registry,
        };
        for name in CACHES {
            metrics.cache_hits.with_label_values(&[name]);
            metrics.cache_misses.with_label_values(&[name]);
        }
        for kind in KINDS {
            metrics.messages.with_label_values(&[kind]);
        }
        let start = register(&metrics.registry, Gauge::new("process_start_time_seconds", "When the process started"))?;
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
        Ok(metrics)
    }

    /// Counts a look into the cache called `name`, one of [`CACHES`](crate::cache::CACHES).
    pub fn cache(&self, name: &str, hit: bool) {
        let looks = if hit { &self.cache_hits } else { &self.cache_misses };
        looks.with_label_values(&[name]).inc();
    }

    /// Sets the gauges of the pool.
    pub fn pool(&self, max: usize, size: usize, available: usize, waiting: usize) {
        self.pool.with_label_values(&["idle"]).set(available as f64);
        self.pool.with_label_values(&["used"]).set(size.saturating_sub(available) as f64);
        self.pool_max.set(max as f64);
        self.pool_waiting.set(waiting as f64);
    }

    /// The text format.
    pub fn text(&self) -> String {
        if let Some(seconds) = cpu_seconds() {
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        let mut out = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }

    fn answered(&self, route: &str, method: &str, status: &str, started: Instant) {
        self.requests.with_label_values(&[route, method, status]).inc();
        self.duration.with_label_values(&[route, method]).observe(started.elapsed().as_secs_f64());
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = made?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// User and system time of this process from `/proc`, whose unit is a hundredth of a second on Linux.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; state is the first field behind it, utime the twelfth.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

/// Counts one request when it is answered, or when its client has gone.
struct Counted<'a> {
    app: &'a App,
    route: String,
    method: String,
    started: Instant,
    status: Option<u16>,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let status = self.status.map_or(CLIENT_CLOSED.to_owned(), |status| status.to_string());
        self.app.metrics.answered(&self.route, &self.method, &status, self.started);
    }
}

/// The middleware around all routes of the API.
pub async fn count(State(app): State<App>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let route = path.map_or("unmatched".to_owned(), |path| path.as_str().to_owned());
    // Methods beyond the standard ones are a label that a client could invent.
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let mut counted = Counted { app: &app, route, method, started: Instant::now(), status: None };
    let response = next.run(request).await;
    counted.status = Some(response.status().as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_cache_appear_with_its_first_look() {
        let metrics = Metrics::new().unwrap();
        metrics.cache("streamers", false);
        let text = metrics.text();
        assert!(text.contains("cache_misses_total{name=\"streamers\"} 1\n"), "{text}");
        assert!(text.contains("cache_hits_total{name=\"streamers\"} 0\n"), "{text}");
    }

    #[test]
    fn cpu_time_never_goes_back() {
        let metrics = Metrics::new().unwrap();
        metrics.text();
        let before = metrics.cpu.get();
        metrics.text();
        assert!(metrics.cpu.get() >= before);
    }
}
