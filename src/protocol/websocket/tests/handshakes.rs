//! Handshakes: good ones, refusals, and all that a server can do wrong.

use std::time::Instant;

use http::HeaderName;

use super::peer::{good_answer, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::protocol::session::OpenError;

/// What comes of an answer that is made of the good one.
async fn answered(change: impl FnOnce(String) -> String + Send + 'static) -> (u16, OpenError) {
    let (url, _server) = serve(|mut peer| async move {
        let request = peer.request().await;
        peer.say(change(good_answer(&request))).await;
        peer.closed().await;
    })
    .await;
    let attempt = open_as(&url, None, |_| {}).await;
    (attempt.status, attempt.result.unwrap_err())
}

#[tokio::test]
async fn the_parts_of_a_handshake_are_reported() {
    let (url, server) = serve(|mut peer| async move {
        let request = peer.accept().await;
        peer.closed().await;
        request
    })
    .await;
    let before = Instant::now();
    let attempt = open_as(&url, None, |connector| {
        connector.site.query.push(("room".into(), Template::literal("a b")));
        connector.site.headers.push((HeaderName::from_static("x-own"), Template::literal("1")));
    })
    .await;
    assert_eq!((attempt.status, attempt.headers["upgrade"].to_str().unwrap()), (101, "websocket"));
    let times = attempt.times.unwrap();
    assert_eq!((times.dns, times.tls), (None, None));
    assert!(times.handshake.unwrap() <= times.total && times.tcp <= times.total);
    assert!(attempt.sent_at.unwrap() >= before && attempt.sent_at.unwrap() <= attempt.ended);
    drop(attempt.result.unwrap());
    let request = server.await.unwrap();
    assert!(request.starts_with("GET /ws?room=a%20b HTTP/1.1\r\n"), "{request}");
    for line in
        ["upgrade: websocket", "connection: Upgrade", "sec-websocket-version: 13", "x-own: 1", "user-agent: load-exporter/"]
    {
        assert!(request.contains(&format!("\r\n{line}")), "{line} in {request}");
    }
    assert!(!request.contains("extensions"));
    assert_eq!(attempt.sent, request.len() as u64);
    assert!(attempt.received > 100);
}

#[tokio::test]
async fn refusals_have_their_status() {
    for status in ["400 Bad Request", "401 Unauthorized", "503 Service Unavailable", "200 OK", "302 Found"] {
        let (url, _server) = serve(move |mut peer| async move {
            peer.request().await;
            peer.say(format!("HTTP/1.1 {status}\r\nlocation: /other\r\ncontent-length: 2\r\n\r\nno")).await;
            peer.closed().await;
        })
        .await;
        let attempt = open_as(&url, None, |_| {}).await;
        let error = attempt.result.unwrap_err();
        assert_eq!((error.outcome, error.reason), (Outcome::Error, Reason::Status), "{status}");
        assert_eq!(attempt.status.to_string(), status[..3]);
        assert_eq!(attempt.headers["location"], "/other");
        assert!(attempt.times.unwrap().handshake.is_none() && attempt.sent_at.is_some());
    }
}

#[tokio::test]
async fn broken_answers_are_protocol_errors() {
    let accept = |answer: String| {
        let (head, rest) = answer.split_once("sec-websocket-accept: ").unwrap();
        (head.to_owned(), rest.to_owned())
    };
    type Change = Box<dyn FnOnce(String) -> String + Send>;
    let cases: Vec<(&str, Change)> = vec![
        (
            "sec-websocket-accept",
            Box::new(move |answer| format!("{}sec-websocket-accept: AAAA{}", accept(answer.clone()).0, &accept(answer).1[4..])),
        ),
        ("sec-websocket-accept", Box::new(move |answer| format!("{}\r\n", accept(answer).0))),
        ("upgrade: websocket", Box::new(|answer| answer.replace("upgrade: websocket\r\n", ""))),
        ("upgrade: websocket", Box::new(|answer| answer.replace("upgrade: websocket", "upgrade: h2c"))),
        ("connection: upgrade", Box::new(|answer| answer.replace("connection: Upgrade", "connection: close"))),
        (
            "extension",
            Box::new(|answer| answer.replace("upgrade: w", "sec-websocket-extensions: permessage-deflate\r\nupgrade: w")),
        ),
        ("subprotocol", Box::new(|answer| answer.replace("upgrade: w", "sec-websocket-protocol: mqtt\r\nupgrade: w"))),
        ("not HTTP/1.1", Box::new(|_| "\u{1}\u{2}garbage\r\n\r\n".into())),
        ("too long", Box::new(|_| format!("HTTP/1.1 101 x\r\nx: {}", "y".repeat(200_000)))),
    ];
    for (part, change) in cases {
        let (_, error) = answered(change).await;
        assert_eq!((error.outcome, error.reason), (Outcome::Error, Reason::Protocol), "{part}: {error}");
        assert!(error.detail.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn an_answer_may_have_as_many_headers_as_one_over_http() {
    for (many, opens) in [(200, true), (300, false)] {
        let (url, _server) = serve(move |mut peer| async move {
            let request = peer.request().await;
            let more: String = (0..many).map(|n| format!("x-{n}: 1\r\n")).collect();
            peer.say(good_answer(&request).replace("upgrade: w", &format!("{more}upgrade: w"))).await;
            peer.closed().await;
        })
        .await;
        let result = open_as(&url, None, |_| {}).await.result;
        assert_eq!(result.is_ok(), opens, "{many}: {:?}", result.err());
    }
}

#[tokio::test]
async fn a_connection_header_may_hold_more_than_one_token() {
    let (url, _server) = serve(|mut peer| async move {
        let request = peer.request().await;
        peer.say(good_answer(&request).replace("connection: Upgrade", "Connection: keep-alive, upgrade")).await;
        peer.closed().await;
    })
    .await;
    open(&url).await;
}

#[tokio::test]
async fn subprotocols_are_offered_and_one_is_to_be_chosen() {
    for (chosen, part) in [(Some("v2"), None), (None, Some("chose none")), (Some("v9"), Some("not offered"))] {
        let (url, server) = serve(move |mut peer| async move {
            let request = peer.request().await;
            let chosen = chosen.map_or_else(String::new, |chosen| format!("sec-websocket-protocol: {chosen}\r\n"));
            peer.say(good_answer(&request).replace("upgrade: w", &format!("{chosen}upgrade: w"))).await;
            peer.closed().await;
            request
        })
        .await;
        let attempt = open_as(&url, None, |connector| connector.subprotocols = vec!["v2".into(), "v1".into()]).await;
        match (attempt.result, part) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) => assert!(error.reason == Reason::Protocol && error.detail.contains(part), "{error}"),
            (result, _) => panic!("{chosen:?}: {result:?}"),
        }
        assert!(server.await.unwrap().contains("\r\nsec-websocket-protocol: v2, v1\r\n"));
    }
}

#[tokio::test]
async fn who_ends_the_connection_is_distinguished() {
    let (url, server) = serve(|mut peer| async move {
        peer.request().await;
    })
    .await;
    let error = open_as(&url, None, |_| {}).await.result.unwrap_err();
    assert_eq!((error.reason, error.detail.contains("without an answer")), (Reason::Closed, true), "{error}");
    server.await.unwrap();
    // Its port is free now.
    let attempt = open_as(&url, None, |_| {}).await;
    assert_eq!(attempt.result.unwrap_err().reason, Reason::Refused);
    assert!(attempt.times.is_none() && attempt.sent_at.is_none());

    let (url, _server) = serve(|mut peer| async move {
        peer.request().await;
        peer.reset();
    })
    .await;
    let attempt = open_as(&url, None, |_| {}).await;
    assert_eq!(attempt.result.unwrap_err().reason, Reason::Reset);
    assert_eq!(attempt.status, 0);
}

#[tokio::test]
async fn a_server_that_never_answers_is_timed_out_and_the_part_is_named() {
    for (answer, part) in [("", "waiting for the first byte"), ("HTTP/1.1 101 Swi", "reading the headers")] {
        let (url, _server) = serve(move |mut peer| async move {
            peer.request().await;
            peer.say(answer).await;
            peer.closed().await;
        })
        .await;
        let attempt = open_as(&url, None, |connector| connector.timeout = SHORT).await;
        let error = attempt.result.unwrap_err();
        assert_eq!((error.outcome, error.reason), (Outcome::Timeout, Reason::Timeout));
        assert!(error.detail.contains("100ms") && error.detail.contains(part), "{error}");
        assert!(attempt.sent_at.is_some() && attempt.sent > 0);
    }
}

#[tokio::test]
async fn the_users_cookies_go_along_and_those_of_the_answer_are_kept() {
    let mut jar = Cookies::default();
    let (url, server) = serve(|mut peer| async move {
        let request = peer.request().await;
        peer.say(good_answer(&request).replace("upgrade: w", "set-cookie: sid=12345678\r\nupgrade: w")).await;
        peer.closed().await;
    })
    .await;
    drop(open_as(&url, Some(&mut jar), |_| {}).await.result.unwrap());
    server.await.unwrap();
    assert_eq!(jar.values().collect::<Vec<_>>(), ["12345678"]);
    for (with, sent) in [(true, true), (false, false)] {
        let (other, server) = serve(|mut peer| async move { peer.accept().await }).await;
        drop(open_as(&other, Some(&mut jar), |connector| connector.site.cookies = with).await);
        assert_eq!(server.await.unwrap().contains("\r\ncookie: sid=12345678\r\n"), sent);
    }
}
