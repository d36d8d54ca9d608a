//! Names that are connected to at another address, and who asks there: over every protocol, end to end.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::Bench;

/// What a server heard: a line for each request, with the headers that matter.
type Heard = Arc<Mutex<Vec<String>>>;

/// Answers 500 and repeats what it was sent.
fn parrot(heard: &Heard) -> Hostile {
    let heard = Arc::clone(heard);
    Hostile::start(move |request, stream| {
        let header = |name: &str| {
            let mut lines = request.head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("-", |(_, value)| value).to_owned()
        };
        let path = request.path.split('?').next().unwrap_or_default();
        heard.lock().unwrap().push(format!("{path} {} {}", header("host"), header("authorization")));
        let _ = stream.write_all(answer("500 Internal Server Error", &request.head).as_bytes()); // the client may have gone
        Then::Keep
    })
}

const BASIC: &str = "Basic YW5uOnMzY3JldC1vZi1hbm4=";

#[test]
fn every_protocol_goes_to_the_address_under_its_name_and_says_who_asks() {
    let heard = Heard::default();
    let target = parrot(&heard);
    let bench = Bench::new();
    bench.file(
        "named.yml",
        &format!(
            r#"name: named
x-there: &there {{shop.example: "127.0.0.1:{port}"}}
defaults:
  on_error: continue
  http: {{base_url: "http://ann:s3cret-of-ann@shop.example", connect_to: *there}}
  websocket: {{base_url: "ws://ann:s3cret-of-ann@shop.example", connect_to: *there}}
  socketio: {{base_url: "http://ann:s3cret-of-ann@shop.example:81", connect_to: *there}}
data: {{people: {{list: [{{name: ann, password: s3cret-of-ann}}]}}}}
scenarios:
  a:
    flow:
      - http: {{get: /url}}
      - http: {{get: "/varying/{{{{ user }}}}", name: varying}}
      - http: {{get: "http://shop.example/basic", auth: {{basic: {{user: ann, password: s3cret-of-ann}}}}}}
      - http: {{get: "http://shop.example/rendered", auth: {{basic: {{user: "{{{{ people.name }}}}", password: "{{{{ people.password }}}}"}}}}}}
      - http: {{get: "http://shop.example/bearer", auth: {{bearer: t0ken-of-ann}}}}
      - http: {{get: "http://shop.example/made", auth: {{bearer: "{{{{ people.password }}}}-2"}}}}
      - http: {{get: "http://shop.example/nobody", auth: {{bearer: "${{NO_TOKEN:-}}"}}}}
      - websocket: {{connect: /ws, session: [{{send: x}}]}}
      - socketio: {{transport: polling, session: [{{emit: {{event: x}}}}]}}
      - tcp: {{connect: "shop.example:9000", connect_to: *there, frame: {{until: "\r\n\r\n"}}, session: [{{send: "GET /tcp HTTP/1.1\r\nhost: by-tcp"}}, {{receive: {{match: "'500' in message.text"}}}}]}}
phases: [{{name: one, duration: 10s, load: {{a: {{users: 1, iterations: 1}}}}}}]
"#,
            port = target.port
        ),
    );
    let ended = bench.run_files(&["named.yml"], &["--strict", "--log.level=debug"]);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    let expected = [
        format!("/url shop.example {BASIC}"),
        format!("/varying/0 shop.example {BASIC}"),
        format!("/basic shop.example {BASIC}"),
        format!("/rendered shop.example {BASIC}"),
        "/bearer shop.example Bearer t0ken-of-ann".to_owned(),
        "/made shop.example Bearer s3cret-of-ann-2".to_owned(),
        "/nobody shop.example -".to_owned(),
        format!("/ws shop.example {BASIC}"),
        format!("/socket.io/ shop.example:81 {BASIC}"),
        "/tcp by-tcp -".to_owned(),
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
    let record = bench.record();
    let all = [&*ended.out, &ended.err, &bench.left()].concat();
    assert!(all.contains("/rendered HTTP/1.1"), "examples of errors are there");
    for secret in ["s3cret-of-ann", "t0ken-of-ann", &BASIC[6..]] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    let names: Vec<&str> =
        record["phases"][0]["steps"].as_array().unwrap().iter().filter_map(|step| step["step"].as_str()).collect();
    assert!(names.contains(&"GET /url") && names.contains(&"WS /ws"), "{names:?}");
}

#[test]
fn the_look_before_a_run_is_at_the_address_too() {
    let bench = Bench::new();
    let closed = free_port();
    bench.file(
        "away.yml",
        &format!(
            "name: away
scenarios: {{a: {{flow: [{{http: {{get: \"http://shop.example/\", connect_to: {{shop.example: \"127.0.0.1:{closed}\"}}}}}}]}}}}
phases: [{{name: one, duration: 1s, load: {{a: {{users: 1}}}}}}]
"
        ),
    );
    let ended = bench.run_files(&["away.yml"], &["--strict"]);
    assert_eq!(ended.code, Some(4), "{}\n{}", ended.out, ended.err);
    let wanted = format!(
        "the target shop.example:80 can't be reached: cannot connect to 127.0.0.1:{closed}, which `connect_to` names for shop.example:80"
    );
    assert!(ended.out.contains(&wanted), "{}", ended.out);
}
