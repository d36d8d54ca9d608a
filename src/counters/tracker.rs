//! The series of an exporter that is scraped directly: which are there, their increases so far, and levels since the last edge.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::increase::{At, Cut, Fold, Track};
use super::meter::Meter;
use super::observe::Kind;
use super::presets::SERIES_TO_READ;
use super::report::{Labels, Point, Scraped, SourceReading};
use super::select::Best;
use super::span::Between;
use super::starts::Starts;
use super::text::Exposition;
use super::values::{Found, LevelMeters};
use super::want::Wants;

/// Series to remember that are not there at present.
const SERIES_REMEMBERED: usize = 10_000;

/// Everything that one exporter said.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    scrapes: u64,
    /// When the last scrape that was used was asked for.
    last: Option<f64>,
    /// The last edge.
    edge: Option<f64>,
    series: BTreeMap<(String, Labels), Tracked>,
    starts: Starts,
    meters: LevelMeters,
    left_out: Vec<(String, u64)>,
}

#[derive(Debug)]
struct Tracked {
    fold: Fold,
    /// Whether the last scrape had it.
    there: bool,
    /// The series at the last edge, if it was there.
    cut: Option<Cut>,
    meter: Meter,
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
        let bare = !still && self.last.is_none_or(|last| last > at);
        let edge = if still || bare { At::sample(time) } else { At { time: at, off: 0.0, still_until: None } };
        self.take(wants, time, exposition, Some(edge));
        let levels = std::mem::take(&mut self.meters).levels(wants);
        let slack = if bare { answered - at } else { 0.0 };
        reading.scraped = Some(Scraped { since: self.edge.replace(at), scrapes: self.scrapes, slack, levels });
        reading.left_out = self.left_out.clone();
        reading.points.clear();
        for ((metric, labels), tracked) in &mut self.series {
            let levels = std::mem::take(&mut tracked.meter).levels();
            // The edge's sample ends one phase and begins the next.
            tracked.fold.last().iter().for_each(|(_, value)| tracked.meter.add(*value));
            if let Some(cut) = tracked.cut.take() {
                let (metric, labels, kind) = (metric.clone(), labels.clone(), tracked.fold.kind());
                reading.points.push(Point { metric, labels, kind, cut, levels });
            }
        }
    }

    fn take(&mut self, wants: &Wants, time: f64, exposition: &Exposition, edge: Option<At>) {
        self.scraped();
        // A slow scrape may come after a later one.
        if self.last.is_some_and(|last| time <= last) {
            return;
        }
        self.last = Some(time);
        let mut best = Best::default();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut wanted = Vec::new();
        for sample in &exposition.samples {
            if let Some(jitter) = wants.jitter(&sample.name) {
                self.starts.sample(&sample.name, &sample.labels, jitter, time, sample.value);
            }
            for (item, rank) in wants.find(&sample.name, &sample.labels) {
                best.add(item, rank, &sample.name);
                *counts.entry(&sample.name).or_default() += 1;
                wanted.push((item, sample));
            }
        }
        let too_many = |name: &str| counts.get(name).is_some_and(|count| *count > SERIES_TO_READ as u64);
        self.left_out = counts.iter().filter(|(name, _)| too_many(name)).map(|(name, n)| ((*name).to_owned(), *n)).collect();
        self.series.values_mut().for_each(|tracked| tracked.there = false);
        for (item, sample) in wanted {
            if !best.is(item, &sample.name) || too_many(&sample.name) || !sample.value.is_finite() {
                continue;
            }
            self.meters.feed(wants, item, &sample.labels, time, sample.value);
            let kind = wants.items[item].kind(exposition.kind_of(&sample.name), &sample.name);
            let new = || Tracked { fold: Fold::new(kind, &[]), there: false, cut: None, meter: Meter::default() };
            let tracked = self.series.entry((sample.name.clone(), sample.labels.clone())).or_insert_with(new);
            // Two wants may ask for the same series.
            if std::mem::replace(&mut tracked.there, true) {
                continue;
            }
            let last = tracked.fold.last().map(|(time, _)| time);
            let start = wants.items[item].start.as_ref();
            let restarted = start.is_some_and(|(start, _)| self.starts.moved(start, &sample.labels, last, time));
            tracked.meter.add(sample.value);
            match edge {
                Some(at) => tracked.cut = tracked.fold.feed_edge(at, time, sample.value, restarted),
                None => {
                    tracked.fold.feed(time, sample.value, restarted);
                }
            }
        }
        self.meters.close(wants);
        if self.series.len() > SERIES_REMEMBERED {
            self.series.retain(|_, tracked| tracked.there);
        }
    }
}

/// What happened between two readings of an exporter, at edges `begun` and `ended` (Unix seconds).
pub(super) fn between(wants: &Wants, [before, after]: [&SourceReading; 2], [begun, ended]: [f64; 2]) -> Between {
    let mut out = Between { left_out: after.left_out.clone(), ..Between::default() };
    let Some((a, b)) = before.scraped.as_ref().zip(after.scraped.as_ref()) else { return out };
    let consecutive = b.since == Some(begun);
    if consecutive {
        out.levels.clone_from(&b.levels);
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
        let levels = to.filter(|_| consecutive).and_then(|to| to.levels);
        for (item, _) in wants.find(&point.metric, &point.labels) {
            let (metric, labels, samples) = (point.metric.clone(), point.labels.clone(), b.scrapes - a.scrapes);
            out.found.push(Found { item, metric, labels, kind: point.kind, track, levels, samples });
        }
    }
    out
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
