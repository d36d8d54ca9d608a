//! The dashboards and the rules against real Prometheus servers, one with native histograms and one without: every query
//! parses and has an answer where there must be one, names what there is, and the alert on a profile's p95 fires when the
//! backend stalls and clears after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::support::dashboards::{self, Asked, dashboards, queries, unknown_names};
use crate::support::http;
use crate::support::program::Bench;
use crate::support::promql;
use crate::support::record;
use crate::support::stack::Stack;
use regex::Regex;
use serde_json::Value;

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
  - {name: load, step: streamers, require: rate > 1/s}
schedule: continuous
"#;

/// Panels that may show nothing, and why.
const MAY_BE_EMPTY: &[(&str, &str)] = &[
    ("Drift of p95 against an hour ago", "wants an hour of load"),
    ("Arrivals that never started", "there is a user for each"),
    ("Failed connects by reason", "none fails"),
    ("Disconnects by reason", "none is lost"),
    ("annotation Alerts", "none fires any more"),
    ("Alerts", "none fires any more"),
    ("Locks", "none may be held just then"),
];

/// Of these the profile has nothing: its messages have no number and no time, no step but requests fails, and nothing is uploaded.
const ABSENT: &[&str] = &[
    "load_message_latency_seconds",
    "load_message_clock_skew_total",
    "load_message_silent_seconds_total",
    "load_messages_missed_total",
    "load_messages_repeated_total",
    "load_messages_reordered_total",
    "load_messages_unparsed_total",
    "load_step_errors_total",
    "load_upload_bytes_per_second",
    "load_download_bytes_per_second",
    "load_processing_duration_seconds",
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

/// What timed out is orange and what was cut off is purple, as docs/monitoring.md has it, and nothing else is.
#[test]
fn a_colour_means_one_thing() {
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            let field = &panel["fieldConfig"];
            for rule in field["overrides"].as_array().into_iter().flatten() {
                let (matcher, own) = (rule["matcher"]["options"].as_str().unwrap(), rule["properties"].to_string());
                for (colour, meaning) in [("orange", "timeout"), ("purple", "interrupted")] {
                    let coloured = own.contains(&format!("{colour}\""));
                    assert!(!coloured || matcher.contains(meaning), "{name}: {} shows {matcher} {colour}", panel["title"]);
                }
            }
            for colour in ["orange", "purple"] {
                let defaults = field["defaults"].to_string();
                assert!(!defaults.contains(&format!("{colour}\"")), "{name}: {} has a threshold in {colour}", panel["title"]);
            }
        }
    }
}

/// A panel turns red where the ticket on the same level is raised.
#[test]
fn levels_turn_red_where_tickets_are_raised() {
    for (title, alert) in [("Redis memory", "LoadRedisMemoryNearLimit"), ("PostgreSQL connections", "LoadPostgresPoolNearLimit")]
    {
        let rules = dashboards::rules("config/prometheus/rules/alerts.yml").0;
        let rule = rules.iter().find(|asked| asked.place.ends_with(alert)).unwrap();
        let (_, server) = dashboards().into_iter().find(|(name, _)| name == "server").unwrap();
        let panel = server["panels"].as_array().unwrap().iter().find(|panel| panel["title"] == title).unwrap();
        let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
        let red = steps.iter().find(|step| step["color"] == "red").unwrap();
        assert!(rule.query.ends_with(&format!("> {}", red["value"])), "{title}: {red}, {}", rule.query);
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
    let daemon = crate::support::program::Running::start(command, bench.path());

    // Until there is enough to judge: a hundred requests in a minute.
    let enough = "sum(increase(load_requests_total{step=\"streamers\",phase=\"steady\"}[1m])) > 120";
    wait("load", || !promql::query(classic, enough, None).is_empty());
    assert!(!firing(classic) && !firing(native), "all is well so far");

    signal(&stack, "backend", libc::SIGSTOP);
    // Long enough for what is recorded over hours, too, which is looked at every 15 s.
    std::thread::sleep(Duration::from_secs(20));
    signal(&stack, "backend", libc::SIGCONT);
    wait("the alert fires", || firing(classic) && firing(native));

    let all: Vec<Asked> = dashboards().iter().flat_map(|(name, dashboard)| queries(name, dashboard)).collect();
    let legends: Vec<(Asked, String)> =
        dashboards().iter().flat_map(|(name, dashboard)| dashboards::legends(name, dashboard)).collect();
    let in_legend = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    assert!(legends.len() > 40, "{} legends", legends.len());
    for port in [classic, native] {
        let mut missing = Vec::new();
        for asked in &all {
            let title = asked.place.split(" / ").nth(1).unwrap();
            let absent = ABSENT.iter().any(|metric| asked.query.contains(metric));
            if absent || MAY_BE_EMPTY.iter().any(|(may, _)| *may == title) {
                series(port, asked);
            } else {
                missing.push(asked);
            }
        }
        let deadline = Instant::now() + WITHIN;
        while !missing.is_empty() {
            missing.retain(|asked| series(port, asked) == 0);
            assert!(Instant::now() < deadline, "no data within two minutes: {missing:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        for (asked, legend) in &legends {
            for (labels, _) in promql::labelled(port, &asked.query, None) {
                let blank = in_legend.captures_iter(legend).find(|found| labels[&found[1]].as_str().is_none_or(str::is_empty));
                assert!(blank.is_none(), "{}: {legend} of {labels}", asked.place);
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

/// A run that has something of each: warm-up, failed requests, arrivals that nobody takes, messages, a target's counters.
const FIGURES: &str = r#"
name: figures
defaults: {http: {base_url: builtin, timeout: 300ms}, on_error: continue}
scenarios:
  orders:
    flow:
      - http: {post: "/delay/{{ random_int(2, 60) }}ms", name: order}
      - choose:
          - {weight: 90, flow: [{http: {get: /status/200, name: pay}}]}
          - {weight: 5, flow: [{http: {get: /status/503, name: pay}}]}
          - {weight: 5, flow: [{http: {get: /delay/2s, name: pay}}]}
  rooms:
    flow:
      - websocket: {connect: builtin, name: echo, session: [{repeat: {times: 3, flow: [{send: hello}, {receive: {within: 5s, name: reply}}]}}]}
      - think: 200ms
phases:
  - {name: warm-up, duration: 2s, judge: false, load: {orders: {rate: 10/s, max_users: 10}}}
  - {name: steady, duration: 5s, load: {orders: {rate: 20/s, max_users: 20}, rooms: {users: 2}}}
  - {name: surge, duration: 5s, load: {orders: {rate: 60/s, max_users: 2}, rooms: {users: 2}}}
observe:
  exporters: [{name: redis, url: "${REDIS_EXPORTER_URL}"}, {name: postgres, url: "${POSTGRES_EXPORTER_URL}"}]
  counters: [{preset: redis}, {preset: postgres}]
slos:
  - {name: latency, require: [p95 < 250ms, errors < 50%]}
  - {name: orders, scenario: orders, require: [dropped < 1%, "count(requests) > 1"]}
schedule: once
"#;

/// What the panels show of the time from when the daemon began to one of its pages.
struct Shown {
    port: u16,
    /// The page's time (Unix seconds).
    at: f64,
    span: String,
}

impl Shown {
    /// A panel's columns: the labels of each row, and its value.
    fn panel(&self, dashboard: &str, title: &str) -> BTreeMap<String, Vec<(Value, f64)>> {
        let columns = dashboards::columns(dashboard, title, &self.span).into_iter();
        columns.map(|(column, query)| (column, promql::labelled(self.port, &query, Some(self.at)))).collect()
    }

    fn stat(&self, dashboard: &str, title: &str) -> f64 {
        let mut all = self.panel(dashboard, title).into_values().flatten().map(|(_, value)| value);
        all.next().unwrap_or_else(|| panic!("{title} shows nothing"))
    }
}

/// The value of the row that has these labels.
fn cell(rows: &[(Value, f64)], labels: &[(&str, &str)]) -> f64 {
    let has = |row: &Value| labels.iter().all(|(name, value)| row[*name] == *value);
    let found: Vec<f64> = rows.iter().filter(|(row, _)| has(row)).map(|(_, value)| *value).collect();
    assert_eq!(found.len(), 1, "{labels:?} in {rows:?}");
    found[0]
}

fn near(shown: f64, recorded: f64, what: &str) {
    assert!((shown - recorded).abs() <= recorded.abs() * 1e-9, "{what}: {shown} is shown, {recorded} in run.json");
}

#[test]
fn figures_are_those_of_the_run() {
    let stack = Stack::up(&["--only", "redis,postgres,redis-exporter,postgres-exporter,prometheus"]);
    let (port, bench) = (stack.port("PROMETHEUS_URL"), Bench::new());
    let variables = ["REDIS_EXPORTER_URL", "POSTGRES_EXPORTER_URL"].map(|name| (name, stack.variable(name).unwrap()));
    let listen = format!("--web.listen-address=127.0.0.1:{}", stack.variable("LOAD_EXPORTER_PORT").unwrap());
    let mut command = bench.command(&["serve", &listen]);
    command.arg(bench.file("figures.yml", FIGURES)).envs(variables);
    let daemon = crate::support::program::Running::start(command, bench.path());
    promql::until(port, "load_exporter_build_info");
    let begun = Instant::now();
    promql::until(port, "sum(load_verdict) == 1");
    // A page that was read after it, so that whatever came with the verdict is on it.
    let read = "max(timestamp(load_verdict))";
    let before = promql::value(port, read, None);
    promql::until(port, &format!("{read} > {before}"));
    let at = promql::value(port, read, None);
    let shown = Shown { port, at, span: format!("{}s", begun.elapsed().as_secs() + 60) };
    let run = bench.record();
    let phases = record::list(&run, "phases");
    let sum = |of: &dyn Fn(&Value) -> u64| phases.iter().map(of).sum::<u64>() as f64;
    let failed = |step: &Value| step["errors"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    let errors = |phase: &Value| record::list(phase, "steps").iter().map(failed).sum::<u64>();
    let of_scenarios =
        |phase: &Value, key: &str| record::list(phase, "scenarios").iter().map(|all| record::whole(all, key)).sum::<u64>();

    let (requests, dropped) = (sum(&record::requests), sum(&|phase| of_scenarios(phase, "dropped")));
    assert!(sum(&errors) > 0.0 && dropped > 0.0, "something fails, and something is dropped");
    near(shown.stat("overview", "Requests"), requests, "requests");
    near(shown.stat("overview", "Errors"), sum(&errors) / requests, "errors");
    near(shown.stat("generator", "Dropped arrivals"), dropped / sum(&|phase| of_scenarios(phase, "due")), "dropped");
    near(shown.stat("overview", "State"), 5.0, "the verdict");
    assert_eq!(run["verdict"], "fail");

    let table = shown.panel("overview", "Figures of each phase");
    let of_target = shown.panel("server", "What each phase added");
    for phase in phases {
        let name = phase["name"].as_str().unwrap();
        let shows = |column: &str| cell(&table[column], &[("phase", name)]);
        let requests = record::requests(phase) as f64;
        near(shows("requests"), requests, name);
        near(shows("errors"), errors(phase) as f64 / requests, name);
        near(shows("arrivals"), of_scenarios(phase, "due") as f64, name);
        near(shows("dropped"), of_scenarios(phase, "dropped") as f64, name);
        near(shows("judged"), f64::from(u8::from(phase["judged"] == true)), name);
        for row in record::list(phase, "counters").iter().filter(|row| row["delta"].is_number()) {
            let own = |(label, value): (&String, &Value)| (format!("target_{label}"), value.as_str().unwrap().to_owned());
            let labels: Vec<_> = row["labels"].as_object().unwrap().iter().map(own).collect();
            let mut labels: Vec<(&str, &str)> = labels.iter().map(|(label, value)| (&**label, &**value)).collect();
            labels.extend([
                ("phase", name),
                ("source", row["source"].as_str().unwrap()),
                ("metric", row["metric"].as_str().unwrap()),
            ]);
            near(cell(&of_target["delta"], &labels), row["delta"].as_f64().unwrap(), &format!("{labels:?}"));
        }
    }
    let table = shown.panel("requests", "Steps");
    for name in ["order", "pay", "echo", "reply"] {
        let steps = || phases.iter().flat_map(|phase| record::list(phase, "steps")).filter(|step| step["step"] == name);
        let requests: u64 = steps().map(|step| record::whole(step, "requests")).sum();
        near(cell(&table["requests"], &[("step", name)]), requests as f64, name);
        near(cell(&table["errors"], &[("step", name)]), steps().map(failed).sum::<u64>() as f64 / requests as f64, name);
        // A quantile is in the same classic bucket.
        let longest = steps().map(|step| step["response"]["max"].as_f64().unwrap()).fold(0.0, f64::max);
        let least = steps().map(|step| step["response"]["p50"].as_f64().unwrap()).fold(f64::INFINITY, f64::min);
        let p99 = cell(&table["p99"], &[("step", name)]);
        assert!(least / 2.0 <= p99 && p99 <= longest * 2.0, "{name}: {least} / 2 <= {p99} <= {longest} * 2");
    }
    let table = shown.panel("overview", "Requirements");
    let slos = record::list(&run, "slos").iter().chain(phases.iter().flat_map(|phase| record::list(phase, "slos")));
    let mut judged = 0;
    for slo in slos.filter(|slo| slo["phase"].is_string()) {
        let [phase, requirement] = ["phase", "requirement"].map(|key| slo[key].as_str().unwrap());
        let column = ["time", "share", "value"][["seconds", "ratio"].iter().position(|unit| slo["unit"] == *unit).unwrap_or(2)];
        let labels = [("slo", slo["name"].as_str().unwrap()), ("phase", phase), ("requirement", requirement)];
        near(cell(&table[column], &labels), slo["value"].as_f64().unwrap(), requirement);
        near(
            cell(&table["result"], &labels),
            [2.0, 0.0, 1.0][["fail", "pass"].iter().position(|v| slo["verdict"] == *v).unwrap_or(2)],
            requirement,
        );
        judged += 1;
    }
    assert!(judged >= 8, "{judged}");
    daemon.signal(15);
    daemon.wait();
}
