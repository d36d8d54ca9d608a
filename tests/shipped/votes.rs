//! `config/votes.yml` against the real stack: what the run says is what the backend, Redis, PostgreSQL and two Prometheus
//! servers say of the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::support::program::metric;
use crate::support::record::{self, list, phase, step};
use crate::support::shipped::{self, Shown, promised_series, promtool, shipped};
use crate::support::stack::Stack;
use crate::support::{http, postgres, promql, redis};
use serde_json::Value;

/// What redis_exporter sends at each scrape; nothing else of the stack does.
const OF_REDIS_EXPORTER: [&str; 6] = ["client|setname", "config|get", "info", "latency|latest", "slowlog|len", "slowlog|get"];
/// What PostgreSQL counts in the backend's database, which no exporter connects to.
const IN_DATABASE: [&str; 5] = ["xact_commit", "xact_rollback", "tup_inserted", "tup_updated", "tup_deleted"];
/// Requests a second, amply: fifty iterations of up to four.
const MOST_AT_ONCE: f64 = 200.0;
/// The requests that Prometheus has seen last.
const SEEN: &str = "sum(last_over_time(load_requests_total[10s]))";
const PHASES: [&str; 3] = ["warm-up", "steady", "spike"];

/// The stack, and where its parts listen.
struct Site {
    stack: Stack,
    redis: u16,
    postgres: u16,
    backend: u16,
    prometheus: u16,
    native: u16,
    listen: u16,
}

/// What the servers themselves have counted.
#[derive(Debug)]
struct Counted {
    /// The backend's requests, by route, method and status.
    requests: BTreeMap<String, f64>,
    hits: f64,
    misses: f64,
    /// Redis' commands but those of its exporter.
    commands: f64,
    in_database: BTreeMap<&'static str, f64>,
    votes: f64,
    replays: f64,
}

impl Site {
    fn up() -> Self {
        // What is cached once stays so: hit ratios then hang on what was asked, not on how long it took.
        let stack = Stack::up_with(&["--native"], &[("CACHE_TTL", "60m")]);
        let port = |name| stack.port(name);
        let site = Self {
            redis: port("REDIS_URL"),
            postgres: port("DATABASE_URL"),
            backend: port("BASE_URL"),
            prometheus: port("PROMETHEUS_URL"),
            native: port("PROMETHEUS_NATIVE_URL"),
            listen: port("LOAD_EXPORTER_PORT"),
            stack,
        };
        for server in [site.prometheus, site.native] {
            for series in ["redis_up == 1", "pg_up == 1", "up{job=\"api\"} == 1"] {
                promql::until(server, series);
            }
        }
        site
    }

    fn run(&self, settle: &str, seconds: [&str; 3], look: impl FnMut(&str)) -> Shown {
        let (base, prometheus, of_redis, of_postgres) = self.urls();
        let [warm_up, steady, spike] = seconds;
        let variables = [
            ("BASE_URL", base.as_str()),
            ("PROMETHEUS_URL", &prometheus),
            ("REDIS_EXPORTER_URL", &of_redis),
            ("POSTGRES_EXPORTER_URL", &of_postgres),
            ("SETTLE", settle),
            ("WARM_UP", warm_up),
            ("STEADY", steady),
            ("SPIKE", spike),
            ("VOTERS", "10"),
            ("BASE_RATE", "10"),
            ("SPIKE_RATE", "50"),
            ("TIMEOUT", "30s"),
        ];
        let profile = shipped("votes.yml");
        let promised = promised_series(&profile, &variables);
        let ended = shipped::run(&profile, self.listen, &variables, look);
        let shown = ended.last.lines().filter(|line| line.contains("{profile=\"votes\"")).count();
        assert!((1000..=promised).contains(&shown), "`check` promised at most {promised} series, there are {shown}");
        ended
    }

    fn urls(&self) -> (String, String, String, String) {
        let variable = |name| self.stack.variable(name).unwrap();
        (variable("BASE_URL"), variable("PROMETHEUS_URL"), variable("REDIS_EXPORTER_URL"), variable("POSTGRES_EXPORTER_URL"))
    }

    fn counted(&self) -> Counted {
        let page = http::get(self.backend, "/metrics").unwrap().1;
        let requests = http::series(&page, "http_requests_total").map(|(labels, value)| (labels.to_owned(), value)).collect();
        let stats = redis::send(self.redis, &["INFO commandstats"]).remove(0);
        let commands = stats.lines().filter_map(|line| {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls: f64 = rest.split(',').next()?.parse().ok()?;
            Some(if OF_REDIS_EXPORTER.contains(&command) { 0.0 } else { calls })
        });
        Counted {
            requests,
            commands: commands.sum(),
            hits: redis::info(self.redis, "keyspace_hits"),
            misses: redis::info(self.redis, "keyspace_misses"),
            in_database: self.in_database(),
            votes: http::sample(&page, "votes_accepted_total").unwrap(),
            replays: http::sample(&page, "votes_replayed_total").unwrap(),
        }
    }

    /// What PostgreSQL says of the backend's database, asked from another.
    fn statistic(&self, column: &str) -> f64 {
        let query = format!("SELECT {column} FROM pg_stat_database WHERE datname = 'app'");
        postgres::psql_at(self.postgres, "template1", &query).unwrap().trim().parse().unwrap()
    }

    /// Waits until PostgreSQL has counted all that the backend has done: an idle connection hands it in up to 10 s late.
    fn handed_in(&self) {
        let done =
            "SELECT coalesce(min(now() - state_change) > interval '12s', true) FROM pg_stat_activity WHERE datname = 'app'";
        let deadline = Instant::now() + Duration::from_secs(60);
        while postgres::psql_at(self.postgres, "template1", done).unwrap().trim() != "t" {
            assert!(Instant::now() < deadline, "the backend's connections to PostgreSQL are not idle");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn in_database(&self) -> BTreeMap<&'static str, f64> {
        IN_DATABASE.into_iter().map(|column| (column, self.statistic(column))).collect()
    }

    /// Whether both Prometheus servers have what `/metrics` said at the end. All had drained 10 s before it, so any sample since will do; but a
    /// scrape that takes more than 2 s on a busy machine leaves none.
    fn was_scraped(&self, ended: &Shown) -> bool {
        let seen = |server: &u16| !promql::query(*server, SEEN, Some(ended.last_at)).is_empty();
        [self.prometheus, self.native].iter().all(seen)
    }

    fn ledger(&self) -> Value {
        serde_json::from_str(&http::get(self.backend, "/api/ledger").unwrap().1).unwrap()
    }
}

impl Counted {
    fn requests_since(&self, before: &Counted) -> f64 {
        self.requests.iter().map(|(labels, after)| after - before.requests.get(labels).copied().unwrap_or(0.0)).sum()
    }
}

#[test]
fn votes_are_what_everybody_says_they_are() {
    for _ in 0..3 {
        let site = Site::up();
        if still(&site) && flowing(&site) {
            return;
        }
    }
    panic!("this machine was too busy each time for Prometheus to scrape what a run ended with");
}

/// With `settle: true`: deltas are exact to the unit. False if Prometheus missed the end.
fn still(site: &Site) -> bool {
    let votes = site.ledger()["total"].as_f64().unwrap();
    site.handed_in();
    let before = site.counted();
    let mut middle = None;
    let ended = site.run("true", ["1s", "3s", "3s"], |page| {
        if metric(page, "load_phase_active", &[]) > Some(0.0) {
            middle.get_or_insert_with(|| page.to_owned());
        }
    });
    let after = site.counted();
    if !site.was_scraped(&ended) {
        return false;
    }
    record::holds_together(&ended);
    record::is_right(&ended.record);
    starts_at_zero(&ended);
    for page in [Some(&ended.first), middle.as_ref(), Some(&ended.last)] {
        assert_eq!(promtool(page.expect("it was looked at while a phase was on")), "");
    }

    let run = &ended.record;
    let exactly = |source: &str, metric: &str, labels: &[(&str, &str)], truth: f64| {
        let (delta, unsure) = record::delta_of_run(run, source, metric, labels);
        assert_eq!((delta, unsure), (truth, 0.0), "{metric} {labels:?} by {source}");
    };
    for source in ["redis", "prometheus"] {
        exactly(source, "redis_keyspace_hits_total", &[], after.hits - before.hits);
        exactly(source, "redis_keyspace_misses_total", &[], after.misses - before.misses);
        // The exporter's share: so many commands and one connection for each scrape, as the note beside them says.
        let ours = after.commands - before.commands;
        let (commands, _) = record::delta_of_run(run, source, "redis_commands_processed_total", &[]);
        let (scrapes, _) = record::delta_of_run(run, source, "redis_connections_received_total", &[]);
        assert!(scrapes > 0.0);
        assert_eq!(commands - OF_REDIS_EXPORTER.len() as f64 * scrapes, ours, "{source}: {commands} less {scrapes} scrapes");
    }
    for source in ["postgres", "prometheus"] {
        for column in IN_DATABASE {
            let truth = after.in_database[column] - before.in_database[column];
            assert!(truth > 0.0 || ["tup_deleted", "xact_rollback"].contains(&column), "{column}");
            exactly(source, &format!("pg_stat_database_{column}"), &[("datname", "app")], truth);
        }
    }
    for name in PHASES {
        let notes = list(phase(run, name), "notes").iter().map(|note| note.as_str().unwrap()).collect::<Vec<_>>().join("\n");
        for exporter in ["redis_exporter opens a connection", "postgres_exporter keeps a connection"] {
            assert!(notes.contains(exporter), "{name}: {notes}");
        }
    }
    agrees_on_requests(site, &ended, &before, &after, votes);
    shows_the_targets(&ended);

    // Phase by phase, as Prometheus saw the backend. What the backend hadn't counted before the run came up in its first phase,
    // beside others of this metric: counted from 0, and as far as Prometheus knows it might have been hidden before.
    for name in PHASES {
        let phase = phase(run, name);
        let rows = record::rows(phase, "prometheus", "http_requests_total", &[("route", "/api/votes"), ("status", "201")]);
        let [row] = rows[..] else { panic!("{name}: {rows:?}") };
        let truth = step(phase, "vote")["codes"]["201"].as_f64().unwrap();
        assert_eq!(row["delta"].as_f64(), Some(truth), "{name}: {row}");
        let (unsure, came_up) = (row["uncertainty"].as_f64().unwrap(), row["note"].as_str().unwrap_or_default());
        if name == "warm-up" {
            assert!((1.0..=truth).contains(&unsure) && came_up.starts_with("came up during the phase"), "{row}");
        } else {
            assert_eq!((unsure, came_up), (0.0, ""), "{name}: {row}");
        }
    }
    true
}

/// Without `settle`: deltas are within the uncertainty that is reported, and quantiles agree however they are asked for. False as with it.
fn flowing(site: &Site) -> bool {
    let votes = site.ledger()["total"].as_f64().unwrap();
    let before = site.counted();
    let ended = site.run("false", ["4s", "6s", "8s"], |_| {});
    let after = site.counted();
    if !site.was_scraped(&ended) {
        return false;
    }
    record::holds_together(&ended);
    record::is_right(&ended.record);
    agrees_on_requests(site, &ended, &before, &after, votes);

    let run = &ended.record;
    let within = |source: &str, metric: &str, labels: &[(&str, &str)], truth: f64| {
        let (delta, unsure) = record::delta_of_run(run, source, metric, labels);
        assert!((delta - truth).abs() <= unsure + 1e-6, "{metric} by {source}: {delta} ± {unsure}, truly {truth}");
    };
    for source in ["redis", "prometheus"] {
        within(source, "redis_keyspace_hits_total", &[], after.hits - before.hits);
        within(source, "redis_keyspace_misses_total", &[], after.misses - before.misses);
    }
    for source in ["postgres", "prometheus"] {
        for column in IN_DATABASE {
            let truth = after.in_database[column] - before.in_database[column];
            within(source, &format!("pg_stat_database_{column}"), &[("datname", "app")], truth);
        }
    }
    let steps = list(run, "phases").iter().flat_map(|phase| list(phase, "steps"));
    let longest = steps.filter_map(|step| step["response"]["max"].as_f64()).fold(0.1, f64::max);
    for name in PHASES {
        let phase = phase(run, name);
        let (counted, unsure) = record::delta(phase, "prometheus", "http_requests_total", &[]);
        // What was under way at an edge belongs to the phase it was due in, and is counted when it is answered.
        let crossing = MOST_AT_ONCE * longest;
        let requests = record::requests(phase) as f64;
        assert!((counted - requests).abs() <= unsure + crossing, "{name}: {counted} ± {unsure} for {requests}");
    }

    let spike = &list(phase(run, "spike"), "scenarios")[0];
    // The area under 10/s -> 50/s over 8 s.
    assert_eq!(record::whole(spike, "due"), 240);
    for (name, of) in [("steady", "vote"), ("spike", "vote"), ("spike", "streamers")] {
        quantiles_agree(site, &ended, name, of);
    }
    true
}

/// The backend, `/metrics`, both Prometheus servers and `run.json` count the same requests, and the ledger the same votes.
fn agrees_on_requests(site: &Site, ended: &Shown, before: &Counted, after: &Counted, votes: f64) {
    let run = &ended.record;
    let requests: u64 = list(run, "phases").iter().map(record::requests).sum();
    // The test's own look at the ledger.
    let looks = after.requests.iter().filter(|(labels, _)| labels.contains("/api/ledger"));
    let looks: f64 = looks.map(|(labels, value)| value - before.requests.get(labels).copied().unwrap_or(0.0)).sum();
    assert_eq!(after.requests_since(before) - looks, requests as f64, "{before:?} {after:?}");
    assert_eq!(metric(&ended.last, "load_requests_total", &[]), Some(requests as f64));
    for server in [site.prometheus, site.native] {
        let seen = promql::value(server, SEEN, Some(ended.last_at));
        assert_eq!(seen, requests as f64);
    }
    let submitted = record::own(run, "votes_submitted_total");
    assert!(submitted > 0.0);
    assert_eq!(metric(&ended.last, "votes_submitted_total", &[]), Some(submitted));
    assert_eq!(after.votes - before.votes, submitted);
    assert_eq!(after.replays - before.replays, record::own(run, "votes_replayed_total"));
    let ledger = site.ledger();
    assert_eq!(ledger["total"].as_f64().unwrap() - votes, submitted);
    assert_eq!(ledger["consistent"], true, "{ledger}");
}

/// `/metrics` shows what `run.json` holds of the target's series and of the requirements, once a phase is judged.
fn shows_the_targets(ended: &Shown) {
    let steady = phase(&ended.record, "steady");
    let requests = record::requests(steady) as f64;
    for (source, name, label) in [
        ("redis", "redis_keyspace_hits_total", None),
        ("postgres", "pg_stat_database_tup_inserted", Some(("datname", "app"))),
        ("prometheus", "redis_commands_processed_total", None),
    ] {
        let (delta, _) = record::delta(steady, source, name, label.as_slice());
        let mut labels = vec![("phase", "steady"), ("source", source), ("metric", name)];
        labels.extend(label.map(|(_, value)| ("target_datname", value)));
        let shown = |what: &str| metric(&ended.last, &format!("load_target_{what}"), &labels).expect("it is shown");
        assert_eq!(shown("delta"), delta, "{labels:?}");
        assert_eq!(shown("after") - shown("before"), delta, "{labels:?}");
        assert!((shown("per_request") * requests - delta).abs() < 1e-6 * delta, "{labels:?}");
        assert_eq!(metric(&ended.last, "load_target_scrape_success", &[("source", source)]), Some(1.0));
    }
    for slo in list(steady, "slos") {
        let [name, requirement] = ["name", "requirement"].map(|key| slo[key].as_str().unwrap());
        let labels = [("phase", "steady"), ("slo", name), ("requirement", requirement)];
        assert_eq!(metric(&ended.last, "load_slo_value", &labels), slo["value"].as_f64(), "{labels:?}");
        assert_eq!(metric(&ended.last, "load_slo_met", &labels).map(|met| met == 1.0), slo["met"].as_bool(), "{labels:?}");
    }
}

/// What can be known is there from the first, at 0.
fn starts_at_zero(ended: &Shown) {
    let families = [
        "load_requests_total",
        "load_request_errors_total",
        "load_response_duration_seconds_count",
        "load_service_duration_seconds_count",
        "load_response_duration_seconds_bucket",
        "load_arrivals_due_total",
        "load_arrivals_started_total",
        "load_arrivals_dropped_total",
        "load_arrivals_cancelled_total",
        "load_iterations_total",
        "load_checks_total",
        "load_check_failures_total",
        "load_connects_total",
        "votes_submitted_total",
        "vote_weight_count",
    ];
    for family in families {
        let labels = |page| http::series(page, family).map(|(labels, _)| labels.to_owned()).collect::<BTreeSet<_>>();
        let (first, last) = (labels(&ended.first), labels(&ended.last));
        assert!(!first.is_empty(), "{family} isn't there at once");
        assert_eq!(first, last, "{family}");
        assert_eq!(metric(&ended.first, family, &[]), Some(0.0), "{family}");
    }
}

/// p95 by PromQL on classic and on native histograms, in `run.json` and in `summary.txt`.
fn quantiles_agree(site: &Site, ended: &Shown, phase_name: &str, step_name: &str) {
    let phase = phase(&ended.record, phase_name);
    let stored = step(phase, step_name)["response"]["p95"].as_f64().unwrap();
    let shown = shown_p95(&ended.summary, phase_name, &format!("voters/{step_name}"));
    assert!((shown / stored - 1.0).abs() < 0.01, "{shown} is shown for {stored}");

    // From before the phase began, when all was 0 (or at what the run before had left, which had long been still), to the last
    // look at a run that had drained.
    let range = (ended.last_at - phase["started"].as_f64().unwrap() + 8.0).ceil();
    let matchers = format!("phase=\"{phase_name}\",step=\"{step_name}\",outcome!=\"error\"");
    // 0.95 times the count may be a whole number: which of two neighbours is meant then hangs on a rounding in rate().
    let neighbour = 1.0 / record::whole(&step(phase, step_name)["response"], "count") as f64;
    let ask = |server, by: &str, suffix: &str| {
        let rate = format!("rate(load_response_duration_seconds{suffix}{{{matchers}}}[{range}s])");
        [0.95 - neighbour, 0.95, 0.95 + neighbour].map(|quantile| {
            promql::value(server, &format!("histogram_quantile({quantile}, sum{by} ({rate}))"), Some(ended.last_at))
        })
    };
    let classic = ask(site.prometheus, " by (le)", "_bucket");
    let bounds: BTreeSet<String> = http::series(&ended.last, "load_response_duration_seconds_bucket")
        .filter(|(labels, _)| labels.contains(&format!("step=\"{step_name}\"")))
        .map(|(labels, _)| labels.rsplit_once("le=\"").unwrap().1.trim_end_matches('"').to_owned())
        .collect();
    let mut bounds: Vec<f64> = bounds.iter().map(|bound| bound.parse().unwrap()).collect();
    bounds.sort_by(f64::total_cmp);
    // A hair's breadth, since a quantile may lie on a bound.
    let bucket = |value: f64, hair: f64| bounds.partition_point(|bound| *bound < value * hair);
    assert!(
        (bucket(classic[0], 0.999)..=bucket(classic[2], 1.001)).contains(&bucket(stored, 1.0)),
        "{phase_name} {step_name}: {stored} isn't in the bucket of {classic:?}: {bounds:?}"
    );
    let native = ask(site.native, "", "");
    // Schema 6, at which it was recorded.
    let width = 2f64.powf(1.0 / 64.0);
    assert!(
        (native[0] / width..=native[2] * width).contains(&stored),
        "{phase_name} {step_name}: {stored} isn't within a bucket of {native:?}"
    );
}

/// The p95 of a step in the summary's part on a phase, in seconds.
fn shown_p95(summary: &str, phase: &str, step: &str) -> f64 {
    let part = summary.split(&format!("\n{phase}  ")).nth(1).unwrap_or_else(|| panic!("no {phase} in {summary}"));
    let line = part.lines().map(str::trim).find(|line| line.starts_with(&format!("{step} "))).expect("the step has a line");
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    // Step, requests, rate, p50, p95.
    let text = cells[4];
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap());
    let scale = match unit {
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => panic!("{text} in {line}"),
    };
    number.parse::<f64>().unwrap() * scale
}
