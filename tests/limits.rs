//! What a machine can't bear is said before a run, and not found out in its midst.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod support;

use std::process::Command;

use support::program::{Bench, Ended, Running};

const PROFILE: &str = "name: limits
defaults: {http: {base_url: \"http://127.0.0.1:9\"KEYS}}
scenarios: {visitors: {flow: [{http: {get: /, name: home, timeout: 1s}}, {think: 10s}]}}
phases: [{name: hold, duration: 500ms, drain: 0s, load: {visitors: {users: USERS}}}]
";

/// Runs the program under a limit of descriptors, soft and hard.
fn limited(bench: &Bench, limits: &str, args: &[&str]) -> Ended {
    let program = bench.command(args);
    let mut command = Command::new("/bin/sh");
    command.env_clear().current_dir(bench.path());
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")]).arg(program.get_program()).args(program.get_args());
    Running::start(command, bench.path()).wait()
}

fn profile(keys: &str, users: u64) -> String {
    PROFILE.replace("KEYS", keys).replace("USERS", &users.to_string())
}

#[test]
fn too_few_descriptors_refuse_a_run_and_warn_a_check() {
    let bench = Bench::new();
    bench.file("p.yml", &profile("", 500));
    let ended = limited(&bench, "ulimit -n 256", &["run", "--web.listen-address=127.0.0.1:0", "p.yml"]);
    assert_eq!(ended.code, Some(2), "{}\n{}", ended.out, ended.err);
    assert!(ended.err.contains("holds 500 connections at once, and this process may open 256 files"), "{}", ended.err);
    assert!(ended.err.contains("ulimit -n 564") && ended.err.contains("p.yml:4"), "{}", ended.err);
    let ended = limited(&bench, "ulimit -n 256", &["check", "p.yml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("warning") && ended.err.contains("may open 256 files"), "{}", ended.err);
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let bench = Bench::new();
    bench.file("p.yml", &profile("", 100));
    let ended = limited(&bench, "ulimit -Sn 50; ulimit -Hn 400", &["run", "--web.listen-address=127.0.0.1:0", "p.yml"]);
    assert_ne!(ended.code, Some(2), "{}\n{}", ended.out, ended.err);
    assert!(!ended.err.contains("ulimit"), "{}", ended.err);
    // Nobody listens there: all are refused, and none for want of a descriptor.
    let record = bench.record();
    let errors = &record["phases"][0]["steps"][0]["errors"];
    assert!(errors["refused"].as_u64().is_some_and(|n| n > 0) && errors["other"].is_null(), "{errors}");
}

#[test]
fn too_few_ports_refuse_a_run_unless_it_comes_from_more_addresses() {
    let bench = Bench::new();
    bench.file("one.yml", &profile("", 70_000));
    let ended = bench.command(&["run", "one.yml"]);
    let ended = Running::start(ended, bench.path()).wait();
    assert_eq!(ended.code, Some(2), "{}\n{}", ended.out, ended.err);
    assert!(ended.err.contains("holds 70000 connections to 127.0.0.1:9 at once, and one source address has"), "{}", ended.err);
    bench.file("more.yml", &profile(", from: [127.0.0.2, 127.0.0.3, 127.0.0.4]", 70_000));
    let ended = Running::start(bench.command(&["check", "more.yml"]), bench.path()).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("local ports"), "{}", ended.err);
}
