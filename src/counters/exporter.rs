//! An exporter as a source: scraped at each edge, and every few seconds between, so that restarts and peaks are seen.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT;
use url::Url;

use super::api::unix;
use super::error::{SourceError, note};
use super::http::{Access, Http};
use super::intervals::EVERY;
use super::labels::Labels;
use super::report::{SourceReading, Traffic};
use super::seen::Seen;
use super::text::{Exposition, Format, Odd, Sample};
use super::tracker::{Tracker, looked};
use super::want::{Labelled, Wants};
use crate::base::AwayList;
use crate::measure::Clock;

/// How long a scrape at an edge is tried again while the load goes on, and while it stands still; in seconds.
const PATIENCE: (f64, f64) = (2.0, 10.0);
/// How old samples that bear a time of their own may be for an edge to wait for one past it, in seconds: cAdvisor's and those of
/// a federating Prometheus are up to a minute old.
const OWN_TIME: f64 = 60.0;
/// How long to wait between scrapes for that.
const AGAIN: Duration = Duration::from_secs(1);
/// How long before an edge under load the exporter is scraped too, in seconds: what happens around the edge is then known to
/// that. Edges are announced about 0.1 s ahead.
const AHEAD: f64 = 0.2;
/// An answer that comes so late behind the last edge may hold what others did by then, in seconds.
const SLOW: f64 = 0.1;
/// So many seconds before the late statistics must be there the exporter is asked, to see whether they stand still.
const STILL: f64 = 1.0;

/// An exporter and what was read of it so far.
#[derive(Debug)]
pub(super) struct Exporter {
    /// What "now" is.
    clock: Clock,
    name: String,
    http: Http,
    /// Counts scrapes at edges as they begin and end: one between edges that met one is thrown away.
    edges: AtomicU64,
    /// Edges are scraped one after the other.
    turn: tokio::sync::Mutex<()>,
    /// The last scrape between edges. It is taken in when the next one comes: an edge that it met may be announced after it.
    held: Mutex<Option<Scrape>>,
    tracker: Mutex<Tracker>,
}

/// What it said, at some time between these two (Unix seconds).
#[derive(Debug)]
struct Scrape {
    asked: f64,
    answered: f64,
    exposition: Exposition,
}

impl Exporter {
    pub(super) fn new(name: &str, access: Access, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            name: name.to_owned(),
            http: Http::new(access),
            edges: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(()),
            held: Mutex::default(),
            tracker: Mutex::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(super) fn url(&self) -> &Url {
        self.http.url()
    }

    fn with_tracker<T>(&self, work: impl FnOnce(&mut Tracker) -> T) -> T {
        work(&mut self.tracker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Scrapes now and then between edges for as long as the exporter is observed.
    pub(super) async fn watch(exporter: Weak<Self>, wants: Arc<Wants>, away: Arc<AwayList>) {
        loop {
            let Some(exporter) = exporter.upgrade() else { return };
            exporter.scrape_between(&wants, Some(&away)).await;
            drop(exporter);
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Scrapes at an edge, and under load just before it; where the load stands still and statistics are reported late, once more
    /// when they must be there.
    pub(super) async fn edge(&self, wants: &Wants, at: f64, traffic: Traffic) -> SourceReading {
        let mut reading = self.edge_of_scrapes(wants, at, traffic).await;
        // Other edges may come meanwhile.
        let age = self.with_tracker(|tracker| tracker.age(at)).filter(|age| *age <= OWN_TIME);
        let patience = at + 1.5 * age.unwrap_or_default() + PATIENCE.0 + AGAIN.as_secs_f64();
        while age.is_some() && self.with_tracker(|tracker| tracker.age(at).is_some()) && !self.clock.until(patience).is_zero() {
            tokio::time::sleep(AGAIN).await;
            self.scrape_between(wants, None).await;
        }
        self.with_tracker(|tracker| tracker.late(at, &mut reading));
        reading
    }

    /// A scrape between edges. One that met an edge is thrown away, and a failure is reported by the edges, if it lasts.
    pub(super) async fn scrape_between(&self, wants: &Wants, away: Option<&AwayList>) {
        let edges = self.edges.load(Ordering::SeqCst);
        let scrape = self.scrape().await;
        if let Some(away) = away {
            note(away, &self.name, unix(self.clock.now()), &scrape);
        }
        // An edge takes what is held after it has counted itself.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match scrape {
            Ok(mut scrape) if edges.is_multiple_of(2) && self.edges.load(Ordering::SeqCst) == edges => {
                scrape.exposition.samples.retain(|sample| wants.reads(&sample.name));
                let earlier = held.replace(scrape);
                self.take_in(wants, earlier, |_| true);
            }
            _ => self.with_tracker(Tracker::scraped),
        }
    }

    /// Takes in a scrape between edges, or throws it away.
    fn take_in(&self, wants: &Wants, scrape: Option<Scrape>, right: impl FnOnce(&Scrape) -> bool) {
        self.with_tracker(|tracker| match scrape {
            Some(scrape) if right(&scrape) => tracker.feed(wants, scrape.asked, &scrape.exposition),
            Some(_) => tracker.scraped(),
            None => {}
        });
    }

    async fn edge_of_scrapes(&self, wants: &Wants, at: f64, traffic: Traffic) -> SourceReading {
        let (still, ended) = (traffic != Traffic::Flowing, traffic == Traffic::Ended);
        // An edge is announced a little ahead of its time.
        tokio::time::sleep(self.clock.until(at - AHEAD)).await;
        let _turn = self.turn.lock().await;
        let _edge = Count::new(&self.edges);
        // Under load, what is answered after the edge may hold what happened after it.
        let before = |scrape: &Scrape| traffic == Traffic::Still || scrape.answered <= at;
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.take_in(wants, held, before);
        if !still && !self.clock.until(at).is_zero() {
            match tokio::time::timeout(self.clock.until(at), self.scrape()).await {
                Ok(Ok(scrape)) => self.take_in(wants, Some(scrape), before),
                _ => self.with_tracker(Tracker::scraped),
            }
        }
        tokio::time::sleep(self.clock.until(at)).await;
        let patience = at + if still { PATIENCE.1 } else { PATIENCE.0 };
        let mut reading = SourceReading { name: self.name.clone(), ..SourceReading::default() };
        loop {
            match self.scrape().await {
                Ok(Scrape { asked: time, answered, exposition }) => {
                    let there = exposition.samples.iter().flat_map(|sample| wants.find(&sample.name, &sample.labels));
                    let late = at + wants.latest(there.map(|(item, _)| item)).as_secs_f64();
                    if still && time < late {
                        self.with_tracker(|tracker| tracker.feed_prompt(wants, (at, ended), time, &exposition));
                        let next = if time < late - STILL { late - STILL } else { late };
                        tokio::time::sleep(self.clock.until(next)).await;
                        continue;
                    }
                    reading.error = None;
                    if ended && answered - at > SLOW {
                        let again = self.scrape().await.ok();
                        let moving = moving(wants, &exposition, again.as_ref().map(|again| &again.exposition));
                        self.with_tracker(|tracker| tracker.others_go_on(moving));
                    }
                    self.with_tracker(|tracker| tracker.feed_edge(wants, (at, still), time, &exposition, &mut reading));
                    return reading;
                }
                Err(error) => {
                    self.with_tracker(Tracker::scraped);
                    let hopeless = !error.may_pass();
                    reading.error = Some(error);
                    if hopeless || self.clock.until(patience).is_zero() {
                        self.with_tracker(Tracker::give_up);
                        return reading;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    /// Scrapes it once, and notes what it has. Where the exporter is too slow to be read just before the first edge, this says what it had before.
    pub(super) async fn try_once(&self, wants: &Wants, seen: &mut Seen) -> Result<(), SourceError> {
        let Scrape { asked, exposition, .. } = self.scrape().await?;
        self.with_tracker(|tracker| tracker.feed(wants, asked, &exposition));
        let mut labelled = Labelled::default();
        exposition.samples.iter().for_each(|sample| labelled.add(wants, &sample.name, &sample.labels));
        for sample in &exposition.samples {
            wants.find_in(&labelled, &sample.name, &sample.labels).for_each(|(item, _)| seen.add(wants, item, &sample.labels));
        }
        seen.look(&looked(wants, &exposition));
        Ok(())
    }

    /// One scrape.
    async fn scrape(&self) -> Result<Scrape, SourceError> {
        // Text first: in OpenMetrics some libraries rename counters.
        let accept = HeaderValue::from_static("text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5");
        let asked = unix(self.clock.now());
        let body = self.http.get(self.http.url(), &[(ACCEPT, accept)]).await?;
        let answered = unix(self.clock.now());
        let text = String::from_utf8_lossy(&body.bytes);
        match body.status {
            200 => {}
            status @ (401 | 403) => {
                return Err(SourceError::Unauthorized { status, message: self.http.excerpt(&text) });
            }
            status => return Err(SourceError::Status { status, message: self.http.excerpt(&text) }),
        }
        let kind = body.content_type.as_deref();
        let format = Format::of(kind);
        let odd_kind = || format!("its content type is {}", self.http.excerpt(kind.unwrap_or_default()));
        let parsed = Exposition::parse(&text, format.unwrap_or(Format::Text));
        match (parsed, format) {
            (Ok(mut exposition), None) if !exposition.samples.is_empty() => {
                exposition.odd.push(Odd { line: 0, message: odd_kind(), lost: None });
                Ok(Scrape { asked, answered, exposition })
            }
            (_, None) => Err(SourceError::NotText(odd_kind())),
            (Ok(mut exposition), Some(_)) => {
                if !exposition.odd.is_empty() {
                    exposition.shorten(self.http.excerpts());
                }
                Ok(Scrape { asked, answered, exposition })
            }
            (Err(error), Some(_)) => Err(SourceError::NotText(self.http.excerpt(&error.to_string()))),
        }
    }
}

/// The series that move from one scrape to the next; all of them where the second one failed.
fn moving(wants: &Wants, first: &Exposition, second: Option<&Exposition>) -> HashSet<(String, Labels)> {
    let values: HashMap<(&str, &Labels), f64> = second
        .into_iter()
        .flat_map(|second| &second.samples)
        .map(|sample| ((&*sample.name, &sample.labels), sample.value))
        .collect();
    let moves = |sample: &&Sample| {
        wants.reads(&sample.name) && values.get(&(&*sample.name, &sample.labels)).is_none_or(|value| *value != sample.value)
    };
    first.samples.iter().filter(moves).map(|sample| (sample.name.clone(), sample.labels.clone())).collect()
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
