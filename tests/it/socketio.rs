//! The Socket.IO driver against real servers, of versions 3 and 4, begun by WebSocket and by polling.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::support::socketio::Server;
use bytes::Bytes;
use load_exporter::base::Reason;
use load_exporter::expr::{Compiler, Names, ScenarioValues, Scope, Template};
use load_exporter::protocol::http::Cookies;
use load_exporter::protocol::session::{self, Attempt, Connection, IncomingKind, Outgoing};
use load_exporter::protocol::socketio::{Connector, Transport};
use serde_json::{Value, json};

/// Far longer than anything here takes.
const PLENTY: Duration = Duration::from_secs(60);

static SERVERS: LazyLock<[(u8, Server); 2]> = LazyLock::new(|| [3, 4].map(|version| (version, Server::start(version))));

async fn attempt(port: u16, cookies: Option<&mut Cookies>, change: impl FnOnce(&mut Connector)) -> Attempt {
    let mut connector = Connector::new(Template::literal(&format!("http://127.0.0.1:{port}")));
    connector.timeout = PLENTY;
    change(&mut connector);
    connector.check().unwrap();
    let scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
    session::open(session::Connector::SocketIo(Box::new(connector)).prepare(&scope).unwrap(), cookies).await
}

async fn open(port: u16, change: impl FnOnce(&mut Connector)) -> Connection {
    attempt(port, None, change).await.result.unwrap()
}

fn event(name: &str, args: Value, ack: Option<u64>) -> Outgoing {
    let Value::Array(args) = args else { panic!("a list") };
    Outgoing::Event { event: name.to_owned(), args, attachments: Vec::new(), ack }
}

/// The next message, an event of this name.
async fn heard(connection: &mut Connection, name: &str) -> (Vec<Value>, Vec<Bytes>, Option<u64>) {
    match connection.next().await.unwrap().kind {
        IncomingKind::Event { event, args, attachments, ack } if event == name => (args, attachments, ack),
        other => panic!("{name}: {other:?}"),
    }
}

/// What is asked with an acknowledgement, and answered.
async fn asked(connection: &mut Connection, name: &str, args: Value, ack: u64) -> Vec<Value> {
    connection.send(event(name, args, Some(ack))).await.unwrap();
    match connection.next().await.unwrap().kind {
        IncomingKind::Ack { id, args, .. } if id == ack => args,
        other => panic!("{name}: {other:?}"),
    }
}

/// Both versions, both transports.
fn each() -> impl Iterator<Item = (String, u16, Transport)> {
    SERVERS.iter().flat_map(|(version, server)| {
        [Transport::WebSocket, Transport::Polling].map(|transport| (format!("{version} {transport:?}"), server.port, transport))
    })
}

#[tokio::test]
async fn connects_and_exchanges_events_and_acknowledgements() {
    for (case, port, transport) in each() {
        let opened = attempt(port, None, |connector| {
            connector.transport = transport;
            connector.site.query.push(("room".into(), Template::literal("a b")));
            connector.site.headers.push((http::HeaderName::from_static("x-own"), Template::literal("yes")));
        })
        .await;
        let times = opened.times.unwrap();
        assert!(times.handshake.unwrap() <= times.total && opened.status == 101, "{case}");
        let mut connection = opened.result.unwrap();
        let who = asked(&mut connection, "whoami", json!([]), 1).await;
        let wanted = json!([{"auth": {}, "room": "a b", "own": "yes", "namespace": "/", "transport": "websocket"}]);
        assert_eq!(Value::Array(who), wanted, "{case}");
        assert_eq!(
            asked(&mut connection, "echo", json!(["ü", {"n": 1.5}, null]), 2).await,
            [json!("ü"), json!({"n": 1.5}), json!(null)]
        );
        connection.send(event("echo", json!([1, "two"]), None)).await.unwrap();
        assert_eq!(heard(&mut connection, "echo").await.0, [json!(1), json!("two")], "{case}");
        connection.send(Outgoing::Text("plain".into())).await.unwrap();
        assert_eq!(heard(&mut connection, "message").await.0, [json!("plain")]);
        // The server asks, and is answered.
        connection.send(event("ask", json!(["well?"]), None)).await.unwrap();
        let (args, _, ack) = heard(&mut connection, "question").await;
        assert_eq!(args, [json!("well?")]);
        connection
            .send(Outgoing::Ack { id: ack.unwrap(), args: vec![json!("very"), json!(2)], attachments: Vec::new() })
            .await
            .unwrap();
        assert_eq!(heard(&mut connection, "answered").await.0, [json!("very"), json!(2)], "{case}");
        connection.send(event("ticks", json!([1000]), None)).await.unwrap();
        for seq in 1..=1000 {
            assert_eq!(heard(&mut connection, "tick").await.0, [json!({"seq": seq})], "{case}");
        }
        connection.close(PLENTY).await;
    }
}

#[tokio::test]
async fn attachments_go_and_come() {
    for (case, port, transport) in each() {
        let mut connection = open(port, |connector| connector.transport = transport).await;
        let placeholder = |num| json!({"_placeholder": true, "num": num});
        let (one, two) = (Bytes::from_static(b"\0\x01\xff"), Bytes::from(vec![7; 100_000]));
        for ack in [None, Some(9)] {
            let args = vec![json!("files"), json!({"first": placeholder(0)}), placeholder(1)];
            let attachments = vec![one.clone(), two.clone()];
            connection.send(Outgoing::Event { event: "echo".into(), args: args.clone(), attachments, ack }).await.unwrap();
            let (back, attached) = match connection.next().await.unwrap().kind {
                IncomingKind::Event { event, args, attachments, .. } if event == "echo" => (args, attachments),
                IncomingKind::Ack { id: 9, args, attachments } => (args, attachments),
                other => panic!("{other:?}"),
            };
            assert_eq!((back, attached), (args, vec![one.clone(), two.clone()]), "{case}");
        }
        connection.send(Outgoing::Binary(one.clone())).await.unwrap();
        assert_eq!(heard(&mut connection, "message").await.1, [one]);
    }
}

#[tokio::test]
async fn namespaces_and_what_is_needed_to_enter_them() {
    let auth = |text: &str| {
        let json = serde_json::from_str(text).unwrap();
        Some(Compiler::new().json(&json, &Names::default()).unwrap())
    };
    for (case, port, transport) in each() {
        let mut connection = open(port, |connector| {
            connector.transport = transport;
            connector.namespace = Template::literal("/chat");
        })
        .await;
        let who = asked(&mut connection, "whoami", json!([]), 77).await;
        assert_eq!(who[0]["namespace"], "/chat", "{case}");
        connection.close(PLENTY).await;
        let mut connection = open(port, |connector| {
            connector.transport = transport;
            connector.namespace = Template::literal("secret");
            connector.auth = auth(r#"{"token": "letmein"}"#);
        })
        .await;
        assert_eq!(asked(&mut connection, "whoami", json!([]), 0).await[0]["auth"], json!({"token": "letmein"}));
        for (namespace, part) in [("/secret", "not authorized"), ("/nowhere", "Invalid namespace")] {
            let refused = attempt(port, None, |connector| {
                connector.transport = transport;
                connector.namespace = Template::literal(namespace);
                connector.auth = auth(r#"{"token": "wrong"}"#);
            })
            .await;
            let error = refused.result.unwrap_err();
            assert_eq!((error.reason, error.detail.contains(part)), (Reason::Status, true), "{case}: {error}");
        }
    }
}

#[tokio::test]
async fn pings_are_answered_and_the_connection_lasts() {
    for (case, port, transport) in each() {
        let mut connection = open(port, |connector| connector.transport = transport).await;
        let before = connection.traffic();
        // Five pings of two bytes and their frames' heads; nothing else comes.
        let deadline = Instant::now() + PLENTY;
        while connection.traffic().1 < before.1 + 5 * 3 {
            assert!(Instant::now() < deadline, "{case}");
            let silence = tokio::time::timeout(Duration::from_millis(100), connection.next()).await;
            assert!(silence.is_err(), "{case}: {silence:?}");
        }
        assert!(connection.traffic().0 >= before.0 + 5 * 7, "{case}");
        assert_eq!(asked(&mut connection, "echo", json!([1]), 1).await, [json!(1)]);
    }
}

#[tokio::test]
async fn the_servers_goodbye_is_reported() {
    for (case, port, transport) in each() {
        for name in ["leave", "kick"] {
            let mut connection = open(port, |connector| connector.transport = transport).await;
            connection.send(event(name, json!([]), None)).await.unwrap();
            let lost = connection.next().await.unwrap_err();
            assert_eq!(
                (lost.reason, lost.detail.contains("disconnected the namespace")),
                (Reason::Closed, true),
                "{case}: {lost}"
            );
            assert_eq!(connection.next().await.unwrap_err(), lost);
            assert_eq!(connection.send(event("echo", json!([]), None)).await.unwrap_err(), lost);
            connection.close(PLENTY).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_an_endpoint_refuses_with_its_status() {
    for (case, port, transport) in each() {
        let refused = attempt(port, None, |connector| {
            connector.transport = transport;
            connector.timeout = Duration::from_millis(500);
            connector.path = Template::literal("/other/");
        })
        .await;
        // The server leaves unknown paths to others, and there are none.
        let error = refused.result.unwrap_err();
        assert!(matches!(error.reason, Reason::Timeout | Reason::Closed | Reason::Status), "{case}: {error}");
        let refused = attempt(port, None, |connector| {
            connector.transport = transport;
            connector.site.query.push(("sid".into(), Template::literal("made-up")));
        })
        .await;
        assert_eq!((refused.status, refused.result.unwrap_err().reason), (400, Reason::Status), "{case}");
    }
}

#[tokio::test]
async fn cookies_of_the_polling_go_with_the_upgrade() {
    for (_, port, _) in each() {
        let mut jar = Cookies::default();
        let opened = attempt(port, Some(&mut jar), |connector| connector.transport = Transport::Polling).await;
        opened.result.unwrap();
        assert_eq!(jar.values().count(), 1);
    }
}
