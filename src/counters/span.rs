//! What a Prometheus server stored between two edges, folded a bounded number of samples at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::api::{Series, unix};
use super::cut::At;
use super::durations::{Durations, duration_selectors};
use super::error::SourceError;
use super::increase::Fold;
use super::kind::MetricKind;
use super::labels::{Labels, target};
use super::meter::Meter;
use super::part::Between;
use super::presets;
use super::prometheus::{ASSUMED_INTERVAL, Prometheus, STORING};
use super::report::{Blank, SourceReading};
use super::select::{Best, TARGETS, groups, keep, selector, selector_of_targets, start_selectors};
use super::starts::Starts;
use super::values::{LevelMeters, SeriesFindings, no_counter};
use super::want::{Labelled, Wants};

/// Samples to ask for at once: some megabytes of JSON.
const SAMPLES_AT_ONCE: f64 = 100_000.0;

/// Most metrics whose newest sample is looked for.
const NAMED: usize = 20;

/// Less than this lies between no two samples, in seconds.
const MOMENT: f64 = 1e-3;

/// One edge of the span.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    /// In Unix seconds by our clock.
    pub(super) at: f64,
    /// Where the load stood still: until when, by our clock.
    pub(super) still_until: Option<f64>,
    /// Where the load has ended, and others may have gone on.
    pub(super) ended: bool,
    pub(super) reading: &'a SourceReading,
}

/// Series by item, the name's rank, name and labels.
type Key = (usize, usize, String, Labels);

/// A target as far as a metric of an item is concerned: item, metric, job, instance.
type OfTarget = (usize, String, String, String);

/// Targets that were read at the first edge, and until when they were read for the second one.
type Read = BTreeMap<OfTarget, f64>;

fn of_target(item: usize, metric: &str, labels: &Labels) -> OfTarget {
    let (job, instance) = target(labels);
    (item, metric.to_owned(), job.to_owned(), instance.to_owned())
}

/// Samples on their way into rows.
struct Folding<'a> {
    wants: &'a Wants,
    from: Edge,
    to: Edge,
    folds: BTreeMap<Key, (Fold, Meter)>,
    starts: Starts,
    /// Of the scrapes that are fed now.
    durations: Durations,
    meters: LevelMeters,
}

/// An edge by the server's clock.
#[derive(Debug, Clone, Copy)]
struct Edge {
    time: f64,
    still_until: Option<f64>,
    ended: bool,
    /// How far the clocks' difference may be off.
    off: f64,
}

impl Edge {
    /// The edge for an item that the exporter reports late.
    fn at(&self, late: f64) -> At {
        match self.still_until {
            Some(until) => {
                let time = self.time + late + self.off;
                At { still_until: Some(until.max(time)), ..At::flowing(time, self.off) }
            }
            None if self.ended => At { ended: true, late, ..At::flowing(self.time, self.off) },
            None => At::flowing(self.time, self.off),
        }
    }
}

impl<'a> Folding<'a> {
    fn new(wants: &'a Wants, from: Edge, to: Edge) -> Self {
        let (starts, durations, meters) = (Starts::default(), Durations::default(), LevelMeters::default());
        Self { wants, from, to, folds: BTreeMap::new(), starts, durations, meters }
    }

    fn feed(&mut self, (item, rank): (usize, usize), (kind, guessed): (MetricKind, bool), series: &Series) {
        let wanted = &self.wants.items[item];
        let late = wanted.late.0.as_secs_f64();
        let (from, to) = (self.from.at(late), self.to.at(late));
        let key = (item, rank, series.metric.clone(), series.labels.clone());
        let (fold, meter) = self.folds.entry(key).or_insert_with(|| (Fold::of(kind, guessed, &[from, to]), Meter::default()));
        let durations = self.durations.of(&series.labels);
        for (time, value) in &series.samples {
            let last = fold.last().map(|(time, _)| time);
            let moved = |(start, _): &(String, f64)| self.starts.moved(start, &series.labels, last, *time);
            let restarted = wanted.starts.iter().any(moved);
            if !value.is_finite() && (self.from.time..=self.to.time).contains(time) {
                self.meters.feed(self.wants, item, &series.labels, *time, *value);
            }
            // A sample on the border of two chunks comes twice.
            if !fold.feed_scrape((*time, durations.at(*time)), *value, restarted) {
                continue;
            }
            // Where the load stands still, the first sample past an edge is the edge's.
            let ends = to.still_until.is_some_and(|until| *time <= until) && last.is_none_or(|last| last < to.time);
            if *time > to.time {
                meter.past(*time);
            }
            if *time >= from.time && (*time <= to.time || ends) {
                meter.there(*time);
                meter.add(*value);
            }
            if (self.from.time..=self.to.time).contains(time) {
                self.meters.feed(self.wants, item, &series.labels, *time, *value);
            }
        }
    }

    /// The targets whose metric was there at the first edge, and until when it was read for the second one: what comes up later
    /// at one of them is new.
    fn read(&self) -> Read {
        let mut read = Read::new();
        for ((item, _, metric, labels), (fold, _)) in self.folds.iter().filter(|(_, (fold, _))| fold.cut(0).is_some()) {
            let until = read.entry(of_target(*item, metric, labels)).or_insert(f64::NEG_INFINITY);
            *until = until.max(fold.cut(1).map_or(f64::NEG_INFINITY, |cut| cut.until()));
        }
        read
    }

    /// Those of which nothing was there then, and something came up later.
    fn came_up(&self, read: &Read) -> BTreeSet<OfTarget> {
        let later = self.folds.iter().filter(|(_, (fold, _))| {
            fold.kind() == MetricKind::Counter
                && fold.last().is_some()
                && fold.first().is_some_and(|first| first > self.from.time)
        });
        let targets = later.map(|((item, _, metric, labels), _)| of_target(*item, metric, labels));
        targets.filter(|target| !read.contains_key(target)).take(TARGETS).collect()
    }

    /// `every`: how far apart a metric's samples are, in seconds, where that is known.
    fn finish(self, read: &Read, every: impl Fn(&str) -> Option<f64>, out: &mut Between) {
        let within = [self.from.time, self.to.time];
        let mut best = Best::default();
        self.folds.keys().for_each(|(item, rank, _, labels)| best.add(*item, *rank, labels));
        for ((item, rank, metric, labels), (fold, meter)) in self.folds {
            let track = fold.track(read.get(&of_target(item, &metric, &labels)).copied());
            let levels = meter.levels_within(within, every(&metric).unwrap_or(f64::INFINITY));
            let samples = levels.map_or(0, |levels| levels.samples);
            // What only has samples outside of the phase was not there.
            let there = track.before.is_some() || track.after.is_some() || samples > 0;
            let Some((last, _)) = fold.last() else {
                out.blank.push(Blank { item, metric, labels, age: None });
                continue;
            };
            if !there && last <= self.to.time {
                out.gone.push((item, labels, last));
            } else if there && best.is(item, rank, &labels) {
                if fold.fell() {
                    keep(&mut out.warnings, vec![no_counter(&metric)]);
                    out.fell.push((metric.clone(), target(&labels).0.to_owned()));
                }
                out.found.push(SeriesFindings { item, metric, labels, kind: fold.kind(), track, levels, samples });
            }
        }
        out.levels = self.meters.levels(self.wants, within, every);
    }
}

impl Prometheus {
    /// Folds the raw samples between two edges.
    pub(super) async fn between(&self, wants: &Wants, ends: [End<'_>; 2]) -> Result<Between, SourceError> {
        let (ahead, off) = self.ahead().await?;
        let interval = ends[1].reading.interval.or(ends[0].reading.interval).or(self.interval()).unwrap_or(ASSUMED_INTERVAL);
        let edge = |end: End<'_>| {
            // A reading that failed knows nothing of the clocks.
            let (ahead, off) = end.reading.error.as_ref().map_or((end.reading.ahead, end.reading.off), |_| (ahead, off));
            Edge { time: end.at + ahead, still_until: end.still_until.map(|until| until + ahead), ended: end.ended, off }
        };
        let (from, to) = (edge(ends[0]), edge(ends[1]));
        let latest = wants.latest(0..wants.items.len()).as_secs_f64();
        let begin = from.time - 3.0 * interval - STORING;
        // A sample that a reading waited for may come later than scrapes mostly do: they failed meanwhile.
        let waited_for = ends.iter().flat_map(|end| &end.reading.points).map(|point| point.cut.until() + MOMENT);
        let end = waited_for.fold(to.time + latest + 3.0 * interval + STORING, f64::max).min(unix(self.api.clock.now()) + ahead);
        let mut out = Between { interval: self.interval(), jobs: self.intervals.by_job(), ..Between::default() };
        let (mut selectors, mut labelled) = (Vec::new(), Labelled::default());
        for group in groups(wants) {
            let bounds = (&mut out.left_out, &mut out.warnings);
            let narrowed = self.narrowed(&group, end, bounds, &mut labelled).await?;
            selectors.extend(narrowed.iter().map(|group| selector(&group.names, &group.matchers)));
        }
        let mut folding = Folding::new(wants, from, to);
        let series = ends.iter().map(|end| end.reading.points.len()).max().unwrap_or_default().max(20) as f64;
        let length = (SAMPLES_AT_ONCE / series * self.intervals.shortest().unwrap_or(interval)).max(2.0 * interval);
        let mut at = begin;
        while at < end {
            let until = (at + length).min(end);
            let mut chunk = Vec::new();
            for selector in &selectors {
                let answer = self.api.raw(selector, until - at, until).await?;
                keep(&mut out.warnings, answer.warnings);
                out.partial = out.partial.or(answer.partial);
                chunk.extend(answer.data);
            }
            let (selectors_of_starts, left_out) = start_selectors(wants, &chunk);
            keep(&mut out.warnings, left_out);
            for selector in selectors_of_starts {
                let answer = self.api.raw(&selector, until - at, until).await?;
                keep(&mut out.warnings, answer.warnings);
                let jitter = |series: &Series| wants.jitter(&series.metric).unwrap_or_default();
                answer.data.iter().for_each(|series| folding.starts.feed(series, jitter(series)));
            }
            folding.durations = Durations::default();
            for selector in duration_selectors(&chunk) {
                let answer = self.api.raw(&selector, until - at, until).await?;
                keep(&mut out.warnings, answer.warnings);
                folding.durations.add(&answer.data);
            }
            let (mut best, mut wanted) = (Best::default(), Vec::new());
            for series in &chunk {
                if series.histogram {
                    let advice = "is a native histogram: ask by `promql` with histogram_count() or histogram_quantile()";
                    keep(&mut out.warnings, vec![format!("{} {advice}", series.metric)]);
                }
                for (item, rank) in wants.find_in(&labelled, &series.metric, &series.labels) {
                    best.add(item, rank, &series.labels);
                    wanted.push((item, rank, series));
                }
            }
            for (item, rank, series) in wanted.into_iter().filter(|(item, rank, series)| best.is(*item, *rank, &series.labels)) {
                let kind = self.kind_of(wants, item, &series.metric, &series.labels).await;
                folding.feed((item, rank), kind, series);
            }
            folding.meters.close(wants);
            at = until;
        }
        let mut read = folding.read();
        for target in folding.came_up(&read) {
            match self.was_read(wants, &target, from.time).await {
                Ok(true) => drop(read.insert(target, f64::NEG_INFINITY)),
                Ok(false) => {}
                // One that stopped answering isn't waited for once more.
                Err(_) => break,
            }
        }
        folding.finish(&read, |metric| self.intervals.of_metric(metric), &mut out);
        out.stale = self.stale(wants, &out, to.time).await;
        out.fell.iter().for_each(|of| self.keep_kind(of.clone(), Some(MetricKind::Gauge)));
        for prefix in wants.prefixes_missed(|item| out.found.iter().any(|found| found.item == item)) {
            // It is for a message alone.
            let Ok(answer) = self.api.counts(&format!("{{__name__=~\"{prefix}.+\"}}"), end).await else { break };
            out.names.extend(answer.data.into_iter().map(|(name, _)| name));
            let up = presets::of_metric(prefix).and_then(|preset| preset.up);
            if let Some(up) = up.filter(|up| out.names.iter().any(|name| name == up)) {
                let Ok(down) = self.api.instant(&format!("{up} == 0"), end).await else { break };
                out.down.extend(down.into_iter().map(|labels| (up.to_owned(), labels)));
            }
        }
        Ok(out)
    }

    /// Whether a target was read at an edge: so what it had then is all that there was. An exporter may be there and its system away, so that
    /// what a preset knows is witnessed by the preset's other metrics, or by others of the same; anything else by the exporter itself.
    async fn was_read(&self, wants: &Wants, (item, _, job, instance): &OfTarget, edge: f64) -> Result<bool, SourceError> {
        let (names, alone) = wants.witnesses(*item);
        let target = || [(job.as_str(), instance.as_str())];
        let seen = selector_of_targets(&names, &[], target());
        let query = match alone {
            true => format!("count({seen} or ({} == 1))", selector_of_targets(&["up".to_owned()], &[], target())),
            false => format!("count({seen})"),
        };
        Ok(self.api.number(&query, edge).await?.is_some())
    }

    /// The items that are missing though the server had samples of them within the hour before `at`, and how old the newest are.
    async fn stale(&self, wants: &Wants, out: &Between, at: f64) -> Vec<(usize, f64)> {
        let there =
            |item: usize| out.found.iter().any(|found| found.item == item) || out.blank.iter().any(|blank| blank.item == item);
        let missing: Vec<usize> = (0..wants.items.len()).filter(|item| !there(*item)).collect();
        let left_out = |name: &String| out.left_out.iter().any(|of| of.metric() == name);
        let mut stale = Vec::new();
        for mut group in groups(wants) {
            let items: Vec<usize> = missing.iter().copied().filter(|item| group.holds(&wants.items[*item])).collect();
            let of =
                |name: &String| items.iter().copied().filter(|item| wants.items[*item].names.contains(name)).collect::<Vec<_>>();
            group.names.retain(|name| !left_out(name) && !of(name).is_empty());
            if group.names.is_empty() {
                continue;
            }
            // It is for a message alone, so that one that stopped answering isn't waited for once more.
            let had = self.api.counts(&format!("last_over_time({}[1h])", group.widest()), at).await;
            let Ok(mut had) = had.map(|answer| answer.data) else { return stale };
            had.retain(|(metric, _)| group.names.contains(metric));
            for (metric, _) in had.into_iter().take(NAMED) {
                group.names = vec![metric.clone()];
                let Ok(newest) = self.newest(&group.widest(), at).await else { return stale };
                stale.extend(newest.into_iter().flat_map(|newest| of(&metric).into_iter().map(move |item| (item, at - newest))));
            }
        }
        stale
    }

    /// The time of the newest sample of a selector within the hour before `at`; where it isn't there any more, to a minute.
    pub(super) async fn newest(&self, selector: &str, at: f64) -> Result<Option<f64>, SourceError> {
        let query = format!("max(timestamp({selector}) or max_over_time(timestamp({selector})[1h:1m]))");
        self.api.number(&query, at).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::observe::{Observe, Wanted};

    #[test]
    fn chunks_that_overlap_fold_to_the_same_as_one() {
        let preset = presets::find("redis").unwrap();
        let wants =
            Wants::new(&Observe { counters: vec![Wanted::Preset { preset, matchers: Vec::new() }], ..Observe::default() });
        let fold = |chunks: &[std::ops::RangeInclusive<u32>]| {
            let edge = |time| Edge { time, still_until: None, ended: false, off: 0.1 };
            let mut folding = Folding::new(&wants, edge(10.5), edge(50.0));
            for chunk in chunks {
                for (metric, slope) in [("redis_keyspace_hits_total", 2.0), ("redis_connected_clients", 1.0)] {
                    let samples = chunk.clone().map(|n| (f64::from(n), f64::from(n) * slope)).collect();
                    let series = Series { metric: metric.into(), labels: Labels::new(), samples, histogram: false };
                    let (item, rank) = wants.find(metric, &Labels::new()).next().unwrap();
                    folding.feed((item, rank), (wants.items[item].kind(None, metric), false), &series);
                }
                folding.meters.close(&wants);
            }
            let mut out = Between::default();
            let read = folding.read();
            folding.finish(&read, |_| Some(1.0), &mut out);
            (out.found.iter().map(|found| (found.metric.clone(), found.track)).collect::<Vec<_>>(), out.levels)
        };
        let (found, levels) = fold(&[0..=60]);
        assert_eq!((found.clone(), levels.clone()), fold(&[0..=20, 20..=21, 21..=60]));
        let delta = found[0].1.delta.unwrap();
        // Half an interval at the first edge, and one either way at the second, since the clocks may be off there.
        assert_eq!((delta.value, delta.least(), delta.most()), (79.0, 76.0, 82.0));
        let clients = levels.iter().find(|level| level.value == "redis.connected_clients").unwrap().levels;
        assert_eq!((clients.min, clients.max, clients.samples, clients.hole), (11.0, 50.0, 40, 0.0));
        // It was away for a while.
        let (_, levels) = fold(&[0..=20, 45..=60]);
        let clients = levels.iter().find(|level| level.value == "redis.connected_clients").unwrap().levels;
        assert_eq!((clients.samples, clients.hole), (16, 25.0));
    }
}
