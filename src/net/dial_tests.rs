//! Dialling over real sockets: what is timed, what fails how.

use super::*;
use tokio::net::TcpListener;

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint::new(host, port)
}

#[tokio::test]
async fn times_are_of_the_parts_there_were() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut dialing = Dialing::default();
    let stream = dial(&endpoint("127.0.0.1", port), &mut dialing).await.unwrap();
    assert!(dialing.times.dns.is_none() && dialing.times.tls.is_none());
    assert!(dialing.times.total >= dialing.times.tcp);
    assert!(stream.tcp().nodelay().unwrap());
    let mut dialing = Dialing::default();
    dial(&endpoint("localhost", port), &mut dialing).await.unwrap();
    assert!(dialing.times.dns.is_some());
}

#[tokio::test]
async fn falls_back_to_the_next_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stream = connect(&[closed, open], &Route::default()).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open);
    assert_eq!(reason_of(&connect(&[closed, closed], &Route::default()).await.unwrap_err()), Reason::Refused);
}

#[tokio::test]
async fn failures_are_distinguished() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = dial(&endpoint("127.0.0.1", closed), &mut Dialing::default()).await.unwrap_err();
    assert_eq!((error.reason, error.stage), (Reason::Refused, Stage::Tcp));
    let error = dial(&endpoint("no-such-host.invalid", 80), &mut Dialing::default()).await.unwrap_err();
    assert_eq!((error.reason, error.stage), (Reason::Dns, Stage::Dns));
    assert!(error.message.contains("no-such-host.invalid"));
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_a_tls_error() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 512]).await;
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let tls = Tls::new(crate::net::TlsOptions { insecure: true, ..Default::default() });
    let mut dialing = Dialing::default();
    let error = dial(&Endpoint { tls: Some(tls), ..endpoint("127.0.0.1", port) }, &mut dialing).await.unwrap_err();
    assert_eq!((error.reason, dialing.stage), (Reason::Tls, Stage::Tls));
    server.await.unwrap();
}

/// A proxy that takes one connection, answers its request with `answer`, and returns the request; after a 200 it repeats what
/// it is sent.
async fn proxy(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && socket.read_buf(&mut request).await.unwrap() > 0 {}
        socket.write_all(answer.as_bytes()).await.unwrap();
        let (mut from, mut to) = socket.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
        String::from_utf8(request).unwrap()
    });
    (port, served)
}

fn behind(proxy: &str, host: &str, port: u16) -> Endpoint {
    let proxy = Some(super::super::Proxy::parse(proxy).unwrap());
    Endpoint { route: Route::new(super::super::RouteOptions { proxy, ..Default::default() }), ..endpoint(host, port) }
}

#[tokio::test]
async fn a_tunnel_leads_to_the_target_and_takes_nothing_of_what_it_says() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // The target is not resolved here, and its first words come together with the proxy's.
    // Interim answers come before both.
    let (port, served) = proxy(
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\nHTTP/1.1 200 Connection established\r\nvia: test\r\n\r\nhello",
    )
    .await;
    let endpoint = behind(&format!("http://ann:secret@127.0.0.1:{port}"), "target.invalid", 443);
    let mut dialing = Dialing::default();
    let mut stream = dial(&endpoint, &mut dialing).await.unwrap();
    assert_eq!((dialing.stage, dialing.times.dns), (Stage::Proxy, None));
    stream.write_all(b" there").await.unwrap();
    let mut said = [0; 11];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello there");
    drop(stream);
    let request = served.await.unwrap();
    assert!(request.starts_with("CONNECT target.invalid:443 HTTP/1.1\r\nHost: target.invalid:443\r\n"), "{request}");
    assert!(request.contains("\r\nProxy-Authorization: Basic YW5uOnNlY3JldA==\r\n"), "{request}");
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_says_why() {
    for (credentials, answer, reason, part) in [
        ("", "HTTP/1.1 407 No\r\n\r\n", Reason::Refused, "wants a user and a password"),
        ("ann:secret@", "HTTP/1.1 407 No\r\n\r\n", Reason::Refused, "does not take the user and password"),
        ("", "HTTP/1.0 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", Reason::Refused, "it answered 502"),
        ("", "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 403 No\r\n\r\n", Reason::Refused, "it answered 403"),
        ("", Box::leak("HTTP/1.1 199 P\r\n\r\n".repeat(1000).into_boxed_str()), Reason::Refused, "it answered 199"),
        ("", "SSH-2.0-OpenSSH\r\n\r\n", Reason::Protocol, "not HTTP/1.1"),
    ] {
        let (port, served) = proxy(answer).await;
        let endpoint = behind(&format!("http://{credentials}127.0.0.1:{port}"), "::1", 7);
        let error = dial(&endpoint, &mut Dialing::default()).await.unwrap_err();
        assert_eq!((error.reason, error.stage), (reason, Stage::Proxy), "{}", error.message);
        assert!(
            error.message.contains(part) && error.message.contains(&format!("the proxy 127.0.0.1:{port}")),
            "{}",
            error.message
        );
        assert!(!error.message.contains("secret") && !error.message.contains("YW5u"), "{}", error.message);
        assert!(served.await.unwrap().starts_with("CONNECT [::1]:7 "));
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = dial(&behind(&format!("http://{closed}"), "h", 1), &mut Dialing::default()).await.unwrap_err();
    assert_eq!((error.reason, error.stage), (Reason::Refused, Stage::Tcp));
    assert!(error.message.starts_with(&format!("cannot connect to the proxy {closed}: ")), "{}", error.message);
}

#[tokio::test]
async fn a_proxy_that_forwards_is_only_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let stream = dial_to_proxy(&behind(&format!("http://{proxy}"), "target.invalid", 80), &mut Dialing::default()).await.unwrap();
    assert_eq!(stream.tcp().peer_addr().unwrap(), proxy);
    // Nothing is said before the request.
    assert_eq!(stream.meter().sent(), 0);
}
