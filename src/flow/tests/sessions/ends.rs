//! Ends of a connection that are meant to be, and peers that don't end it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::protocol::tcp;

fn expecting(step: SessionStep, expected: Expected) -> SessionStep {
    SessionStep { closing: Closing { expected, ..Closing::default() }, ..step }
}

/// Sends an event, and closes with this code.
async fn closing(mut socket: Socket, code: u16) -> Socket {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    publish(&mut socket, 1).await;
    socket.send(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await.unwrap();
    socket
}

#[tokio::test]
async fn an_expected_close_is_no_error_and_no_disconnect() {
    let server = Scripted::start(|_, socket| closing(socket, 1001)).await;
    let mut make = Maker::new("");
    let pause = || message(MessageStep::Hold(Some(Think::Constant(Duration::from_millis(300)))));
    // A step without a length ends with the connection; one with a length goes on to its end.
    for steps in [vec![hold(), make.set(&[("a", "1")])], vec![pause()]] {
        let fixed = steps.len() == 1;
        let follows = Handler { every: Some(Duration::from_millis(20)), ..make.follows() };
        let step = expecting(session(&server.url, vec![follows], steps), Expected::Codes(vec![1000, 1001]));
        let (book, began) = (Book::default(), Instant::now());
        let (end, _) = run(vec![connected(step)], &book).await;
        assert_eq!((end, book.samples_in_short()), (End::Completed, vec![(9, Outcome::Ok, None)]));
        assert!(book.has(&Event::Disconnected(None)) && book.has(&Event::Session(9, Outcome::Ok)));
        assert!(!fixed || began.elapsed() >= Duration::from_millis(300));
        assert_eq!((book.numbered().received, book.numbered().missed), (1, 0));
    }
    // What needs the connection behind it fails, once.
    for steps in [vec![hold(), make.say("late")], vec![hold(), make.receive("")]] {
        let step = expecting(session(&server.url, vec![], steps), Expected::Codes(vec![1001]));
        let book = Book::default();
        let (end, _) = run(vec![connected(step)], &book).await;
        let wrong: Vec<_> = book.samples_in_short().into_iter().filter(|(_, outcome, _)| *outcome != Outcome::Ok).collect();
        assert_eq!((end, wrong.len(), wrong[0].2), (End::Failed, 1, Some(Reason::Closed)));
        assert!(book.has(&Event::Disconnected(None)));
    }
    // Another code is what it is without the key.
    let step = expecting(session(&server.url, vec![], vec![hold()]), Expected::Codes(vec![1000]));
    let book = Book::default();
    let (end, _) = run(vec![connected(step)], &book).await;
    assert_eq!((end, book.has(&Event::Disconnected(Some(Reason::Closed)))), (End::Failed, true));
}

#[tokio::test]
async fn after_an_expected_close_the_connection_is_brought_back_unseen() {
    let server = Scripted::start(|number, mut socket: Socket| async move {
        match number {
            0 => closing(socket, 1001).await,
            _ => {
                publish(&mut socket, 2).await;
                socket
            }
        }
    })
    .await;
    let mut make = Maker::new("");
    let after = Think::Constant(Duration::from_millis(1));
    let step = session(&server.url, vec![make.follows()], vec![hold()]);
    let step = expecting(SessionStep { reconnect: Some(Reconnect { after, times: 2 }), ..step }, Expected::Codes(vec![1001]));
    let book = Book::default();
    let (ended, ()) = tokio::join!(run(vec![connected(step)], &book), async {
        book.heard(2).await;
        book.ask_to_end();
    });
    assert_eq!((ended.0, book.samples_in_short()), (End::Completed, vec![(9, Outcome::Ok, None); 2]));
    assert!(!book.has(&Event::Disconnected(Some(Reason::Closed))));
}

#[tokio::test]
async fn a_disconnect_of_socket_io_and_the_end_of_tcp_may_be_expected() {
    for expected in [Expected::Proper, Expected::None] {
        let (_server, connector) = socket_io(|mut socket| async move {
            say(&mut socket, "41").await;
            socket
        })
        .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Template::literal(&listener.local_addr().unwrap().to_string());
        let tcp = tokio::spawn(async move { listener.accept().await.unwrap().0.write_all(b"hello\n").await.unwrap() });
        for connector in [connector, Connector::Tcp(Box::new(tcp::Connector::new(address)))] {
            let step = expecting(SessionStep { connector, ..session("", vec![], vec![hold()]) }, expected.clone());
            let book = Book::default();
            let (end, _) = run(vec![connected(step)], &book).await;
            let (wanted, reason) =
                if expected == Expected::Proper { (End::Completed, None) } else { (End::Failed, Some(Reason::Closed)) };
            assert_eq!((end, book.has(&Event::Disconnected(reason))), (wanted, true));
        }
        tcp.await.unwrap();
    }
    // What breaks off within a message was not meant.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Template::literal(&listener.local_addr().unwrap().to_string());
    let tcp = tokio::spawn(async move { listener.accept().await.unwrap().0.write_all(b"hello\nhal").await.unwrap() });
    let connector = Connector::Tcp(Box::new(tcp::Connector::new(address)));
    let step = expecting(SessionStep { connector, ..session("", vec![], vec![hold()]) }, Expected::Proper);
    let book = Book::default();
    let (end, _) = run(vec![connected(step)], &book).await;
    assert_eq!((end, book.has(&Event::Disconnected(Some(Reason::Closed)))), (End::Failed, true));
    tcp.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_answers_no_goodbye_is_not_waited_for_beyond_close_within() {
    // One that reads on and says nothing, over WebSocket and over TCP.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Template::literal(&listener.local_addr().unwrap().to_string());
    let mute = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut all, mut ended) = (Vec::new(), false);
        while stream.read_buf(&mut all).await.is_ok_and(|read| read > 0 || !std::mem::replace(&mut ended, true)) {}
        std::future::pending::<()>().await;
        drop(stream);
    });
    let silent = Scripted::start(|_, mut socket: Socket| async move {
        while socket.get_mut().read_u8().await.is_ok() {}
        socket
    })
    .await;
    let tcp = Connector::Tcp(Box::new(tcp::Connector::new(address)));
    let websocket = session(&silent.url, vec![], vec![]).connector;
    for connector in [tcp, websocket] {
        let step = SessionStep { connector, ..session("", vec![], vec![]) };
        let step = SessionStep { closing: Closing { within: Duration::from_millis(100), ..Closing::default() }, ..step };
        let (book, began) = (Book::default(), Instant::now());
        let (end, _) = run(vec![connected(step)], &book).await;
        assert_eq!((end, book.samples_in_short()), (End::Completed, vec![(9, Outcome::Ok, None)]));
        assert!(book.has(&Event::Disconnected(None)) && book.has(&Event::Session(9, Outcome::Ok)));
        assert!(began.elapsed() >= Duration::from_millis(100), "it was given that time");
    }
    mute.abort();
}
