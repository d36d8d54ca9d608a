//! The target as a client sees it.

mod sessions;

use std::time::Duration;

use ::http::Method;
use ::http::header::CONTENT_TYPE;
use bytes::Bytes;

use super::*;
use crate::base::{Outcome, Reason};
use crate::expr::{ScenarioValues as Variables, Scope, Template};
use crate::protocol::http::{Body, Client, Exchange, Request, Spec};

fn target(freeze: Option<Freeze>) -> Target {
    Target::start("127.0.0.1:0".parse().unwrap(), Options { threads: 2, freeze, tcp: Some("127.0.0.1:0".parse().unwrap()) })
        .unwrap()
}

async fn ask(target: &Target, path: &str, change: impl FnOnce(&mut Spec)) -> Exchange {
    ask_at(target.address(), path, change).await
}

async fn ask_at(address: SocketAddr, path: &str, change: impl FnOnce(&mut Spec)) -> Exchange {
    let mut spec = Spec::new(Method::GET, Template::literal(&format!("http://{address}{path}")));
    change(&mut spec);
    let request = Request::new(spec).unwrap();
    let scope = Scope::new(Arc::new(Variables::default()), 0);
    Client::new().perform(&request, request.prepare(&scope).unwrap(), None).await
}

#[tokio::test]
async fn pages() {
    let target = target(None);
    for (path, status, body) in [
        ("/", 200, "{\"method\":\"GET\",\"path\":\"/\"}"),
        ("/a%22b?c=1", 200, "{\"method\":\"GET\",\"path\":\"/a%22b?c=1\"}"),
        ("/status/404", 404, "{\"status\":404}"),
        ("/status/99", 400, "`99` is not a status from 200 to 599\n"),
        ("/bytes/5", 200, "xxxxx"),
        ("/drip?bytes=3&every=1ms", 200, "xxx"),
        ("/redirect/1", 302, ""),
    ] {
        let exchange = ask(&target, path, |_| {}).await;
        assert_eq!((exchange.status, exchange.body), (status, Bytes::from(body)), "{path}: {:?}", exchange.detail);
    }
    let exchange = ask(&target, "/bytes/1MiB", |spec| spec.discard_body = true).await;
    assert_eq!(exchange.body_bytes, 1 << 20);
    let exchange = ask(&target, "/redirect/3", |spec| spec.redirects = 3).await;
    assert_eq!(exchange.status, 200);
    assert_eq!(target.requests(), 12);
    let metrics = ask(&target, "/metrics", |_| {}).await.body;
    let metrics = std::str::from_utf8(&metrics).unwrap();
    assert!(metrics.contains("\necho_requests_total 12\n") && metrics.contains("echo_responses_total{code=\"302\"} 4\n"));
    target.stop().await;
}

#[tokio::test]
async fn bodies_are_echoed() {
    let target = target(None);
    for length in [1, 100_000, 3_000_000] {
        let body = Bytes::from(vec![b'a'; length]);
        let sent = body.clone();
        let exchange = ask(&target, "/x", |spec| {
            spec.method = Method::POST;
            spec.headers.push((CONTENT_TYPE, Template::literal("text/x-own")));
            spec.body = Body::Static(sent);
        })
        .await;
        assert_eq!(exchange.headers[CONTENT_TYPE], "text/x-own");
        assert!(exchange.body == body, "{length}");
    }
    target.stop().await;
}

#[tokio::test]
async fn faults_are_what_they_say() {
    let target = target(None);
    let short = |spec: &mut Spec| spec.timeout = Duration::from_millis(50);
    for (path, reason, status, part) in [
        ("/?reset", Reason::Reset, 0, "waiting for the first byte"),
        ("/bytes/100?half", Reason::Protocol, 200, "middle of the body"),
        ("/bytes/1MiB?half", Reason::Protocol, 200, "middle of the body"),
    ] {
        let exchange = ask(&target, path, |_| {}).await;
        let detail = exchange.detail.unwrap();
        assert_eq!((exchange.reason, exchange.status), (Some(reason), status), "{path}: {detail}");
        assert!(detail.contains(part), "{path}: {detail}");
    }
    for (path, part) in [("/?stall", "waiting for the first byte"), ("/?stall=body", "reading the body")] {
        let exchange = ask(&target, path, short).await;
        assert_eq!(exchange.outcome, Outcome::Timeout);
        assert!(exchange.detail.unwrap().contains(part), "{path}");
    }
    target.stop().await;
}

#[tokio::test]
async fn delays_are_at_least_what_they_say() {
    let target = target(None);
    let exchange = ask(&target, "/delay/20ms?delay=10ms", |_| {}).await;
    assert!(exchange.wait >= Duration::from_millis(30));
    target.stop().await;
}

#[tokio::test]
async fn a_freeze_holds_requests_to_its_end() {
    let (lasts, every) = (Duration::from_millis(300), Duration::from_millis(400));
    let target = target(Some(Freeze::new(lasts, every).unwrap()));
    // Sooner or later one comes in the first third of a freeze.
    let held = loop {
        let exchange = ask(&target, "/", |_| {}).await;
        if exchange.wait > lasts * 2 / 3 {
            break exchange;
        }
    };
    assert_eq!((held.outcome, held.status), (Outcome::Ok, 200));
    target.stop().await;
}

#[tokio::test]
async fn stopping_lets_requests_end_and_closes_the_door() {
    let target = target(None);
    let address = target.address();
    let stop = async {
        while target.requests() == 0 {
            tokio::task::yield_now().await;
        }
        target.stop().await;
    };
    let (in_flight, ()) = tokio::join!(ask_at(address, "/delay/50ms", |_| {}), stop);
    assert_eq!(in_flight.status, 200);
    assert!(std::net::TcpStream::connect(address).is_err());
    // The port is free again.
    Target::start(address, Options::default()).unwrap().stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Target::start(taken.local_addr().unwrap(), Options::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
