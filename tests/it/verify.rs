//! What verify, set-up and teardown say of a check that fails, what they measure, and what they know of requests that were lost.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::http;
use crate::support::process::free_port;
use crate::support::program::{Bench, count, named};
use serde_json::{Value, json};

/// A ballot box: POST /votes counts one, GET /votes says how many there are. Of ten posts one is counted and its connection closed
/// without an answer, one is counted and the connection reset, one is counted and its answer breaks off, and one is answered 500 without
/// being counted. GET /echo repeats the header `authorization`.
fn ballots() -> Hostile {
    let (cast, posts) = (AtomicU64::new(0), AtomicU64::new(0));
    Hostile::start(move |request, stream| {
        let text = match (request.head.split(' ').next().unwrap(), request.path.as_str()) {
            ("POST", "/votes") => {
                let number = posts.fetch_add(1, Ordering::Relaxed) % 10;
                if number == 7 {
                    answer("500 Internal Server Error", "{}")
                } else {
                    cast.fetch_add(1, Ordering::Relaxed);
                    match number {
                        1 => return Then::Close,
                        4 => return Then::Reset,
                        9 => {
                            let _ = stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{"); // the client may be gone
                            return Then::Close;
                        }
                        _ => answer("201 Created", "{}"),
                    }
                }
            }
            ("GET", "/echo") => {
                let header = request.head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
                answer("200 OK", &json!({"said": header, "token": "t-of-the-answer", "count": 3}).to_string())
            }
            ("GET", _) => answer("200 OK", &json!({"total": cast.load(Ordering::Relaxed)}).to_string()),
            _ => answer("200 OK", "{}"),
        };
        let _ = stream.write_all(text.as_bytes()); // the client may be gone
        Then::Keep
    })
}

fn profile(server: &Hostile, rest: &str) -> String {
    format!(
        "name: verify\ndefaults: {{http: {{base_url: '{}', timeout: 20s}}}}\nmetrics: {{votes_total: {{type: counter}}}}\n{rest}",
        server.url()
    )
}

fn stage<'a>(record: &'a Value, name: &str) -> &'a Value {
    named(&record["stages"], "name", name)
}

#[test]
fn what_an_iteration_that_was_cut_off_did_not_count_fails_no_verify() {
    let cast = std::sync::Arc::new(AtomicU64::new(0));
    let server = Hostile::start({
        let cast = cast.clone();
        move |request, stream| {
            let post = request.head.starts_with("POST");
            cast.fetch_add(u64::from(post), Ordering::Relaxed);
            let text = json!({"total": cast.load(Ordering::Relaxed)}).to_string();
            let _ = stream.write_all(answer("200 OK", &text).as_bytes()); // the client may be gone
            Then::Keep
        }
    });
    let bench = Bench::new();
    let rest = "scenarios: {voters: {flow: [{http: {post: /votes, name: vote, json: {}}}, {think: 60s}, {count: {votes_total: 1}}]}}
phases: [{name: one, duration: 500ms, drain: 100ms, load: {voters: {users: 5}}}]
verify: {flow: {http: {get: /votes, name: ledger, check: {all: \"response.json.total <= metric('votes_total') + lost('vote')\"}}}}";
    let ended = bench.run(&profile(&server, rest));
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    assert!(
        ended.out.contains("Verify is inconclusive, since 5 iterations were cut off when their drain ended"),
        "{}",
        ended.out
    );
    // The same where the run's own number alone is looked at, and one more.
    for (at_least, code) in [(5, 3), (6, 1)] {
        let own = rest.replace(
            "response.json.total <= metric('votes_total') + lost('vote')",
            &format!("metric('votes_total') >= {at_least}"),
        );
        let ended = bench.run(&profile(&server, &own));
        assert_eq!(ended.code, Some(code), "{}\n{}", ended.out, ended.err);
    }
    cast.store(0, Ordering::Relaxed);
    // One more than they can have left out is the target's doing.
    cast.store(1, Ordering::Relaxed);
    let ended = bench.run(&profile(&server, rest));
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
}

#[test]
fn iterations_that_were_cut_off_account_for_nothing_that_they_could_not_have_counted() {
    // Loses the first vote, and answers none of those that are posted elsewhere.
    let cast = std::sync::Arc::new(AtomicU64::new(0));
    let server = Hostile::start({
        let cast = cast.clone();
        move |request, stream| {
            if request.path == "/gone" {
                return Then::Close;
            }
            let before = cast.fetch_add(u64::from(request.head.starts_with("POST")), Ordering::Relaxed);
            let text = json!({"total": before.saturating_sub(1)}).to_string();
            let _ = stream.write_all(answer("200 OK", &text).as_bytes()); // the client may be gone
            Then::Keep
        }
    });
    let bench = Bench::new();
    let vote = "{http: {post: /votes, name: vote, json: {}}}";
    let votes = format!("{vote}, {{count: {{votes_total: 1}}}}");
    let (once, all) = ("{users: 5, iterations: 1}", "{users: 5}");
    let idlers = ", idlers: {users: 3}";
    let (equal, more) = ("response.json.total == metric('votes_total')", "response.json.total + 3 == metric('votes_total')");
    for (voters, load, beside, check, code) in [
        // Others were.
        (votes.clone(), once, idlers, equal, 1),
        (votes.clone(), once, idlers, "metric('votes_total') >= 6", 1),
        ("{http: {post: /gone, name: vote, json: {}}}".to_owned(), once, idlers, "lost('vote') == 0", 1),
        // They had counted.
        (format!("{votes}, {{think: 60s}}"), all, "", equal, 1),
        (format!("{votes}, {{think: 60s}}"), all, "", "metric('votes_total') >= 6", 1),
        // What was cut off would have counted more, and never less.
        (format!("{vote}, {{repeat: {{times: 2, flow: [{{count: {{votes_total: 1}}}}, {{think: 60s}}]}}}}"), all, "", equal, 1),
        (votes.clone(), once, "", "response.json.total >= metric('votes_total')", 1),
        // They might have counted, or nobody knows what they would have done.
        (format!("{vote}, {{think: 60s}}, {{count: {{votes_total: 1}}}}"), all, "", equal, 3),
        (format!("{vote}, {{repeat: {{times: 2, flow: [{{count: {{votes_total: 1}}}}, {{think: 60s}}]}}}}"), all, "", more, 3),
        (votes.clone(), once, idlers, "response.json.total == 5", 3),
        // An answer takes the time that it takes.
        (votes.clone(), once, idlers, "response.duration > 100", 1),
    ] {
        cast.store(0, Ordering::Relaxed);
        let rest = format!(
            "scenarios: {{voters: {{flow: [{voters}]}}, idlers: {{flow: [{{http: {{get: /, name: look}}}}, {{think: 60s}}]}}}}
phases: [{{name: one, duration: 700ms, drain: 100ms, load: {{voters: {load}{beside}}}}}]
verify: {{flow: {{http: {{get: /votes, name: ledger, check: {{all: \"{check}\"}}}}}}}}"
        );
        let ended = bench.run(&profile(&server, &rest));
        assert_eq!(ended.code, Some(code), "{voters}, {check}: {}\n{}", ended.out, ended.err);
    }
}

#[test]
fn a_request_that_was_cut_off_accounts_for_itself_and_nothing_else() {
    // Counts what is posted; answers no vote behind `from`. GET says how many came, how many were answered, and so many more as it asks for.
    let (came, answered) = (std::sync::Arc::new(AtomicU64::new(0)), std::sync::Arc::new(AtomicU64::new(0)));
    let server = Hostile::start({
        let (came, answered) = (came.clone(), answered.clone());
        move |request, stream| {
            if request.head.starts_with("POST") {
                let number = came.fetch_add(1, Ordering::Relaxed);
                if number >= 6 {
                    return Then::Stall;
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            let (came, answered) = (came.load(Ordering::Relaxed), answered.load(Ordering::Relaxed));
            let text =
                json!({"came": came, "more": came + 1, "answered": answered, "fewer": answered - answered.min(1)}).to_string();
            let _ = stream.write_all(answer("200 OK", &text).as_bytes()); // the client may be gone
            Then::Keep
        }
    });
    let bench = Bench::new();
    let (vote, count) = ("{http: {post: /votes, name: vote, json: {}}}", "{count: {votes_total: 1}}");
    let behind = format!("flow: [{vote}, {count}, {{think: 50ms}}]");
    let before = format!("flow: [{count}, {vote}, {{think: 50ms}}]");
    let start = format!("start: [{vote}, {count}], flow: [{{think: 50ms}}]");
    let equal = "response.json.came == metric('votes_total')";
    for (scenario, users, check, code) in [
        (&behind, 4, equal, 3),
        // One that none of those can be.
        (&behind, 4, "response.json.more == metric('votes_total')", 1),
        (&behind, 4, "response.json.fewer >= metric('votes_total')", 1),
        (&behind, 4, "response.json.came <= metric('votes_total') + lost('vote')", 0),
        (&behind, 4, "response.json.more <= metric('votes_total') + lost('vote')", 1),
        (&behind, 4, "response.json.came | string == metric('votes_total') | string", 3),
        (&before, 4, "response.json.answered == metric('votes_total')", 3),
        (&before, 4, "response.json.fewer == metric('votes_total')", 1),
        (&start, 8, equal, 3),
        (&start, 8, "response.json.fewer >= metric('votes_total')", 1),
    ] {
        for eventually in [false, true] {
            came.store(0, Ordering::Relaxed);
            answered.store(0, Ordering::Relaxed);
            let ledger = format!("{{http: {{get: /votes, name: ledger, check: {{all: \"{check}\"}}}}}}");
            let verify = match eventually {
                true => format!("{{eventually: {{within: 200ms, every: 100ms, flow: [{ledger}]}}}}"),
                false => ledger,
            };
            let rest = format!(
                "scenarios: {{voters: {{{scenario}}}}}
phases: [{{name: one, duration: 700ms, drain: 100ms, load: {{voters: {{users: {users}}}}}}}]
verify: {{flow: [{verify}]}}"
            );
            let ended = bench.run(&profile(&server, &rest));
            assert_eq!(ended.code, Some(code), "{scenario}, {check}, {eventually}: {}\n{}", ended.out, ended.err);
        }
    }
}

#[test]
fn lost_requests_are_known_to_verify() {
    let (server, bench) = (ballots(), Bench::new());
    let away = free_port();
    let rest = format!(
        "scenarios:
  voters: {{flow: [{{http: {{post: /votes, name: vote, json: {{}}}}}}, {{count: {{votes_total: 1}}}}]}}
  strays: {{flow: [{{http: {{post: 'http://127.0.0.1:{away}/votes', name: vote}}}}]}}
phases:
  - {{name: one, duration: 1s, load: {{voters: {{rate: 60/s, max_users: 60}}, strays: {{rate: 5/s, max_users: 5}}}}}}
  - {{name: two, duration: 500ms, judge: false, load: {{voters: {{rate: 40/s, max_users: 40}}}}}}
verify:
  flow:
    - http:
        get: /votes
        name: ledger
        check:
          each_counted: response.json.total >= metric('votes_total')
          none_invented: response.json.total <= metric('votes_total') + lost('vote')
          exactly: response.json.total == metric('votes_total') + lost('vote')
          nothing_lost_here: lost('vote') == 0
"
    );
    let ended = bench.run(&profile(&server, &rest));
    let record = bench.record();
    let checks = &stage(&record, "verify")["checks"];
    for held in ["each_counted", "none_invented", "exactly"] {
        assert_eq!(named(checks, "name", held)["passed"], 1, "{}\n{record:#}", ended.out);
    }
    let phases = record["phases"].as_array().unwrap().iter();
    let steps = phases.flat_map(|phase| phase["steps"].as_array().unwrap());
    let (mut of_voters, mut of_strays) = (0, 0);
    for step in steps {
        if step["scenario"] == "strays" {
            of_strays += count(&step["lost"]);
            assert_eq!(step["errors"], json!({"refused": step["requests"]}), "{step:#}");
        } else {
            of_voters += count(&step["lost"]);
            // Some may have been interrupted; what was answered isn't lost.
            let (status, errors) = (count(&step["errors"]["status"]), &step["errors"]);
            let failed: u64 = errors.as_object().unwrap().values().map(count).sum();
            assert!(status > 0 && count(&step["lost"]) >= failed - status, "{step:#}");
        }
    }
    assert!(of_voters >= 20 && of_strays == 0, "{of_voters} {of_strays}");
    let sentence = format!(
        "Verify failed: the check `nothing_lost_here` of the step `ledger` failed: lost('vote') == 0 was {of_voters} == 0."
    );
    assert!(ended.code == Some(1) && ended.out.contains(&sentence), "{sentence}\n{}", ended.out);
    assert_eq!(named(checks, "name", "nothing_lost_here")["detail"], format!("lost('vote') == 0 was {of_voters} == 0"));
}

#[test]
fn a_check_that_fails_says_how() {
    let (server, bench) = (ballots(), Bench::new());
    let rest = "vars: {api_token: 'tok3n-of-vars'}
scenarios:
  users: {flow: [{http: {get: /votes, name: later, check: {enough: response.json.total > 5}}}]}
phases: [{name: steady, duration: 600ms, load: {users: {users: 2, pacing: 100ms}}}]
verify:
  flow:
    - http:
        get: /echo
        name: last
        headers: {authorization: 'Bearer s3cr3t-of-a-header'}
        check:
          sufficient: response.headers['x-count'] > 5
          all: response.json.count == 3 and response.json.count + 1 == 5
          silent: response.json.said == 'nothing'
          same: response.json.token == api_token
          holds: response.json.count == 3
";
    let ended = bench.run(&profile(&server, rest));
    let record = bench.record();
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    let checks = &stage(&record, "verify")["checks"];
    for (check, how) in [
        (
            "sufficient",
            "response.headers['x-count'] > 5 could not be evaluated: `response.headers['x-count']` is undefined and can't be compared",
        ),
        (
            "all",
            "response.json.count == 3 and response.json.count + 1 == 5 did not hold: response.json.count + 1 == 5 was 4 == 5",
        ),
        ("silent", r#"response.json.said == 'nothing' was "***" == "nothing""#),
        ("same", "response.json.token == api_token was *** == ***"),
    ] {
        let found = &named(checks, "name", check)["detail"];
        assert_eq!(found, how, "{found}");
        let sentence = format!("Verify failed: the check `{check}` of the step `last` failed: {how}.");
        assert!(record["reasons"].as_array().unwrap().iter().any(|reason| *reason == sentence), "{:#}", record["reasons"]);
        // The summary and the log have it too.
        assert!(ended.out.contains(&sentence), "{sentence}\n{}", ended.out);
    }
    assert_eq!(named(checks, "name", "holds")["detail"], Value::Null);
    for secret in ["s3cr3t-of-a-header", "tok3n-of-vars", "t-of-the-answer"] {
        let stored = bench.left();
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret) && !stored.contains(secret), "{secret}");
    }
}

#[test]
fn of_checks_under_load_the_log_has_one_in_a_while() {
    let (server, bench) = (ballots(), Bench::new());
    let rest = "scenarios:
  users: {flow: [{http: {get: /votes, name: later, check: {enough: response.json.total > 5}}}]}
phases: [{name: steady, duration: 1s, load: {users: {users: 1, iterations: 20}}}]
";
    let path = bench.file("checks.yml", &profile(&server, rest));
    let mut command = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "--log.level=info"]);
    let output = command.arg(&path).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = err.lines().filter(|line| line.contains("a check failed")).collect();
    assert_eq!(lines.len(), 1, "{err}");
    assert!(lines[0].contains("enough") && lines[0].contains("response.json.total > 5 was 0 > 5"), "{err}");
}

#[test]
fn what_set_up_uploads_is_measured() {
    let (server, bench) = (ballots(), Bench::new());
    let rest = "trace: true
setup: {flow: [{http: {post: /up, name: first, multipart: [{name: file, random: 1MB}]}}]}
scenarios: {users: {flow: [{http: {post: /up, name: later, multipart: [{name: file, random: 1MB}]}}]}}
phases: [{name: steady, duration: 60s, load: {users: {users: 1, pacing: 500ms}}}]
";
    bench.file("profile.yml", &profile(&server, rest));
    let port = free_port();
    let mut running = bench.serve(&[&format!("--web.listen-address=127.0.0.1:{port}"), "profile.yml"]);
    let labels = [("phase", "setup"), ("step", "first")];
    let uploads = |running: &crate::support::program::Running| running.metric("load_upload_bytes_per_second_count", &labels);
    assert_eq!(running.until("set-up to be over", |running| uploads(running).filter(|count| *count > 0.0)), 1.0);
    // And its requests have exemplars, where they carry traces.
    let (_, page) = http::ask(port, "GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n").unwrap();
    let of_setup = |line: &&str| line.starts_with("load_response_duration_seconds_bucket{") && line.contains("phase=\"setup\"");
    assert!(page.lines().filter(of_setup).any(|line| line.contains("# {trace_id=")), "{page}");
    running.stop();
    let record = bench.record();
    let transfers = &stage(&record, "setup")["transfers"];
    assert_eq!((&transfers[0]["step"], &transfers[0]["upload"]["count"]), (&json!("first"), &json!(1)), "{transfers:#}");
}
