//! An exporter's scrapes, from its text to increases.

use proptest::prelude::*;

use super::*;
use crate::counters::cut::Gap;
use crate::counters::observe::{Observe, Wanted};
use crate::counters::presets;
use crate::counters::text::Format;

fn wants() -> Wants {
    let preset = presets::find("redis").unwrap();
    let metric = |metric: &str| Wanted::Metric { metric: metric.into(), matchers: Vec::new(), kind: None };
    let names = ["jobs", "many_total", "redis_commands_total"];
    let counters = std::iter::once(Wanted::Preset { preset, matchers: Vec::new() }).chain(names.map(metric)).collect();
    Wants::new(&Observe { counters, ..Observe::default() })
}

fn text(text: &str) -> Exposition {
    Exposition::parse(text, Format::Text).unwrap()
}

fn feed(tracker: &mut Tracker, time: f64, said: &str) {
    tracker.feed(&wants(), time, &text(said));
}

/// An edge at `at`, scraped at `time`.
fn edge(tracker: &mut Tracker, at: f64, time: f64, said: &str) -> SourceReading {
    let mut reading = SourceReading::default();
    tracker.feed_edge(&wants(), (at, false), time, &text(said), &mut reading);
    reading
}

fn found(readings: [&SourceReading; 2], edges: [f64; 2], metric: &str, value: &str) -> Option<SeriesFindings> {
    let has =
        |found: &SeriesFindings| found.metric == metric && (value.is_empty() || found.labels.iter().any(|(_, v)| v == value));
    between(readings, edges[0]).found.into_iter().find(has)
}

/// Value, least and most.
fn bounds(found: &SeriesFindings) -> Result<(f64, f64, f64), Gap> {
    found.track.known()
}

#[test]
fn a_restart_that_was_seen_between_the_edges_is_counted_with_what_it_may_have_lost() {
    let mut tracker = Tracker::default();
    let said = |hits: u32, start: u32, clients: u32| {
        format!("redis_keyspace_hits_total {hits}\nredis_start_time_seconds {start}\nredis_connected_clients {clients}\n")
    };
    let before = edge(&mut tracker, 0.0, 0.0, &said(100, 1000, 7));
    feed(&mut tracker, 5.0, &said(150, 1001, 90));
    feed(&mut tracker, 6.0, &said(160, 1500, 3));
    let after = edge(&mut tracker, 10.0, 10.0, &said(170, 1500, 5));
    let edges = [0.0, 10.0];
    let hits = found([&before, &after], edges, "redis_keyspace_hits_total", "").unwrap();
    // 10 a second before it and at all times, for a second; or the exporter alone started again.
    assert_eq!((bounds(&hits), hits.track.resets), (Ok((50.0 + 160.0 + 10.0, 50.0 + 10.0 + 10.0, 230.0)), 1));
    let clients = found([&before, &after], edges, "redis_connected_clients", "").unwrap();
    assert_eq!((clients.levels.unwrap().min, clients.levels.unwrap().max, clients.samples), (3.0, 90.0, 3));
    let levels = between([&before, &after], edges[0]).levels;
    assert_eq!(levels.iter().find(|l| l.value == "redis.connected_clients").unwrap().levels.max, 90.0);

    // Over more edges a level's peak is not known.
    let _ = edge(&mut tracker, 20.0, 20.0, &said(170, 1500, 5));
    let later = edge(&mut tracker, 25.0, 25.0, &said(175, 1500, 5));
    let hits = found([&before, &later], [0.0, 25.0], "redis_keyspace_hits_total", "").unwrap();
    assert_eq!((hits.track.delta.unwrap().value, hits.levels), (225.0, None));
}

/// The hit ratio of a Redis between edges at 0 s and 60 s, scraped each 5 s: hits, misses and the start time at each scrape.
fn ratio(said: impl Fn(f64) -> (f64, f64, u32)) -> (f64, f64) {
    let text = |at: f64| {
        let (hits, misses, start) = said(at);
        format!("redis_keyspace_hits_total {hits}\nredis_keyspace_misses_total {misses}\nredis_start_time_seconds {start}\n")
    };
    let mut tracker = Tracker::default();
    (-2..0).for_each(|n| feed(&mut tracker, f64::from(n) * 5.0, &text(f64::from(n) * 5.0)));
    let before = edge(&mut tracker, 0.0, 0.0, &text(0.0));
    (1..12).for_each(|n| feed(&mut tracker, f64::from(n) * 5.0, &text(f64::from(n) * 5.0)));
    let after = edge(&mut tracker, 60.0, 60.0, &text(60.0));
    let found = between([&before, &after], 0.0).found;
    let wants = wants();
    let asked = wants.asked.iter().find(|asked| asked.name == "redis.hit_ratio").unwrap();
    let (_, parts) = asked.systems("it", found.iter()).pop_first().unwrap();
    let value = asked.series(Labels::new(), &parts, None).unwrap().unwrap();
    (value.least, value.most)
}

#[test]
fn a_burst_that_a_restart_hid_may_have_been_anything_where_all_was_idle_before() {
    // Misses by the thousand at 8 s, a restart at 9 s, then hits: no sample has the misses.
    let (least, most) = ratio(|at| if at < 10.0 { (0.0, 0.0, 1_000) } else { (at * 18.0, at * 1.2, 2_000) });
    assert!(least < 0.01 && most > 0.99, "{least} {most}");
    // The same behind load in an earlier phase.
    let (least, most) = ratio(|at| match at {
        ..-5.0 => (10.0, 10.0, 1_000),
        ..10.0 => (5_000.0, 5_000.0, 1_000),
        _ => (at * 18.0, at * 1.2, 2_000),
    });
    assert!(least < 0.01 && most > 0.99, "{least} {most}");
}

#[test]
fn a_steady_load_stays_known_through_a_restart_that_empties_the_cache() {
    // A thousand a second, all hits; from the restart at 30 s on a tenth are misses for 10 s.
    let (least, most) = ratio(|at| match at {
        ..30.1 => (1e3 * (at + 10.0), 0.0, 1_000),
        ..40.1 => (900.0 * (at - 31.0), 100.0 * (at - 31.0), 2_000),
        _ => (900.0 * 9.0 + 1e3 * (at - 40.0), 900.0, 2_000),
    });
    // Of 60,000 some 5,000 are lost.
    assert!(least > 0.86 && most < 0.99 && least < 0.93, "{least} {most}");
}

#[test]
fn what_comes_or_goes_is_missing_and_too_many_are_left_out() {
    let mut tracker = Tracker::default();
    let many: String = (0..=SERIES_TO_READ).map(|n| format!("many_total{{n=\"{n}\"}} 1\n")).collect();
    let nan = "redis_evicted_keys_total NaN";
    let before = edge(&mut tracker, 0.0, 0.0, &format!("redis_keyspace_hits_total 1\n{nan}\n{many}"));
    let after = edge(&mut tracker, 1.0, 1.0, &format!("redis_keyspace_misses_total 1\n{nan}\n{many}"));
    let delta = |metric: &str| found([&before, &after], [0.0, 1.0], metric, "").map(|found| bounds(&found));
    assert_eq!(delta("redis_keyspace_hits_total"), Some(Err(Gap::NoEnd)));
    assert_eq!(delta("redis_keyspace_misses_total"), Some(Ok((1.0, 0.0, 1.0))), "Redis was there without it");
    assert_eq!((delta("redis_evicted_keys_total"), delta("many_total")), (None, None));
    assert_eq!(after.left_out, [LeftOut::Many { metric: "many_total".into(), series: SERIES_TO_READ as u64 + 1 }]);
}

#[test]
fn what_comes_up_counts_from_0_where_its_system_was_read_without_it() {
    let births = |before: &str, after: &str, metric: &str| {
        let mut tracker = Tracker::default();
        let before = edge(&mut tracker, 0.0, 0.0, before);
        feed(&mut tracker, 5.0, after);
        let after = edge(&mut tracker, 10.0, 10.0, after);
        found([&before, &after], [0.0, 10.0], metric, "").map(|found| (bounds(&found), found.track.born))
    };
    let born = Some((Ok((40.0, 0.0, 40.0)), Some(40.0)));
    let missing = Some((Err(Gap::NoStart), None));
    let set = "redis_commands_total{cmd=\"set\"} 40\nredis_connected_clients 2\n";
    assert_eq!(births("redis_connected_clients 2\n", set, "redis_commands_total"), born);
    // The exporter was there, its Redis was not.
    assert_eq!(births("redis_up 0\nredis_exporter_scrapes_total 7\n", set, "redis_commands_total"), missing);
    // What no preset knows is its exporter's own; of one that said nothing, or that could not be read of it, nobody knows.
    let many = "many_total{n=\"1\"} 40\n";
    assert_eq!(births("process_open_fds 9\n", many, "many_total"), born);
    assert_eq!(births("", many, "many_total"), missing);
    assert_eq!(births("process_open_fds 9\nmany_total{n=\"1} 30\n", many, "many_total"), missing);
    // A gauge may have had any value.
    assert_eq!(births("process_open_fds 9\n", "# TYPE jobs gauge\njobs 40\n", "jobs"), missing);
}

#[test]
fn a_series_own_start_time_distinguishes_a_reset_from_a_rounding_error() {
    let delta = |counts: [f64; 3], created: [f64; 3], more: &str| {
        let mut tracker = Tracker::default();
        let mut readings = [0.0, 5.0, 10.0].into_iter().zip(counts).zip(created).map(|((at, count), created)| {
            let own = format!("many_total{{n=\"1\"}} {count}\nmany_created{{n=\"1\"{more}}} {created}\n");
            let other = "many_total{n=\"2\"} 500\nmany_created{n=\"2\"} 1700000000\n";
            edge(&mut tracker, at, at, &format!("{own}{other}"))
        });
        let (before, _, after) = (readings.next().unwrap(), readings.next(), readings.next().unwrap());
        let of = |n: &str| found([&before, &after], [0.0, 10.0], "many_total", n).unwrap().track;
        assert_eq!((of("2").delta.unwrap().value, of("2").resets), (0.0, 0));
        (of("1").delta.unwrap().value, of("1").resets)
    };
    let dips = [10_000.0, 9_999.0, 10_000.0];
    assert_eq!(delta(dips, [1.7e9; 3], ""), (0.0, 0));
    assert_eq!(delta(dips, [1.7e9, 1.7e9 + 60.0, 1.7e9 + 60.0], ""), (10_000.0, 1));
    // Where it didn't fall, the start time alone shows it; that of another series doesn't.
    let grows = [10.0, 70.0, 70.0];
    assert_eq!(delta(grows, [1.7e9, 1.7e9 + 60.0, 1.7e9 + 60.0], ""), (70.0, 1));
    assert_eq!(delta(grows, [1.7e9, 1.7e9 + 60.0, 1.7e9 + 60.0], ",shard=\"b\""), (60.0, 0));
}

#[test]
fn a_metric_of_which_a_line_can_not_be_read_is_left_out_and_the_others_are_read() {
    let mut tracker = Tracker::default();
    let said = |hits: &str, misses: u32| format!("redis_keyspace_hits_total {hits}\nredis_keyspace_misses_total {misses}\n");
    let before = edge(&mut tracker, 0.0, 0.0, &said("7", 1));
    let spoilt = edge(&mut tracker, 10.0, 10.0, &said("7 8 9", 3));
    let after = edge(&mut tracker, 20.0, 20.0, &said("9", 8));
    let of = |readings, edges, metric| found(readings, edges, metric, "").map(|found| bounds(&found));
    for (readings, edges, misses, hits) in
        [([&before, &spoilt], [0.0, 10.0], 2.0, Gap::NoEnd), ([&spoilt, &after], [10.0, 20.0], 5.0, Gap::NoStart)]
    {
        assert_eq!(of(readings, edges, "redis_keyspace_misses_total"), Some(Ok((misses, misses, misses))));
        assert_eq!(of(readings, edges, "redis_keyspace_hits_total"), Some(Err(hits)));
        let left_out = between(readings, edges[0]).left_out;
        assert_eq!((left_out.len(), left_out[0].metric()), (1, "redis_keyspace_hits_total"));
        assert!(left_out[0].text("redis").contains("redis has it in a line that can't be read, line 1: "), "{left_out:?}");
    }
    assert!(spoilt.warnings[0].ends_with("redis_keyspace_hits_total is left out"), "{:?}", spoilt.warnings);
    // However many of its lines can't be read.
    let worse = edge(&mut tracker, 30.0, 30.0, &said("x\nredis_keyspace_hits_total{a=\"1\"} y", 9));
    assert_eq!((worse.left_out.len(), worse.warnings.len()), (1, 2), "{:?}", worse.left_out);
}

#[test]
fn a_counter_that_came_up_beside_others_of_its_metric_counts_from_0() {
    let mut tracker = Tracker::default();
    let said = |new: &str| format!("redis_commands_total{{cmd=\"get\"}} 5\nredis_connected_clients 2\n{new}\n");
    let set = |n: u32| said(&format!("redis_commands_total{{cmd=\"set\"}} {n}"));
    let born = |readings, edges| found(readings, edges, "redis_commands_total", "set").unwrap();
    let before = edge(&mut tracker, 0.0, 0.0, &said(""));
    feed(&mut tracker, 5.0, &set(4));
    let after = edge(&mut tracker, 10.0, 10.0, &set(30));
    let new = born([&before, &after], [0.0, 10.0]);
    // It may have been hidden with its first 4.
    assert_eq!((new.track.before, new.track.after, bounds(&new)), (Some(0.0), Some(30.0), Ok((30.0, 26.0, 30.0))));
    assert_eq!(new.track.born, Some(4.0));
    // In the next phase it is one like the others.
    let later = edge(&mut tracker, 20.0, 20.0, &set(31));
    let old = born([&after, &later], [10.0, 20.0]);
    assert_eq!((bounds(&old), old.track.born), (Ok((1.0, 1.0, 1.0)), None));
    // One that only went away for an edge is no new one: what it was then is not known.
    let gone = edge(&mut tracker, 30.0, 30.0, &said(""));
    let back = edge(&mut tracker, 40.0, 40.0, &set(40));
    assert_eq!(bounds(&born([&gone, &back], [30.0, 40.0])), Err(Gap::NoStart));
}

#[test]
fn a_counter_that_came_up_around_an_edge_may_have_done_so_on_either_side() {
    let mut tracker = Tracker::default();
    let said = |new: &str| format!("redis_commands_total{{cmd=\"get\"}} 5\n{new}\n");
    let set = |n: u32| said(&format!("redis_commands_total{{cmd=\"set\"}} {n}"));
    let first = edge(&mut tracker, 0.0, 0.0, &said(""));
    feed(&mut tracker, 9.9, &said(""));
    let second = edge(&mut tracker, 10.0, 10.1, &set(9));
    let third = edge(&mut tracker, 20.0, 20.0, &set(12));
    let of = |readings, edges| bounds(&found(readings, edges, "redis_commands_total", "set").unwrap());
    assert_eq!(of([&first, &second], [0.0, 10.0]), Ok((9.0, 0.0, 9.0)));
    assert_eq!(of([&second, &third], [10.0, 20.0]), Ok((3.0, 3.0, 12.0)));
}

#[test]
fn the_newest_name_is_taken_and_the_text_names_the_kind() {
    let mut tracker = Tracker::default();
    let said = |jobs: u32| format!("# TYPE jobs counter\njobs {jobs}\nredis_config_maxmemory 9\nredis_memory_max_bytes 9\n");
    let before = edge(&mut tracker, -0.01, 0.0, &said(5));
    let after = edge(&mut tracker, 9.99, 10.0, &said(2));
    let of = |metric: &str| found([&before, &after], [0.0, 10.0], metric, "");
    let jobs = of("jobs").unwrap();
    assert_eq!((jobs.kind, jobs.track.resets), (MetricKind::Counter, 1));
    assert!(of("redis_memory_max_bytes").is_some() && of("redis_config_maxmemory").is_none());
}

#[test]
fn nothing_bounds_what_was_counted_from_the_edge_to_the_first_scrape_of_all() {
    let mut tracker = Tracker::default();
    let said = |hits: u32| format!("redis_keyspace_hits_total {hits}\n");
    let before = edge(&mut tracker, 0.0, 0.1, &said(7));
    feed(&mut tracker, 9.9, &said(97));
    let after = edge(&mut tracker, 10.0, 10.1, &said(107));
    let (value, least, most) = bounds(&found([&before, &after], [0.0, 10.0], "redis_keyspace_hits_total", "").unwrap()).unwrap();
    // 10 around the second edge; and any number in the tenth of a second behind the first one.
    assert_eq!((value, least, most), (95.0, 90.0, f64::INFINITY));
}

#[test]
fn a_scrape_that_comes_after_a_later_one_is_not_used() {
    let mut tracker = Tracker::default();
    let before = edge(&mut tracker, 0.0, 0.0, "redis_keyspace_hits_total 7\n");
    feed(&mut tracker, 5.0, "redis_keyspace_hits_total 9\n");
    feed(&mut tracker, 4.0, "redis_keyspace_hits_total 8\n");
    let after = edge(&mut tracker, 6.0, 6.0, "redis_keyspace_hits_total 9\n");
    let hits = found([&before, &after], [0.0, 6.0], "redis_keyspace_hits_total", "").unwrap();
    assert_eq!((bounds(&hits), hits.track.resets, hits.samples), (Ok((2.0, 2.0, 2.0)), 0, 3));
}

#[test]
fn a_series_whose_samples_bear_a_time_of_their_own_waits_for_one_past_the_edge() {
    let mut tracker = Tracker::default();
    // Each is 30 s old when it is scraped.
    let said = |hits: u32, scraped: f64| {
        format!("redis_keyspace_hits_total {hits} {}\nredis_expired_keys_total 3\n", (scraped - 30.0) * 1e3)
    };
    feed(&mut tracker, 100.0, &said(10, 100.0));
    let mut before = edge(&mut tracker, 105.0, 105.0, &said(20, 105.0));
    assert_eq!((before.points.len(), tracker.age(105.0)), (1, Some(30.0)));
    for (time, hits) in [(120.0, 30), (134.0, 40), (136.0, 60)] {
        feed(&mut tracker, time, &said(hits, time));
    }
    assert_eq!(tracker.age(105.0), None);
    tracker.late(105.0, &mut before);
    assert!(before.warnings[0].contains("30.0 s before"), "{:?}", before.warnings);
    let mut after = edge(&mut tracker, 140.0, 140.0, &said(70, 140.0));
    feed(&mut tracker, 172.0, &said(90, 172.0));
    tracker.late(140.0, &mut after);
    let hits = found([&before, &after], [105.0, 140.0], "redis_keyspace_hits_total", "").unwrap();
    // At 105 s half of the 20 between 104 s and 106 s; at 140 s 30 of 32 s of the 20 between 110 s and 142 s.
    let (value, least, most) = bounds(&hits).unwrap();
    assert_eq!((value, least, most), (88.75 - 50.0, 70.0 - 60.0, 90.0 - 40.0));
    // One that is never past the edge has no increase.
    let mut later = edge(&mut tracker, 180.0, 180.0, &said(90, 180.0));
    tracker.late(180.0, &mut later);
    assert_eq!(bounds(&found([&after, &later], [140.0, 180.0], "redis_keyspace_hits_total", "").unwrap()), Err(Gap::NoEnd));
    // It is there, and how old it is is said.
    let why = "the samples of redis_keyspace_hits_total bear a time of their own, and the newest is 30.0s old";
    assert_eq!(later.blank.iter().map(Blank::why).collect::<Vec<_>>(), [why]);
    // One that comes up after an edge was not there at it, and hides nothing.
    let mut last = edge(&mut tracker, 200.0, 200.0, &said(90, 200.0));
    let two = format!("{}redis_keyspace_misses_total 5 235000\n", said(95, 235.0));
    feed(&mut tracker, 235.0, &two);
    tracker.late(200.0, &mut last);
    assert!(last.blank.is_empty() && last.points.iter().any(|point| point.metric == "redis_keyspace_hits_total"), "{last:?}");
}

#[test]
fn levels_are_those_since_the_first_edge_where_the_last_one_is_read_once_more() {
    let mut tracker = Tracker::default();
    let said = |clients: u32| format!("redis_connected_clients {clients}\n");
    let _ = edge(&mut tracker, 0.0, 0.0, &said(300));
    let before = edge(&mut tracker, 5.0, 5.0, &said(7));
    feed(&mut tracker, 10.0, &said(200));
    let ended = edge(&mut tracker, 15.0, 15.0, &said(7));
    let again = edge(&mut tracker, 16.0, 16.0, &said(9));
    let levels =
        |after: &SourceReading, edges: [f64; 2]| found([&before, after], edges, "redis_connected_clients", "").unwrap().levels;
    let of = |levels: Option<Levels>| levels.map(|levels| (levels.min, levels.max));
    assert_eq!(of(levels(&ended, [5.0, 15.0])), Some((7.0, 200.0)));
    assert_eq!(of(levels(&again, [5.0, 16.0])), Some((7.0, 200.0)), "and not what was before");
    assert_eq!(of(levels(&again, [3.0, 16.0])), None, "of other edges nobody knows");
    let values = between([&before, &again], 5.0).levels;
    assert_eq!(of(values.iter().find(|of| of.value == "redis.connected_clients").map(|of| of.levels)), Some((7.0, 200.0)));
}

#[test]
fn a_gauge_without_a_number_is_reported_and_its_peak_is_not_known() {
    let mut tracker = Tracker::default();
    let said = |clients: &str| format!("redis_connected_clients {clients}\n");
    let before = edge(&mut tracker, 0.0, 0.0, &said("3"));
    feed(&mut tracker, 5.0, &said("NaN"));
    feed(&mut tracker, 6.0, &said("+Inf"));
    let after = edge(&mut tracker, 10.0, 10.0, &said("4"));
    let levels = between([&before, &after], 0.0).levels;
    let clients = levels.iter().find(|of| of.value == "redis.connected_clients").unwrap().levels;
    assert_eq!((clients.max, clients.blank), (4.0, 2));
    let ended = edge(&mut tracker, 20.0, 20.0, &said("NaN"));
    assert_eq!(between([&after, &ended], 10.0).blank.len(), 1);
}

#[test]
fn what_its_name_alone_calls_a_counter_is_a_gauge_once_it_falls() {
    let mut tracker = Tracker::default();
    let said = |n: u32| format!("many_total {n}\nredis_keyspace_hits_total {n}\n");
    let before = edge(&mut tracker, -0.01, 0.0, &said(500));
    feed(&mut tracker, 5.0, &said(510));
    let after = edge(&mut tracker, 9.99, 10.0, &said(505));
    let jobs = found([&before, &after], [0.0, 10.0], "many_total", "").unwrap();
    assert_eq!((jobs.kind, jobs.track.resets), (MetricKind::Gauge, 0));
    assert!((bounds(&jobs).unwrap().0 - 5.01).abs() < 1e-9);
    // The preset knows what its own are.
    assert_eq!(found([&before, &after], [0.0, 10.0], "redis_keyspace_hits_total", "").unwrap().track.resets, 1);
}

#[test]
fn pgbouncer_has_its_values_by_the_names_of_any_exporter_and_once_by_two() {
    let preset = presets::find("pgbouncer").unwrap();
    let wants = Wants::new(&Observe { counters: vec![Wanted::Preset { preset, matchers: Vec::new() }], ..Observe::default() });
    let said = |prefixes: &[&str], n: u32| {
        let counters = prefixes.iter().map(|prefix| {
            let database = "{database=\"shop\"}";
            format!(
                "{prefix}queries_pooled_total{database} {}\n{prefix}sql_transactions_pooled_total{database} {n}\n\
                 {prefix}client_wait_seconds_total{database} {n}\n",
                10 * n
            )
        });
        let waiting = "pgbouncer_pools_client_waiting_connections{database=\"shop\",user=\"app\"} 3\n";
        counters.chain([waiting.to_owned()]).collect::<String>()
    };
    let (old, new) = ("pgbouncer_stats_", "pgbouncer_stats_totals_");
    for prefixes in [&[old][..], &[new], &[old, new]] {
        let mut tracker = Tracker::default();
        let readings = [(0.0, 100), (10.0, 150)].map(|(at, n)| {
            let mut reading = SourceReading::default();
            tracker.feed_edge(&wants, (at, false), at, &text(&said(prefixes, n)), &mut reading);
            reading
        });
        let found = between([&readings[0], &readings[1]], 0.0).found;
        let value = |name: &str| {
            let asked = wants.asked.iter().find(|asked| asked.name == name).unwrap();
            let (labels, parts) = asked.systems("it", found.iter()).pop_first().unwrap();
            asked.series(labels, &parts, None).unwrap().unwrap().value
        };
        let all =
            ["queries", "transactions", "client_wait_seconds", "waiting_clients"].map(|name| value(&format!("pgbouncer.{name}")));
        assert_eq!(all, [500.0, 50.0, 50.0, 3.0], "{prefixes:?}");
    }
}

#[test]
fn a_wrap_between_two_pauses_is_exact() {
    let mut tracker = Tracker::default();
    let mut pause = |at: f64, hits: u64| {
        let mut reading = SourceReading::default();
        let said = text(&format!("redis_keyspace_hits_total {hits}\n"));
        tracker.feed_edge(&wants(), (at, true), at + 0.1, &said, &mut reading);
        reading
    };
    let near = (1_u64 << 53) - 60;
    let _ = pause(0.0, near);
    let (before, after) = (pause(5.0, near), pause(10.0, 90));
    let hits = found([&before, &after], [5.0, 10.0], "redis_keyspace_hits_total", "").unwrap();
    let (value, _, most) = bounds(&hits).unwrap();
    assert!(value == 150.0 && hits.track.resets == 0 && most.is_finite(), "{hits:?}");
}

#[test]
fn a_reading_is_a_plain_value() {
    let mut tracker = Tracker::default();
    let before = edge(&mut tracker, 0.0, 0.0, "redis_keyspace_hits_total 7\nredis_connected_clients 2\n");
    let kept = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<SourceReading>(&kept).unwrap(), before);
}

proptest! {
    /// Events, scrapes now and then, a restart that the start time shows: by way of the text, the truth is within the bounds.
    #[test]
    fn the_truth_is_within_the_bounds(
        events in proptest::collection::vec(0u32..100_000, 0..200),
        scrapes in proptest::collection::vec(1_000u32..99_000, 0..40),
        edges in (1_000u32..100_000, 1_000u32..100_000),
        slow in (0u32..3_000, 0u32..3_000),
        restart in 1_000u32..100_000,
        rate in 0u32..50,
    ) {
        let (a, b) = (edges.0.min(edges.1), edges.0.max(edges.1));
        // Steady up to the restart, anyhow after it.
        let since = |t: u32| events.iter().filter(|e| **e >= restart && **e < t).count() as f64;
        let steady = |t: u32| f64::from(rate) * f64::from(t.min(restart)) / 1e3;
        let said = |t: u32| {
            let (hits, start) = if t > restart { (since(t), 5_000) } else { (steady(t), 1_000) };
            format!("redis_keyspace_hits_total {hits:.3}\nredis_start_time_seconds {start}\n")
        };
        let time = |ms: u32| f64::from(ms) / 1e3;
        let mut all: Vec<(u32, Option<u32>)> = scrapes.into_iter().chain([0, 500]).map(|t| (t, None)).collect();
        // One edge is scraped after the other.
        all.extend([(a + slow.0, Some(a)), ((b + slow.1).max(a + slow.0 + 1), Some(b))]);
        all.sort_unstable();
        // A scrape that meets one at an edge is thrown away.
        let met: Vec<_> = all.iter().filter_map(|(t, edge)| edge.map(|edge| edge..=*t)).collect();
        let mut tracker = Tracker::default();
        let mut readings = Vec::new();
        for (t, at) in all {
            match at {
                Some(at) => readings.push(edge(&mut tracker, time(at), time(t), &said(t))),
                None if met.iter().any(|met| met.contains(&t)) => tracker.scraped(),
                None => feed(&mut tracker, time(t), &said(t)),
            }
        }
        let [before, after] = &readings[..] else { panic!("two edges") };
        let truth = steady(b) - steady(a) + since(b) - since(a);
        let hits = found([before, after], [time(a), time(b)], "redis_keyspace_hits_total", "").unwrap();
        let (value, least, most) = hits.track.known().unwrap();
        prop_assert!(least - 0.01 <= truth && truth <= most + 0.01, "{value} {least} {most} for {truth}");
    }
}

#[test]
fn a_series_that_came_up_and_went_between_the_edges_is_counted_with_what_it_may_have_lost() {
    let of = |cmd: &str, count: u32| format!("redis_commands_total{{cmd=\"{cmd}\"}} {count}\n");
    let at = |time: f64| match time {
        // Steady until it goes, and one that counted all that it did before it was first seen.
        5.0..25.0 => of("a", 1) + &of("b", 100 * (time as u32 - 4)) + &of("c", 1_800) + &of("d", 0),
        _ => of("a", 1),
    };
    let mut tracker = Tracker::default();
    feed(&mut tracker, -5.0, &at(-5.0));
    let before = edge(&mut tracker, 0.0, 0.0, &at(0.0));
    (1..6).for_each(|n| feed(&mut tracker, f64::from(n) * 5.0, &at(f64::from(n) * 5.0)));
    let after = edge(&mut tracker, 30.0, 30.0, &at(30.0));
    let last = edge(&mut tracker, 31.0, 31.0, &at(31.0));
    for after in [&after, &last] {
        let passed = |cmd: &str| found([&before, after], [0.0, 30.0], "redis_commands_total", cmd).unwrap();
        let steady = passed("b");
        // 500 more in the 5 s until it was missing; and its first sample may not be of the phase.
        assert_eq!((bounds(&steady), steady.track.after), (Ok((1_600.0, 1_500.0, 2_100.0)), None));
        assert_eq!(bounds(&passed("c")), Ok((1_800.0, 0.0, f64::INFINITY)));
        assert_eq!(bounds(&passed("d")), Ok((0.0, 0.0, f64::INFINITY)), "no scrape saw it count, and it went");
    }
    assert!(found([&after, &last], [30.0, 31.0], "redis_commands_total", "b").is_none());
    // Nothing says what a system that couldn't be read before had counted by then.
    let mut tracker = Tracker::default();
    let before = edge(&mut tracker, 0.0, 0.0, "redis_up 0\n");
    feed(&mut tracker, 5.0, "redis_keyspace_hits_total 9\n");
    let after = edge(&mut tracker, 10.0, 10.0, "redis_up 0\n");
    let hits = found([&before, &after], [0.0, 10.0], "redis_keyspace_hits_total", "").unwrap();
    assert_eq!(bounds(&hits), Err(Gap::NoStart));
}
