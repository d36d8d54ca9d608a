//! GET `/api/v1/status` and the log while a run goes on and once it is over: how it stands, what fails, and no secret.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::http;
use crate::support::program::{Bench, Running, count, named};
use serde_json::{Value, json};

/// A target that fails on /broken and says all that it was sent.
fn talkative() -> Hostile {
    Hostile::start(|request, stream| {
        let status = if request.path.starts_with("/broken") { "503 Service Unavailable" } else { "200 OK" };
        let body = format!("you said: {}", request.head.replace("\r\n", " "));
        let _ = stream.write_all(answer(status, &body).as_bytes()); // the client may be gone
        Then::Keep
    })
}

const SECRET: &str = "hush-hush-7319";

fn profile(url: &str) -> String {
    format!(
        "name: watched
defaults: {{http: {{base_url: \"{url}\", headers: {{authorization: \"Bearer ${{API_TOKEN}}\"}}}}, on_error: continue}}
setup: {{flow: [{{http: {{get: /, name: prepare}}}}]}}
scenarios:
  a: {{flow: [{{http: {{get: /, name: home}}}}, {{http: {{get: /broken, name: broken}}}}, {{think: 20ms}}]}}
phases:
  - {{name: first, duration: 500ms, load: {{a: {{users: 2}}}}}}
  - {{name: second, duration: 60s, load: {{a: {{users: 4}}}}}}
slos: [{{name: answers, require: [errors < 90%]}}]
"
    )
}

fn status(running: &Running) -> Value {
    let all: Value = serde_json::from_str(&running.page("/api/v1/status")).unwrap();
    assert_eq!((all["version"].as_str(), &all["ready"]), (Some(env!("CARGO_PKG_VERSION")), &json!(true)));
    all["profiles"][0].clone()
}

#[test]
fn a_program_can_ask_how_a_run_stands_and_what_fails() {
    let target = talkative();
    let bench = Bench::new();
    bench.file("watched.yml", &profile(&target.url()));
    let secret = format!("API_TOKEN={SECRET}");
    let mut running = bench.serve(&["watched.yml", "--set", &secret]);
    let now = running.until("the second phase under way", |running| {
        let now = status(running);
        let judged = now["phases"].as_array().is_some_and(|phases| !phases.is_empty());
        let loaded = now["phase"] == "second" && now["users"] == 4 && now["rate"].is_f64() && count(&now["errors"]) > 10;
        (judged && loaded && !now["slos"].as_array()?.is_empty()).then_some(now)
    });
    assert_eq!((&now["profile"], &now["state"], &now["verdict"]), (&json!("watched"), &json!("running"), &json!(null)));
    assert!(now["run"].as_str().unwrap().ends_with("-watched") && now["elapsed"].as_f64() > now["phase_elapsed"].as_f64());
    assert_eq!((&now["phase_duration"], &now["duration"], &now["users_wanted"]), (&json!(60.0), &json!(60.5), &json!(4)));
    assert!(count(&now["requests"]) > count(&now["errors"]) && now["p95"].as_f64() > Some(0.0), "{now:#}");
    assert_eq!(named(&now["stages"], "name", "setup"), &json!({"name": "setup", "ok": true, "error": null}));
    assert_eq!(named(&now["phases"], "name", "first")["judged"], true);
    assert_eq!(named(&now["slos"], "name", "answers")["requirement"], "errors < 90%");
    let example = named(&now["examples"], "phase", "first");
    assert_eq!((&example["scenario"], &example["step"]), (&json!("a"), &json!("broken")));
    assert_eq!((&example["reason"], &example["status"]), (&json!("status"), &json!(503)));
    assert!(example["body"].as_str().unwrap().starts_with("you said: GET /broken"), "{example:#}");
    // A few of the many, and the log has fewer still.
    let examples = now["examples"].as_array().unwrap().len();
    assert!((2..=20).contains(&examples), "{examples}");
    let lines = running.err().matches("a step failed").count();
    assert!((1..=5).contains(&lines), "{lines} of {}:\n{}", now["errors"], running.err());
    assert!(running.err().contains("step=broken") && running.err().contains("status=503"), "{}", running.err());

    let page = running.page("/api/v1/status");
    assert!(page.contains("***") && !page.contains(SECRET) && !running.err().contains(SECRET), "{page}");
    running.stop();
}

#[test]
fn in_the_foreground_too_and_once_it_is_over() {
    let target = talkative();
    let bench = Bench::new();
    let short = profile(&target.url()).replace("duration: 60s", "duration: 300ms");
    bench.file("watched.yml", &format!("{short}schedule: {{every: 1h}}\n"));
    let secret = format!("API_TOKEN={SECRET}");
    let mut running = bench.serve(&["watched.yml", "--set", &secret]);
    let over = running.until("the run's end", |running| {
        Some(status(running)).filter(|now| now["state"] == "waiting" && now["last_verdict"].is_string())
    });
    assert_eq!(over["verdict"], over["last_verdict"]);
    assert_eq!((&over["phase"], &over["users"], over["phases"].as_array().unwrap().len()), (&json!(""), &json!(0), 2));
    assert!(
        over["stored"].as_str().unwrap().contains("-watched")
            && over["next"].as_f64().unwrap() > over["started"].as_f64().unwrap() + 3590.0,
        "{over:#}"
    );
    running.stop();

    let command =
        bench.command(&["run", "watched.yml", "--set", &secret, "--web.listen-address=127.0.0.1:0", "--log.level=debug"]);
    let ended = Running::start(command, bench.path()).wait();
    assert!(matches!(ended.code, Some(0 | 3)), "{}", ended.err);
    assert!(ended.err.contains("a step failed") && !ended.err.contains(SECRET), "{}", ended.err);
}

#[test]
fn who_is_prepared_is_reported_and_a_stop_meanwhile_ends_at_once_with_right_books() {
    let silent = Hostile::start(|_, _| Then::Stall);
    let bench = Bench::new();
    let text = format!(
        "name: prepared
defaults: {{http: {{base_url: \"{}\", timeout: 10m}}}}
scenarios:
  a: {{start: {{http: {{get: /login, name: login}}}}, start_within: 10m, flow: [{{http: {{get: /, name: home}}}}]}}
phases: [{{name: first, duration: 60s, load: {{a: {{rate: 10/s, users: 3}}}}}}]
",
        silent.url()
    );
    bench.file("prepared.yml", &text);
    let mut running = bench.serve(&["prepared.yml"]);
    let now = running.until("the preparation", |running| {
        let at_start = running.metric("load_users", &[]) == Some(3.0);
        Some(status(running)).filter(|now| at_start && now["note"] == "preparing users: 0 of 3")
    });
    assert_eq!((&now["phase"], &now["phase_elapsed"], &now["phase_duration"]), (&json!("first"), &json!(0.0), &json!(60.0)));
    let began = Instant::now();
    let ended = running.stop();
    // One that waited for the starts, or for their drain, would take half a minute at least.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}\n{}", began.elapsed(), ended.err);
    assert!(ended.err.contains("preparing users"), "{}", ended.err);
    let record = bench.record();
    let first = named(&record["phases"], "name", "first");
    assert_eq!(first["started"], first["ended"], "its clock never began");
    let login = named(&first["steps"], "step", "login");
    assert_eq!((count(&login["requests"]), count(&login["outcomes"]["interrupted"])), (3, 3), "{login:#}");
    assert_eq!(count(&named(&first["scenarios"], "scenario", "a")["due"]), 0);
}

#[test]
fn after_a_restart_the_last_run_is_reported_as_it_was_and_of_one_that_never_was_nothing() {
    let target = talkative();
    let bench = Bench::new();
    let short = profile(&target.url()).replace("duration: 60s", "duration: 300ms");
    bench.file("watched.yml", &short);
    let later = "schedule: {cron: \"0 2 31 12 *\"}\n";
    bench.file("never.yml", &format!("{}{later}", short.replace("name: watched", "name: never")));
    let secret = format!("API_TOKEN={SECRET}");
    let mut running = bench.serve(&["watched.yml", "never.yml", "--set", &secret]);
    running.is_ready();
    let over = running.until("the run's end", |running| Some(status(running)).filter(|now| now["state"] == "done"));
    running.stop();
    bench.file("watched.yml", &format!("{short}{later}"));
    let mut running = bench.serve(&["watched.yml", "never.yml", "--set", &secret]);
    running.is_ready();
    let again = running.until("the next run", |running| Some(status(running)).filter(|now| now["next"].is_f64()));
    assert_eq!((&again["state"], &again["phase"]), (&json!("waiting"), &json!("")));
    for key in ["run", "stored", "last_verdict", "verdict", "reasons", "requests", "errors", "stages", "slos", "users", "away"] {
        assert_eq!(again[key], over[key], "{key}: {again:#}");
    }
    let names = |of: &Value| of["phases"].as_array().unwrap().iter().map(|phase| phase["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&again), names(&over));
    let seconds = |of: &Value, key: &str| of[key].as_f64().unwrap();
    assert!((seconds(&again, "started") - seconds(&over, "started")).abs() < 1.0, "{again:#}");
    assert!((seconds(&again, "elapsed") - seconds(&over, "elapsed")).abs() < 1.0, "{again:#}");
    assert!(!again["examples"].as_array().unwrap().is_empty() && again["examples"][0]["step"] == "broken", "{again:#}");
    // What the record doesn't hold.
    assert!(again["duration"].is_null() && again["rate"].is_null() && again["p95"].is_null(), "{again:#}");
    let page = running.page("/api/v1/status");
    let all: Value = serde_json::from_str(&page).unwrap();
    let never = &all["profiles"][1];
    for key in ["run", "started", "stored", "last_verdict", "verdict", "duration", "rate", "p95", "fault"] {
        assert!(never[key].is_null(), "{key}: {never:#}");
    }
    assert_eq!((&never["requests"], &never["phases"], &never["slos"]), (&json!(0), &json!([]), &json!([])));
    running.stop();
}

#[test]
fn a_stored_run_that_cannot_be_read_is_told_once() {
    let bench = Bench::new();
    let later = "schedule: {cron: \"0 2 31 12 *\"}";
    let profile = |rest: &str| {
        bench.file(
            "a.yml",
            &format!(
                "name: a\ndefaults: {{http: {{base_url: builtin}}}}\nscenarios: {{s: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases: [{{name: one, duration: 200ms, load: {{s: {{users: 1}}}}}}]\n{rest}\n"
            ),
        );
    };
    profile(later);
    assert_eq!(bench.run_files(&["a.yml"], &[]).code, Some(0));
    let run =
        std::fs::read_dir(bench.path().join("runs")).unwrap().flatten().find(|entry| entry.path().join("run.json").is_file());
    let file = run.unwrap().path().join("run.json");
    std::fs::write(&file, &std::fs::read_to_string(&file).unwrap()[..200]).unwrap();
    let mut daemon = bench.serve(&["--web.enable-lifecycle", "a.yml"]);
    daemon.is_ready();
    profile(&format!("{later}\nseed: 9"));
    assert_eq!(http::post(daemon.port, "/-/reload").unwrap().0, 200);
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let warned: Vec<&str> = ended.err.lines().filter(|line| line.contains("can't be read")).collect();
    let [warned] = warned[..] else { panic!("{}", ended.err) };
    assert!(
        warned.contains("level=warn") && warned.contains("profile=a") && warned.contains("run.json is not a record of a run"),
        "{warned}"
    );
}
