//! What a machine can't bear is said before a run, and not found out in its midst.

use std::process::Command;

use crate::support::program::{Bench, Ended, Running};

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

/// A target that answers nobody and keeps all who come.
fn silent() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accept = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = accept.accept() {
            kept.push(stream);
        }
    });
    (listener, port)
}

#[test]
fn what_fails_for_want_of_descriptors_is_local_by_address_and_by_name() {
    for host in ["127.0.0.1", "localhost"] {
        let bench = Bench::new();
        let (_listener, port) = silent();
        // A condition: how many will come isn't known beforehand, so the run isn't refused.
        bench.file(
            "p.yml",
            &format!(
                "name: short\ndefaults: {{http: {{base_url: \"http://{host}:{port}\", timeout: 20s}}}}\n\
                 scenarios: {{s: {{flow: [{{if: user >= 0, http: {{get: /, name: held}}}}]}}}}\n\
                 phases: [{{name: p, duration: 1500ms, drain: 0s, load: {{s: {{users: 100}}}}}}]\n"
            ),
        );
        let ended = limited(&bench, "ulimit -n 64", &["run", "--web.listen-address=127.0.0.1:0", "p.yml"]);
        let record = bench.record();
        let phase = &record["phases"][0];
        let errors = phase["steps"][0]["errors"].as_object().unwrap();
        assert_eq!(errors.keys().collect::<Vec<_>>(), ["local"], "{host}: {errors:?}\n{}", ended.err);
        let failures = &phase["scenarios"][0]["connections"][0]["failures"];
        assert!(failures["local"].as_u64().is_some_and(|n| n > 0), "{host}: {failures}");
        // Who could not connect comes again after 100 ms, and not at once.
        let tries = errors["local"].as_u64().unwrap();
        assert!(tries < 100 * 20, "{tries} attempts of 100 users in 1.5 s");
        let detail = phase["steps"][0]["samples"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("too many open files: raise `ulimit -n`"), "{host}: {detail}");
    }
}
