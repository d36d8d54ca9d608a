//! The dashboards and the rules against real Prometheus servers, one with native histograms and one without: every query
//! parses and has an answer where there must be one, names what there is, and the alert on a profile's p95 fires when the
//! backend stalls and clears after.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::dashboards::{self, Asked, dashboards, queries, unknown_names};
use support::http;
use support::program::Bench;
use support::promql;
use support::stack::Stack;

/// A phase of a minute whose p95 must be below 250 ms; a step that fails on purpose, so that panels of errors have something.
const PROFILE: &str = r#"
name: seen
defaults: {http: {base_url: "${BASE_URL}", timeout: 30s}, on_error: continue}
scenarios:
  visitors:
    flow:
      - http: {get: /api/streamers, name: streamers, query: {query: "streamer-{{ random_int(1, 9) }}"}, check: {found: response.status == 200}}
      - http: {get: /manga/popular, name: popular, check: {never: response.status == 204}}
      - group:
          name: voting
          flow:
            - http: {post: /api/votes, name: vote, headers: {idempotency-key: "{{ uuid() }}"}, json: {event: finale, weight: 1}}
      - http: {get: /healthz, name: broken, expect: {status: 204}}
  listeners:
    flow:
      - websocket:
          connect: builtin
          name: updates
          session:
            - send: {json: {n: "{{ iteration }}"}}
            - receive: {within: 20s, name: echo}
            - hold: 2s
phases:
  - {name: warm-up, duration: 2s, load: {visitors: {rate: 10/s, max_users: 200}}, judge: false}
  - name: steady
    duration: 70s
    load: {visitors: {rate: 20/s, max_users: 1000}, listeners: {users: 3}}
observe:
  exporters: [{name: redis, url: "${REDIS_EXPORTER_URL}"}, {name: postgres, url: "${POSTGRES_EXPORTER_URL}"}]
  counters: [{preset: redis}, {preset: postgres}]
slos:
  - {name: streamers, step: streamers, require: p95 < 250ms}
  - {name: cache, server: redis.hit_ratio, require: value > 1%}
schedule: continuous
"#;

/// Panels that may show nothing, and why.
const MAY_BE_EMPTY: &[(&str, &str)] = &[
    ("Drift of p95 against an hour ago", "wants an hour of load"),
    ("Arrivals that never started", "there is a user for each"),
    ("Failed connects by reason", "none fails"),
    ("Disconnects by reason", "none is lost"),
    ("Message latency", "the echo doesn't tell when it was sent"),
    ("Message latency p95", "the echo doesn't tell when it was sent"),
    ("Distribution of message latency", "the echo doesn't tell when it was sent"),
    ("Missed, repeated, reordered", "the echo isn't numbered"),
    ("Clock skew", "the echo doesn't tell when it was sent"),
    ("Deadlocks and temporary files", "none"),
    ("annotation Alerts", "none fires any more"),
    ("Alerts", "none fires any more"),
    ("Locks", "none may be held just then"),
];

/// How long what must come about may take on a machine that has much else to do.
const WITHIN: Duration = Duration::from_secs(120);

fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !ready() {
        assert!(Instant::now() < deadline, "{what}: not within two minutes");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The answer of an instant query: how many series it has.
fn series(port: u16, asked: &Asked) -> usize {
    let text: String = url::form_urlencoded::byte_serialize(asked.query.as_bytes()).collect();
    let (status, body) = http::get(port, &format!("/api/v1/query?query={text}")).expect("Prometheus answers");
    assert_eq!(status, 200, "{}\n{}\n{body}", asked.place, asked.query);
    let answer: Value = serde_json::from_str(&body).unwrap();
    answer["data"]["result"].as_array().unwrap().len()
}

fn signal(stack: &Stack, name: &str, signal: i32) {
    let pids = std::fs::read_to_string(stack.path().join("pids")).unwrap();
    let pid = pids.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()).expect("the backend runs");
    // SAFETY: kill() touches no memory.
    assert_eq!(unsafe { libc::kill(pid.parse().unwrap(), signal) }, 0);
}

fn firing(port: u16) -> bool {
    let query = r#"ALERTS{alertname="LoadSloBudgetBurns",alertstate="firing",slo="streamers"}"#;
    !promql::query(port, query, None).is_empty()
}

#[test]
fn names_are_in_the_catalogue() {
    let recorded: BTreeSet<String> = dashboards::rules("config/prometheus/rules/recording.yml").1;
    let mut all: Vec<Asked> = dashboards().iter().flat_map(|(name, dashboard)| queries(name, dashboard)).collect();
    for path in ["config/prometheus/rules/recording.yml", "config/prometheus/rules/alerts.yml"] {
        all.extend(dashboards::rules(path).0);
    }
    assert!(all.len() > 150, "{} queries", all.len());
    for asked in &all {
        assert_eq!(unknown_names(&asked.query, &recorded), Vec::<String>::new(), "{}\n{}", asked.place, asked.query);
    }
    // The check itself can fail.
    assert_eq!(unknown_names("sum(rate(load_nothing{a=\"b\"}[5m]))", &recorded), ["there is no metric load_nothing"]);
    assert_eq!(unknown_names("load_users{phase=~\"x\"}", &recorded), ["load_users has no label phase"]);
}

#[test]
fn every_panel_says_what_it_shows() {
    for (name, dashboard) in dashboards() {
        let mut titles = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().unwrap();
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{name}: {title}");
            assert!(!panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty(), "{name}: {title} has no unit");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            assert!(titles.insert(title.to_owned()), "{name} has two panels {title}");
        }
        assert_eq!(dashboard["editable"], false, "{name}");
        let variables: Vec<_> = dashboard["templating"]["list"].as_array().unwrap().iter().map(|v| v["name"].clone()).collect();
        assert_eq!(variables[..6], ["datasource", "job", "instance", "profile", "scenario", "phase"], "{name}");
    }
    let titles: BTreeSet<String> = dashboards()
        .iter()
        .flat_map(|(name, dashboard)| queries(name, dashboard))
        .map(|asked| asked.place.split(" / ").nth(1).unwrap().to_owned())
        .collect();
    for (title, _) in MAY_BE_EMPTY {
        assert!(titles.contains(*title), "{title} may be empty, and isn't there");
    }
}

#[test]
fn panels_show_a_run_and_the_alert_fires_while_the_backend_stalls() {
    let stack = Stack::up(&["--native"]);
    let (classic, native) = (stack.port("PROMETHEUS_URL"), stack.port("PROMETHEUS_NATIVE_URL"));
    let bench = Bench::new();
    let profile = bench.file("seen.yml", PROFILE);
    let variables: Vec<(String, String)> = ["BASE_URL", "REDIS_EXPORTER_URL", "POSTGRES_EXPORTER_URL"]
        .iter()
        .map(|name| ((*name).to_owned(), stack.variable(name).unwrap()))
        .collect();

    // The profile's own rules, where the stack's servers look for them.
    let rules = bench.command(&["rules", profile.to_str().unwrap()]).envs(variables.clone()).output().unwrap();
    assert!(rules.status.success(), "{}", String::from_utf8_lossy(&rules.stderr));
    std::fs::create_dir_all(stack.path().join("rules")).unwrap();
    std::fs::write(stack.path().join("rules/seen.yml"), rules.stdout).unwrap();
    for port in [classic, native] {
        let (status, body) = http::post(port, "/-/reload").expect("Prometheus reloads");
        assert_eq!(status, 200, "{body}");
    }

    let listen = format!("--web.listen-address=127.0.0.1:{}", stack.variable("LOAD_EXPORTER_PORT").unwrap());
    let mut command = bench.command(&["serve", &listen]);
    command.arg(&profile).envs(variables);
    let daemon = support::program::Running::start(command, bench.path());

    // Until there is enough to judge: a hundred requests in a minute.
    let enough = "sum(increase(load_requests_total{step=\"streamers\",phase=\"steady\"}[1m])) > 120";
    wait("load", || !promql::query(classic, enough, None).is_empty());
    assert!(!firing(classic) && !firing(native), "all is well so far");

    signal(&stack, "backend", libc::SIGSTOP);
    std::thread::sleep(Duration::from_secs(8));
    signal(&stack, "backend", libc::SIGCONT);
    wait("the alert fires", || firing(classic) && firing(native));

    let all: Vec<Asked> = dashboards().iter().flat_map(|(name, dashboard)| queries(name, dashboard)).collect();
    for port in [classic, native] {
        for asked in &all {
            let title = asked.place.split(" / ").nth(1).unwrap();
            if MAY_BE_EMPTY.iter().any(|(may, _)| *may == title) {
                series(port, asked);
            } else {
                wait(&format!("{} has data\n{}", asked.place, asked.query), || series(port, asked) > 0);
            }
        }
        for path in ["config/prometheus/rules/recording.yml", "config/prometheus/rules/alerts.yml"] {
            dashboards::rules(path).0.iter().for_each(|asked| {
                series(port, asked);
            });
        }
        let (_, body) = http::get(port, "/api/v1/rules").expect("Prometheus answers");
        let answer: Value = serde_json::from_str(&body).unwrap();
        for group in answer["data"]["groups"].as_array().unwrap() {
            for rule in group["rules"].as_array().unwrap() {
                assert_ne!(rule["health"], "err", "{}: {}", rule["name"], rule["lastError"]);
            }
        }
    }
    wait("the alert clears", || !firing(classic) && !firing(native));
    daemon.signal(15);
    assert_eq!(daemon.wait().code, Some(0));
}
