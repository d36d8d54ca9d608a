//! Uploads over real sockets: what arrives, early answers, broken connections, redirects.

use std::sync::Arc;

use http::Method;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{Peer, answers, script, serve};
use super::{PLENTY, perform};
use crate::base::{Outcome, Reason};
use crate::expr::Template;
use crate::protocol::http::{Body, BodyPart, Client, Content, Exchange, Length, Multipart, Request, Sizes, Spec};

fn upload(url: &str, size: u64, change: impl FnOnce(&mut Spec)) -> Request {
    let part = BodyPart {
        name: Template::literal("file"),
        content: Content::Random(Length::Written(Sizes { least: size, most: size })),
        filename: None,
        content_type: None,
        digest: true,
    };
    let mut spec = Spec::new(Method::POST, Template::literal(url));
    spec.timeout = PLENTY;
    spec.body = Body::Multipart(Multipart { parts: vec![part] });
    change(&mut spec);
    Request::new(spec).unwrap()
}

/// Reads a request's head, and no more than its head.
async fn head(peer: &mut Peer) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(peer.socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn value<'h>(head: &'h str, name: &str) -> &'h str {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

/// Reads a request with an upload of one part; returns the SHA-256 of the part.
async fn receive(peer: &mut Peer) -> String {
    let head = head(peer).await;
    let mut body = vec![0; value(&head, "content-length").parse().unwrap()];
    peer.socket.read_exact(&mut body).await.unwrap();
    let (_, boundary) = value(&head, "content-type").split_once("boundary=").unwrap();
    let start = body.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let end = body.len() - boundary.len() - "\r\n----\r\n".len();
    Sha256::digest(&body[start..end]).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(exchange: &Exchange) -> Option<String> {
    exchange.upload.as_ref().unwrap().digests[0].clone()
}

const SIZE: u64 = 3_000_000;

#[tokio::test]
async fn what_arrives_is_what_the_digest_says_and_connections_are_kept() {
    let (url, server) = serve(vec![script(|mut peer| async move {
        let mut digests = String::new();
        for _ in 0..2 {
            digests.push_str(&receive(&mut peer).await);
            peer.say("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
        }
        peer.closed().await;
        digests
    })])
    .await;
    let (mut client, request) = (Client::new(), upload(&url, SIZE, |_| {}));
    let mut digests = String::new();
    for connects in [1, 0] {
        let exchange = perform(&mut client, &request).await;
        assert_eq!((exchange.outcome, exchange.status, exchange.connects.len()), (Outcome::Ok, 201, connects));
        let uploaded = exchange.upload.as_ref().unwrap();
        assert!(uploaded.complete && exchange.sent > uploaded.length && uploaded.length > SIZE, "{exchange:?}");
        assert!(exchange.processing <= exchange.wait && exchange.wait <= exchange.service(), "{exchange:?}");
        digests.push_str(&digest(&exchange).unwrap());
    }
    drop(client);
    assert_eq!(server.await.unwrap()[0], digests);
}

#[tokio::test]
async fn processing_runs_from_the_last_byte() {
    const THOUGHT: std::time::Duration = std::time::Duration::from_millis(100);
    let (url, _server) = serve(vec![script(|mut peer| async move {
        let text = head(&mut peer).await;
        // Slow to take it, then slow to answer: the one is no part of the other.
        tokio::time::sleep(2 * THOUGHT).await;
        let mut body = vec![0; value(&text, "content-length").parse().unwrap()];
        peer.socket.read_exact(&mut body).await.unwrap();
        tokio::time::sleep(THOUGHT).await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        peer.closed().await;
        String::new()
    })])
    .await;
    // More than a socket's buffers hold.
    let exchange = perform(&mut Client::new(), &upload(&url, 20_000_000, |_| {})).await;
    assert_eq!(exchange.outcome, Outcome::Ok, "{exchange:?}");
    assert!(exchange.processing >= THOUGHT, "{exchange:?}");
    assert!(exchange.wait >= exchange.processing + THOUGHT, "{exchange:?}");
}

#[tokio::test]
async fn an_answer_before_the_end_is_read_and_ends_the_upload() {
    let early = "HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\n\r\ntoo large";
    let refusing = |how: &'static str| {
        script(move |mut peer| async move {
            head(&mut peer).await;
            peer.say(early).await;
            match how {
                // Closing with data unread resets the connection.
                "closes" => drop(peer.socket),
                "waits" => peer.closed().await,
                _ => {
                    peer.socket.shutdown().await.unwrap();
                    peer.closed().await;
                }
            }
            String::new()
        })
    };
    let (url, _server) = serve(vec![refusing("closes"), refusing("waits"), refusing("shuts down")]).await;
    let (mut client, request) = (Client::new(), upload(&url, 50_000_000, |_| {}));
    for _ in 0..3 {
        let exchange = perform(&mut client, &request).await;
        assert_eq!(
            (exchange.outcome, exchange.status, &exchange.body[..]),
            (Outcome::Ok, 413, &b"too large"[..]),
            "{exchange:?}"
        );
        assert!(!exchange.upload.as_ref().unwrap().complete && digest(&exchange).is_none());
        assert_eq!((exchange.disconnects.len(), client.connections()), (1, 0), "half a request stands on it");
        assert!(exchange.sent < 50_000_000 && exchange.processing.is_zero());
    }
}

#[tokio::test]
async fn a_target_that_answers_while_it_reads_gets_all_of_it() {
    let (url, server) = serve(vec![script(|mut peer| async move {
        let text = head(&mut peer).await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let mut body = vec![0; value(&text, "content-length").parse().unwrap()];
        peer.socket.read_exact(&mut body).await.unwrap();
        receive(&mut peer).await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        "all".to_owned()
    })])
    .await;
    let (mut client, request) = (Client::new(), upload(&url, SIZE, |_| {}));
    let exchange = perform(&mut client, &request).await;
    assert_eq!((exchange.outcome, exchange.status, exchange.upload.as_ref().unwrap().complete), (Outcome::Ok, 200, true));
    let exchange = perform(&mut client, &request).await;
    assert_eq!((exchange.outcome, exchange.connects.len()), (Outcome::Ok, 0), "{exchange:?}");
    assert_eq!(server.await.unwrap(), ["all"]);
}

#[tokio::test]
async fn a_connection_that_breaks_is_reported_as_what_it_is() {
    let breaking = |reset: bool| {
        script(move |mut peer| async move {
            head(&mut peer).await;
            let mut some = vec![0; 100_000];
            peer.socket.read_exact(&mut some).await.unwrap();
            if reset {
                peer.reset();
            } else {
                // Only what it would have said ends; what it gets is read on.
                peer.socket.shutdown().await.unwrap();
                peer.closed().await;
            }
            String::new()
        })
    };
    let (url, _server) = serve(vec![breaking(true), breaking(false)]).await;
    let mut client = Client::new();
    for reason in [Reason::Reset, Reason::Closed] {
        let exchange = perform(&mut client, &upload(&url, 20_000_000, |_| {})).await;
        assert_eq!((exchange.outcome, exchange.reason, exchange.status), (Outcome::Error, Some(reason), 0), "{exchange:?}");
        assert!(!exchange.upload.unwrap().complete);
    }
}

#[tokio::test]
async fn a_redirect_gets_the_same_body_again() {
    let (url, server) = serve(vec![script(|mut peer| async move {
        let first = receive(&mut peer).await;
        peer.say("HTTP/1.1 308 Moved\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n").await;
        let second = receive(&mut peer).await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        format!("{first} {second}")
    })])
    .await;
    let exchange = perform(&mut Client::new(), &upload(&url, SIZE, |spec| spec.redirects = 1)).await;
    assert_eq!((exchange.outcome, exchange.status), (Outcome::Ok, 200), "{exchange:?}");
    let hex = digest(&exchange).unwrap();
    assert_eq!(server.await.unwrap(), [format!("{hex} {hex}")]);

    // One that is sent on before it has read all begins anew on another connection.
    let moved = script(|mut peer| async move {
        head(&mut peer).await;
        peer.say("HTTP/1.1 307 Moved\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n").await;
        peer.closed().await;
        String::new()
    });
    let there = script(|mut peer| async move {
        let digest = receive(&mut peer).await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        digest
    });
    let (url, server) = serve(vec![moved, there]).await;
    let exchange = perform(&mut Client::new(), &upload(&url, 20_000_000, |spec| spec.redirects = 1)).await;
    assert_eq!((exchange.outcome, exchange.status, exchange.connects.len()), (Outcome::Ok, 200, 2), "{exchange:?}");
    assert_eq!(server.await.unwrap()[1], digest(&exchange).unwrap());

    // 303 goes on without it.
    let see = "HTTP/1.1 303 See\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n";
    let (url, server) = serve(vec![script(move |mut peer| async move {
        receive(&mut peer).await;
        peer.say(see).await;
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    })])
    .await;
    let exchange = perform(&mut Client::new(), &upload(&url, 100_000, |spec| spec.redirects = 1)).await;
    assert_eq!((exchange.outcome, exchange.status), (Outcome::Ok, 200), "{exchange:?}");
    let got = server.await.unwrap().concat();
    assert!(got.starts_with("GET /there") && !got.contains("multipart"), "{got}");
}

#[tokio::test]
async fn a_file_that_shrinks_is_no_fault_of_the_target() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(20_000_000).unwrap();
    let shrunk = Arc::new(file);
    let shrinking = Arc::clone(&shrunk);
    let (url, _server) = serve(vec![script(move |mut peer| async move {
        head(&mut peer).await;
        shrinking.as_file().set_len(10).unwrap();
        peer.closed().await;
        String::new()
    })])
    .await;
    let name = Template::literal(shrunk.path().to_str().unwrap());
    let request = upload(&url, 0, |spec| {
        let Body::Multipart(multipart) = &mut spec.body else { return };
        multipart.parts[0].content = Content::File { name, folder: "/".into() };
    });
    let exchange = perform(&mut Client::new(), &request).await;
    assert_eq!((exchange.outcome, exchange.reason), (Outcome::Error, Some(Reason::Data)), "{exchange:?}");
    assert!(exchange.detail.unwrap().contains("became shorter while it was sent"));
}

#[tokio::test]
async fn a_content_type_of_ones_own_is_refused() {
    let (url, _server) = answers(&[]).await;
    let mut spec = Spec::new(Method::POST, Template::literal(&url));
    spec.body = Body::Multipart(Multipart::default());
    spec.headers.push((http::header::CONTENT_TYPE, Template::literal("multipart/form-data")));
    assert!(Request::new(spec).unwrap_err().to_string().contains("`content-type` follows from the body"));
}
