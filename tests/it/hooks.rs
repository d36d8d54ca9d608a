//! Set-up, verify and teardown, as whoever started the run and the target see them: what each leads to, and that a run which
//! is ended leaves nothing behind.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, count, metric, named};
use serde_json::{Value, json};

/// A target that makes things and forgets them: POST /things, GET /things, DELETE /things/1,2,3.
struct Shop {
    server: Hostile,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    made: u64,
    things: BTreeSet<u64>,
    asked: Vec<String>,
}

impl Shop {
    /// One that takes so long for each thing that it makes.
    fn slow(by: Duration) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let of_server = state.clone();
        let server = Hostile::start(move |request, stream| {
            let method = request.head.split(' ').next().unwrap();
            let (status, body) = {
                let mut state = of_server.lock().unwrap();
                state.asked.push(format!("{method} {}", request.path));
                match (method, request.path.as_str()) {
                    ("POST", "/things") => {
                        state.made += 1;
                        let made = state.made;
                        state.things.insert(made);
                        ("201 Created", json!({"id": made}).to_string())
                    }
                    ("GET", "/things") => ("200 OK", json!({"count": state.things.len()}).to_string()),
                    ("DELETE", path) => {
                        let ids = path.rsplit('/').next().unwrap_or_default().split(',').filter_map(|id| id.parse::<u64>().ok());
                        for id in ids {
                            state.things.remove(&id);
                        }
                        ("200 OK", "{}".to_owned())
                    }
                    ("GET", "/stall") => return Then::Stall,
                    _ => ("500 Internal Server Error", r#"{"error":"broken as wanted"}"#.to_owned()),
                }
            };
            if method == "POST" {
                std::thread::sleep(by);
            }
            let _ = stream.write_all(answer(status, &body).as_bytes()); // the client may be gone
            Then::Keep
        });
        Self { server, state }
    }

    fn new() -> Self {
        Self::slow(Duration::ZERO)
    }

    fn left(&self) -> usize {
        self.state.lock().unwrap().things.len()
    }

    fn made(&self) -> u64 {
        self.state.lock().unwrap().made
    }

    fn was_asked(&self, what: &str) -> bool {
        self.state.lock().unwrap().asked.iter().any(|asked| asked == what)
    }

    fn profile(&self, rest: &str) -> String {
        format!(
            "name: stages
defaults: {{http: {{base_url: \"{}\", timeout: 20s}}}}
metrics: {{made_total: {{type: counter}}}}
scenarios:
  makers:
    flow:
      - {MAKE}
      - remember: {{things: \"{{{{ id }}}}\"}}
      - count: {{made_total: 1}}
{rest}
",
            self.server.url()
        )
    }
}

const MAKE: &str = "http: {post: /things, json: {}, expect: {status: 201}, extract: {id: $.id}}";
const LOAD: &str = "phases: [{name: one, duration: 500ms, load: {makers: {rate: 40/s, max_users: 40}}}]\n";
const LONG: &str = "phases: [{name: one, duration: 60s, load: {makers: {users: 3}}}]\n";
const TEARDOWN: &str = "teardown:
  flow: [for_each: {in: things, as: thing, users: 10, flow: {http: {delete: \"/things/{{ thing }}\", name: forget}}}]
";

/// A set-up that makes so many things, so many at once.
fn setup_at_once(count: usize, users: usize) -> String {
    let flow = format!("[{{{MAKE}}}, {{remember: {{things: \"{{{{ id }}}}\"}}}}]");
    format!("setup:\n  flow:\n    - repeat: {{times: {count}, users: {users}, flow: {flow}}}\n")
}

/// A set-up that makes so many things, one after the other, and sets a variable.
fn setup(count: usize) -> String {
    let flow = format!("[{{{MAKE}}}, {{remember: {{things: \"{{{{ id }}}}\"}}}}]");
    format!("setup:\n  flow:\n    - repeat: {{times: {count}, flow: {flow}}}\n    - set: {{last: id}}\n")
}

fn stage<'a>(record: &'a Value, name: &str) -> &'a Value {
    named(&record["stages"], "name", name)
}

fn reasons(record: &Value) -> String {
    record["reasons"].to_string()
}

#[test]
fn what_a_run_makes_is_counted_by_verify_and_removed_by_teardown() {
    let shop = Shop::new();
    let bench = Bench::new();
    let rest = [
        &setup(3),
        LOAD,
        "verify:
  flow:
    - http:
        get: /things
        name: ledger
        check:
          all_there: response.json.count == metric('made_total') + 3
          all_remembered: things | length == response.json.count
          all_requests: metric('load_requests_total') == response.json.count
          setup_is_read: last == 3
",
        TEARDOWN,
    ]
    .concat();
    let ended = bench.run(&shop.profile(&rest));
    let record = bench.record();
    assert_ne!(ended.code, Some(1), "{}\n{}\n{record:#}", ended.out, ended.err);
    assert_ne!(record["verdict"], "fail");
    for (name, requests) in [("setup", 3), ("verify", 1), ("teardown", shop.made())] {
        let stage = stage(&record, name);
        assert_eq!((&stage["ok"], &stage["error"]), (&json!(true), &json!(null)), "{stage:#}");
        assert_eq!(count(&stage["steps"][0]["requests"]), requests);
        assert!(stage["ended"].as_f64() >= stage["started"].as_f64());
        assert!(ended.out.contains(&format!("\n{name}  ")), "{}", ended.out);
    }
    let checks = &stage(&record, "verify")["checks"];
    assert_eq!(checks.as_array().unwrap().len(), 4);
    assert_eq!(
        named(checks, "name", "all_there"),
        &json!({"name": "all_there", "step": "ledger", "passed": 1, "failed": 0, "detail": null})
    );
    assert_eq!(record["phases"].as_array().unwrap().len(), 1);
    assert!(shop.made() > 3 && shop.left() == 0);
}

#[test]
fn a_set_up_that_fails_ends_the_run_before_its_load_and_is_torn_down() {
    let broken = "    - http: {get: /broken, name: prepare}\n    - http: {get: /never, name: never}\n";
    let unmet = "    - http: {get: /things, name: prepare, check: {enough: response.json.count > 5}}\n    - http: {get: /never, name: never}\n";
    let late = "    - http: {get: /stall, name: prepare}\n  timeout: 300ms\n";
    for (what, sentence) in [
        (broken, "Set-up failed: step `prepare` failed (status): status 500."),
        (unmet, "Set-up failed: the check `enough` of the step `prepare` failed: response.json.count > 5 was 2 > 5."),
        (late, "Set-up failed: it was cut off after 300ms, which is its `timeout`"),
    ] {
        let shop = Shop::new();
        let bench = Bench::new();
        let rest = [&setup(2), what, LOAD, "verify: {flow: [{http: {get: /things, name: look}}]}\n", TEARDOWN].concat();
        let ended = bench.run(&shop.profile(&rest));
        let record = bench.record();
        assert_eq!(ended.code, Some(4), "{}\n{}", ended.out, ended.err);
        assert_eq!((&record["verdict"], record["phases"].as_array().unwrap().len()), (&json!("fail"), 0));
        assert!(reasons(&record).contains(sentence), "{}", reasons(&record));
        assert!(ended.out.contains(sentence) && ended.out.contains("setup") && ended.out.contains("FAILED"), "{}", ended.out);
        assert_eq!(
            (stage(&record, "setup")["ok"].clone(), stage(&record, "teardown")["ok"].clone()),
            (json!(false), json!(true))
        );
        assert!(!record["stages"].to_string().contains("verify") && !shop.was_asked("GET /never"));
        assert_eq!((shop.made(), shop.left()), (2, 0), "torn down all the same");
        if what == late {
            let steps = &stage(&record, "setup")["steps"];
            assert_eq!(named(steps, "step", "prepare")["outcomes"], json!({"interrupted": 1}));
        }
    }
}

#[test]
fn what_verify_finds_wrong_fails_the_run_and_what_teardown_leaves_is_reported() {
    let unmet =
        "verify: {flow: [{http: {get: /things, name: ledger, check: {none: response.json.count == 0, some: response.ok}}}]}\n";
    let away = format!("verify: {{flow: [{{http: {{get: \"http://127.0.0.1:{}/\", name: ledger}}}}]}}\n", free_port());
    let broken = "teardown: {flow: [{http: {get: /broken, name: forget}}]}\n";
    for (what, code, sentence) in [
        (unmet, Some(1), "Verify failed: the check `none` of the step `ledger` failed: response.json.count == 0 was "),
        (&away, Some(1), "Verify failed: step `ledger` failed (refused)"),
        (broken, None, "Teardown failed: 1 of 1 of the step `forget` failed (status: 1)."),
    ] {
        let shop = Shop::new();
        let bench = Bench::new();
        let ended = bench.run(&shop.profile(&[LOAD, what].concat()));
        let record = bench.record();
        match code {
            Some(_) => assert_eq!((ended.code, &record["verdict"]), (code, &json!("fail")), "{}\n{}", ended.out, ended.err),
            // A busy machine may not know more.
            None => assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err),
        }
        assert!(reasons(&record).contains(sentence) && ended.out.contains(sentence), "{}\n{}", reasons(&record), ended.out);
    }
}

#[test]
fn what_is_gone_already_keeps_teardown_from_nothing() {
    let (bench, shop) = (Bench::new(), Shop::new());
    let teardown = "teardown:
  flow:
    - http: {get: /broken, name: look, extract: {gone: $.gone}}
    - set: {count: gone + 1}
    - for_each: {in: things, as: thing, flow: [{http: {delete: \"/things/{{ thing }}\", name: forget, expect: {that: thing != 2}}}]}
";
    let ended = bench.run(&shop.profile(&[&setup(3), "phases: [{name: one, duration: 100ms, load: {}}]\n", teardown].concat()));
    assert_eq!(shop.left(), 0, "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    for sentence in [
        "Teardown failed: 1 of 1 of the step `look` failed (status: 1).",
        "Teardown failed: 1 of 3 of the step `forget` failed (expect: 1).",
        "Teardown failed: 1 that send nothing could not be done (template: 1).",
    ] {
        assert!(reasons(&record).contains(sentence), "{}", reasons(&record));
    }
}

#[test]
fn many_things_are_made_at_once() {
    let each = Duration::from_millis(50);
    let shop = Shop::slow(each);
    let bench = Bench::new();
    let check = "verify: {flow: [{http: {get: /things, check: {all: things | length == response.json.count}}}]}\n";
    let load = "phases: [{name: one, duration: 100ms, load: {makers: {rate: 10/s, max_users: 10}}}]\n";
    let ended = bench.run(&shop.profile(&[&setup_at_once(400, 20), load, check, TEARDOWN].concat()));
    let record = bench.record();
    assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err);
    let setup = stage(&record, "setup");
    assert_eq!((count(&setup["steps"][0]["requests"]), &setup["ok"]), (400, &json!(true)));
    let took = setup["ended"].as_f64().unwrap() - setup["started"].as_f64().unwrap();
    assert!(took < each.as_secs_f64() * 400.0 / 3.0, "one after the other they take 20 s, and this took {took}");
    assert_eq!((stage(&record, "verify")["ok"].clone(), shop.left()), (json!(true), 0));
}

#[test]
fn a_list_that_overflows_makes_it_inconclusive_whatever_verify_finds() {
    let shop = Shop::new();
    let bench = Bench::new();
    // The same text over and over: much to count, little to keep.
    let setup = "setup: {flow: [{set: {text: \"random_text(1000000, 1000000)\"}}, {repeat: {times: 300, flow: {remember: {big: \"{{ text }}\"}}}}]}\n";
    let verify = "verify: {flow: [{http: {get: /things, check: {all: big | length == 300}}}]}\n";
    let load = "phases: [{name: one, duration: 100ms, load: {makers: {rate: 10/s, max_users: 10}}}]\n";
    let ended = bench.run(&shop.profile(&[setup, load, verify].concat()));
    let record = bench.record();
    assert_eq!((ended.code, &record["verdict"]), (Some(3), &json!("inconclusive")), "{}\n{}", ended.out, ended.err);
    let all = reasons(&record);
    assert!(all.contains("The list `big` is full") && all.contains("Verify is inconclusive, since a list overflowed"), "{all}");
}

/// Starts a run, waits until the target has made so many things, and ends it.
fn ended_after(shop: &Shop, bench: &Bench, rest: &str, made: u64) -> crate::support::program::Ended {
    bench.file("profile.yml", &shop.profile(rest));
    let command = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "profile.yml"]);
    let mut running = Running::start(command, bench.path());
    running.until("things", |_| (shop.made() >= made).then_some(()));
    running.stop()
}

#[test]
fn a_run_that_is_ended_in_its_set_up_leaves_nothing_behind() {
    let shop = Shop::slow(Duration::from_millis(50));
    let bench = Bench::new();
    let rest = [&setup_at_once(100_000, 7), LONG, "verify: {flow: [{http: {get: /things, name: look}}]}\n", TEARDOWN].concat();
    let ended = ended_after(&shop, &bench, &rest, 20);
    let record = bench.record();
    assert_eq!(ended.code, Some(130), "{}\n{}", ended.out, ended.err);
    assert_eq!((record["phases"].as_array().unwrap().len(), shop.left()), (0, 0));
    assert!(shop.made() < 100_000);
    assert_eq!(stage(&record, "teardown")["ok"], true);
    assert!(reasons(&record).contains("Verify was left out"), "{record:#}");
}

#[test]
fn a_run_that_is_ended_under_load_leaves_nothing_behind() {
    let shop = Shop::slow(Duration::from_millis(5));
    let bench = Bench::new();
    let ended = ended_after(&shop, &bench, &[&setup(3), LONG, TEARDOWN].concat(), 30);
    let record = bench.record();
    assert_eq!(ended.code, Some(130), "{}\n{}", ended.out, ended.err);
    assert_eq!((record["phases"].as_array().unwrap().len(), shop.left()), (1, 0));
}

#[test]
fn a_signal_in_the_last_step_of_set_up_leaves_the_load_out() {
    let (bench, shop) = (Bench::new(), Shop::slow(Duration::from_secs(2)));
    bench.file(
        "profile.yml",
        &shop.profile(&format!(
            "setup: {{flow: {{{MAKE}}}}}\nphases: [{{name: one, duration: 10m, load: {{makers: {{users: 1}}}}}}]
teardown: {{flow: {{http: {{get: /things, name: look}}}}}}"
        )),
    );
    let command = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "profile.yml"]);
    let mut running = Running::start(command, bench.path());
    running.until("the step", |_| (shop.made() == 1).then_some(()));
    running.signal(libc::SIGTERM);
    let ended = running.wait();
    assert_eq!(ended.code, Some(130), "{}\n{}", ended.out, ended.err);
    assert_eq!((shop.made(), shop.was_asked("GET /things")), (1, true), "no load, and teardown");
}

#[test]
fn a_second_signal_ends_a_teardown_that_hangs_at_once() {
    let shop = Shop::new();
    let bench = Bench::new();
    let rest = [LONG, "teardown: {flow: [{http: {get: /stall, name: forget, timeout: 60s}}]}\n"].concat();
    bench.file("profile.yml", &shop.profile(&rest));
    let command = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "profile.yml"]);
    let mut running = Running::start(command, bench.path());
    running.until("load", |_| (shop.made() > 3).then_some(()));
    running.signal(libc::SIGTERM);
    running.until("teardown", |_| shop.was_asked("GET /stall").then_some(()));
    let ended = running.stop();
    let record = bench.record();
    assert_eq!(ended.code, Some(130), "{}\n{}", ended.out, ended.err);
    assert!(reasons(&record).contains("Teardown was cut off"), "{record:#}");
    assert_eq!(stage(&record, "teardown")["steps"][0]["outcomes"], json!({"interrupted": 1}));
}

#[test]
fn after_an_abort_verify_is_for_information_and_teardown_runs() {
    let shop = Shop::new();
    let bench = Bench::new();
    let rest = [
        LONG,
        "slos: [{name: fast, require: [errors > 50%], abort_after: 1s}]\n",
        "verify: {flow: [{http: {get: /things, name: ledger, check: {none: response.json.count == 0}}}]}\n",
        TEARDOWN,
    ]
    .concat();
    let ended = bench.run(&shop.profile(&rest));
    let record = bench.record();
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    assert!(reasons(&record).contains("Verify, for information"), "{}", reasons(&record));
    assert_eq!((shop.left(), stage(&record, "verify")["ok"].clone()), (0, json!(false)));
}

#[test]
fn every_run_of_a_schedule_sets_up_and_tears_down_and_its_series_stand_from_the_start() {
    let shop = Shop::new();
    let bench = Bench::new();
    let load = "phases: [{name: one, duration: 200ms, load: {makers: {rate: 20/s, max_users: 5}}}]\nschedule: continuous\n";
    bench.file("profile.yml", &shop.profile(&[&setup(2), load, TEARDOWN].concat()));
    let mut running = bench.serve(&["profile.yml"]);
    let page = running.page("/metrics");
    let teardown = [("phase", "teardown"), ("scenario", "teardown"), ("step", "forget")];
    assert!(metric(&page, "load_requests_total", &teardown).is_some(), "{page}");
    running.until("three runs", |_| (bench.records().len() >= 3).then_some(()));
    let made = running.metric("load_requests_total", &[("phase", "setup"), ("step", "POST /things")]).unwrap();
    assert!(made >= 6.0 && running.metric("load_phase_start_timestamp_seconds", &[("phase", "setup")]).is_some());
    running.stop();
    for record in bench.records().iter().take(3) {
        assert_eq!((stage(record, "setup")["ok"].clone(), stage(record, "teardown")["ok"].clone()), (json!(true), json!(true)));
    }
    assert_eq!(shop.left(), 0);
}
