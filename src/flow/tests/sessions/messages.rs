//! Messages that are sent, awaited and followed.

use tokio::io::AsyncReadExt as _;

use super::*;
use crate::protocol::tcp;

#[tokio::test]
async fn a_reply_is_timed_from_its_sending_and_the_connection_ends_with_a_goodbye() {
    let mut server = Scripted::start(|_, mut socket: Socket| async move {
        say(&mut socket, "welcome").await;
        while let Some(Ok(Message::Text(text))) = socket.next().await {
            say(&mut socket, format!(r#"{{"id": "r7", "of": "{text}"}}"#)).await;
        }
        socket
    })
    .await;
    let mut make = Maker::new("");
    let mut reply = make.await_message("message.json.of == 'hello 4'", Duration::from_secs(30));
    reply.extract = vec![(make.symbol("id"), Extract::json("$.id", false, false).unwrap())];
    reply.checks = vec![(CheckId(0), make.expression("message.json.id == id")), (CheckId(1), make.expression("message.json.no"))];
    let steps = vec![make.say("hello {{ user }}"), message(MessageStep::Receive(reply)), make.set(&[("a", "message.json.of")])];
    let book = Book::default();
    let (end, user) = run(vec![connected(session(&server.url, vec![], steps))], &book).await;
    assert_eq!(end, End::Completed);
    assert_eq!(book.samples_in_short(), [(9, Outcome::Ok, None), (0, Outcome::Ok, None)]);
    let samples = book.samples();
    assert_eq!(samples[0].2.status, 101);
    assert!(samples[0].2.sent > 100 && samples[0].2.received > 100, "the handshake's bytes");
    assert!(samples[1].1 >= samples[0].1 + Duration::from_nanos(samples[0].2.response), "due once it was sent");
    assert_eq!(book.checks(), [(0, true), (1, false)]);
    assert_eq!(user.scope().get(make.symbol("a")).as_str(), Some("hello 4"));
    assert!(user.scope().message().is_none(), "it is the session's");
    assert_eq!(book.messages(), (1, 2));
    assert!(book.has(&Event::Session(9, Outcome::Ok)) && book.has(&Event::Connected) && book.has(&Event::Disconnected(None)));
    assert_eq!(server.end().await, "nothing", "the goodbye was read by the script");
}

#[tokio::test]
async fn what_does_not_come_in_time_is_a_timeout_and_the_session_still_says_goodbye() {
    let mut server = Scripted::start(|_, socket| async { socket }).await;
    let mut make = Maker::new("");
    let patient = make.await_message("", Duration::from_millis(30));
    let steps = vec![message(MessageStep::Receive(patient)), make.say("never said")];
    let book = Book::default();
    let (end, _) = run(vec![connected(session(&server.url, vec![], steps))], &book).await;
    assert_eq!(end, End::Failed);
    assert_eq!(book.samples_in_short()[1], (0, Outcome::Timeout, Some(Reason::Timeout)));
    assert!(book.samples()[1].2.response >= 30_000_000);
    assert_eq!(book.details(), ["no such message came within 30.0ms"]);
    assert!(book.has(&Event::Session(9, Outcome::Timeout)) && book.has(&Event::Disconnected(None)));
    assert_eq!(server.end().await, "a goodbye");
}

#[tokio::test]
async fn listening_lasts_until_the_user_is_asked_to_end_and_follows_what_comes() {
    let mut server = Scripted::start(|_, mut socket: Socket| async move {
        say(&mut socket, "noise").await;
        for number in [5, 6, 9, 8] {
            publish(&mut socket, number).await;
        }
        say(&mut socket, r#"{"seq": 10, "at": 4102444800}"#).await;
        socket
    })
    .await;
    let mut make = Maker::new("");
    let count = Handler { count: make.amounts(&[(3, "1")]), ..Handler::default() };
    let steps = vec![
        message(MessageStep::Listen(ListenStep { length: None, on: Handlers::new(vec![make.follows()]) })),
        make.say("last words"),
    ];
    let book = Book::default();
    let flow = vec![connected(session(&server.url, vec![count], steps))];
    let (ended, ()) = tokio::join!(run(flow, &book), async {
        book.heard(6).await;
        book.ask_to_end();
    });
    assert_eq!(ended.0, End::Completed);
    assert_eq!(book.numbered(), Numbered { received: 5, missed: 1, repeated: 0, reordered: 1 });
    let events = book.events.take();
    let latencies: Vec<_> = events
        .iter()
        .filter_map(|event| if let Event::Latency(0, ns, skew) = event { Some((*ns, *skew)) } else { None })
        .collect();
    assert_eq!((latencies.len(), latencies[4]), (5, (0, true)), "published in 2100");
    assert!(latencies[..4].iter().all(|(ns, skew)| *ns < 30_000_000_000 && !skew));
    assert_eq!(
        events.iter().filter(|event| matches!(event, Event::Count(3, ..))).count(),
        6,
        "for its whole life, whatever comes"
    );
    assert_eq!(server.end().await, "a goodbye");
}

#[tokio::test]
async fn a_message_counts_once_for_a_name_however_many_handlers_take_it() {
    let server = Scripted::start(|_, mut socket: Socket| async move {
        for number in [1, 2, 5] {
            publish(&mut socket, number).await;
        }
        socket
    })
    .await;
    let mut make = Maker::new("");
    let [timed, numbered, both] = [(); 3].map(|()| make.follows());
    let apart = vec![Handler { sequence: None, ..timed }, Handler { latency_from: None, ..numbered }];
    let steps = vec![message(MessageStep::Listen(ListenStep { length: None, on: Handlers::new(apart) }))];
    let book = Book::default();
    let flow = vec![connected(session(&server.url, vec![both], steps))];
    let (ended, ()) = tokio::join!(run(flow, &book), async {
        book.heard(3).await;
        book.ask_to_end();
    });
    assert_eq!(ended.0, End::Completed);
    assert_eq!(book.numbered(), Numbered { received: 3, missed: 2, repeated: 0, reordered: 0 });
    assert_eq!(book.events.borrow().iter().filter(|event| matches!(event, Event::Latency(..))).count(), 3);
}

#[tokio::test]
async fn a_pause_holds_the_steps_and_not_the_messages() {
    let server = Scripted::start(|_, mut socket: Socket| async move {
        socket.next().await;
        publish(&mut socket, 1).await;
        socket.next().await;
        socket
    })
    .await;
    let mut make = Maker::new("");
    let steps = vec![make.say("a"), make.say("b")];
    let follows = make.follows();
    let book = Book::default();
    let flow = vec![connected(session(&server.url, vec![follows], steps))];
    let running = async {
        while book.messages().0 < 1 {
            tokio::task::yield_now().await;
        }
        book.shut.set(true);
        tokio::time::sleep(Duration::from_millis(50)).await;
        book.shut.set(false);
        book.opened.notify_waiters();
    };
    let (ended, ()) = tokio::join!(run(flow, &book), running);
    assert_eq!((ended.0, book.messages().0), (End::Completed, 2));
}

#[tokio::test]
async fn what_a_handler_cannot_read_is_an_error_and_comes_all_the_same() {
    let server = Scripted::start(|_, mut socket: Socket| async move {
        say(&mut socket, r#"{"seq": "seven", "at": 1}"#).await;
        say(&mut socket, r#"{"seq": 8, "at": "yesterday"}"#).await;
        socket
    })
    .await;
    let mut make = Maker::new("");
    let follows = make.follows();
    let book = Book::default();
    let (ended, ()) = tokio::join!(run(vec![connected(session(&server.url, vec![follows], vec![hold()]))], &book), async {
        book.heard(2).await;
        book.ask_to_end();
    });
    assert_eq!(ended.0, End::Completed);
    assert_eq!(book.numbered().received, 2);
    let wrong = (9, Outcome::Error, Some(Reason::Template));
    assert_eq!(book.samples_in_short()[1..], [wrong, wrong]);
}

#[tokio::test]
async fn lines_over_tcp_and_an_end_of_ones_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = String::new();
        let mut buffer = [0; 64];
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..n]).await.unwrap();
            all.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
        all
    });
    let mut make = Maker::new("");
    let mut steps = vec![
        make.say("ping"),
        make.receive("message.text == 'ping'"),
        message(MessageStep::Close(CloseStep::Both)),
        or_else(make.say("too late"), OnError::Continue),
    ];
    steps.push(make.set(&[("a", "1")]));
    let mut step = session("", vec![], steps);
    step.connector = Connector::Tcp(Box::new(tcp::Connector::new(Template::literal(&address))));
    let book = Book::default();
    let (end, user) = run(vec![connected(step)], &book).await;
    assert_eq!((end, text(&user, make.symbol("a"))), (End::Failed, None), "nothing more can be done on it");
    let unsent = (9, Outcome::Error, Some(Reason::Closed));
    assert_eq!(book.samples_in_short(), [(9, Outcome::Ok, None), (0, Outcome::Ok, None), unsent]);
    assert_eq!(book.details(), ["the session has closed its connection"]);
    assert!(book.samples()[0].2.service > 0);
    assert_eq!(server.await.unwrap(), "ping\n");
}

#[tokio::test]
async fn who_listens_was_owed_what_others_heard() {
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let server = Scripted::start(move |number, mut socket: Socket| {
        let both = both.clone();
        async move {
            socket.next().await;
            both.wait().await;
            for event in 1..=if number == 0 { 4 } else { 2 } {
                publish(&mut socket, event).await;
            }
            socket
        }
    })
    .await;
    let mut make = Maker::new("");
    let parts = Arc::new(parts());
    let book = Book::default();
    let listen = |make: &mut Maker, ms| {
        let on = Handlers::new(vec![make.follows()]);
        message(MessageStep::Listen(ListenStep { length: Some(Think::Constant(Duration::from_millis(ms))), on }))
    };
    let flows = [listen(&mut make, 1500), listen(&mut make, 1500)]
        .map(|step| Flow { steps: vec![connected(session(&server.url, vec![], vec![make.say("here"), step]))] });
    let [mut first, mut second] = [User::new(0, &parts), User::new(1, &parts)];
    let all = tokio::join!(
        iterate(&flows[0], &mut first, 0, Instant::now(), &book),
        iterate(&flows[1], &mut second, 0, Instant::now(), &book)
    );
    assert_eq!(all, (End::Completed, End::Completed));
    assert_eq!(book.numbered(), Numbered { received: 6, missed: 2, repeated: 0, reordered: 0 });
}

#[tokio::test]
async fn echoes_in_both_forms_come_back_as_they_were() {
    let server = Scripted::start(echo).await;
    let mut make = Maker::new("");
    let json = make.compiler.json(&serde_json::json!({"n": "{{ user }}", "t": "x"}), &make.names).unwrap();
    let base64 = make.compiler.template("{{ '/wAB' }}", &make.names).unwrap();
    let steps = vec![
        message(MessageStep::Send(SendStep::Json(json))),
        make.receive("message.json.n == 4 and message.text == '{\"n\":4,\"t\":\"x\"}'"),
        message(MessageStep::Send(SendStep::Base64(base64))),
        make.receive("message.bytes | length == 3"),
        message(MessageStep::Send(SendStep::Bytes(bytes::Bytes::from_static(b"\x00\xff")))),
        make.receive("message.bytes | length == 2"),
        or_else(make.say("{{ never_set }}"), OnError::Continue),
    ];
    let book = Book::default();
    let (end, _) = run(vec![connected(session(&server.url, vec![], steps))], &book).await;
    assert_eq!(end, End::Completed);
    assert_eq!(book.messages(), (3, 3));
    assert_eq!(book.samples_in_short().last(), Some(&(9, Outcome::Error, Some(Reason::Template))), "what could not be made");
}

#[tokio::test]
async fn a_message_that_holds_no_json_is_reported_once_where_json_was_asked_for() {
    let server = Scripted::start(|_, mut socket: Socket| async move {
        for text in ["no json", r#"{"seq": 1, "at": 1}"#, "{", "the last"] {
            say(&mut socket, text).await;
        }
        socket
    })
    .await;
    let mut make = Maker::new("");
    let follows = |make: &mut Maker| vec![make.follows()];
    let until_last = |make: &mut Maker| make.receive("message.json is not defined and message.text == 'the last'");
    // By a handler, by a `receive`, by both; and by nobody.
    let extracts = Awaited {
        extract: vec![(make.symbol("id"), Extract::json("$.id", false, false).unwrap())],
        ..make.await_message("", Duration::from_secs(30))
    };
    let cases = [
        (follows(&mut make), vec![make.receive("message.text == 'the last'")], 3),
        (vec![], vec![until_last(&mut make)], 3),
        (follows(&mut make), vec![until_last(&mut make)], 3),
        (vec![], vec![message(MessageStep::Receive(extracts))], 1),
        (vec![], vec![make.receive("message.text == 'the last'")], 0),
    ];
    for (on, steps, wanted) in cases {
        let book = Book::default();
        let (end, _) = run(vec![connected(session(&server.url, on, steps))], &book).await;
        assert_eq!((end, book.unparsed()), (End::Completed, wanted));
    }
}

#[tokio::test]
async fn the_first_handler_that_is_meant_answers_an_event() {
    let (server, connector) = socket_io(|mut socket| async move {
        for packet in [r#"421["ask",{"q":7}]"#, r#"422["other"]"#, r#"42["ask",{"q":8}]"#, r#"423["ask",{"q":9}]"#] {
            say(&mut socket, packet).await;
        }
        let mut replies = Vec::new();
        while let Some(Ok(Message::Text(text))) = socket.next().await {
            replies.push(text.to_string());
        }
        assert_eq!(replies, [r#"431[{"a":7,"user":4}]"#, r#"433[{"a":9,"user":4}]"#, "41"]);
        socket
    })
    .await;
    let mut make = Maker::new("");
    let json = |make: &mut Maker, value| Some(make.compiler.json(&value, &make.names).unwrap());
    let asked = Handler {
        matches: Some(make.expression("message.event == 'ask'")),
        ack: json(&mut make, serde_json::json!([{"a": "{{ message.json.q }}", "user": "{{ user }}"}])),
        ..Handler::default()
    };
    let second = Handler {
        matches: Some(make.expression("message.event == 'ask'")),
        ack: json(&mut make, serde_json::json!([])),
        ..Handler::default()
    };
    let steps = vec![make.receive("message.json.q == 9")];
    let step = SessionStep { connector, ..session("", vec![asked, second], steps) };
    let book = Book::default();
    let (end, _) = run(vec![connected(step)], &book).await;
    assert_eq!((end, book.messages()), (End::Completed, (2, 4)));
    drop(server);
}

#[tokio::test]
async fn json_over_socket_io_is_a_value() {
    let (_server, connector) = socket_io(|socket| echo(0, socket)).await;
    let mut make = Maker::new("");
    let json = make.compiler.json(&serde_json::json!({"n": "{{ user }}"}), &make.names).unwrap();
    let steps = vec![
        message(MessageStep::Send(SendStep::Json(json))),
        make.receive("message.event == 'message'"),
        make.set(&[("a", "message.json.n")]),
    ];
    let step = SessionStep { connector, ..session("", vec![], steps) };
    let book = Book::default();
    let (end, user) = run(vec![connected(step)], &book).await;
    assert_eq!((end, text(&user, make.symbol("a"))), (End::Completed, Some("4".into())));
}

#[tokio::test]
async fn the_end_of_the_peer_after_ones_own_was_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut all = String::new();
            stream.read_to_string(&mut all).await.unwrap();
            stream.write_all(format!("had {}", all.len()).as_bytes()).await.unwrap();
        }
    });
    let mut make = Maker::new("");
    let mut dialogue = |rest: Vec<Step>| {
        let ask = [make.say("hello"), message(MessageStep::Close(CloseStep::Sending)), make.receive("message.text == 'had 6'")];
        ask.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let pause = Think::Constant(Duration::from_millis(50));
    let rests = [
        (dialogue(vec![message(MessageStep::Hold(Some(pause))), message(MessageStep::Close(CloseStep::Both))]), End::Completed),
        (dialogue(vec![step(StepKind::Think(pause))]), End::Completed),
        (dialogue(vec![Maker::new("").receive("")]), End::Failed),
    ];
    for (steps, wanted) in rests {
        let mut step = session("", vec![], steps);
        step.connector = Connector::Tcp(Box::new(tcp::Connector::new(Template::literal(&address))));
        let book = Book::default();
        let (end, _) = run(vec![connected(step)], &book).await;
        assert_eq!(end, wanted);
        let wrong: Vec<_> = book.samples_in_short().into_iter().filter(|(_, outcome, _)| *outcome != Outcome::Ok).collect();
        assert_eq!(wrong.len(), usize::from(wanted == End::Failed), "nothing but a receive that still waits: {wrong:?}");
        assert!(book.has(&Event::Disconnected(None)));
    }
    server.abort();
}

#[tokio::test]
async fn senders_that_are_not_followed_are_reported() {
    let server = Scripted::start(|_, mut socket: Socket| async move {
        for sender in 0..260 {
            say(&mut socket, format!(r#"{{"seq": 1, "at": 1, "by": {sender}}}"#)).await;
        }
        socket
    })
    .await;
    let mut make = Maker::new("");
    let follows = Handler { sender: Some(make.expression("message.json.by")), ..make.follows() };
    let book = Book::default();
    let (ended, ()) = tokio::join!(run(vec![connected(session(&server.url, vec![follows], vec![hold()]))], &book), async {
        book.heard(260).await;
        book.ask_to_end();
    });
    assert_eq!((ended.0, book.numbered().received), (End::Completed, 260));
    let [detail] = &book.details()[..] else { panic!("once: {:?}", book.details()) };
    assert!(detail.contains("more senders than are followed"), "{detail}");
}
