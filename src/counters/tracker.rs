//! The series of an exporter that is scraped directly: which are there, their increases so far, and levels since the last edge.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::cut::{At, Cut};
use super::increase::Fold;
use super::intervals::EVERY;
use super::kind::MetricKind;
use super::labels::Labels;
use super::meter::{Levels, Meter};
use super::part::Between;
use super::presets::{self, SERIES_TO_READ};
use super::report::{Blank, LeftOut, Passed, Point, Scraped, SourceReading};
use super::seen::{Looked, look};
use super::select::{Best, keep};
use super::starts::{SERIES_REMEMBERED, Starts};
use super::text::{Exposition, Sample};
use super::track::Track;
use super::values::{LevelMeters, LevelOf, SeriesFindings, no_counter};
use super::want::{Labelled, Wants};

/// Names to keep of what an exporter has beside the metrics wanted.
const NAMES_KEPT: usize = 1_000;

/// Which series take their value at the edge from a scrape: all, or in a second scrape only those that are reported late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Late,
}

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
    /// The edge that was read, and of which what is reported late is still to come; and whether the load has ended with it.
    prompt: Option<(f64, bool)>,
    /// The series that others go on with behind the last edge, where its scrape came late.
    moving: HashSet<(String, Labels)>,
    /// What came up and went between the last three edges.
    passed: Vec<Passed>,
    series: BTreeMap<(String, Labels), Tracked>,
    starts: Starts,
    meters: LevelMeters,
    left_out: Vec<LeftOut>,
    /// What the last scrape had without a number.
    blank: Vec<Blank>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Tracked {
    fold: Fold,
    /// The items wanted that it is of.
    items: Vec<usize>,
    /// Whether its samples bear a time of their own.
    dated: bool,
    /// Whether the last scrape had it, and when it was missing first if not.
    there: bool,
    missing: Option<f64>,
    /// Whether it was there at the last edge.
    at_edge: bool,
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

    /// Takes in the first scrape past an edge at which the load stands still, where some series are reported late and are waited for.
    pub(super) fn feed_prompt(&mut self, wants: &Wants, (at, ended): (f64, bool), time: f64, exposition: &Exposition) {
        if self.prompt.is_none() {
            self.take(wants, time, exposition, Some(([At::sample(time), still_at(at)], Which::All)));
            self.prompt = Some((at, ended));
        } else {
            self.feed(wants, time, exposition);
        }
    }

    /// Behind the edge that is fed next, others go on with these series: what its scrape says may be of later.
    pub(super) fn others_go_on(&mut self, series: HashSet<(String, Labels)>) {
        self.scraped();
        self.moving = series;
    }

    /// Gives up an edge.
    pub(super) fn give_up(&mut self) {
        self.prompt = None;
    }

    /// Takes in the first scrape past the edge at `at` (or that of a load that stands still), which was asked for at `time`, and
    /// makes a reading of it.
    pub(super) fn feed_edge(
        &mut self,
        wants: &Wants,
        (at, still): (f64, bool),
        time: f64,
        exposition: &Exposition,
        reading: &mut SourceReading,
    ) {
        let bare = !still && time > at && self.last.is_none_or(|last| last >= at);
        let flowing = At::flowing(at, 0.0);
        let edge = if still || bare { At::sample(time) } else { flowing };
        let own = if still { still_at(at) } else { flowing };
        let which = if self.prompt.is_some() { Which::Late } else { Which::All };
        self.take(wants, time, exposition, Some(([edge, own], which)));
        self.prompt = None;
        self.moving.clear();
        reading.names = names(wants, exposition);
        reading.down = down(exposition);
        reading.looked = looked(wants, exposition);
        reading.blank = self.blank.clone();
        let left_out = |item: &usize| self.left_out.iter().any(|of| of.is_of(&wants.items[*item].names));
        let there: HashSet<&str> = exposition.samples.iter().map(|sample| &*sample.name).collect();
        reading.read = (0..wants.items.len()).filter(|item| is_read(wants, *item, &there) && !left_out(item)).collect();
        keep(&mut reading.warnings, exposition.warnings().collect());
        let (within, every) = ([self.edge.unwrap_or(f64::INFINITY), at], EVERY.as_secs_f64());
        let levels = std::mem::take(&mut self.meters).levels(wants, within, |_| Some(every));
        let before = std::mem::replace(&mut self.closed, levels.clone());
        let since = self.edge.replace(at);
        self.pass(since);
        let earlier = std::mem::replace(&mut self.edge_before, since).map(|edge| (edge, before));
        let passed = self.passed.clone();
        reading.scraped = Some(Scraped { since, scrapes: self.scrapes, bare, levels, passed, earlier });
        reading.left_out = self.left_out.clone();
        reading.points.clear();
        for ((metric, labels), tracked) in &mut self.series {
            let levels = std::mem::take(&mut tracked.meter).levels_within(within, every);
            let earlier = std::mem::replace(&mut tracked.closed, levels);
            // The edge's sample ends one phase and begins the next.
            if let Some((_, value)) = tracked.fold.last().filter(|_| tracked.there) {
                tracked.meter.there(at);
                tracked.meter.add(value);
            }
            if let Some(cut) = tracked.cut.take() {
                reading.points.push(Point { earlier, ..point(metric, labels, tracked, cut, levels) });
            }
        }
    }

    /// Takes in the counters that are at neither this edge nor the one before, and were seen between.
    fn pass(&mut self, since: Option<f64>) {
        let before = self.edge_before;
        self.passed.retain(|passed| before.is_some_and(|before| passed.since >= before));
        for ((metric, labels), tracked) in &mut self.series {
            let at_edge = std::mem::replace(&mut tracked.at_edge, tracked.there);
            let seen = |since: &f64| tracked.fold.last().is_some_and(|(last, _)| last > *since);
            let (Some(missing), Some(since), false) = (tracked.missing, since.filter(seen), at_edge) else { continue };
            if let Some(cut) = tracked.fold.vanished(missing) {
                let (metric, labels, items) = (metric.clone(), labels.clone(), tracked.items.clone());
                self.passed.push(Passed { metric, labels, items, since, cut });
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
            // One that came up after the edge was not there at it.
            let waits = tracked.fold.waits(at) && tracked.there;
            if let Some(cut) = tracked.fold.take_mark(at) {
                reading.points.push(point(metric, labels, tracked, cut, None));
            } else if let Some((newest, _)) = tracked.fold.last().filter(|(newest, _)| waits && *newest < at) {
                let blank =
                    |item: &usize| Blank { item: *item, metric: metric.clone(), labels: labels.clone(), age: Some(at - newest) };
                reading.blank.extend(tracked.items.iter().map(blank));
            }
        }
        keep(&mut reading.warnings, std::mem::take(&mut self.warnings));
    }

    /// `edge`: for series whose samples are as old as their scrape, and for those that bear a time of their own.
    fn take(&mut self, wants: &Wants, time: f64, exposition: &Exposition, edge: Option<([At; 2], Which)>) {
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
        let many = counts.iter().filter(|(name, _)| too_many(name));
        self.left_out = many.map(|(name, series)| LeftOut::Many { metric: (*name).to_owned(), series: *series }).collect();
        for odd in &exposition.odd {
            let Some(metric) = odd.lost.as_ref().filter(|lost| wants.items.iter().any(|item| item.names.contains(lost))) else {
                continue;
            };
            // One line of it is enough to say.
            if self.left_out.iter().any(|of| of.metric() == metric) {
                continue;
            }
            let (metric, line, message) = (metric.clone(), odd.line, odd.message.clone());
            self.left_out.push(LeftOut::Unreadable { metric, line, message });
        }
        self.series.values_mut().for_each(|tracked| tracked.there = false);
        self.blank.clear();
        for (item, rank, sample) in wanted {
            if !best.is(item, rank, &sample.labels) || too_many(&sample.name) {
                continue;
            }
            if !sample.value.is_finite() {
                if self.prompt.is_none() {
                    self.meters.feed(wants, item, &sample.labels, time, sample.value);
                }
                let (metric, labels) = (sample.name.clone(), sample.labels.clone());
                self.blank.push(Blank { item, metric, labels, age: None });
                continue;
            }
            // What is said to be older than the last edge is no value since then.
            let own = sample.timestamp.map(|own| own.min(time));
            let prompt = wants.items[item].late.0.is_zero();
            // What is reported at once was reported at the edge, and is of later now.
            let past = prompt && self.prompt.is_some();
            let edge = edge.filter(|(_, which)| *which == Which::All || !prompt && own.is_none()).map(|(edge, _)| edge);
            let fresh = !past && own.is_none_or(|own| self.edge.is_none_or(|edge| own >= edge));
            if fresh {
                self.meters.feed(wants, item, &sample.labels, time, sample.value);
            }
            let tracked = self.series.entry((sample.name.clone(), sample.labels.clone())).or_insert_with(|| {
                let named = exposition.kind_of(&sample.name);
                let (kind, guessed) = (wants.items[item].kind(named, &sample.name), wants.items[item].guessed(named));
                let fold = Fold::of(kind, guessed, &[]);
                Tracked {
                    fold,
                    items: Vec::new(),
                    dated: false,
                    there: false,
                    missing: None,
                    at_edge: false,
                    cut: None,
                    meter: Meter::default(),
                    closed: None,
                }
            });
            // Two wants may ask for the same series.
            if std::mem::replace(&mut tracked.there, true) {
                tracked.items.push(item);
                continue;
            }
            tracked.items = vec![item];
            tracked.dated = own.is_some();
            let last = tracked.fold.last().map(|(time, _)| time);
            let mut starts = wants.items[item].starts.iter();
            let restarted = starts.any(|(start, _)| self.starts.moved(start, &sample.labels, last, time));
            if fresh {
                tracked.meter.there(time);
                tracked.meter.add(sample.value);
            }
            let fell = tracked.fold.fell();
            match (own, edge) {
                (None, Some([at, own])) => {
                    let moves = self.moving.contains(&(sample.name.clone(), sample.labels.clone()));
                    let at = if moves { At::flowing(own.time, 0.0) } else { at };
                    let (said, early) = (tracked.fold.last(), tracked.cut.take());
                    let cut = tracked.fold.feed_edge(at, time, sample.value, restarted);
                    // Others may have gone on, unless it stands still by now.
                    let moves = self.prompt.is_some_and(|(_, ended)| ended) && said.is_some_and(|(_, said)| said != sample.value);
                    tracked.cut = cut.map(|cut| early.filter(|_| moves).map_or(cut, |early| cut.since(&early)));
                }
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
        for tracked in self.series.values_mut() {
            tracked.missing = tracked.missing.filter(|_| !tracked.there).or((!tracked.there).then_some(time));
        }
        self.meters.close(wants);
        self.starts.forget(time);
        if self.series.len() > SERIES_REMEMBERED {
            self.series.retain(|_, tracked| tracked.there);
        }
    }
}

/// An edge at which the load stands still.
fn still_at(at: f64) -> At {
    At { still_until: Some(f64::INFINITY), ..At::flowing(at, 0.0) }
}

/// Whether the system of an item could be read, by the names of what the exporter has.
fn is_read(wants: &Wants, item: usize, there: &HashSet<&str>) -> bool {
    let (names, alone) = wants.witnesses(item);
    alone && !there.is_empty() || names.iter().any(|name| there.contains(&**name))
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

/// What says by being 0 that the exporter can't read its system.
fn down(exposition: &Exposition) -> Vec<(String, Labels)> {
    let is_down =
        |sample: &&Sample| sample.value == 0.0 && presets::ALL.iter().any(|preset| preset.up == Some(sample.name.as_str()));
    exposition.samples.iter().filter(is_down).map(|sample| (sample.name.clone(), sample.labels.clone())).collect()
}

/// The names that begin as those of the presets observed.
fn names(wants: &Wants, exposition: &Exposition) -> Vec<String> {
    let prefixes: Vec<&str> = wants.prefixes().collect();
    let named = exposition.samples.iter().map(|sample| sample.name.as_str());
    let names: BTreeSet<&str> = named.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect();
    names.into_iter().take(NAMES_KEPT).map(str::to_owned).collect()
}

/// What happened between two readings of an exporter, the first at the edge `begun` (Unix seconds).
pub(super) fn between([before, after]: [&SourceReading; 2], begun: f64) -> Between {
    let (names, blank) = (after.names.clone(), after.blank.clone());
    let mut left_out = after.left_out.clone();
    left_out
        .extend(before.left_out.iter().filter(|of| !after.left_out.iter().any(|other| other.metric() == of.metric())).cloned());
    let mut out = Between { left_out, names, blank, down: after.down.clone(), ..Between::default() };
    let Some((a, b)) = before.scraped.as_ref().zip(after.scraped.as_ref()) else { return out };
    // The first edge is the one before, or the one before that where the second one was read once more.
    let consecutive = b.since == Some(begun);
    let read_again = b.earlier.as_ref().filter(|earlier| !consecutive && earlier.0 == begun).map(|earlier| &earlier.1);
    if consecutive || read_again.is_some() {
        out.levels = together(read_again.map_or(&[][..], |levels| levels), &b.levels);
    }
    let (earlier, later) = (index(&before.points), index(&after.points));
    let gone = before.points.iter().filter(|point| !later.contains_key(&key(point))).map(|point| (Some(point), None));
    let there = after.points.iter().map(|point| (earlier.get(&key(point)).copied(), Some(point)));
    for (from, to) in gone.chain(there) {
        let Some(point) = to.or(from) else { continue };
        let mut track = match (from, to) {
            // New at a system that was read at the first edge.
            (None, Some(to))
                if to.kind == MetricKind::Counter
                    && to.cut.first.0 > begun
                    && to.items.iter().any(|of| before.read.contains(of)) =>
            {
                Track::born(&to.cut)
            }
            _ => Track::between(point.kind, from.map(|point| point.cut), to.map(|point| point.cut)),
        };
        if point.kind == MetricKind::Counter {
            track.unread([a.bare, b.bare]);
        }
        let levels = to.and_then(|to| match (consecutive, read_again) {
            (true, _) => to.levels,
            (false, Some(_)) => to.earlier.into_iter().chain(to.levels).reduce(Levels::and),
            (false, None) => None,
        });
        for item in point.items.iter().copied() {
            let (metric, labels, samples) = (point.metric.clone(), point.labels.clone(), b.scrapes - a.scrapes);
            out.found.push(SeriesFindings { item, metric, labels, kind: point.kind, track, levels, samples });
        }
    }
    let passed = b.passed.iter().filter(|passed| passed.since >= begun);
    for passed in passed.filter(|passed| !later.contains_key(&(&passed.metric, &passed.labels))) {
        let new = passed.cut.first.0 > begun && passed.items.iter().any(|of| before.read.contains(of));
        let track = if new { Track::passed(&passed.cut) } else { Track::between(MetricKind::Counter, None, None) };
        for item in passed.items.iter().copied() {
            let (metric, labels) = (passed.metric.clone(), passed.labels.clone());
            out.found.push(SeriesFindings {
                item,
                metric,
                labels,
                kind: MetricKind::Counter,
                track,
                levels: None,
                samples: b.scrapes - a.scrapes,
            });
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
