//! `config/consistency.yml` over a real Redis and PostgreSQL: a backend that keeps its promises passes, and each that breaks one
//! is found out by verify.

use crate::support::program::{Bench, Ended, Running, count, named};
use crate::support::shipped::shipped;
use crate::support::stack::Stack;
use serde_json::{Value, json};

/// Votes that are cast: enough for one in a thousand to be among them.
const VOTES: u64 = 1200;

/// Runs the profile against a backend with these faults.
fn run(faults: &[(&str, &str)]) -> (Ended, Value) {
    let stack = Stack::up_with(&["--only", "redis,postgres,backend"], faults);
    let bench = Bench::new();
    let profile = shipped("consistency.yml");
    let mut command = bench.command(&["run", "--web.listen-address=127.0.0.1:0", profile.to_str().unwrap()]);
    command.env("BASE_URL", stack.variable("BASE_URL").unwrap());
    command.envs([("VOTES", VOTES.to_string().as_str()), ("TIMEOUT", "30s")]);
    let ended = Running::start(command, bench.path()).wait();
    let record = bench.record();
    (ended, record)
}

/// The checks of verify that failed.
fn failed(record: &Value) -> Vec<&str> {
    let verify = named(&record["stages"], "name", "verify");
    let checks = verify["checks"].as_array().unwrap().iter();
    checks.filter(|check| count(&check["failed"]) > 0).map(|check| check["name"].as_str().unwrap()).collect()
}

#[test]
fn nothing_is_lost_and_nothing_counted_twice_although_answers_are_lost_on_the_way() {
    let (ended, record) = run(&[("LOSE_ANSWERS", "1%")]);
    // Whether the generator kept up is not what this is about.
    assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err);
    assert_eq!(failed(&record), Vec::<&str>::new(), "{}", ended.out);
    let verify = named(&record["stages"], "name", "verify");
    assert_eq!(verify["ok"], true, "{verify:#}");
    assert_eq!(named(&verify["checks"], "name", "there_as_cast")["passed"], VOTES);
    let votes = named(&record["phases"][0]["steps"], "step", "vote");
    let errors = count(&votes["errors"]["status"]);
    assert!(errors > 0 && count(&votes["requests"]) == VOTES + errors, "answers were lost and votes repeated: {votes:#}");
}

#[test]
fn a_backend_that_drops_one_write_in_a_thousand_is_found_out() {
    let (ended, record) = run(&[("DROP_WRITES", "0.001"), ("LOSE_ANSWERS", "1%")]);
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    let verify = named(&record["stages"], "name", "verify");
    assert_eq!(named(&verify["checks"], "name", "there_as_cast")["failed"], 1, "{}", ended.out);
    assert!(ended.out.contains("Verify failed: the check `"), "{}", ended.out);
}

#[test]
fn a_backend_that_counts_a_replay_twice_is_found_out() {
    let (ended, record) = run(&[("COUNT_REPLAYS", "true")]);
    assert_eq!((ended.code, failed(&record)), (Some(1), vec!["counted_once"]), "{}\n{}", ended.out, ended.err);
    assert_eq!(record["verdict"], json!("fail"));
}

#[test]
fn a_backend_that_serves_what_was_three_seconds_ago_is_found_out() {
    let (ended, record) = run(&[("STALE", "3s")]);
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    assert!(failed(&record).contains(&"fresh"), "{}", ended.out);
}
