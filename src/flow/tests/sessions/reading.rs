//! When messages are read, and what of them is kept until somebody looks.

use super::*;

#[tokio::test]
async fn messages_are_read_while_anything_waits() {
    let web = super::Server::start().await;
    let server = Scripted::start(|_, mut socket: Socket| async move {
        for number in 1..=3 {
            socket.next().await;
            publish(&mut socket, number).await;
        }
        socket
    })
    .await;
    let mut make = Maker::new(&web.url);
    let follows = make.follows();
    let mut slow = make.get("/never");
    let mut spec = Spec::new(http::Method::GET, Template::literal(&format!("{}/never", web.url)));
    spec.timeout = Duration::from_millis(200);
    slow.request = Request::new(spec).unwrap();
    let steps = vec![
        make.say("a"),
        step(StepKind::Think(Think::Constant(Duration::from_millis(100)))),
        make.say("b"),
        or_else(http(slow), OnError::Continue),
        make.say("c"),
        step(StepKind::Think(Think::Constant(Duration::from_millis(100)))),
    ];
    let book = Book::default();
    let (end, _) = run(vec![connected(session(&server.url, vec![follows], steps))], &book).await;
    assert_eq!(end, End::Completed);
    assert_eq!(book.numbered(), Numbered { received: 3, ..Numbered::default() });
    let events = book.events.borrow();
    let latencies: Vec<u64> =
        events.iter().filter_map(|event| if let Event::Latency(_, ns, _) = event { Some(*ns) } else { None }).collect();
    assert!(latencies[1] < 150_000_000, "its moment is that of its receipt, not of the request's end: {latencies:?}");
}

#[tokio::test]
async fn what_is_read_ahead_is_bounded_and_the_peer_waits() {
    const MESSAGE: usize = 256 * 1024;
    let web = super::Server::start().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let server = Scripted::start(move |_, mut socket: Socket| {
        let count = count.clone();
        async move {
            for _ in 0..160 {
                socket.send(Message::binary(vec![0; MESSAGE])).await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
            }
            socket
        }
    })
    .await;
    let mut make = Maker::new(&web.url);
    let mut slow = make.get("/never");
    let mut spec = Spec::new(http::Method::GET, Template::literal(&format!("{}/never", web.url)));
    spec.timeout = Duration::from_millis(500);
    slow.request = Request::new(spec).unwrap();
    let book = Book::default();
    let flow = vec![connected(session(&server.url, vec![], vec![http(slow)]))];
    let ((end, _), sent) = tokio::join!(run(flow, &book), async {
        while book.samples().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sent.load(Ordering::SeqCst)
    });
    assert_eq!(end, End::Failed);
    // What the sockets of both sides hold comes on top of the two megabytes.
    assert!((4..100).contains(&sent), "{sent} messages");
}

#[tokio::test]
async fn what_comes_before_an_acknowledgement_is_for_the_next_receive() {
    let (_server, connector) = socket_io(|mut socket| async move {
        for packets in [&[r#"42["noise"]"#, r#"42["joined",1]"#, r#"42["roster",2]"#, "430[1]"][..], &[r#"42["left"]"#, "431[1]"]]
        {
            socket.next().await;
            for packet in packets {
                say(&mut socket, *packet).await;
            }
        }
        socket
    })
    .await;
    let mut make = Maker::new("");
    let emit = |make: &mut Maker| {
        let ack = make.await_message("", Duration::from_secs(30));
        let event = make.compiler.template("join", &make.names).unwrap();
        message(MessageStep::Emit(EmitStep { event, args: make.json(&serde_json::json!([])), ack: Some(ack) }))
    };
    let steps = vec![
        emit(&mut make),
        make.receive("message.event == 'joined'"),
        make.set(&[("a", "message.json")]),
        make.receive(""),
        make.set(&[("b", "message.json")]),
        emit(&mut make),
        make.say("a question"),
        message(MessageStep::Receive(make.await_message("", Duration::from_millis(30)))),
    ];
    let step = SessionStep { connector, ..session("", vec![], steps) };
    let book = Book::default();
    let (end, user) = run(vec![connected(step)], &book).await;
    assert_eq!(["a", "b"].map(|name| text(&user, make.symbol(name)).unwrap()), ["1", "2"]);
    assert_eq!((end, book.details()), (End::Failed, vec!["no such message came within 30.0ms".into()]), "not that of before");
}

#[tokio::test]
async fn what_comes_before_the_peers_goodbye_is_received() {
    let server = Scripted::start(|_, mut socket: Socket| async move {
        socket.next().await;
        // By now the goodbye is there, and hasn't been read.
        tokio::time::sleep(Duration::from_millis(50)).await;
        for number in [1, 2, 4] {
            publish(&mut socket, number).await;
        }
        socket
    })
    .await;
    let mut make = Maker::new("");
    let follows = make.follows();
    let book = Book::default();
    let (end, _) = run(vec![connected(session(&server.url, vec![follows], vec![make.say("x")]))], &book).await;
    assert_eq!((end, book.messages()), (End::Completed, (1, 3)));
    assert_eq!(book.numbered(), Numbered { received: 3, missed: 1, repeated: 0, reordered: 0 });
}
