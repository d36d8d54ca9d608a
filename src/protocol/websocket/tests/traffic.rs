//! Sending, closing, and peers that hold things up.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use bytes::Bytes;

use super::peer::*;
use super::*;
use crate::base::Reason;
use crate::protocol::session::IncomingKind;

/// Sends back what comes, until the client says goodbye.
async fn echo(mut peer: Peer) -> Option<u16> {
    peer.accept().await;
    loop {
        match peer.read().await? {
            (CLOSE, code) => {
                peer.say(frame(true, CLOSE, &code)).await;
                return code.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
            (opcode, payload) => peer.say(frame(true, opcode, &payload)).await,
        }
    }
}

#[tokio::test]
async fn what_is_sent_comes_back_and_the_goodbye_is_proper() {
    let (url, server) = serve(echo).await;
    let mut connection = open(&url).await;
    for length in [0, 1, 125, 126, 65_536, 200_000] {
        assert_eq!(connection.send(text(&"x".repeat(length))).await.unwrap(), length as u64);
        assert_eq!(connection.next().await.unwrap().kind, IncomingKind::Text("x".repeat(length).into()));
    }
    connection.send(Outgoing::Binary(Bytes::from_static(b"\0\xff"))).await.unwrap();
    let message = connection.next().await.unwrap();
    assert_eq!(message.kind, IncomingKind::Binary(Bytes::from_static(b"\0\xff")));
    assert!(message.wall.elapsed().unwrap() < PLENTY && message.at.elapsed() < PLENTY);
    let (sent, received) = connection.traffic();
    assert!(sent > 265_000 && received > 265_000);
    connection.close(PLENTY).await;
    assert_eq!(server.await.unwrap(), Some(1000));
    assert!(connection.send(text("late")).await.unwrap_err().detail.contains("this side"));
    connection.close(PLENTY).await;
}

#[tokio::test]
async fn each_line_of_a_message_is_one() {
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        for (opcode, payload) in [(TEXT, "{\"a\": 1}\r\nb\n\n\u{fc}\n"), (TEXT, "\n\n"), (BINARY, "c\nd"), (TEXT, "one")] {
            peer.say(frame(true, opcode, payload.as_bytes())).await;
        }
        // What follows the client's goodbye is taken by lines, too.
        peer.read().await;
        peer.say(frame(true, TEXT, b"last\nwords")).await;
        peer.say(frame(true, CLOSE, &[])).await;
    })
    .await;
    let mut connection = open_as(&url, None, |connector| connector.framing = Framing::Line).await.result.unwrap();
    let mut came = Vec::new();
    for _ in 0..6 {
        came.push(connection.next().await.unwrap());
    }
    let texts = ["{\"a\": 1}", "b", "\u{fc}"].map(|text| IncomingKind::Text(text.into()));
    let bytes = ["c", "d"].map(|bytes| IncomingKind::Binary(Bytes::from_static(bytes.as_bytes())));
    let kinds: Vec<_> = came.iter().map(|message| message.kind.clone()).collect();
    assert_eq!(kinds, [&texts[..], &bytes, &[IncomingKind::Text("one".into())]].concat());
    assert!(came[0].at == came[2].at && came[0].at < came[3].at, "the time of a line is that of its message");
    connection.goodbye().await;
    let mut last = Vec::new();
    while let Some(message) = connection.parting().await {
        last.push(message.kind);
    }
    assert_eq!(last, ["last", "words"].map(|text| IncomingKind::Text(text.into())));
    server.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_stops_reading_holds_a_send_up_for_so_long() {
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut connection = open_as(&url, None, |connector| connector.timeout = Duration::from_millis(300)).await.result.unwrap();
    let block = Bytes::from(vec![0; 1 << 20]);
    let lost = loop {
        if let Err(lost) = connection.send(Outgoing::Binary(block.clone())).await {
            break lost;
        }
    };
    assert_eq!(lost.reason, Reason::Timeout);
    assert!(lost.detail.contains("300ms"), "{lost}");
    assert_eq!(connection.next().await.unwrap_err(), lost);
    server.abort();
}

#[tokio::test]
async fn a_peer_that_reads_only_when_it_is_read_is_no_deadlock() {
    // More than both sockets hold, each way.
    const LENGTH: usize = 8 << 20;
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        peer.say(frame(true, TEXT, &vec![b'a'; LENGTH])).await;
        let (_, payload) = peer.read().await.unwrap();
        peer.say(frame(true, TEXT, b"done")).await;
        payload.len()
    })
    .await;
    let mut connection = open_as(&url, None, |connector| connector.max_message = LENGTH).await.result.unwrap();
    connection.send(Outgoing::Binary(vec![0; LENGTH].into())).await.unwrap();
    assert_eq!(server.await.unwrap(), LENGTH);
    assert!(matches!(connection.next().await.unwrap().kind, IncomingKind::Text(text) if text.len() == LENGTH));
    assert_eq!(connection.next().await.unwrap().kind, IncomingKind::Text("done".into()));
}

#[tokio::test]
async fn a_future_that_is_dropped_loses_no_message() {
    let (url, _server) = serve(|mut peer| async move {
        peer.accept().await;
        for n in 0..100u32 {
            let wire = frame(true, TEXT, n.to_string().as_bytes());
            let (one, two) = wire.split_at(2);
            peer.say(one).await;
            tokio::task::yield_now().await;
            peer.say(two).await;
        }
        peer.goodbye().await
    })
    .await;
    let mut connection = open(&url).await;
    let mut received = 0u32;
    while received < 100 {
        let once = pin!(connection.next()).poll(&mut Context::from_waker(Waker::noop()));
        if let std::task::Poll::Ready(message) = once {
            assert_eq!(message.unwrap().kind, IncomingKind::Text(received.to_string().into()));
            received += 1;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_goodbye_that_is_not_answered_takes_no_longer_than_it_may() {
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        let code = peer.goodbye().await;
        std::future::pending::<()>().await;
        code
    })
    .await;
    let mut connection = open(&url).await;
    connection.close(SHORT).await;
    server.abort();
    // A connection that is just dropped closes the socket without a word.
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        peer.goodbye().await
    })
    .await;
    drop(open(&url).await);
    assert_eq!(server.await.unwrap(), None);
}

#[tokio::test]
async fn pings_are_answered_while_something_is_sent() {
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        peer.say(frame(true, PING, b"1")).await;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(peer.read().await);
        }
        // The peer goes along, so that its socket stays open until it is known what it saw.
        (seen, peer)
    })
    .await;
    let mut connection = open(&url).await;
    connection.send(text("x")).await.unwrap();
    // Whoever has nothing to do polls for the next message.
    let (seen, _peer) = tokio::select! {
        seen = server => seen.unwrap(),
        lost = connection.next() => panic!("{lost:?}"),
    };
    assert!(seen.contains(&(PONG, b"1".to_vec())) && seen.contains(&(TEXT, b"x".to_vec())));
}
