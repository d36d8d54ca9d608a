//! The second signal ends the process, whatever the program does.

use std::time::{Duration, Instant};

use crate::support::hostile::{Hostile, Then};
use crate::support::program::{Bench, Ended, Running};
use serde_json::Value;

/// Starts a run, waits until it is in its set-up or its load, and signals it twice; how long it took from the second signal, and
/// the record.
fn interrupted_twice(profile: &str) -> (Ended, Duration, Option<Value>) {
    let bench = Bench::new();
    bench.file("busy.yml", profile);
    let mut running = Running::start(bench.command(&["serve", "--web.listen-address=127.0.0.1:0", "busy.yml"]), bench.path());
    running.until("the work", |running| {
        let log = running.err();
        (log.contains("hook started") || log.contains("phase started")).then_some(())
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

#[test]
fn a_run_ends_with_its_terminal_but_under_nohup() {
    let silent = Hostile::answering("", Then::Stall);
    let text = format!(
        "name: hung-up\ndefaults: {{http: {{base_url: '{}', timeout: 10s}}}}\nscenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}\n\
         phases: [{{name: one, duration: 10m, drain: 100ms, load: {{a: {{users: 1}}}}}}]\n",
        silent.url()
    );
    for nohup in [false, true] {
        let bench = Bench::new();
        bench.file("hung-up.yml", &text);
        let plain = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "--log.level=info", "hung-up.yml"]);
        let command = if nohup {
            let mut command = std::process::Command::new("nohup");
            command.arg(plain.get_program()).args(plain.get_args()).current_dir(bench.path());
            command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command
        } else {
            plain
        };
        let mut running = Running::start(command, bench.path());
        running.until("the load", |running| running.err().contains("phase started").then_some(()));
        running.signal(libc::SIGHUP);
        if nohup {
            std::thread::sleep(Duration::from_millis(500)); // long enough for a stop to have shown
            assert!(running.lives(), "{}", running.err());
            running.signal(libc::SIGTERM);
        }
        let ended = running.wait();
        assert_eq!(ended.code, Some(130), "{nohup}: {}\n{}", ended.out, ended.err);
        assert!(bench.records().pop().unwrap()["stopped"].is_string(), "{nohup}");
    }
}

#[test]
fn whoever_stops_a_run_does_not_wait_for_a_disk() {
    for command in ["run", "serve"] {
        let bench = Bench::new();
        bench.file(
            "a.yml",
            "name: a\ndefaults: {http: {base_url: builtin}}\nscenarios: {a: {flow: [{http: {get: /, name: home}}]}}\n\
             phases: [{name: one, duration: 10m, drain: 100ms, load: {a: {rate: 1/s, max_users: 1}}}]\n",
        );
        let arguments = [command, "--web.listen-address=127.0.0.1:0", "--log.level=info", "a.yml"];
        let mut running = Running::start(bench.command(&arguments), bench.path());
        running.until("the load", |running| running.err().contains("phase started").then_some(()));
        // Nothing can be written any more where the run is stored.
        let runs: Vec<_> = std::fs::read_dir(bench.path().join("runs")).unwrap().map(|run| run.unwrap().path()).collect();
        let run = runs.iter().find(|run| run.is_dir()).unwrap();
        std::fs::remove_dir_all(run).unwrap();
        std::fs::write(run, "").unwrap();
        let stopped = Instant::now();
        running.signal(libc::SIGTERM);
        let ended = running.wait();
        assert!(stopped.elapsed() < Duration::from_secs(4), "{command}: {:?}\n{}", stopped.elapsed(), ended.err);
        assert!(ended.err.to_lowercase().contains("the run could not be stored"), "{command}: {}", ended.err);
    }
}
