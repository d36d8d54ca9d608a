//! What is looked at before anything is sent, and what becomes of it.

use std::time::Duration;

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::Bench;
use serde_json::{Value, json};

/// A profile whose set-up asks `open`, and whose load goes to a port that nobody has, which an exporter is to be on too.
fn profile(open: &str, closed: u16) -> String {
    format!(
        "name: looked
setup: {{flow: [{{http: {{get: \"{open}/prepare\", name: prepare}}}}]}}
scenarios: {{a: {{flow: [{{http: {{get: \"http://127.0.0.1:{closed}/\", name: home}}}}]}}}}
phases: [{{name: one, duration: 2s, load: {{a: {{rate: 20/s, max_users: 20}}}}}}]
observe: {{exporters: [{{name: own, url: \"http://127.0.0.1:{closed}/metrics\"}}], counters: [{{metric: x_total}}]}}
teardown: {{flow: [{{http: {{get: \"{open}/undo\", name: undo}}}}]}}
"
    )
}

#[test]
fn what_is_missing_is_said_before_the_load_and_ends_a_strict_run() {
    let (open, closed) = (Hostile::answering(&answer("200 OK", "{}"), Then::Keep), free_port());
    let bench = Bench::new();
    bench.file("looked.yml", &profile(&open.url(), closed));
    let mut daemon = bench.serve(&["looked.yml"]);
    daemon.logged("level=warn msg=\"before the run: the source `own` can't be read", 1);
    daemon.logged(&format!("level=warn msg=\"before the run: the target 127.0.0.1:{closed} can't be reached"), 1);
    let note = daemon.until("the note", |daemon| {
        let status: Value = serde_json::from_str(&daemon.page("/api/v1/status")).unwrap();
        let note = status["profiles"][0]["note"].as_str()?.to_owned();
        (status["profiles"][0]["phase"] == "one").then_some(note)
    });
    assert!(note.contains("refused") && note.contains("`own`"), "{note}");
    daemon.logged("msg=\"run ended\"", 1);
    daemon.stop();
    assert_eq!(open.requests(), 2, "set-up and teardown");

    let ended = bench.run_files(&["looked.yml"], &["--strict"]);
    assert_eq!(ended.code, Some(4), "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("can't be reached") && ended.out.contains("nothing was sent"), "{}", ended.out);
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    assert_eq!(open.requests(), 2, "neither set-up nor teardown nor load");
    let record = bench.records().pop().unwrap();
    assert_eq!((&record["phases"], &record["stages"], &record["verdict"]), (&json!([]), &json!([]), &json!("none")));
}

#[test]
fn what_is_there_is_not_spoken_of_and_not_counted() {
    let target = Hostile::answering(&answer("200 OK", "{}"), Then::Keep);
    let bench = Bench::new();
    bench.file(
        "there.yml",
        &format!(
            "name: there
defaults: {{http: {{base_url: \"{}\"}}}}
scenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases: [{{name: one, duration: 500ms, load: {{a: {{users: 1, pacing: 50ms}}}}}}]
",
            target.url()
        ),
    );
    let ended = bench.run_files(&["there.yml"], &["--strict"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("before the run"), "{}", ended.err);
    let connections = &bench.record()["phases"][0]["scenarios"][0]["connections"][0];
    assert_eq!((&connections["connects"], target.connections()), (&json!(1), 2), "one of them is the look before the run");
}
