//! A target that freezes for a second of every five. One arrival of five comes while it is frozen, and waits for what is left of
//! that second: so a tenth of all wait longer than half a second, and one of a hundred nearly the whole of it. That is what
//! users see, however few of them the generator has to send with; a generator that measures from sending sees it only
//! where it has users enough to go on sending.

use crate::support::program::{Bench, Ended, Running, accounts_hold, count, named};
use serde_json::Value;

/// A run against a target of its own. The phase begins 2 s after the target does, so that it ends half way between two freezes:
/// what waited through the last one is long served.
fn run(bench: &Bench) -> (Ended, Value) {
    let target = bench.command(&["target", "--web.listen-address=127.0.0.1:0", "--freeze", "1s of every 5s"]);
    let mut target = Running::start(target, bench.path());
    target.listens();
    bench.file(
        "freeze.yml",
        &format!(
            "name: freeze
defaults: {{http: {{base_url: \"http://127.0.0.1:{}\", timeout: 5s}}}}
scenarios:
  many: {{flow: [{{http: {{get: /many, name: many}}}}]}}
  few: {{flow: [{{http: {{get: /few, name: few}}}}]}}
phases:
  - {{name: wait, duration: 2s, load: {{}}, judge: false}}
  - name: steady
    duration: 20s
    load:
      many: {{rate: 100/s, max_users: 400}}
      few: {{rate: 100/s, max_users: 4, on_busy: {{wait: 5s}}}}
slos: [{{name: answered, require: [errors < 1%, dropped < 1%]}}]
",
            target.port
        ),
    );
    let ended = bench.run_files(&["freeze.yml"], &[]);
    assert_eq!(target.stop().code, Some(0));
    (ended, bench.records().pop().unwrap())
}

#[test]
fn response_times_are_those_of_the_arrivals() {
    let bench = Bench::new();
    // On a busy machine a generator may be late by itself; if freezing made it so, it would be so each time.
    let (ended, record) = (0..3)
        .map(|_| run(&bench))
        .find(|(_, record)| record["generator"]["saturated"] == false)
        .expect("the target's freezing isn't the generator's fault");
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    accounts_hold(&record);
    let steps = &named(&record["phases"], "name", "steady")["steps"];
    let time = |step: &str, kind: &str, quantile: &str| named(steps, "step", step)[kind][quantile].as_f64().unwrap();
    for step in ["many", "few"] {
        assert_eq!(count(&named(steps, "step", step)["requests"]), 2000);
        let (p90, p99) = (time(step, "response", "p90"), time(step, "response", "p99"));
        assert!((0.4..0.65).contains(&p90), "{step}: p90 {p90}");
        assert!((0.85..1.3).contains(&p99), "{step}: p99 {p99}");
        assert!(time(step, "response", "p50") < 0.1, "{step}");
    }
    // With users enough every arrival is sent at once: service time is the same story.
    assert!((0.4..0.65).contains(&time("many", "service", "p90")));
    // Four users are held by four requests of a freeze's hundred; the others wait unsent, and once sent are served in no time.
    assert!(time("few", "service", "p90") < 0.2, "{}", time("few", "service", "p90"));
    assert!(time("few", "service", "max") > 0.8);
    let summary = &ended.out;
    assert!(summary.contains("response p50") && summary.contains("service p95"), "both are shown: {summary}");
}
