//! What must not pass: errors that no request shows, SLOs that nobody judged, users that never got past their start. And what is
//! no error: what people write in another way, and what is asked of a run from outside.

use std::io::Write;

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::http;
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, accounts_hold, count, metric, named};
use serde_json::{Value, json};

/// A profile on the built-in target.
fn profile(rest: &str) -> String {
    format!("name: p\ndefaults: {{http: {{base_url: \"${{URL:-builtin}}\"}}}}\n{rest}\n")
}

/// The SLOs of a phase by name, with whether they were met, and why that is not known.
fn slos(phase: &Value) -> Vec<(&str, &str, &Value, &Value)> {
    phase["slos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slo| (slo["name"].as_str().unwrap(), slo["requirement"].as_str().unwrap(), &slo["met"], &slo["reason"]))
        .collect()
}

#[test]
fn a_step_that_sends_nothing_and_cannot_be_done_is_an_error() {
    let bench = Bench::new();
    let ended = bench.run(&profile(
        "scenarios:
  a:
    flow:
      - http: {get: /, name: home, extract: {nothing: $.nothing}}
      - {set: {total: nothing + 1}, on_error: continue}
      - {for_each: {in: nothing, as: one, flow: {set: {x: 1}}}, on_error: continue}
      - eventually: {within: 50ms, every: 20ms, flow: {http: {get: /, name: wait, check: {never: response.status == 1}}}}
phases: [{name: one, duration: 60s, load: {a: {users: 1, iterations: 10}}}]
slos:
  - {name: all, require: [errors < 1%, errors(template) < 1%, errors(expect) < 1%, count(errors) <= 29, success > 99%]}
  - {name: exact, require: [count(errors) == 30]}
  - {name: home, step: home, require: [errors == 0%]}",
    ));
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    accounts_hold(&record);
    let phase = &record["phases"][0];
    assert_eq!(phase["scenarios"][0]["step_errors"], json!({"expect": 10, "template": 20}));
    for (name, requirement, met, reason) in slos(phase) {
        assert_eq!(*met, json!(name != "all"), "{name}: {requirement}: {reason}");
    }
    assert!(ended.out.contains("a: 30 that send nothing could not be done (expect: 10, template: 20)"), "{}", ended.out);
}

#[test]
fn a_verify_that_checks_nothing_proves_nothing() {
    let bench = Bench::new();
    // Nothing was remembered: where it should have been found there is nothing.
    let ended = bench.run(&profile(
        "scenarios: {a: {flow: [{http: {get: /, name: home, extract: {id: $.no.such.id}}}, {remember: {ids: \"{{ id }}\"}, if: id is defined}]}}
phases: [{name: one, duration: 60s, load: {a: {users: 1, iterations: 2}}}]
verify: {flow: {for_each: {in: ids, as: id, flow: {http: {get: \"/{{ id }}\", name: stored, check: {there: response.ok}}}}}}",
    ));
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("none of its checks was made"), "{}", ended.out);
}

#[test]
fn a_phase_in_which_connections_only_stay_up_can_be_judged() {
    let bench = Bench::new();
    let ended = bench.run(&profile(
        "scenarios:
  held: {flow: {websocket: {connect: builtin, name: held, session: hold}}}
  plain: {flow: [{http: {get: /, name: home}}, {think: 20ms}]}
phases:
  - {name: connect, duration: 400ms, load: {held: {users: 3}}}
  - {name: stay, duration: 400ms, load: {held: {users: 3}}}
  - {name: other, duration: 400ms, load: {plain: {users: 1}}}
slos:
  - {name: kept, protocol: websocket, require: count(disconnects) == 0}
  - {name: opened, of: connect, protocol: websocket, over: run, require: [p95 < 5s, success == 100%]}
  - {name: lasted, of: session, over: run, require: p95 < 60s}",
    ));
    let record = bench.record();
    let verdicts: Vec<(&str, &str)> = record["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| (phase["name"].as_str().unwrap(), phase["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(verdicts, [("connect", "pass"), ("stay", "pass"), ("other", "none")], "{}\n{}", ended.out, ended.err);
}

#[test]
fn no_slo_passes_that_was_judged_nowhere() {
    for (slo, reported) in [
        ("{name: j, scenario: idle, require: p50 < 1us}", true),
        ("{name: j, phase: warm, require: p50 < 1us}", true),
        ("{name: j, require: dropped < 1%}", true),
        ("{name: j, scenario: idle, target: p50 < 1us}", false),
        ("{name: j, each: step, require: errors == 0%}", false),
    ] {
        let bench = Bench::new();
        let ended = bench.run(&profile(&format!(
            "scenarios:\n  a: {{flow: {{http: {{get: /, name: home}}}}}}\n  idle: {{flow: {{http: {{get: /, name: idle}}}}}}
setup: {{flow: {{http: {{get: /, name: first}}}}}}
phases:
  - {{name: warm, duration: 60s, load: {{a: {{users: 1, iterations: 1}}}}, judge: false}}
  - {{name: one, duration: 60s, load: {{a: {{users: 1, iterations: 20}}}}}}
slos: [{slo}]"
        )));
        let nowhere = "j: no judged phase loads what it is about.";
        assert_eq!(ended.out.contains(nowhere), reported, "{slo}: {}", ended.out);
        if reported {
            assert_eq!(ended.code, Some(3), "{slo}: {}", ended.out);
            assert!(bench.record()["reasons"].as_array().unwrap().contains(&json!(nowhere)), "{slo}");
        }
    }
}

#[test]
fn dropped_is_judged_where_there_are_arrivals() {
    let bench = Bench::new();
    bench.run(&profile(
        "scenarios: {a: {flow: {http: {get: /, name: home}}}}
phases:
  - {name: closed, duration: 60s, load: {a: {users: 1, iterations: 20}}}
  - {name: open, duration: 500ms, load: {a: {rate: 40/s, max_users: 40}}}
slos: [{name: j, require: [dropped < 100%, errors == 0%]}]",
    ));
    let record = bench.record();
    let judged = |phase: usize| slos(&record["phases"][phase]).iter().map(|slo| slo.1).collect::<Vec<_>>();
    assert_eq!(judged(0), ["errors == 0%"]);
    assert_eq!(judged(1), ["dropped < 100%", "errors == 0%"]);
}

#[test]
fn a_run_in_which_nobody_got_past_the_start_proves_nothing() {
    let refuses = Hostile::start(|_, stream| {
        let _ = stream.write_all(answer("500 Internal Server Error", "{}").as_bytes());
        Then::Keep
    });
    let bench = Bench::new();
    let text = profile(
        "scenarios: {a: {start: {http: {post: /login, name: login}}, flow: {http: {get: /, name: home}}}}
phases: [{name: one, duration: 500ms, load: {a: {users: 2}}, drain: 1s}]
slos: [{name: home, step: home, require: errors < 1%}]",
    );
    bench.file("p.yml", &text);
    let ended = bench.run_files(&["p.yml"], &["--set", &format!("URL={}", refuses.url())]);
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("No iteration began: no user got past its `start`."), "{}", ended.out);
}

#[test]
fn what_can_be_written_in_two_ways_is_read_in_both() {
    let bench = Bench::new();
    let ended = bench.run(&profile(
        "metrics: {one_total: {type: counter, help: one}, two_total: {type: counter, help: two}}
scenarios:
  a:
    flow:
      - choose:
          - {flow: {http: {get: /a, name: either}}}
          - {flow: {http: {get: /b, name: either}}}
      - count: {one_total: user + 2, two_total: \"{{ user + 3 }}\"}
      - websocket: {connect: \"builtin\", name: socket, session: [{send: hello}, receive, close]}
phases: [{name: one, duration: 60s, load: {a: {users: 1, iterations: 10}}}]",
    ));
    assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    let phase = &record["phases"][0];
    assert_eq!(count(&named(&phase["steps"], "step", "either")["requests"]), 10, "steps of one name are one");
    assert_eq!(count(&named(&phase["steps"], "step", "receive")["requests"]), 10);
    let total = |name: &str| named(&phase["metrics"], "name", name)["value"].as_f64();
    assert_eq!((total("one_total"), total("two_total")), (Some(20.0), Some(30.0)), "{:#}", phase["metrics"]);
}

#[test]
fn a_run_ends_when_it_is_asked_to_over_http_and_shows_from_the_beginning_what_it_is_judged_by() {
    let bench = Bench::new();
    bench.file(
        "p.yml",
        &profile(
            "scenarios: {a: {flow: [{http: {get: /, name: home}}, {think: 20ms}]}}
phases: [{name: long, duration: 80s, load: {a: {users: 1}}}]
slos: [{name: j, require: p95 < 2s}]",
        ),
    );
    let port = free_port();
    let address = format!("--web.listen-address=127.0.0.1:{port}");
    let mut running = Running::start(bench.command(&["run", &address, "--web.enable-lifecycle", "p.yml"]), bench.path());
    let page = running.until("a request", |_| {
        let (_, page) = http::get(port, "/metrics")?;
        (metric(&page, "load_requests_total", &[("step", "home")])? > 0.0).then_some(page)
    });
    assert_eq!(metric(&page, "load_slo_objective", &[("slo", "j"), ("phase", "long")]), Some(2.0));
    assert_eq!(metric(&page, "load_exporter_profile_last_reload_successful", &[]), Some(1.0));
    assert_eq!(http::post(port, "/-/reload").unwrap().0, 500);
    assert_eq!(http::post(port, "/-/quit").unwrap().0, 200);
    let ended = running.wait();
    assert_eq!(ended.code, Some(130), "{}\n{}", ended.out, ended.err);
    assert_eq!(bench.record()["reasons"][0], "The run was stopped before its end.");

    let wrong = bench.command(&["run", "--web.listen-address=foo", "p.yml"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("HOST:PORT"));
}
