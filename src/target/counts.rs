//! What the target counts of itself, and how it shows it: to hold the generator's figures against.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const LOWEST: u16 = 200;
const HIGHEST: u16 = 599;

/// Counters of one target, shared by its threads.
#[derive(Debug)]
pub(super) struct Counts {
    pub connections: AtomicU64,
    pub open: AtomicU64,
    requests: AtomicU64,
    /// By status, from [`LOWEST`] to [`HIGHEST`].
    responses: Vec<AtomicU64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            responses: (LOWEST..=HIGHEST).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Counts {
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub fn received(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub fn answered(&self, status: u16) {
        if let Some(counter) = status.checked_sub(LOWEST).and_then(|at| self.responses.get(usize::from(at))) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// In Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        head(&mut text, "echo_requests_total", "counter", "Requests received, those to /metrics not counted.");
        line(&mut text, "echo_requests_total", self.requests());
        head(&mut text, "echo_responses_total", "counter", "Responses begun, by status.");
        for (status, counter) in (LOWEST..).zip(&self.responses) {
            let count = counter.load(Relaxed);
            if count > 0 || status == LOWEST {
                line(&mut text, &format!("echo_responses_total{{code=\"{status}\"}}"), count);
            }
        }
        head(&mut text, "echo_connections_total", "counter", "Connections accepted.");
        line(&mut text, "echo_connections_total", self.connections.load(Relaxed));
        head(&mut text, "echo_connections_open", "gauge", "Connections that are open.");
        line(&mut text, "echo_connections_open", self.open.load(Relaxed));
        text
    }
}

// Writing to a String cannot fail.
fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn line(text: &mut String, series: &str, value: u64) {
    let _ = writeln!(text, "{series} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_status_and_shows_it() {
        let counts = Counts::default();
        for status in [200, 200, 503, 599, 600, 100] {
            counts.received();
            counts.answered(status);
        }
        let text = counts.text();
        for line in [
            "echo_requests_total 6\n",
            "echo_responses_total{code=\"200\"} 2\n",
            "echo_responses_total{code=\"503\"} 1\n",
            "echo_responses_total{code=\"599\"} 1\n",
            "# TYPE echo_connections_open gauge\necho_connections_open 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.matches("code=").count(), 3);
    }
}
