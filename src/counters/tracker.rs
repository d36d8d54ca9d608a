//! What an exporter that is scraped directly said so far: the increase of each series since it was first seen, restarts
//! taken into account, and levels since the last edge.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::exporter::same_life;
use super::increase::{Gap, Meter, Track, step};
use super::observe::Kind;
use super::presets::SERIES_TO_READ;
use super::report::{Counted, Labels, Point, Scraped, SourceReading};
use super::select::Best;
use super::span::Between;
use super::starts::Starts;
use super::text::Exposition;
use super::values::{Found, LevelMeters};
use super::want::Wants;

/// Series to remember that are not there at present.
const SERIES_REMEMBERED: usize = 10_000;

/// Everything that one exporter said.
#[derive(Debug)]
pub(super) struct Tracker {
    life: u64,
    serial: u64,
    scrapes: u64,
    series: BTreeMap<(String, Labels), Tracked>,
    starts: Starts,
    meters: LevelMeters,
    left_out: Vec<(String, u64)>,
}

#[derive(Debug)]
struct Tracked {
    kind: Kind,
    last: (f64, f64),
    /// Whether the last scrape had it.
    there: bool,
    counted: Counted,
    meter: Meter,
}

impl Tracker {
    /// Nothing yet. `life` tells this process' readings from another's.
    pub(super) fn new(life: u64) -> Self {
        Self {
            life,
            serial: 0,
            scrapes: 0,
            series: BTreeMap::new(),
            starts: Starts::default(),
            meters: LevelMeters::default(),
            left_out: Vec::new(),
        }
    }

    /// A scrape whose result is not used.
    pub(super) fn scraped(&mut self) {
        self.scrapes += 1;
    }

    /// Takes in a scrape that was asked for at `time`.
    pub(super) fn feed(&mut self, wants: &Wants, time: f64, exposition: &Exposition) {
        self.scraped();
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
            let starts = &self.starts;
            let tracked = self.series.entry((sample.name.clone(), sample.labels.clone())).or_insert_with(|| Tracked {
                kind,
                last: (time, sample.value),
                there: false,
                counted: Counted { since: time, first: sample.value, sum: 0.0, resets: 0, doubt: 0.0, levels: None },
                meter: Meter::default(),
            });
            // Two wants may ask for the same series.
            if std::mem::replace(&mut tracked.there, true) {
                continue;
            }
            let start = wants.items[item].start.as_ref();
            let restarted = start.is_some_and(|(start, _)| starts.moved(start, &sample.labels, Some(tracked.last.0), time));
            let step = step(kind, tracked.last.1, sample.value, restarted);
            tracked.counted.sum += step.increase;
            tracked.counted.resets += u64::from(step.reset);
            tracked.counted.doubt += step.doubt;
            tracked.last = (time, sample.value);
            tracked.meter.add(sample.value);
        }
        self.meters.close(wants);
        if self.series.len() > SERIES_REMEMBERED {
            self.series.retain(|_, tracked| tracked.there);
        }
    }

    /// Makes a reading of the last scrape, and begins anew with the levels.
    pub(super) fn cut(&mut self, wants: &Wants, reading: &mut SourceReading, slack: f64) {
        self.serial += 1;
        let levels = std::mem::take(&mut self.meters).levels(wants);
        let (life, serial, scrapes) = (self.life, self.serial, self.scrapes);
        reading.scraped = Some(Scraped { life, serial, scrapes, slack, levels });
        reading.left_out = self.left_out.clone();
        reading.points.clear();
        for ((metric, labels), tracked) in &mut self.series {
            let levels = std::mem::take(&mut tracked.meter).levels();
            // The edge's sample ends one phase and begins the next.
            tracked.meter.add(tracked.last.1);
            if tracked.there {
                reading.points.push(Point {
                    metric: metric.clone(),
                    labels: labels.clone(),
                    value: tracked.last.1,
                    counted: Some(Counted { levels, ..tracked.counted }),
                });
            }
        }
    }

    /// What a metric is, as told by the exporter.
    pub(super) fn kind_of(&self, metric: &str) -> Option<Kind> {
        let mut from = self.series.range((metric.to_owned(), Labels::new())..);
        from.next().filter(|((name, _), _)| name == metric).map(|(_, tracked)| tracked.kind)
    }
}

/// What happened between two readings of an exporter. `edges`: when those were, in Unix seconds; `flowing`: whether the load
/// went on at each.
pub(super) fn between(
    wants: &Wants,
    readings: [&SourceReading; 2],
    edges: [f64; 2],
    flowing: [bool; 2],
    kind_of: impl Fn(&str) -> Option<Kind>,
) -> Between {
    let ([before, after], [begun, ended]) = (readings, edges);
    let span = ended - begun;
    let life = same_life(before, after);
    let consecutive = life.is_some_and(|(a, b)| a.serial + 1 == b.serial);
    let slack = |reading: &SourceReading, flowing: bool| match &reading.scraped {
        Some(scraped) if flowing => scraped.slack,
        _ => 0.0,
    };
    let slack = slack(before, flowing[0]) + slack(after, flowing[1]);
    let (earlier, later) = (index(&before.points), index(&after.points));
    let gone = before.points.iter().filter(|point| !later.contains_key(&key(point))).map(|point| (Some(point), None));
    let there = after.points.iter().map(|point| (earlier.get(&key(point)).copied(), Some(point)));
    let metrics: HashSet<&str> = before.points.iter().map(|point| point.metric.as_str()).collect();
    let mut out = Between { left_out: after.left_out.clone(), ..Between::default() };
    if consecutive && let Some(scraped) = &after.scraped {
        out.levels = scraped.levels.clone();
    }
    for (a, b) in gone.chain(there) {
        let Some(point) = b.or(a) else { continue };
        for (item, _) in wants.find(&point.metric, &point.labels) {
            let kind = wants.items[item].kind(kind_of(&point.metric), &point.metric);
            // New at a target that was read at the first edge, and had others of this metric then.
            let known = life.is_some() && metrics.contains(point.metric.as_str());
            let born = match (a, b.and_then(|b| b.counted)) {
                (None, Some(counted)) if kind == Kind::Counter && known && counted.since > begun => Some(counted),
                _ => None,
            };
            let (delta, resets, doubt) = match (a, b) {
                (Some(a), Some(b)) => {
                    let (delta, resets, doubt) = increase(kind, a, b, life.is_some());
                    (Ok(delta), resets, doubt)
                }
                (None, _) => (Err(Gap::NoStart), 0, 0.0),
                (_, None) => (Err(Gap::NoEnd), 0, 0.0),
            };
            let rate = delta.map_or(0.0, |delta: f64| delta.abs() / span.max(1e-3));
            let levels = b.filter(|_| consecutive).and_then(|b| b.counted).and_then(|counted| counted.levels);
            let mut track = Track {
                before: a.map(|point| point.value),
                after: b.map(|point| point.value),
                delta,
                unsure: doubt + rate * slack.max(0.0),
                resets,
                levels,
                samples: life.map_or(2, |(a, b)| b.scrapes - a.scrapes),
                born: None,
            };
            if let Some(Counted { first, sum, resets, doubt, .. }) = born {
                let rate = (first + sum) / span.max(1e-3);
                track = Track { resets, ..track.begun_at_birth(first, sum, doubt + rate * slack.max(0.0)) };
            }
            out.found.push(Found { item, metric: point.metric.clone(), labels: point.labels.clone(), kind, track });
        }
    }
    out
}

/// What tells a series from the others.
fn key(point: &Point) -> (&str, &Labels) {
    (&point.metric, &point.labels)
}

/// Points by series, for there may be thousands of them.
fn index(points: &[Point]) -> HashMap<(&str, &Labels), &Point> {
    points.iter().map(|point| (key(point), point)).collect()
}

/// The increase between two points, by what was accumulated if that holds, or else by the values alone.
fn increase(kind: Kind, a: &Point, b: &Point, same_life: bool) -> (f64, u64, f64) {
    match (a.counted, b.counted) {
        (Some(from), Some(to)) if same_life && from.since == to.since => {
            (to.sum - from.sum, to.resets - from.resets, to.doubt - from.doubt)
        }
        _ => {
            let step = step(kind, a.value, b.value, false);
            (step.increase, u64::from(step.reset), 0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::observe::{Observe, Wanted};
    use crate::counters::presets;
    use crate::counters::text::Format;

    fn wants() -> Wants {
        let preset = presets::find("redis").unwrap();
        let metric = |metric: &str| Wanted::Metric { metric: metric.into(), matchers: Vec::new(), kind: None };
        let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }, metric("jobs"), metric("many_total")];
        Wants::new(&Observe { counters, ..Observe::default() })
    }

    fn feed(tracker: &mut Tracker, time: f64, text: &str) {
        tracker.feed(&wants(), time, &Exposition::parse(text, Format::Text).unwrap());
    }

    fn cut(tracker: &mut Tracker) -> SourceReading {
        let mut reading = SourceReading::default();
        tracker.cut(&wants(), &mut reading, 0.01);
        reading
    }

    fn row(before: &SourceReading, after: &SourceReading, metric: &str) -> Option<Track> {
        let between =
            between(&wants(), [before, after], [0.0, 10.0], [true, false], |name| (name == "jobs").then_some(Kind::Counter));
        between.found.into_iter().find(|found| found.metric == metric).map(|found| found.track)
    }

    #[test]
    fn a_restart_that_was_seen_between_the_edges_loses_nothing() {
        let mut tracker = Tracker::new(1);
        let text = |hits: u32, start: u32, clients: u32| {
            format!("redis_keyspace_hits_total {hits}\nredis_start_time_seconds {start}\nredis_connected_clients {clients}\n")
        };
        feed(&mut tracker, 0.0, &text(100, 1000, 7));
        let before = cut(&mut tracker);
        feed(&mut tracker, 5.0, &text(150, 1001, 90));
        feed(&mut tracker, 6.0, &text(160, 1500, 3));
        feed(&mut tracker, 10.0, &text(170, 1500, 5));
        let after = cut(&mut tracker);
        let hits = row(&before, &after, "redis_keyspace_hits_total").unwrap();
        assert_eq!((hits.delta, hits.resets), (Ok(50.0 + 160.0 + 10.0), 1));
        let clients = row(&before, &after, "redis_connected_clients").unwrap().levels.unwrap();
        assert_eq!((clients.min, clients.max), (3.0, 90.0));
        assert_eq!(
            after.scraped.as_ref().unwrap().levels.iter().find(|l| l.value == "redis.connected_clients").unwrap().levels.max,
            90.0
        );

        // After a restart of ours the values alone are left, and a level's peak is not known.
        let mut other = Tracker::new(2);
        feed(&mut other, 20.0, &text(175, 1500, 5));
        let later = cut(&mut other);
        let hits = row(&after, &later, "redis_keyspace_hits_total").unwrap();
        assert_eq!((hits.delta, hits.levels), (Ok(5.0), None));
    }

    #[test]
    fn what_comes_or_goes_is_missing_and_too_many_are_left_out() {
        let mut tracker = Tracker::new(1);
        let many: String = (0..=SERIES_TO_READ).map(|n| format!("many_total{{n=\"{n}\"}} 1\n")).collect();
        feed(&mut tracker, 0.0, &format!("redis_keyspace_hits_total 1\nredis_evicted_keys_total NaN\n{many}"));
        let before = cut(&mut tracker);
        feed(&mut tracker, 1.0, &format!("redis_keyspace_misses_total 1\nredis_evicted_keys_total NaN\n{many}"));
        let after = cut(&mut tracker);
        assert_eq!(row(&before, &after, "redis_keyspace_hits_total").unwrap().delta, Err(Gap::NoEnd));
        assert_eq!(row(&before, &after, "redis_keyspace_misses_total").unwrap().delta, Err(Gap::NoStart));
        assert_eq!(row(&before, &after, "redis_evicted_keys_total"), None);
        assert_eq!(row(&before, &after, "many_total"), None);
        assert_eq!(after.left_out, [("many_total".to_owned(), SERIES_TO_READ as u64 + 1)]);
    }

    #[test]
    fn a_counter_that_came_up_beside_others_of_its_metric_counts_from_0() {
        let mut tracker = Tracker::new(1);
        let text = |new: &str| format!("redis_commands_total{{cmd=\"get\"}} 5\nredis_connected_clients 2\n{new}\n");
        let set = |n: u32| text(&format!("redis_commands_total{{cmd=\"set\"}} {n}"));
        let wants = {
            let metric = |name: &str| Wanted::Metric { metric: name.into(), matchers: Vec::new(), kind: None };
            Wants::new(&Observe { counters: vec![metric("redis_commands_total")], ..Observe::default() })
        };
        let mut scrape = |time: f64, text: &str, edge: bool| {
            tracker.feed(&wants, time, &Exposition::parse(text, Format::Text).unwrap());
            let mut reading = SourceReading::default();
            edge.then(|| tracker.cut(&wants, &mut reading, 0.0));
            reading
        };
        let before = scrape(0.5, &text(""), true);
        scrape(5.0, &set(4), false);
        let after = scrape(10.0, &set(30), true);
        let born = |before: &SourceReading, after: &SourceReading, edges| {
            let found = super::between(&wants, [before, after], edges, [true, true], |_| Some(Kind::Counter)).found;
            found.into_iter().find(|found| found.labels[0].1 == "set").unwrap().track
        };
        let track = born(&before, &after, [0.0, 10.0]);
        assert_eq!((track.before, track.after, track.delta, track.unsure), (Some(0.0), Some(30.0), Ok(30.0), 4.0));
        assert_eq!(track.born, Some(4.0));
        // In the next phase it is one like the others.
        let later = scrape(20.0, &set(31), true);
        let track = born(&after, &later, [10.0, 20.0]);
        assert_eq!((track.delta, track.unsure, track.born), (Ok(1.0), 0.0, None));
        // One that only went away for an edge is no new one: what it was then is not known.
        let gone = scrape(30.0, &text(""), true);
        let back = scrape(40.0, &set(40), true);
        assert_eq!(born(&gone, &back, [30.0, 40.0]).delta, Err(Gap::NoStart));
    }

    #[test]
    fn the_newest_name_is_taken_and_the_text_tells_the_kind() {
        let mut tracker = Tracker::new(1);
        feed(&mut tracker, 0.0, "# TYPE jobs counter\njobs 5\nredis_config_maxmemory 9\nredis_memory_max_bytes 9\n");
        let before = cut(&mut tracker);
        assert_eq!(tracker.kind_of("jobs"), Some(Kind::Counter));
        feed(&mut tracker, 1.0, "# TYPE jobs counter\njobs 2\nredis_config_maxmemory 9\nredis_memory_max_bytes 9\n");
        let after = cut(&mut tracker);
        assert_eq!(row(&before, &after, "jobs").unwrap().delta, Ok(2.0));
        assert!(row(&before, &after, "redis_memory_max_bytes").is_some());
        assert!(row(&before, &after, "redis_config_maxmemory").is_none());
        // Under load at the first edge: 10 ms of the rate.
        assert!((row(&before, &after, "jobs").unwrap().unsure - 0.002).abs() < 1e-12);
    }
}
