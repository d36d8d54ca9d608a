//! What goes wrong: each failure under its own reason, each time limit with the part that it hit.

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::server::{answers, script, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::protocol::http::{Body, Disconnect};

async fn fail(url: &str, change: impl FnOnce(&mut Spec)) -> (Exchange, Reason, String) {
    let exchange = perform(&mut Client::new(), &get(url, change)).await;
    let (reason, detail) = (exchange.reason.unwrap(), exchange.detail.clone().unwrap());
    (exchange, reason, detail)
}

#[tokio::test]
async fn nobody_there() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (exchange, reason, detail) = fail(&format!("http://{address}"), |_| {}).await;
    assert_eq!((reason, exchange.outcome, exchange.sent_at), (Reason::Refused, Outcome::Error, None));
    assert_eq!((exchange.service(), exchange.connects.len(), exchange.disconnects.len()), (Duration::ZERO, 1, 0));
    assert!(detail.contains(&address.to_string()));
    let (_, reason, _) = fail("http://no-such-host.invalid/", |_| {}).await;
    assert_eq!(reason, Reason::Dns);
}

#[tokio::test]
async fn answers_that_break_off_or_are_none() {
    for (answer, reason, part) in [
        ("", Reason::Closed, "without an answer"),
        ("HTTP/1.1 200 OK\r\nx-he", Reason::Protocol, "in the middle of the headers"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", Reason::Protocol, "in the middle of the body"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf", Reason::Protocol, "in the middle of the body"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhalf", Reason::Protocol, "is not HTTP/1.1"),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n", Reason::Protocol, "is not HTTP/1.1"),
        ("\0\u{1}\u{2}garbage", Reason::Protocol, "is not HTTP/1.1"),
    ] {
        let (url, server) = serve(vec![script(move |mut peer| async move { peer.answer(answer).await })]).await;
        let (exchange, found, detail) = fail(&url, |_| {}).await;
        assert_eq!(found, reason, "{answer:?}: {detail}");
        assert!(detail.contains(part), "{answer:?}: {detail}");
        assert_eq!(exchange.outcome, Outcome::Error);
        assert_eq!(exchange.disconnects, [Disconnect { reason: Some(reason) }], "{answer:?}");
        assert_eq!(exchange.received as usize, answer.len());
        assert!(exchange.sent_at.is_some());
        server.await.unwrap();
    }
}

#[tokio::test]
async fn resets_wherever_they_come() {
    for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
        let (url, server) = serve(vec![script(move |mut peer| async move {
            peer.request().await;
            if !begun.is_empty() {
                peer.say(begun).await;
                // The client has read it: it asks for nothing more, so give it the turn before the reset.
                tokio::task::yield_now().await;
            }
            peer.reset();
            String::new()
        })])
        .await;
        let (_, reason, detail) = fail(&url, |_| {}).await;
        assert_eq!(reason, Reason::Reset, "{begun:?}: {detail}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn errors_of_the_target_are_answers() {
    let (url, _server) = answers(&["HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nsad!"]).await;
    let exchange = perform(&mut Client::new(), &get(&url, |_| {})).await;
    assert_eq!((exchange.outcome, exchange.status, &exchange.body[..]), (Outcome::Ok, 500, &b"sad!"[..]));
}

#[tokio::test]
async fn a_time_limit_says_which_part_it_hit() {
    let short = Duration::from_millis(30);
    for (answer, part) in [
        ("", "while waiting for the first byte"),
        ("HTTP/1.1 200", "while reading the headers"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "while reading the body"),
    ] {
        let (url, server) = answers(&[answer]).await;
        let (exchange, reason, detail) = fail(&url, |spec| spec.timeout = short).await;
        assert_eq!((reason, exchange.outcome), (Reason::Timeout, Outcome::Timeout));
        assert_eq!(detail, format!("timed out after 30.0ms {part}"));
        assert_eq!(exchange.disconnects, [Disconnect { reason: Some(Reason::Timeout) }]);
        assert!(exchange.service() <= PLENTY && exchange.service() > Duration::ZERO);
        // The connection is gone: the server sees its end.
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_a_time_limit_while_sending() {
    let (url, server) = serve(vec![script(|mut peer| async move {
        let mut one = [0; 1];
        peer.socket.read_exact(&mut one).await.unwrap();
        std::future::pending().await
    })])
    .await;
    let body = bytes::Bytes::from(vec![b'x'; 32 * 1024 * 1024]);
    let (exchange, _, detail) = fail(&url, |spec| {
        spec.method = Method::POST;
        spec.body = Body::Static(body);
        spec.timeout = Duration::from_millis(100);
    })
    .await;
    assert_eq!(detail, "timed out after 100ms while sending");
    assert!(exchange.sent > 0);
    server.abort();
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_a_time_limit_in_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (exchange, _, detail) = fail(&url, |spec| {
        spec.way.tls = crate::net::Tls::new(crate::net::TlsOptions { insecure: true, ..Default::default() });
        spec.timeout = Duration::from_millis(30);
    })
    .await;
    assert_eq!(detail, "timed out after 30.0ms while in the TLS handshake (tls)");
    assert_eq!((exchange.connects.len(), exchange.disconnects.len(), exchange.sent_at), (1, 0, None));
}

#[tokio::test]
async fn a_later_shorter_limit_is_kept() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (url, server) = answers(&[ok, "HTTP/1.1"]).await;
    let mut client = Client::new();
    assert_eq!(perform(&mut client, &get(&url, |_| {})).await.outcome, Outcome::Ok);
    let exchange = perform(&mut client, &get(&url, |spec| spec.timeout = Duration::from_millis(20))).await;
    assert_eq!(exchange.outcome, Outcome::Timeout);
    server.await.unwrap();
}
