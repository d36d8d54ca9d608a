//! Sessions through TLS, end to end: whom the program trusts, and how it shows itself.

use std::io::{BufRead, BufReader, Write};

use crate::support::books::Books;
use crate::support::program::{Bench, count, metric};
use crate::support::socketio::Server;
use crate::support::tls::{Authority, Secure};
use crate::support::websocket::{CLOSE, accept, frame, read};

/// Sends every message back, until the client says goodbye or goes.
fn echo_messages(stream: &mut Secure) {
    if accept(stream).is_none() {
        return;
    }
    while let Some((first, payload)) = read(stream) {
        if stream.write_all(&frame(first, &payload)).is_err() || first == CLOSE {
            return;
        }
    }
}

/// The same of lines.
fn echo_lines(stream: &mut Secure) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while matches!(stream.read_line(&mut line), Ok(1..)) {
        let _ = stream.get_mut().write_all(line.as_bytes()); // the client may have gone
        line.clear();
    }
}

const PROFILE: &str = r#"name: tls
x-asks: &asks
  - send: "{{ user }} says hello"
  - receive: {match: message.text == user ~ ' says hello', name: echo, check: {same: "message.text | length == 12"}}
x-emits: &emits
  - emit: {event: echo, args: ["{{ user }}"], ack: {name: echo, check: {same: message.json == user}}}
scenarios:
  wss: {flow: {websocket: {connect: "wss://127.0.0.1:${WSS}", name: wss, tls: {ca_file: ca.pem}, session: *asks}}}
  wss_unknown: {flow: {websocket: {connect: "wss://127.0.0.1:${WSS}", name: wss_unknown, tls: {ca_file: stranger.pem}, session: *asks}}}
  wss_misnamed: {flow: {websocket: {connect: "wss://127.0.0.1:${WSS}", name: wss_misnamed, tls: {ca_file: ca.pem, server_name: other.test}, session: *asks}}}
  wss_whoever: {flow: {websocket: {connect: "wss://127.0.0.1:${WSS}", name: wss_whoever, tls: {insecure: true}, session: *asks}}}
  wss_shown: {flow: {websocket: {connect: "wss://127.0.0.1:${MUTUAL}", name: wss_shown, tls: {ca_file: ca.pem, cert_file: user.pem, key_file: user.key}, session: *asks}}}
  wss_hidden: {flow: {websocket: {connect: "wss://127.0.0.1:${MUTUAL}", name: wss_hidden, tls: {ca_file: ca.pem}, session: *asks}}}
  wss_forged: {flow: {websocket: {connect: "wss://127.0.0.1:${MUTUAL}", name: wss_forged, tls: {ca_file: ca.pem, cert_file: forged.pem, key_file: forged.key}, session: *asks}}}
  wss_plain: {flow: {websocket: {connect: "ws://127.0.0.1:${WSS}", name: wss_plain, session: *asks}}}
  io: {flow: {socketio: {connect: "https://127.0.0.1:${IO}", name: io, tls: {ca_file: ca.pem}, session: *emits}}}
  io_polling: {flow: {socketio: {connect: "https://127.0.0.1:${IO}", name: io_polling, transport: polling, tls: {ca_file: ca.pem}, session: *emits}}}
  io_unknown: {flow: {socketio: {connect: "wss://127.0.0.1:${IO}", name: io_unknown, tls: {ca_file: stranger.pem}, session: *emits}}}
  io_polling_unknown: {flow: {socketio: {connect: "https://127.0.0.1:${IO}", name: io_polling_unknown, transport: polling, tls: {ca_file: stranger.pem}, session: *emits}}}
  tcp: {flow: {tcp: {connect: "127.0.0.1:${TCP}", name: tcp, tls: {ca_file: ca.pem}, session: *asks}}}
  tcp_unknown: {flow: {tcp: {connect: "127.0.0.1:${TCP}", name: tcp_unknown, tls: {ca_file: stranger.pem}, session: *asks}}}
  tcp_shown: {flow: {tcp: {connect: "127.0.0.1:${TCP_MUTUAL}", name: tcp_shown, tls: {ca_file: ca.pem, cert_file: user.pem, key_file: user.key}, session: *asks}}}
  tcp_hidden: {flow: {tcp: {connect: "127.0.0.1:${TCP_MUTUAL}", name: tcp_hidden, tls: {ca_file: ca.pem}, session: [{receive: {name: refusal}}]}}}
phases:
  - name: all
    duration: 60s
    load:
"#;

#[test]
fn sessions_trust_whom_the_profile_names_and_show_themselves() {
    const TIMES: u64 = 2;
    let bench = Bench::new();
    let stranger = Authority::new(bench.path(), "stranger");
    stranger.certify("forged");
    let authority = Authority::new(bench.path(), "ca");
    authority.certify("user");
    authority.certify("io");
    let (wss, mutual) = (authority.serve(false, echo_messages), authority.serve(true, echo_messages));
    let (tcp, tcp_mutual) = (authority.serve(false, echo_lines), authority.serve(true, echo_lines));
    let io = Server::start_tls(4, &bench.path().join("io.pem"), &bench.path().join("io.key"));

    let good = ["wss", "wss_whoever", "wss_shown", "io", "io_polling", "tcp", "tcp_shown"];
    // With TLS 1.3 a client has connected before it hears that its certificate is missed or refused; where the protocol has a handshake of
    // its own, that fails.
    let bad = [
        ("wss_unknown", "tls"),
        ("wss_misnamed", "tls"),
        ("wss_hidden", "tls"),
        ("wss_forged", "tls"),
        ("io_unknown", "tls"),
        ("io_polling_unknown", "tls"),
        ("tcp_unknown", "tls"),
        ("wss_plain", "protocol"),
    ];
    let mut profile = PROFILE.to_owned();
    for name in good.into_iter().chain(bad.map(|(name, _)| name)).chain(["tcp_hidden"]) {
        profile += &format!("      {name}: {{users: 1, iterations: {TIMES}}}\n");
    }
    let ports: [(&str, &dyn ToString); 5] =
        [("WSS", &wss.port), ("MUTUAL", &mutual.port), ("TCP", &tcp.port), ("TCP_MUTUAL", &tcp_mutual.port), ("IO", &io.port)];
    let books = Books::of(&bench, &profile, &ports);
    for name in good {
        let connections = books.connections(name);
        assert_eq!(connections["connects"], TIMES, "{name}: {:?}", books.samples(name));
        assert!(books.step(name)["errors"].as_object().unwrap().is_empty(), "{name}: {:?}", books.samples(name));
        assert_eq!(count(&books.scenario(name)["iterations_failed"]), 0, "{name}\n{}", books.log);
        let layer = [("scenario", name), ("layer", "tls")];
        assert_eq!(metric(&books.page, "load_connect_layer_duration_seconds_count", &layer), Some(TIMES as f64), "{name}");
    }
    assert_eq!(books.checked().iter().map(|(_, times)| times).sum::<u64>(), TIMES * good.len() as u64);
    for (name, reason) in bad {
        assert_eq!(Books::reasons(&books.step(name)["errors"]), [(reason, TIMES)], "{name}: {:?}", books.samples(name));
        let connections = books.connections(name);
        assert_eq!(Books::reasons(&connections["failures"]), [(reason, TIMES)], "{name}");
        assert_eq!(count(&connections["connects"]), 0, "{name}");
    }
    assert_eq!(Books::reasons(&books.step("refusal")["errors"]), [("tls", TIMES)], "{:?}", books.samples("refusal"));
    let hidden = books.connections("tcp_hidden");
    assert_eq!((count(&hidden["connects"]), Books::reasons(&hidden["disconnects"])), (TIMES, vec![("tls", TIMES)]));
}
