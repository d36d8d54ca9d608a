//! Which connection a request goes over: the user's own, a shared one, a new one; and what became of it.

use super::server::{Script, answers, script, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::protocol::http::{Connections, Disconnect};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn one_answer() -> Script {
    script(|mut peer| async move {
        let request = peer.answer(OK).await;
        peer.closed().await;
        request
    })
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_is_opened_again_unseen() {
    let (close, closing) = tokio::sync::oneshot::channel::<()>();
    let (closed, has_closed) = tokio::sync::oneshot::channel::<()>();
    let first = script(move |mut peer| async move {
        let request = peer.answer(OK).await;
        closing.await.unwrap();
        drop(peer);
        closed.send(()).unwrap();
        request
    });
    let (url, server) = serve(vec![first, one_answer()]).await;
    let mut client = Client::new();
    let request = get(&url, |_| {});
    let exchange = perform(&mut client, &request).await;
    assert!(exchange.disconnects.is_empty() && client.connections() == 1);
    close.send(()).unwrap();
    has_closed.await.unwrap();
    // A connection that has just been used is not asked after.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let exchange = perform(&mut client, &request).await;
    assert_eq!((exchange.outcome, exchange.reason, exchange.connects.len()), (Outcome::Ok, None, 1));
    assert_eq!(exchange.disconnects, [Disconnect { reason: Some(Reason::Closed) }]);
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn nothing_that_was_sent_is_sent_again() {
    let (url, server) = serve(vec![script(|mut peer| async move {
        let first = peer.answer(OK).await;
        first + &peer.request().await
    })])
    .await;
    let mut client = Client::new();
    let request = get(&url, |_| {});
    perform(&mut client, &request).await;
    let second = perform(&mut client, &request).await;
    assert_eq!((second.outcome, second.reason), (Outcome::Error, Some(Reason::Closed)));
    assert!(second.connects.is_empty() && second.sent_at.is_some());
    assert_eq!(server.await.unwrap()[0].matches("GET ").count(), 2);
}

#[tokio::test]
async fn a_peer_that_says_so_closes() {
    let (url, _server) = answers(&["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"]).await;
    let mut client = Client::new();
    let exchange = perform(&mut client, &get(&url, |_| {})).await;
    assert_eq!((exchange.outcome, client.connections()), (Outcome::Ok, 0));
    assert_eq!(exchange.disconnects, [Disconnect { reason: None }], "it was said beforehand: nothing was lost");
}

#[tokio::test]
async fn without_reuse_each_request_has_its_own() {
    let (url, server) = serve(vec![one_answer(), one_answer()]).await;
    let mut client = Client::new();
    let request = get(&url, |spec| spec.connections = Connections::Fresh);
    for _ in 0..2 {
        let exchange = perform(&mut client, &request).await;
        assert_eq!((exchange.outcome, exchange.connects.len()), (Outcome::Ok, 1));
        assert_eq!(exchange.disconnects, [Disconnect { reason: None }]);
    }
    assert!(server.await.unwrap().iter().all(|request| request.contains("connection: close\r\n")));
}

#[tokio::test]
async fn shared_connections_are_shared_and_waited_for() {
    let (url, server) = answers(&[OK; 6]).await;
    let pool = Pool::new(1);
    let request = get(&url, |spec| spec.connections = Connections::Shared(1));
    let users = (0..6).map(|_| async {
        let mut client = Client::new();
        let exchange = perform_in(&mut client, &request, &pool).await;
        assert_eq!((exchange.outcome, client.connections()), (Outcome::Ok, 0));
        exchange.connects.len()
    });
    let connects: usize = futures_util::future::join_all(users).await.into_iter().sum();
    assert_eq!(connects, 1);
    assert_eq!(pool.close(), 1);
    assert_eq!(server.await.unwrap()[0].matches("GET ").count(), 6);
}

#[tokio::test]
async fn the_limit_holds_while_waiting_for_a_shared_connection() {
    let (url, server) = answers(&[""]).await;
    let pool = Pool::new(1);
    let slow = get(&url, |spec| spec.connections = Connections::Shared(1));
    let quick = get(&url, |spec| {
        spec.connections = Connections::Shared(1);
        spec.timeout = Duration::from_millis(20);
    });
    let (mut one, mut other) = (Client::new(), Client::new());
    let waiting = {
        let mut held = Box::pin(perform_in(&mut one, &slow, &pool));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(held.as_mut().poll(&mut cx).is_pending());
        perform_in(&mut other, &quick, &pool).await
    };
    assert_eq!(waiting.detail.unwrap(), "timed out after 20.0ms while waiting for a shared connection");
    assert!(waiting.disconnects.is_empty() && waiting.sent_at.is_none());
    server.abort();
}

#[tokio::test]
async fn a_dropped_request_takes_its_connection_with_it() {
    let late = || {
        script(|mut peer| async move {
            let request = peer.request().await;
            // Only once the client has closed.
            peer.closed().await;
            request
        })
    };
    for shared in [false, true] {
        let (url, server) = serve(vec![late(), one_answer()]).await;
        let pool = Pool::new(1);
        let mut client = Client::new();
        let request = get(&url, |spec| {
            if shared {
                spec.connections = Connections::Shared(1);
            }
        });
        {
            let dropped = perform_in(&mut client, &request, &pool);
            // Long enough to be sent; it is never answered.
            assert!(tokio::time::timeout(Duration::from_millis(30), dropped).await.is_err());
        }
        let next = perform_in(&mut client, &request, &pool).await;
        assert_eq!(
            (next.outcome, &next.body[..], next.connects.len()),
            (Outcome::Ok, &b"ok"[..], 2),
            "the one that was dropped is reported too"
        );
        assert_eq!(next.disconnects, [Disconnect { reason: None }], "shared: {shared}");
        drop((client, pool));
        server.await.unwrap();
    }
}

#[tokio::test]
async fn every_connection_is_reported_once() {
    let (url, server) = answers(&["HTTP/1.1 200 OK\r\n"]).await;
    let pool = Pool::new(2);
    let mut client = Client::new();
    let request = get(&url, |spec| {
        spec.connections = Connections::Shared(2);
        spec.timeout = Duration::from_millis(20);
    });
    let exchange = perform_in(&mut client, &request, &pool).await;
    assert_eq!((exchange.connects.len(), exchange.disconnects.len()), (1, 1));
    assert_eq!((pool.close(), client.close().disconnects.len()), (0, 0));
    server.await.unwrap();
}
