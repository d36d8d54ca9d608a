//! The counters of a real Redis and a real PostgreSQL, by their real exporters and a real Prometheus: what is reported
//! between two edges is what they counted themselves.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::prometheus::Prometheus;
use crate::support::{postgres, redis};
use load_exporter::counters::{
    Access, CounterRow, Matcher, MetricKind, Observe, Observed, Observer, Query, Ratio, Source, SourceKind, Traffic, Wanted,
    presets,
};
use load_exporter::measure::Clock;

fn prometheus(server: &Prometheus) -> Source {
    Source { name: "prometheus".into(), kind: SourceKind::Prometheus, access: Access::new(&server.url()).unwrap() }
}

fn exporter(name: &str, port: u16) -> Source {
    let access = Access::new(&format!("http://127.0.0.1:{port}/metrics")).unwrap();
    Source { name: name.into(), kind: SourceKind::Exporter, access }
}

fn preset(name: &str) -> Wanted {
    Wanted::Preset { preset: presets::find(name).unwrap(), matchers: Vec::new() }
}

fn metric(name: &str, matchers: &[(&str, &str)]) -> Wanted {
    let matchers = matchers.iter().map(|(label, value)| Matcher::new(*label, *value)).collect();
    Wanted::Metric { metric: name.into(), matchers, kind: None }
}

/// The row of a source's series that has this label (`name=value`; empty: any).
fn row<'a>(observed: &'a Observed, source: &str, metric: &str, label: &str) -> &'a CounterRow {
    let has = |row: &CounterRow| label.is_empty() || row.labels.iter().any(|(name, value)| format!("{name}={value}") == label);
    let found = observed.rows.iter().find(|row| row.source == source && row.metric == metric && has(row));
    found.unwrap_or_else(|| panic!("{source} has no {metric} {label}: {observed:#?}"))
}

#[tokio::test]
async fn redis_counted_what_we_report() {
    let server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    // The commands' own series come to be with their first use.
    server.send(&["SET there 1", "GET there"]);
    let prometheus_server = Prometheus::start(&[("redis", by.port)]);
    let observer = Observer::new(
        Observe {
            sources: vec![prometheus(&prometheus_server), exporter("redis", by.port)],
            counters: vec![preset("redis"), metric("redis_commands_total", &[]), metric("redis_used_memory_bytes", &[])],
            ratios: vec![Ratio {
                name: "missed".into(),
                of: "redis_keyspace_misses_total".into(),
                to: vec!["redis_keyspace_hits_total".into(), "redis_keyspace_misses_total".into()],
                matchers: Vec::new(),
            }],
            settle: true,
            ..Observe::default()
        },
        Clock::default(),
    );

    let before = observer.settled(SystemTime::now()).await;
    let hits = server.info("keyspace_hits");
    let commands: Vec<&str> = [["SET there 2"; 100], ["GET there"; 100]].concat().into_iter().chain(["GET gone"; 100]).collect();
    assert!(server.send(&commands).iter().all(|reply| !reply.starts_with('-')));
    let hits = server.info("keyspace_hits") - hits;
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 50).await;

    assert_eq!(hits, 100.0);
    for source in ["prometheus", "redis"] {
        let exact = |metric: &str, label: &str, expected: f64| {
            let row = row(&observed, source, metric, label);
            assert_eq!((row.delta, row.uncertainty, row.resets), (Some(expected), Some(0.0), 0), "{source} {metric} {label}");
            assert_eq!(row.per_request, Some(expected / 50.0));
            assert_eq!(row.after.unwrap() - row.before.unwrap(), expected);
        };
        exact("redis_keyspace_hits_total", "", hits);
        exact("redis_keyspace_misses_total", "", 100.0);
        exact("redis_commands_total", "cmd=get", 200.0);
        exact("redis_commands_total", "cmd=set", 100.0);
        // All that isn't ours is the exporter's, and we asked INFO twice.
        let own = observed.rows.iter().filter(|row| row.source == source && row.metric == "redis_commands_total");
        let own = own.filter(|row| !row.labels.iter().any(|(_, v)| v == "get" || v == "set"));
        let own: f64 = own.map(|row| row.delta.unwrap()).sum::<f64>() - 2.0;
        assert!(own >= 1.0, "the exporter asks something itself");
        exact("redis_commands_processed_total", "", 300.0 + 2.0 + own);
        assert!(row(&observed, source, "redis_memory_used_bytes", "").max.unwrap() > 0.0);
        let note = observed.notes.iter().find(|note| note.starts_with(&format!("{source}: redis_exporter"))).unwrap();
        assert!(note.contains("INFO") && note.contains("times in this phase"), "{note}");
    }
    assert_eq!(observed.values.get("redis.hit_ratio"), Some(0.5));
    assert_eq!(observed.values.get("missed"), Some(0.5));
    assert_eq!(observed.values.get("redis.evicted_keys"), Some(0.0));
    assert!(observed.values.get("redis.connected_clients").unwrap() >= 1.0);
    assert!(observed.values.series("redis.memory_used_ratio").unwrap_err().contains("no limit"));
    assert!(observed.sources.iter().all(|source| source.error.is_none() && source.warnings.is_empty()), "{:?}", observed.sources);
    // A scrape that a busy machine began late has a time some milliseconds off.
    let interval = observed.sources[0].interval.unwrap();
    assert!((interval - 1.0).abs() < 0.05, "{interval}");
}

#[tokio::test]
async fn a_counter_that_match_picks_alone_counts_from_0_where_its_exporter_was_seen_without_it() {
    let server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    let prometheus_server = Prometheus::start(&[("redis", by.port)]);
    let observer = Observer::new(
        Observe {
            sources: vec![prometheus(&prometheus_server), exporter("redis", by.port)],
            counters: vec![metric("redis_commands_total", &[("cmd", "incr")])],
            ..Observe::default()
        },
        Clock::default(),
    );
    let before = observer.settled(SystemTime::now()).await;
    server.send(&["INCR n"; 40]);
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;
    for source in ["prometheus", "redis"] {
        let row = row(&observed, source, "redis_commands_total", "cmd=incr");
        assert_eq!((row.before, row.delta), (Some(0.0), Some(40.0)), "{row:?}");
        // What its first sample said isn't sure: some or all of them.
        assert!((1.0..=40.0).contains(&row.uncertainty.unwrap()), "{row:?}");
        assert!(row.note.as_ref().unwrap().contains("counted from 0"), "{row:?}");
    }
}

#[tokio::test]
async fn a_series_own_start_time_shows_a_reset_that_its_value_does_not() {
    let again = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&again);
    let jobs = Hostile::start(move |_, stream| {
        let (jobs, created) = if said.load(Ordering::Relaxed) { (9_999, 1_700_000_060) } else { (10_000, 1_700_000_000) };
        let text =
            format!("# TYPE jobs counter\njobs_total{{kind=\"mail\"}} {jobs}\njobs_created{{kind=\"mail\"}} {created}\n# EOF\n");
        let kind = "content-type: application/openmetrics-text; version=1.0.0";
        let head = format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {}\r\n\r\n", text.len());
        let _ = stream.write_all((head + &text).as_bytes()); // the client may have gone
        Then::Keep
    });
    let prometheus_server = Prometheus::start(&[("jobs", jobs.port)]);
    let observer = Observer::new(
        Observe {
            sources: vec![prometheus(&prometheus_server), exporter("jobs", jobs.port)],
            counters: vec![metric("jobs_total", &[("kind", "mail")])],
            ..Observe::default()
        },
        Clock::default(),
    );
    let before = observer.settled(SystemTime::now()).await;
    again.store(true, Ordering::Relaxed);
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;
    for source in ["prometheus", "jobs"] {
        let row = row(&observed, source, "jobs_total", "kind=mail");
        assert_eq!((row.delta, row.resets), (Some(9_999.0), 1), "{row:?}");
    }
}

/// A moment within a scrape, which is long enough for that.
async fn within_a_scrape(scrapes: &AtomicU64) -> SystemTime {
    let before = scrapes.load(Ordering::SeqCst);
    while scrapes.load(Ordering::SeqCst) == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    SystemTime::now()
}

#[tokio::test]
async fn what_came_while_a_scrape_was_under_way_may_lie_on_either_side_of_an_edge() {
    let (jobs, scrapes) = (Arc::new(AtomicU64::new(1_000)), Arc::new(AtomicU64::new(0)));
    let (counted, begun) = (Arc::clone(&jobs), Arc::clone(&scrapes));
    // It says what it counted by the end of its answer, half a second after the time stamp.
    let slow = Hostile::start(move |_, stream| {
        begun.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(500));
        let text = format!("# TYPE jobs_total counter\njobs_total {}\n", counted.load(Ordering::SeqCst));
        let _ = stream.write_all(answer("200 OK", &text).as_bytes()); // the client may have gone
        Then::Keep
    });
    let prometheus_server = Prometheus::start_every(&[("jobs", slow.port, 2)], &[]);
    let (sources, counters) = (vec![prometheus(&prometheus_server)], vec![metric("jobs_total", &[])]);
    let observer = Observer::new(Observe { sources, counters, ..Observe::default() }, Clock::default());

    let before = observer.edge(within_a_scrape(&scrapes).await, Traffic::Flowing);
    jobs.fetch_add(150, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = observer.edge(within_a_scrape(&scrapes).await, Traffic::Flowing);
    jobs.fetch_add(1_000, Ordering::SeqCst);
    let observed = observer.between(&before.reading().await, &after.reading().await, 1).await;
    let flowing = row(&observed, "prometheus", "jobs_total", "");
    let (delta, off) = (flowing.delta.unwrap(), flowing.uncertainty.unwrap());
    assert!((delta - 150.0).abs() <= off && off <= 1_150.0, "{delta} ± {off}");

    // A pause is waited for until a scrape that began in it is over, and is exact.
    let before = observer.settled(SystemTime::now()).await;
    jobs.fetch_add(70, Ordering::SeqCst);
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;
    let settled = row(&observed, "prometheus", "jobs_total", "");
    assert_eq!((settled.delta, settled.uncertainty), (Some(70.0), Some(0.0)), "{settled:?}");
}

#[tokio::test]
async fn under_load_the_truth_is_within_the_uncertainty() {
    let server = Arc::new(redis::Redis::start());
    let by = redis::Exporter::start(&server);
    server.send(&["SET there 1"]);
    let prometheus_server = Prometheus::start(&[("redis", by.port)]);
    let observer = Observer::new(
        Observe {
            sources: vec![prometheus(&prometheus_server), exporter("redis", by.port)],
            counters: vec![metric("redis_commands_total", &[("cmd", "set")])],
            ..Observe::default()
        },
        Clock::default(),
    );
    let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let load = {
        let (server, sent, stop) = (Arc::clone(&server), Arc::clone(&sent), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                server.send(&["SET there 3"; 20]);
                sent.fetch_add(20, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        })
    };
    assert!(observer.try_once(Duration::from_secs(10)).await.is_empty());
    let edge = || (SystemTime::now(), sent.load(Ordering::Relaxed) as f64);
    let (start, sent_before) = edge();
    let before = observer.edge(start, Traffic::Flowing);
    tokio::time::sleep(Duration::from_millis(3_700)).await;
    let (end, sent_after) = edge();
    let after = observer.edge(end, Traffic::Flowing);
    let (before, after) = (before.reading().await, after.reading().await);
    let observed = observer.between(&before, &after, 0).await;
    let levels = observer.query(&Query::parse("redis_commands_processed_total").unwrap(), &[(start, end)]).await.unwrap().series;
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();

    let truth = sent_after - sent_before;
    for source in ["prometheus", "redis"] {
        let row = row(&observed, source, "redis_commands_total", "cmd=set");
        let (delta, uncertainty) = (row.delta.unwrap(), row.uncertainty.unwrap());
        // Beside it: what was in flight, and what the clocks don't show.
        assert!((delta - truth).abs() <= uncertainty + 40.0 + truth / 20.0, "{source}: {delta} ± {uncertainty}, truly {truth}");
        assert!(uncertainty > 0.0 && row.per_request.is_none());
    }
    // At most an interval's increase at each edge, of nearly four intervals.
    let stored = row(&observed, "prometheus", "redis_commands_total", "cmd=set");
    assert!(stored.uncertainty.unwrap() < truth, "{stored:?}");
    assert_eq!(levels.len(), 1);
    assert!(levels[0].min < levels[0].max && levels[0].value == levels[0].max);
    assert!(levels[0].labels.contains(&("job".into(), "redis".into())));
}

#[tokio::test]
async fn a_restart_is_seen_even_where_no_value_fell() {
    let mut server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    server.send(&["SET there 1", "GET there"]);
    let observer = Observer::new(
        Observe { sources: vec![exporter("redis", by.port)], counters: vec![preset("redis")], ..Observe::default() },
        Clock::default(),
    );
    let before = observer.settled(SystemTime::now()).await;
    // Its start time is known to whole seconds only.
    while server.info("uptime_in_seconds") < 4.0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.kill();
    let server = redis::Redis::start_on(server.port);
    server.send(&[&["SET there 1"][..], &["GET there"; 70]].concat());
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;

    let hits = row(&observed, "redis", "redis_keyspace_hits_total", "");
    assert_eq!((hits.before, hits.after), (Some(1.0), Some(70.0)));
    assert_eq!((hits.delta, hits.resets), (Some(70.0), 1));
    assert!(hits.note.as_ref().unwrap().contains("started again once"));
}

#[tokio::test]
async fn postgres_counted_what_we_report() {
    let server = postgres::Postgres::start();
    let by = postgres::Exporter::start(&server);
    let prometheus_server = Prometheus::start(&[("postgres", by.port)]);
    let observer = Observer::new(
        Observe {
            sources: vec![prometheus(&prometheus_server), exporter("postgres", by.port)],
            counters: vec![preset("postgres"), preset("redis")],
            ..Observe::default()
        },
        Clock::default(),
    );
    let commits = server.statistic("shop", "xact_commit");
    let before = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
    // An idle connection hands in its statistics late: read at once, its transactions would be missing.
    let mut pool = server.connect("shop");
    for n in 0..60 {
        assert_eq!(pool.line(&format!("SELECT {n}")), n.to_string());
    }
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 60).await;
    let commits = server.statistic("shop", "xact_commit") - commits;

    assert!(commits >= 60.0);
    for source in ["prometheus", "postgres"] {
        let row = row(&observed, source, "pg_stat_database_xact_commit", "datname=shop");
        assert_eq!((row.delta, row.kind), (Some(commits), MetricKind::Counter), "{source}");
        // The exporter's own transactions are in its own database.
        let own = self::row(&observed, source, "pg_stat_database_xact_commit", "datname=postgres");
        assert!(own.delta.unwrap() > 0.0);
        assert!(observed.notes.iter().any(|note| note.starts_with(&format!("{source}: postgres_exporter keeps a connection"))));
    }
    let all: f64 = observed
        .rows
        .iter()
        .filter(|row| row.source == "postgres" && row.metric == "pg_stat_database_xact_commit")
        .filter_map(|row| row.delta)
        .sum();
    assert_eq!(observed.values.get("postgres.commits"), Some(all));
    assert_eq!(observed.values.get("postgres.deadlocks"), Some(0.0));
    let used = observed.values.series("postgres.connections_used_ratio").unwrap();
    assert!(used[0].value > 0.0 && used[0].value < 0.2 && used[0].max >= used[0].value, "{used:?}");
    // Nobody exports Redis here: said, not 0.
    let missing = row(&observed, "", "redis_keyspace_hits_total", "");
    assert_eq!(missing.delta, None);
    assert!(missing.missing.as_ref().unwrap().contains("no source has"), "{missing:?}");
    assert!(observed.values.series("redis.hit_ratio").unwrap_err().contains("redis_keyspace_hits_total"));
}

#[tokio::test]
async fn a_prometheus_that_does_not_answer_for_seconds_is_read_when_it_does() {
    let server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    server.send(&["SET there 1"]);
    let prometheus_server = Prometheus::start(&[("redis", by.port)]);
    let counters = vec![metric("redis_commands_total", &[("cmd", "set")])];
    let observer = Observer::new(
        Observe { sources: vec![prometheus(&prometheus_server)], counters, ..Observe::default() },
        Clock::default(),
    );
    let before = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
    server.send(&["SET there 2"; 30]);
    prometheus_server.signal(libc::SIGSTOP);
    // Longer than two scrape intervals and what a sample takes to be stored.
    let after = observer.edge(SystemTime::now(), Traffic::Flowing);
    tokio::time::sleep(Duration::from_secs(5)).await;
    prometheus_server.signal(libc::SIGCONT);
    let after = after.reading().await;
    let observed = observer.between(&before, &after, 0).await;
    assert!(observed.sources[0].error.is_none(), "{:?}", observed.sources);
    let row = row(&observed, "prometheus", "redis_commands_total", "cmd=set");
    assert!((row.delta.unwrap() - 30.0).abs() <= row.uncertainty.unwrap(), "{row:?}");
}

#[tokio::test]
async fn a_level_may_have_been_any_at_an_edge_around_which_its_source_was_away() {
    let away = Arc::new(AtomicBool::new(false));
    let by = {
        let away = Arc::clone(&away);
        Hostile::start(move |_, stream| {
            let there = !away.load(Ordering::Relaxed);
            let said = if there { answer("200 OK", "redis_connected_clients 10\n") } else { answer("503 Away", "") };
            let _ = stream.write_all(said.as_bytes()); // Prometheus may be gone
            Then::Close
        })
    };
    let server = Prometheus::start(&[("redis", by.port)]);
    let observe = Observe { sources: vec![prometheus(&server)], counters: vec![preset("redis")], ..Observe::default() };
    let observer = Observer::new(observe, Clock::default());
    let mut before = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
    for stays_away in [false, true] {
        tokio::time::sleep(Duration::from_secs(3)).await;
        away.store(stays_away, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let after = observer.edge(SystemTime::now(), Traffic::Flowing);
        tokio::time::sleep(Duration::from_secs(1)).await;
        away.store(false, Ordering::Relaxed);
        let after = after.reading().await;
        let observed = observer.between(&before, &after, 1).await;
        let clients = &observed.values.series("redis.connected_clients").unwrap()[0];
        assert_eq!((clients.value, clients.ended > 3.0), (10.0, stays_away), "{clients:?}");
        let note = row(&observed, "prometheus", "redis_connected_clients", "").note.clone().unwrap_or_default();
        assert_eq!(note.contains("its value at the end may have been any"), stays_away, "{note}");
        before = after;
    }
}

#[tokio::test]
async fn a_prometheus_that_goes_away_is_reported_and_nothing_hangs() {
    let server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    let mut prometheus_server = Prometheus::start(&[("redis", by.port)]);
    let observer = Observer::new(
        Observe { sources: vec![prometheus(&prometheus_server)], counters: vec![preset("redis")], ..Observe::default() },
        Clock::default(),
    );
    let before = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
    prometheus_server.kill();
    let after = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
    let observed = observer.between(&before, &after, 1).await;
    assert!(observed.sources[0].error.is_some());
    assert!(observed.rows.iter().all(|row| row.delta.is_none() && row.missing.as_ref().unwrap().contains("can't be read")));
    assert!(observed.values.series("redis.commands").unwrap_err().contains("prometheus can't be read"));
}
