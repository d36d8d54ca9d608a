//! What is claimed of messages: against publishers that refuse listeners, leave messages out by plan, or stop.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::program::{Bench, Running, count, metric, named, run};
use crate::support::{http, process, websocket};
use load_exporter::target::{self, Target};
use serde_json::Value;

/// Whom a publisher refuses, and what it sends to whom.
#[derive(Clone, Copy)]
struct Plan {
    /// Whether a user may connect.
    admits: fn(u64) -> bool,
    /// Whether a user is sent a number.
    sends: fn(u64, u64) -> bool,
    /// Between two numbers.
    every: Duration,
    /// How many listen when the first number is sent.
    listeners: usize,
}

/// Which connection, of which user.
type Streams = Arc<Mutex<Vec<(usize, u64, TcpStream)>>>;

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// Sends the same numbers at the same moments to all who listen. Whoever connects says by the path which user it is.
fn publish(plan: Plan) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Streams::default();
    let listening = streams.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let streams = listening.clone();
            std::thread::spawn(move || {
                let head = websocket::request(&mut stream)?;
                let user = head.strip_prefix("GET /")?.split(' ').next()?.parse().ok()?;
                if !(plan.admits)(user) {
                    return stream.write_all(b"HTTP/1.1 503 Full\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok();
                }
                stream.write_all(websocket::consent(&head, "").as_bytes()).ok()?;
                let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
                streams.lock().unwrap().push((connection, user, stream.try_clone().ok()?));
                // Until it says goodbye, which is answered.
                while let Some((first, payload)) = websocket::read(&mut stream) {
                    if first == websocket::CLOSE {
                        let mut streams = streams.lock().unwrap();
                        stream.write_all(&websocket::frame(websocket::CLOSE, &payload)).ok()?;
                        stream.shutdown(Shutdown::Both).ok()?;
                        streams.retain(|(other, ..)| *other != connection);
                        return Some(());
                    }
                }
                Some(())
            });
        }
    });
    std::thread::spawn(move || {
        while streams.lock().unwrap().len() < plan.listeners {
            std::thread::sleep(Duration::from_millis(1));
        }
        for n in 1u64.. {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
            let frame = websocket::frame(websocket::TEXT, format!(r#"{{"n": {n}, "at": {now}}}"#).as_bytes());
            for (_, user, stream) in streams.lock().unwrap().iter_mut() {
                if (plan.sends)(*user, n) {
                    let _ = stream.write_all(&frame); // it may have gone
                }
            }
            std::thread::sleep(plan.every);
        }
    });
    address
}

/// What a phase reports of the messages of a step.
fn messages<'r>(record: &'r Value, phase: &str, step: &str) -> &'r Value {
    named(&named(&record["phases"], "name", phase)["messages"], "step", step)
}

/// How an SLO's requirement came out in a phase.
fn slo<'r>(record: &'r Value, phase: &str, requirement: &str) -> &'r Value {
    named(&named(&record["phases"], "name", phase)["slos"], "requirement", requirement)
}

fn seconds(message: &Value, key: &str) -> f64 {
    message[key].as_f64().unwrap_or_else(|| panic!("no {key} in {message}"))
}

#[test]
fn listeners_that_are_refused_miss_what_the_others_receive() {
    let address =
        publish(Plan { admits: |user| user % 2 == 0, sends: |_, _| true, every: Duration::from_millis(20), listeners: 5 });
    let profile = format!(
        "name: refused
scenarios:
  stays:
    flow:
      - websocket:
          connect: 'ws://{address}/{{{{ user }}}}'
          name: stays
          session: [hold: ]
          on: {{name: n, latency_from: message.json.at, sequence: message.json.n, every: 1s}}
  visits:
    flow:
      - websocket:
          connect: 'ws://{address}/{{{{ user }}}}'
          name: visits
          session: [listen: {{for: 500ms, on: {{name: n, latency_from: message.json.at, sequence: message.json.n}}}}]
phases:
  - {{name: all, duration: 4s, load: {{stays: {{users: 10}}, visits: {{rate: 10/s, users: 20}}}}}}
  - {{name: later, duration: 2s, load: {{stays: {{users: 10}}}}}}
slos:
  - {{name: fan-out, of: message_latency, step: stays, phase: all, require: [missed < 10%, within(10s) > 90%, silent < 10%]}}
  - {{name: visits, of: message_latency, step: visits, phase: all, require: missed < 10%}}
"
    );
    let (record, said) = run(&profile);
    assert_eq!(record["verdict"], "fail", "{said}");
    for phase in ["all", "later"] {
        let stays = messages(&record, phase, "stays");
        let (received, unconnected) = (count(&stays["received"]), count(&stays["missed_unconnected"]));
        // Five of ten, all the time.
        let share = unconnected as f64 / received as f64;
        assert!(received > 100 && (0.85..1.15).contains(&share), "{phase}: {stays}\n{said}");
        assert_eq!(count(&stays["missed"]), unconnected, "the others received all");
    }
    for requirement in ["missed < 10%", "within(10s) > 90%", "silent < 10%"] {
        let slo = slo(&record, "all", requirement);
        assert!(slo["met"] == false && (slo["value"].as_f64().unwrap() - 0.5).abs() < 0.1, "{slo}");
    }
    let visits = messages(&record, "all", "visits");
    let scenario = named(&named(&record["phases"], "name", "all")["scenarios"], "scenario", "visits");
    let connections = &scenario["connections"][0];
    let refused: u64 = connections["failures"].as_object().unwrap().values().map(count).sum();
    let there = count(&connections["connects"]);
    assert!(refused > 0 && there > 0, "{connections}");
    let average = count(&visits["received"]) as f64 / there as f64;
    assert_eq!(count(&visits["missed_unconnected"]), (average * refused as f64).round() as u64, "each as one session: {visits}");
}

#[test]
fn where_nobody_can_connect_nothing_is_claimed() {
    let free = process::free_port();
    let profile = format!(
        "name: nobody
scenarios:
  listeners:
    flow:
      - websocket:
          connect: ws://127.0.0.1:{free}/
          name: watch
          session: [hold: ]
          on: {{name: n, latency_from: message.json.at, sequence: message.json.n, every: 100ms}}
phases: [{{name: all, duration: 1s, load: {{listeners: {{users: 2}}}}}}]
slos: [{{name: fan-out, of: message_latency, require: [missed < 1%, within(1s) > 99%, silent < 1%]}}]
"
    );
    let (record, said) = run(&profile);
    for requirement in ["missed < 1%", "within(1s) > 99%"] {
        let slo = slo(&record, "all", requirement);
        assert!(slo["verdict"] == "inconclusive" && slo["value"].is_null(), "{slo}\n{said}");
    }
    assert_eq!(slo(&record, "all", "silent < 1%")["value"], 1.0, "whoever should listen hears nothing\n{said}");
    let message = messages(&record, "all", "watch");
    assert!(message["missed_unconnected"].is_null() && message["missed_ratio"].is_null(), "{message}");
    assert!(said.contains("unknown"), "{said}");
}

#[test]
fn a_publisher_that_stops_misses_nothing_and_is_silent() {
    let address = publish(Plan { admits: |_| true, sends: |_, n| n <= 10, every: Duration::from_millis(100), listeners: 4 });
    let profile = format!(
        "name: stops
scenarios:
  listeners:
    flow:
      - websocket:
          connect: 'ws://{address}/{{{{ user }}}}'
          name: watch
          session: [hold: ]
          on: {{name: n, latency_from: message.json.at, sequence: message.json.n, every: 300ms}}
phases:
  - {{name: first, duration: 3s, load: {{listeners: {{users: 4}}}}}}
  - {{name: second, duration: 2s, load: {{listeners: {{users: 4}}}}}}
slos: [{{name: fan-out, of: message_latency, phase: [first, second], require: [missed < 1%, within(1s) > 50%, silent < 5%]}}]
"
    );
    let (record, said) = run(&profile);
    assert_eq!(slo(&record, "first", "missed < 1%")["value"], 0.0, "{said}");
    assert_eq!(slo(&record, "first", "silent < 5%")["met"], false, "{said}");
    let (first, second) = (messages(&record, "first", "watch"), messages(&record, "second", "watch"));
    // The last number comes in the first second. All behind it is silent, and lies on the side of the edge that it lies on.
    let (listened, silent) = (seconds(first, "listening_seconds"), seconds(first, "silent_seconds"));
    assert!((10.0..12.5).contains(&listened) && (6.0..10.0).contains(&silent), "{first}\n{said}");
    assert_eq!(slo(&record, "second", "silent < 5%")["value"], 1.0, "{said}");
    let listened = seconds(second, "listening_seconds");
    assert!((7.5..11.0).contains(&listened) && (listened - seconds(second, "silent_seconds")).abs() < 1e-6, "{second}");
    assert!(said.lines().any(|line| line.contains("clock skew") && line.contains("silent")), "a column of its own: {said}");
}

#[test]
fn a_silence_shows_while_it_lasts() {
    let address = publish(Plan { admits: |_| true, sends: |_, n| n <= 3, every: Duration::from_millis(20), listeners: 2 });
    let bench = Bench::new();
    bench.file(
        "profile.yml",
        &format!(
            "name: silent
scenarios:
  listeners:
    flow: [{{websocket: {{connect: 'ws://{address}/{{{{ user }}}}', name: watch, session: [hold: ], on: {{name: n, every: 100ms}}}}}}]
phases: [{{name: long, duration: 10m, load: {{listeners: {{users: 2}}}}}}]
"
        ),
    );
    let port = process::free_port();
    let command = bench.command(&["run", &format!("--web.listen-address=127.0.0.1:{port}"), "profile.yml"]);
    let mut running = Running::start(command, bench.path());
    let seconds = |name: &str| {
        let (_, page) = http::get(port, "/metrics")?;
        metric(&page, name, &[("step", "watch"), ("message", "n")])
    };
    let silent = running.until("silence", |_| seconds("load_message_silent_seconds_total").filter(|silent| *silent > 1.0));
    let listened = seconds("load_message_listening_seconds_total").unwrap();
    assert!(listened >= silent, "{listened} s listened, {silent} s silent");
    running.signal(libc::SIGTERM);
    running.wait();
}

#[test]
fn while_a_connection_is_brought_back_it_is_silent() {
    let target = Target::start("127.0.0.1:0".parse().unwrap(), target::Options::default()).unwrap();
    // A second of events, half a second without a connection, and so on.
    let profile = format!(
        "name: returning
scenarios:
  listeners:
    flow:
      - websocket:
          connect: 'ws://{}/ws/fanout?rate=20&drop&after=20'
          name: watch
          reconnect: {{after: 500ms, times: 5}}
          session: [hold: ]
          on: {{match: message.json.type == 'EVENT_UPDATED', name: n, every: 1s}}
phases: [{{name: all, duration: 6s, load: {{listeners: {{users: 2}}}}}}]
slos: [{{name: alive, step: watch, require: silent < 5%}}]
",
        target.address()
    );
    let (record, said) = run(&profile);
    let slo = slo(&record, "all", "silent < 5%");
    let share = slo["value"].as_f64().unwrap();
    assert!(slo["met"] == false && (0.15..0.45).contains(&share), "{slo}\n{said}");
    assert!(seconds(messages(&record, "all", "watch"), "listening_seconds") > 11.0, "{said}");
}

/// Two phases over one publisher, of whose three listeners the second is left out of something.
fn over_an_edge(sends: fn(u64, u64) -> bool, second: &str) -> (Value, String) {
    let address = publish(Plan { admits: |_| true, sends, every: Duration::from_millis(50), listeners: 3 });
    run(&format!(
        "name: edge
scenarios:
  listeners:
    flow:
      - websocket:
          connect: 'ws://{address}/{{{{ user }}}}'
          name: watch
          session: [hold: ]
          on: {{name: n, sequence: message.json.n}}
phases:
  - {{name: first, duration: 3s, load: {{listeners: {{users: 3}}}}}}
  - {{name: second, duration: {second}, load: {{listeners: {{users: 3}}}}}}
"
    ))
}

#[test]
fn what_was_missed_counts_in_the_phase_in_which_it_was_due() {
    // One second before the edge, and one behind it.
    let (record, said) = over_an_edge(|user, n| user != 1 || !(41..=80).contains(&n), "4s");
    let missed = |phase: &str| count(&messages(&record, phase, "watch")["missed"]);
    assert_eq!(missed("first") + missed("second"), 40, "{said}");
    assert!((8..=28).contains(&missed("first")), "{} in the first\n{said}", missed("first"));
}

#[test]
fn a_listener_that_hears_nothing_any_more_misses_in_each_phase_what_was_due_there() {
    let (record, said) = over_an_edge(|user, n| user != 1 || n <= 20, "12s");
    let message = |phase: &str| messages(&record, phase, "watch");
    let missed = |phase: &str| count(&message(phase)["missed"]);
    // The other two heard all: so many were due in the phase.
    let due = |phase: &str| count(&message(phase)["received"]) / 2;
    assert!((20..=40).contains(&missed("first")), "{}\n{said}", missed("first"));
    assert!(missed("second").abs_diff(due("second")) <= 30, "{} of {}\n{said}", missed("second"), due("second"));
}
