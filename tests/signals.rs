//! The second signal ends the process, whatever the program does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::hostile::{Hostile, Then};
use support::program::{Bench, Ended, Running};

/// Starts a run, waits until it is in its set-up or its load, and signals it twice; how long it took from the second signal, and
/// the record.
fn interrupted_twice(profile: &str) -> (Ended, Duration, Option<Value>) {
    let bench = Bench::new();
    bench.file("busy.yml", profile);
    let mut running = Running::start(bench.command(&["serve", "--web.listen-address=127.0.0.1:0", "busy.yml"]), bench.path());
    running.until("the work", |running| {
        let log = running.err();
        (log.contains("stage started") || log.contains("phase started")).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300)); // well within what it never comes out of
    running.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_millis(200));
    assert!(running.lives(), "it has ended by itself: {}", running.err());
    let second = Instant::now();
    running.signal(libc::SIGINT);
    let ended = running.wait();
    (ended, second.elapsed(), bench.records().pop())
}

const BUSY: [(&str, &str); 3] = [
    (
        "a rate that no machine bears",
        "phases: [{name: one, duration: 10m, drain: 10m, load: {a: {rate: 1000000000/s, max_users: 100}}}]",
    ),
    ("users without an end", "phases: [{name: one, duration: 10m, drain: 10m, load: {b: {users: 4, iterations: 1000000000}}}]"),
    (
        "a set-up that goes in a circle",
        "setup: {timeout: 10m, flow: [{repeat: {times: 1000000000, flow: [{set: {x: \"range(1000) | list | length\"}}]}}]}
phases: [{name: one, duration: 10m, load: {a: {users: 1}}}]",
    ),
];

#[test]
fn a_second_signal_ends_the_process_whatever_it_does() {
    let silent = Hostile::answering("", Then::Stall);
    for (what, rest) in BUSY {
        let url = silent.url();
        let text = format!(
            "name: busy
defaults: {{http: {{base_url: \"{url}\", timeout: 10m}}}}
scenarios:
  a: {{flow: [{{http: {{get: /, name: home}}}}]}}
  b: {{flow: [{{set: {{x: \"range(1000) | list | length\"}}}}, {{http: {{get: /, name: home}}, if: x == 0}}]}}
{rest}
"
        );
        let (ended, took, record) = interrupted_twice(&text);
        assert!(matches!(ended.code, Some(0 | 130)), "{what}: {:?}\n{}", ended.code, ended.err);
        // The time limit, and what a busy machine adds to it.
        assert!(took < Duration::from_millis(1500), "{what}: {took:?}\n{}", ended.err);
        let record = record.unwrap_or_else(|| panic!("{what}: no record\n{}", ended.err));
        assert_eq!(record["stopped"], "The run was stopped before its end.", "{what}");
    }
}
