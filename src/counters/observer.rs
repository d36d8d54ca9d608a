//! Reads the sources at each edge and reports what happened between two.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;

use super::api::unix;
use super::error::SourceError;
use super::exporter::Exporter;
use super::observe::{Observe, SourceKind};
use super::part::Between;
use super::part::SourceFindings;
use super::points::Answered;
use super::prometheus::Prometheus;
use super::query::Query;
use super::report::{Observed, Reading, SourceReading, Traffic};
use super::rows::assemble;
use super::seen::{Seen, mistakes};
use super::span::End;
use super::tracker;
use super::twice::of_one_address;
use super::want::Wants;
use crate::base::{Away, AwayList};
use crate::measure::Clock;

/// How often Prometheus is asked for a phase at most, and how long to wait before asking again.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);

/// Reads the sources of one plan. Cheap to share.
#[derive(Debug)]
pub struct Observer {
    wants: Arc<Wants>,
    sources: Vec<Reader>,
    watching: Once,
    away: Arc<AwayList>,
    /// What each source ever had; none: it could never be read.
    had: Mutex<Vec<Option<Seen>>>,
    /// When it began to observe, in Unix seconds: who went away before that isn't missed.
    begun: f64,
    clock: Clock,
}

#[derive(Debug)]
enum Reader {
    Prometheus(Arc<Prometheus>),
    Exporter(Arc<Exporter>),
}

/// A reading on its way, in the background. Dropping it gives it up.
#[derive(Debug)]
pub struct Edge {
    at: SystemTime,
    task: tokio::task::JoinHandle<Reading>,
}

impl Observer {
    /// An observer of these sources, which goes by this clock. Nothing is read yet.
    pub fn new(observe: Observe, clock: Clock) -> Arc<Self> {
        let wants = Arc::new(Wants::new(&observe));
        let sources = observe.sources.into_iter().map(|source| match source.kind {
            SourceKind::Prometheus => Reader::Prometheus(Arc::new(Prometheus::new(&source.name, source.access, clock))),
            SourceKind::Exporter => Reader::Exporter(Exporter::new(&source.name, source.access, clock)),
        });
        let sources: Vec<Reader> = sources.collect();
        let had = Mutex::new(vec![None; sources.len()]);
        Arc::new(Self { wants, sources, watching: Once::new(), away: Arc::default(), had, begun: unix(clock.now()), clock })
    }

    /// Asks each source once, all at the same time, and answers which of them can't be read, and why. What they have is noted: what goes
    /// away later is missed.
    pub async fn try_once(&self, within: Duration) -> Vec<(String, SourceError)> {
        let tries = self.sources.iter().enumerate().map(|(at, source)| async move {
            let mut seen = Seen::default();
            let (name, asked) = match source {
                Reader::Prometheus(prometheus) => {
                    (prometheus.name(), tokio::time::timeout(within, prometheus.try_once(&self.wants, &mut seen)).await)
                }
                Reader::Exporter(exporter) => {
                    (exporter.name(), tokio::time::timeout(within, exporter.try_once(&self.wants, &mut seen)).await)
                }
            };
            let error = asked.unwrap_or(Err(SourceError::Timeout { seconds: within.as_secs_f64() })).err();
            if error.is_none() {
                let mut all = self.had.lock().unwrap_or_else(PoisonError::into_inner);
                all[at].get_or_insert(seen);
            }
            Some((name.to_owned(), error?))
        });
        join_all(tries).await.into_iter().flatten().collect()
    }

    /// What the sources that could be read say of the profile: a preset is narrowed by a label that none of its metrics has. A source
    /// that is left out may have it.
    pub fn mistakes(&self) -> Vec<String> {
        if self.wants.incomplete {
            return Vec::new();
        }
        let all = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        mistakes(&self.wants, all.iter().flatten()).into_values().collect()
    }

    /// Starts to scrape exporters now and every 5 s, on the tokio runtime of the caller: restarts and peaks are seen, and so
    /// is what they said before the first edge. Prometheus is asked for the time as often: so it is seen when a source is away.
    pub fn watch(&self) {
        self.watching.call_once(|| {
            for source in &self.sources {
                let away = Arc::clone(&self.away);
                match source {
                    Reader::Exporter(exporter) => {
                        tokio::spawn(Exporter::watch(Arc::downgrade(exporter), Arc::clone(&self.wants), away));
                    }
                    Reader::Prometheus(prometheus) => {
                        tokio::spawn(Prometheus::watch(Arc::downgrade(prometheus), away));
                    }
                }
            }
        });
    }

    /// The sources that are away by the last look at them, and those that have come back since this was asked last.
    pub fn away(&self) -> Vec<Away> {
        self.away.take()
    }

    /// Starts reading at an edge, in the background, on the tokio runtime of the caller. Exporters are scraped at once (and
    /// from now on every 5 s); Prometheus is asked until every series has a sample at or after `at`, for two scrape intervals
    /// at most.
    pub fn edge(self: &Arc<Self>, at: SystemTime, traffic: Traffic) -> Edge {
        self.watch();
        let observer = Arc::clone(self);
        Edge { at, task: tokio::spawn(async move { observer.read(at, traffic).await }) }
    }

    async fn read(&self, at: SystemTime, traffic: Traffic) -> Reading {
        let (at, still) = (unix(at), traffic != Traffic::Flowing);
        let reads = self.sources.iter().map(|source| self.read_one(source, at, traffic));
        let sources = join_all(reads).await;
        Reading { at, still, ended: traffic == Traffic::Ended, done: unix(self.clock.now()), sources }
    }

    async fn read_one(&self, source: &Reader, at: f64, traffic: Traffic) -> SourceReading {
        match source {
            Reader::Prometheus(prometheus) => prometheus.edge(&self.wants, at, traffic).await,
            Reader::Exporter(exporter) => exporter.edge(&self.wants, at, traffic).await,
        }
    }

    /// Waits until every source has a sample past `at`, and reads it: for `settle: true`, and after the last phase.
    pub async fn settled(self: &Arc<Self>, at: SystemTime) -> Reading {
        self.edge(at, Traffic::Still).reading().await
    }

    /// What happened between two edges. `requests`: how many requests of the phase were answered or failed, for
    /// `per_request`.
    pub async fn between(&self, before: &Reading, after: &Reading, requests: u64) -> Observed {
        let parts = self.sources.iter().enumerate().map(|(at, source)| async move {
            // A reading that was given up has no sources.
            let empty = SourceReading::default();
            let (a, b) = (before.sources.get(at).unwrap_or(&empty), after.sources.get(at).unwrap_or(&empty));
            match source {
                Reader::Prometheus(prometheus) => {
                    let end = |reading: &Reading, source| {
                        let still_until = (reading.still && !reading.ended).then_some(reading.done);
                        End { at: reading.at, still_until, ended: reading.ended, reading: source }
                    };
                    let between = self.stored(prometheus, [end(before, a), end(after, b)]).await;
                    let name = prometheus.name().to_owned();
                    let had = self.had(at, [a, b], between.as_ref().ok());
                    let readings = [a.clone(), b.clone()];
                    SourceFindings { name, direct: None, targets: None, between, readings, had }
                }
                Reader::Exporter(exporter) => {
                    let error = a.error.clone().or_else(|| b.error.clone());
                    let between = tracker::between([a, b], before.at);
                    let (name, direct) = (exporter.name().to_owned(), Some(exporter.url().clone()));
                    let (readings, had) = ([a.clone(), b.clone()], self.had(at, [a, b], None));
                    SourceFindings { name, direct, targets: None, between: error.map_or(Ok(between), Err), readings, had }
                }
            }
        });
        let mut parts = join_all(parts).await;
        self.read_targets(&mut parts).await;
        let flowing = u8::from(!before.still) + u8::from(!after.still);
        assemble(&self.wants, parts, after.at - before.at, flowing, requests)
    }

    /// Asks a server for its targets where it may scrape what is read directly.
    async fn read_targets(&self, parts: &mut [SourceFindings]) {
        let direct: BTreeSet<usize> = parts.iter().filter(|part| part.direct.is_some()).flat_map(SourceFindings::items).collect();
        for (part, source) in parts.iter_mut().zip(&self.sources) {
            let Reader::Prometheus(prometheus) = source else { continue };
            if part.items().any(|item| direct.contains(&item)) {
                // One that doesn't say is compared by what it has.
                let targets = prometheus.api.targets().await.ok();
                part.targets = targets.map(|targets| of_one_address(prometheus.url(), targets));
            }
        }
    }

    /// What a source ever had, these readings and what lies between them included.
    fn had(&self, source: usize, readings: [&SourceReading; 2], between: Option<&Between>) -> Option<Seen> {
        let mut all = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        let had = all.get_mut(source)?;
        for reading in readings.into_iter().filter(|reading| reading.error.is_none() && !reading.name.is_empty()) {
            let had = had.get_or_insert_default();
            for point in &reading.points {
                point.items.iter().for_each(|item| had.add(&self.wants, *item, &point.labels));
            }
            reading.blank.iter().for_each(|blank| had.add(&self.wants, blank.item, &blank.labels));
            had.look(&reading.looked);
        }
        if let Some(between) = between {
            let had = had.get_or_insert_default();
            between.found.iter().for_each(|found| had.add(&self.wants, found.item, &found.labels));
            let since = self.begun + readings[1].ahead;
            let seen = between.gone.iter().filter(|(.., last)| *last >= since);
            seen.for_each(|(item, labels, _)| had.add(&self.wants, *item, labels));
        }
        had.clone()
    }

    /// What Prometheus stored, asked for again if it fails for a moment: later the phase could not be judged any more. One that
    /// could not be read at the last edge was waited for already.
    async fn stored(&self, prometheus: &Prometheus, ends: [End<'_>; 2]) -> Result<Between, SourceError> {
        let asked = async {
            let mut tries = 0;
            loop {
                let result = prometheus.between(&self.wants, ends).await;
                tries += 1;
                match &result {
                    Err(error) if tries < TRIES && error.may_pass() && !matches!(error, SourceError::Timeout { .. }) => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    _ => return result,
                }
            }
        };
        match &ends[1].reading.error {
            Some(error) if error.may_pass() => tokio::time::timeout(AGAIN, asked).await.unwrap_or_else(|_| Err(error.clone())),
            _ => asked.await,
        }
    }

    /// Whether there is a Prometheus server among the sources.
    pub fn has_prometheus(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Reader::Prometheus(_)))
    }

    /// Asks the profile's Prometheus server a query over stretches of time, the last one of which ends last.
    ///
    /// # Errors
    /// There is no Prometheus server among the sources, or it could not be asked.
    pub async fn query(&self, query: &Query, stretches: &[(SystemTime, SystemTime)]) -> Result<Answered, SourceError> {
        let server = self.sources.iter().find_map(|source| match source {
            Reader::Prometheus(prometheus) => Some(prometheus),
            Reader::Exporter(_) => None,
        });
        let server = server.ok_or_else(|| SourceError::Unreachable("`observe` has no `prometheus` to ask".into()))?;
        let stretches: Vec<(f64, f64)> = stretches.iter().map(|(from, to)| (unix(*from), unix(*to))).collect();
        server.ask(query, &stretches).await
    }
}

impl Edge {
    /// The reading, once it is there.
    pub async fn reading(mut self) -> Reading {
        match (&mut self.task).await {
            Ok(reading) => reading,
            // Only where the runtime is being shut down.
            Err(_) => Reading::none(self.at),
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.task.abort();
    }
}
