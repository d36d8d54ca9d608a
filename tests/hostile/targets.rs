//! Targets that misbehave, as a run sees them: each fault under its own reason on `/metrics` and in `run.json`, every arrival
//! accounted for, and a run that goes on or ends as its profile says.

use std::io::Write;
use std::time::Duration;

use crate::support::hostile::{Hostile, Then, answer, untrusted_tls};
use crate::support::process::free_port;
use crate::support::program::{Bench, accounts_hold, count, named};
use serde_json::Value;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A profile with one step for each scenario, and its one phase.
fn profile(scenarios: &[(&str, String)], phase: &str) -> String {
    let mut text = "name: hostile\ndefaults: {http: {timeout: 20s}}\nscenarios:\n".to_owned();
    for (name, step) in scenarios {
        text += &format!("  {name}:\n    flow: {step}\n");
    }
    text + "phases:\n" + phase
}

/// A step of the phase's record.
fn step<'a>(record: &'a Value, phase: &str, name: &str) -> &'a Value {
    named(&named(&record["phases"], "name", phase)["steps"], "step", name)
}

#[test]
fn every_fault_is_counted_under_its_own_reason() {
    let slow = Hostile::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(100));
        let _ = stream.write_all(OK.as_bytes());
        Then::Keep
    });
    let resets = Hostile::answering("", Then::Reset);
    let resets_midway = Hostile::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        std::thread::sleep(Duration::from_millis(50));
        Then::Reset
    });
    let hangs_up = Hostile::answering("", Then::Close);
    let fails = Hostile::answering(&answer("500 Internal Server Error", "sorry"), Then::Keep);
    let half = Hostile::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", Then::Close);
    let silent = Hostile::answering("", Then::Stall);
    let stops = Hostile::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", Then::Stall);
    let garbage = Hostile::answering("\u{1}\u{2}\u{3} this is not HTTP\r\n\r\n", Then::Close);
    let endless = Hostile::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        // Headers without an end: more than anyone should keep.
        while stream.write_all(b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").is_ok() {}
        Then::Close
    });
    let tls = untrusted_tls();
    let wrong = Hostile::answering(&answer("200 OK", "{}"), Then::Keep);
    let nobody = free_port();
    let get = |url: &str, name: &str| format!("[{{http: {{get: \"{url}/\", name: {name}}}}}]");
    let scenarios = [
        ("slow", get(&slow.url(), "s")),
        ("resets", get(&resets.url(), "s")),
        ("resets_midway", get(&resets_midway.url(), "s")),
        ("refuses", get(&format!("http://127.0.0.1:{nobody}"), "s")),
        ("unknown", "[{http: {get: \"http://no-such-host.invalid/\", name: s}}]".to_owned()),
        ("hangs_up", get(&hangs_up.url(), "s")),
        ("fails", get(&fails.url(), "s")),
        ("half", get(&half.url(), "s")),
        ("silent", get(&silent.url(), "s, timeout: 400ms")),
        ("stops", get(&stops.url(), "s, timeout: 400ms")),
        ("garbage", get(&garbage.url(), "s")),
        ("endless", get(&endless.url(), "s")),
        ("untrusted", get(&format!("https://127.0.0.1:{}", tls.port), "s")),
        ("plain", get(&format!("https://127.0.0.1:{}", fails.port), "s")),
        ("encrypted", get(&format!("http://127.0.0.1:{}", tls.port), "s")),
        ("wrong", format!("[{{http: {{get: \"{}/\", name: s, expect: {{that: response.json.id == 7}}}}}}]", wrong.url())),
        // Of a variable that an answer may set only the run knows that it is undefined.
        (
            "unsent",
            format!(
                "[{{http: {{get: \"{0}/\", name: first, extract: {{vote_id: $.id}}}}}}, {{http: {{get: \"{0}/{{{{ vote_id }}}}\", name: s}}}}]",
                wrong.url()
            ),
        ),
    ];
    let mut text = profile(&scenarios, "  - name: all\n    duration: 60s\n    load:\n");
    for (name, _) in &scenarios {
        text += &format!("      {name}: {{users: 2, iterations: 3}}\n");
    }
    let bench = Bench::new();
    bench.file("hostile.yml", &text);
    let mut daemon = bench.serve(&["hostile.yml"]);
    daemon.logged("msg=\"run ended\"", 1);
    let record = bench.record();
    accounts_hold(&record);
    for (scenario, reason) in [
        ("slow", None),
        ("resets", Some("reset")),
        ("resets_midway", Some("reset")),
        ("refuses", Some("refused")),
        ("unknown", Some("dns")),
        ("hangs_up", Some("closed")),
        ("fails", Some("status")),
        ("half", Some("protocol")),
        ("silent", Some("timeout")),
        ("stops", Some("timeout")),
        ("garbage", Some("protocol")),
        ("endless", Some("protocol")),
        ("untrusted", Some("tls")),
        ("plain", Some("tls")),
        ("encrypted", Some("protocol")),
        ("wrong", Some("expect")),
        ("unsent", Some("template")),
    ] {
        let steps = record["phases"][0]["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["scenario"] == scenario && step["step"] == "s").unwrap();
        assert_eq!(count(&step["requests"]), 6, "{step:#}");
        let labels = [("profile", "hostile"), ("scenario", scenario), ("phase", "all"), ("step", "s"), ("protocol", "http")];
        let errors = |reason: &str| {
            let labels: Vec<_> = labels.iter().copied().chain([("reason", reason)]).collect();
            daemon.metric("load_request_errors_total", &labels).unwrap_or_default()
        };
        match reason {
            None => assert_eq!(step["errors"], serde_json::json!({}), "{step:#}"),
            Some(reason) => {
                assert_eq!(step["errors"], serde_json::json!({reason: 6}), "{step:#}");
                assert_eq!(errors(reason), 6.0, "{scenario}");
                let sample = &step["samples"][0];
                assert_eq!(sample["reason"], reason);
                assert!(!sample["detail"].as_str().unwrap().is_empty(), "{step:#}");
            }
        }
        assert_eq!(daemon.metric("load_requests_total", &labels), Some(6.0), "{scenario}");
        assert_eq!(
            daemon.metric("load_request_errors_total", &labels).unwrap_or_default(),
            if reason.is_some() { 6.0 } else { 0.0 }
        );
    }
    let steps = record["phases"][0]["steps"].as_array().unwrap();
    let of = |scenario: &str| steps.iter().find(|step| step["scenario"] == scenario).unwrap();
    assert_eq!(of("fails")["codes"], serde_json::json!({"500": 6}));
    assert_eq!(of("fails")["samples"][0]["body"], "sorry");
    assert!(of("slow")["response"]["p50"].as_f64().unwrap() >= 0.1);
    // Timeouts are in the latencies, at their elapsed time; errors that came fast are not.
    assert!(
        of("silent")["response"]["p50"].as_f64().unwrap() >= 0.4 && of("silent")["outcomes"] == serde_json::json!({"timeout": 6})
    );
    assert!(of("resets")["response"]["p50"].is_null());
    assert_eq!(daemon.metric("load_http_responses_total", &[("scenario", "fails"), ("code", "500")]), Some(6.0));
    assert_eq!(daemon.metric("load_connect_failures_total", &[("scenario", "untrusted"), ("reason", "tls")]), Some(6.0));
    assert_eq!(daemon.metric("load_connections", &[]), Some(0.0), "none is left open");
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn a_target_that_was_never_there_is_exit_code_4() {
    let bench = Bench::new();
    let flow = format!("[{{http: {{get: \"http://127.0.0.1:{}/\", name: s}}}}]", free_port());
    let ended = bench.run(&profile(&[("a", flow)], "  - {name: one, duration: 1s, load: {a: {rate: 20/s, max_users: 5}}}\n"));
    assert_eq!(ended.code, Some(4), "{}\n{}", ended.out, ended.err);
    assert!(ended.out.contains("never reached") && ended.out.contains("refused"), "{}", ended.out);
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(step_errors(&record, "one", "s"), serde_json::json!({"refused": 20}));
}

fn step_errors(record: &Value, phase: &str, name: &str) -> Value {
    step(record, phase, name)["errors"].clone()
}

#[test]
fn a_target_that_comes_late_is_used_from_then_on() {
    let bench = Bench::new();
    // Its port is known before it is there: a listener that the kernel lets nobody into is made, and dropped.
    let port = free_port();
    let flow = format!("[{{http: {{get: \"http://127.0.0.1:{port}/\", name: s}}}}]");
    bench.file("late.yml", &profile(&[("a", flow)], "  - {name: one, duration: 4s, load: {a: {rate: 20/s, max_users: 10}}}\n"));
    let mut running = bench.serve(&["late.yml"]);
    running
        .until("a refusal", |running| running.metric("load_request_errors_total", &[("reason", "refused")]).filter(|n| *n > 0.0));
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let serving = std::thread::spawn(move || {
        // Until the run is over; then one more connection comes, of the test.
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut begun = [0; 4];
            if std::io::Read::read_exact(&mut stream, &mut begun).is_err() || &begun == b"stop" {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    running.logged("msg=\"run ended\"", 1);
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(b"stop").unwrap();
    serving.join().unwrap();
    let record = bench.record();
    accounts_hold(&record);
    let outcomes = &step(&record, "one", "s")["outcomes"];
    assert!(count(&outcomes["ok"]) > 0 && count(&outcomes["error"]) > 0, "{outcomes}");
    assert!(!record["reasons"].to_string().contains("never reached"));
}

#[test]
fn a_target_that_dies_midway_leaves_the_run_to_its_end() {
    let bench = Bench::new();
    let target = Hostile::answering(OK, Then::Keep);
    let flow = format!("[{{http: {{get: \"{}/\", name: s}}}}]", target.url());
    let phases = "  - {name: one, duration: 2s, load: {a: {rate: 40/s, max_users: 10}}}\n  - {name: two, duration: 1s, load: {a: {users: 2, pacing: 50ms}}}\n\
                  slos: [{name: errors, require: [errors < 1%]}]\n";
    bench.file("dies.yml", &profile(&[("a", flow)], phases));
    let running = crate::support::program::Running::start(
        bench.command(&["run", "--web.listen-address=127.0.0.1:0", "dies.yml"]),
        bench.path(),
    );
    let mut running = running;
    running.until("requests", |_| (target.requests() >= 10).then_some(()));
    drop(target);
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    accounts_hold(&record);
    let one = step(&record, "one", "s");
    assert!(count(&one["outcomes"]["ok"]) >= 10 && count(&one["errors"]["refused"]) > 0, "{one:#}");
    assert_eq!(named(&record["phases"][0]["scenarios"], "scenario", "a")["due"], 80);
    let two = step(&record, "two", "s");
    assert!(count(&two["requests"]) > 0 && two["requests"] == two["errors"]["refused"], "{two:#}");
}

#[test]
fn a_stalled_target_costs_arrivals_not_the_run() {
    let bench = Bench::new();
    let target = Hostile::answering("", Then::Stall);
    let flow = format!("[{{http: {{get: \"{}/\", name: s, timeout: 400ms}}}}]", target.url());
    // Five users whose requests take 400 ms each: 12.5 of 50 a second, the rest finds nobody free.
    let ended = bench.run(&profile(
        &[("a", flow)],
        "  - {name: one, duration: 2s, load: {a: {rate: 50/s, max_users: 5}}}\nslos: [{name: all, require: [dropped < 50%]}]\n",
    ));
    assert_eq!(ended.code, Some(1), "the target's fault, not the generator's: {}\n{}", ended.out, ended.err);
    let record = bench.record();
    accounts_hold(&record);
    let scenario = &record["phases"][0]["scenarios"][0];
    assert_eq!(scenario["due"], 100);
    assert!(count(&scenario["dropped_reasons"]["busy"]) > 60, "{scenario:#}");
    assert_eq!(step(&record, "one", "s")["outcomes"], serde_json::json!({"timeout": count(&scenario["started"])}));
    assert_eq!(record["generator"]["saturated"], false);
}

#[test]
fn what_hangs_at_the_end_is_cut_off_after_the_drain() {
    let bench = Bench::new();
    let target = Hostile::answering("", Then::Stall);
    let flow = format!("[{{http: {{get: \"{}/\", name: s, timeout: 10m}}}}]", target.url());
    let ended = bench.run(&profile(&[("a", flow)], "  - {name: one, duration: 1s, drain: 500ms, load: {a: {users: 3}}}\n"));
    assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(step(&record, "one", "s")["outcomes"], serde_json::json!({"interrupted": 3}));
    assert_eq!(record["phases"][0]["scenarios"][0]["iterations_interrupted"], 3);
}

#[test]
fn running_out_of_descriptors_is_an_error_not_an_end() {
    let bench = Bench::new();
    let target = Hostile::answering(OK, Then::Keep);
    // A condition: how many will come to it isn't known beforehand, so the run isn't refused.
    let flow = format!("[{{http: {{get: \"{}/\", name: s}}, if: user >= 0}}]", target.url());
    let phase = "  - {name: one, duration: 2s, load: {a: {users: 100, pacing: 100ms}}}\n";
    bench.file("many.yml", &profile(&[("a", flow)], phase));
    let program = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "many.yml"]);
    let mut command = std::process::Command::new("/bin/sh");
    command.env_clear().current_dir(bench.path());
    command.args(["-c", "ulimit -n 60; exec \"$0\" \"$@\""]).arg(program.get_program()).args(program.get_args());
    let ended = crate::support::program::Running::start(command, bench.path()).wait();
    // A busy machine may be late for a hundred users at once.
    assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err);
    assert!(ended.err.contains("ulimit -n"), "it is reported beforehand: {}", ended.err);
    let record = bench.record();
    accounts_hold(&record);
    let step = step(&record, "one", "s");
    assert!(count(&step["outcomes"]["ok"]) > 0 && count(&step["errors"]["local"]) > 0, "{step:#}");
    assert_eq!(step["errors"].as_object().unwrap().len(), 1, "nothing is put down to the target: {step:#}");
    assert!(step["samples"][0]["detail"].as_str().unwrap().contains("too many open files: raise `ulimit -n`"), "{step:#}");
}

#[test]
fn connections_that_the_target_closes_when_idle_are_opened_anew_unseen() {
    let bench = Bench::new();
    let target = Hostile::start(|_, stream| {
        let _ = stream.write_all(OK.as_bytes());
        std::thread::sleep(Duration::from_millis(20));
        Then::Close // without a word of it
    });
    let flow = format!("[{{http: {{get: \"{}/\", name: s}}}}, {{think: 150ms}}]", target.url());
    bench.run(&profile(&[("a", flow)], "  - {name: one, duration: 30s, load: {a: {users: 3, iterations: 5}}}\n"));
    let record = bench.record();
    assert_eq!(step(&record, "one", "s")["outcomes"], serde_json::json!({"ok": 15}), "{}", record["phases"][0]["steps"]);
    assert_eq!(target.connections(), 15 + 1, "one is the look before the run");
    assert_eq!(record["phases"][0]["scenarios"][0]["connections"][0]["connects"], 15);
}

#[test]
fn bytes_that_come_late_on_an_idle_connection_are_shown_though_no_request_failed() {
    let bench = Bench::new();
    let target = Hostile::start(|_, stream| {
        let _ = stream.write_all(OK.as_bytes());
        // Long enough for the answer to have ended before, on any machine.
        std::thread::sleep(Duration::from_millis(500));
        let _ = stream.write_all(b"HTTP/1.1 408 Too Late\r\n\r\n"); // the client may have gone
        Then::Keep
    });
    let flow = format!("[{{http: {{get: \"{}/\", name: s}}}}, {{think: 1500ms}}]", target.url());
    bench.run(&profile(&[("a", flow)], "  - {name: one, duration: 30s, load: {a: {users: 1, iterations: 3}}}\n"));
    let record = bench.record();
    let step = step(&record, "one", "s");
    assert_eq!(step["outcomes"], serde_json::json!({"ok": 3}), "{step:#}");
    let sample = &step["samples"][0];
    assert_eq!(sample["reason"], "protocol", "{step:#}");
    let detail = sample["detail"].as_str().unwrap();
    assert!(detail.contains("belong to no answer; they came late"), "{detail}");
}

#[test]
fn a_failed_step_leads_where_the_profile_says() {
    let bench = Bench::new();
    let fails = Hostile::answering(&answer("503 Service Unavailable", "later"), Then::Keep);
    let works = Hostile::answering(OK, Then::Keep);
    let mut text = "name: hostile\nscenarios:\n".to_owned();
    for kind in ["end_iteration", "continue", "end_user"] {
        text += &format!(
            "  {kind}:\n    flow:\n      - http: {{get: \"{}/\", name: {kind}-first}}\n        on_error: {kind}\n      - http: {{get: \"{}/\", name: {kind}-second}}\n",
            fails.url(),
            works.url()
        );
    }
    text += "phases:\n  - name: one\n    duration: 2s\n    load:\n";
    for kind in ["end_iteration", "continue"] {
        text += &format!("      {kind}: {{users: 2, iterations: 4}}\n");
    }
    text += "      end_user: {users: 3, pacing: 10ms}\n";
    let ended = bench.run(&text);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    let requests = |step_name: &str| {
        let steps = record["phases"][0]["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == step_name).map_or(0, |step| count(&step["requests"]))
    };
    assert_eq!((requests("end_iteration-first"), requests("end_iteration-second")), (8, 0));
    assert_eq!((requests("continue-first"), requests("continue-second")), (8, 8));
    assert_eq!((requests("end_user-first"), requests("end_user-second")), (3, 0), "a user that has ended doesn't come back");
    let scenario = |name| named(&record["phases"][0]["scenarios"], "scenario", name);
    assert_eq!(scenario("end_iteration")["iterations_failed"], 8);
    assert_eq!((&scenario("continue")["iterations"], &scenario("continue")["iterations_failed"]), (&8.into(), &0.into()));
}

#[test]
fn a_step_may_end_the_run() {
    let bench = Bench::new();
    let target = Hostile::start(|request, stream| {
        let text = if request.number < 5 { OK.to_owned() } else { answer("500 Internal Server Error", "boom") };
        let _ = stream.write_all(text.as_bytes());
        Then::Keep
    });
    let flow = format!("[{{http: {{get: \"{}/\", name: s}}, on_error: abort_run}}]", target.url());
    let phases = "  - {name: one, duration: 60s, drain: 1s, load: {a: {users: 1, pacing: 10ms}}}\n  - {name: two, duration: 60s, load: {a: {users: 1}}}\n";
    let ended = bench.run(&profile(&[("a", flow)], phases));
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    assert!(ended.took < Duration::from_secs(30));
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(record["verdict"], "fail");
    let stopped = record["stopped"].as_str().unwrap();
    assert!(stopped.contains('s') && stopped.contains("500"), "{stopped}");
    assert_eq!(record["phases"].as_array().unwrap().len(), 1, "what comes after is skipped");
    assert_eq!(step(&record, "one", "s")["requests"], 6);
}
