//! A Prometheus server as a source: waits for samples past an edge, and folds the raw samples between two edges.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::access::Access;
use super::api::{Api, Series, unix, until};
use super::error::SourceError;
use super::increase::{At, Fold};
use super::observe::Kind;
use super::presets::SERIES_OF_A_METRIC;
use super::report::{Labels, Point, SourceReading, ValueSeries};
use super::starts::Starts;
use super::values::{Found, LevelMeters};
use super::want::Wants;

/// Scrape interval to assume while none could be found, in seconds.
const ASSUMED_INTERVAL: f64 = 5.0;
/// How long after its scrape began a sample can be asked for, in seconds: the scrape itself and its storing.
const STORING: f64 = 1.0;
/// Samples to ask for at once: some megabytes of JSON.
const SAMPLES_AT_ONCE: f64 = 100_000.0;
/// Most points of a range query that Prometheus gives.
const POINTS_OF_A_RANGE: f64 = 10_000.0;

/// A Prometheus server and what is known of it.
#[derive(Debug)]
pub(super) struct Prometheus {
    name: String,
    api: Api,
    /// The longest spacing of samples that was seen, in seconds.
    interval: Mutex<Option<f64>>,
    kinds: Mutex<HashMap<String, Option<Kind>>>,
}

/// What happened between two edges.
#[derive(Debug, Default)]
pub(super) struct Between {
    pub(super) found: Vec<Found>,
    pub(super) levels: Vec<super::values::LevelOf>,
    pub(super) left_out: Vec<(String, u64)>,
    pub(super) warnings: Vec<String>,
    pub(super) interval: Option<f64>,
}

/// What an edge looks like now.
struct View {
    points: Vec<Point>,
    /// Seconds until the next sample that is waited for should be there; none: all are.
    wait: Option<f64>,
}

impl Prometheus {
    pub(super) fn new(name: &str, access: Access) -> Self {
        Self { name: name.to_owned(), api: Api::new(access), interval: Mutex::default(), kinds: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn interval(&self) -> Option<f64> {
        *self.interval.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until each series that is alive has a sample at or after the edge, for two scrape intervals at most.
    pub(super) async fn edge(&self, wants: &Wants, at: f64, still: bool) -> SourceReading {
        let mut reading = SourceReading { name: self.name.clone(), ..SourceReading::default() };
        loop {
            let result = self.look(wants, at, still, &mut reading).await;
            let late = if still { wants.latest(0..wants.items.len()).as_secs_f64() } else { 0.0 };
            let left = until(at + late + 2.0 * self.interval().unwrap_or(ASSUMED_INTERVAL) + STORING);
            let wait = match result {
                Ok(view) => {
                    reading.error = None;
                    reading.points = view.points;
                    let Some(wait) = view.wait else { break };
                    Duration::from_secs_f64(wait.clamp(0.1, 2.0))
                }
                Err(error) => {
                    let hopeless = matches!(error, SourceError::Unauthorized { .. } | SourceError::NotPrometheus(_));
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
        reading.ahead = self.api.ahead().await?;
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
            let selector = selector(&names, &group.matchers);
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
        let interval = self.interval().unwrap_or(ASSUMED_INTERVAL);
        for series in &read {
            for (item, rank) in wants.find(&series.metric, &series.labels) {
                let late = if still { wants.items[item].late.0.as_secs_f64() } else { 0.0 };
                let here = edge + late;
                let Some((last, _)) = series.samples.last() else { continue };
                // A series that isn't scraped any more isn't waited for.
                if *last < here && now - last < 2.5 * interval + STORING {
                    let next = (last + interval - now).max(here - now);
                    view.wait = Some(view.wait.map_or(next, |wait: f64| wait.min(next)));
                }
                let cut = At { time: here, still_until: still.then_some(here + 2.0 * interval + STORING) };
                let mut fold = Fold::new(wants.items[item].kind(None, &series.metric), cut, cut);
                series.samples.iter().for_each(|(time, value)| fold.feed(*time, *value, false));
                if let Some(value) = fold.finish().before {
                    best.add(item, rank, &series.metric);
                    let (metric, labels) = (series.metric.clone(), series.labels.clone());
                    view.points.push(Point { metric, labels, value, counted: None });
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
    async fn bounded(
        &self,
        group: &Group,
        at: f64,
        left_out: &mut Vec<(String, u64)>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<String>, SourceError> {
        let answer = self.api.counts(&selector(&group.names, &group.matchers), at).await?;
        keep(warnings, answer.warnings);
        let many: Vec<_> = answer.data.into_iter().filter(|(_, count)| *count > SERIES_OF_A_METRIC as u64).collect();
        let names = group.names.iter().filter(|name| !many.iter().any(|(many, _)| many == *name)).cloned().collect();
        left_out.extend(many);
        Ok(names)
    }

    /// Learns the scrape interval from the samples' spacing: the longest of the series' medians.
    fn learn(&self, series: &[Series]) {
        let medians = series.iter().filter_map(|series| spacing(&series.samples));
        if let Some(found) = medians.max_by(f64::total_cmp) {
            *self.interval.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        }
    }

    /// Folds the raw samples between two edges, a bounded number at a time.
    pub(super) async fn between(
        &self,
        wants: &Wants,
        edges: [(f64, bool); 2],
        readings: [&SourceReading; 2],
    ) -> Result<Between, SourceError> {
        let [before, after] = readings;
        let ahead = self.api.ahead().await?;
        let interval = after.interval.or(before.interval).or(self.interval()).unwrap_or(ASSUMED_INTERVAL);
        // An edge whose reading failed knows nothing of the clocks.
        let clock = |reading: &SourceReading| if reading.error.is_none() { reading.ahead } else { ahead };
        let (from, to) = (edges[0].0 + clock(before), edges[1].0 + clock(after));
        let cut = |time: f64, still: bool, late: f64| {
            let time = if still { time + late } else { time };
            At { time, still_until: still.then_some(time + 2.0 * interval + STORING) }
        };
        let mut out = Between { interval: self.interval(), ..Between::default() };
        let mut folds: BTreeMap<(usize, usize, String, Labels), (Kind, Fold)> = BTreeMap::new();
        let mut starts = Starts::default();
        let mut meters = LevelMeters::default();
        let latest = wants.latest(0..wants.items.len()).as_secs_f64();
        let begin = from - 3.0 * interval - STORING;
        let end = (to + latest + 2.0 * interval + STORING).min(unix(SystemTime::now()) + ahead);
        let mut selectors = Vec::new();
        for group in groups(wants) {
            let names = self.bounded(&group, end, &mut out.left_out, &mut out.warnings).await?;
            if !names.is_empty() {
                selectors.push(selector(&names, &group.matchers));
            }
        }
        let start_selectors = start_selectors(wants);
        let series = before.points.len().max(after.points.len()).max(20) as f64;
        let length = (SAMPLES_AT_ONCE / series * interval).max(2.0 * interval);
        let mut at = begin;
        while at < end {
            let until = (at + length).min(end);
            for selector in &start_selectors {
                let answer = self.api.raw(selector, until - at, until).await?;
                keep(&mut out.warnings, answer.warnings);
                answer.data.iter().for_each(|series| starts.feed(series));
            }
            for selector in &selectors {
                let answer = self.api.raw(selector, until - at, until).await?;
                keep(&mut out.warnings, answer.warnings);
                for series in answer.data {
                    if series.histogram {
                        let advice = "is a native histogram: ask by `promql` with histogram_count() or histogram_quantile()";
                        keep(&mut out.warnings, vec![format!("{} {advice}", series.metric)]);
                    }
                    for (item, rank) in wants.find(&series.metric, &series.labels).collect::<Vec<_>>() {
                        let kind = self.kind_of(wants, item, &series.metric).await;
                        let late = wants.items[item].late.0.as_secs_f64();
                        let fold = || (kind, Fold::new(kind, cut(from, edges[0].1, late), cut(to, edges[1].1, late)));
                        let key = (item, rank, series.metric.clone(), series.labels.clone());
                        let (_, fold) = folds.entry(key).or_insert_with(fold);
                        let start = &wants.items[item].start;
                        for (time, value) in &series.samples {
                            let restarted =
                                start.as_ref().is_some_and(|start| starts.moved(start, &series.labels, fold.last_time(), *time));
                            fold.feed(*time, *value, restarted);
                            if (from..=to).contains(time) {
                                meters.feed(wants, item, &series.labels, *time, *value);
                            }
                        }
                    }
                }
            }
            meters.close(wants);
            at = until;
        }
        let mut best = Best::default();
        folds.keys().for_each(|(item, rank, metric, _)| best.add(*item, *rank, metric));
        let kept = folds.into_iter().filter(|((item, _, metric, _), _)| best.is(*item, metric));
        // What only has samples outside of the phase was not there.
        let found =
            kept.map(|((item, _, metric, labels), (kind, fold))| Found { item, metric, labels, kind, track: fold.finish() });
        out.found = found.filter(|f| f.track.before.is_some() || f.track.after.is_some() || f.track.samples > 0).collect();
        out.levels = meters.levels(wants);
        Ok(out)
    }

    /// What a metric is. A server that doesn't know, or doesn't say, leaves it to the name.
    async fn kind_of(&self, wants: &Wants, item: usize, metric: &str) -> Kind {
        if let Some(kind) = wants.items[item].kind {
            return kind;
        }
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(metric).copied();
        let told = match known {
            Some(told) => told,
            None => {
                let told = self.api.kind(metric).await.unwrap_or_default();
                self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(metric.to_owned(), told);
                told
            }
        };
        wants.items[item].kind(told, metric)
    }

    /// A range query over a phase: what each series came to.
    pub(super) async fn query(&self, promql: &str, from: f64, to: f64, step: f64) -> Result<Vec<ValueSeries>, SourceError> {
        let ahead = self.api.ahead().await?;
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
    let mut meter = super::increase::Meter::default();
    series.samples.iter().for_each(|(_, value)| meter.add(*value));
    let last = series.samples.iter().rev().map(|(_, value)| *value).find(|value| !value.is_nan()).unwrap_or(f64::NAN);
    let (min, max, avg) = meter.levels().map_or((f64::NAN, f64::NAN, f64::NAN), |l| (l.min, l.max, l.avg));
    let mut labels = series.labels;
    if !series.metric.is_empty() {
        labels.insert(0, ("__name__".to_owned(), series.metric));
    }
    Ok(ValueSeries { labels, value: last, min, max, avg })
}

/// Items that are asked for with one selector.
struct Group {
    names: Vec<String>,
    matchers: Vec<(String, String)>,
}

fn groups(wants: &Wants) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for item in &wants.items {
        let matchers: Vec<_> = item.matchers.iter().map(|m| (m.label.clone(), m.value.clone())).collect();
        let at = groups.iter().position(|group| group.matchers == matchers).unwrap_or_else(|| {
            groups.push(Group { names: Vec::new(), matchers });
            groups.len() - 1
        });
        let new = item.names.iter().filter(|name| !groups[at].names.contains(name)).cloned().collect::<Vec<_>>();
        groups[at].names.extend(new);
    }
    groups
}

/// Start times are looked for at the targets that the items are looked for at, whatever their other labels.
fn start_selectors(wants: &Wants) -> Vec<String> {
    let mut selectors = Vec::new();
    for item in &wants.items {
        let Some((start, _)) = &item.start else { continue };
        let target = item.matchers.iter().filter(|m| matches!(m.label.as_str(), "job" | "instance"));
        let matchers: Vec<_> = target.map(|m| (m.label.clone(), m.value.clone())).collect();
        let selector = selector(std::slice::from_ref(start), &matchers);
        if !selectors.contains(&selector) {
            selectors.push(selector);
        }
    }
    selectors
}

/// `{__name__=~"a|b",job="api"}`; names of metrics need no quoting in a regular expression.
fn selector(names: &[String], matchers: &[(String, String)]) -> String {
    let quote = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let matchers: String = matchers.iter().map(|(label, value)| format!(",{label}=\"{}\"", quote(value))).collect();
    format!("{{__name__=~\"{}\"{matchers}}}", names.join("|"))
}

/// The median distance of samples, in seconds.
fn spacing(samples: &[(f64, f64)]) -> Option<f64> {
    let mut gaps: Vec<f64> = samples.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|gap| *gap > 0.0).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied()
}

/// The name that a source has for each item: the first of the item's.
#[derive(Debug, Default)]
pub(super) struct Best(HashMap<usize, (usize, String)>);

impl Best {
    pub(super) fn add(&mut self, item: usize, rank: usize, metric: &str) {
        let best = self.0.entry(item).or_insert_with(|| (rank, metric.to_owned()));
        if rank < best.0 {
            *best = (rank, metric.to_owned());
        }
    }

    pub(super) fn is(&self, item: usize, metric: &str) -> bool {
        self.0.get(&item).is_some_and(|(_, best)| best == metric)
    }
}

/// Keeps a bounded number of different warnings.
fn keep(warnings: &mut Vec<String>, more: Vec<String>) {
    for warning in more {
        if warnings.len() < 20 && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_quote_what_profiles_give() {
        let matchers = [("path".to_owned(), "a\"b\\c\n".to_owned())];
        assert_eq!(selector(&["x".into(), "y".into()], &matchers), "{__name__=~\"x|y\",path=\"a\\\"b\\\\c\\n\"}");
    }

    #[test]
    fn the_interval_is_the_median_of_the_spacing() {
        assert_eq!(spacing(&[(0.0, 1.0)]), None);
        // One scrape was missed.
        assert_eq!(spacing(&[(0.0, 1.0), (5.0, 1.0), (10.0, 1.0), (20.0, 1.0), (25.0, 1.0)]), Some(5.0));
    }

    #[test]
    fn a_range_is_summed_up_and_nan_is_no_number() {
        let series = |samples| Series { metric: String::new(), labels: Labels::new(), samples, histogram: false };
        let nan = f64::NAN;
        let got = value_of(series(vec![(0.0, nan), (1.0, 3.0), (2.0, 1.0), (3.0, nan)])).unwrap();
        assert_eq!((got.value, got.min, got.max, got.avg), (1.0, 1.0, 3.0, 2.0));
        assert!(value_of(series(vec![(0.0, nan)])).unwrap().max.is_nan());
    }
}
