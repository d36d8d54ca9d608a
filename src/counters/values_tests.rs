//! Values of systems, from their series.

use super::*;
use crate::counters::observe::{Matcher, Observe, Ratio, Wanted};
use crate::counters::presets;

fn wants(preset: &str) -> Wants {
    let preset = presets::find(preset).unwrap();
    let ratios = vec![Ratio { name: "two".into(), of: "a_total".into(), to: vec!["b_total".into()], matchers: Vec::new() }];
    Wants::new(&Observe { counters: vec![Wanted::Preset { preset, matchers: Vec::new() }], ratios, ..Observe::default() })
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn found(wants: &Wants, metric: &str, pairs: &[(&str, &str)], before: f64, after: f64) -> SeriesFindings {
    let labels = labels(pairs);
    let (item, _) = wants.find(metric, &labels).next().unwrap();
    let kind = wants.items[item].kind(None, metric);
    let track = Track {
        before: Some(before),
        after: Some(after),
        delta: Ok(Amount::exact(after - before)),
        hidden: Hidden::default(),
        resets: 0,
        ends: None,
        born: None,
        gone: false,
        unread: false,
        around: [0.0, 0.0, 9.0, 9.0],
    };
    SeriesFindings { item, metric: metric.into(), labels, kind, track, levels: None, samples: 2 }
}

fn series(wants: &Wants, name: &str, found: &[SeriesFindings], levels: &[LevelOf]) -> Option<Result<Vec<ValueSeries>, String>> {
    let asked = wants.asked.iter().find(|asked| asked.name == name).unwrap();
    let systems = asked.systems("it", found.iter());
    let value = |(labels, parts): (Labels, Parts)| {
        let levels = asked.levels(&labels, levels);
        asked.series(labels, &parts, levels).transpose()
    };
    (!systems.is_empty()).then(|| systems.into_iter().filter_map(value).collect())
}

#[test]
fn a_ratio_of_increases_for_each_system() {
    let wants = wants("redis");
    let found = [
        found(&wants, "redis_keyspace_hits_total", &[("instance", "a")], 100.0, 190.0),
        found(&wants, "redis_keyspace_misses_total", &[("instance", "a")], 5.0, 15.0),
        found(&wants, "redis_keyspace_hits_total", &[("instance", "b")], 0.0, 50.0),
        found(&wants, "redis_keyspace_misses_total", &[("instance", "b")], 0.0, 50.0),
    ];
    let values = series(&wants, "redis.hit_ratio", &found, &[]).unwrap().unwrap();
    let got: Vec<_> = values.iter().map(|v| (v.labels[0].1.as_str(), v.value, v.max)).collect();
    assert_eq!(got, [("a", 0.9, 0.9), ("b", 0.5, 0.5)]);
    assert!(series(&wants, "redis.commands", &found, &[]).is_none());
}

#[test]
fn nothing_counted_is_no_ratio_and_a_missing_part_is_no_value() {
    let wants = wants("redis");
    let mut idle = vec![
        found(&wants, "redis_keyspace_hits_total", &[], 7.0, 7.0),
        found(&wants, "redis_keyspace_misses_total", &[], 7.0, 7.0),
        found(&wants, "redis_memory_used_bytes", &[], 7.0, 7.0),
        found(&wants, "redis_memory_max_bytes", &[], 0.0, 0.0),
    ];
    let error = |found: &[SeriesFindings], name| series(&wants, name, found, &[]).unwrap().unwrap_err();
    assert_eq!(series(&wants, "redis.hit_ratio", &idle, &[]), Some(Ok(Vec::new())));
    assert_eq!(series(&wants, "redis.memory_used_ratio", &idle, &[]), Some(Ok(Vec::new())));
    idle[1].track.delta = Err(Gap::NoStart);
    assert!(error(&idle, "redis.hit_ratio").contains("redis_keyspace_misses_total: it was not there"));
    assert!(error(&idle[..1], "redis.hit_ratio").contains("missing"));
}

#[test]
fn databases_are_summed_and_levels_taken_at_the_same_instant() {
    let wants = wants("postgres");
    let mut meters = LevelMeters::default();
    let system = [("job", "pg")];
    for (time, app, other, most) in [(1.0, 10.0, 0.0, 100.0), (2.0, 60.0, 20.0, 100.0), (3.0, 20.0, 0.0, 100.0)] {
        for (metric, database, value) in
            [("pg_stat_database_numbackends", "app", app), ("pg_stat_database_numbackends", "other", other)]
        {
            let labels = labels(&[("datname", database), ("job", "pg")]);
            let (item, _) = wants.find(metric, &labels).next().unwrap();
            meters.feed(&wants, item, &labels, time, value);
        }
        let (item, _) = wants.find("pg_settings_max_connections", &labels(&system)).next().unwrap();
        meters.feed(&wants, item, &labels(&system), time, most);
    }
    meters.close(&wants);
    let found = [
        found(&wants, "pg_stat_database_numbackends", &[("datname", "app"), ("job", "pg")], 0.0, 20.0),
        found(&wants, "pg_stat_database_numbackends", &[("datname", "other"), ("job", "pg")], 0.0, 5.0),
        found(&wants, "pg_settings_max_connections", &system, 100.0, 100.0),
    ];
    let values = series(&wants, "postgres.connections_used_ratio", &found, &meters.levels(&wants, [0.0, 10.0], |_| None))
        .unwrap()
        .unwrap();
    assert_eq!(values.len(), 1);
    assert_eq!((values[0].value, values[0].min, values[0].max), (0.25, 0.1, 0.8));
    assert!((values[0].avg - 1.1 / 3.0).abs() < 1e-12);
}

#[test]
fn what_is_left_of_a_whole() {
    let wants = wants("node");
    let cpu = |mode, increase| found(&wants, "node_cpu_seconds_total", &[("cpu", "0"), ("mode", mode)], 0.0, increase);
    let found = [cpu("idle", 75.0), cpu("user", 20.0), cpu("system", 5.0)];
    assert_eq!(series(&wants, "node.cpu_used_ratio", &found, &[]).unwrap().unwrap()[0].value, 0.25);
}

#[test]
fn a_profiles_own_ratio_has_a_value_for_each_instance() {
    let wants = wants("redis");
    let found = [
        found(&wants, "a_total", &[("instance", "1"), ("code", "200")], 0.0, 1.0),
        found(&wants, "a_total", &[("instance", "1"), ("code", "500")], 0.0, 1.0),
        found(&wants, "b_total", &[("instance", "1")], 0.0, 4.0),
        found(&wants, "a_total", &[("instance", "2")], 0.0, 2.0),
        found(&wants, "b_total", &[("instance", "2")], 0.0, 2.0),
    ];
    let values = |found: &[SeriesFindings]| -> Vec<f64> {
        series(&wants, "two", found, &[]).unwrap().unwrap().iter().map(|series| series.value).collect()
    };
    assert_eq!(values(&found), [0.5, 1.0]);
    // No instance has both: then it is a ratio between instances.
    assert_eq!(values(&[found[0].clone(), found[1].clone(), found[4].clone()]), [1.0]);
}

/// What `of` and `to` came to, where the samples around both edges leave something open.
fn unsure(found: SeriesFindings, sure: f64, around: [f64; 2]) -> SeriesFindings {
    let value = found.track.delta.unwrap().value;
    let delta = Ok(Amount::new(value, sure, [around[0], around[1], 0.0]));
    SeriesFindings { track: Track { delta, ..found.track }, ..found }
}

#[test]
fn a_value_comes_with_bounds() {
    let wants = wants("redis");
    let a = [("instance", "a")];
    let evicted = unsure(found(&wants, "redis_evicted_keys_total", &a, 0.0, 5.0), 2.0, [3.0, 4.0]);
    let values = series(&wants, "redis.evicted_keys", &[evicted], &[]).unwrap().unwrap();
    assert_eq!((values[0].value, values[0].least, values[0].most), (5.0, 2.0, 9.0));
    assert_eq!((values[0].min, values[0].max), (5.0, 5.0));
    // A level is what was seen.
    let clients = found(&wants, "redis_connected_clients", &a, 3.0, 7.0);
    let values = series(&wants, "redis.connected_clients", &[clients], &[]).unwrap().unwrap();
    assert_eq!((values[0].least, values[0].most), (7.0, 7.0));
}

#[test]
fn a_ratio_of_one_scrape_is_bounded_by_what_is_in_and_out() {
    let wants = wants("redis");
    let hits = unsure(found(&wants, "redis_keyspace_hits_total", &[], 0.0, 900.0), 810.0, [90.0, 90.0]);
    let misses = unsure(found(&wants, "redis_keyspace_misses_total", &[], 0.0, 100.0), 90.0, [10.0, 10.0]);
    let bounds = |found: &[SeriesFindings]| {
        let values = series(&wants, "redis.hit_ratio", found, &[]).unwrap().unwrap();
        assert!((values[0].value - 0.9).abs() < 1e-12);
        (values[0].least, values[0].most)
    };
    let (least, most) = bounds(&[hits.clone(), misses.clone()]);
    assert!((least - 0.9).abs() < 1e-12 && (most - 0.9).abs() < 1e-12, "{least} {most}");
    // Samples at other times: each part may be at either end.
    let mut other = misses;
    other.track.around[1] += 0.5;
    assert_eq!(bounds(&[hits, other]), (810.0 / (810.0 + 110.0), 990.0 / (990.0 + 90.0)));
}

#[test]
fn a_ratio_is_made_of_counters_and_a_name_that_fell_is_none() {
    let wants = wants("redis");
    // In a ratio a name without an ending counts, too, unless its source says otherwise.
    let item = wants.find("a_total", &Labels::new()).next().unwrap().0;
    assert_eq!(
        (wants.items[item].kind(None, "plain"), wants.items[item].kind(Some(MetricKind::Gauge), "plain")),
        (MetricKind::Counter, MetricKind::Gauge)
    );
    let mut fell = found(&wants, "a_total", &[("instance", "1")], 500.0, 100.0);
    fell.kind = MetricKind::Gauge;
    let whole = found(&wants, "b_total", &[("instance", "1")], 0.0, 600.0);
    let why = series(&wants, "two", &[fell, whole], &[]).unwrap().unwrap_err();
    assert!(why.contains("a_total is read as a gauge") && why.contains("type: counter"), "{why}");
}

#[test]
fn a_level_between_two_samples_is_between_their_values_and_one_without_a_sample_is_unknown() {
    let wants = wants("node");
    let mut available = found(&wants, "node_memory_MemAvailable_bytes", &[], 20.0, 60.0);
    available.track.ends = Some([40.0, 80.0]);
    let total = found(&wants, "node_memory_MemTotal_bytes", &[], 100.0, 100.0);
    let values = series(&wants, "node.memory_used_ratio", &[available.clone(), total.clone()], &[]).unwrap().unwrap();
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(near(values[0].value, 0.4) && near(values[0].least, 0.2) && near(values[0].most, 0.6), "{values:?}");
    available.samples = 0;
    let why = series(&wants, "node.memory_used_ratio", &[available, total], &[]).unwrap().unwrap_err();
    assert!(why.contains("no sample of it lies in the phase"), "{why}");
}

#[test]
fn a_share_of_a_whole_that_is_unsure_stays_within_it() {
    let wants = wants("node");
    let cpu = |mode, increase, open| {
        let found = found(&wants, "node_cpu_seconds_total", &[("cpu", "0"), ("mode", mode)], 0.0, increase);
        let mut found = unsure(found, increase - open, [open, open]);
        found.track.around[1] = increase;
        found
    };
    let found = [cpu("idle", 75.0, 75.0), cpu("user", 25.0, 25.0)];
    let values = series(&wants, "node.cpu_used_ratio", &found, &[]).unwrap().unwrap();
    assert_eq!((values[0].value, values[0].least, values[0].most), (0.25, 0.0, 1.0));
}

#[test]
fn a_system_that_did_nothing_is_not_judged_beside_one_that_did() {
    let wants = wants("redis");
    let pair = |instance, hits, misses| {
        let labels = [("instance", instance)];
        let of = |metric, increase| found(&wants, metric, &labels, 0.0, increase);
        [of("redis_keyspace_hits_total", hits), of("redis_keyspace_misses_total", misses)]
    };
    let all = [pair("busy", 1.0, 3.0), pair("idle", 0.0, 0.0)].concat();
    let values = series(&wants, "redis.hit_ratio", &all, &[]).unwrap().unwrap();
    assert_eq!((values.len(), values[0].value), (1, 0.25));
}

#[test]
fn a_series_with_a_label_more_is_a_part_of_its_system() {
    let wants = wants("redis");
    let a = [("instance", "a")];
    let x = [("instance", "a"), ("shard", "x")];
    let mut all = vec![
        found(&wants, "redis_keyspace_hits_total", &a, 0.0, 90.0),
        found(&wants, "redis_keyspace_misses_total", &a, 0.0, 10.0),
        // It may have been hidden with all that it says.
        unsure(found(&wants, "redis_keyspace_misses_total", &x, 0.0, 1e6), 0.0, [1e6, 0.0]),
    ];
    all[2].track.around = [f64::NAN; 4];
    let values = series(&wants, "redis.hit_ratio", &all, &[]).unwrap().unwrap();
    assert_eq!((values.len(), values[0].least, values[0].most), (1, 90.0 / 1_000_100.0, 0.9));
    all[2].track.delta = Err(Gap::NoStart);
    assert!(series(&wants, "redis.hit_ratio", &all, &[]).unwrap().unwrap_err().contains("it was not there"));
    // With both parts it is a system of its own.
    all.remove(2);
    all.push(found(&wants, "redis_keyspace_hits_total", &x, 0.0, 1.0));
    all.push(found(&wants, "redis_keyspace_misses_total", &x, 0.0, 1.0));
    assert_eq!(series(&wants, "redis.hit_ratio", &all, &[]).unwrap().unwrap().len(), 2);
}

#[test]
fn a_system_of_which_match_picks_nothing_is_none_of_those_that_are_meant() {
    let preset = presets::find("postgres").unwrap();
    let matchers = vec![Matcher::new("datname", "shop")];
    let wants = Wants::new(&Observe { counters: vec![Wanted::Preset { preset, matchers }], ..Observe::default() });
    let asked = wants.asked.iter().find(|asked| asked.name == "postgres.connections_used_ratio").unwrap();
    let limit = |instance: &str| found(&wants, "pg_settings_max_connections", &[("instance", instance)], 100.0, 100.0);
    let shop = found(&wants, "pg_stat_database_numbackends", &[("datname", "shop"), ("instance", "a")], 5.0, 5.0);
    let all = [limit("a"), limit("b"), shop.clone()];
    let systems = asked.systems("it", all.iter());
    let beside: Vec<&str> =
        systems.iter().filter(|(_, parts)| asked.is_beside(parts, &systems)).map(|(labels, _)| labels[0].1.as_str()).collect();
    assert_eq!((systems.len(), beside), (2, vec!["b"]));
    // One alone is meant, and so is one whose database is there without a value.
    let alone = [limit("b")];
    let systems = asked.systems("it", alone.iter());
    assert!(systems.values().all(|parts| !asked.is_beside(parts, &systems)));
    let mut gone = found(&wants, "pg_stat_database_numbackends", &[("datname", "shop"), ("instance", "b")], 5.0, 5.0);
    gone.track.after = None;
    let both = [limit("a"), limit("b"), shop, gone];
    let systems = asked.systems("it", both.iter());
    assert!(systems.values().all(|parts| !asked.is_beside(parts, &systems)));
}
