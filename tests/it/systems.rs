//! Several systems of a kind, read by several sources: two Redis servers and the databases of a PostgreSQL, from their real exporters
//! and a real Prometheus. Each is counted to the unit, and each is judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::process::free_port;
use crate::support::program::{Bench, named};
use crate::support::prometheus::Prometheus;
use crate::support::{postgres, redis};
use load_exporter::counters::{Access, Observe, Observed, Observer, Query, Source, SourceKind, Traffic, Wanted, presets};
use load_exporter::measure::Clock;
use serde_json::Value;

fn source(name: &str, kind: SourceKind, url: &str) -> Source {
    Source { name: name.into(), kind, access: Access::new(url).unwrap() }
}

fn exporter(name: &str, port: u16) -> Source {
    source(name, SourceKind::Exporter, &format!("http://127.0.0.1:{port}/metrics"))
}

fn preset(name: &str) -> Wanted {
    Wanted::Preset { preset: presets::find(name).unwrap(), matchers: Vec::new() }
}

/// Increase and ± of the only series of a metric with this label.
fn delta(observed: &Observed, source: &str, metric: &str, label: (&str, &str)) -> (f64, f64) {
    let of = |row: &&load_exporter::counters::CounterRow| {
        row.source == source
            && row.metric == metric
            && (label.0.is_empty() || row.labels.get(label.0).is_some_and(|v| v == label.1))
    };
    let rows: Vec<_> = observed.rows.iter().filter(of).collect();
    let [row] = rows[..] else { panic!("{source} {metric} {label:?}: {rows:#?}") };
    (row.delta.unwrap_or_else(|| panic!("{row:#?}")), row.uncertainty.unwrap())
}

/// The value of the system that has this label.
fn value(observed: &Observed, name: &str, label: (&str, &str)) -> f64 {
    let systems = observed.values.systems(name).unwrap();
    let has = |labels: &Vec<(String, String)>| labels.iter().any(|(name, value)| (name.as_str(), value.as_str()) == label);
    let found: Vec<_> = systems.known.iter().filter(|series| has(&series.labels)).collect();
    let [series] = found[..] else { panic!("{name} {label:?}: {systems:#?}") };
    series.value
}

#[tokio::test]
async fn each_system_is_counted_to_the_unit_whoever_reads_it() {
    let (a, b) = (redis::Redis::start(), redis::Redis::start());
    let (by_a, by_b) = (redis::Exporter::start(&a), redis::Exporter::start(&b));
    let database = postgres::Postgres::start();
    database.psql("postgres", "CREATE DATABASE blog");
    let by_database = postgres::Exporter::start(&database);
    let jobs = [("first", by_a.port), ("second", by_b.port), ("postgres", by_database.port)];
    let server = Prometheus::start(&jobs);
    let observer = Observer::new(
        Observe {
            sources: vec![source("prometheus", SourceKind::Prometheus, &server.url()), exporter("redis-a", by_a.port)],
            counters: vec![preset("redis"), preset("postgres")],
            ..Observe::default()
        },
        Clock::default(),
    );
    let counted = |what: &str| [&a, &b].map(|redis| redis.info(what));
    let databases = |column: &str| ["shop", "blog"].map(|name| database.statistic(name, column));

    let before = observer.settled(SystemTime::now()).await;
    let (hits, misses, commits) = (counted("keyspace_hits"), counted("keyspace_misses"), databases("xact_commit"));
    a.send(&[&["SET there 1"][..], &["GET there"; 90], &["GET gone"; 10]].concat());
    b.send(&[&["SET there 1"][..], &["GET there"; 10], &["GET gone"; 40]].concat());
    let (mut shop, mut blog) = (database.connect("shop"), database.connect("blog"));
    (0..60).for_each(|n| assert_eq!(shop.line(&format!("SELECT {n}")), n.to_string()));
    (0..25).for_each(|n| assert_eq!(blog.line(&format!("SELECT {n}")), n.to_string()));
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;
    let less = |now: [f64; 2], then: [f64; 2]| [now[0] - then[0], now[1] - then[1]];
    let hits = less(counted("keyspace_hits"), hits);
    let misses = less(counted("keyspace_misses"), misses);
    let commits = less(databases("xact_commit"), commits);

    assert_eq!((hits, misses), ([90.0, 10.0], [10.0, 40.0]));
    for (source, job, at) in [("prometheus", ("job", "first"), 0), ("prometheus", ("job", "second"), 1), ("redis-a", ("", ""), 0)]
    {
        assert_eq!(delta(&observed, source, "redis_keyspace_hits_total", job), (hits[at], 0.0), "{source} {job:?}");
        assert_eq!(delta(&observed, source, "redis_keyspace_misses_total", job), (misses[at], 0.0), "{source} {job:?}");
    }
    for (name, counted) in [("shop", commits[0]), ("blog", commits[1])] {
        let (found, _) = delta(&observed, "prometheus", "pg_stat_database_xact_commit", ("datname", name));
        assert_eq!(found, counted, "{name}");
    }
    assert!(commits[0] >= 60.0 && commits[1] >= 25.0, "{commits:?}");
    // What is read directly isn't judged once more by the server that scrapes it.
    let systems = observed.values.systems("redis.hit_ratio").unwrap();
    assert_eq!((systems.known.len(), systems.unknown.len()), (2, 0), "{systems:#?}");
    assert_eq!(value(&observed, "redis.hit_ratio", ("source", "redis-a")), 0.9);
    assert_eq!(value(&observed, "redis.hit_ratio", ("job", "second")), 0.2);
    assert_eq!(systems.sum().unwrap().value, 100.0 / 150.0);
    // The databases of one server are parts of one system.
    let all: f64 =
        observed.rows.iter().filter(|row| row.metric == "pg_stat_database_xact_commit").filter_map(|row| row.delta).sum();
    assert_eq!(value(&observed, "postgres.commits", ("job", "postgres")), all);
    assert!(observed.sources.iter().all(|source| source.error.is_none()), "{:?}", observed.sources);
}

#[tokio::test]
async fn jobs_of_one_prometheus_have_intervals_of_their_own() {
    const SLOW: u32 = 8;
    let (a, b) = (redis::Redis::start(), redis::Redis::start());
    let (by_a, by_b) = (redis::Exporter::start(&a), redis::Exporter::start(&b));
    let server = Prometheus::start_every(&[("fast", by_a.port, 1), ("slow", by_b.port, SLOW)], &[]);
    let observer = Observer::new(
        Observe {
            sources: vec![source("prometheus", SourceKind::Prometheus, &server.url())],
            counters: vec![preset("redis")],
            ..Observe::default()
        },
        Clock::default(),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let load = [a.port, b.port].map(|port| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                redis::send(port, &["GET gone"; 5]);
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    });
    let misses = || [&a, &b].map(|redis| redis.info("keyspace_misses"));
    let (mut edges, mut truths) = (Vec::new(), Vec::new());
    for length in [0, 2 * u64::from(SLOW) + 3, 3] {
        tokio::time::sleep(Duration::from_secs(length)).await;
        edges.push(observer.edge(SystemTime::now(), Traffic::Flowing));
        truths.push(misses());
    }
    let mut readings = Vec::new();
    for edge in edges {
        readings.push(edge.reading().await);
    }
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    for (at, is_short) in [(0, false), (1, true)] {
        let observed = observer.between(&readings[at], &readings[at + 1], 1).await;
        for (which, job) in ["fast", "slow"].into_iter().enumerate() {
            let truth = truths[at + 1][which] - truths[at][which];
            let (delta, open) = delta(&observed, "prometheus", "redis_keyspace_misses_total", ("job", job));
            // Beside it: what was on its way.
            assert!((delta - truth).abs() <= open + 30.0 + truth / 20.0, "{job}: {delta} ± {open}, truly {truth}");
        }
        let short: Vec<_> = observed.notes.iter().filter(|note| note.contains("is too short")).collect();
        assert_eq!(short.len(), usize::from(is_short), "{:?}", observed.notes);
        assert!(short.iter().all(|note| note.contains("the job `slow` is sampled each 8.00s")), "{short:?}");
    }
    // A query is asked from where the phase's own samples are.
    let now = SystemTime::now();
    let query = |text: &str, seconds: u64| {
        let (observer, query) = (Arc::clone(&observer), Query::parse(text).unwrap());
        async move { observer.query(&query, &[(now - Duration::from_secs(seconds), now)]).await.unwrap() }
    };
    assert_eq!(query("sum(redis_up{job=\"fast\"})", 10).await.note, None);
    let once = query("sum(redis_up{job=\"slow\"})", 5).await;
    assert_eq!(once.series[0].value, 1.0);
    assert!(once.note.unwrap().contains("evaluated once, at the end"));
    assert!(query("sum(rate(redis_keyspace_misses_total[1m]))", 10).await.note.unwrap().contains("reaches back"));
    assert_eq!(query("redis_up{job=\"fast\"}", 5).await.note, None);
}

fn rows<'a>(run: &'a Value, name: &str) -> &'a Value {
    named(&named(&run["phases"], "name", "main")["slos"], "name", name)
}

#[test]
fn a_run_judges_each_system_and_says_which_it_can_not_know() {
    let (a, b) = (redis::Redis::start(), redis::Redis::start());
    let (by_a, by_b) = (redis::Exporter::start(&a), redis::Exporter::start(&b));
    let server = Prometheus::start(&[("second", by_b.port)]);
    let bench = Bench::new();
    let profile = format!(
        "name: systems
defaults: {{http: {{base_url: builtin}}}}
scenarios: {{s: {{flow: [{{http: {{get: /}}}}, {{think: 100ms}}]}}}}
phases:
  - {{name: warm, duration: 2s, load: {{s: {{users: 1}}}}, judge: false}}
  - {{name: main, duration: 8s, load: {{s: {{users: 1}}}}}}
observe:
  prometheus: {{url: '{}'}}
  exporters:
    - {{name: redis-a, url: 'http://127.0.0.1:{}/metrics'}}
    - {{name: redis-gone, url: 'http://127.0.0.1:{}/metrics', timeout: 1s}}
    - {{name: bouncer, url: ''}}
  counters: [{{preset: redis}}, {{preset: pgbouncer}}]
slos:
  - {{name: each, server: redis.hit_ratio, over: each, require: value > 50%}}
  - {{name: unchosen, server: redis.hit_ratio, require: value > 50%}}
  - {{name: first, server: redis.hit_ratio, match: {{source: redis-a}}, require: value > 50%}}
  - {{name: second, server: redis.hit_ratio, match: {{job: second}}, require: value < 50%}}
  - {{name: all, server: redis.commands, over: sum, require: value > 100}}
  - {{name: most, server: redis.commands, over: sum, require: value < 1000000}}
  - {{name: waiting, server: pgbouncer.waiting_clients, optional: true, require: max < 5}}
  - {{name: clients, promql: redis_connected_clients, require: min >= 1}}
  - {{name: rate, promql: 'sum(rate(redis_commands_processed_total[1h]))', require: value >= 0}}
",
        server.url(),
        by_a.port,
        free_port()
    );
    bench.file("systems.yml", &profile);
    let stop = Arc::new(AtomicBool::new(false));
    let load = [(a.port, "GET there"), (b.port, "GET gone")].map(|(port, command)| {
        let stop = Arc::clone(&stop);
        redis::send(port, &["SET there 1"]);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                redis::send(port, &[command; 10]);
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    });
    let ended = bench.run_files(&["systems.yml"], &[]);
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    let run = bench.record();
    let row = |name: &str| (rows(&run, name)["verdict"].as_str().unwrap(), rows(&run, name)["reason"].as_str().unwrap_or(""));
    assert_eq!(row("each").0, "fail", "{run:#}");
    assert!(row("each").1.starts_with("of 2 systems, ") && row("each").1.contains("job=second"), "{:?}", row("each"));
    assert_eq!(row("unchosen").0, "inconclusive");
    assert!(
        row("unchosen").1.contains("the systems disagree") && row("unchosen").1.contains("source=redis-a has 100%"),
        "{:?}",
        row("unchosen")
    );
    assert_eq!((row("first"), row("second")), (("pass", ""), ("pass", "")));
    assert_eq!((row("all").0, row("most").0), ("pass", "inconclusive"));
    assert_eq!(row("waiting"), ("none", "not observed: its source is left out"));
    // Its samples are 1 s apart.
    let seen = row("clients").1.strip_prefix("it was seen ").and_then(|rest| rest.strip_suffix(" times")).map(str::parse::<u32>);
    assert!(row("clients").0 == "pass" && matches!(seen, Some(Ok(6..=9))), "{:?}", row("clients"));
    assert_eq!(row("rate").0, "pass");
    assert!(row("rate").1.contains("evaluated once, at the end"), "{:?}", row("rate"));
    assert!(ended.err.contains("reach back") && ended.out.contains("the systems disagree"), "{}\n{}", ended.err, ended.out);
    assert_eq!(ended.code, Some(1));
}

/// Runs a load that counts itself: each iteration of 20 finds a key 5 times, in two phases, on two servers.
fn finds(settle: bool) -> Value {
    let (a, b) = (redis::Redis::start(), redis::Redis::start());
    let (by_a, by_b) = (redis::Exporter::start(&a), redis::Exporter::start(&b));
    let server = Prometheus::start(&[("first", by_a.port), ("second", by_b.port)]);
    let bench = Bench::new();
    let scenario = |port: u16| {
        let steps = "[{send: EXISTS there}, {receive: {name: found, match: \"message.text == ':1'\"}}]";
        format!(
            "{{flow: [{{tcp: {{connect: '127.0.0.1:{port}', session: [{{repeat: {{times: 5, flow: {steps}}}}}]}}}}, {{think: 50ms}}]}}"
        )
    };
    let load = "{a: {users: 1, iterations: 20}, b: {users: 2, iterations: 20}}";
    let profile = format!(
        "name: finds
scenarios: {{a: {}, b: {}}}
phases: [{{name: one, duration: 6s, load: {load}}}, {{name: two, duration: 6s, load: {load}}}]
observe:
  settle: {settle}
  prometheus: {{url: '{}'}}
  exporters: [{{name: redis-a, url: 'http://127.0.0.1:{}/metrics'}}, {{name: redis-b, url: 'http://127.0.0.1:{}/metrics'}}]
  counters: [{{preset: redis}}]
slos: [{{name: errors, require: errors == 0%}}, {{name: found, server: redis.hit_ratio, over: each, require: value == 100%}}]
",
        scenario(a.port),
        scenario(b.port),
        server.url(),
        by_a.port,
        by_b.port
    );
    for port in [a.port, b.port] {
        redis::send(port, &["SET there 1", "EXISTS there"]);
    }
    let hits = || [&a, &b].map(|redis| redis.info("keyspace_hits"));
    let before = hits();
    bench.file("finds.yml", &profile);
    let ended = bench.run_files(&["finds.yml"], &[]);
    let after = hits();
    assert_eq!([after[0] - before[0], after[1] - before[1]], [200.0, 400.0], "{}\n{}", ended.out, ended.err);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    bench.record()
}

#[test]
fn deltas_of_a_run_are_exact_where_it_settles_and_within_their_bounds_where_it_does_not() {
    for settle in [true, false] {
        let run = finds(settle);
        for phase in ["one", "two"] {
            let phase = named(&run["phases"], "name", phase);
            for (source, job, truth) in
                [("prometheus", "first", 100.0), ("prometheus", "second", 200.0), ("redis-a", "", 100.0), ("redis-b", "", 200.0)]
            {
                let labels: &[(&str, &str)] = if job.is_empty() { &[] } else { &[("job", job)] };
                let (delta, open) = crate::support::record::delta(phase, source, "redis_keyspace_hits_total", labels);
                assert!((delta - truth).abs() <= open + 1e-6, "{source} {job}: {delta} ± {open}, truly {truth}");
                assert!(!settle || open == 0.0, "{source} {job}: ± {open}");
            }
        }
    }
}
