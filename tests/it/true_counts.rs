//! Ten runs of a real Redis and a real PostgreSQL, with real exporters and a real Prometheus. Their lengths, intervals, requests, restarts and
//! resets are random. Where the load stands still at the edges, deltas are what was done, to the unit; where it goes on, the truth is
//! within ±.
//!
//! They take minutes, so that scripts/full runs them. A run that fails names its seed; `SEED=n` runs that one alone.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::support::prometheus::Prometheus;
use crate::support::{postgres, redis};
use load_exporter::counters::{Access, Observe, Observed, Observer, Source, SourceKind, Traffic, Wanted, presets};
use load_exporter::measure::Clock;

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        range.start() + (self.0 >> 33) % (range.end() - range.start() + 1)
    }
}

/// The seeds to run.
fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => {
            let fresh = RandomState::new().build_hasher().finish() % 1_000_000;
            (fresh..fresh + 10).collect()
        }
    }
}

/// A Redis and a PostgreSQL of which two databases are used, read directly and by a Prometheus.
struct Stack {
    redis: redis::Redis,
    postgres: postgres::Postgres,
    interval: u64,
    observer: Arc<Observer>,
    _kept: (redis::Exporter, postgres::Exporter, Prometheus),
}

const SOURCES: [(&str, &str); 2] = [("prometheus", "prometheus"), ("redis", "postgres")];
const DATABASES: [&str; 2] = ["shop", "blog"];

impl Stack {
    fn start(random: &mut Random) -> Self {
        let (redis, postgres) = (redis::Redis::start(), postgres::Postgres::start());
        postgres.psql("postgres", "CREATE DATABASE blog");
        redis.send(&["SET there 1", "GET there", "GET gone"]);
        let (by_redis, by_postgres) = (redis::Exporter::start(&redis), postgres::Exporter::start(&postgres));
        let interval = random.within(1..=3);
        let jobs = [("redis", by_redis.port, interval as u32), ("postgres", by_postgres.port, interval as u32)];
        let server = Prometheus::start_every(&jobs, &[]);
        let source = |name: &str, kind, url: &str| Source { name: name.into(), kind, access: Access::new(url).unwrap() };
        let exporter = |name: &str, port: u16| source(name, SourceKind::Exporter, &format!("http://127.0.0.1:{port}/metrics"));
        let preset = |name: &str| Wanted::Preset { preset: presets::find(name).unwrap(), matchers: Vec::new() };
        let observer = Observer::new(
            Observe {
                sources: vec![
                    source("prometheus", SourceKind::Prometheus, &server.url()),
                    exporter("redis", by_redis.port),
                    exporter("postgres", by_postgres.port),
                ],
                counters: vec![preset("redis"), preset("postgres")],
                ..Observe::default()
            },
            Clock::default(),
        );
        observer.watch();
        Self { redis, postgres, interval, observer, _kept: (by_redis, by_postgres, server) }
    }

    /// Until both sources have seen what is there: PostgreSQL reports what it counted within 11 s, and an exporter is scraped each 5 s.
    async fn seen(&self) {
        tokio::time::sleep(Duration::from_secs(17 + 2 * self.interval)).await;
    }

    /// Forgets what was counted in one of three ways.
    fn reset(&mut self, random: &mut Random) -> &'static str {
        let kinds = ["RESETSTAT", "a restart", "nothing"];
        let kind = kinds[random.within(0..=2) as usize];
        match kind {
            "RESETSTAT" => drop(self.redis.send(&["CONFIG RESETSTAT"])),
            "a restart" => {
                self.redis.kill();
                self.redis = redis::Redis::start_on(self.redis.port);
                self.redis.send(&["SET there 1"]);
            }
            _ => {}
        }
        kind
    }
}

/// The increase of a series and how far it may be off; infinite where nothing bounds it.
fn delta(observed: &Observed, source: &str, metric: &str, database: &str) -> (f64, f64) {
    let of = |row: &&load_exporter::counters::CounterRow| {
        let named = |name: &String| name == database;
        row.source == source && row.metric == metric && (database.is_empty() || row.labels.get("datname").is_some_and(named))
    };
    let rows: Vec<_> = observed.rows.iter().filter(of).collect();
    let [row] = rows[..] else { panic!("{source} {metric} {database}: {rows:#?}") };
    (row.delta.unwrap_or_else(|| panic!("{row:#?}")), row.uncertainty.unwrap_or(f64::INFINITY))
}

/// Phases at whose edges nothing happens.
async fn settled(stack: &mut Stack, random: &mut Random) {
    let mut before = stack.observer.settled(SystemTime::now()).await;
    for phase in 0..2 {
        let commits = DATABASES.map(|name| stack.postgres.statistic(name, "xact_commit"));
        let (mut hits, mut misses, mut forgotten) = (0, 0, [0.0; 2]);
        let mut how = Vec::new();
        for part in 0..2 {
            // What came above its old value before it is seen again would hide its reset.
            let range = if part == 0 { 400..=550 } else { 1..=150 };
            let (n, m) = (random.within(range.clone()), random.within(range));
            let commands = [vec!["GET there"; n as usize], vec!["GET gone"; m as usize]].concat();
            assert!(stack.redis.send(&commands).iter().all(|reply| !reply.starts_with('-')));
            (hits, misses) = (hits + n, misses + m);
            for database in DATABASES {
                // What a connection did it may keep until it ends.
                let all: Vec<String> = (0..random.within(5..=60)).map(|n| format!("SELECT {n}")).collect();
                stack.postgres.psql(database, &all.join(";\n"));
            }
            if part == 0 {
                stack.seen().await;
                how.push(stack.reset(random));
                if random.within(0..=1) == 1 {
                    let database = random.within(0..=1) as usize;
                    forgotten[database] = stack.postgres.statistic(DATABASES[database], "xact_commit");
                    // Its own transaction is counted in it, before or after: which of both says the second number.
                    stack.postgres.psql(DATABASES[database], "SELECT pg_stat_reset()");
                    how.push("pg_stat_reset");
                }
            }
        }
        let after = stack.observer.settled(SystemTime::now()).await;
        let observed = stack.observer.between(&before, &after, 1).await;
        let counted = DATABASES.map(|name| stack.postgres.statistic(name, "xact_commit"));
        for (of_redis, of_postgres) in SOURCES {
            for (metric, truth) in [("redis_keyspace_hits_total", hits), ("redis_keyspace_misses_total", misses)] {
                let (delta, open) = delta(&observed, of_redis, metric, "");
                assert_eq!(delta, truth as f64, "phase {phase} {how:?}: {of_redis} {metric} ± {open}");
            }
            for (at, database) in DATABASES.into_iter().enumerate() {
                let truth = counted[at] + forgotten[at] - commits[at];
                let (delta, open) = delta(&observed, of_postgres, "pg_stat_database_xact_commit", database);
                assert_eq!(delta, truth, "phase {phase} {how:?}: {of_postgres} {database} ± {open}");
            }
        }
        before = after;
    }
}

/// How many requests were surely answered, and at most answered, at a time.
type Log = Arc<Mutex<Vec<(SystemTime, [f64; 2])>>>;

/// Sends batches to a Redis that may go away, and keeps the log.
fn load(port: u16, batch: usize, pause: Duration, stop: &Arc<AtomicBool>, log: &Log) -> std::thread::JoinHandle<()> {
    let (stop, log) = (Arc::clone(stop), Arc::clone(log));
    std::thread::spawn(move || {
        let [mut least, mut most] = [0.0; 2];
        let note = |counts| log.lock().unwrap().push((SystemTime::now(), counts));
        note([least, most]);
        while !stop.load(Ordering::Relaxed) {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                most += batch as f64;
                note([least, most]);
                let sent = stream.write_all(format!("{}QUIT\r\n", "GET gone\r\n".repeat(batch)).as_bytes());
                let mut replies = Vec::new();
                // One that was killed answers a part.
                let _ = sent.and_then(|()| stream.read_to_end(&mut replies));
                least += replies.windows(5).filter(|reply| *reply == b"$-1\r\n").count() as f64;
                note([least, most]);
            }
            std::thread::sleep(pause);
        }
    })
}

/// Least and most of what was answered at a time.
fn at(log: &Log, time: SystemTime) -> [f64; 2] {
    let log = log.lock().unwrap();
    log.iter().take_while(|(noted, _)| *noted <= time).last().map_or([0.0; 2], |(_, counts)| *counts)
}

/// Phases at whose edges the load goes on.
async fn flowing(stack: &mut Stack, random: &mut Random) {
    let (stop, log) = (Arc::new(AtomicBool::new(false)), Log::default());
    let (batch, pause) = (random.within(1..=40) as usize, Duration::from_millis(random.within(2..=40)));
    let thread = load(stack.redis.port, batch, pause, &stop, &log);
    // Resets are as far apart that a counter is above what it counts between two scrapes, 5 s apart, when it is reset: each can be seen.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let (mut edges, mut readings, mut how) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let edge = SystemTime::now();
        edges.push(edge);
        readings.push(stack.observer.edge(edge, Traffic::Flowing));
        tokio::time::sleep(Duration::from_millis(random.within(6_000..=12_000))).await;
        how.push(stack.reset(random));
        tokio::time::sleep(Duration::from_millis(random.within(6_000..=12_000))).await;
    }
    let mut read = Vec::new();
    for reading in readings {
        read.push(reading.reading().await);
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    for (from, to) in [(0, 1), (1, 2), (0, 2)] {
        let observed = stack.observer.between(&read[from], &read[to], 1).await;
        let (begun, ended) = (at(&log, edges[from]), at(&log, edges[to]));
        let truth = [ended[0] - begun[1], ended[1] - begun[0]];
        for (source, _) in SOURCES {
            let (delta, open) = delta(&observed, source, "redis_keyspace_misses_total", "");
            let reset = how[from..to].iter().any(|kind| *kind != "nothing");
            assert!(open.is_finite() || reset, "{from} to {to} {how:?}, batches of {batch}: {source} {delta} has no ±");
            assert!(reset || open < delta, "{from} to {to} {how:?}, batches of {batch}: {source} {delta} ± {open} says nothing");
            let within = delta + open >= truth[0] - 1e-6 && delta - open <= truth[1] + 1e-6;
            assert!(within, "{from} to {to} {how:?}, batches of {batch}: {source} {delta} ± {open}, truly {truth:?}");
        }
    }
}

#[tokio::test]
#[ignore = "takes minutes: scripts/full runs it"]
async fn deltas_are_what_was_counted_over_ten_runs() {
    for (run, seed) in seeds().into_iter().enumerate() {
        println!("run {run}: SEED={seed}");
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut stack = Stack::start(&mut random);
        settled(&mut stack, &mut random).await;
        flowing(&mut stack, &mut random).await;
    }
}
