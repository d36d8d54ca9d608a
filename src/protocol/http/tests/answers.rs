//! Odd answers of HTTP/1: what each is taken for, with its books.

use std::future::Future as _;

use tokio::io::AsyncWriteExt as _;

use super::server::{script, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::protocol::http::Disconnect;

/// What becomes of the request that is answered so, before the peer closes, and of its connection once another request was sent.
struct Case {
    answer: Vec<u8>,
    method: Method,
    /// The status and the body, or why there is none.
    found: Result<(u16, &'static str), (Reason, &'static str)>,
    /// Whether an answer came all the same.
    came: bool,
    /// How the connection ended: `Some(None)` as announced, none if it stays.
    ended: Option<Option<Reason>>,
}

fn good(answer: &str, status: u16, body: &'static str, ended: Option<Option<Reason>>) -> Case {
    Case { answer: answer.into(), method: Method::GET, found: Ok((status, body)), came: true, ended }
}

/// 200 with the body `ok`, whose connection stays.
fn fine(answer: &str) -> Case {
    good(answer, 200, "ok", STAYS)
}

/// The same, whose connection ends as announced.
fn announced(answer: &str) -> Case {
    good(answer, 200, "ok", ANNOUNCED)
}

fn bad(answer: &str, reason: Reason, says: &'static str) -> Case {
    Case { answer: answer.into(), method: Method::GET, found: Err((reason, says)), came: false, ended: Some(Some(reason)) }
}

/// An answer that came, and with which something is wrong.
fn wrong(answer: &str, says: &'static str) -> Case {
    Case { came: true, ..bad(answer, Reason::Protocol, says) }
}

const STAYS: Option<Option<Reason>> = None;
const ANNOUNCED: Option<Option<Reason>> = Some(None);

fn cases() -> Vec<Case> {
    let many = |n: usize| {
        let headers: String = (0..n).map(|i| format!("x-{i}: {i}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\nok")
    };
    let head = |answer: &str, ended| Case { method: Method::HEAD, ..good(answer, 200, "", ended) };
    vec![
        // Ends that are announced.
        fine("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        announced("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        fine("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok"),
        announced("HTTP/1.0 200 OK\r\n\r\nok"),
        announced("HTTP/1.1 200 OK\r\n\r\nok"),
        announced("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
        announced("HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 2\r\n\r\nok"),
        announced("HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        fine("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n"),
        fine("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n"),
        // Answers without a body.
        good("HTTP/1.1 204 No\r\n\r\n", 204, "", STAYS),
        good("HTTP/1.1 304 Same\r\ncontent-length: 7\r\n\r\n", 304, "", STAYS),
        good("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, "", STAYS),
        head("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", STAYS),
        head("HTTP/1.1 200 OK\r\n\r\n", STAYS),
        // Interim answers are none.
        fine("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        good(
            "HTTP/1.1 103 Early\r\nlink: </a>\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            404,
            "",
            STAYS,
        ),
        bad("HTTP/1.1 103 Early\r\n\r\n", Reason::Closed, "without an answer"),
        // Headers.
        fine("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"),
        fine("HTTP/1.1 200 OK\r\nx-long: a\r\n b\r\n\tc\r\ncontent-length: 2\r\n\r\nok"),
        fine("HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
        fine("HTTP/1.1 200 OK\r\nx-e:\r\ncontent-length:2\r\n\r\nok"),
        fine("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok"),
        fine("HTTP/1.1 200 \u{e9}t\u{e9}\r\ncontent-length: 2\r\n\r\nok"),
        good("HTTP/1.1 299 X\r\ncontent-length: 2\r\n\r\nok", 299, "ok", STAYS),
        good("HTTP/1.1 799 X\r\ncontent-length: 2\r\n\r\nok", 799, "ok", STAYS),
        fine(&many(101)),
        fine(&many(250)),
        wrong(&many(300), "more than 256 headers"),
        wrong(&format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(600_000)), "or they are too long"),
        wrong("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!", "is not HTTP/1.1"),
        wrong("HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", "is not HTTP/1.1"),
        wrong("HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok", "is not HTTP/1.1"),
        wrong("HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 2\r\n\r\nok", "is not HTTP/1.1"),
        bad("HTTP/1.1 20 OK\r\n\r\n", Reason::Protocol, "is not HTTP/1.1"),
        bad("HTTP/2.0 200 OK\r\n\r\n", Reason::Protocol, "is not HTTP/1.1"),
        bad("<html>\r\n\r\n", Reason::Protocol, "is not HTTP/1.1"),
        bad("\r\n", Reason::Protocol, "in the middle of the headers"),
        bad("", Reason::Closed, "without an answer"),
        // Bodies that break off.
        bad("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", Reason::Protocol, "in the middle of the body"),
        bad("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nok", Reason::Protocol, "in the middle of the body"),
        bad("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", Reason::Protocol, "in the middle of the body"),
        bad("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n", Reason::Protocol, "is not HTTP/1.1"),
        bad("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", Reason::Protocol, "is not HTTP/1.1"),
        bad("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nok", Reason::Protocol, "is not HTTP/1.1"),
        // Bytes behind an answer.
        wrong("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokay", "belong to no answer"),
        wrong("HTTP/1.1 204 No\r\n\r\nok", "belong to no answer"),
        wrong("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "belong to no answer"),
        wrong("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore", "belong to no answer"),
        Case { method: Method::HEAD, ..wrong("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "belong to no answer") },
    ]
}

#[tokio::test]
async fn each_odd_answer_is_what_it_is() {
    for case in cases() {
        let shown = String::from_utf8_lossy(&case.answer[..case.answer.len().min(120)]).into_owned();
        let (url, server) = serve(vec![
            script(move |mut peer| async move {
                peer.request().await;
                peer.say(&case.answer).await;
                match case.ended {
                    // Whether it is kept is for the client to say.
                    None => {
                        peer.answer("HTTP/1.1 201 Next\r\ncontent-length: 0\r\n\r\n").await;
                        peer.closed().await;
                        String::new()
                    }
                    Some(_) => String::new(),
                }
            }),
            script(|mut peer| async move {
                peer.answer("HTTP/1.1 202 Anew\r\ncontent-length: 0\r\n\r\n").await;
                peer.closed().await;
                String::new()
            }),
        ])
        .await;
        let mut client = Client::new();
        let request = get(&url, |spec| spec.method = case.method.clone());
        let exchange = perform(&mut client, &request).await;
        match case.found {
            Ok((status, body)) => {
                assert_eq!((exchange.outcome, exchange.status), (Outcome::Ok, status), "{shown:?}: {:?}", exchange.detail);
                assert_eq!(&exchange.body[..], body.as_bytes(), "{shown:?}");
            }
            Err((reason, says)) => {
                let detail = exchange.detail.as_deref().unwrap_or_default();
                assert_eq!((exchange.outcome, exchange.reason), (Outcome::Error, Some(reason)), "{shown:?}: {detail}");
                assert!(detail.contains(says), "{shown:?}: {detail}");
            }
        }
        // An answer that came is not lost, whatever came behind it and whatever is wrong with its headers.
        assert_eq!(exchange.is_lost(), !case.came, "{shown:?}");
        let disconnects: Vec<_> = case.ended.iter().map(|reason| Disconnect { reason: *reason }).collect();
        assert_eq!(exchange.disconnects, disconnects, "{shown:?}");
        let next = perform(&mut client, &get(&url, |_| {})).await;
        assert_eq!((next.status, next.connects.len()), if case.ended.is_none() { (201, 0) } else { (202, 1) }, "{shown:?}");
        assert_eq!(next.disconnects, [], "{shown:?}");
        server.abort();
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_that_come_late_end_the_connection() {
    late_behind("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    late_behind("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
}

async fn late_behind(ok: &'static str) {
    let (answered, mut late) = tokio::sync::mpsc::channel::<()>(1);
    let (url, server) = serve(vec![
        script(move |mut peer| async move {
            peer.answer(ok).await;
            late.recv().await.unwrap();
            peer.say("HTTP/1.1 400 You are late\r\ncontent-length: 0\r\n\r\n").await;
            peer.closed().await;
            String::new()
        }),
        script(move |mut peer| async move {
            peer.answer(ok).await;
            peer.closed().await;
            String::new()
        }),
    ])
    .await;
    let mut client = Client::new();
    let request = get(&url, |_| {});
    assert_eq!(perform(&mut client, &request).await.outcome, Outcome::Ok);
    answered.send(()).await.unwrap();
    // It is there within a moment.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let next = perform(&mut client, &request).await;
    assert_eq!((next.status, next.connects.len()), (200, 1), "it is the answer to nothing");
    assert_eq!(next.disconnects, [Disconnect { reason: Some(Reason::Protocol) }]);
    let stray = next.stray.unwrap();
    assert!(stray.starts_with("bytes came behind the end of the answer that belong to no answer; they came late"), "{stray}");
    server.abort();
}

#[tokio::test]
async fn interim_answers_are_no_first_byte() {
    let pause = Duration::from_millis(60);
    for interim in [
        "HTTP/1.1 103 Early\r\n\r\n",
        "HTTP/1.1 110 X\r\n\r\n",
        "HTTP/1.1 199 X\r\na: b\r\n\r\n",
        "HTTP/1.0 100 X\r\n\r\n",
        "\r\nHTTP/1.1 103 Early\r\n\r\n",
        "HTTP/1.1 103 Early\nlink: </a>\n\n",
    ] {
        let (url, _server) = serve(vec![script(move |mut peer| async move {
            peer.answer(interim).await;
            tokio::time::sleep(pause).await;
            peer.answer_now().await
        })])
        .await;
        let exchange = perform(&mut Client::new(), &get(&url, |_| {})).await;
        assert_eq!((exchange.outcome, exchange.status), (Outcome::Ok, 200), "{interim:?}: {:?}", exchange.detail);
        assert!(exchange.wait >= pause && exchange.processing >= pause, "{interim:?}: {:?}", exchange.wait);
    }
}

#[tokio::test]
async fn a_time_limit_ends_what_comes_without_an_end_and_others_have_their_turn() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, endless) in [
        ("", "HTTP/1.1 103 Early\r\nlink: </a>\r\n\r\n"),
        ("", "HTTP/1.1 199 P\r\n\r\n"),
        ("", "HTTP/1.0 100 X\r\n\r\n"),
        (chunked, "0000000000000000"),
        (chunked, "1\r\nx\r\n"),
    ] {
        let (url, server) = serve(vec![script(move |mut peer| async move {
            peer.answer(head).await;
            let all = endless.repeat(1000);
            while peer.socket.write_all(all.as_bytes()).await.is_ok() {}
            String::new()
        })])
        .await;
        let request = get(&url, |spec| spec.timeout = Duration::from_millis(300));
        let mut client = Client::new();
        let mut turns = 0;
        let exchange = {
            let mut endless = std::pin::pin!(perform(&mut client, &request));
            std::future::poll_fn(|cx| {
                turns += 1;
                endless.as_mut().poll(cx)
            })
            .await
        };
        assert_eq!(exchange.outcome, Outcome::Timeout, "{endless:?}: {:?}", exchange.detail);
        assert!(exchange.received <= turns * 100_000, "{endless:?}: {} bytes in {turns} turns", exchange.received);
        server.abort();
    }
}

#[tokio::test]
async fn a_failure_on_a_connection_that_was_idle_says_for_how_long() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (url, _server) = serve(vec![script(move |mut peer| async move {
        peer.answer(ok).await;
        peer.request().await
    })])
    .await;
    let mut client = Client::new();
    assert_eq!(perform(&mut client, &get(&url, |_| {})).await.status, 200);
    let exchange = perform(&mut client, &get(&url, |_| {})).await;
    let detail = exchange.detail.unwrap();
    assert!(
        detail.starts_with("the peer closed the connection without an answer; the connection had been idle for "),
        "{detail}"
    );
    assert_eq!(exchange.reason, Some(Reason::Closed));
}
