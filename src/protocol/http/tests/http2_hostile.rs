//! HTTP/2 peers that misbehave beyond what they answer: how a connection begins and ends, and what it does to those who share it.

use super::frames::{DATA, HEADERS, Peer, frame, goaway, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::protocol::http::written::Version;
use crate::protocol::http::{Body, Connections, Disconnect};

fn h2(url: &str, change: impl FnOnce(&mut Spec)) -> Request {
    get(url, |spec| {
        spec.way.version = Version::Http2;
        change(spec);
    })
}

/// What a peer does with the first request of its connection.
#[derive(Debug, Clone, Copy)]
enum Fault {
    CloseAtOnce,
    Close,
    ResetConnection,
    Http11,
    Garbage,
    DataFirst,
    DataForNobody,
}

async fn misbehave(fault: Fault, mut peer: Peer) {
    match fault {
        Fault::CloseAtOnce => return,
        Fault::Http11 => {
            peer.preface().await;
            return peer.say(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
        }
        Fault::Garbage => {
            peer.preface().await;
            return peer.say(&[0xff; 64]).await;
        }
        _ => peer.greet(&[]).await,
    }
    let stream = peer.next(HEADERS).await;
    match fault {
        Fault::DataFirst => peer.say(&frame(DATA, 0, stream, b"early")).await,
        Fault::DataForNobody => peer.say(&frame(DATA, 0, 77, b"whose?")).await,
        Fault::ResetConnection => return peer.reset(),
        _ => return,
    }
    peer.closed().await;
}

#[tokio::test]
async fn failures_are_distinguished() {
    for (fault, reason, part) in [
        (Fault::Close, Reason::Closed, "without an answer"),
        (Fault::ResetConnection, Reason::Reset, "the connection broke"),
        (Fault::Http11, Reason::Protocol, "not HTTP/2"),
        (Fault::Garbage, Reason::Protocol, "not HTTP/2"),
        (Fault::DataForNobody, Reason::Protocol, "not HTTP/2"),
        (Fault::DataFirst, Reason::Protocol, "HTTP/2"),
    ] {
        let (url, server) = serve(move |_, peer| misbehave(fault, peer)).await;
        let mut client = Client::new();
        let exchange = perform(&mut client, &h2(&url, |_| {})).await;
        let detail = exchange.detail.clone().unwrap_or_default();
        assert_eq!((exchange.outcome, exchange.reason), (Outcome::Error, Some(reason)), "{fault:?}: {detail}");
        assert!(detail.contains(part), "{fault:?}: {detail}");
        assert_eq!(exchange.disconnects, [Disconnect { reason: Some(reason) }], "{fault:?}");
        assert_eq!((exchange.connects.len(), client.connections()), (1, 0), "{fault:?}");
        assert!(exchange.sent_at.is_some(), "{fault:?}");
        server.abort();
    }
}

#[tokio::test]
async fn a_peer_that_closes_before_the_request_is_an_error_of_the_connection() {
    let (url, server) = serve(|_, peer| misbehave(Fault::CloseAtOnce, peer)).await;
    let exchange = perform(&mut Client::new(), &h2(&url, |_| {})).await;
    // Whether the request was written before the end was seen is a matter of microseconds.
    assert_eq!(exchange.outcome, Outcome::Error);
    assert!(matches!(exchange.reason, Some(Reason::Closed | Reason::Reset)), "{:?}", exchange.detail);
    assert_eq!(exchange.connects.len(), 1);
    server.abort();
}

#[tokio::test]
async fn one_goaway_fails_what_was_not_taken_and_completes_the_rest() {
    // Three streams; the peer takes the first one and closes.
    let (url, server) = serve(|n, mut peer: Peer| async move {
        peer.greet(&[]).await;
        if n > 0 {
            let stream = peer.next(HEADERS).await;
            peer.answer(stream).await;
            return peer.closed().await;
        }
        let first = peer.next(HEADERS).await;
        peer.next(HEADERS).await;
        peer.next(HEADERS).await;
        peer.say(&goaway(first, 0)).await;
        peer.answer(first).await;
        peer.closed().await;
    })
    .await;
    let pool = Pool::new(1);
    let request = h2(&url, |spec| spec.connections = Connections::Shared(1));
    let users = (0..3).map(|_| async { perform_in(&mut Client::new(), &request, &pool).await });
    let exchanges = futures_util::future::join_all(users).await;
    let outcomes: Vec<_> = exchanges.iter().map(|exchange| exchange.reason).collect();
    assert_eq!(outcomes.iter().filter(|reason| reason.is_none()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|reason| **reason == Some(Reason::Closed)).count(), 2, "{outcomes:?}");
    let ended: usize = exchanges.iter().map(|exchange| exchange.disconnects.len()).sum();
    assert_eq!(ended, 1, "one connection has ended");
    // The next request goes over a new one.
    let next = perform_in(&mut Client::new(), &request, &pool).await;
    assert_eq!((next.outcome, next.connects.len()), (Outcome::Ok, 1), "{:?}", next.detail);
    assert_eq!(pool.close(), 1);
    server.abort();
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_is_opened_again_unseen() {
    for polite in [true, false] {
        let (url, server) = serve(move |_, mut peer: Peer| async move {
            peer.greet(&[]).await;
            let stream = peer.next(HEADERS).await;
            peer.answer(stream).await;
            if polite {
                peer.say(&goaway(stream, 0)).await;
                peer.closed().await;
            }
        })
        .await;
        let mut client = Client::new();
        let request = h2(&url, |_| {});
        assert_eq!(perform(&mut client, &request).await.outcome, Outcome::Ok);
        // Until the connection's own task has seen it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let next = perform(&mut client, &request).await;
        assert_eq!((next.outcome, next.connects.len()), (Outcome::Ok, 1), "{polite}: {:?}", next.detail);
        assert_eq!(next.disconnects, [Disconnect { reason: (!polite).then_some(Reason::Closed) }]);
        server.abort();
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_a_time_limit() {
    let (url, server) = serve(|_, mut peer: Peer| async move {
        peer.preface().await;
        peer.closed().await;
    })
    .await;
    let exchange = perform(&mut Client::new(), &h2(&url, |spec| spec.timeout = Duration::from_millis(50))).await;
    assert_eq!((exchange.outcome, exchange.reason), (Outcome::Timeout, Some(Reason::Timeout)));
    assert_eq!(exchange.detail.unwrap(), "timed out after 50.0ms while waiting for the first byte");
    server.abort();
}

#[tokio::test]
async fn a_window_that_stays_shut_is_a_time_limit_while_sending_and_no_end() {
    // SETTINGS_INITIAL_WINDOW_SIZE 0, and no WINDOW_UPDATE ever.
    let (url, server) = serve(|_, mut peer: Peer| async move {
        peer.greet(&[(4, 0)]).await;
        loop {
            match peer.next(HEADERS).await {
                0 => return,
                1 => {}
                later => peer.answer(later).await,
            }
        }
    })
    .await;
    let mut client = Client::new();
    // The first request may go out before the window is known; an empty one brings it.
    let exchange = perform(
        &mut client,
        &h2(&url, |spec| {
            spec.method = Method::POST;
            spec.body = Body::Static(bytes::Bytes::from(vec![b'x'; 1024 * 1024]));
            spec.timeout = Duration::from_millis(100);
        }),
    )
    .await;
    assert_eq!(exchange.detail.unwrap(), "timed out after 100ms while sending");
    assert!(exchange.disconnects.is_empty());
    let next = perform(&mut client, &h2(&url, |_| {})).await;
    assert_eq!((next.outcome, next.connects.len()), (Outcome::Ok, 0), "{:?}", next.detail);
    server.abort();
}

#[tokio::test]
async fn a_peer_that_never_reads_is_let_go_in_time() {
    let (url, server) = serve(|_, peer: Peer| async move {
        // Accepts, and never reads.
        let _held = peer;
        std::future::pending().await
    })
    .await;
    let mut client = Client::new();
    let exchange = perform(&mut client, &h2(&url, |spec| spec.timeout = Duration::from_millis(50))).await;
    assert_eq!(exchange.outcome, Outcome::Timeout);
    assert_eq!(client.close().disconnects.len(), 1);
    server.abort();
}
