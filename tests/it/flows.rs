//! Flows within flows as the target and whoever reads the results see them: each kind of step does what it says exactly so often,
//! on /metrics and in run.json.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::program::{Bench, accounts_hold, count, metric, named};
use serde_json::{Value, json};

/// A target that counts what it is asked: each path by itself, and things that are made and deleted.
struct Target {
    server: Hostile,
    asked: Arc<Mutex<BTreeMap<String, u64>>>,
    things: Arc<Mutex<BTreeSet<u64>>>,
}

impl Target {
    fn start() -> Self {
        let (asked, things) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(Mutex::new(BTreeSet::new())));
        let (log, made) = (asked.clone(), things.clone());
        let server = Hostile::start(move |request, stream| {
            let method = request.head.split(' ').next().unwrap();
            let times = {
                let mut asked = log.lock().unwrap();
                let times: &mut u64 = asked.entry(format!("{method} {}", request.path)).or_default();
                *times += 1;
                *times
            };
            let (status, body) = match (method, request.path.as_str()) {
                ("POST", "/things") => {
                    made.lock().unwrap().insert(request.number);
                    ("201 Created", json!({"id": request.number}))
                }
                ("GET", "/things") => ("200 OK", json!({"count": made.lock().unwrap().len(), "asked": times})),
                ("DELETE", path) => {
                    let id = path.rsplit('/').next().and_then(|id| id.parse::<u64>().ok());
                    made.lock().unwrap().remove(&id.unwrap());
                    ("200 OK", json!({}))
                }
                ("GET", "/gone") => ("404 Not Found", json!({})),
                _ => ("200 OK", json!({"asked": times})),
            };
            let _ = stream.write_all(answer(status, &body.to_string()).as_bytes()); // the client may be gone
            Then::Keep
        });
        Self { server, asked, things }
    }

    /// How often paths that begin so were asked for.
    fn asked(&self, what: &str) -> u64 {
        self.asked.lock().unwrap().iter().filter(|(path, _)| path.starts_with(what)).map(|(_, times)| times).sum()
    }
}

/// Four users with ten iterations each.
const SHOPPERS: &str = "
  shoppers:
    flow:
      - choose:
          - {weight: 70, flow: [{http: {get: /list, name: list}}]}
          - {weight: 20, flow: [{http: {get: /search, name: search}}]}
          - {weight: 10, flow: []}
      - maybe: {chance: 100%, if: iteration % 2 == 0, flow: [{http: {get: /even, name: even}}]}
      - maybe: {chance: 0%, flow: [{http: {get: /never, name: never}}]}
      - set: {n: 2}
      - repeat: {times: \"{{ n }}\", flow: [{repeat: {times: 2, flow: [{http: {get: \"/page/{{ index }}\", name: page}}]}}]}
      - repeat: {while: index < 3, every: 1ms, flow: [{count: {turns_total: 1}}]}
      - for_each:
          in: \"['red', 'green', 'blue']\"
          as: colour
          flow: [{http: {get: \"/colour/{{ colour }}/{{ index }}\", name: colour}}]
      - group:
          name: checkout
          flow:
            - http: {get: /cart, name: cart}
            - group: {name: pay, flow: [{http: {get: /pay, name: pay}}]}
              if: iteration < 5
      - group: {name: failing, flow: [{http: {get: /gone, name: gone}}, {http: {get: /behind, name: behind}}]}
        on_error: continue
      - call: callee
      - eventually:
          within: 60s
          every: 1ms
          flow:
            - http: {get: \"/job/{{ user }}/{{ iteration }}\", name: job, check: {done: response.json.asked >= 3}}
  callee:
    defaults: {http: {headers: {x-from: callee}}}
    flow: [{http: {get: /called, name: called}}]
";

const REST: &str = "
metrics: {turns_total: {type: counter}}
setup:
  flow:
    - repeat:
        times: 30
        users: 6
        flow:
          - http: {post: /things, json: {n: \"{{ index }}\"}, expect: {status: 201}, extract: {id: $.id}, name: make}
          - remember: {things: \"{{ id }}\"}
phases: [{name: one, duration: 60s, load: {shoppers: {users: 4, iterations: 10}}}]
verify:
  flow:
    - eventually:
        within: 60s
        every: 1ms
        flow: [{http: {get: /things, check: {all: response.json.count == 30, at_the_fourth: response.json.asked >= 4}, name: look}}]
teardown:
  flow: [{for_each: {in: things, as: id, users: 5, flow: [{http: {delete: \"/things/{{ id }}\", name: delete}}]}}]
slos:
  - {name: whole, of: group, group: checkout, require: [p95 < 60s, errors < 1%]}
  - {name: inside, group: checkout, require: count(requests) >= 60}
  - {name: each, of: group, each: group, require: p95 < 60s}
  - {name: failing, of: group, group: failing, require: errors < 1%}
";

/// How often each step is done in all: four users, ten iterations.
const STEPS: [(&str, u64); 12] = [
    ("list", 28),
    ("search", 8),
    ("even", 20),
    ("never", 0),
    ("page", 160),
    ("colour", 120),
    ("cart", 40),
    ("pay", 20),
    ("gone", 40),
    ("behind", 0),
    ("called", 40),
    ("job", 120),
];

/// What was measured is exact, and so is what is made of it.
fn slos_hold(slos: &[Value]) {
    let shown = |slo: &Value| {
        let reason = slo["reason"].as_str().unwrap_or_default();
        match (slo["met"].as_bool(), slo["verdict"].as_str().unwrap()) {
            (Some(true), "pass") => "met",
            (Some(false), "fail") => "breached",
            (None, "inconclusive") if reason.contains("no data") => "no data",
            _ => "neither",
        }
    };
    // The groups' requests are their steps'. `failing` is an error each time, and errors have no latency.
    for (name, requirement, value, holds) in [
        ("whole", "p95 < 60s", None, "met"),
        ("whole", "errors < 1%", Some(0.0), "met"),
        ("inside", "count(requests) >= 60", Some(60.0), "met"),
        ("each/checkout", "p95 < 60s", None, "met"),
        ("each/checkout/pay", "p95 < 60s", None, "met"),
        ("each/failing", "p95 < 60s", None, "no data"),
        ("failing", "errors < 1%", Some(1.0), "breached"),
    ] {
        let found = slos.iter().find(|slo| slo["name"] == name && slo["requirement"] == requirement);
        let slo = found.unwrap_or_else(|| panic!("no {name}: {requirement} in {slos:#?}"));
        assert_eq!(shown(slo), holds, "{slo:#}");
        match (slo["value"].as_f64(), value) {
            (Some(measured), Some(value)) => assert_eq!(measured, value, "{slo:#}"),
            (Some(measured), None) => assert!(measured > 0.0 && measured < 60.0, "{slo:#}"),
            (None, _) => assert_eq!(holds, "no data", "{slo:#}"),
        }
    }
    assert_eq!(slos.len(), 7, "{slos:#?}");
}

#[test]
fn every_kind_of_step_is_done_exactly_as_often_as_it_says() {
    let target = Target::start();
    let bench = Bench::new();
    let profile =
        format!("name: flows\ndefaults: {{http: {{base_url: \"{}\"}}}}\nscenarios:{SHOPPERS}{REST}", target.server.url());
    bench.file("profile.yml", &profile);
    let mut serve = bench.serve(&["profile.yml"]);
    serve.until("a record", |_| (bench.records().len() == 1).then_some(()));
    let record = bench.record();
    let page = serve.page("/metrics");
    serve.stop();
    let phase = named(&record["phases"], "name", "one");
    accounts_hold(&record);

    for (step, times) in STEPS {
        let of_record = named(&phase["steps"], "step", step);
        assert_eq!(count(&of_record["requests"]), times, "{step}: {phase:#}");
        let labels = [("scenario", "shoppers"), ("phase", "one"), ("step", step)];
        assert_eq!(metric(&page, "load_requests_total", &labels), Some(times as f64), "{step}");
    }
    // What the target saw is what was counted.
    for (path, times) in [
        ("GET /page/0", 80),
        ("GET /page/1", 80),
        ("GET /colour/green/1", 40),
        ("GET /job/3/9", 3),
        ("GET /job/", 120),
        ("GET /things", 4),
        ("POST /things", 30),
        ("DELETE /things/", 30),
    ] {
        assert_eq!(target.asked(path), times, "{path}");
    }
    assert!(target.things.lock().unwrap().is_empty());
    assert_eq!(metric(&page, "turns_total", &[("scenario", "shoppers")]), Some(120.0));

    // Of 120 attempts' checks the 40 last ones' count, and they hold.
    let check = named(&phase["checks"], "check", "done");
    assert_eq!((count(&check["total"]), count(&check["failures"])), (40, 0), "{check:#}");
    assert_eq!(metric(&page, "load_checks_total", &[("check", "done"), ("phase", "one")]), Some(40.0));
    assert_eq!(metric(&page, "load_check_failures_total", &[("check", "done"), ("phase", "one")]), Some(0.0));

    let of_group = |group: &str, outcome: &str| {
        let labels = [("group", group), ("outcome", outcome), ("scenario", "shoppers"), ("phase", "one")];
        metric(&page, "load_group_duration_seconds_count", &labels).unwrap_or(0.0)
    };
    for (group, ok, error) in [("checkout", 40, 0), ("checkout/pay", 20, 0), ("failing", 0, 40)] {
        assert_eq!((of_group(group, "ok"), of_group(group, "error")), (f64::from(ok), f64::from(error)), "{group}");
        let outcomes = &named(&phase["groups"], "group", group)["outcomes"];
        let of_record = |outcome: &str| outcomes.get(outcome).map_or(0, count);
        assert_eq!((of_record("ok"), of_record("error")), (ok as u64, error as u64), "{outcomes:#}");
    }
    // The label `group` on the steps inside; the groups' failures are their steps', and iterations go on.
    assert_eq!(named(&phase["steps"], "step", "pay")["group"], "checkout/pay");
    assert_eq!(metric(&page, "load_requests_total", &[("step", "cart"), ("group", "checkout")]), Some(40.0));
    let shoppers = named(&phase["scenarios"], "scenario", "shoppers");
    assert_eq!((count(&shoppers["iterations"]), count(&shoppers["iterations_failed"])), (40, 0), "{shoppers:#}");

    slos_hold(phase["slos"].as_array().unwrap());
    assert_eq!(record["verdict"], "fail");
}

#[test]
fn what_has_no_sample_and_fails_is_reported_in_the_log() {
    let bench = Bench::new();
    let profile = "name: broken
defaults: {http: {base_url: builtin}}
scenarios:
  a:
    flow:
      - http: {get: /, name: home, check: {nowhere: response.json.nowhere.deeper == 1}, extract: {nothing: $.nothing}}
      - set: {total: nothing + 1}
phases: [{name: p, duration: 5s, load: {a: {users: 1, iterations: 20}}}]
";
    let path = bench.file("broken.yml", profile);
    let lines =
        |err: &str, what: &str| -> Vec<String> { err.lines().filter(|line| line.contains(what)).map(str::to_owned).collect() };
    let run = |arguments: &[&str]| {
        let mut command = bench.command(&["run", "--web.listen-address=127.0.0.1:0"]);
        let output = command.args(arguments).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    let err = run(&[]);
    let broken = lines(&err, "a step could not be done");
    assert!(broken.len() == 1 && broken[0].contains("nothing") && broken[0].contains("phase=p"), "once, of twenty: {err}");
    assert!(lines(&err, "a check could not be evaluated").is_empty(), "{err}");
    let err = run(&["--log.level=debug"]);
    let unclear = lines(&err, "a check could not be evaluated");
    assert!(unclear.len() == 1 && unclear[0].contains("check=nowhere"), "{err}");
}
