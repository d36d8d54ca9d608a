//! The driver against servers that do what a script says.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::base::{Outcome, Reason};
use crate::expr::ScenarioValues;
use crate::net::HostPort;
use crate::protocol::session::{self, Connection, IncomingKind, Lost, Outgoing};

/// Far longer than anything here takes.
const PLENTY: Duration = Duration::from_secs(30);

/// Serves one connection with this script; what it returns comes from the handle.
async fn serve<T, F>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> (String, JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, tokio::spawn(async move { script(listener.accept().await.unwrap().0).await }))
}

async fn attempt(address: &str, change: impl FnOnce(&mut Connector)) -> session::Attempt {
    let mut connector = Connector::new(Template::literal(address));
    connector.timeout = PLENTY;
    change(&mut connector);
    connector.check().unwrap();
    let scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
    session::open(session::Connector::Tcp(Box::new(connector)).prepare(&scope).unwrap(), None).await
}

async fn open(address: &str, frame: Frame) -> Connection {
    attempt(address, |connector| connector.frame = frame).await.result.unwrap()
}

async fn text(connection: &mut Connection) -> String {
    match connection.next().await.unwrap().kind {
        IncomingKind::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

fn say(text: &str) -> Outgoing {
    Outgoing::Text(text.into())
}

#[tokio::test]
async fn lines_go_and_come_with_their_newlines() {
    let (address, server) = serve(|socket| async move {
        let (read, mut write) = socket.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            write.write_all(format!("+{line}\r\n").as_bytes()).await.unwrap();
            seen.push(line);
        }
        seen
    })
    .await;
    let opened = attempt(&address, |_| {}).await;
    let times = opened.times.unwrap();
    assert_eq!((times.dns, times.tls, times.handshake, opened.status), (None, None, None, 0));
    assert!(opened.sent_at.unwrap() <= opened.ended);
    let mut connection = opened.result.unwrap();
    assert_eq!(connection.send(say("one")).await.unwrap(), 3);
    assert_eq!(text(&mut connection).await, "+one");
    connection.send(Outgoing::Binary(b"two\n".as_slice().into())).await.unwrap();
    assert_eq!(text(&mut connection).await, "+two");
    assert_eq!(connection.traffic(), (8, 12));
    connection.close(PLENTY).await;
    assert_eq!(server.await.unwrap(), ["one", "two"]);
    assert!(connection.next().await.unwrap_err().detail.contains("this side"));
}

#[tokio::test]
async fn frames_of_every_kind_are_echoed() {
    let frames = [Frame::Until(b"\0".as_slice().into()), Frame::Length(Width::U16Le), Frame::Length(Width::U32Be)];
    for frame in frames {
        let (address, _server) = serve(|mut socket| async move {
            let (mut read, mut write) = socket.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        })
        .await;
        let mut connection = open(&address, frame.clone()).await;
        for length in [1, 3, 40_000] {
            connection.send(say(&"é".repeat(length / 2 + 1))).await.unwrap();
            assert_eq!(text(&mut connection).await, "é".repeat(length / 2 + 1), "{frame:?}");
        }
        connection.send(Outgoing::Binary(b"\xff\xfe".as_slice().into())).await.unwrap();
        assert_eq!(connection.next().await.unwrap().kind, IncomingKind::Binary(b"\xff\xfe".as_slice().into()));
    }
    let (address, _server) = serve(|mut socket| async move { socket.write_all(b"as it comes\n").await }).await;
    assert_eq!(text(&mut open(&address, Frame::Raw).await).await, "as it comes\n");
}

#[tokio::test]
async fn how_a_connection_ends_is_distinguished() {
    async fn end(script: impl FnOnce(TcpStream) + Send + 'static) -> Lost {
        let (address, _server) = serve(|mut socket| async move {
            socket.read_u8().await.unwrap();
            script(socket);
        })
        .await;
        let mut connection = open(&address, Frame::Line).await;
        connection.send(say("")).await.unwrap();
        let lost = connection.next().await.unwrap_err();
        assert_eq!(connection.next().await.unwrap_err(), lost);
        lost
    }
    let closed = end(drop).await;
    assert_eq!((closed.reason, closed.code), (Reason::Closed, None));
    let reset = end(|socket| socket.set_zero_linger().unwrap()).await;
    assert_eq!(reset.reason, Reason::Reset);
    let half = end(|socket| {
        socket.try_write(b"half a li").unwrap();
    })
    .await;
    assert_eq!((half.reason, half.detail.contains("9 bytes")), (Reason::Closed, true), "{half}");
}

#[tokio::test]
async fn refused_is_reported_and_an_address_that_answers_nothing_is_timed_out() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let refused = attempt(&address.to_string(), |_| {}).await;
    assert!(refused.times.is_none() && refused.sent_at.is_none());
    assert_eq!(refused.result.unwrap_err().reason, Reason::Refused);

    // A full queue of connections to accept answers nothing.
    let full = socket(1);
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        let timeout = Duration::from_millis(300);
        match attempt(&address.to_string(), |connector| connector.timeout = timeout).await.result {
            Ok(connection) => waiting.push(connection),
            Err(error) => break error,
        }
    };
    assert_eq!((error.reason, error.outcome), (Reason::Timeout, Outcome::Timeout));
    assert!(error.detail.contains("300ms while connecting"), "{error}");
}

/// A listener with so long a queue, from which nobody takes.
fn socket(queue: u32) -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(queue).unwrap()
}

#[tokio::test]
async fn the_peers_half_close_leaves_our_half_open_and_ours_leaves_the_peers() {
    let (address, server) = serve(|mut socket| async move {
        socket.write_all(b"bye\n").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut rest = String::new();
        socket.read_to_string(&mut rest).await.unwrap();
        rest
    })
    .await;
    let mut connection = open(&address, Frame::Line).await;
    assert_eq!(text(&mut connection).await, "bye");
    assert_eq!(connection.next().await.unwrap_err().reason, Reason::Closed);
    connection.send(say("still here")).await.unwrap();
    connection.close(PLENTY).await;
    assert_eq!(server.await.unwrap(), "still here\n");

    let (address, _server) = serve(|mut socket| async move {
        let mut all = String::new();
        socket.read_to_string(&mut all).await.unwrap();
        socket.write_all(format!("{} bytes\n", all.len()).as_bytes()).await.unwrap();
    })
    .await;
    let Connection::Tcp(mut connection) = open(&address, Frame::Line).await else { panic!("TCP") };
    connection.send(say("12345")).await.unwrap();
    connection.finish().await.unwrap();
    assert_eq!(connection.next().await.unwrap().kind, IncomingKind::Text("6 bytes".into()));
}

#[tokio::test]
async fn too_long_a_message_ends_the_connection() {
    let (address, _server) = serve(|mut socket| async move {
        // As much as the client takes.
        while socket.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let mut connection = attempt(&address, |connector| connector.max_message = 100_000).await.result.unwrap();
    let lost = connection.next().await.unwrap_err();
    assert_eq!((lost.reason, lost.detail.contains("`max_message` is 100000")), (Reason::Protocol, true), "{lost}");
    assert!(connection.traffic().1 < 300_000);
    let frame = Frame::Length(Width::U8);
    let mut narrow = open(&address_of_nobody().await, frame).await;
    assert!(narrow.send(say(&"x".repeat(256))).await.unwrap_err().detail.contains("too long for the length"));
}

async fn address_of_nobody() -> String {
    let (address, _) = serve(|socket| async move {
        std::future::pending::<()>().await;
        drop(socket);
    })
    .await;
    address
}

#[tokio::test]
async fn a_peer_that_stops_reading_holds_a_send_up_for_so_long() {
    let mut connection = attempt(&address_of_nobody().await, |connector| connector.timeout = Duration::from_millis(300)).await;
    let connection = connection.result.as_mut().unwrap();
    let block = "x".repeat(1 << 20);
    let lost = loop {
        if let Err(lost) = connection.send(say(&block)).await {
            break lost;
        }
    };
    assert_eq!((lost.reason, lost.detail.contains("300ms")), (Reason::Timeout, true), "{lost}");
    assert_eq!(connection.next().await.unwrap_err(), lost);
}

#[tokio::test]
async fn an_echo_of_more_than_the_sockets_hold_is_no_deadlock() {
    let (address, _server) = serve(|mut socket| async move {
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let mut connection = attempt(&address, |connector| connector.max_message = 16 << 20).await.result.unwrap();
    let long = "x".repeat(12 << 20);
    connection.send(say(&long)).await.unwrap();
    assert_eq!(text(&mut connection).await.len(), long.len());
}

#[tokio::test]
async fn a_future_that_is_dropped_loses_nothing() {
    let (address, _server) = serve(|mut socket| async move {
        for n in 0..100 {
            socket.write_all(n.to_string().as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
            socket.write_all(b"\n").await.unwrap();
        }
        socket
    })
    .await;
    let mut connection = open(&address, Frame::Line).await;
    let mut received = 0;
    while received < 100 {
        if let Poll::Ready(message) = pin!(connection.next()).poll(&mut Context::from_waker(Waker::noop())) {
            assert_eq!(message.unwrap().kind, IncomingKind::Text(received.to_string().into()));
            received += 1;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn addresses_have_a_host_and_a_port() {
    let check = |address: &str| Connector::new(Template::literal(address)).check();
    for good in ["127.0.0.1:9000", "[::1]:9000", "localhost:1"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for wrong in ["127.0.0.1", "::1:9000", ":9000", "h:0", "h:70000", "tcp://h:1", ""] {
        assert!(check(wrong).unwrap_err().contains("host:port"), "{wrong}");
    }
    let mut limited = Connector::new(Template::literal("[::1]:9000"));
    limited.hosts = Some(Arc::new([HostPort::parse("::1").unwrap()]));
    assert_eq!(limited.check(), Ok(()));
    limited.address = Template::literal("example.com:9000");
    assert!(limited.check().unwrap_err().contains("`example.com`, which is not among"));
}

#[tokio::test]
async fn a_last_line_needs_no_newline_once_this_side_has_ended_its_sending() {
    let (address, _server) = serve(|mut socket| async move {
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        socket.write_all(b"one\ntotal 8").await.unwrap();
    })
    .await;
    let mut connection = open(&address, Frame::Line).await;
    let Connection::Tcp(tcp) = &mut connection else { panic!() };
    tcp.finish().await.unwrap();
    assert_eq!(connection.send(say("x")).await.unwrap_err().reason, Reason::Other);
    assert_eq!((text(&mut connection).await, text(&mut connection).await), ("one".into(), "total 8".into()));
    assert_eq!(connection.next().await.unwrap_err().reason, Reason::Closed);
    assert!(matches!(connection, Connection::Tcp(tcp) if tcp.is_over()));
}
