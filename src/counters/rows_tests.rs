//! Values of several sources: nothing that one says hides what another says or can't say.

use std::collections::BTreeSet;

use super::*;
use crate::counters::amount::Amount;
use crate::counters::api::Target;
use crate::counters::error::SourceError;
use crate::counters::folded::Folded;
use crate::counters::hidden::Hidden;
use crate::counters::labels::Labels;
use crate::counters::meter::Levels;
use crate::counters::observe::{Matcher, Observe, Ratio, Wanted};
use crate::counters::part::Between;
use crate::counters::presets;
use crate::counters::report::{Blank, SourceReading};
use crate::counters::seen::Looked;
use crate::counters::track::Track;
use crate::counters::twice::of_one_address;
use crate::counters::values::{LevelOf, ValueSeries};

fn wants() -> Wants {
    let preset = presets::find("redis").unwrap();
    let hits = "redis_keyspace_hits_total";
    let ratio =
        Ratio { name: "own".into(), of: hits.into(), to: vec!["redis_keyspace_misses_total".into()], matchers: Vec::new() };
    let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }];
    Wants::new(&Observe { counters, ratios: vec![ratio], ..Observe::default() })
}

fn track(delta: f64) -> Track {
    let delta = Ok(Amount::exact(delta));
    Track {
        before: Some(1.0),
        after: Some(2.0),
        delta,
        hidden: Hidden::default(),
        resets: 0,
        ends: None,
        born: None,
        gone: false,
        unread: false,
        around: [0.0, 0.0, 1.0, 1.0],
    }
}

/// A source that has hits and misses of these instances.
fn part(name: &str, direct: Option<&str>, systems: &[(&str, f64, f64)]) -> SourceFindings {
    let wants = wants();
    let (mut found, mut had) = (Vec::new(), Seen::default());
    for (instance, hits, misses) in systems {
        for (metric, delta) in [("redis_keyspace_hits_total", hits), ("redis_keyspace_misses_total", misses)] {
            let labels: Labels =
                if direct.is_some() { Vec::new() } else { vec![("instance".to_owned(), (*instance).to_owned())] };
            let (item, _) = wants.find(metric, &labels).next().unwrap();
            let (metric, track) = (metric.to_owned(), track(*delta));
            had.add(&wants, item, &labels);
            found.push(SeriesFindings { item, metric, labels, kind: MetricKind::Counter, track, levels: None, samples: 2 });
        }
    }
    let reading = SourceReading { name: name.into(), ..SourceReading::default() };
    let between = Ok(Between { found, ..Between::default() });
    let direct = direct.map(|address| format!("http://{address}/metrics").parse().unwrap());
    SourceFindings { name: name.into(), direct, targets: None, between, readings: [reading.clone(), reading], had: Some(had) }
}

/// The same, but it could not be read in this phase.
fn failing(part: SourceFindings) -> SourceFindings {
    let error = SourceError::Unreachable("nobody is there".into());
    let reading = SourceReading { error: Some(error.clone()), ..SourceReading::default() };
    SourceFindings { between: Err(error), readings: [reading.clone(), reading], ..part }
}

/// Nor ever before.
fn never_read(name: &str) -> SourceFindings {
    SourceFindings { had: None, ..failing(part(name, Some("n:1"), &[])) }
}

fn systems(name: &str, parts: Vec<SourceFindings>) -> Systems {
    assemble(&wants(), parts, 10.0, 0, 1).values.systems(name).unwrap().clone()
}

/// The systems that have a value, each with what its labels say.
fn ratio(name: &str, parts: Vec<SourceFindings>) -> Vec<(String, f64)> {
    let labels = |series: &ValueSeries| series.labels.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ");
    systems(name, parts).known.iter().map(|series| (labels(series), series.value)).collect()
}

/// What is said of those that are not known.
fn unknown(parts: Vec<SourceFindings>) -> Vec<String> {
    systems("redis.hit_ratio", parts).unknown.into_iter().map(|unknown| unknown.why).collect()
}

#[test]
fn every_system_that_any_source_knows_has_a_value_in_any_order() {
    let stored = || part("prometheus", None, &[("good:1", 90.0, 10.0), ("bad:1", 10.0, 90.0)]);
    let read = || part("redis-good", Some("127.0.0.1:9121"), &[("", 90.0, 10.0)]);
    let expected = [("bad:1", 0.1), ("good:1", 0.9), ("redis-good", 0.9)].map(|(name, value)| (name.to_owned(), value));
    for parts in [vec![stored(), read()], vec![read(), stored()]] {
        let mut found = ratio("redis.hit_ratio", parts);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, expected);
    }
    let parts = vec![part("a", Some("a:1"), &[("", 90.0, 10.0)]), part("b", Some("b:1"), &[("", 10.0, 90.0)])];
    assert_eq!(ratio("redis.hit_ratio", parts), [("a", 0.9), ("b", 0.1)].map(|(name, value)| (name.to_owned(), value)));
}

/// With what a server says that it scrapes at an instance.
fn scraping(part: SourceFindings, instance: &str, url: &str) -> SourceFindings {
    let target = Target { job: String::new(), instance: instance.into(), labels: Labels::new(), url: url.parse().unwrap() };
    SourceFindings { targets: Some(vec![target]), ..part }
}

/// With counters that stand at a value.
fn standing(mut part: SourceFindings, at: f64) -> SourceFindings {
    part.between.as_mut().unwrap().found.iter_mut().for_each(|found| found.track.after = Some(at));
    part
}

#[test]
fn what_is_read_directly_is_not_judged_once_more_by_a_prometheus_that_scrapes_it() {
    let stored = || part("prometheus", None, &[("127.0.0.1:9121", 80.0, 20.0)]);
    let read = || part("redis", Some("127.0.0.1:9121"), &[("", 90.0, 10.0)]);
    let scraped = || scraping(stored(), "127.0.0.1:9121", "http://127.0.0.1:9121/metrics");
    for name in ["redis.hit_ratio", "own"] {
        for parts in [vec![scraped(), read()], vec![standing(stored(), 1e6), standing(read(), 1e6)]] {
            let values = ratio(name, parts);
            assert_eq!((values.len(), values[0].0.as_str()), (1, "redis"), "{name}");
        }
    }
    // It is, where the exporter can't be read: but other systems of it may be hidden.
    let systems = systems("redis.hit_ratio", vec![stored(), failing(read())]);
    assert_eq!((systems.known.len(), systems.unknown.len()), (1, 1));
}

#[test]
fn another_target_of_the_same_name_is_not_hidden() {
    let shard = |shard: &str| vec![("instance".to_owned(), "cache".to_owned()), ("shard".to_owned(), shard.to_owned())];
    let mut stored = part("prometheus", None, &[("0", 90.0, 10.0), ("1", 10.0, 90.0)]);
    let target = |at: &str, url: &str| Target {
        job: String::new(),
        instance: "cache".into(),
        labels: shard(at),
        url: url.parse().unwrap(),
    };
    stored.targets = Some(vec![target("0", "http://a:9121/metrics"), target("1", "http://b:9121/metrics")]);
    for found in &mut stored.between.as_mut().unwrap().found {
        found.labels = shard(&found.labels[0].1);
    }
    let read = part("redis", Some("a:9121"), &[("", 90.0, 10.0)]);
    let all = systems("redis.hit_ratio", vec![SourceFindings { had: None, ..stored }, read]);
    let values: Vec<f64> = all.known.iter().map(|series| series.value).collect();
    assert_eq!(values, [0.1, 0.9], "{all:?}");
}

#[test]
fn another_target_of_the_same_address_is_not_hidden() {
    let read = || part("redis", Some("127.0.0.1:9121"), &[("", 90.0, 10.0)]);
    let stored = || part("prometheus", None, &[("127.0.0.1:9121", 10.0, 90.0)]);
    assert_eq!(ratio("redis.hit_ratio", vec![standing(stored(), 1e6), read()]).len(), 2);
    // A server that scrapes nothing itself says nothing of where it is.
    let pushed = SourceFindings { targets: Some(Vec::new()), ..standing(stored(), 1e6) };
    assert_eq!(ratio("redis.hit_ratio", vec![pushed, standing(read(), 1e6)]).len(), 1);
    // Values near 0 may be those of any system.
    assert_eq!(ratio("redis.hit_ratio", vec![stored(), read()]).len(), 2);
    // Where it does, its own name for the target says nothing.
    let renamed = || part("prometheus", None, &[("cache", 10.0, 90.0)]);
    let scraped = scraping(renamed(), "cache", "http://localhost:9121/metrics");
    assert_eq!(ratio("redis.hit_ratio", vec![scraped, read()]).len(), 1);
    assert_eq!(ratio("redis.hit_ratio", vec![standing(renamed(), 1e6), standing(read(), 1e6)]).len(), 2);
    // The `localhost` of another machine isn't ours.
    let targets = || scraping(renamed(), "cache", "http://localhost:9121/metrics").targets.unwrap();
    let from = |server: &str| of_one_address(&server.parse().unwrap(), targets());
    let values_of =
        |targets| ratio("redis.hit_ratio", vec![SourceFindings { targets: Some(targets), ..renamed() }, read()]).len();
    assert_eq!((values_of(from("http://mon:9090")), values_of(from("http://127.0.0.1:9090"))), (2, 1));
    let scraped = scraping(stored(), "127.0.0.1:9121", "http://127.0.0.1:9121/scrape?target=other");
    assert_eq!(ratio("redis.hit_ratio", vec![standing(scraped, 1e6), standing(read(), 1e6)]).len(), 2);
}

#[test]
fn a_system_that_was_there_and_is_not_any_more_is_unknown() {
    let both = || part("prometheus", None, &[("a:1", 90.0, 10.0), ("b:1", 10.0, 90.0)]);
    let one = SourceFindings { had: both().had, ..part("prometheus", None, &[("a:1", 90.0, 10.0)]) };
    let all = systems("redis.hit_ratio", vec![one]);
    let [unknown] = &*all.unknown else { panic!("{all:?}") };
    assert_eq!((all.known.len(), unknown.labels[0].1.as_str()), (1, "b:1"));
    assert!(unknown.why.contains("it was there before"), "{unknown:?}");
    // One that did nothing is there.
    let idle = SourceFindings { had: both().had, ..part("prometheus", None, &[("a:1", 90.0, 10.0), ("b:1", 0.0, 0.0)]) };
    assert!(unknown_of(systems("redis.hit_ratio", vec![idle])).is_empty());
    let gone = SourceFindings { had: both().had, ..part("prometheus", None, &[]) };
    let gone = systems("redis.hit_ratio", vec![gone]);
    assert_eq!((gone.none.clone(), gone.unknown.len()), (None, 2), "it isn't nowhere");
    // An exporter that is up while its server is down has a name.
    let read = SourceFindings { had: part("redis", Some("a:1"), &[("", 1.0, 1.0)]).had, ..part("redis", Some("a:1"), &[]) };
    assert_eq!(systems("redis.hit_ratio", vec![read]).unknown[0].labels, [("source".to_owned(), "redis".to_owned())]);
}

fn unknown_of(systems: Systems) -> Vec<String> {
    systems.unknown.into_iter().map(|unknown| unknown.why).collect()
}

#[test]
fn a_part_that_is_no_number_leaves_its_system_unknown() {
    let mut odd = part("prometheus", None, &[("a:1", 90.0, 10.0), ("b:1", 10.0, 90.0)]);
    let between = odd.between.as_mut().unwrap();
    let blank = between.found.remove(2);
    between.blank.push(Blank { item: blank.item, metric: blank.metric, labels: blank.labels, age: None });
    let all = systems("redis.hit_ratio", vec![odd]);
    assert_eq!((all.known.len(), all.known[0].value), (1, 0.9));
    assert!(unknown_of(all).iter().any(|why| why.contains("redis_keyspace_hits_total is no number")));
}

/// Two entries of one preset under `counters`, of which the second one is narrowed.
fn two_entries(label: &str, value: &str) -> Wants {
    let preset = presets::find("redis").unwrap();
    let entry = |matchers| Wanted::Preset { preset, matchers };
    let counters = vec![entry(Vec::new()), entry(vec![Matcher::new(label, value)])];
    Wants::new(&Observe { counters, ..Observe::default() })
}

#[test]
fn a_system_that_two_entries_take_counts_once() {
    let wants = two_entries("instance", "a:1");
    let mut stored = part("prometheus", None, &[("a:1", 90.0, 10.0), ("b:1", 10.0, 90.0)]);
    let found = std::mem::take(&mut stored.between.as_mut().unwrap().found);
    let of_each = found.iter().flat_map(|found| {
        wants.find(&found.metric, &found.labels).map(|(item, _)| SeriesFindings { item, ..found.clone() }).collect::<Vec<_>>()
    });
    stored.between.as_mut().unwrap().found = of_each.collect();
    let observed = assemble(&wants, vec![stored], 10.0, 0, 1);
    let all = observed.values.systems("redis.hit_ratio").unwrap();
    assert_eq!((all.known.len(), all.sum().unwrap().value), (2, 0.5));
}

#[test]
fn a_label_that_no_metric_has_is_said_and_nothing_is_taken_for_what_was_meant() {
    let wants = two_entries("instanc", "a:1");
    let mut had = Seen::default();
    had.look(&[Looked { entry: 1, label: "instanc".into(), there: false, has: ["instance".to_owned()].into() }]);
    let stored = SourceFindings { had: Some(had), ..part("prometheus", None, &[("a:1", 90.0, 10.0)]) };
    let observed = assemble(&wants, vec![stored], 10.0, 0, 1);
    let unknown = unknown_of(observed.values.systems("redis.hit_ratio").unwrap().clone());
    assert!(
        unknown.iter().any(|why| why.contains("names the label `instanc`") && why.ends_with("they have instance")),
        "{unknown:?}"
    );
    assert!(observed.notes.iter().any(|note| note.contains("`instanc`")));
}

#[test]
fn over_phases_increases_add_up_and_what_is_not_judged_is_no_part_of_it() {
    let phase = |around: [f64; 4], systems: &[(&str, f64, f64)]| {
        let mut part = part("prometheus", None, systems);
        for found in &mut part.between.as_mut().unwrap().found {
            let value = found.track.delta.unwrap().value;
            // A tenth of it lies around each edge.
            let tenth = 0.1 * value;
            found.track.delta = Ok(Amount::new(value, value - tenth, [tenth, tenth, 0.0]));
            found.track.around = around;
        }
        assemble(&wants(), vec![part], 10.0, 0, 1).values
    };
    let mut folded = Folded::default();
    folded.add(&phase([0.0, 1.0, 10.0, 11.0], &[("a:1", 100.0, 0.0)]), 10.0);
    folded.add(&phase([10.0, 11.0, 20.0, 21.0], &[("a:1", 100.0, 200.0)]), 10.0);
    let values = folded.values();
    let of = |name: &str| values.systems(name).unwrap().known[0].clone();
    // What lies around the edge between is in one of the two.
    assert_eq!(of("redis.hit_ratio").value, 0.5);
    assert!((of("redis.hit_ratio").least - 0.5).abs() < 0.06 && (of("redis.hit_ratio").most - 0.5).abs() < 0.06);
    // Apart from the others, each edge stays open.
    folded.add(&phase([40.0, 41.0, 50.0, 51.0], &[("a:1", 200.0, 0.0)]), 10.0);
    let values = folded.values();
    let apart = &values.systems("redis.hit_ratio").unwrap().known[0];
    assert!((apart.value - 2.0 / 3.0).abs() < 1e-12 && apart.least < 0.65 && apart.most > 0.68, "{apart:?}");
    // A system that is unknown in one of them is unknown.
    folded.add(&assemble(&wants(), vec![failing(part("prometheus", None, &[("a:1", 1.0, 1.0)]))], 10.0, 0, 1).values, 10.0);
    assert_eq!(folded.values().systems("redis.hit_ratio").unwrap().unknown.len(), 1);
}

#[test]
fn over_phases_levels_are_seen_together() {
    let wants = wants();
    let phase = |least: f64, greatest: f64, mean: f64| {
        let mut part = part("redis", Some("a:1"), &[]);
        let (item, _) = wants.find("redis_connected_clients", &Labels::new()).next().unwrap();
        let track = Track { after: Some(mean), ends: Some([mean; 2]), ..track(0.0) };
        let (metric, labels, kind) = ("redis_connected_clients".to_owned(), Labels::new(), MetricKind::Gauge);
        let levels = Levels { min: least, max: greatest, avg: mean, samples: 3, blank: 0, hole: 0.0, ended: 0.0 };
        let between = part.between.as_mut().unwrap();
        between.levels.push(LevelOf { value: "redis.connected_clients".into(), labels: Labels::new(), levels });
        between.found.push(SeriesFindings { item, metric, labels, kind, track, levels: Some(levels), samples: 3 });
        assemble(&wants, vec![part], 10.0, 0, 1).values
    };
    let mut folded = Folded::default();
    [(1.0, 5.0, 3.0, 10.0), (4.0, 90.0, 7.0, 30.0), (2.0, 6.0, 4.0, 40.0)]
        .iter()
        .for_each(|(least, greatest, mean, seconds)| folded.add(&phase(*least, *greatest, *mean), *seconds));
    let values = folded.values();
    let of = &values.systems("redis.connected_clients").unwrap().known[0];
    assert_eq!((of.value, of.min, of.max, of.avg), (4.0, 1.0, 90.0, (30.0 + 210.0 + 160.0) / 80.0));
    assert_eq!(values.systems("redis.connected_clients").unwrap().sum().unwrap().value, 4.0, "levels aren't added up");
}

#[test]
fn a_source_that_cannot_be_read_hides_nothing_that_another_says() {
    let good = || part("redis-b", Some("b:1"), &[("", 90.0, 10.0)]);
    let away = || failing(part("redis-a", Some("a:1"), &[("", 1.0, 1.0)]));
    for parts in [vec![away(), good()], vec![good(), away()]] {
        let systems = systems("redis.hit_ratio", parts);
        assert_eq!(systems.known.len(), 1);
        let [hidden] = &*systems.unknown else { panic!("{systems:?}") };
        assert!(hidden.why.starts_with("redis-a can't be read: nobody"), "{hidden:?}");
        assert_eq!(hidden.labels, [("source".to_owned(), "redis-a".to_owned())]);
    }
    // One that never had anything of it doesn't matter.
    assert!(unknown(vec![failing(part("node", Some("n:1"), &[])), good()]).is_empty());
}

#[test]
fn a_source_that_was_never_read_may_have_what_its_name_says_and_otherwise_anything() {
    let good = || part("redis-b", Some("b:1"), &[("", 90.0, 10.0)]);
    for (name, hides) in [
        ("redis-a", true),
        ("app", true),
        ("prometheus", true),
        ("postgres", false),
        ("pg-1", false),
        ("nodejs", true),
        ("Node", false),
    ] {
        assert_eq!(unknown(vec![never_read(name), good()]).len(), usize::from(hides), "{name}");
    }
}

#[test]
fn a_source_with_too_many_series_of_a_part_may_hide_systems() {
    let mut many = part("prometheus", None, &[]);
    many.between.as_mut().unwrap().left_out.push(LeftOut::Many { metric: "redis_keyspace_hits_total".into(), series: 5_000 });
    let unknown = unknown(vec![many, part("redis-b", Some("b:1"), &[("", 90.0, 10.0)])]);
    assert!(unknown[0].contains("prometheus has 5000 series"), "{unknown:?}");
}

#[test]
fn a_metric_that_a_source_had_until_a_while_ago_is_not_nowhere() {
    let mut lags = part("prometheus", None, &[]);
    lags.between.as_mut().unwrap().stale.push((hits_of(&wants(), ""), 600.0));
    let observed = assemble(&wants(), vec![lags], 10.0, 0, 1);
    let said = "prometheus has no sample of it in the phase; the newest is from 10m 0s before the phase's end";
    let row = observed.rows.iter().find(|row| row.metric == "redis_keyspace_hits_total").unwrap();
    assert_eq!(row.missing.as_deref(), Some(said));
    let all = observed.values.systems("redis.hit_ratio").unwrap();
    assert_eq!((all.none.clone(), all.unknown[0].why.as_str()), (None, &*format!("redis_keyspace_hits_total: {said}")));
}

/// The item of a metric of an instance.
fn hits_of(wants: &Wants, instance: &str) -> usize {
    let labels = vec![("instance".to_owned(), instance.to_owned())];
    wants.find("redis_keyspace_hits_total", &labels).next().unwrap().0
}

#[test]
fn what_is_stale_of_one_entry_says_nothing_of_another() {
    let preset = presets::find("redis").unwrap();
    let entry = |instance: &str| Wanted::Preset { preset, matchers: vec![Matcher::new("instance", instance)] };
    let wants = Wants::new(&Observe { counters: vec![entry("a:1"), entry("b:1")], ..Observe::default() });
    let observed = |stale: &[&str]| {
        let mut stored = part("prometheus", None, &[("a:1", 90.0, 10.0)]);
        let between = stored.between.as_mut().unwrap();
        for found in &mut between.found {
            found.item = wants.find(&found.metric, &found.labels).next().unwrap().0;
        }
        between.stale.extend(stale.iter().map(|instance| (hits_of(&wants, instance), 600.0)));
        assemble(&wants, vec![SourceFindings { had: None, ..stored }], 10.0, 0, 1)
    };
    let missing = |observed: &Observed| {
        observed.rows.iter().find(|row| row.metric == "redis_keyspace_hits_total" && row.delta.is_none()).unwrap().missing.clone()
    };
    let of = |observed: &Observed, instance| {
        observed.values.systems("redis.hit_ratio").unwrap().matching(&[Matcher::new("instance", instance)])
    };
    // One that was never there is nowhere, whatever the other had.
    let never = observed(&[]);
    assert!(missing(&never).unwrap().contains("no source has a series"), "{:?}", missing(&never));
    assert!(unknown_of(of(&never, "b:1")).is_empty());
    let lags = observed(&["b:1"]);
    assert!(missing(&lags).unwrap().contains("the newest is from 10m"), "{:?}", missing(&lags));
    let (a, b) = (of(&lags, "a:1"), of(&lags, "b:1"));
    assert_eq!((a.known.len(), a.unknown.len(), b.known.len(), b.unknown.len()), (1, 0, 0, 1), "{a:?} {b:?}");
}

#[test]
fn a_label_that_a_source_which_is_left_out_may_have_is_none_of_those_that_are_read() {
    let preset = presets::find("redis").unwrap();
    let counters = vec![Wanted::Preset { preset, matchers: vec![Matcher::new("instance", "a:1")] }];
    let wants = Wants::new(&Observe { counters, incomplete: true, ..Observe::default() });
    let mut had = Seen::default();
    had.look(&[Looked { entry: 0, label: "instance".into(), there: false, has: BTreeSet::new() }]);
    let read = SourceFindings { had: Some(had), ..part("redis-b", Some("b:1"), &[("", 90.0, 10.0)]) };
    let observed = assemble(&wants, vec![read], 10.0, 0, 1);
    let all = observed.values.systems("redis.hit_ratio").unwrap();
    assert!(all.known.is_empty() && all.are_left_out() && all.missing().contains("in the sources that are read"), "{all:?}");
}

#[test]
fn where_nothing_did_anything_there_is_no_ratio_and_where_nothing_is_there_is_no_system() {
    let idle = systems("redis.hit_ratio", vec![part("prometheus", None, &[("a:1", 0.0, 0.0), ("b:1", 0.0, 0.0)])]);
    assert!(matches!(&idle.none, Some(Absence::Idle(text)) if text.contains("nothing was counted")), "{idle:?}");
    let nowhere = systems("redis.hit_ratio", vec![part("prometheus", None, &[])]);
    assert!(matches!(&nowhere.none, Some(Absence::Nowhere(text)) if text.contains("no source has")), "{nowhere:?}");
    let beside = vec![part("a", Some("a:1"), &[("", 0.0, 0.0)]), part("b", Some("b:1"), &[("", 1.0, 1.0)])];
    assert_eq!(ratio("redis.hit_ratio", beside), [("b".to_owned(), 0.5)]);
}

#[test]
fn systems_are_picked_by_labels_and_added_up() {
    let stored = part("prometheus", None, &[("a:1", 90.0, 10.0), ("b:1", 10.0, 90.0)]);
    let read = part("c", Some("c:1"), &[("", 0.0, 100.0)]);
    let all = systems("redis.hit_ratio", vec![stored, read]);
    assert_eq!(all.sum().unwrap().value, 100.0 / 300.0);
    let only = |label: &str, value: &str| all.matching(&[Matcher::new(label, value)]);
    assert_eq!(only("instance", "a:1").sum().unwrap().value, 0.9);
    assert_eq!(only("source", "c").known[0].value, 0.0);
    let none = only("instance", "z:1");
    // It is of a source that is left out, if there is one; otherwise `match` is mistaken.
    let incomplete = |all: &Systems| Systems { incomplete: true, ..all.clone() };
    assert!(!none.are_left_out() && incomplete(&all).matching(&[Matcher::new("instance", "z:1")]).are_left_out());
    assert!(!incomplete(&all).are_left_out());
    let idles = systems("redis.hit_ratio", vec![part("c", Some("c:1"), &[("", 0.0, 0.0)])]);
    let others = incomplete(&idles).matching(&[Matcher::new("source", "z")]);
    assert!(others.are_left_out() && others.missing().contains("no system has source=z"), "{others:?}");
    let idle = idles.matching(&[Matcher::new("source", "c")]);
    assert!(!idle.are_left_out() && idle.missing().contains("nothing was counted"), "it is there: {idle:?}");
    assert!(none.known.is_empty() && none.missing().contains("no system has instance=z:1; there are"), "{none:?}");
    assert!(none.sum().is_err());
    // A sum with a part that nobody knows isn't known. An increase is at least what is.
    let away = || failing(part("d", Some("d:1"), &[("", 1.0, 1.0)]));
    let more = systems("redis.hit_ratio", vec![part("c", Some("c:1"), &[("", 0.0, 100.0)]), away()]);
    assert!(more.sum().unwrap_err().contains("nobody is there"));
    assert!(more.matching(&[Matcher::new("source", "c")]).sum().is_ok());
}

#[test]
fn a_row_says_what_a_restart_means_for_it() {
    let said = |resets: u64, hidden: Hidden, unread: bool| {
        let mut part = part("prometheus", None, &[("a:1", 9.0, 1.0)]);
        part.between.as_mut().unwrap().found[0].track = Track { resets, hidden, unread, ..track(9.0) };
        let observed = assemble(&wants(), vec![part], 10.0, 0, 1);
        let row = observed.rows.iter().find(|row| row.resets > 0).unwrap();
        (row.delta.unwrap(), row.uncertainty, row.note.clone().unwrap())
    };
    let bounded = Hidden::bounded(4.0);
    assert_eq!(said(2, bounded, false), (9.0, Some(4.0), "started again 2 times; ± covers what was lost".to_owned()));
    let blind = "started again once; it was not seen to move just before that, so nothing bounds what was lost";
    assert_eq!(said(1, Hidden::unbounded(), false), (9.0, None, blind.to_owned()));
    // What nothing bounds is of before the first sample, and not of the reset.
    let (_, off, note) = said(1, bounded, true);
    assert!(off.is_none() && note.starts_with("started again once; it was not read before the phase began"), "{note}");
}

#[test]
fn a_source_that_is_there_and_lacks_a_value_is_not_one_that_is_left_out() {
    let wants = || Wants { incomplete: true, ..wants() };
    let of = |parts: Vec<SourceFindings>| {
        let observed = assemble(&wants(), parts, 10.0, 0, 1);
        let row = observed.rows.iter().find(|row| row.missing.is_some()).and_then(|row| row.missing.clone());
        (observed.values.systems("redis.hit_ratio").unwrap().clone(), row.unwrap_or_default())
    };
    let has = |mut part: SourceFindings, names: &[&str], down: &[&str]| {
        let between = part.between.as_mut().unwrap();
        between.names = names.iter().map(|name| (*name).to_owned()).collect();
        let labels = |instance: &&str| vec![("instance".to_owned(), (*instance).to_owned())];
        let labels = |instance: &&str| if instance.is_empty() { Labels::new() } else { labels(instance) };
        between.down = down.iter().map(|instance| ("redis_up".to_owned(), labels(instance))).collect();
        part
    };
    let direct = |name: &str| part(name, Some("a:1"), &[]);
    let said = "redis_up of cache is 0: its exporter is there, and the server is down";
    let (down, row) = of(vec![has(direct("cache"), &["redis_up", "redis_exporter_scrapes_total"], &[""])]);
    let [unknown] = &*down.unknown else { panic!("{down:?}") };
    assert!(!down.are_left_out() && unknown.why.ends_with(said) && row == said, "{down:?} {row}");
    assert_eq!(unknown.labels, [("source".to_owned(), "cache".to_owned())]);
    // Beside one that is there, too.
    let (beside, _) = of(vec![part("b", Some("b:1"), &[("", 90.0, 10.0)]), has(direct("cache"), &["redis_up"], &[""])]);
    assert_eq!((beside.known.len(), beside.unknown.len()), (1, 1));
    let (stored, _) = of(vec![has(part("prometheus", None, &[]), &["redis_up"], &["a:1"])]);
    assert_eq!(stored.unknown[0].labels, [("instance".to_owned(), "a:1".to_owned())]);
    // It has other names for it, or is called by such a system.
    for part in [has(direct("cache"), &["redis_up", "redis_new_hits_total"], &[]), direct("redis-b")] {
        let (lacks, _) = of(vec![part]);
        assert!(!lacks.are_left_out() && lacks.unknown.len() == 1, "{lacks:?}");
    }
    // One of another kind has none.
    assert!(of(vec![direct("node")]).0.are_left_out());
    assert!(of(vec![has(direct("app"), &["redis_client_pool_size"], &[])]).0.are_left_out());
}
