//! A Prometheus server as a source: waits for samples past an edge, and asks PromQL. What it stored between two edges is
//! folded in `span`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::api::{Api, unix};
use super::cut::At;
use super::error::{SourceError, note};
use super::http::Access;
use super::increase::Fold;
use super::intervals::{EVERY, Intervals};
use super::kind::MetricKind;
use super::labels::{Labels, NAME, label};
use super::presets::SERIES_TO_READ;
use super::report::{LeftOut, Point, SourceReading, Traffic};
use super::seen::{Seen, look};
use super::select::{Best, Group, groups, keep, selector};
use super::want::{Labelled, Wants};
use crate::base::AwayList;
use crate::measure::Clock;
use url::Url;

/// Scrape interval to assume while none could be found, in seconds.
pub(super) const ASSUMED_INTERVAL: f64 = 5.0;
/// How long after its scrape began a sample can be asked for, in seconds: the scrape itself and its storing.
pub(super) const STORING: f64 = 1.0;
/// How far back samples are read to learn how far apart they are, at first and where that doesn't do, in seconds.
const TO_LEARN: (f64, f64) = (60.0, 600.0);
/// How late a server's samples may be, in seconds: VictoriaMetrics holds them back for 30 s, others receive them from far away.
const MOST_LATE: f64 = 60.0;

/// How long after an edge a server that doesn't answer is asked again at least, in seconds: what it stored is as exact later.
const ANSWERS_WITHIN: f64 = 10.0;

/// A Prometheus server and what is known of it.
#[derive(Debug)]
pub(super) struct Prometheus {
    name: String,
    pub(super) api: Api,
    pub(super) intervals: Intervals,
    /// The age of the newest sample when there was the least of it: how late samples come, in seconds.
    lag: Mutex<Option<f64>>,
    /// By metric and job.
    kinds: Mutex<HashMap<(String, String), Option<MetricKind>>>,
    /// The series that plain selectors had so far: name and labels.
    pub(super) selected: Mutex<HashMap<String, BTreeSet<(String, Labels)>>>,
}

/// What an edge looks like now.
struct View {
    points: Vec<Point>,
    /// Seconds until the next sample that is waited for should be there; none: all are.
    wait: Option<f64>,
}

impl Prometheus {
    pub(super) fn new(name: &str, access: Access, clock: Clock) -> Self {
        Self {
            name: name.to_owned(),
            api: Api::new(access, clock),
            intervals: Intervals::default(),
            lag: Mutex::default(),
            kinds: Mutex::default(),
            selected: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(super) fn url(&self) -> &Url {
        self.api.address()
    }

    /// Looks now and then whether it answers, for as long as it is observed.
    pub(super) async fn watch(prometheus: Weak<Self>, away: Arc<AwayList>) {
        loop {
            let Some(prometheus) = prometheus.upgrade() else { return };
            let read = prometheus.api.ahead().await;
            note(&away, &prometheus.name, unix(prometheus.api.clock.now()), &read);
            drop(prometheus);
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Seconds between samples, as far as it was learned; the longest of all jobs.
    pub(super) fn interval(&self) -> Option<f64> {
        self.intervals.longest()
    }

    /// By how many seconds the times of samples are ahead of our clock, and how far that may be off.
    pub(super) async fn ahead(&self) -> Result<(f64, f64), SourceError> {
        let (ahead, off) = self.api.ahead().await?;
        Ok((ahead, off + self.api.rounding(self.interval().unwrap_or(ASSUMED_INTERVAL))))
    }

    /// How late samples come, as far as it was learned.
    pub(super) fn lag(&self) -> f64 {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
    }

    /// Looks once at what it has now, by its own rules, and notes it.
    pub(super) async fn try_once(&self, wants: &Wants, seen: &mut Seen) -> Result<(), SourceError> {
        let mut reading = SourceReading::default();
        let (ahead, _) = self.ahead().await?;
        let now = unix(self.api.clock.now()) + ahead;
        let (narrowed, labelled) = self.all_narrowed(wants, now, &mut reading).await?;
        for group in narrowed {
            let names: Vec<String> = group.names.into_iter().filter(|name| labelled.is_there(name)).collect();
            if names.is_empty() {
                continue;
            }
            for labels in self.api.instant(&selector(&names, &group.matchers), now).await? {
                let metric = label(&labels, NAME).to_owned();
                let labels = labels.into_iter().filter(|(label, _)| label != NAME).collect();
                wants.find_in(&labelled, &metric, &labels).for_each(|(item, _)| seen.add(wants, item, &labels));
            }
        }
        seen.look(&reading.looked);
        Ok(())
    }

    /// Asks until each series that is alive has a sample at or after the edge, for two of its scrape intervals at most. A server that
    /// doesn't answer is asked for [`ANSWERS_WITHIN`] at least.
    pub(super) async fn edge(&self, wants: &Wants, at: f64, traffic: Traffic) -> SourceReading {
        let still = traffic != Traffic::Flowing;
        // One more is waited for, which says whether others go on.
        let samples = if traffic == Traffic::Ended { 2 } else { 1 };
        let mut reading = SourceReading { name: self.name.clone(), ..SourceReading::default() };
        // Since when samples are waited for, and how long the server is asked again that doesn't answer.
        let (mut since, until) = (at, at + ANSWERS_WITHIN);
        let mut answers = Duration::MAX;
        loop {
            // One that doesn't answer is asked again, but not waited for beyond the end.
            let looked = tokio::time::timeout(answers, self.look(wants, at, (still, samples), &mut reading)).await;
            let none = || reading.error.clone().unwrap_or(SourceError::Timeout { seconds: answers.as_secs_f64().ceil() });
            let result = looked.unwrap_or_else(|_| Err(none()));
            let (late, samples) = match &result {
                Ok(_) if still => (wants.latest(0..wants.items.len()).as_secs_f64(), samples),
                Ok(_) => (0.0, samples),
                Err(_) => (0.0, 1),
            };
            if result.is_err() {
                since = unix(self.api.clock.now()).clamp(at, until);
            }
            let interval = self.interval().unwrap_or(ASSUMED_INTERVAL);
            let mut left = self.api.clock.until(since + late + (1 + samples) as f64 * interval + STORING + self.lag());
            answers = left.max(self.api.clock.until(until));
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
                    left = answers;
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

    async fn look(
        &self,
        wants: &Wants,
        at: f64,
        (still, samples): (bool, usize),
        reading: &mut SourceReading,
    ) -> Result<View, SourceError> {
        (reading.ahead, reading.off) = self.ahead().await?;
        let now = unix(self.api.clock.now()) + reading.ahead;
        let edge = at + reading.ahead;
        let mut view = View { points: Vec::new(), wait: None };
        let (mut best, mut found) = (Best::default(), Vec::new());
        let mut read = Vec::new();
        let (narrowed, labelled) = self.all_narrowed(wants, now, reading).await?;
        for group in narrowed {
            // Series that are scraped often need a shorter look back than others.
            let mut by_reach: BTreeMap<u64, Vec<String>> = BTreeMap::new();
            for name in group.names {
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
        let newest = read.iter().filter_map(|series| Some(series.samples.last()?.0)).max_by(f64::total_cmp);
        self.learn_lag(newest.map(|newest| now - newest));
        let lag = self.lag();
        for series in &read {
            let interval = self.intervals.of(series).unwrap_or(ASSUMED_INTERVAL);
            for (item, rank) in wants.find_in(&labelled, &series.metric, &series.labels) {
                let late = if still { wants.items[item].late.0.as_secs_f64() } else { 0.0 };
                // Where the load stands still, a sample that is surely past the edge comes soon enough.
                let here = edge + late + if still { reading.off } else { 0.0 };
                let Some((last, _)) = series.samples.last() else { continue };
                // A series that isn't scraped any more isn't waited for.
                let past = series.samples.iter().rev().take_while(|(time, _)| *time >= here).count();
                if past < samples && now - last < 2.5 * interval + STORING + lag {
                    let next = (last + interval + lag - now).max(here - now);
                    view.wait = Some(view.wait.map_or(next, |wait: f64| wait.min(next)));
                }
                let still_until = still.then_some(here + 2.0 * interval + STORING);
                let kind = wants.items[item].kind(None, &series.metric);
                let mut fold = Fold::new(kind, &[At { still_until, ..At::flowing(here, reading.off) }]);
                for (time, value) in &series.samples {
                    fold.feed(*time, *value, false);
                }
                if let Some(cut) = fold.cut(0) {
                    best.add(item, rank, &series.labels);
                    let (metric, labels) = (series.metric.clone(), series.labels.clone());
                    found.push((item, rank, Point { metric, labels, items: vec![item], kind, cut, levels: None, earlier: None }));
                }
            }
        }
        for (item, rank, point) in found {
            match view.points.last_mut() {
                _ if !best.is(item, rank, &point.labels) => {}
                // Two wants may ask for the same series.
                Some(last) if last.metric == point.metric && last.labels == point.labels => last.items.push(item),
                _ => view.points.push(point),
            }
        }
        if read.is_empty() && !groups(wants).is_empty() {
            // Nothing there yet: a server that has just started scrapes soon.
            view.wait = Some(0.5);
        }
        Ok(view)
    }

    /// Selectors for all that is wanted, and the labels that presets are narrowed by.
    async fn all_narrowed(
        &self,
        wants: &Wants,
        now: f64,
        reading: &mut SourceReading,
    ) -> Result<(Vec<Group>, Labelled), SourceError> {
        reading.left_out.clear();
        let (mut narrowed, mut labelled) = (Vec::new(), Labelled::default());
        for group in groups(wants) {
            let bounds = (&mut reading.left_out, &mut reading.warnings);
            narrowed.extend(self.narrowed(&group, now, bounds, &mut labelled).await?);
        }
        reading.looked = look(wants, &labelled, |_| BTreeSet::new());
        for looked in reading.looked.iter_mut().filter(|looked| !looked.there) {
            let items = wants.entries[looked.entry].items.iter();
            let names: Vec<String> = items.flat_map(|item| &wants.items[*item].names).cloned().collect();
            let one_each = format!("topk by (__name__) (1, {})", selector(&names, &[]));
            let labels = self.api.instant(&one_each, now).await?.into_iter().flatten().map(|(label, _)| label);
            looked.has = labels.filter(|label| label != NAME).collect();
        }
        Ok((narrowed, labelled))
    }

    /// Selectors for a group's series, without the names that have too many.
    pub(super) async fn narrowed(
        &self,
        group: &Group,
        at: f64,
        (left_out, warnings): (&mut Vec<LeftOut>, &mut Vec<String>),
        labelled: &mut Labelled,
    ) -> Result<Vec<Group>, SourceError> {
        let answer = self.api.counts(&group.widest(), at).await?;
        keep(warnings, answer.warnings);
        answer.data.iter().for_each(|(name, _)| labelled.found(name));
        let many: Vec<_> = answer.data.into_iter().filter(|(_, count)| *count > SERIES_TO_READ as u64).collect();
        let names = group.names.iter().filter(|name| !many.iter().any(|(many, _)| many == *name)).cloned();
        let names: Vec<String> = names.collect();
        left_out.extend(many.into_iter().map(|(metric, series)| LeftOut::Many { metric, series }));
        for (label, _) in group.matchers.iter().filter(|_| group.lenient && !names.is_empty()) {
            let having = self.api.counts(&Group::having(&names, label), at).await?.data;
            having.iter().for_each(|(name, _)| labelled.insert(name, label));
        }
        Ok(group.narrowed(&names, labelled))
    }

    /// Learns how late samples come from the age of the newest one. What is older than that is no news of a server that scrapes.
    fn learn_lag(&self, age: Option<f64>) {
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(age) = age.filter(|age| *age <= MOST_LATE) {
            *lag = Some(lag.map_or(age, |lag| lag.min(age)).max(0.0));
        }
    }

    /// What a metric is, and whether that is guessed: a server that doesn't know, or doesn't say, leaves it to the name.
    pub(super) async fn kind_of(&self, wants: &Wants, item: usize, metric: &str, labels: &Labels) -> (MetricKind, bool) {
        if let Some(kind) = wants.items[item].kind {
            return (kind, false);
        }
        let key = (metric.to_owned(), label(labels, "job").to_owned());
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let kind = match known {
            Some(kind) => kind,
            None => {
                let kind = self.api.kind(metric, &key.1).await.unwrap_or_default();
                self.keep_kind(key, kind);
                kind
            }
        };
        (wants.items[item].kind(kind, metric), wants.items[item].guessed(kind))
    }

    /// Keeps what was learned of a metric of a job.
    pub(super) fn keep_kind(&self, of: (String, String), kind: Option<MetricKind>) {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(of, kind);
    }
}
