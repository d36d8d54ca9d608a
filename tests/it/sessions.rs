//! Sessions end to end: the program against its own target as a process of its own, whose counts are the other side of the books,
//! and against servers that lose messages by plan.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::http;
use crate::support::program::{Bench, count, metric, named, run};
use load_exporter::target::{self, Target};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, accept};

/// The program's own target, with TCP.
fn start_target() -> Target {
    let any = "127.0.0.1:0".parse().unwrap();
    Target::start(any, target::Options { tcp: Some(any), ..target::Options::default() }).unwrap()
}

/// What the target counted.
fn counted(target: &Target, name: &str) -> u64 {
    let (_, page) = http::get(target.address().port(), "/metrics").unwrap();
    metric(&page, name, &[]).unwrap_or_else(|| panic!("no {name} in {page}")) as u64
}

fn phases(record: &Value) -> &[Value] {
    record["phases"].as_array().unwrap()
}

/// Over all phases, of each element of a list.
fn sum(record: &Value, list: &str, value: impl Fn(&Value) -> u64) -> u64 {
    phases(record).iter().flat_map(|phase| phase[list].as_array().unwrap()).map(value).sum()
}

/// Over all phases and connections.
fn connections(record: &Value, key: &str) -> u64 {
    let of = |connections: &Value| match &connections[key] {
        Value::Object(reasons) => reasons.values().map(count).sum(),
        number => count(number),
    };
    sum(record, "scenarios", |scenario| scenario["connections"].as_array().unwrap().iter().map(of).sum())
}

/// The errors of a step in the first phase, by reason.
fn errors(record: &Value, step: &str) -> Vec<(String, u64)> {
    let step = named(&phases(record)[0]["steps"], "step", step);
    step["errors"].as_object().unwrap().iter().map(|(reason, n)| (reason.clone(), count(n))).collect()
}

#[test]
fn what_the_server_sent_is_what_its_listeners_received_over_phases_and_ends() {
    const USERS: u64 = 40;
    let target = start_target();
    let profile = format!(
        "name: fan-out
scenarios:
  listeners:
    flow:
      - websocket:
          connect: 'ws://{}/ws/fanout?rate=20'
          name: updates
          session:
            - listen:
                on: {{match: message.json.type == 'EVENT_UPDATED', name: update, latency_from: message.json.at, sequence: message.json.seq}}
            - send: bye
phases:
  - {{name: first, duration: 2s, load: {{listeners: {{users: {USERS}}}}}}}
  - {{name: second, duration: 2s, load: {{listeners: {{users: {USERS}}}}}}}
  - {{name: leave, duration: 1s, load: {{listeners: {{users: {USERS} -> 0}}}}}}
slos:
  - {{name: fan-out, of: message_latency, phase: second, require: missed < 0.5%}}
  - {{name: stays, protocol: websocket, over: run, require: count(disconnects) == 0}}
  - {{name: churn, protocol: websocket, require: [disconnects < 1%, count(disconnects) == 0]}}
",
        target.address()
    );
    let (record, said) = run(&profile);
    let received = sum(&record, "messages", |message| count(&message["received"]));
    let missed = sum(&record, "messages", |message| count(&message["missed"]));
    let sent = counted(&target, "echo_events_sent_total");
    // An event that was on its way while a listener said goodbye was owed to nobody.
    assert!((sent - USERS * 2..=sent).contains(&(received + missed)) && missed == 0, "{sent} sent, {received} received\n{said}");
    assert_eq!(sum(&record, "messages", |message| count(&message["repeated"]) + count(&message["reordered"])), 0);
    assert_eq!((connections(&record, "connects"), connections(&record, "disconnects")), (USERS, 0), "each connects once");
    let carried = |phase: &str| named(&record["phases"], "name", phase)["scenarios"][0]["connections"][0]["carried"].clone();
    assert_eq!(["first", "second", "leave"].map(carried), [0, USERS, USERS], "they stay over the edges");
    let listeners = |phase: &str, key: &str| count(&named(&record["phases"], "name", phase)["messages"][0][key]);
    assert!(
        listeners("first", "received") > 0 && listeners("second", "received") > USERS * 20,
        "by the phase of receipt\n{said}"
    );
    let ended = |outcome: &str| sum(&record, "sessions", |sessions| sessions["outcomes"].get(outcome).map_or(0, count));
    assert_eq!((ended("ok"), ended("error"), ended("interrupted")), (USERS, 0, 0), "{said}");
    assert_eq!(sum(&record, "scenarios", |scenario| count(&scenario["iterations_failed"])), 0);
    assert_eq!(counted(&target, "echo_sessions_total"), USERS);
    assert_eq!(sum(&record, "sessions", |sessions| count(&sessions["messages_sent"])), USERS, "the rest of the session ran: bye");
    let met: Vec<_> = phases(&record).iter().flat_map(|phase| phase["slos"].as_array().unwrap()).collect();
    // Two requirements in each of three phases, and one of messages.
    assert!(met.len() == 7 && met.iter().all(|slo| slo["value"] == 0.0), "{met:?}");
}

#[test]
fn of_connections_that_were_held_those_that_broke_are_reported() {
    const USERS: u64 = 10;
    let target = start_target();
    // The sixth event comes in the second phase, and ends half of the connections.
    let profile = format!(
        "name: churn
scenarios:
  held: {{flow: [{{websocket: {{connect: 'ws://{0}/ws', name: held, session: [{{hold: }}]}}}}]}}
  broken: {{flow: [{{websocket: {{connect: 'ws://{0}/ws/fanout?rate=2&drop&after=6', name: broken, session: [{{hold: }}]}}, on_error: end_user}}]}}
phases:
  - {{name: first, duration: 2s, load: {{held: {{users: 5}}, broken: {{users: 5}}}}}}
  - {{name: second, duration: 5s, load: {{held: {{users: 5}}, broken: {{users: 5}}}}}}
slos:
  - {{name: all, protocol: websocket, phase: second, require: disconnects < 1%}}
  - {{name: half, scenario: broken, phase: second, require: disconnects == 100%}}
  - {{name: run, protocol: websocket, over: run, require: disconnects < 60%}}
",
        target.address()
    );
    let (record, said) = run(&profile);
    let second = &phases(&record)[1];
    let value = |slos: &Value, name: &str| named(slos, "name", name)["value"].as_f64().unwrap_or_else(|| panic!("{slos}"));
    assert_eq!((value(&second["slos"], "all"), value(&second["slos"], "half")), (0.5, 1.0), "{said}");
    assert_eq!(value(&record["slos"], "run"), 0.5, "each connection once: {said}");
    assert_eq!((connections(&record, "connects"), connections(&record, "disconnects")), (USERS, USERS / 2), "{said}");
}

/// A server of numbered events, which leaves some out: of connection `c` of `all` every number n with (n + c) % 7 == 0, and for the first one
/// all from the middle on. Answers how many it sent, and how many it left out.
fn lossy(listener: TcpListener, all: usize, numbers: u32) -> std::thread::JoinHandle<(u64, u64)> {
    std::thread::spawn(move || {
        let ready = Arc::new(Barrier::new(all));
        let serve = |c: usize, stream: TcpStream| {
            let ready = ready.clone();
            std::thread::spawn(move || {
                let mut socket = accept(stream).unwrap();
                let (mut sent, mut left_out) = (0, 0);
                ready.wait();
                for n in 1..=numbers {
                    let lost = (n > 1 && n < numbers && (n as usize + c).is_multiple_of(7)) || (c == 0 && n > numbers / 2);
                    if lost {
                        left_out += 1;
                    } else {
                        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
                        socket.send(Message::text(format!(r#"{{"n": {n}, "at": {now}}}"#))).unwrap();
                        sent += 1;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                while socket.read().is_ok() {}
                (sent, left_out)
            })
        };
        // The look before the run connects and says nothing.
        let says_something = |stream: &TcpStream| stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
        let streams: Vec<TcpStream> = listener.incoming().map(Result::unwrap).filter(says_something).take(all).collect();
        let threads: Vec<_> = streams.into_iter().enumerate().map(|(c, stream)| serve(c, stream)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    })
}

#[test]
fn what_a_server_left_out_was_missed_to_the_message() {
    const USERS: usize = 6;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = lossy(listener, USERS, 60);
    let profile = format!(
        "name: lossy
scenarios:
  listeners:
    flow:
      - websocket:
          connect: ws://{address}/
          name: numbers
          session: [{{hold: }}]
          on: {{name: n, latency_from: message.json.at, sequence: message.json.n}}
phases: [{{name: all, duration: 6s, load: {{listeners: {{users: {USERS}}}}}}}]
slos:
  - {{name: lost, of: message_latency, require: [missed < 1%, within(10s) > 99%]}}
"
    );
    let (record, said) = run(&profile);
    let (sent, left_out) = server.join().unwrap();
    let message = &phases(&record)[0]["messages"][0];
    let got = ["received", "missed", "repeated", "reordered"].map(|key| count(&message[key]));
    assert_eq!(got, [sent, left_out, 0, 0], "{said}");
    assert_eq!(sent + left_out, USERS as u64 * 60);
    assert_eq!(record["verdict"], "fail");
    for slo in phases(&record)[0]["slos"].as_array().unwrap() {
        let missed = left_out as f64 / (sent + left_out) as f64;
        let value = slo["value"].as_f64().unwrap();
        let wanted = if slo["requirement"] == "missed < 1%" { missed } else { 1.0 - missed };
        assert!((value - wanted).abs() < 1e-9, "{slo}");
    }
}

#[test]
fn every_way_to_lose_a_connection_has_its_reason() {
    let target = start_target();
    let (free, http) = (crate::support::process::free_port(), target.address());
    let cases = [
        ("closed", format!("ws://{http}/ws?close=1011")),
        ("dropped", format!("ws://{http}/ws?drop")),
        ("reset", format!("ws://{http}/ws?reset")),
        ("garbage", format!("ws://{http}/ws?garbage")),
        ("huge", format!("ws://{http}/ws?huge=1MB")),
        ("wrong_key", format!("ws://{http}/ws?accept=wrong")),
        ("refused", format!("ws://127.0.0.1:{free}/ws")),
    ];
    let mut scenarios = String::new();
    let mut loads = String::new();
    for (name, url) in &cases {
        scenarios += &format!(
            "  {name}: {{flow: [{{websocket: {{connect: '{url}', name: {name}, max_message: 64KiB, session: [{{hold: 20s}}]}}}}]}}\n"
        );
        loads += &format!("{name}: {{users: 1, iterations: 2}}, ");
    }
    let profile = format!("name: losses\nscenarios:\n{scenarios}phases: [{{name: all, duration: 30s, load: {{{loads}}}}}]\n");
    let (record, said) = run(&profile);
    let wanted = [
        ("closed", "closed"),
        ("dropped", "closed"),
        ("reset", "reset"),
        ("garbage", "protocol"),
        ("huge", "protocol"),
        ("wrong_key", "protocol"),
        ("refused", "refused"),
    ];
    for (name, reason) in wanted {
        assert_eq!(errors(&record, name), [(reason.to_owned(), 2)], "{name}\n{said}");
        let scenario = named(&phases(&record)[0]["scenarios"], "scenario", name);
        assert_eq!((count(&scenario["iterations"]), count(&scenario["iterations_failed"])), (2, 2), "{name}");
        let connections = &scenario["connections"][0];
        let never = ["wrong_key", "refused"].contains(&name);
        let (has, has_not) = if never { ("failures", "disconnects") } else { ("disconnects", "failures") };
        assert_eq!(connections[has][reason], 2, "{name}: {connections}");
        assert!(connections[has_not].as_object().unwrap().is_empty(), "{name}: {connections}");
    }
}

#[test]
fn replies_are_timed_and_lost_connections_brought_back() {
    let target = start_target();
    let profile = format!(
        "name: talk
defaults:
  websocket: {{base_url: 'ws://{}'}}
  tcp: {{address: '{}'}}
metrics: {{lines_total: {{type: counter}}}}
scenarios:
  echoes:
    flow:
      - websocket:
          connect: /ws
          session:
            - set: {{text: uuid()}}
            - send: '{{{{ text }}}}'
            - receive: {{match: message.text == text, name: echo, within: 20s, check: {{same: message.text == text}}}}
            - send: {{json: {{n: '{{{{ iteration }}}}'}}}}
            - receive: {{match: message.json.n == iteration, name: echo-json, within: 20s, extract: {{n: $.n}}, check: {{right: n == iteration}}}}
            - receive: {{within: 30ms, name: nothing}}
              on_error: continue
  lines:
    flow:
      - tcp:
          name: line
          session: [send: hello, receive: {{match: message.text == 'hello', name: line-echo, within: 20s}}]
          on: {{count: {{lines_total: 1}}}}
  returning:
    flow:
      - websocket:
          connect: /ws/fanout?rate=50&close=1012&after=5
          name: returning
          reconnect: {{after: 10ms, times: 5}}
          session: [hold: 2s]
phases:
  - {{name: all, duration: 20s, load: {{echoes: {{users: 2, iterations: 3}}, lines: {{users: 2, iterations: 3}}, returning: {{users: 1, iterations: 1}}}}}}
slos: [{{name: echoes, step: [echo, line-echo], require: errors == 0%}}]
",
        target.address(),
        target.tcp_address().unwrap()
    );
    let (record, said) = run(&profile);
    let steps = &phases(&record)[0]["steps"];
    for name in ["WS /ws", "echo", "echo-json", "line", "line-echo"] {
        let step = named(steps, "step", name);
        assert_eq!((count(&step["requests"]), count(&step["outcomes"]["ok"])), (6, 6), "{name}\n{said}");
        assert!(step["response"]["p50"].as_f64().unwrap() > 0.0, "{name}");
    }
    let nothing = named(steps, "step", "nothing");
    assert_eq!((count(&nothing["outcomes"]["timeout"]), nothing["errors"]["timeout"].as_u64()), (6, Some(6)));
    assert!(nothing["response"]["p50"].as_f64().unwrap() >= 0.0295);
    for check in phases(&record)[0]["checks"].as_array().unwrap() {
        assert_eq!((count(&check["total"]), count(&check["failures"])), (6, 0), "{check}");
    }
    let metric = named(&phases(&record)[0]["metrics"], "name", "lines_total");
    assert_eq!(metric["value"], 6.0, "what a step waits for goes to `on`, too");
    let returning = named(&phases(&record)[0]["scenarios"], "scenario", "returning");
    let churn = count(&returning["connections"][0]["disconnects"]["closed"]);
    let connects = count(&returning["connections"][0]["connects"]);
    assert!(churn >= 2 && (churn..=churn + 1).contains(&connects), "{returning}");
    assert_eq!(count(&returning["iterations_failed"]), 0, "{said}");
    assert_eq!(errors(&record, "returning"), [("closed".to_owned(), churn)]);
}

#[test]
fn whoever_listens_leaves_with_a_goodbye_when_the_run_is_stopped() {
    let target = start_target();
    let bench = Bench::new();
    let profile = format!(
        "name: stopped
scenarios:
  listeners: {{flow: [{{websocket: {{connect: 'ws://{0}/ws', session: [listen: , send: bye]}}}}]}}
  senders: {{flow: [{{websocket: {{connect: 'ws://{0}/ws', session: [{{repeat: {{every: 9m, flow: [send: tick]}}}}, send: bye]}}}}]}}
phases: [{{name: long, duration: 10m, load: {{listeners: {{users: 5}}, senders: {{users: 2}}}}}}]
",
        target.address()
    );
    bench.file("profile.yml", &profile);
    let port = crate::support::process::free_port();
    let command = bench.command(&["run", &format!("--web.listen-address=127.0.0.1:{port}"), "profile.yml"]);
    let mut running = crate::support::program::Running::start(command, bench.path());
    running.until("the listeners", |_| {
        let (_, page) = http::get(port, "/metrics")?;
        (metric(&page, "load_connections", &[("protocol", "websocket")]) == Some(7.0)).then_some(())
    });
    running.signal(libc::SIGTERM);
    let ended = running.wait();
    let record = bench.record();
    assert_eq!(sum(&record, "sessions", |sessions| sessions["outcomes"].get("ok").map_or(0, count)), 7, "{}", ended.err);
    assert_eq!(sum(&record, "sessions", |sessions| count(&sessions["messages_sent"])), 5 + 2 * 2, "each says bye");
    assert_eq!(sum(&record, "scenarios", |scenario| count(&scenario["iterations_interrupted"])), 0);
    assert_eq!(counted(&target, "echo_messages_received_total"), 5 + 2 * 2);
    assert_eq!(counted(&target, "echo_sessions_open"), 0);
}
