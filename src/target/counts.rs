//! What the target counts of itself, and how it shows it: to hold the generator's figures against.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const LOWEST: u16 = 200;
const HIGHEST: u16 = 599;

/// What speaks over a connection that stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketKind {
    Websocket,
    Socketio,
    Tcp,
}

impl SocketKind {
    const ALL: [(SocketKind, &'static str); 3] =
        [(SocketKind::Websocket, "websocket"), (SocketKind::Socketio, "socketio"), (SocketKind::Tcp, "tcp")];
}

/// Counters of the sessions of one kind.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    opened: AtomicU64,
    open: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    events: AtomicU64,
    skipped: AtomicU64,
}

impl Sessions {
    /// A message came.
    pub fn received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    /// A message was handed to the socket.
    pub fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// An event was handed to the socket of one listener.
    pub fn sent_event(&self) {
        self.events.fetch_add(1, Relaxed);
        self.sent();
    }

    /// A listener was too slow for these events.
    pub fn skipped(&self, events: u64) {
        self.skipped.fetch_add(events, Relaxed);
    }
}

/// Counts a session while it is open.
pub(super) struct Session<'c>(&'c Sessions);

impl<'c> Session<'c> {
    pub fn begin(sessions: &'c Sessions) -> Self {
        sessions.opened.fetch_add(1, Relaxed);
        sessions.open.fetch_add(1, Relaxed);
        Self(sessions)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Counters of one target, shared by its threads.
#[derive(Debug)]
pub(super) struct Counts {
    pub connections: AtomicU64,
    pub open: AtomicU64,
    requests: AtomicU64,
    /// By status, from [`LOWEST`] to [`HIGHEST`].
    responses: Vec<AtomicU64>,
    sessions: [Sessions; 3],
    published: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            responses: (LOWEST..=HIGHEST).map(|_| AtomicU64::new(0)).collect(),
            sessions: Default::default(),
            published: AtomicU64::new(0),
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

    /// The counters of one kind of session.
    pub fn of(&self, kind: SocketKind) -> &Sessions {
        &self.sessions[kind as usize]
    }

    /// An event was published, to however many listeners.
    pub fn published(&self) {
        self.published.fetch_add(1, Relaxed);
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
        head(&mut text, "echo_events_published_total", "counter", "Events published, each to all who listened just then.");
        line(&mut text, "echo_events_published_total", self.published.load(Relaxed));
        type Get = fn(&Sessions) -> &AtomicU64;
        let families: [(&str, &str, &str, Get); 6] = [
            ("echo_sessions_total", "counter", "Sessions begun.", |sessions| &sessions.opened),
            ("echo_sessions_open", "gauge", "Sessions that are open.", |sessions| &sessions.open),
            ("echo_messages_received_total", "counter", "Messages received.", |sessions| &sessions.received),
            ("echo_messages_sent_total", "counter", "Messages handed to a socket, events among them.", |sessions| &sessions.sent),
            ("echo_events_sent_total", "counter", "Events handed to a listener's socket.", |sessions| &sessions.events),
            ("echo_events_skipped_total", "counter", "Events that a listener was too slow for.", |sessions| &sessions.skipped),
        ];
        for (name, kind, help, get) in families {
            head(&mut text, name, kind, help);
            for (session, label) in SocketKind::ALL {
                line(&mut text, &format!("{name}{{protocol=\"{label}\"}}"), get(self.of(session)).load(Relaxed));
            }
        }
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
            "echo_events_published_total 0\n",
            "echo_sessions_open{protocol=\"tcp\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.matches("code=").count(), 3);
    }
}
