//! Through a proxy, and from chosen addresses.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{answers, script, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::net::{Proxy, Route, RouteOptions};
use crate::protocol::http::written::Version;

fn through(proxy: &str) -> Arc<Route> {
    Route::new(RouteOptions { proxy: Some(Proxy::parse(proxy).unwrap()), ..RouteOptions::default() })
}

#[tokio::test]
async fn plain_requests_go_to_the_proxy_in_absolute_form() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (url, server) = answers(&[ok, ok]).await;
    let proxy = url.replace("http://", "http://ann:hunter2@");
    // The target's name is the proxy's to resolve.
    let request = get("http://target.invalid:8080/a?b=c", |spec| spec.way.route = through(&proxy));
    let mut client = Client::new();
    for connects in [1, 0] {
        let exchange = perform(&mut client, &request).await;
        assert_eq!((exchange.outcome, exchange.connects.len()), (Outcome::Ok, connects), "{:?}", exchange.detail);
    }
    drop(client);
    let seen = server.await.unwrap().remove(0);
    assert!(seen.starts_with("GET http://target.invalid:8080/a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nhost: target.invalid:8080\r\n"), "{seen}");
    assert_eq!(seen.matches("\r\nproxy-authorization: Basic YW5uOmh1bnRlcjI=\r\n").count(), 2, "{seen}");
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_answers_as_any_target() {
    let (url, _server) = answers(&["HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n"]).await;
    let exchange = perform(&mut Client::new(), &get("http://target.invalid/", |spec| spec.way.route = through(&url))).await;
    assert_eq!((exchange.outcome, exchange.status), (Outcome::Ok, 407));
}

#[tokio::test]
async fn https_gets_a_tunnel_whose_refusal_is_reported_without_the_password() {
    let (url, server) = serve(vec![script(|mut peer| async move { peer.answer("HTTP/1.1 407 No\r\n\r\n").await })]).await;
    let proxy = url.replace("http://", "http://ann:hunter2@");
    let exchange = perform(&mut Client::new(), &get("https://target.invalid/", |spec| spec.way.route = through(&proxy))).await;
    assert_eq!((exchange.outcome, exchange.reason), (Outcome::Error, Some(Reason::Refused)));
    assert_eq!(exchange.connects[0].result, Err(Some(Reason::Refused)));
    let detail = exchange.detail.unwrap();
    assert!(detail.contains("407") && detail.contains("target.invalid:443"), "{detail}");
    assert!(!detail.contains("hunter2") && !detail.contains("YW5u") && !detail.contains("ann"), "{detail}");
    assert!(server.await.unwrap()[0].starts_with("CONNECT target.invalid:443 "));
}

/// A proxy that makes tunnels; it serves one connection and returns what was asked of it.
async fn tunnels() -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && client.read_buf(&mut head).await.unwrap() > 0 {}
        let head = String::from_utf8(head).unwrap();
        let mut target = TcpStream::connect(head.split(' ').nth(1).unwrap()).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut target).await;
        head
    });
    (url, served)
}

#[tokio::test]
async fn http2_without_tls_goes_through_a_tunnel() {
    let server = super::http2::Server::start(100).await;
    let (proxy, tunnel) = tunnels().await;
    let request = get(&format!("{}/head", server.url), |spec| {
        spec.way.version = Version::Http2;
        spec.way.route = through(&proxy);
    });
    let mut client = Client::new();
    let exchange = perform(&mut client, &request).await;
    assert_eq!((exchange.outcome, exchange.status), (Outcome::Ok, 200), "{:?}", exchange.detail);
    drop(client);
    assert!(tunnel.await.unwrap().starts_with("CONNECT 127.0.0.1:"));
}

#[tokio::test]
async fn users_come_from_the_addresses_in_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (mut socket, from) = listener.accept().await.unwrap();
            seen.push(from.ip().to_string());
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
        seen
    });
    let from = ["127.0.0.2", "127.0.0.3"].map(|address| address.parse().unwrap()).to_vec();
    let request = get(&url, |spec| spec.way.route = Route::new(RouteOptions { from, ..RouteOptions::default() }));
    for _ in 0..4 {
        assert_eq!(perform(&mut Client::new(), &request).await.outcome, Outcome::Ok);
    }
    assert_eq!(server.await.unwrap(), ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]);
}
