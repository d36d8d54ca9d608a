//! Steps of Socket.IO through the whole program, against real servers of versions 3 and 4: what `run.json` and `/metrics` say is what
//! the servers counted themselves.

use std::time::{Duration, Instant};

use crate::support::books::Books;
use crate::support::http;
use crate::support::program::{Bench, count};
use crate::support::socketio::Server;
use serde_json::Value;

/// What a server counted, once everybody has gone.
fn counted(server: &Server) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let counts: Value = serde_json::from_str(&http::get(server.port, "/counts").unwrap().1).unwrap();
        if counts["open"] == 0 {
            return counts;
        }
        assert!(Instant::now() < deadline, "somebody stays: {counts}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everything that a profile can do over Socket.IO, and every way in which a server of it turns somebody away.
const PROFILE: &str = r#"name: chat
defaults: {socketio: {base_url: "http://127.0.0.1:${PORT}"}}
metrics: {updates_total: {type: counter}, heard_total: {type: counter}, last_seq: {type: gauge}}
scenarios:
  members:
    flow:
      - socketio: &member
          name: member
          namespace: /chat
          auth: {token: "t-{{ user }}", n: "{{ iteration }}"}
          query: {room: "room {{ user }}"}
          headers: {x-own: "of {{ user }}"}
          session:
            - emit:
                event: whoami
                ack:
                  name: whoami
                  extract: {token: $.auth.token, namespace: $.namespace}
                  check:
                    is_me: message.json.room == 'room ' ~ user and message.json.own == 'of ' ~ user
                    by_websocket: message.args[0].transport == 'websocket' and message.event is not defined
            - emit: {event: echo, args: ["{{ token }}", {n: "{{ iteration }}", at: "{{ namespace }}"}]}
            - receive:
                match: message.event == 'echo' and message.args[1].n == iteration
                name: echoed
                check: {as_sent: "message.args[0] == 't-' ~ user and message.args[1].at == '/chat' and message.text == token"}
            - emit: {event: echo, args: 7, ack: true}
            - send: {base64: "AAEC/w=="}
            - receive: {match: message.event == 'message', name: bytes, check: {whole: "message.bytes | length == 4"}}
            - send: "plain {{ user }}"
            - receive: {match: message.text == 'plain ' ~ user, name: text, check: {first: "message.args[0] == message.text"}}
            - send: {json: {of: "{{ user }}"}}
            - receive: {match: message.json.of == user, name: json}
            - emit: {event: subscribe, args: [20], ack: {name: subscribe, within: 20s}}
            - listen:
                for: 500ms
                on:
                  match: message.event == 'update'
                  count: {heard_total: 1}
                  record: {last_seq: message.json.seq}
                  extract: {last: $.seq}
            - emit: {event: unsubscribe, ack: {name: unsubscribe, check: {heard: last > 0}}}
          on:
            match: message.event == 'update'
            name: update
            latency_from: message.json.at
            sequence: message.json.seq
            sender: message.json.to
            count: {updates_total: 1}
  polling:
    flow:
      - socketio: {<<: *member, name: polling, transport: polling}
  kicked: {flow: [{socketio: {name: kicked, session: [emit: {event: kick}, hold: 2s]}}]}
  waiting: {flow: [{socketio: {name: waiting, session: [emit: {event: leave}, receive: {name: nothing, within: 60s}]}}]}
  wrong: {flow: [{socketio: {name: wrong, namespace: /secret, auth: {token: guessed}, session: [hold: 2s]}}]}
  nowhere: {flow: [{socketio: {name: nowhere, namespace: /nowhere, transport: polling, session: [hold: 2s]}}]}
  right: {flow: [{socketio: {name: right, namespace: /secret, auth: {token: letmein}, session: [emit: {event: echo, ack: true}]}}]}
phases:
  - name: all
    duration: 60s
    load:
      members: {users: 3, iterations: 2}
      polling: {users: 2, iterations: 2}
      kicked: {users: 1, iterations: 2}
      waiting: {users: 1, iterations: 2}
      wrong: {users: 1, iterations: 2}
      nowhere: {users: 1, iterations: 2}
      right: {users: 1, iterations: 2}
slos:
  - {name: connects, protocol: socketio, of: connect, require: "count(errors) == 4"}
  - {name: churn, protocol: socketio, require: "count(disconnects) == 4"}
  - {name: numbers, of: message_latency, require: missed == 0%}
"#;

#[test]
fn what_the_servers_counted_is_what_a_run_says() {
    for version in [3, 4] {
        let server = Server::start(version);
        let bench = Bench::new();
        let books = Books::of(&bench, PROFILE, &[("PORT", &server.port)]);
        let counts = counted(&server);
        let case = format!("version {version}: {counts}\n{}", books.log);
        let of = |key: &str, name: &str| counts[key].get(name).map_or(0, count);

        // Who came, by which way, and who was let in.
        for (scenario, connects) in [("members", 6), ("polling", 4), ("kicked", 2), ("waiting", 2), ("right", 2)] {
            assert_eq!(books.connections(scenario)["connects"], connects, "{scenario} of {case}");
        }
        assert_eq!((of("connected", "/chat"), of("connected", "/"), of("connected", "/secret")), (10, 4, 2), "{case}");
        for scenario in ["wrong", "nowhere"] {
            assert_eq!(Books::reasons(&books.connections(scenario)["failures"]), [("status", 2)], "{case}");
            assert_eq!(Books::reasons(&books.step(scenario)["errors"]), [("status", 2)], "{case}");
        }
        assert_eq!(count(&counts["refused"]), 2, "{case}");
        assert!(books.samples("wrong")[0].contains("not authorized"), "{case}");
        assert!(books.samples("nowhere")[0].contains("Invalid namespace"), "{case}");
        assert_eq!((of("opened", "polling"), of("opened", "websocket")), (4 + 2, 6 + 2 + 2 + 2 + 2), "{case}");
        assert_eq!(count(&counts["upgraded"]), 6, "{case}");

        // Who went, and on whose account.
        for (scenario, step) in [("kicked", "kicked"), ("waiting", "nothing")] {
            assert_eq!(Books::reasons(&books.connections(scenario)["disconnects"]), [("closed", 2)], "{case}");
            assert_eq!(Books::reasons(&books.step(step)["errors"]), [("closed", 2)], "{case}");
            assert!(books.samples(step)[0].contains("the server disconnected the namespace"), "{case}");
            assert_eq!(count(&books.scenario(scenario)["iterations_failed"]), 2);
        }
        assert_eq!(of("left", "server namespace disconnect"), 4, "{case}");
        assert_eq!(of("left", "client namespace disconnect"), 12, "{case}");

        // What went over the connections.
        let sessions = || books.phases()[0]["sessions"].as_array().unwrap().iter();
        let sent: u64 = sessions().map(|sessions| count(&sessions["messages_sent"])).sum();
        let received: u64 = sessions().map(|sessions| count(&sessions["messages_received"])).sum();
        assert_eq!(sent, count(&counts["received"]), "{case}");
        assert_eq!(received, count(&counts["sent"]) + count(&counts["acknowledged"]), "{case}");
        for (step, requests) in [
            ("whoami", 10),
            ("emit echo", 10 + 2),
            ("echoed", 10),
            ("bytes", 10),
            ("text", 10),
            ("json", 10),
            ("subscribe", 10),
            ("unsubscribe", 10),
        ] {
            let ok: u64 = books.phases()[0]["steps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|of| of["step"] == step)
                .map(|of| count(&of["outcomes"]["ok"]))
                .sum();
            assert_eq!(ok, requests, "{step} of {case}");
        }
        let acknowledged = 10 * 4 + 2;
        assert_eq!(count(&counts["acknowledged"]), acknowledged, "{case}");
        assert_eq!(books.checked().iter().map(|(_, times)| times).sum::<u64>(), 10 * 6, "{case}");

        // Of the updates, each was heard once, in order, and said how old it was.
        let updates = count(&counts["sent"]) - 4 * 10;
        let messages = books.phases()[0]["messages"].as_array().unwrap();
        let sum = |key: &str| messages.iter().map(|message| count(&message[key])).sum::<u64>();
        assert_eq!((sum("received"), sum("missed"), sum("repeated"), sum("reordered")), (updates, 0, 0, 0), "{case}");
        let timed: u64 = messages.iter().map(|message| count(&message["latency"]["count"])).sum();
        assert_eq!(timed, updates, "{case}");
        let own = |name: &str| -> f64 {
            let metrics = books.phases()[0]["metrics"].as_array().unwrap().iter().filter(|metric| metric["name"] == name);
            metrics.map(|metric| metric["value"].as_f64().unwrap_or(0.0)).sum()
        };
        assert_eq!(own("updates_total"), updates as f64, "{case}");
        assert!(own("heard_total") > 0.0 && own("heard_total") <= updates as f64, "{case}");
        for slo in books.phases()[0]["slos"].as_array().unwrap() {
            assert_eq!(slo["met"], true, "{slo}\n{case}");
        }
    }
}

/// What a handler answers, an end that is meant to be, and a server of a version that isn't spoken.
const ANSWERS: &str = r#"name: answers
defaults: {socketio: {base_url: "http://127.0.0.1:PORT"}}
scenarios:
  answering:
    flow:
      - socketio:
          name: answering
          session:
            - emit: {event: ask, args: ["is it {{ user }}?"]}
            - receive: {match: message.event == 'answered', name: answered, check: {mine: "message.json.of == user and message.json.to == 'is it ' ~ user ~ '?'"}}
          on: [{match: message.event == 'question', name: question, ack: {json: {to: "{{ message.json }}", of: "{{ user }}"}}}]
  kicked: {flow: [{socketio: {name: kicked, close: {expect: disconnect}, session: [{emit: {event: kick}}, hold]}}]}
phases: [{name: p, duration: 20s, load: {answering: {users: 2, iterations: 2}, kicked: {users: 1, iterations: 1}}}]
slos: [{name: good, require: [errors == 0%, checks == 100%]}, {name: kept, protocol: socketio, require: disconnects == 0%}]
"#;

#[test]
fn handlers_answer_the_servers_events_and_an_expected_goodbye_is_none() {
    for version in [3, 4] {
        let server = Server::start(version);
        let bench = Bench::new();
        let ended = bench.run(&ANSWERS.replace("PORT", &server.port.to_string()));
        assert_eq!(ended.code, Some(0), "{version}: {}{}", ended.out, ended.err);
        let phase = &bench.record()["phases"][0];
        let named =
            |list: &str, name: &str| phase[list].as_array().unwrap().iter().find(|one| one["step"] == name).unwrap().clone();
        assert_eq!(count(&named("steps", "answered")["outcomes"]["ok"]), 4, "{version}");
        let sessions = named("sessions", "answering");
        // The question that is asked, and the answer to the server's own.
        assert_eq!((count(&sessions["messages_sent"]), count(&sessions["messages_received"])), (8, 8), "{version}");
        assert_eq!(counted(&server)["left"]["server namespace disconnect"], 1, "{version}");
    }
}

#[test]
fn a_server_of_version_2_is_refused_with_the_reason() {
    let server = Server::start(2);
    for transport in ["websocket", "polling"] {
        let bench = Bench::new();
        let ended = bench.run(&format!(
            "name: old
scenarios: {{s: {{flow: [{{socketio: {{connect: \"http://127.0.0.1:{}\", name: old, transport: {transport}, session: [{{hold: 1s}}]}}}}]}}}}
phases: [{{name: p, duration: 10s, load: {{s: {{users: 1, iterations: 1}}}}}}]
",
            server.port
        ));
        assert!(ended.out.contains("Socket.IO 2"), "{transport}: {}{}", ended.out, ended.err);
        let step = bench.record()["phases"][0]["steps"][0].clone();
        assert_eq!((count(&step["errors"]["protocol"]), count(&step["requests"])), (1, 1), "{transport}");
    }
}
