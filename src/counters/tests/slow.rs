//! An exporter that takes long to answer, and a system that reports to its exporter late.

use super::*;
use crate::counters::exporter::Exporter;
use crate::counters::report::SourceReading;
use crate::counters::seen::Seen;
use crate::counters::text::{Exposition, Format};
use crate::counters::tracker::{Tracker, between};
use crate::counters::want::Wants;
use crate::measure::Clock;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_exporter_counted_while_it_answered_is_within_the_bounds() {
    let begun = SystemTime::now();
    let edges = [4.0, 5.0].map(|at| begun + Duration::from_secs_f64(at));
    let burst = unix(edges[0]);
    let url = server(move |_| {
        std::thread::sleep(Duration::from_millis(300));
        // 500 at once at the first edge; the answer is of its end.
        let count = if unix(SystemTime::now()) < burst { 1_000 } else { 1_500 };
        response("200 OK", "text/plain", &format!("redis_commands_processed_total {count}\n"))
    });
    let access = Access::new(&url.await).unwrap();
    let sources = vec![Source { name: "it".into(), kind: SourceKind::Exporter, access }];
    let preset = presets::find("redis").unwrap();
    let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }];
    let observer = Observer::new(Observe { sources, counters, ..Observe::default() }, Clock::default());
    assert!(observer.try_once(Duration::from_secs(5)).await.is_empty());
    let left = edges[0].duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::sleep(left.saturating_sub(Duration::from_millis(100))).await;
    let before = observer.edge(edges[0], Traffic::Flowing).reading().await;
    let after = observer.edge(edges[1], Traffic::Flowing).reading().await;
    let observed = observer.between(&before, &after, 500).await;
    let [value] = observed.values.series("redis.commands").unwrap() else { panic!("{observed:#?}") };
    assert!(value.least <= 500.0 && 500.0 <= value.most, "{value:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_announced_late_takes_no_scrape_behind_it_for_one_before_it() {
    let count = Arc::new(AtomicUsize::new(1_000));
    let counted = Arc::clone(&count);
    let url = server(move |_| {
        let count = counted.load(Ordering::SeqCst);
        response("200 OK", "text/plain", &format!("redis_commands_processed_total {count}\n"))
    });
    let preset = presets::find("redis").unwrap();
    let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }];
    let wants = Wants::new(&Observe { counters, ..Observe::default() });
    let exporter = Exporter::new("it", Access::new(&url.await).unwrap(), Clock::default());
    exporter.try_once(&wants, &mut Seen::default()).await.unwrap();
    let begun = unix(SystemTime::now());
    count.store(1_500, Ordering::SeqCst);
    exporter.scrape_between(&wants, None).await;
    let before = exporter.edge(&wants, begun, Traffic::Flowing).await;
    let after = exporter.edge(&wants, unix(SystemTime::now()), Traffic::Flowing).await;
    let between = between([&before, &after], begun);
    let commands = between.found.iter().find(|found| found.metric == "redis_commands_processed_total").unwrap();
    let (_, least, most) = commands.track.known().unwrap();
    assert!(least <= 500.0 && 500.0 <= most && most.is_finite(), "{least} to {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_count_while_a_slow_exporter_answers_at_the_last_edge_is_within_the_bounds() {
    let begun = SystemTime::now();
    let ended = begun + Duration::from_secs(2);
    // Others count 100 a second all the time; one counter stands still once the load is over.
    let url = server(move |_| {
        std::thread::sleep(Duration::from_millis(if SystemTime::now() < ended { 10 } else { 400 }));
        let now = SystemTime::now().duration_since(begun).unwrap_or_default().as_secs_f64();
        let (all, ours) = ((now * 100.0) as u64, (now.min(1.9) * 100.0) as u64);
        let said = format!("redis_commands_processed_total {}\nredis_keyspace_hits_total {}\n", 1_000 + all, 1_000 + ours);
        response("200 OK", "text/plain", &said)
    });
    let observer = observer(&url.await, SourceKind::Exporter);
    assert!(observer.try_once(Duration::from_secs(5)).await.is_empty());
    let before = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
    let at = SystemTime::now().duration_since(begun).unwrap().as_secs_f64();
    tokio::time::sleep(ended.duration_since(SystemTime::now()).unwrap_or_default()).await;
    let after = observer.edge(ended, Traffic::Ended).reading().await;
    let observed = observer.between(&before, &after, 1).await;
    let of = |metric: &str| observed.rows.iter().find(|row| row.metric == metric).unwrap().clone();
    let (all, ours) = (of("redis_commands_processed_total"), of("redis_keyspace_hits_total"));
    let truth = (2.0 - at) * 100.0;
    let within = |delta: f64, off: f64, truth: f64| (delta - truth).abs() <= off + 5.0;
    assert!(within(all.delta.unwrap(), all.uncertainty.unwrap(), truth), "{all:?}, truly {truth}");
    assert!(all.uncertainty.unwrap() > 50.0, "{all:?}");
    // It is as the flowing edge before it leaves it.
    assert!(
        within(ours.delta.unwrap(), ours.uncertainty.unwrap(), truth - 10.0) && ours.uncertainty < all.uncertainty,
        "{ours:?}"
    );
}

#[test]
fn what_is_reported_late_is_waited_for_and_nothing_else_is_late() {
    let preset = presets::find("postgres").unwrap();
    let other = Wanted::Metric { metric: "other_total".into(), matchers: Vec::new(), kind: None };
    let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }, other];
    let wants = Wants::new(&Observe { counters, ..Observe::default() });
    let said = |commits: u32, backends: u32| {
        let said = format!(
            "pg_stat_database_xact_commit {commits}\npg_stat_database_numbackends {backends}\npg_settings_max_connections 100\n\
             other_total {commits}\n"
        );
        Exposition::parse(&said, Format::Text).unwrap()
    };
    let read = |commits: [u32; 3], ended: bool| {
        let mut tracker = Tracker::default();
        let [mut before, mut after] = [SourceReading::default(), SourceReading::default()];
        tracker.feed_edge(&wants, (0.0, false), 0.0, &said(1_000, 51), &mut before);
        tracker.feed_prompt(&wants, (20.0, ended), 20.0, &said(commits[0], 51));
        tracker.feed_prompt(&wants, (20.0, ended), 30.0, &said(commits[1], 1));
        tracker.feed_edge(&wants, (20.0, true), 31.0, &said(commits[2], 1), &mut after);
        let between = between([&before, &after], 0.0);
        let of = |metric: &str| between.found.iter().find(|found| found.metric == metric).unwrap().clone();
        let used = between.levels.iter().find(|level| level.value == "postgres.connections_used_ratio").unwrap().levels;
        (
            of("pg_stat_database_xact_commit").track.known(),
            of("other_total").track.known(),
            of("pg_stat_database_numbackends"),
            used,
        )
    };
    let (commits, other, backends, used) = read([5_000, 15_000, 16_000], true);
    assert_eq!((commits, other), (Ok((15_000.0, 4_000.0, 15_000.0)), Ok((4_000.0, 4_000.0, 4_000.0))), "others went on");
    assert_eq!((backends.track.after, backends.levels.unwrap().min, used.min), (Some(51.0), 51.0, 0.51));
    // It stands still, so that what came was ours.
    assert_eq!(read([5_000, 5_200, 5_200], true).0, Ok((4_200.0, 4_200.0, 4_200.0)));
    assert_eq!(read([5_000, 5_100, 5_200], false).0, Ok((4_200.0, 4_200.0, 4_200.0)));
}
