//! An exporter as a source: scraped at each edge, and every few seconds between, so that restarts and peaks are seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::header::ACCEPT;

use super::access::Access;
use super::api::{unix, until};
use super::error::SourceError;
use super::fetch::Fetch;
use super::observe::Kind;
use super::report::{Scraped, SourceReading};
use super::text::{Exposition, Format};
use super::tracker::Tracker;
use super::want::Wants;

/// How often an exporter is scraped between edges.
const EVERY: Duration = Duration::from_secs(5);
/// How long a scrape at an edge is tried again while the load goes on, and while it stands still; in seconds.
const PATIENCE: (f64, f64) = (2.0, 10.0);

/// An exporter and what was read of it so far.
#[derive(Debug)]
pub(super) struct Exporter {
    name: String,
    access: Access,
    fetch: Fetch,
    /// Counts scrapes at edges as they begin and end: one between edges that met one is thrown away.
    edges: AtomicU64,
    /// Edges are scraped one after the other.
    turn: tokio::sync::Mutex<()>,
    tracker: Mutex<Tracker>,
}

impl Exporter {
    pub(super) fn new(name: &str, access: Access, life: u64) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            fetch: Fetch::new(access.clone()),
            access,
            edges: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(()),
            tracker: Mutex::new(Tracker::new(life)),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a metric is, as told by the exporter.
    pub(super) fn kind_of(&self, metric: &str) -> Option<Kind> {
        self.with_tracker(|tracker| tracker.kind_of(metric))
    }

    fn with_tracker<T>(&self, work: impl FnOnce(&mut Tracker) -> T) -> T {
        work(&mut self.tracker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Scrapes between edges for as long as the exporter is observed.
    pub(super) async fn watch(exporter: Weak<Self>, wants: Arc<Wants>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(exporter) = exporter.upgrade() else { return };
            let edges = exporter.edges.load(Ordering::SeqCst);
            let scrape = exporter.scrape().await;
            exporter.with_tracker(|tracker| match scrape {
                // A failure between edges is told by the edges, if it lasts.
                Ok((time, exposition)) if edges % 2 == 0 && exporter.edges.load(Ordering::SeqCst) == edges => {
                    tracker.feed(&wants, time, &exposition);
                }
                _ => tracker.scraped(),
            });
        }
    }

    /// Scrapes at an edge; where the load stands still and statistics are told late, once more when they must be there.
    pub(super) async fn edge(&self, wants: &Wants, at: f64, still: bool) -> SourceReading {
        // An edge is announced a little ahead of its time.
        tokio::time::sleep(until(at)).await;
        let _turn = self.turn.lock().await;
        let _edge = Count::new(&self.edges);
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
                    self.with_tracker(|tracker| {
                        tracker.feed(wants, time, &exposition);
                        tracker.cut(wants, &mut reading, unix(SystemTime::now()) - at);
                    });
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

    /// One scrape and when it was asked for.
    async fn scrape(&self) -> Result<(f64, Exposition), SourceError> {
        // Text first: in OpenMetrics some libraries rename counters.
        let accept = HeaderValue::from_static("text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5");
        let asked = unix(SystemTime::now());
        let body = self.fetch.get_as(self.access.url(), &[(ACCEPT, accept)]).await?;
        let text = String::from_utf8_lossy(&body.bytes);
        match body.status {
            200 => {}
            status @ (401 | 403) => return Err(SourceError::Unauthorized { status }),
            status => return Err(SourceError::Status { status, message: self.fetch.excerpt(&text) }),
        }
        let kind = body.content_type.as_deref();
        let format = Format::of(kind).ok_or_else(|| {
            SourceError::NotText(format!("its content type is {}", self.fetch.excerpt(kind.unwrap_or_default())))
        })?;
        let text = std::str::from_utf8(&body.bytes).map_err(|_| SourceError::NotText("it is not UTF-8".into()))?;
        let exposition =
            Exposition::parse(text, format).map_err(|error| SourceError::NotText(self.fetch.excerpt(&error.to_string())))?;
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

/// What an exporter accumulated between two readings of the same life; nothing where a restart of ours lies between.
pub(super) fn same_life<'a>(before: &'a SourceReading, after: &'a SourceReading) -> Option<(&'a Scraped, &'a Scraped)> {
    let pair = before.scraped.as_ref().zip(after.scraped.as_ref())?;
    (pair.0.life == pair.1.life).then_some(pair)
}
