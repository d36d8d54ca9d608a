//! Verdicts are never better than what was seen, and no worse: small odd loads against small odd targets, and what each requirement of
//! each phase comes to.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, accounts_hold, named};
use crate::support::websocket;
use serde_json::Value;

/// Runs a profile; what each of its requirements came to, as `phase slo requirement: verdict`.
pub(crate) fn verdicts(profile: &str) -> (Vec<String>, Value) {
    let bench = Bench::new();
    let ended = bench.run(profile);
    assert!(matches!(ended.code, Some(0 | 1 | 3 | 4)), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    accounts_hold(&record);
    (rows(&record), record)
}

fn rows(record: &Value) -> Vec<String> {
    let of = |phase: &str, slos: &Value| -> Vec<String> {
        let slos = slos.as_array().unwrap();
        let text = |slo: &Value, key: &str| slo[key].as_str().unwrap().to_owned();
        let row = |slo: &Value| format!("{phase} {} {}: {}", text(slo, "name"), text(slo, "requirement"), text(slo, "verdict"));
        slos.iter().map(row).collect()
    };
    let phases = record["phases"].as_array().unwrap();
    phases.iter().flat_map(|phase| of(phase["name"].as_str().unwrap(), &phase["slos"])).collect()
}

/// Accepts connections and takes in what comes; whoever does so reads nothing of it.
fn mute() -> Hostile {
    Hostile::scripted(|_| Then::Stall)
}

/// Answers everything well.
fn good() -> Hostile {
    Hostile::answering(&answer("200 OK", "{}"), Then::Keep)
}

/// Shakes hands after a while, and says nothing more.
fn slow_handshake(after: Duration) -> Hostile {
    Hostile::scripted(move |stream| {
        std::thread::sleep(after);
        websocket::accept(stream);
        Then::Keep
    })
}

#[test]
fn a_handshake_counts_in_the_phase_in_which_it_began() {
    let profile = |port: u16, drain: &str| {
        format!(
            "name: handshakes
defaults: {{websocket: {{base_url: 'ws://127.0.0.1:{port}', timeout: 20s}}}}
scenarios: {{w: {{flow: [{{websocket: {{connect: /, name: open, session: [{{hold: 30s}}]}}}}]}}}}
phases:
  - {{name: a, duration: 500ms, drain: {drain}, load: {{w: {{users: 2}}}}}}
  - {{name: b, duration: 4s, drain: 100ms, load: {{w: {{users: 2}}}}}}
slos:
  - {{name: c, of: connect, require: [p95 < 300ms, max < 60s, errors < 1%, within(5s) > 99%, count(errors) < 1]}}
"
        )
    };
    // They are still being opened when the drain of their phase is over.
    let hung = mute();
    let (rows, _) = verdicts(&profile(hung.port, "500ms"));
    let a: Vec<&String> = rows.iter().filter(|row| row.starts_with("a ")).collect();
    assert_eq!(a.len(), 5, "{rows:?}");
    // They had lasted longer than 300 ms by then.
    let expected = |row: &&String| row.ends_with(if row.contains("p95 < 300ms") { ": fail" } else { ": inconclusive" });
    assert!(a.iter().all(expected), "{rows:?}");
    // They come late, and the drain of their phase waits for them.
    let slow = slow_handshake(Duration::from_millis(1500));
    let (rows, record) = verdicts(&profile(slow.port, "10s"));
    let expected =
        ["p95 < 300ms: fail", "max < 60s: pass", "errors < 1%: pass", "within(5s) > 99%: pass", "count(errors) < 1: pass"];
    for row in expected {
        assert!(rows.contains(&format!("a c {row}")), "{row} of {rows:?}");
    }
    let opened = |phase: &str| named(&record["phases"], "name", phase)["connections"].clone();
    assert!(
        rows.iter().filter(|row| row.starts_with("b ")).all(|row| row.ends_with(": inconclusive")),
        "{rows:?} {:?}",
        opened("b")
    );
}

#[test]
fn what_hangs_over_http_has_connected() {
    let target = mute();
    let (rows, _) = verdicts(&format!(
        "name: connected
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: get}}}}]}}}}
phases:
  - {{name: a, duration: 500ms, drain: 500ms, load: {{s: {{users: 2}}}}}}
  - {{name: b, duration: 3s, drain: 100ms, load: {{s: {{users: 2}}}}}}
slos:
  - {{name: c, of: connect, phase: a, require: [p95 < 300ms, errors < 1%]}}
  - {{name: r, phase: a, require: [p95 < 300ms, errors < 1%]}}
",
        target.url()
    ));
    let expected = ["c p95 < 300ms: pass", "c errors < 1%: pass", "r p95 < 300ms: fail", "r errors < 1%: inconclusive"];
    for row in expected {
        assert!(rows.contains(&format!("a {row}")), "{row} of {rows:?}");
    }
}

#[test]
fn a_window_sees_a_handshake_that_hangs() {
    let target = mute();
    for (more, expected) in [("", "inconclusive"), (", window: 1s", "fail")] {
        let (rows, _) = verdicts(&format!(
            "name: hanging
defaults: {{websocket: {{base_url: 'ws://127.0.0.1:{}', timeout: 20s}}}}
scenarios: {{w: {{flow: [{{websocket: {{connect: /, name: open, session: [{{hold: 30s}}]}}}}]}}}}
phases: [{{name: a, duration: 4s, drain: 0s, load: {{w: {{users: 2}}}}}}]
slos: [{{name: c, of: connect, require: [p95 < 300ms]{more}}}]
",
            target.port
        ));
        let fails = "a c p95 < 300ms: fail".to_owned();
        assert!(rows.contains(&fails) || more.is_empty() && rows[0].ends_with(expected), "{more}: {rows:?}");
    }
}

#[test]
fn a_gauge_that_nothing_sets_in_a_phase_says_nothing_of_it() {
    let target = good();
    let (rows, _) = verdicts(&format!(
        "name: gauges
defaults: {{http: {{base_url: '{}'}}}}
metrics:
  depth: {{type: gauge, help: how deep}}
  seen_total: {{type: counter, help: how often}}
  width: {{type: histogram, help: how wide, buckets: [1, 2]}}
scenarios:
  s:
    flow:
      - http: {{get: /, name: get}}
      - {{record: {{depth: 5}}, if: phase == 'a'}}
      - {{record: {{width: 1}}, if: phase == 'a'}}
      - {{count: {{seen_total: 1}}, if: phase == 'a'}}
      - think: 100ms
phases:
  - {{name: a, duration: 600ms, load: {{s: {{users: 1}}}}}}
  - {{name: b, duration: 600ms, load: {{s: {{users: 1}}}}}}
slos:
  - {{name: g, of: depth, require: value < 10}}
  - {{name: c, of: seen_total, require: [value < 1000, rate < 1000/s]}}
  - {{name: h, of: width, require: [p95 < 10, rate < 1000/s]}}
  - {{name: v, value: metric('depth') * 2, require: value < 100}}
",
        target.url()
    ));
    let expected = [
        "a g value < 10: pass",
        "b g value < 10: inconclusive",
        "a c value < 1000: pass",
        // That it counted nothing is what is known of it; how fast it did isn't.
        "b c value < 1000: pass",
        "b c rate < 1000/s: inconclusive",
        "b h p95 < 10: inconclusive",
        "b h rate < 1000/s: inconclusive",
        "a v value < 100: pass",
        "b v value < 100: inconclusive",
    ];
    for row in expected {
        assert!(rows.iter().any(|found| found == row), "{row} of {rows:?}");
    }
}

#[test]
fn an_expression_is_as_unsure_as_its_parts() {
    // Every other request hangs.
    let target = Hostile::start(|request, stream| {
        if request.number % 2 == 1 {
            return Then::Stall;
        }
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    let (rows, record) = verdicts(&format!(
        "name: expressions
defaults: {{http: {{base_url: '{}', timeout: 20s, reuse: false}}}}
metrics: {{done_total: {{type: counter, help: done}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: get}}}}, {{count: {{done_total: 1}}}}]}}}}
phases: [{{name: a, duration: 1s, drain: 100ms, load: {{s: {{rate: 20/s, max_users: 50}}}}}}]
slos:
  - {{name: share, value: metric('load_request_errors_total') / metric('load_requests_total'), require: [value < 1%, value < 200%]}}
  - {{name: due, value: metric('load_arrivals_started_total') / metric('load_arrivals_due_total'), require: value >= 1}}
  - {{name: done, value: metric('done_total') | round, require: value < 15}}
",
        target.url()
    ));
    let expected = [
        "a share value < 1%: inconclusive",
        "a share value < 200%: pass",
        "a due value >= 1: pass",
        "a done value < 15: inconclusive",
    ];
    for row in expected {
        assert!(rows.iter().any(|found| found == row), "{row} of {rows:?}");
    }
    let reason = named(&record["phases"], "name", "a")["slos"][0]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("had no answer when the drain ended"), "{reason}");
}

#[test]
fn what_is_not_sent_to_a_target_that_is_away_looks_no_better_for_that() {
    let target = good();
    for covered in [false, true] {
        let dropped = if covered { "\n  - {name: d, scenario: dead, require: dropped < 100%}" } else { "" };
        let (rows, _) = verdicts(&format!(
            "name: away
on_dead_target: {{after: 300ms, do: back_off}}
scenarios:
  lives: {{flow: [{{http: {{get: '{}/', name: lives}}}}]}}
  dead: {{flow: [{{http: {{get: 'http://127.0.0.1:{}/', name: dead}}}}]}}
phases: [{{name: a, duration: 3s, load: {{lives: {{users: 1}}, dead: {{rate: 50/s, max_users: 50}}}}}}]
slos:
  - {{name: s, step: dead, require: [errors < 1%, success > 99%, timeouts < 1%, errors(timeout) < 1%, status(5xx) < 1%]}}{dropped}
",
            target.url(),
            free_port()
        ));
        let others = if covered { "pass" } else { "inconclusive" };
        for (requirement, expected) in [
            ("errors < 1%", "fail"),
            ("success > 99%", "fail"),
            ("timeouts < 1%", others),
            ("errors(timeout) < 1%", others),
            ("status(5xx) < 1%", others),
        ] {
            let row = format!("a s {requirement}: {expected}");
            assert!(rows.contains(&row), "{row} of {rows:?}");
        }
    }
}

#[test]
fn whoever_is_given_up_during_a_pause_of_the_generator_is_not_lost_by_the_target() {
    use std::io::Read;
    // It asks every 300 ms whether its peer is there, and gives it up after a second and a half.
    let target = Hostile::scripted(|stream| {
        if websocket::accept(stream).is_none() {
            return Then::Close;
        }
        let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
        let mut silent = 0;
        let mut heard = [0; 512];
        while silent < 5 {
            if stream.write_all(&websocket::frame(0x89, b"")).is_err() {
                return Then::Close;
            }
            match stream.read(&mut heard) {
                Ok(0) => return Then::Close,
                Ok(_) => {
                    silent = 0;
                    std::thread::sleep(Duration::from_millis(300));
                }
                Err(_) => silent += 1,
            }
        }
        Then::Close
    });
    let bench = Bench::new();
    bench.file(
        "given-up.yml",
        &format!(
            "name: given-up
defaults: {{websocket: {{base_url: 'ws://127.0.0.1:{}'}}}}
scenarios: {{w: {{flow: [{{websocket: {{connect: /, name: open, session: [{{hold: 20s}}]}}}}]}}}}
phases: [{{name: a, duration: 8s, drain: 100ms, load: {{w: {{users: 4}}}}}}]
slos:
  - {{name: s, require: [disconnects < 1%, errors < 1%, errors(closed) < 1%]}}
",
            target.port
        ),
    );
    let command = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "given-up.yml"]);
    let mut running = Running::start(command, bench.path());
    running.until("all are connected", |_| (target.connections() >= 4).then_some(()));
    running.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_secs(4));
    running.signal(libc::SIGCONT);
    let ended = running.wait();
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    let rows = rows(&bench.record());
    assert!(rows.iter().all(|row| row.ends_with(": inconclusive")), "{rows:?}");
}

#[test]
fn what_a_listener_misses_that_is_not_connected_yet_is_missed_where_it_was_due() {
    for load in ["users: 2", "rate: 4/s, max_users: 2"] {
        // The first one hears a number each 50 ms; all others never get an answer to their handshake.
        let first = AtomicBool::new(true);
        let target = Hostile::scripted(move |stream| {
            let Some(head) = websocket::request(stream) else { return Then::Close };
            if !first.swap(false, Ordering::AcqRel) {
                return Then::Stall;
            }
            let _ = stream.write_all(websocket::consent(&head, "").as_bytes()); // the client may be gone
            let mut number = 0;
            while stream.write_all(&websocket::frame(0x81, format!("{{\"n\":{number}}}").as_bytes())).is_ok() {
                number += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            Then::Close
        });
        let (rows, _) = verdicts(&format!(
            "name: misses
defaults: {{websocket: {{base_url: 'ws://127.0.0.1:{}', timeout: 20s}}}}
scenarios:
  w: {{flow: [{{websocket: {{connect: /, name: open, session: [{{listen: {{for: 20s, on: [{{name: n, sequence: message.json.n}}]}}}}]}}}}]}}
phases:
  - {{name: a, duration: 500ms, drain: 0s, load: {{w: {{{load}}}}}}}
  - {{name: b, duration: 3s, drain: 0s, load: {{w: {{{load}}}}}}}
slos: [{{name: m, phase: a, require: missed < 1%}}]
",
            target.port
        ));
        assert_eq!(rows, ["a m missed < 1%: fail"], "{load}");
    }
}

#[test]
fn an_expression_over_nothing_is_unknown_and_one_over_what_was_dropped_has_bounds() {
    let target = Hostile::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(60));
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    // Two of three arrivals find nobody free.
    let (rows, _) = verdicts(&format!(
        "name: expressions
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
metrics: {{carts_total: {{type: counter, help: carts}}, orders_total: {{type: counter, help: orders}}, lost_total: {{type: counter, help: lost}}}}
scenarios: {{s: {{flow: [{{count: {{carts_total: 1}}}}, {{http: {{get: /, name: get}}}}, {{count: {{orders_total: 1}}}}, {{count: {{lost_total: 1}}, if: response.status == 777}}]}}}}
phases: [{{name: a, duration: 2s, load: {{s: {{rate: 40/s, max_users: 1}}}}}}, {{name: b, duration: 500ms, load: {{}}}}]
slos:
  - {{name: few, phase: a, value: metric('orders_total'), require: [value < 1000, value > 10]}}
  - {{name: share, phase: a, value: metric('orders_total') / metric('carts_total'), require: [value > 0.05, value > 0.9]}}
  - {{name: none, phase: b, value: metric('lost_total'), require: value < 1}}
  - {{name: own, phase: b, value: metric('load_requests_total'), require: value < 1}}
",
        target.url()
    ));
    let expected = [
        "a few value < 1000: pass",
        "a share value > 0.05: pass",
        "a share value > 0.9: inconclusive",
        "b none value < 1: inconclusive",
        "b own value < 1: inconclusive",
    ];
    for row in expected {
        assert!(rows.iter().any(|found| found == row), "{row} of {rows:?}");
    }
}

#[test]
fn what_an_slo_of_its_phase_says_of_dropped_arrivals_is_no_doubt_over_the_run() {
    let target = Hostile::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(100));
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    for (slo, expected) in [("", "inconclusive"), ("  - {name: d, phase: a, require: dropped < 90%}\n", "pass")] {
        let bench = Bench::new();
        let profile = format!(
            "name: covered
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: get}}}}]}}}}
phases: [{{name: a, duration: 1s, load: {{s: {{rate: 20/s, max_users: 1}}}}}}, {{name: b, duration: 1s, load: {{s: {{rate: 2/s, max_users: 50}}}}}}]
slos:
  - {{name: all, over: run, require: errors < 1%}}
{slo}",
            target.url()
        );
        bench.run(&profile);
        let record = bench.record();
        assert_eq!(record["slos"][0]["verdict"], expected, "{record:#}");
    }
}

#[test]
fn an_expression_has_its_bounds_between_the_ends_of_its_totals_too() {
    let asked = AtomicU64::new(0);
    let target = Hostile::start(move |_, stream| {
        if asked.fetch_add(1, Ordering::Relaxed) >= 36 {
            return Then::Stall;
        }
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    let (rows, _) = verdicts(&format!(
        "name: between
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
metrics: {{a_total: {{type: counter, help: a}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: r}}}}, {{count: {{a_total: 1}}}}]}}}}
phases: [{{name: p, duration: 1s, drain: 300ms, load: {{s: {{users: 4, total_iterations: 40}}}}}}]
slos:
  - {{name: square, value: (metric('a_total') - 38) * (metric('a_total') - 38), require: value >= 4}}
  - {{name: pole, value: 100 / (metric('a_total') - 38.5), require: value < 100}}
  - {{name: share, value: metric('a_total') / (metric('a_total') + 10), require: [value < 0.81, value < 0.79]}}
  - {{name: counted, value: metric('load_response_duration_seconds_count'), require: value == 40}}
  - {{name: lags, value: metric('load_start_lag_seconds_count'), require: value == 40}}
  - {{name: cut, value: metric('load_iterations_interrupted_total'), require: value == 4}}
",
        target.url()
    ));
    let expected = [
        "p square value >= 4: inconclusive",
        "p pole value < 100: inconclusive",
        "p share value < 0.81: pass",
        "p share value < 0.79: inconclusive",
        "p counted value == 40: pass",
        "p lags value == 40: pass",
        "p cut value == 4: pass",
    ];
    for row in expected {
        assert!(rows.iter().any(|found| found == row), "{row} of {rows:#?}");
    }
}

#[test]
fn pauses_of_the_generator_make_a_total_as_unsure_as_a_count() {
    let target = Hostile::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(50));
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    });
    let bench = Bench::new();
    let profile = format!(
        "name: stopped
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
metrics: {{a_total: {{type: counter, help: a}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: r}}}}, {{count: {{a_total: 1}}}}]}}}}
phases: [{{name: p, duration: 4s, drain: 500ms, load: {{s: {{users: 2}}}}}}]
slos:
  - {{name: count, require: count(requests) > 130}}
  - {{name: asked, value: metric('load_requests_total'), require: [value > 130, value > 400, value < 400]}}
  - {{name: own, value: metric('a_total'), require: [value > 130]}}
",
        target.url()
    );
    bench.file("stopped.yml", &profile);
    let mut running = Running::start(bench.command(&["run", "--web.listen-address=127.0.0.1:0", "stopped.yml"]), bench.path());
    running.until("it is asked", |_| (target.requests() >= 4).then_some(()));
    std::thread::sleep(Duration::from_millis(1000));
    running.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(1200));
    running.signal(libc::SIGCONT);
    let _ = running.wait();
    let rows = rows(&bench.record());
    let expected = [
        "p count count(requests) > 130: inconclusive",
        "p asked value > 130: inconclusive",
        "p asked value > 400: fail",
        "p asked value < 400: pass",
        "p own value > 130: inconclusive",
    ];
    for row in expected {
        assert!(rows.iter().any(|found| found == row), "{row} of {rows:#?}");
    }
}
