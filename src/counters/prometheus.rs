//! A Prometheus server as a source: waits for samples past an edge, and asks PromQL. What it stored between two edges is
//! folded in `span`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::api::{Api, unix, until};
use super::error::SourceError;
use super::http::Access;
use super::increase::{At, Fold};
use super::intervals::Intervals;
use super::observe::Kind;
use super::presets::SERIES_TO_READ;
use super::report::{Point, SourceReading};
use super::select::{Best, Group, groups, keep, selector};
use super::want::Wants;

/// Scrape interval to assume while none could be found, in seconds.
pub(super) const ASSUMED_INTERVAL: f64 = 5.0;
/// How long after its scrape began a sample can be asked for, in seconds: the scrape itself and its storing.
pub(super) const STORING: f64 = 1.0;

/// How far back samples are read to learn how far apart they are, at first and where that doesn't do, in seconds.
const TO_LEARN: (f64, f64) = (60.0, 600.0);

/// A Prometheus server and what is known of it.
#[derive(Debug)]
pub(super) struct Prometheus {
    name: String,
    pub(super) api: Api,
    pub(super) intervals: Intervals,
    kinds: Mutex<HashMap<String, Option<Kind>>>,
}

/// What an edge looks like now.
struct View {
    points: Vec<Point>,
    /// Seconds until the next sample that is waited for should be there; none: all are.
    wait: Option<f64>,
}

impl Prometheus {
    pub(super) fn new(name: &str, access: Access) -> Self {
        Self { name: name.to_owned(), api: Api::new(access), intervals: Intervals::default(), kinds: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Seconds between samples, as far as it was learned; the longest of all jobs.
    pub(super) fn interval(&self) -> Option<f64> {
        self.intervals.longest()
    }

    /// Asks until each series that is alive has a sample at or after the edge, for two of its scrape intervals at most.
    pub(super) async fn edge(&self, wants: &Wants, at: f64, still: bool) -> SourceReading {
        let mut reading = SourceReading { name: self.name.clone(), ..SourceReading::default() };
        let mut left = Duration::MAX;
        loop {
            // One that doesn't answer is asked again, but not waited for beyond the end.
            let looked = tokio::time::timeout(left, self.look(wants, at, still, &mut reading)).await;
            let none = || reading.error.clone().unwrap_or(SourceError::Timeout { seconds: left.as_secs_f64().ceil() });
            let result = looked.unwrap_or_else(|_| Err(none()));
            let late = if still && result.is_ok() { wants.latest(0..wants.items.len()).as_secs_f64() } else { 0.0 };
            left = until(at + late + 2.0 * self.interval().unwrap_or(ASSUMED_INTERVAL) + STORING);
            let wait = match result {
                Ok(view) => {
                    reading.error = None;
                    reading.points = view.points;
                    let Some(wait) = view.wait else { break };
                    Duration::from_secs_f64(wait.clamp(0.1, 2.0))
                }
                Err(error) => {
                    let hopeless = !error.may_pass();
                    reading.error = Some(error);
                    if hopeless {
                        break;
                    }
                    Duration::from_millis(500)
                }
            };
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(wait.min(left)).await;
        }
        reading.interval = self.interval();
        reading
    }

    async fn look(&self, wants: &Wants, at: f64, still: bool, reading: &mut SourceReading) -> Result<View, SourceError> {
        (reading.ahead, reading.off) = self.api.ahead().await?;
        let now = unix(SystemTime::now()) + reading.ahead;
        let edge = at + reading.ahead;
        let mut view = View { points: Vec::new(), wait: None };
        let mut best = Best::default();
        reading.left_out.clear();
        let mut read = Vec::new();
        for group in groups(wants) {
            let names = self.bounded(&group, now, &mut reading.left_out, &mut reading.warnings).await?;
            if names.is_empty() {
                continue;
            }
            // What is scraped often needn't be read as far back as what is scraped seldom.
            let mut by_reach: BTreeMap<u64, Vec<String>> = BTreeMap::new();
            for name in names {
                let reach = self.intervals.of_metric(&name).map_or(TO_LEARN.0, |interval| 3.0 * interval);
                by_reach.entry(reach.ceil() as u64).or_default().push(name);
            }
            for (reach, mut names) in by_reach {
                let mut reach = reach as f64;
                while !names.is_empty() {
                    let answer = self.api.raw(&selector(&names, &group.matchers), now - edge + reach, now).await?;
                    keep(&mut reading.warnings, answer.warnings);
                    self.intervals.learn(&answer.data);
                    names.retain(|name| reach < TO_LEARN.1 && !self.intervals.knows(name, &answer.data));
                    read.extend(answer.data.into_iter().filter(|series| !names.contains(&series.metric)));
                    reach = TO_LEARN.1;
                }
            }
        }
        for series in &read {
            let interval = self.intervals.of(series).unwrap_or(ASSUMED_INTERVAL);
            for (item, rank) in wants.find(&series.metric, &series.labels) {
                let late = if still { wants.items[item].late.0.as_secs_f64() } else { 0.0 };
                let here = edge + late;
                let Some((last, _)) = series.samples.last() else { continue };
                // A series that isn't scraped any more isn't waited for.
                if *last < here && now - last < 2.5 * interval + STORING {
                    let next = (last + interval - now).max(here - now);
                    view.wait = Some(view.wait.map_or(next, |wait: f64| wait.min(next)));
                }
                let still_until = still.then_some(here + 2.0 * interval + STORING);
                let kind = wants.items[item].kind(None, &series.metric);
                let mut fold = Fold::new(kind, &[At { time: here, off: reading.off, still_until }]);
                for (time, value) in &series.samples {
                    fold.feed(*time, *value, false);
                }
                if let Some(cut) = fold.cut(0) {
                    best.add(item, rank, &series.metric);
                    let (metric, labels) = (series.metric.clone(), series.labels.clone());
                    view.points.push(Point { metric, labels, kind, cut, levels: None });
                }
            }
        }
        view.points.retain(|point| wants.find(&point.metric, &point.labels).any(|(item, _)| best.is(item, &point.metric)));
        view.points.dedup_by(|a, b| a.metric == b.metric && a.labels == b.labels);
        if read.is_empty() && !groups(wants).is_empty() {
            // Nothing there yet: a server that has just started scrapes soon.
            view.wait = Some(0.5);
        }
        Ok(view)
    }

    /// A group's names without those that have too many series.
    pub(super) async fn bounded(
        &self,
        group: &Group,
        at: f64,
        left_out: &mut Vec<(String, u64)>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<String>, SourceError> {
        let answer = self.api.counts(&selector(&group.names, &group.matchers), at).await?;
        keep(warnings, answer.warnings);
        let many: Vec<_> = answer.data.into_iter().filter(|(_, count)| *count > SERIES_TO_READ as u64).collect();
        let names = group.names.iter().filter(|name| !many.iter().any(|(many, _)| many == *name)).cloned().collect();
        left_out.extend(many);
        Ok(names)
    }

    /// What a metric is. A server that doesn't know, or doesn't say, leaves it to the name.
    pub(super) async fn kind_of(&self, wants: &Wants, item: usize, metric: &str) -> Kind {
        if let Some(kind) = wants.items[item].kind {
            return kind;
        }
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(metric).copied();
        let kind = match known {
            Some(kind) => kind,
            None => {
                let kind = self.api.kind(metric).await.unwrap_or_default();
                self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(metric.to_owned(), kind);
                kind
            }
        };
        wants.items[item].kind(kind, metric)
    }
}
