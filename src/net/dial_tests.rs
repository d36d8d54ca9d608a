//! Dialling over real sockets: what is timed, what fails how.

use super::*;
use tokio::net::TcpListener;

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint { host: host.into(), port, tls: None }
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
    let stream = connect(&[closed, open]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open);
    assert_eq!(reason_of(&connect(&[closed, closed]).await.unwrap_err()), Reason::Refused);
}

#[tokio::test]
async fn failures_are_told_apart() {
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
