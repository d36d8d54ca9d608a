//! A target or a source that goes away in mid-run and comes back: what is said of it, what the load does, and what the record keeps.

use std::time::Duration;

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, count};
use serde_json::Value;

/// The program's own target on a port of its own, as a process; killed when it is dropped.
fn target(bench: &Bench, port: u16) -> Running {
    let mut target = Running::start(bench.command(&["target", &format!("--web.listen-address=127.0.0.1:{port}")]), bench.path());
    target.listens();
    target
}

fn profile(target: u16, source: u16, dead: &str) -> String {
    format!(
        "name: gone
on_dead_target: {dead}
defaults: {{http: {{base_url: \"http://127.0.0.1:{target}\", timeout: 2s}}}}
scenarios:
  a: {{flow: [{{http: {{get: /, name: home}}}}]}}
  b: {{flow: [{{http: {{get: /other, name: other}}}}]}}
phases: [{{name: one, duration: 10m, drain: 1s, load: {{a: {{rate: 50/s, max_users: 20}}, b: {{rate: 20/s, max_users: 20}}}}}}]
observe: {{exporters: [{{name: own, url: \"http://127.0.0.1:{source}/metrics\", timeout: 2s}}], counters: [{{metric: x_total}}]}}
slos: [{{name: api, require: errors < 1%}}]
"
    )
}

fn now(running: &Running) -> Value {
    serde_json::from_str::<Value>(&running.page("/api/v1/status")).unwrap()["profiles"][0].clone()
}

/// What is away, and why.
fn away(running: &Running) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = now(running)["away"].as_array().cloned().unwrap_or_default();
    list.iter().map(|away| (text(&away["what"]), text(&away["cause"]))).collect()
}

#[test]
fn what_is_away_is_said_once_shown_while_it_lasts_and_kept() {
    let (port, other) = (free_port(), Hostile::answering(&answer("200 OK", "x_total 1\n"), Then::Keep));
    let bench = Bench::new();
    let alive = target(&bench, port);
    bench.file("gone.yml", &profile(port, other.port, "{after: 1s, do: back_off}"));
    let mut running = bench.serve(&["gone.yml"]);
    running.until("answers", |running| (count(&now(running)["requests"]) > 20).then_some(()));
    assert_eq!(away(&running), []);

    drop(alive);
    let url = format!("http://127.0.0.1:{port}");
    running.until("the target to be away", |running| {
        let list = away(running);
        (!list.is_empty()).then(|| {
            let [(what, cause)] = &list[..] else { panic!("one entry for one target: {list:?}") };
            assert!(*what == url && cause.contains("refused"), "{list:?}");
        })
    });
    running.logged(&format!("{url} is away: "), 1);
    let dropped = |running: &Running| running.metric("load_arrivals_dropped_total", &[("reason", "dead_target")]);
    running.until("arrivals to be dropped", |running| dropped(running).filter(|dropped| *dropped > 100.0));
    // A source, too.
    drop(other);
    running.until("the source to be away", |running| away(running).iter().any(|away| away.0 == "the source `own`").then_some(()));

    let _alive = target(&bench, port);
    running.until("the target to be back", |running| (away(running).len() == 1).then_some(()));
    running.logged(&format!("{url} was away for "), 1);
    let requests = count(&now(&running)["requests"]);
    running.until("the load to go on", |running| (count(&now(running)["requests"]) > requests + 20).then_some(()));
    let log = running.err();
    assert_eq!(log.matches(&format!("{url} is away")).count(), 1, "{log}");
    running.signal(libc::SIGTERM);
    running.wait();

    let record = bench.record();
    let all = record["away"].as_array().unwrap();
    let of = |what: &str| all.iter().filter(|away| away["what"] == what).collect::<Vec<_>>();
    let [place] = of(&url)[..] else { panic!("{all:#?}") };
    assert_eq!(place["do"], "back_off");
    assert!(place["until"].as_f64() > place["since"].as_f64() && place["cause"].as_str().unwrap().contains("refused"));
    let [source] = of("the source `own`")[..] else { panic!("{all:#?}") };
    assert!(source["until"].is_null() && source["do"].is_null());
    assert_eq!(all.len(), 2, "both scenarios load one target: {all:#?}");
    let phase = &record["phases"][0];
    assert_eq!(phase["verdict"], "fail", "dropped arrivals count as failed: {:#}", phase["slos"]);
}

#[test]
fn a_target_that_is_away_for_long_ends_the_run_where_that_is_wanted() {
    let (port, other) = (free_port(), Hostile::answering(&answer("200 OK", "x_total 1\n"), Then::Keep));
    let bench = Bench::new();
    let alive = target(&bench, port);
    bench.file("gone.yml", &profile(port, other.port, "{after: 1s, do: abort}").replace("slos:", "x-slos:"));
    let command = bench.command(&["run", "gone.yml", "--web.listen-address=127.0.0.1:0", "--log.level=info"]);
    let mut running = Running::start(command, bench.path());
    running.logged("  errors 0  ", 2);
    drop(alive);
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "as any run that was aborted: {}", ended.err);
    assert!(ended.took < Duration::from_secs(120));
    assert!(ended.out.contains("` has not answered for ") && ended.out.contains("refused"), "{}", ended.out);
    let record = bench.record();
    assert!(record["stopped"].as_str().unwrap().contains("on_dead_target"), "{}", record["stopped"]);
    let all = record["away"].as_array().unwrap();
    let what = format!("http://127.0.0.1:{port}");
    assert!(all.iter().any(|away| away["do"] == "abort" && away["what"] == what.as_str()), "{all:#?}");
}
