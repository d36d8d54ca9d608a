//! An exporter as a source: scraped at each edge, and every few seconds between, so that restarts and peaks are seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::header::ACCEPT;

use super::api::{unix, until};
use super::error::SourceError;
use super::http::{Access, Http};
use super::observer::note;
use super::report::SourceReading;
use super::text::{Exposition, Format};
use super::tracker::Tracker;
use super::want::Wants;
use crate::base::AwayList;

/// How often an exporter is scraped between edges, and a source of another kind looked at.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// How long a scrape at an edge is tried again while the load goes on, and while it stands still; in seconds.
const PATIENCE: (f64, f64) = (2.0, 10.0);
/// How long before an edge under load the exporter is scraped too, in seconds: what happens around the edge is then known to
/// that. Edges are announced about 0.1 s ahead.
const AHEAD: f64 = 0.2;

/// An exporter and what was read of it so far.
#[derive(Debug)]
pub(super) struct Exporter {
    name: String,
    http: Http,
    /// Counts scrapes at edges as they begin and end: one between edges that met one is thrown away.
    edges: AtomicU64,
    /// Edges are scraped one after the other.
    turn: tokio::sync::Mutex<()>,
    tracker: Mutex<Tracker>,
}

impl Exporter {
    pub(super) fn new(name: &str, access: Access) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            http: Http::new(access),
            edges: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(()),
            tracker: Mutex::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Host and port, as a Prometheus that scrapes it calls its `instance`.
    pub(super) fn instance(&self) -> String {
        let url = self.http.url();
        format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
    }

    fn with_tracker<T>(&self, work: impl FnOnce(&mut Tracker) -> T) -> T {
        work(&mut self.tracker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Scrapes now and then between edges for as long as the exporter is observed.
    pub(super) async fn watch(exporter: Weak<Self>, wants: Arc<Wants>, away: Arc<AwayList>) {
        loop {
            let Some(exporter) = exporter.upgrade() else { return };
            let edges = exporter.edges.load(Ordering::SeqCst);
            let scrape = exporter.scrape().await;
            note(&away, &exporter.name, &scrape);
            exporter.with_tracker(|tracker| match scrape {
                // A failure between edges is reported by the edges, if it lasts.
                Ok((time, exposition)) if edges % 2 == 0 && exporter.edges.load(Ordering::SeqCst) == edges => {
                    tracker.feed(&wants, time, &exposition);
                }
                _ => tracker.scraped(),
            });
            drop(exporter);
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Scrapes at an edge, and under load just before it; where the load stands still and statistics are told late, once more
    /// when they must be there.
    pub(super) async fn edge(&self, wants: &Wants, at: f64, still: bool) -> SourceReading {
        // An edge is announced a little ahead of its time.
        tokio::time::sleep(until(at - AHEAD)).await;
        let _turn = self.turn.lock().await;
        let _edge = Count::new(&self.edges);
        if !still && !until(at).is_zero() {
            // What is answered after the edge may hold what happened after it.
            match tokio::time::timeout(until(at), self.scrape()).await {
                Ok(Ok((time, exposition))) => self.with_tracker(|tracker| tracker.feed(wants, time, &exposition)),
                _ => self.with_tracker(Tracker::scraped),
            }
        }
        tokio::time::sleep(until(at)).await;
        let patience = at + if still { PATIENCE.1 } else { PATIENCE.0 };
        let mut reading = SourceReading { name: self.name.clone(), ..SourceReading::default() };
        loop {
            match self.scrape().await {
                Ok((time, exposition)) => {
                    let there = exposition.samples.iter().flat_map(|sample| wants.find(&sample.name, &sample.labels));
                    let late = at + wants.latest(there.map(|(item, _)| item)).as_secs_f64();
                    if still && time < late {
                        self.with_tracker(|tracker| tracker.feed(wants, time, &exposition));
                        tokio::time::sleep(until(late)).await;
                        continue;
                    }
                    reading.error = None;
                    let times = (time, unix(SystemTime::now()));
                    self.with_tracker(|tracker| tracker.feed_edge(wants, (at, still), times, &exposition, &mut reading));
                    return reading;
                }
                Err(error) => {
                    self.with_tracker(Tracker::scraped);
                    let hopeless = !error.may_pass();
                    reading.error = Some(error);
                    if hopeless || until(patience).is_zero() {
                        return reading;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    /// Whether it can be scraped; what it says is thrown away.
    pub(super) async fn try_once(&self) -> Result<(), SourceError> {
        self.scrape().await.map(drop)
    }

    /// One scrape and when it was asked for.
    async fn scrape(&self) -> Result<(f64, Exposition), SourceError> {
        // Text first: in OpenMetrics some libraries rename counters.
        let accept = HeaderValue::from_static("text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5");
        let asked = unix(SystemTime::now());
        let body = self.http.get(self.http.url(), &[(ACCEPT, accept)]).await?;
        let text = String::from_utf8_lossy(&body.bytes);
        match body.status {
            200 => {}
            status @ (401 | 403) => return Err(SourceError::Unauthorized { status }),
            status => return Err(SourceError::Status { status, message: self.http.excerpt(&text) }),
        }
        let kind = body.content_type.as_deref();
        let format = Format::of(kind).ok_or_else(|| {
            SourceError::NotText(format!("its content type is {}", self.http.excerpt(kind.unwrap_or_default())))
        })?;
        let text = std::str::from_utf8(&body.bytes).map_err(|_| SourceError::NotText("it is not UTF-8".into()))?;
        let exposition =
            Exposition::parse(text, format).map_err(|error| SourceError::NotText(self.http.excerpt(&error.to_string())))?;
        Ok((asked, exposition))
    }
}

/// Odd while a scrape at an edge is on its way.
struct Count<'a>(&'a AtomicU64);

impl<'a> Count<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
