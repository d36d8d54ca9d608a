//! What messages and connections are made of, through the whole program, against servers that write and read by hand: handlers, the
//! details of WebSocket that a server sees, the frames and ends of TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::books::Books;
use crate::support::hostile::{Hostile, Then};
use crate::support::process::free_port;
use crate::support::program::{Bench, count, metric, named};
use crate::support::websocket::{BINARY, CLOSE, PING, PONG, TEXT, accept, consent, frame, goodbye, header, read, request};
use serde_json::Value;

/// What servers saw, in their order.
type Seen = Arc<Mutex<Vec<String>>>;

fn note(seen: &Seen, what: impl Into<String>) {
    seen.lock().unwrap().push(what.into());
}

fn say(stream: &mut TcpStream, frames: &[Vec<u8>]) {
    stream.write_all(&frames.concat()).unwrap();
}

/// A message with the moment of its sending.
fn price(seq: u64, value: &str) -> Vec<u8> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    frame(TEXT, format!(r#"{{"type": "price", "seq": {seq}, "at": {at}, "shares": 3, "value": {value}}}"#).as_bytes())
}

const HANDLERS: &str = r#"name: handlers
metrics:
  prices_total: {type: counter}
  shares_total: {type: counter}
  all_total: {type: counter}
  price_dollars: {type: histogram, unit: dollars, buckets: [10, 12]}
  last_price: {type: gauge}
scenarios:
  brokers:
    flow:
      - websocket:
          connect: "ws://127.0.0.1:${PORT}/"
          name: market
          session:
            - set: {word: "'nothing'", note: "'nothing'"}
            - receive: {match: message.text == 'end', name: end}
            - set: {heard: "note ~ ':' ~ word ~ ':' ~ last"}
            - send: "{{ heard }}"
              if: last > 12
            - send: "never"
              if: gone is defined
            - listen:
                for: 3s
                on: {match: message.text == 'more', count: {shares_total: 10}, extract: {more: {regex: '(.)e$'}}}
            - send: "{{ more }}"
          on:
            - match: message.json.type == 'price'
              name: price
              latency_from: message.json.at
              sequence: message.json.seq
              extract: {last: $.value}
              count: {prices_total: 1, shares_total: message.json.shares}
              record: {price_dollars: message.json.value, last_price: message.json.value}
            - {match: message.json.type == 'note', extract: {note: $.id, word: {regex: 'n(\d+)'}, gone: $.none}}
            - {match: message.json.type == 'order', extract: {order: {json: $.id, required: true}}}
            - {count: {all_total: 1}}
            - {name: any}
phases: [{name: all, duration: 60s, load: {brokers: {users: 2, iterations: 2}}}]
slos: [{name: prices, of: message_latency, require: "missed == 25%"}]
"#;

#[test]
fn handlers_follow_count_record_and_extract() {
    const TIMES: u64 = 4;
    let seen = Seen::default();
    let saw = seen.clone();
    let server = Hostile::scripted(move |stream| {
        accept(stream);
        say(stream, &[price(1, "10"), frame(TEXT, b"plain"), price(2, "\"dear\""), price(4, "12.5")]);
        say(
            stream,
            &[frame(TEXT, br#"{"type": "note", "id": "n7"}"#), frame(TEXT, br#"{"type": "order"}"#), frame(TEXT, b"end")],
        );
        for more in [frame(TEXT, b"more"), Vec::new()] {
            let Some((first, text)) = read(stream) else { return Then::Close };
            note(&saw, format!("{first:x} {}", String::from_utf8(text).unwrap()));
            say(stream, &[more]);
        }
        note(&saw, format!("goodbye {:?}", goodbye(stream)));
        say(stream, &[frame(CLOSE, &1000_u16.to_be_bytes())]);
        Then::Close
    });
    let books = Books::of(&Bench::new(), HANDLERS, &[("PORT", &server.port)]);
    let seen = seen.lock().unwrap();
    for what in ["81 n7:7:12.5", "81 r", "goodbye Some(1000)"] {
        assert_eq!(seen.iter().filter(|said| *said == what).count() as u64, TIMES, "{what}: {seen:?}\n{}", books.log);
    }
    assert_eq!(seen.len() as u64, 3 * TIMES, "{seen:?}");
    let own = |name: &str| named(&books.phases()[0]["metrics"], "name", name);
    // Three prices of three shares each, and ten when there is more; eight messages in all.
    for (name, value) in [("prices_total", 3 * TIMES), ("shares_total", 19 * TIMES), ("all_total", 8 * TIMES)] {
        assert_eq!(own(name)["value"], value as f64, "{name}");
        assert_eq!(metric(&books.page, name, &[]), Some(value as f64), "{name}");
    }
    let prices = &own("price_dollars")["distribution"];
    assert_eq!((count(&prices["count"]), prices["mean"].as_f64()), (2 * TIMES, Some(11.25)), "one is no number");
    for (bound, below) in [("10", TIMES), ("12", TIMES), ("+Inf", 2 * TIMES)] {
        assert_eq!(metric(&books.page, "price_dollars_bucket", &[("le", bound)]), Some(below as f64), "{bound}");
    }
    assert_eq!(metric(&books.page, "last_price", &[]), Some(12.5));
    let price = books.message("price");
    let counts = ["received", "missed", "repeated", "reordered", "clock_skew"].map(|key| count(&price[key]));
    assert_eq!(counts, [3 * TIMES, TIMES, 0, 0, 0], "number 3 never came");
    assert_eq!(count(&price["latency"]["count"]), 3 * TIMES);
    assert_eq!(count(&books.message("any")["received"]), 8 * TIMES);
    // What could not be recorded, and what was required and not there; the messages count, and nobody is thrown out.
    assert_eq!(Books::reasons(&books.step("market")["errors"]), [("data", TIMES), ("template", TIMES)]);
    assert!(books.samples("market").iter().any(|sample| sample.contains("`$.id`")), "{:?}", books.samples("market"));
    assert_eq!(count(&books.scenario("brokers")["iterations_failed"]), 0);
    assert_eq!(books.phases()[0]["slos"][0]["met"], true, "{}", books.phases()[0]["slos"]);
}

const DETAILS: &str = r#"name: details
scenarios:
  visitors:
    flow:
      - http: {post: "http://127.0.0.1:${PORT}/login", name: login}
      - websocket:
          connect: "ws://127.0.0.1:${PORT}/rooms/{{ user }}"
          name: room
          query: {q: "a b"}
          headers: {x-user: "user {{ user }}", authorization: "Bearer of-a-test"}
          subprotocols: [chat.v2, chat.v1]
          session:
            - receive: {match: message.text == 'Hülle', name: fragments}
            - receive: {match: "message.bytes | length == 3 and message.text is not defined", name: bytes}
            - receive: {name: nothing, check: {empty: message.text == ''}}
            - receive: {match: "message.text | length == 70000", name: long}
            - send: ""
            - send: {json: {of: "{{ user }}", says: "é"}}
            - send: {base64: "/wAB"}
            - receive: {match: message.text == 'got them', name: last}
      - http: {get: "http://127.0.0.1:${PORT}/after", name: after}
phases: [{name: all, duration: 60s, load: {visitors: {users: 1, iterations: 2}}}]
"#;

#[test]
fn a_server_sees_what_a_websocket_should_be() {
    let seen = Seen::default();
    let saw = seen.clone();
    let server = Hostile::scripted(move |stream| {
        while let Some(head) = request(stream) {
            // In any order.
            let mut cookies: Vec<_> = header(&head, "cookie").into_iter().flat_map(|cookie| cookie.split("; ")).collect();
            cookies.sort_unstable();
            let cookie = cookies.join("; ");
            note(&saw, format!("{} [{cookie}]", head.lines().next().unwrap()));
            let more = match header(&head, "upgrade") {
                None => "set-cookie: sid=12345678; Path=/\r\n",
                Some(_) => "set-cookie: seat=87654321; Path=/\r\nsec-websocket-protocol: chat.v1\r\n",
            };
            if header(&head, "upgrade").is_none() {
                say(stream, &[format!("HTTP/1.1 200 OK\r\n{more}content-length: 0\r\n\r\n").into_bytes()]);
                continue;
            }
            for name in ["x-user", "sec-websocket-protocol", "sec-websocket-version", "sec-websocket-extensions", "authorization"]
            {
                note(&saw, format!("{name}: {}", header(&head, name).unwrap_or("none")));
            }
            say(stream, &[consent(&head, more).into_bytes()]);
            // A text in three parts, the second one empty, cut within a character, with control frames between them.
            say(stream, &[frame(0x01, b"H\xc3"), frame(PING, b"are you there")]);
            note(&saw, format!("pong {:?}", read(stream) == Some((PONG, b"are you there".to_vec()))));
            say(stream, &[frame(0x00, b""), frame(PONG, b"nobody asked"), frame(0x80, b"\xbclle")]);
            say(stream, &[frame(BINARY, &[0xff, 0, 1]), frame(TEXT, b""), frame(TEXT, &[b'x'; 70_000])]);
            for _ in 0..3 {
                note(&saw, format!("{:x?}", read(stream).unwrap_or_default()));
            }
            say(stream, &[frame(TEXT, b"got them")]);
            note(&saw, format!("goodbye {:?}", goodbye(stream)));
            say(stream, &[frame(CLOSE, &1000_u16.to_be_bytes())]);
            return Then::Close;
        }
        Then::Close
    });
    let bench = Bench::new();
    let books = Books::of(&bench, DETAILS, &[("PORT", &server.port)]);
    let wanted = |cookies: [&str; 3]| {
        let [login, room, after] = cookies.map(|cookies| format!("[{cookies}]"));
        vec![
            format!("POST /login HTTP/1.1 {login}"),
            format!("GET /rooms/0?q=a%20b HTTP/1.1 {room}"),
            "x-user: user 0".into(),
            "sec-websocket-protocol: chat.v2, chat.v1".into(),
            "sec-websocket-version: 13".into(),
            "sec-websocket-extensions: none".into(),
            "authorization: Bearer of-a-test".into(),
            "pong true".into(),
            format!("{:x?}", (TEXT, b"")),
            format!("{:x?}", (TEXT, r#"{"of":0,"says":"é"}"#.as_bytes())),
            format!("{:x?}", (BINARY, [0xff_u8, 0, 1])),
            "goodbye Some(1000)".into(),
            format!("GET /after HTTP/1.1 {after}"),
        ]
    };
    let both = "seat=87654321; sid=12345678";
    let all = [wanted(["", "sid=12345678", both]), wanted([both, both, both])].concat();
    assert_eq!(*seen.lock().unwrap(), all, "{}", books.log);
    assert_eq!(books.checked(), [("empty", 2)]);
    for step in books.phases()[0]["steps"].as_array().unwrap() {
        assert_eq!((count(&step["requests"]), count(&step["outcomes"]["ok"])), (2, 2), "{step}");
    }
    let texts = format!("{}{}{}", books.log, books.page, bench.left());
    for secret in ["of-a-test", "12345678", "87654321"] {
        assert!(!texts.contains(secret), "{secret} is shown");
    }
}

const LINES: &str = r#"name: lines
defaults: {tcp: {timeout: 20s}}
scenarios:
  line:
    flow:
      tcp:
        connect: "127.0.0.1:${LINE}"
        name: line
        session:
          - send: "hello {{ user }}"
          - receive: {match: message.text == 'one', name: one}
          - receive: {name: two, check: {bytes: "message.bytes | length == 2 and message.text is not defined"}}
          - close: sending
          - receive: {match: message.json.had == 8, name: rest}
  until:
    flow:
      tcp:
        connect: "127.0.0.1:${UNTIL}"
        name: until
        frame: {until: "\0"}
        session: [{send: "a\nb"}, {receive: {name: until-reply, check: {whole: message.text == 'x\ny'}}}]
  length:
    flow:
      tcp:
        connect: "127.0.0.1:${LENGTH}"
        name: length
        frame: {length: u16be}
        session: [{send: {base64: "AP8="}}, {receive: {name: length-reply, check: {whole: message.text == 'abc'}}}]
  raw:
    flow:
      tcp:
        connect: "127.0.0.1:${RAW}"
        name: raw
        frame: raw
        session: [{send: "no end"}, {receive: {name: raw-reply, check: {whole: message.text == 'as it is'}}}]
  refused: {flow: {tcp: {connect: "127.0.0.1:${NOBODY}", name: refused, session: []}}}
  timed_out: {flow: {tcp: {connect: "127.0.0.1:${FULL}", name: timed_out, timeout: 300ms, session: []}}}
phases:
  - name: all
    duration: 60s
    load:
      line: {users: 1, iterations: 2}
      until: {users: 1, iterations: 2}
      length: {users: 1, iterations: 2}
      raw: {users: 1, iterations: 2}
      refused: {users: 1, iterations: 2}
      timed_out: {users: 1, iterations: 2}
"#;

/// Whether this is the look before the run, which connects and says nothing.
fn is_look(stream: &TcpStream) -> bool {
    stream.peek(&mut [0]).is_ok_and(|bytes| bytes == 0)
}

/// Reads exactly what is wanted, reports whether it was that, and answers in two pieces.
fn expects(wanted: &'static [u8], answer: [&'static [u8]; 2], seen: &Seen) -> Hostile {
    let saw = seen.clone();
    Hostile::scripted(move |stream| {
        if is_look(stream) {
            return Then::Close;
        }
        let mut came = vec![0; wanted.len()];
        let _ = stream.read_exact(&mut came); // what came is reported below
        note(&saw, if came == wanted { "as wanted".to_owned() } else { format!("{came:?} for {wanted:?}") });
        for piece in answer {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        Then::Keep
    })
}

/// A listener that has as many connections as it takes: the next one is not answered.
fn full() -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
    }
    (listener, waiting)
}

#[test]
fn tcp_has_its_frames_its_halves_and_its_ends() {
    let seen = Seen::default();
    let saw = seen.clone();
    let line = Hostile::scripted(move |stream| {
        if is_look(stream) {
            return Then::Close;
        }
        let mut first = [0; 8];
        stream.read_exact(&mut first).unwrap();
        stream.write_all(b"one\r\n\xff\xfe").unwrap();
        stream.write_all(b"\n").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        note(&saw, if first == *b"hello 0\n" && rest.is_empty() { "as wanted".to_owned() } else { format!("{first:?}{rest:?}") });
        stream.write_all(format!("{{\"had\": {}}}\n", first.len()).as_bytes()).unwrap();
        Then::Close
    });
    let until = expects(b"a\nb\0", [b"x\n", b"y\0"], &seen);
    let length = expects(b"\x00\x02\x00\xff", [b"\x00", b"\x03abc"], &seen);
    let raw = expects(b"no end", [b"as it is", b""], &seen);
    let (listener, _waiting) = full();
    let full = listener.local_addr().unwrap().port();
    let ports: [(&str, &dyn ToString); 6] = [
        ("LINE", &line.port),
        ("UNTIL", &until.port),
        ("LENGTH", &length.port),
        ("RAW", &raw.port),
        ("NOBODY", &free_port()),
        ("FULL", &full),
    ];
    let books = Books::of(&Bench::new(), LINES, &ports);
    assert_eq!(*seen.lock().unwrap(), ["as wanted"; 8], "{}", books.log);
    let mut checked = books.checked();
    checked.sort_unstable();
    assert_eq!(checked, [("bytes", 2), ("whole", 2), ("whole", 2), ("whole", 2)]);
    for name in ["line", "until", "length", "raw"] {
        assert_eq!(count(&books.scenario(name)["iterations_failed"]), 0, "{name}\n{}", books.log);
        assert_eq!(count(&books.sessions(name)["outcomes"]["ok"]), 2, "{name}");
        let connections: &Value = books.connections(name);
        assert_eq!((count(&connections["connects"]), Books::reasons(&connections["disconnects"])), (2, vec![]), "{name}");
    }
    for (name, reason) in [("refused", "refused"), ("timed_out", "timeout")] {
        assert_eq!(Books::reasons(&books.step(name)["errors"]), [(reason, 2)], "{name}");
        assert_eq!(Books::reasons(&books.connections(name)["failures"]), [(reason, 2)], "{name}");
    }
    let outcomes = &books.step("timed_out")["outcomes"];
    assert_eq!(outcomes.get("timeout").map(count), Some(2), "a timeout is a sample of its time: {outcomes}");
    assert!(books.step("timed_out")["response"]["p50"].as_f64().unwrap() >= 0.295);
}
