//! The series of an exporter that is scraped directly: which are there, their increases so far, and levels since the last edge.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::increase::{At, Cut, Fold, Track};
use super::meter::Meter;
use super::observe::Kind;
use super::presets::SERIES_TO_READ;
use super::report::{Labels, Levels, Point, Scraped, SourceReading};
use super::seen::{Looked, look};
use super::select::{Best, keep};
use super::span::Between;
use super::starts::Starts;
use super::text::Exposition;
use super::values::{Found, LevelMeters, LevelOf, no_counter};
use super::want::{Labelled, Wants};

/// Series to remember that are not there at present.
const SERIES_REMEMBERED: usize = 10_000;
/// Names to keep of what an exporter has beside the metrics wanted.
const NAMES_KEPT: usize = 1_000;

/// Everything that one exporter said.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    scrapes: u64,
    /// When the last scrape that was used was asked for.
    last: Option<f64>,
    /// The last edge, and the one before.
    edge: Option<f64>,
    edge_before: Option<f64>,
    /// Levels between these two.
    closed: Vec<LevelOf>,
    series: BTreeMap<(String, Labels), Tracked>,
    starts: Starts,
    meters: LevelMeters,
    left_out: Vec<(String, u64)>,
    /// What the last scrape had without a number.
    blank: Vec<(usize, Labels)>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Tracked {
    fold: Fold,
    /// The items wanted that it is of.
    items: Vec<usize>,
    /// Whether its samples bear a time of their own.
    dated: bool,
    /// Whether the last scrape had it.
    there: bool,
    /// The series at the last edge, if it was there.
    cut: Option<Cut>,
    meter: Meter,
    /// Levels between the last edge and the one before.
    closed: Option<Levels>,
}

impl Tracker {
    /// A scrape whose result is not used.
    pub(super) fn scraped(&mut self) {
        self.scrapes += 1;
    }

    /// Takes in a scrape between edges that was asked for at `time`.
    pub(super) fn feed(&mut self, wants: &Wants, time: f64, exposition: &Exposition) {
        self.take(wants, time, exposition, None);
    }

    /// Takes in the first scrape past the edge at `at` (or that of a load that stands still), which was asked for at `time` and
    /// answered at `answered`, and makes a reading of it.
    pub(super) fn feed_edge(
        &mut self,
        wants: &Wants,
        (at, still): (f64, bool),
        (time, answered): (f64, f64),
        exposition: &Exposition,
        reading: &mut SourceReading,
    ) {
        // Without a scrape before the edge, what happened since is known by its mean only.
        let bare = !still && self.last.is_none_or(|last| last >= at);
        let flowing = At::flowing(at, 0.0);
        let edge = if still || bare { At::sample(time) } else { flowing };
        let own = At { still_until: still.then_some(f64::INFINITY), ..flowing };
        self.take(wants, time, exposition, Some([edge, own]));
        reading.names = names(wants, exposition);
        reading.looked = looked(wants, exposition);
        reading.blank = self.blank.clone();
        keep(&mut reading.warnings, exposition.warnings().collect());
        let levels = std::mem::take(&mut self.meters).levels(wants);
        let before = std::mem::replace(&mut self.closed, levels.clone());
        let since = self.edge.replace(at);
        let earlier = std::mem::replace(&mut self.edge_before, since).map(|edge| (edge, before));
        let slack = if bare { answered - at } else { 0.0 };
        reading.scraped = Some(Scraped { since, scrapes: self.scrapes, slack, levels, earlier });
        reading.left_out = self.left_out.clone();
        reading.points.clear();
        for ((metric, labels), tracked) in &mut self.series {
            let levels = std::mem::take(&mut tracked.meter).levels();
            let earlier = std::mem::replace(&mut tracked.closed, levels);
            // The edge's sample ends one phase and begins the next.
            tracked.fold.last().iter().for_each(|(_, value)| tracked.meter.add(*value));
            if let Some(cut) = tracked.cut.take() {
                reading.points.push(Point { earlier, ..point(metric, labels, tracked, cut, levels) });
            }
        }
    }

    /// How old the newest samples were at the edge at `at` of series whose samples bear a time of their own, and that have none past it yet; the
    /// oldest of them. None: all have one.
    pub(super) fn age(&self, at: f64) -> Option<f64> {
        let waiting = self.series.values().filter(|tracked| tracked.there && tracked.fold.waits(at));
        waiting.filter_map(|tracked| Some(at - tracked.fold.last()?.0)).max_by(f64::total_cmp)
    }

    /// Adds the series whose samples bear a time of their own to the reading of the edge at `at`.
    pub(super) fn late(&mut self, at: f64, reading: &mut SourceReading) {
        for ((metric, labels), tracked) in self.series.iter_mut().filter(|(_, tracked)| tracked.dated) {
            if let Some(cut) = tracked.fold.take_mark(at) {
                reading.points.push(point(metric, labels, tracked, cut, None));
            }
        }
        keep(&mut reading.warnings, std::mem::take(&mut self.warnings));
    }

    /// `edge`: for series whose samples are as old as their scrape, and for those that bear a time of their own.
    fn take(&mut self, wants: &Wants, time: f64, exposition: &Exposition, edge: Option<[At; 2]>) {
        self.scraped();
        // A slow scrape may come after a later one.
        if self.last.is_some_and(|last| time <= last) {
            return;
        }
        self.last = Some(time);
        let mut best = Best::default();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut wanted = Vec::new();
        let mut labelled = Labelled::default();
        exposition.samples.iter().for_each(|sample| labelled.add(wants, &sample.name, &sample.labels));
        for sample in &exposition.samples {
            if let Some(jitter) = wants.jitter(&sample.name) {
                self.starts.sample(&sample.name, &sample.labels, jitter, time, sample.value);
            }
            for (item, rank) in wants.find_in(&labelled, &sample.name, &sample.labels) {
                best.add(item, rank, &sample.labels);
                *counts.entry(&sample.name).or_default() += 1;
                wanted.push((item, rank, sample));
            }
        }
        let too_many = |name: &str| counts.get(name).is_some_and(|count| *count > SERIES_TO_READ as u64);
        self.left_out = counts.iter().filter(|(name, _)| too_many(name)).map(|(name, n)| ((*name).to_owned(), *n)).collect();
        self.series.values_mut().for_each(|tracked| tracked.there = false);
        self.blank.clear();
        for (item, rank, sample) in wanted {
            if !best.is(item, rank, &sample.labels) || too_many(&sample.name) {
                continue;
            }
            if !sample.value.is_finite() {
                self.meters.feed(wants, item, &sample.labels, time, sample.value);
                self.blank.push((item, sample.labels.clone()));
                continue;
            }
            // What is said to be older than the last edge is no value since then.
            let own = sample.timestamp.map(|own| own.min(time));
            let fresh = own.is_none_or(|own| self.edge.is_none_or(|edge| own >= edge));
            if fresh {
                self.meters.feed(wants, item, &sample.labels, time, sample.value);
            }
            let tracked = self.series.entry((sample.name.clone(), sample.labels.clone())).or_insert_with(|| {
                let told = exposition.kind_of(&sample.name);
                let (kind, guessed) = (wants.items[item].kind(told, &sample.name), wants.items[item].guessed(told));
                let fold = Fold::of(kind, guessed, &[]);
                Tracked { fold, items: Vec::new(), dated: false, there: false, cut: None, meter: Meter::default(), closed: None }
            });
            // Two wants may ask for the same series.
            if std::mem::replace(&mut tracked.there, true) {
                tracked.items.push(item);
                continue;
            }
            tracked.items = vec![item];
            tracked.dated = own.is_some();
            let last = tracked.fold.last().map(|(time, _)| time);
            let start = wants.items[item].start.as_ref();
            let restarted = start.is_some_and(|(start, _)| self.starts.moved(start, &sample.labels, last, time));
            if fresh {
                tracked.meter.add(sample.value);
            }
            let fell = tracked.fold.fell();
            match (own, edge) {
                (None, Some([at, _])) => tracked.cut = tracked.fold.feed_edge(at, time, sample.value, restarted),
                (own, edge) => {
                    // The first sample past the edge may be one of a later scrape.
                    edge.into_iter().for_each(|[_, at]| tracked.fold.mark(at));
                    tracked.fold.feed(own.unwrap_or(time), sample.value, restarted);
                }
            }
            if let Some(own) = own.filter(|own| edge.is_some_and(|[_, at]| *own < at.time)) {
                let (name, age) = (&sample.name, time - own);
                let said =
                    format!("the samples of {name} bear a time of their own, {age:.1} s before they were read; that counts");
                keep(&mut self.warnings, vec![said]);
            }
            if tracked.fold.fell() && !fell {
                keep(&mut self.warnings, vec![no_counter(&sample.name)]);
            }
        }
        self.meters.close(wants);
        if self.series.len() > SERIES_REMEMBERED {
            self.series.retain(|_, tracked| tracked.there);
        }
    }
}

fn point(metric: &str, labels: &Labels, tracked: &Tracked, cut: Cut, levels: Option<Levels>) -> Point {
    let (metric, labels) = (metric.to_owned(), labels.clone());
    Point { metric, labels, items: tracked.items.clone(), kind: tracked.fold.kind(), cut, levels, earlier: None }
}

/// Whether it has the labels that presets are narrowed by.
pub(super) fn looked(wants: &Wants, exposition: &Exposition) -> Vec<Looked> {
    let mut labelled = Labelled::default();
    exposition.samples.iter().for_each(|sample| labelled.add(wants, &sample.name, &sample.labels));
    look(wants, &labelled, |names| {
        let named = exposition.samples.iter().filter(|sample| names.contains(&sample.name.as_str()));
        named.flat_map(|sample| sample.labels.iter().map(|(label, _)| label.clone())).collect()
    })
}

/// The names that begin as those of the presets observed.
fn names(wants: &Wants, exposition: &Exposition) -> Vec<String> {
    let prefixes: Vec<&str> = wants.prefixes().collect();
    let named = exposition.samples.iter().map(|sample| sample.name.as_str());
    let names: BTreeSet<&str> = named.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect();
    names.into_iter().take(NAMES_KEPT).map(str::to_owned).collect()
}

/// What happened between two readings of an exporter, at edges `begun` and `ended` (Unix seconds).
pub(super) fn between([before, after]: [&SourceReading; 2], [begun, ended]: [f64; 2]) -> Between {
    let (left_out, names, blank) = (after.left_out.clone(), after.names.clone(), after.blank.clone());
    let mut out = Between { left_out, names, blank, ..Between::default() };
    let Some((a, b)) = before.scraped.as_ref().zip(after.scraped.as_ref()) else { return out };
    // The first edge is the one before, or the one before that where the second one was read once more.
    let consecutive = b.since == Some(begun);
    let read_again = b.earlier.as_ref().filter(|earlier| !consecutive && earlier.0 == begun).map(|earlier| &earlier.1);
    if consecutive || read_again.is_some() {
        out.levels = together(read_again.map_or(&[][..], |levels| levels), &b.levels);
    }
    let slack = (a.slack + b.slack) / (ended - begun).max(1e-3);
    let (earlier, later) = (index(&before.points), index(&after.points));
    let metrics: HashSet<&str> = before.points.iter().map(|point| point.metric.as_str()).collect();
    let gone = before.points.iter().filter(|point| !later.contains_key(&key(point))).map(|point| (Some(point), None));
    let there = after.points.iter().map(|point| (earlier.get(&key(point)).copied(), Some(point)));
    for (from, to) in gone.chain(there) {
        let Some(point) = to.or(from) else { continue };
        let mut track = match (from, to) {
            // New at a target that was read at the first edge, and had others of this metric then.
            (None, Some(to)) if to.kind == Kind::Counter && metrics.contains(to.metric.as_str()) && to.cut.first.0 > begun => {
                Track::born(&to.cut)
            }
            _ => Track::between(point.kind, from.map(|point| point.cut), to.map(|point| point.cut)),
        };
        track.widen(point.kind, slack);
        let levels = to.and_then(|to| match (consecutive, read_again) {
            (true, _) => to.levels,
            (false, Some(_)) => to.earlier.into_iter().chain(to.levels).reduce(Levels::and),
            (false, None) => None,
        });
        for item in point.items.iter().copied() {
            let (metric, labels, samples) = (point.metric.clone(), point.labels.clone(), b.scrapes - a.scrapes);
            out.found.push(Found { item, metric, labels, kind: point.kind, track, levels, samples });
        }
    }
    out
}

/// Levels of two stretches that follow each other.
fn together(first: &[LevelOf], second: &[LevelOf]) -> Vec<LevelOf> {
    let mut all = first.to_vec();
    for level in second {
        match all.iter_mut().find(|of| of.value == level.value && of.labels == level.labels) {
            Some(of) => of.levels = of.levels.and(level.levels),
            None => all.push(level.clone()),
        }
    }
    all
}

fn key(point: &Point) -> (&str, &Labels) {
    (&point.metric, &point.labels)
}

fn index(points: &[Point]) -> HashMap<(&str, &Labels), &Point> {
    points.iter().map(|point| (key(point), point)).collect()
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
