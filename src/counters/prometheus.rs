//! A Prometheus server as a source: waits for samples past an edge, and asks PromQL. What it stored between two edges is
//! folded in `span`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::api::{Api, Series, unix, until};
use super::error::SourceError;
use super::http::Access;
use super::increase::{At, Fold};
use super::meter::Meter;
use super::observe::Kind;
use super::observer::Traffic;
use super::presets::SERIES_TO_READ;
use super::report::{Point, SourceReading, ValueSeries};
use super::select::{Best, Group, groups, keep};
use super::want::{Labelled, Wants};

/// Scrape interval to assume while none could be found, in seconds.
pub(super) const ASSUMED_INTERVAL: f64 = 5.0;
/// How long after its scrape began a sample can be asked for, in seconds: the scrape itself and its storing.
pub(super) const STORING: f64 = 1.0;
/// How late a server's samples may be, in seconds: VictoriaMetrics holds them back for 30 s, others receive them from far away.
const MOST_LATE: f64 = 60.0;
/// VictoriaMetrics repeats older points in place of those of the last 30 s; in seconds.
const HELD_BACK: f64 = 31.0;
/// Most points of a range query that Prometheus gives.
const POINTS_OF_A_RANGE: f64 = 10_000.0;

/// A Prometheus server and what is known of it.
#[derive(Debug)]
pub(super) struct Prometheus {
    name: String,
    pub(super) api: Api,
    /// The spacing of samples in the last answer that showed one, in seconds.
    interval: Mutex<Option<f64>>,
    /// The age of the newest sample when there was the least of it: how late samples come, in seconds.
    lag: Mutex<Option<f64>>,
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
        Self {
            name: name.to_owned(),
            api: Api::new(access),
            interval: Mutex::default(),
            lag: Mutex::default(),
            kinds: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Seconds between samples, as far as it was learned.
    pub(super) fn interval(&self) -> Option<f64> {
        *self.interval.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By how many seconds the times of samples are ahead of our clock, and how far that may be off.
    pub(super) async fn ahead(&self) -> Result<(f64, f64), SourceError> {
        let (ahead, off) = self.api.ahead().await?;
        Ok((ahead, off + self.api.rounding(self.interval().unwrap_or(ASSUMED_INTERVAL))))
    }

    /// How late samples come, as far as it was learned.
    fn lag(&self) -> f64 {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
    }

    /// Asks until each series that is alive has a sample at or after the edge, for two scrape intervals at most.
    pub(super) async fn edge(&self, wants: &Wants, at: f64, traffic: Traffic) -> SourceReading {
        let still = traffic != Traffic::Flowing;
        // One more is waited for, which says whether others go on.
        let samples = if traffic == Traffic::Ended { 2 } else { 1 };
        let mut reading = SourceReading { name: self.name.clone(), ..SourceReading::default() };
        loop {
            let result = self.look(wants, at, (still, samples), &mut reading).await;
            let late = if still { wants.latest(0..wants.items.len()).as_secs_f64() } else { 0.0 };
            let left =
                until(at + late + (1 + samples) as f64 * self.interval().unwrap_or(ASSUMED_INTERVAL) + STORING + self.lag());
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

    async fn look(
        &self,
        wants: &Wants,
        at: f64,
        (still, samples): (bool, usize),
        reading: &mut SourceReading,
    ) -> Result<View, SourceError> {
        (reading.ahead, reading.off) = self.ahead().await?;
        let now = unix(SystemTime::now()) + reading.ahead;
        let edge = at + reading.ahead;
        let mut view = View { points: Vec::new(), wait: None };
        let (mut best, mut found) = (Best::default(), Vec::new());
        reading.left_out.clear();
        let (mut read, mut selectors, mut labelled) = (Vec::new(), Vec::new(), Labelled::default());
        for group in groups(wants) {
            let bounds = (&mut reading.left_out, &mut reading.warnings);
            selectors.extend(self.selectors(&group, now, bounds, &mut labelled).await?);
        }
        for selector in selectors {
            let mut back = self.interval().map_or(60.0, |interval| 3.0 * interval);
            loop {
                let answer = self.api.raw(&selector, now - edge + back, now).await?;
                keep(&mut reading.warnings, answer.warnings);
                self.learn(&answer.data);
                if self.interval().is_some() || back > 60.0 {
                    read.extend(answer.data);
                    break;
                }
                back = 300.0;
            }
        }
        let newest = read.iter().filter_map(|series| Some(series.samples.last()?.0)).max_by(f64::total_cmp);
        self.learn_lag(newest.map(|newest| now - newest));
        let (interval, lag) = (self.interval().unwrap_or(ASSUMED_INTERVAL), self.lag());
        for series in &read {
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
                    found.push((item, rank, Point { metric, labels, items: vec![item], kind, cut, levels: None }));
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

    /// Selectors for a group's series, without the names that have too many.
    pub(super) async fn selectors(
        &self,
        group: &Group,
        at: f64,
        (left_out, warnings): (&mut Vec<(String, u64)>, &mut Vec<String>),
        labelled: &mut Labelled,
    ) -> Result<Vec<String>, SourceError> {
        let answer = self.api.counts(&group.widest(), at).await?;
        keep(warnings, answer.warnings);
        let many: Vec<_> = answer.data.into_iter().filter(|(_, count)| *count > SERIES_TO_READ as u64).collect();
        let names = group.names.iter().filter(|name| !many.iter().any(|(many, _)| many == *name)).cloned();
        let names: Vec<String> = names.collect();
        left_out.extend(many);
        for (label, _) in group.matchers.iter().filter(|_| group.lenient && !names.is_empty()) {
            let having = self.api.counts(&Group::having(&names, label), at).await?.data;
            having.iter().for_each(|(name, _)| labelled.insert(name, label));
        }
        Ok(group.selectors(&names, labelled))
    }

    /// Learns how late samples come from the age of the newest one. What is older than that is no news of a server that scrapes.
    fn learn_lag(&self, age: Option<f64>) {
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(age) = age.filter(|age| *age <= MOST_LATE) {
            *lag = Some(lag.map_or(age, |lag| lag.min(age)).max(0.0));
        }
    }

    /// Learns the scrape interval from the samples' spacing: the longest of the series' medians.
    fn learn(&self, series: &[Series]) {
        let medians = series.iter().filter_map(|series| spacing(&series.samples));
        if let Some(found) = medians.max_by(f64::total_cmp) {
            *self.interval.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        }
    }

    /// What a metric is, and whether that is guessed: a server that doesn't know, or doesn't say, leaves it to the name.
    pub(super) async fn kind_of(&self, wants: &Wants, item: usize, metric: &str) -> (Kind, bool) {
        if let Some(kind) = wants.items[item].kind {
            return (kind, false);
        }
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(metric).copied();
        let kind = match known {
            Some(kind) => kind,
            None => {
                let kind = self.api.kind(metric).await.unwrap_or_default();
                self.keep_kind(metric, kind);
                kind
            }
        };
        (wants.items[item].kind(kind, metric), wants.items[item].guessed(kind))
    }

    /// Keeps what was learned of a metric.
    pub(super) fn keep_kind(&self, metric: &str, kind: Option<Kind>) {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(metric.to_owned(), kind);
    }

    /// A range query over a phase: what each series came to.
    pub(super) async fn query(&self, promql: &str, from: f64, to: f64, step: f64) -> Result<Vec<ValueSeries>, SourceError> {
        let (ahead, _) = self.api.ahead().await?;
        if self.api.is_victoria() {
            tokio::time::sleep(until(to + HELD_BACK)).await;
        }
        let step = step.max((to - from) / POINTS_OF_A_RANGE).max(0.001);
        let answer = self.api.range(promql, from + ahead, to + ahead, step).await?;
        answer.data.into_iter().map(value_of).collect()
    }
}

/// A series of a range query as a value; NaN where it never had a number.
fn value_of(series: Series) -> Result<ValueSeries, SourceError> {
    if series.histogram && series.samples.is_empty() {
        let message = "it gives native histograms; wrap it in histogram_quantile() or histogram_count()".to_owned();
        return Err(SourceError::Query { status: 200, kind: "histogram".into(), message });
    }
    let mut meter = Meter::default();
    series.samples.iter().for_each(|(_, value)| meter.add(*value));
    let last = series.samples.iter().rev().map(|(_, value)| *value).find(|value| !value.is_nan()).unwrap_or(f64::NAN);
    let (min, max, avg) = meter.levels().map_or((f64::NAN, f64::NAN, f64::NAN), |l| (l.min, l.max, l.avg));
    let mut labels = series.labels;
    if !series.metric.is_empty() {
        labels.insert(0, ("__name__".to_owned(), series.metric));
    }
    Ok(ValueSeries { min, max, avg, ..ValueSeries::exact(labels, last) })
}

/// The median distance of samples, in seconds.
fn spacing(samples: &[(f64, f64)]) -> Option<f64> {
    let mut gaps: Vec<f64> = samples.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|gap| *gap > 0.0).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_median_of_the_spacing() {
        assert_eq!(spacing(&[(0.0, 1.0)]), None);
        // One scrape was missed.
        assert_eq!(spacing(&[(0.0, 1.0), (5.0, 1.0), (10.0, 1.0), (20.0, 1.0), (25.0, 1.0)]), Some(5.0));
    }

    #[test]
    fn a_range_is_summed_up_and_nan_is_no_number() {
        let series = |samples| Series { metric: String::new(), labels: Vec::new(), samples, histogram: false };
        let nan = f64::NAN;
        let got = value_of(series(vec![(0.0, nan), (1.0, 3.0), (2.0, 1.0), (3.0, nan)])).unwrap();
        assert_eq!((got.value, got.min, got.max, got.avg), (1.0, 1.0, 3.0, 2.0));
        assert!(value_of(series(vec![(0.0, nan)])).unwrap().max.is_nan());
    }
}
