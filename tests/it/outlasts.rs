//! What a phase's drain cuts off of a scenario that goes on in the next phase: it is unknown where it was due, whatever it is part of.

use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::doubts::verdicts;
use crate::support::hostile::{Hostile, Then, answer};

/// Answers each line but for those that say `two`, of which each other connection gets none.
fn half() -> Hostile {
    let connections = AtomicU64::new(0);
    Hostile::scripted(move |stream| {
        let hangs = connections.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let Ok(reading) = stream.try_clone() else { return Then::Close };
        for line in BufReader::new(reading).lines().map_while(Result::ok) {
            if hangs && line.contains("two") {
                return Then::Stall;
            }
            let _ = stream.write_all(b"ok\n"); // the client may be gone
        }
        Then::Close
    })
}

/// Answers every other request of a path that ends with `2`, and all others.
fn every_other() -> Hostile {
    let second = AtomicU64::new(0);
    Hostile::start(move |request, stream| {
        if request.head.starts_with("GET /2") && second.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            return Then::Stall;
        }
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    })
}

fn expect(rows: &[String], expected: &[&str]) {
    for row in expected {
        assert!(rows.iter().any(|found| found == row), "{row} of {rows:#?}");
    }
}

#[test]
fn of_a_session_that_hangs_at_the_drains_end_nothing_is_known_in_its_phase() {
    let target = half();
    // With nothing after it, and with a phase that goes on.
    for next in ["{}", "{s: {rate: 1/s, max_users: 60}}"] {
        let (rows, _) = verdicts(&format!(
            "name: outlasting
metrics: {{done_total: {{type: counter, help: done}}, took: {{type: histogram, help: took, buckets: [1, 2]}}}}
scenarios:
  s:
    flow:
      - tcp:
          connect: '127.0.0.1:{}'
          name: line
          timeout: 20s
          session:
            - {{send: one}}
            - {{receive: {{name: first}}}}
            - {{send: two}}
            - {{receive: {{name: second, within: 20s, check: {{good: message.text == 'ok'}}}}}}
            - {{count: {{done_total: 1}}}}
            - {{record: {{took: 1}}}}
phases:
  - {{name: a, duration: 1s, drain: 400ms, load: {{s: {{rate: 20/s, max_users: 60}}}}}}
  - {{name: b, duration: 1500ms, drain: 100ms, judge: false, load: {next}}}
slos:
  - {{name: session, of: session, require: [p95 < 200ms, errors < 1%, errors < 60%, success > 90%, rate > 25/s]}}
  - {{name: r, step: second, require: [p95 < 200ms, errors < 1%]}}
  - {{name: c, require: [checks > 99%, checks > 10%]}}
  - {{name: done, of: done_total, require: [value < 15, value < 30, value >= 5]}}
  - {{name: took, of: took, require: [p95 < 2, rate < 15/s, rate > 25/s]}}
  - {{name: worked, value: metric('done_total'), require: [value < 15, value < 30]}}
  - {{name: whole, of: done_total, over: run, require: [value < 15, value < 30]}}
  - {{name: iterations, value: metric('load_iterations_total'), require: value < 22}}
  - {{name: failed, value: metric('load_request_errors_total'), require: [value < 12, value < 5]}}
  - {{name: connects, value: metric('load_connects_total'), require: [value < 22, value > 18]}}
",
            target.port
        ));
        let expected = [
            "a session p95 < 200ms: fail",
            "a session errors < 1%: inconclusive",
            "a session errors < 60%: pass",
            "a session success > 90%: inconclusive",
            "a r p95 < 200ms: fail",
            "a r errors < 1%: inconclusive",
            "a c checks > 99%: inconclusive",
            "a c checks > 10%: pass",
            "a done value < 15: inconclusive",
            "a done value < 30: pass",
            "a done value >= 5: pass",
            "a session rate > 25/s: fail",
            "a took p95 < 2: inconclusive",
            "a took rate < 15/s: inconclusive",
            "a took rate > 25/s: fail",
            "a worked value < 15: inconclusive",
            "a worked value < 30: pass",
            "a iterations value < 22: pass",
            "a failed value < 12: pass",
            "a failed value < 5: inconclusive",
            "a connects value < 22: pass",
            "a connects value > 18: pass",
        ];
        expect(&rows, &expected);
    }
}

#[test]
fn an_eventually_that_is_under_way_at_the_drains_end_is_neither_done_nor_not_done() {
    let target = Hostile::answering(&answer("200 OK", "{}"), Then::Keep);
    for next in ["{}", "{s: {users: 2}}"] {
        let (rows, _) = verdicts(&format!(
            "name: outlasting
defaults: {{http: {{base_url: '{}'}}}}
scenarios:
  s:
    flow:
      - http: {{get: /, name: get}}
      - eventually: {{within: 2s, every: 700ms, flow: [{{http: {{get: /state, name: state, check: {{shipped: response.status == 201}}}}}}]}}
phases:
  - {{name: a, duration: 500ms, drain: 300ms, load: {{s: {{users: 2}}}}}}
  - {{name: b, duration: 2500ms, drain: 100ms, judge: false, load: {next}}}
slos:
  - {{name: e, require: [errors < 1%, success > 99%]}}
  - {{name: c, require: [checks > 99%]}}
",
            target.url()
        ));
        // Each attempt that is known failed.
        expect(&rows, &["a e errors < 1%: inconclusive", "a e success > 99%: inconclusive"]);
        assert!(!rows.contains(&"a c checks > 99%: pass".to_owned()), "{rows:?}");
    }
}

#[test]
fn all_that_comes_of_an_arrival_at_a_phases_end_is_in_that_phase() {
    for settle in [false, true] {
        let target = Hostile::start(|request, stream| {
            // The fourth of the second steps hangs.
            static SECOND: AtomicU64 = AtomicU64::new(0);
            if request.head.starts_with("GET /2") && SECOND.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
                return Then::Stall;
            }
            let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
            Then::Keep
        });
        let (rows, record) = verdicts(&format!(
            "name: edge
defaults: {{http: {{base_url: '{}', timeout: 500ms, reuse: false}}}}
scenarios: {{s: {{flow: [{{http: {{get: /1, name: one}}}}, {{http: {{get: /2, name: two}}}}]}}}}
phases:
  - {{name: a, duration: 2s, load: {{s: {{rate: 2/s}}}}}}
  - {{name: b, duration: 1s, judge: false, load: {{s: {{rate: 1/s}}}}}}
observe: {{settle: {settle}}}
slos:
  - {{name: two, step: two, require: [errors < 1%, count(requests) == 4]}}
  - {{name: whole, of: iteration, require: errors < 1%}}
",
            target.url()
        ));
        expect(&rows, &["a two errors < 1%: fail", "a two count(requests) == 4: pass", "a whole errors < 1%: fail"]);
        drop(record);
    }
}

#[test]
fn what_had_lasted_longer_than_the_objective_when_its_drain_ended_was_surely_longer() {
    let target = every_other();
    let (rows, _) = verdicts(&format!(
        "name: lasting
defaults: {{http: {{base_url: '{}', timeout: 20s, reuse: false}}}}
scenarios: {{s: {{flow: [{{group: {{name: both, flow: [{{http: {{get: /1, name: one}}}}, {{http: {{get: /2, name: two}}}}]}}}}]}}}}
phases:
  - {{name: a, duration: 1s, drain: 600ms, load: {{s: {{rate: 20/s, max_users: 60}}}}}}
  - {{name: b, duration: 1s, drain: 100ms, judge: false, load: {{s: {{rate: 1/s, max_users: 60}}}}}}
slos:
  - {{name: two, step: two, require: [p95 < 200ms, within(200ms) > 90%, mean < 200ms, max < 200ms, p95 < 10s]}}
  - {{name: whole, of: iteration, require: [p95 < 200ms]}}
  - {{name: both, of: group, require: [p95 < 200ms]}}
",
        target.url()
    ));
    let expected = [
        "a two p95 < 200ms: fail",
        "a two within(200ms) > 90%: fail",
        "a two mean < 200ms: fail",
        "a two max < 200ms: fail",
        "a two p95 < 10s: inconclusive",
        "a whole p95 < 200ms: fail",
        "a both p95 < 200ms: fail",
    ];
    expect(&rows, &expected);
}

#[test]
fn what_a_phase_before_left_is_charged_to_none_that_is_judged() {
    let second = AtomicU64::new(0);
    let target = Hostile::start(move |request, stream| {
        let slow = request.head.contains("phase=a") && second.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        if slow {
            std::thread::sleep(std::time::Duration::from_millis(2500));
        }
        let _ = stream.write_all(answer("200 OK", if slow { "{\"slow\": true}" } else { "{}" }).as_bytes()); // the client may be gone
        Then::Keep
    });
    let (rows, _) = verdicts(&format!(
        "name: charged
defaults: {{http: {{base_url: '{}', timeout: 20s, reuse: false}}}}
metrics: {{c_total: {{type: counter, help: c}}, h: {{type: histogram, help: h, buckets: [1, 2]}}}}
scenarios:
  s:
    flow:
      - http: {{get: '/?phase={{{{ phase }}}}', name: x, check: {{good: response.json.slow is undefined}}}}
      - {{count: {{c_total: 1}}}}
      - {{record: {{h: 1}}}}
      - {{set: {{v: 1 / 0}}, if: response.json.slow is defined}}
phases:
  - {{name: a, duration: 1s, drain: 300ms, judge: false, load: {{s: {{rate: 10/s, max_users: 60}}}}}}
  - {{name: b, duration: 3s, drain: 2s, load: {{s: {{rate: 10/s, max_users: 60}}}}}}
slos:
  - {{name: c, value: metric('c_total'), require: value == 30}}
  - {{name: h, value: metric('h_count'), require: value == 30}}
  - {{name: failed, value: metric('load_request_errors_total'), require: value < 1}}
  - {{name: asked, value: metric('load_requests_total'), require: value == 30}}
  - {{name: e, require: [errors < 1%, count(errors) < 1, checks == 100%, rate < 10.1/s]}}
",
        target.url()
    ));
    let b: Vec<&String> = rows.iter().filter(|row| row.starts_with("b ")).collect();
    assert!(b.len() == 8 && b.iter().all(|row| row.ends_with(": pass")), "{b:#?}");
}

#[test]
fn users_that_wait_over_an_edge_are_missing_in_none_of_a_run_that_is_judged_as_a_whole() {
    let target = Hostile::start(move |_, stream| {
        // The first of each of two users.
        static FIRST: AtomicU64 = AtomicU64::new(0);
        if FIRST.fetch_add(1, Ordering::Relaxed) < 2 {
            std::thread::sleep(std::time::Duration::from_millis(3000));
        }
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    let (rows, record) = verdicts(&format!(
        "name: waiting
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: get}}}}, {{think: 50ms}}]}}}}
phases:
  - {{name: a, duration: 500ms, drain: 100ms, load: {{s: {{users: 2}}}}}}
  - {{name: b, duration: 4s, drain: 1s, load: {{s: {{users: 2}}}}}}
slos:
  - {{name: e, phase: b, require: errors < 1%}}
  - {{name: whole, over: run, require: errors < 1%}}
",
        target.url()
    ));
    expect(&rows, &["b e errors < 1%: inconclusive"]);
    assert_eq!(record["slos"][0]["verdict"], "pass", "{:#}", record["slos"]);
}

#[test]
fn what_an_iteration_of_a_phase_before_would_have_counted_is_unknown_in_the_phase_that_cut_it_off() {
    let target = Hostile::start(|_, stream| {
        std::thread::sleep(std::time::Duration::from_millis(900));
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    let (rows, _) = verdicts(&format!(
        "name: begun
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
metrics: {{a_total: {{type: counter, help: a}}, size: {{type: histogram, unit: ratio, help: size, buckets: [1, 10]}}}}
scenarios:
  s: {{flow: [{{repeat: {{times: 20, flow: [{{http: {{get: /, name: r}}}}, {{count: {{a_total: 1}}}}, {{record: {{size: 5}}}}, {{think: 50ms}}]}}}}]}}
phases:
  - {{name: p, duration: 2s, drain: 500ms, load: {{s: {{users: 4}}}}}}
  - {{name: q, duration: 2s, drain: 500ms, load: {{s: {{users: 4}}}}}}
slos:
  - {{name: a, phase: q, value: metric('a_total'), require: [value < 5, value > 5, value > 2]}}
  - {{name: c, phase: q, of: a_total, require: [value < 5, value > 5]}}
  - {{name: h, phase: q, of: size, require: [max < 8, p95 < 8, mean < 8]}}
",
        target.url()
    ));
    let expected = [
        "q a value < 5: inconclusive",
        "q a value > 5: inconclusive",
        "q a value > 2: pass",
        "q c value < 5: inconclusive",
        "q c value > 5: inconclusive",
        "q h max < 8: inconclusive",
        "q h p95 < 8: inconclusive",
        "q h mean < 8: inconclusive",
    ];
    expect(&rows, &expected);
}

#[test]
fn where_nothing_was_answered_neither_bytes_nor_checks_are_known() {
    let target = Hostile::start(|_, stream| {
        std::thread::sleep(std::time::Duration::from_millis(1700));
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    let (rows, _) = verdicts(&format!(
        "name: nothing
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: r, check: {{good: response.status == 200}}}}}}]}}}}
phases:
  - {{name: p, duration: 2s, drain: 200ms, load: {{s: {{users: 4}}}}}}
  - {{name: q, duration: 2s, drain: 200ms, load: {{s: {{users: 4}}}}}}
slos:
  - {{name: sent, phase: q, value: metric('load_sent_bytes_total'), require: [value < 200, value > 200]}}
  - {{name: got, phase: q, value: metric('load_received_bytes_total'), require: [value < 200, value > 200]}}
  - {{name: checks, phase: q, value: metric('load_checks_total'), require: [value < 5, value > 5]}}
  - {{name: failures, phase: q, value: metric('load_check_failures_total'), require: [value < 5]}}
",
        target.url()
    ));
    let q: Vec<&String> = rows.iter().filter(|row| row.starts_with("q ")).collect();
    assert!(q.len() == 7 && q.iter().all(|row| row.ends_with(": inconclusive")), "{q:#?}");
}
