//! Servers of WebSocket, Socket.IO and TCP that misbehave, through the whole program: each misbehaviour is counted under its reason, as a
//! connection that failed or as one that was lost, the books hold together, and the run ends in its time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::books::Books;
use support::hostile::{Hostile, Then};
use support::program::{Bench, count};
use support::websocket::{BINARY, CLOSE, TEXT, accept, consent, frame, goodbye, read, request};

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It is not opened.
    Fails,
    /// It is opened, and lost.
    Lost,
    /// It lasts; what failed is a step on it.
    Lasts,
}
use Fate::{Fails, Lasts, Lost};

/// What a server does once a client is there, and what it does with the connection then.
type Script = fn(&mut TcpStream) -> Then;

/// The keys of a step and its session, what the server does, which step fails and why, what becomes of the connection, and what the
/// example of the error says.
type Case = (&'static str, &'static str, Script, &'static str, Fate, &'static str);

const HOLD: &str = "session: [{hold: 60s}]";
const OPEN: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
const EAGER: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":100,"pingTimeout":100}"#;

/// Writes, if the client still takes it.
fn say(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    let _ = stream.write_all(bytes.as_ref());
}

/// Writes without end, for as long as the client takes it.
fn pour(stream: &mut TcpStream, byte: u8) -> Then {
    while stream.write_all(&[byte; 65_536]).is_ok() {}
    Then::Close
}

/// Answers the handshake with this, and nothing more.
fn answer(stream: &mut TcpStream, text: &str) -> Then {
    request(stream);
    say(stream, text);
    Then::Keep
}

/// Shakes hands, sends these frames, and takes in what comes.
fn send(stream: &mut TcpStream, frames: &[u8]) -> Then {
    accept(stream);
    say(stream, frames);
    Then::Keep
}

/// Shakes hands, says these packets of Engine.IO, and takes in what comes.
fn packets(stream: &mut TcpStream, packets: &[&str]) -> Then {
    send(stream, &packets.iter().flat_map(|packet| frame(TEXT, packet.as_bytes())).collect::<Vec<u8>>())
}

fn websockets() -> Vec<(&'static str, Case)> {
    vec![
        ("goes_at_once", (HOLD, "closed", |_| Then::Close, "", Fails, "without an answer")),
        (
            "ends_after_the_request",
            (
                HOLD,
                "closed",
                |stream| {
                    request(stream);
                    Then::Close
                },
                "",
                Fails,
                "without an answer",
            ),
        ),
        (
            "resets_after_the_request",
            (
                HOLD,
                "reset",
                |stream| {
                    request(stream);
                    Then::Reset
                },
                "",
                Fails,
                "",
            ),
        ),
        ("never_answers", ("timeout: 1s, session: []", "timeout", |_| Then::Stall, "", Fails, "timed out after 1.00s")),
        (
            "answers_by_half",
            (
                "timeout: 1s, session: []",
                "timeout",
                |stream| {
                    request(stream);
                    say(stream, "HTTP/1.1 101 Swi");
                    Then::Stall
                },
                "",
                Fails,
                "timed out after 1.00s",
            ),
        ),
        (
            "refuses",
            (HOLD, "status", |stream| answer(stream, "HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n"), "", Fails, "with 400"),
        ),
        (
            "is_no_endpoint",
            (HOLD, "status", |stream| answer(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"), "", Fails, "with 200"),
        ),
        (
            "redirects",
            (
                HOLD,
                "status",
                |stream| answer(stream, "HTTP/1.1 302 x\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n"),
                "",
                Fails,
                "with 302",
            ),
        ),
        ("speaks_no_http", (HOLD, "protocol", |stream| answer(stream, "\u{1}\u{2}what?\r\n\r\n"), "", Fails, "HTTP/1.1")),
        (
            "has_another_key",
            (
                HOLD,
                "protocol",
                |stream| {
                    let head = request(stream).unwrap_or_default();
                    say(stream, consent(&head.replace("sec-websocket-key: ", "sec-websocket-key: x"), ""));
                    Then::Keep
                },
                "",
                Fails,
                "sec-websocket-accept",
            ),
        ),
        (
            "answers_without_end",
            (
                HOLD,
                "protocol",
                |stream| {
                    request(stream);
                    say(stream, "HTTP/1.1 101 x\r\nx: ");
                    pour(stream, b'y')
                },
                "",
                Fails,
                "too long",
            ),
        ),
        ("sends_garbage", (HOLD, "protocol", |stream| send(stream, &[0xff; 64]), "", Lost, "broke the protocol")),
        ("masks", (HOLD, "protocol", |stream| send(stream, &[TEXT, 0x81, 1, 2, 3, 4, 5]), "", Lost, "broke the protocol")),
        ("sends_no_utf8", (HOLD, "protocol", |stream| send(stream, &frame(TEXT, b"a\xc3")), "", Lost, "not UTF-8")),
        (
            "sends_too_much",
            (
                "max_message: 64KiB, session: [{hold: 60s}]",
                "protocol",
                |stream| send(stream, &frame(BINARY, &[0; 70_000])),
                "",
                Lost,
                "`max_message` is 65536",
            ),
        ),
        (
            "announces_a_terabyte",
            (HOLD, "protocol", |stream| send(stream, &[BINARY, 127, 0, 0, 1, 0, 0, 0, 0, 0]), "", Lost, "1099511627776 bytes"),
        ),
        (
            "says_goodbye",
            (
                HOLD,
                "closed",
                |stream| send(stream, &frame(CLOSE, &[&1011_u16.to_be_bytes()[..], b"why"].concat())),
                "",
                Lost,
                "with code 1011",
            ),
        ),
        (
            "just_goes",
            (
                HOLD,
                "closed",
                |stream| {
                    accept(stream);
                    Then::Close
                },
                "",
                Lost,
                "without a close frame",
            ),
        ),
        (
            "resets",
            (
                HOLD,
                "reset",
                |stream| {
                    accept(stream);
                    Then::Reset
                },
                "",
                Lost,
                "",
            ),
        ),
        (
            "reads_nothing",
            (
                "timeout: 500ms, session: [{repeat: {times: 100, flow: [{send: \"{{ random_string(1000000) }}\"}]}}]",
                "timeout",
                |stream| {
                    accept(stream);
                    Then::Stall
                },
                "",
                Lost,
                "did not take a message within 500ms",
            ),
        ),
        (
            "says_nothing",
            (
                "session: [{receive: {within: 300ms, name: reply}}]",
                "timeout",
                |stream| send(stream, &[]),
                "reply",
                Lasts,
                "within 300ms",
            ),
        ),
        (
            "ends_instead_of_replying",
            (
                "session: [{send: well}, {receive: {name: answer}}]",
                "closed",
                |stream| {
                    accept(stream);
                    read(stream);
                    Then::Close
                },
                "answer",
                Lost,
                "without a close frame",
            ),
        ),
    ]
}

fn socketios() -> Vec<(&'static str, Case)> {
    const IMPATIENT: &str = "timeout: 1s, session: [{hold: 60s}]";
    vec![
        ("does_not_open", (IMPATIENT, "timeout", |stream| packets(stream, &[]), "", Fails, "timed out after 1.00s")),
        ("does_not_consent", (IMPATIENT, "timeout", |stream| packets(stream, &[OPEN, "2"]), "", Fails, "timed out after 1.00s")),
        ("opens_with_nonsense", (HOLD, "protocol", |stream| packets(stream, &["0{}"]), "", Fails, "cannot be read")),
        (
            "turns_away",
            (HOLD, "refused", |stream| packets(stream, &[OPEN, r#"44{"message":"full"}"#]), "", Fails, "CONNECT_ERROR): full"),
        ),
        (
            "is_early",
            (HOLD, "protocol", |stream| packets(stream, &[OPEN, r#"42["early"]"#]), "", Fails, "before it answered CONNECT"),
        ),
        (
            "knows_no_polling",
            (
                "transport: polling, session: [{hold: 60s}]",
                "status",
                |stream| {
                    answer(
                        stream,
                        "HTTP/1.1 400 x\r\ncontent-length: 41\r\n\r\n{\"code\":0,\"message\":\"Transport unknown\"}\r\n",
                    )
                },
                "",
                Fails,
                "Transport unknown",
            ),
        ),
        ("does_not_ping", (HOLD, "timeout", |stream| packets(stream, &[EAGER, "40{}"]), "", Lost, "not even a ping, for 200ms")),
        (
            "talks_nonsense",
            (HOLD, "protocol", |stream| packets(stream, &[OPEN, "40{}", "42{}"]), "", Lost, "no list of arguments"),
        ),
        (
            "disconnects",
            (HOLD, "closed", |stream| packets(stream, &[OPEN, "40{}", "41"]), "", Lost, "disconnected the namespace"),
        ),
        ("closes_engine", (HOLD, "closed", |stream| packets(stream, &[OPEN, "40{}", "1"]), "", Lost, "Engine.IO's close")),
        (
            "does_not_acknowledge",
            (
                "session: [{emit: {event: ask, ack: {within: 300ms, name: asked}}}]",
                "timeout",
                |stream| packets(stream, &[OPEN, "40{}"]),
                "asked",
                Lasts,
                "within 300ms",
            ),
        ),
    ]
}

fn tcps() -> Vec<(&'static str, Case)> {
    vec![
        ("closes", (HOLD, "closed", |_| Then::Close, "", Lost, "closed")),
        (
            "breaks_off",
            (
                HOLD,
                "closed",
                |stream| {
                    say(stream, "half a li");
                    Then::Close
                },
                "",
                Lost,
                "9 bytes",
            ),
        ),
        (
            "resets_at_a_line",
            (
                "session: [{send: now}, {hold: 60s}]",
                "reset",
                |stream| {
                    let _ = stream.read_exact(&mut [0; 4]); // the client may have gone
                    Then::Reset
                },
                "",
                Lost,
                "",
            ),
        ),
        (
            "pours",
            (
                "max_message: 64KiB, session: [{hold: 60s}]",
                "protocol",
                |stream| pour(stream, b'x'),
                "",
                Lost,
                "`max_message` is 65536",
            ),
        ),
        (
            "announces_four_gigabytes",
            (
                "frame: {length: u32be}, session: [{hold: 60s}]",
                "protocol",
                |stream| {
                    say(stream, [0xff; 4]);
                    Then::Keep
                },
                "",
                Lost,
                "4294967295 bytes",
            ),
        ),
        (
            "is_mute",
            ("session: [{receive: {within: 300ms, name: line}}]", "timeout", |_| Then::Keep, "line", Lasts, "within 300ms"),
        ),
        (
            "is_deaf",
            (
                "timeout: 500ms, session: [{repeat: {times: 100, flow: [{send: \"{{ random_string(1000000) }}\"}]}}]",
                "timeout",
                |_| Then::Stall,
                "",
                Lost,
                "did not take a message within 500ms",
            ),
        ),
    ]
}

#[test]
fn each_misbehaviour_has_its_reason_and_the_books_hold() {
    const TIMES: u64 = 2;
    let kinds = [("websocket", "ws://", websockets()), ("socketio", "ws://", socketios()), ("tcp", "", tcps())];
    let mut servers = Vec::new();
    let (mut scenarios, mut loads) = (String::new(), String::new());
    for (protocol, scheme, cases) in &kinds {
        for (name, (keys, _, script, ..)) in cases {
            let server = Hostile::scripted(*script);
            let connect = format!("{scheme}127.0.0.1:{}", server.port);
            scenarios += &format!("  {name}: {{flow: [{{{protocol}: {{connect: '{connect}', name: {name}, {keys}}}}}]}}\n");
            loads += &format!("      {name}: {{users: 1, iterations: {TIMES}}}\n");
            servers.push(server);
        }
    }
    let profile = format!("name: hostile\nscenarios:\n{scenarios}phases:\n  - name: all\n    duration: 80s\n    load:\n{loads}");
    let books = Books::of(&Bench::new(), &profile, &[]);
    assert!(books.lasted() < 80.0, "it ends once all have done what they were to do");
    for (protocol, _, cases) in &kinds {
        for (name, (_, reason, _, step, fate, said)) in cases {
            let step = if step.is_empty() { name } else { step };
            assert_eq!(Books::reasons(&books.step(step)["errors"]), [(*reason, TIMES)], "{protocol} {name}");
            assert!(books.samples(step).iter().all(|sample| sample.contains(said)), "{name}: {:?}", books.samples(step));
            let scenario = books.scenario(name);
            assert_eq!((count(&scenario["iterations"]), count(&scenario["iterations_failed"])), (TIMES, TIMES), "{name}");
            let connections = books.connections(name);
            let (mut failures, mut disconnects) = (vec![], vec![]);
            match fate {
                Fails => failures.push((*reason, TIMES)),
                Lost => disconnects.push((*reason, TIMES)),
                Lasts => {}
            }
            assert_eq!(Books::reasons(&connections["failures"]), failures, "{name}");
            assert_eq!(Books::reasons(&connections["disconnects"]), disconnects, "{name}");
            let opened = if *fate == Fails { 0 } else { TIMES };
            assert_eq!(count(&connections["connects"]), opened, "{name}");
            let sessions = books.sessions(name)["outcomes"].as_object().unwrap();
            assert_eq!(sessions.get("error").map_or(0, count), opened, "a session that fails: {name} {sessions:?}");
            assert_eq!(sessions.values().map(count).sum::<u64>(), opened, "{name}");
        }
    }
}

#[test]
fn nobody_holds_a_run_up_beyond_its_drain() {
    let silent = Hostile::scripted(|_| Then::Stall);
    let mute = Hostile::scripted(|stream| {
        accept(stream);
        // Not even its goodbye is answered.
        goodbye(stream);
        Then::Stall
    });
    let profile = "name: held
scenarios:
  shaking: {flow: [{websocket: {connect: 'ws://127.0.0.1:${SILENT}', timeout: 10m, name: shaking, session: []}}]}
  awaiting: {flow: [{websocket: {connect: 'ws://127.0.0.1:${MUTE}', name: awaiting, session: [{receive: {within: 10m, name: reply}}]}}]}
  staying: {flow: [{websocket: {connect: 'ws://127.0.0.1:${MUTE}', name: staying, session: [{hold: 10m}]}}]}
  asked: {flow: [{websocket: {connect: 'ws://127.0.0.1:${MUTE}', name: asked, session: [{hold: }]}}]}
phases: [{name: short, duration: 1s, drain: 1s, load: {shaking: {users: 2}, awaiting: {users: 2}, staying: {users: 2}, asked: {users: 2}}}]
";
    let books = Books::of(&Bench::new(), profile, &[("SILENT", &silent.port), ("MUTE", &mute.port)]);
    // A second of load, a second of drain, and what a busy machine takes for itself.
    assert!((1.9..30.0).contains(&books.lasted()), "{}", books.lasted());
    for name in ["shaking", "awaiting", "staying", "asked"] {
        let scenario = books.scenario(name);
        assert_eq!((count(&scenario["iterations"]), count(&scenario["iterations_interrupted"])), (2, 2), "{name}\n{}", books.log);
        assert!(books.step(name)["errors"].as_object().unwrap().is_empty(), "{name}: whose fault it is isn't known");
        if name != "shaking" {
            assert_eq!(count(&books.sessions(name)["outcomes"]["interrupted"]), 2, "{name}");
            assert!(Books::reasons(&books.connections(name)["disconnects"]).is_empty(), "{name}");
        }
    }
    for name in ["shaking", "reply"] {
        assert_eq!(count(&books.step(name)["outcomes"]["interrupted"]), 2, "{name}");
    }
}
