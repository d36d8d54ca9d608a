//! A target that hangs for a while, and a generator that stands still for a while: the first is the target's doing, and the second is
//! none of it.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::program::{Bench, Ended, Running, accounts_hold};
use serde_json::{Value, json};

/// A target that answers within 5 ms, and nothing between these moments after its first request.
fn hangs(from: Duration, to: Duration) -> Hostile {
    let began = Mutex::new(None);
    Hostile::start(move |_, stream| {
        let since = began.lock().unwrap().get_or_insert_with(Instant::now).elapsed();
        let until = if since >= from && since < to { to - since } else { Duration::from_millis(5) };
        std::thread::sleep(until);
        let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
        Then::Keep
    })
}

const S: Duration = Duration::from_secs(1);

fn profile(url: &str, rest: &str) -> String {
    format!(
        "name: pauses\ndefaults: {{http: {{base_url: '{url}', timeout: 20s}}}}\nscenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}\n{rest}"
    )
}

#[test]
fn a_window_sees_that_a_closed_load_waits_for_a_dead_target() {
    for (more, code) in [("", 0), (", window: 2s", 1)] {
        let (bench, target) = (Bench::new(), hangs(S, 7 * S));
        let rest = format!(
            "phases: [{{name: one, duration: 8s, load: {{a: {{users: 3}}}}}}]
slos: [{{name: fast, require: [p95 < 300ms]{more}}}]"
        );
        let ended = bench.run(&profile(&target.url(), &rest));
        assert_eq!(ended.code, Some(code), "{more}: {}\n{}", ended.out, ended.err);
        accounts_hold(&bench.record());
    }
}

#[test]
fn a_target_that_hangs_ends_the_run_before_anything_times_out() {
    for load in ["users: 3", "rate: 50/s, max_users: 100"] {
        let (bench, target) = (Bench::new(), hangs(S, 10 * S));
        let rest = format!(
            "phases: [{{name: one, duration: 5m, drain: 100ms, load: {{a: {{{load}}}}}}}]
slos: [{{name: fast, require: [p95 < 300ms], abort_after: 2s}}]"
        );
        let began = Instant::now();
        let ended = bench.run(&profile(&target.url(), &rest));
        assert_eq!(ended.code, Some(1), "{load}: {}\n{}", ended.out, ended.err);
        assert!(began.elapsed() < Duration::from_secs(60));
        let record = bench.record();
        assert!(record["stopped"].as_str().unwrap().contains("fast: p95 < 300ms was"), "{load}: {}", record["stopped"]);
        // No request had been given up by then.
        assert_eq!(record["phases"][0]["steps"][0]["errors"], json!({}), "{load}");
    }
}

/// Carries a profile out and stops the process for so long once the target has seen some requests.
fn with_a_pause(bench: &Bench, target: &Hostile, profile: &str, pause: Duration) -> (Ended, Value) {
    bench.file("paused.yml", profile);
    let command = bench.command(&["run", "--web.listen-address=127.0.0.1:0", "paused.yml"]);
    let mut running = Running::start(command, bench.path());
    running.until("requests", |_| (target.requests() > 12).then_some(()));
    if !pause.is_zero() {
        running.signal(libc::SIGSTOP);
        std::thread::sleep(pause);
        running.signal(libc::SIGCONT);
    }
    let ended = running.wait();
    let record = bench.records().pop().unwrap();
    accounts_hold(&record);
    (ended, record)
}

const PAUSE: Duration = Duration::from_millis(1500);

#[test]
fn a_pause_of_the_generator_is_no_lack_of_load() {
    for (load, slo) in [
        ("rate: 100/s, max_users: 100", "require: [rate > 70/s], window: 2s"),
        ("rate: 100/s, max_users: 100", "require: [count(requests) > 120], window: 2s"),
        ("rate: 100/s, max_users: 100", "require: [rate > 70/s], abort_after: 2s"),
        ("users: 2", "require: [rate > 70/s], window: 2s"),
        ("users: 2, pacing: 20ms", "require: [count(success) > 120], window: 2s, abort_after: 2s"),
    ] {
        let (bench, target) = (Bench::new(), hangs(100 * S, 100 * S));
        let text = profile(
            &target.url(),
            &format!("phases: [{{name: one, duration: 6s, load: {{a: {{{load}}}}}}}]\nslos: [{{name: busy, {slo}}}]"),
        );
        let (ended, record) = with_a_pause(&bench, &target, &text, PAUSE);
        assert!(matches!(ended.code, Some(0 | 3)), "{load}, {slo}: {}\n{}", ended.out, ended.err);
        assert_eq!(record["stopped"], Value::Null, "{load}, {slo}");
        // A target that lets less through is to blame, with and without a pause.
        let (bench, slow) = (
            Bench::new(),
            Hostile::start(|_, stream| {
                std::thread::sleep(Duration::from_millis(250));
                let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
                Then::Keep
            }),
        );
        let load = load.replace("max_users: 100", "max_users: 5");
        let text = profile(
            &slow.url(),
            &format!(
                "phases: [{{name: one, duration: 12s, load: {{a: {{{load}}}}}}}]\nslos: [{{name: busy, {slo}}}, {{name: all, require: dropped < 100%}}]"
            ),
        );
        let (ended, _) = with_a_pause(&bench, &slow, &text, PAUSE);
        assert_eq!(ended.code, Some(1), "{load}, {slo}: {}\n{}", ended.out, ended.err);
    }
}

#[test]
fn a_pause_of_the_generator_drops_no_arrivals_of_the_target() {
    let rest = |on_busy: &str| {
        format!(
            "phases: [{{name: one, duration: 4s, load: {{a: {{rate: 100/s, max_users: 4, on_busy: {on_busy}}}}}}}]\nslos: [{{name: served, require: dropped < 1%}}]"
        )
    };
    for on_busy in ["{wait: 400ms}", "drop"] {
        let (bench, target) = (Bench::new(), hangs(100 * S, 100 * S));
        let (ended, record) = with_a_pause(&bench, &target, &profile(&target.url(), &rest(on_busy)), PAUSE);
        assert!(matches!(ended.code, Some(0 | 3)), "{on_busy}: {}\n{}", ended.out, ended.err);
        let dropped = &record["phases"][0]["slos"][0];
        assert!(dropped["value"].as_f64().unwrap() < 0.01 || dropped["met"].is_null(), "{dropped:#}");
        // Where the target hangs for as long, it is the target's doing, though the generator stood still for a moment before.
        let (bench, target) = (Bench::new(), hangs(S * 3 / 2, S * 5 / 2));
        let (ended, _) = with_a_pause(&bench, &target, &profile(&target.url(), &rest(on_busy)), S / 5);
        assert_eq!(ended.code, Some(1), "{on_busy}: {}\n{}", ended.out, ended.err);
    }
}

/// Things that are ready so long after they were asked for first.
fn ready_after(after: Duration) -> Hostile {
    let asked: Mutex<HashMap<String, Instant>> = Mutex::default();
    Hostile::start(move |request, stream| {
        let since = asked.lock().unwrap().entry(request.path.clone()).or_insert_with(Instant::now).elapsed();
        let _ = stream.write_all(answer("200 OK", &json!({"ready": since >= after}).to_string()).as_bytes()); // the client may be gone
        Then::Keep
    })
}

#[test]
fn a_pause_of_the_generator_leaves_eventually_its_time() {
    for (after, codes) in [(S / 4, &[0, 3][..]), (60 * S, &[1])] {
        let (bench, target) = (Bench::new(), ready_after(after));
        let text = format!(
            "name: pauses
defaults: {{http: {{base_url: '{}', timeout: 20s}}}}
scenarios:
  a: {{flow: [{{set: {{id: uuid()}}}}, {{eventually: {{within: 800ms, every: 50ms, flow: {{http: {{get: '/{{{{ id }}}}', name: look, check: {{ready: response.json.ready}}}}}}}}}}]}}
phases: [{{name: one, duration: 4s, load: {{a: {{users: 4}}}}}}]
slos: [{{name: all, require: [errors == 0%]}}]",
            target.url()
        );
        let (ended, record) = with_a_pause(&bench, &target, &text, PAUSE);
        assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{after:?}: {}\n{}\n{record:#}", ended.out, ended.err);
    }
}

#[test]
fn verify_finds_a_lost_write_behind_a_pause() {
    // What the pause dropped is in neither count: one write of each hundred that is gone is the target's doing.
    for (loses, code) in [(u64::MAX, 0), (100, 1)] {
        let (kept, number) = (AtomicU64::new(0), AtomicU64::new(0));
        let target = Hostile::start(move |request, stream| {
            let body = match request.path.as_str() {
                "/total" => json!({"total": kept.load(Ordering::Relaxed)}).to_string(),
                _ => {
                    let number = number.fetch_add(1, Ordering::Relaxed) + 1;
                    kept.fetch_add(u64::from(!number.is_multiple_of(loses)), Ordering::Relaxed);
                    // So long that four users can't take in what a pause left, however slowly the generator wakes.
                    std::thread::sleep(Duration::from_millis(20));
                    "{}".to_owned()
                }
            };
            let _ = stream.write_all(answer("200 OK", &body).as_bytes()); // the client may be gone
            Then::Keep
        });
        let bench = Bench::new();
        let text = profile(
            &target.url(),
            "metrics: {written_total: {type: counter, help: Writes.}}
phases: [{name: one, duration: 4s, load: {a: {rate: 100/s, max_users: 4, on_busy: drop}}}]
verify: {flow: {http: {get: /total, name: total, check: {all: \"response.json.total == metric('written_total')\"}}}}",
        )
        .replace("name: home}}]", "name: home}}, {count: {written_total: 1}}]");
        let (ended, record) = with_a_pause(&bench, &target, &text, PAUSE);
        assert!(record["phases"][0]["scenarios"][0]["dropped"].as_u64().unwrap() > 0, "{record:#}");
        assert_eq!(ended.code, Some(code), "{loses}: {}\n{}", ended.out, ended.err);
    }
}

#[test]
fn verify_allows_for_what_a_pause_kept_back_and_for_nothing_else() {
    // Each request is counted, or three of four are, or every other, or none.
    for (loses, pause, code) in [(u64::MAX, PAUSE, 3), (4, Duration::ZERO, 1), (2, S / 5, 1), (1, Duration::ZERO, 1)] {
        let (cast, number) = (AtomicU64::new(0), AtomicU64::new(0));
        let target = Hostile::start(move |request, stream| {
            if request.path == "/total" {
                let _ =
                    stream.write_all(answer("200 OK", &json!({"total": cast.load(Ordering::Relaxed)}).to_string()).as_bytes()); // the client may be gone
                return Then::Keep;
            }
            let number = number.fetch_add(1, Ordering::Relaxed) + 1;
            cast.fetch_add(u64::from(!number.is_multiple_of(loses)), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
            let _ = stream.write_all(answer("200 OK", "{}").as_bytes()); // the client may be gone
            Then::Keep
        });
        let bench = Bench::new();
        let text = profile(
            &target.url(),
            "phases: [{name: one, duration: 4s, load: {a: {rate: 100/s, max_users: 4, on_busy: drop}}}]
verify: {flow: {http: {get: /total, name: total, check: {all: response.json.total >= 350, some: response.json.total > 0, ok: response.status == 200}}}}",
        );
        let (ended, _) = with_a_pause(&bench, &target, &text, pause);
        assert_eq!(ended.code, Some(code), "{loses}: {}\n{}", ended.out, ended.err);
    }
}
