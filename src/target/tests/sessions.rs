//! Connections that stay open, through the drivers.

use super::*;
use crate::protocol::session::{self, Attempt, Connection, Connector, Incoming, IncomingKind, Lost, Outgoing};
use crate::protocol::{socketio, tcp, websocket};

async fn connect(target: &Target, path: &str) -> Attempt {
    let connector = websocket::Connector::new(Template::literal(&format!("ws://{}{path}", target.address())));
    open(Connector::WebSocket(Box::new(connector))).await
}

async fn open(connector: Connector) -> Attempt {
    let scope = Scope::new(Arc::new(Variables::default()), 0);
    session::open(connector.prepare(&scope).unwrap(), None).await
}

async fn websocket(target: &Target, path: &str) -> Connection {
    connect(target, path).await.result.unwrap()
}

async fn line(target: &Target) -> Connection {
    let address = target.tcp_address().unwrap().to_string();
    open(Connector::Tcp(Box::new(tcp::Connector::new(Template::literal(&address))))).await.result.unwrap()
}

fn say(text: &str) -> Outgoing {
    Outgoing::Text(text.into())
}

fn text(message: Incoming) -> String {
    match message.kind {
        IncomingKind::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn metrics(target: &Target) -> String {
    String::from_utf8(ask(target, "/metrics", |_| {}).await.body.to_vec()).unwrap()
}

async fn lost(mut connection: Connection) -> Lost {
    loop {
        if let Err(lost) = connection.next().await {
            return lost;
        }
    }
}

#[tokio::test]
async fn messages_are_echoed_and_counted() {
    let target = target(None);
    let mut connection = websocket(&target, "/ws").await;
    connection.send(say("hello")).await.unwrap();
    assert_eq!(text(connection.next().await.unwrap()), "hello");
    connection.send(Outgoing::Binary(Bytes::from_static(b"\0"))).await.unwrap();
    assert_eq!(connection.next().await.unwrap().kind, IncomingKind::Binary(Bytes::from_static(b"\0")));
    assert!(metrics(&target).await.contains("echo_sessions_open{protocol=\"websocket\"} 1\n"));
    connection.close(Duration::from_secs(30)).await;
    let mut connection = line(&target).await;
    connection.send(say("hello")).await.unwrap();
    assert_eq!(text(connection.next().await.unwrap()), "hello");
    let metrics = metrics(&target).await;
    for line in [
        "echo_messages_received_total{protocol=\"websocket\"} 2\n",
        "echo_messages_sent_total{protocol=\"websocket\"} 2\n",
        "echo_messages_received_total{protocol=\"tcp\"} 1\n",
        "echo_sessions_open{protocol=\"tcp\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    // Over HTTP it is a page like any other, and pages are no upgrades.
    assert_eq!(ask(&target, "/ws", |_| {}).await.body, "{\"method\":\"GET\",\"path\":\"/ws\"}");
    for (path, status) in [("/status/503", 503), ("/redirect/1", 302), ("/ws/fanout?rate=0", 400)] {
        let attempt = connect(&target, path).await;
        assert_eq!((attempt.status, attempt.result.unwrap_err().reason), (status, Reason::Status));
    }
    target.stop().await;
}

#[tokio::test]
async fn every_listener_hears_every_event_and_the_counts_are_exact() {
    const EVENTS: usize = 20;
    let target = target(None);
    let mut listeners = Vec::new();
    for _ in 0..8 {
        listeners.push(websocket(&target, "/ws/fanout?rate=100").await);
    }
    let mut on_tcp = line(&target).await;
    on_tcp.send(say("!listen 100/s")).await.unwrap();
    listeners.push(on_tcp);
    let mut heard: Vec<Vec<u64>> = Vec::new();
    for listener in &mut listeners {
        let mut numbers = Vec::new();
        for _ in 0..EVENTS {
            let event: serde_json::Value = serde_json::from_str(&text(listener.next().await.unwrap())).unwrap();
            assert_eq!(event["type"], "EVENT_UPDATED");
            let age = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - event["at"].as_f64().unwrap();
            assert!((0.0..30.0).contains(&age), "{age}");
            numbers.push(event["seq"].as_u64().unwrap());
        }
        heard.push(numbers);
    }
    for numbers in &heard {
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
    drop(listeners);
    // The publisher stops with its last listener, and what was sent is known to the unit.
    let sent = |metrics: &str, name: &str| -> u64 {
        metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    };
    loop {
        let metrics = metrics(&target).await;
        if metrics.contains("echo_sessions_open{protocol=\"websocket\"} 0\n") && metrics.contains("_open{protocol=\"tcp\"} 0\n") {
            let published = sent(&metrics, "echo_events_published_total");
            let received = sent(&metrics, "echo_events_sent_total{protocol=\"websocket\"}");
            assert!(received >= 8 * EVENTS as u64 && received <= 8 * published, "{metrics}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    target.stop().await;
}

#[tokio::test]
async fn faults_are_what_they_say() {
    let target = target(None);
    for (query, reason, code) in [
        ("close=1011", Reason::Closed, Some(1011)),
        ("drop", Reason::Closed, None),
        ("reset", Reason::Reset, None),
        ("garbage", Reason::Protocol, None),
        ("huge=2MB", Reason::Protocol, None),
    ] {
        let lost = lost(websocket(&target, &format!("/ws?{query}")).await).await;
        assert_eq!((lost.reason, lost.code), (reason, code), "{query}: {lost}");
    }
    let mut connection = websocket(&target, "/ws?close=4000&after=2").await;
    for n in ["1", "2"] {
        connection.send(say(n)).await.unwrap();
        assert_eq!(text(connection.next().await.unwrap()), n);
    }
    assert_eq!(connection.next().await.unwrap_err().code, Some(4000));
    assert_eq!(connect(&target, "/ws?accept=wrong").await.result.unwrap_err().reason, Reason::Protocol);
    for (order, reason) in [("!close", Reason::Closed), ("!half", Reason::Closed), ("!reset", Reason::Reset)] {
        let mut connection = line(&target).await;
        connection.send(say(order)).await.unwrap();
        assert_eq!(lost(connection).await.reason, reason, "{order}");
    }
    let mut connection = line(&target).await;
    connection.send(say("!what")).await.unwrap();
    assert!(text(connection.next().await.unwrap()).contains("the orders are"));
    target.stop().await;
}

#[tokio::test]
async fn stopping_says_goodbye() {
    let target = target(None);
    let (websocket, mut tcp) = (websocket(&target, "/ws/fanout?rate=1").await, line(&target).await);
    // Once it is answered it is accepted: a connection that still waits for that is reset when the listener goes.
    tcp.send(say("here")).await.unwrap();
    assert_eq!(text(tcp.next().await.unwrap()), "here");
    let (one, other, ()) = tokio::join!(lost(websocket), lost(tcp), target.stop());
    assert_eq!((one.reason, one.code), (Reason::Closed, Some(1001)));
    assert_eq!(other.reason, Reason::Closed);
}

async fn enter(target: &Target, namespace: &str, change: impl FnOnce(&mut socketio::Connector)) -> Attempt {
    let mut connector = socketio::Connector::new(Template::literal(&format!("ws://{}", target.address())));
    connector.namespace = Template::literal(namespace);
    change(&mut connector);
    open(Connector::SocketIo(Box::new(connector))).await
}

#[tokio::test]
async fn socket_io_acknowledges_echoes_and_publishes() {
    let target = target(None);
    for namespace in ["/", "/chat"] {
        let mut connection = enter(&target, namespace, |connector| {
            connector.site.query.push(("ping".into(), Template::literal("10ms")));
        })
        .await
        .result
        .unwrap();
        let args = vec![serde_json::json!({"n": 1}), serde_json::json!({"_placeholder": true, "num": 0})];
        let attachments = vec![Bytes::from_static(b"x")];
        for ack in [None, Some(3)] {
            let (args, attachments) = (args.clone(), attachments.clone());
            connection.send(Outgoing::Event { event: "x".into(), args, attachments, ack }).await.unwrap();
        }
        let (args, attachments) = (args.clone(), attachments.clone());
        let back = IncomingKind::Event { event: "x".into(), args: args.clone(), attachments: attachments.clone(), ack: None };
        assert_eq!(connection.next().await.unwrap().kind, back);
        assert_eq!(connection.next().await.unwrap().kind, IncomingKind::Ack { id: 3, args, attachments });
        let listen = |ack| Outgoing::Event { event: "listen".into(), args: vec!["100/s".into()], attachments: vec![], ack };
        connection.send(listen(Some(4))).await.unwrap();
        assert!(matches!(connection.next().await.unwrap().kind, IncomingKind::Ack { id: 4, .. }));
        for _ in 0..10 {
            let IncomingKind::Event { event, args, .. } = connection.next().await.unwrap().kind else { panic!("an event") };
            assert_eq!((event.as_str(), &args[0]["type"]), ("EVENT_UPDATED", &"EVENT_UPDATED".into()));
        }
        for (ack, token, ok) in [(5, "t", true), (6, "", false)] {
            let args = vec![serde_json::json!({"token": token})];
            let ask = Outgoing::Event { event: "authenticate".into(), args, attachments: vec![], ack: Some(ack) };
            connection.send(ask).await.unwrap();
            let answer = loop {
                if let IncomingKind::Ack { id, args, .. } = connection.next().await.unwrap().kind {
                    break (id, args);
                }
            };
            assert_eq!(answer, (ack, vec![serde_json::json!({"ok": ok})]), "among the events");
        }
        connection.send(Outgoing::Event { event: "leave".into(), args: vec![], attachments: vec![], ack: None }).await.unwrap();
        assert_eq!(lost(connection).await.reason, Reason::Closed);
    }
    assert_eq!(enter(&target, "/refused", |_| {}).await.result.unwrap_err().reason, Reason::Status);
    let polling = enter(&target, "/", |connector| connector.transport = socketio::Transport::Polling).await;
    let (status, error) = (polling.status, polling.result.unwrap_err());
    assert_eq!((status, error.reason, error.detail.contains("Transport unknown")), (400, Reason::Status, true), "{error}");
    let staying = enter(&target, "/", |_| {}).await.result.unwrap();
    let (lost, ()) = tokio::join!(lost(staying), target.stop());
    assert_eq!(lost.reason, Reason::Closed);
}
