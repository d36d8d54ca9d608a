//! `run.json` and `/metrics` say the same of a run in which everything happens that can: errors of every kind, drops, waits, preparations,
//! ends of drains, phases that are held.

use crate::support::books::Books;
use crate::support::process::free_port;
use crate::support::program::{Bench, count, named};

const EVERYTHING: &str = "name: everything
defaults: {http: {base_url: builtin, timeout: 10s}}
scenarios:
  works: {flow: [{http: {get: /, name: fine}}, {think: 5ms}]}
  fails:
    flow:
      - choose:
          - {weight: 1, flow: [{http: {get: /status/503, name: broken}}]}
          - {weight: 1, flow: [{http: {get: \"http://127.0.0.1:${AWAY}/\", name: away}}]}
          - {weight: 1, flow: [{http: {get: /delay/200ms, name: late, timeout: 20ms}}]}
          - {weight: 1, flow: [{set: {x: response.json.nope + 1}}]}
          - {weight: 1, flow: [{http: {get: /delay/10s, name: hangs}}]}
      - think: 5ms
  signed_in:
    start: {http: {get: /delay/150ms, name: login}}
    flow: [{http: {get: /, name: home}}]
    stop: {http: {get: /, name: logout}}
phases:
  - {name: mixed, duration: 500ms, drain: 100ms, load: {works: {users: 3}, fails: {users: 5}}}
  - {name: busy, duration: 500ms, drain: 0s, load: {works: {rate: 60/s, max_users: 30}, fails: {rate: 200/s, max_users: 4}}}
  - {name: prepared, duration: 500ms, load: {works: {users: 2}, signed_in: {rate: 80/s, users: 6}}}
  - {name: patient, duration: 300ms, drain: 100ms, load: {fails: {at_once: 30, max_users: 3, on_busy: {wait: 50ms}}, signed_in: {users: 2}}}
";

#[test]
fn run_json_and_metrics_agree_whatever_happens() {
    let books = Books::of(&Bench::new(), EVERYTHING, &[("AWAY", &free_port())]);
    let scenario = |phase: usize, name: &str| named(&books.phases()[phase]["scenarios"], "scenario", name);
    let of = |phase: usize, name: &str, key: &str| count(&scenario(phase, name)[key]);
    assert!(of(0, "fails", "iterations_failed") > 0 && of(0, "fails", "iterations_interrupted") > 0, "{:#}", books.record);
    // It was held until those of the next phase had signed in: that takes 250 ms and more.
    let busy = &books.phases()[1];
    let lasted = busy["ended"].as_f64().unwrap() - busy["started"].as_f64().unwrap();
    let due = of(1, "fails", "due") as f64;
    assert!(lasted > 0.7 && (due - lasted * 200.0).abs() < 3.0, "{due} in {lasted} s");
    let wanted = scenario(1, "fails")["rate_wanted"].as_f64().unwrap();
    assert!((wanted - 200.0).abs() < 4.0, "{wanted}");
    assert!(of(1, "fails", "dropped") > 0 && of(3, "fails", "dropped") > 0, "{:#}", books.record);
    assert_eq!((of(2, "signed_in", "due"), of(2, "signed_in", "started")), (40, 40), "everybody was prepared");
    let login = named(&books.phases()[2]["steps"], "step", "login");
    assert_eq!(count(&login["requests"]), 6);
}
