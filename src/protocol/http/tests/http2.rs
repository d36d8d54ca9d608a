//! HTTP/2 against hyper's own server: the same contract as with HTTP/1.1, and many requests on one connection.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::*;
use crate::base::{Outcome, Reason};
use crate::protocol::http::written::Version;
use crate::protocol::http::{Body, Connections, Disconnect};

/// A server that speaks HTTP/2 only, and what it has seen.
pub(super) struct Server {
    pub url: String,
    pub connections: Arc<AtomicUsize>,
    most: Arc<Mutex<(usize, usize)>>,
}

impl Server {
    pub async fn start(streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(Mutex::new((0, 0)));
        let (counter, seen) = (Arc::clone(&connections), Arc::clone(&most));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, SeqCst);
                let seen = Arc::clone(&seen);
                let service = service_fn(move |request| page(request, Arc::clone(&seen)));
                let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                builder.max_concurrent_streams(streams);
                tokio::spawn(builder.serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { url, connections, most }
    }

    fn get(&self, path: &str, change: impl FnOnce(&mut Spec)) -> Request {
        get(&format!("{}{path}", self.url), |spec| {
            spec.way.version = Version::Http2;
            change(spec);
        })
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// The most requests there were at once.
    fn most(&self) -> usize {
        self.most.lock().unwrap().1
    }
}

type Answer = http::Response<BoxBody<Bytes, hyper::Error>>;

pub(super) async fn page(request: http::Request<Incoming>, seen: Arc<Mutex<(usize, usize)>>) -> Result<Answer, Infallible> {
    {
        let mut seen = seen.lock().unwrap();
        seen.0 += 1;
        seen.1 = seen.1.max(seen.0);
    }
    let whole = |text: String| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut response = http::Response::builder();
    let body = match head.uri.path() {
        "/login" => {
            response = response.header("set-cookie", "sid=1");
            whole("welcome".into())
        }
        "/cookie" => whole(header("cookie")),
        "/redirect" => {
            response = response.status(302).header("location", "/head");
            whole(String::new())
        }
        "/gzip" => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packed.write_all(&[b'a'; 5000]).unwrap();
            response = response.header("content-encoding", "gzip");
            Full::new(Bytes::from(packed.finish().unwrap())).map_err(|never| match never {}).boxed()
        }
        "/head" => whole(format!("{} {} {:?} {}", head.method, head.uri, head.version, header("content-length"))),
        "/echo" => body.boxed(),
        "/count" => whole(body.collect().await.unwrap().to_bytes().len().to_string()),
        "/big" if head.method == Method::HEAD => {
            response = response.header("content-length", 20 * 1024 * 1024);
            whole(String::new())
        }
        "/big" => whole("x".repeat(20 * 1024 * 1024)),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            whole("slow".into())
        }
        "/never" => std::future::pending().await,
        _ => {
            response = response.status(404);
            whole(String::new())
        }
    };
    seen.lock().unwrap().0 -= 1;
    Ok(response.body(body).unwrap())
}

#[tokio::test]
async fn requests_are_as_http2_has_them() {
    let server = Server::start(100).await;
    let mut client = Client::new();
    let exchange = perform(&mut client, &server.get("/head?q=1", |_| {})).await;
    assert_eq!(exchange.outcome, Outcome::Ok, "{:?}", exchange.detail);
    let url = &server.url;
    assert_eq!(String::from_utf8_lossy(&exchange.body), format!("GET {url}/head?q=1 HTTP/2.0 "));
    assert_eq!((exchange.status, exchange.connects.len(), client.connections()), (200, 1, 1));
    let times = exchange.connects[0].result.unwrap();
    assert!(times.dns.is_none() && times.tls.is_none());
    assert!(exchange.sent_at.is_some() && exchange.wait > Duration::ZERO && exchange.service() >= exchange.wait);
    assert_eq!(exchange.body_bytes, exchange.body.len() as u64);
    assert!(exchange.sent > 24 && exchange.received > exchange.body_bytes);
    // A host of the profile's own goes where HTTP/2 has it, and what is of the connection stays out.
    let posted = perform(
        &mut client,
        &server.get("/head", |spec| {
            spec.method = Method::POST;
            spec.headers = vec![
                (http::header::HOST, Template::literal("shop.test")),
                (http::header::CONNECTION, Template::literal("keep-alive")),
                (http::header::TE, Template::literal("gzip")),
            ];
        }),
    )
    .await;
    assert_eq!(String::from_utf8_lossy(&posted.body), "POST http://shop.test/head HTTP/2.0 0", "{:?}", posted.detail);
    assert_eq!((posted.connects.len(), server.connections()), (0, 1));
    assert_eq!(client.close().disconnects.len(), 1);
}

#[tokio::test]
async fn cookies_redirects_and_packed_bodies_are_as_ever() {
    let server = Server::start(100).await;
    let mut client = Client::new();
    perform(&mut client, &server.get("/login", |_| {})).await;
    assert_eq!(&perform(&mut client, &server.get("/cookie", |_| {})).await.body[..], b"sid=1");
    let followed = perform(&mut client, &server.get("/redirect", |spec| spec.redirects = 1)).await;
    assert!(followed.body.starts_with(b"GET ") && followed.connects.is_empty(), "{:?}", followed.detail);
    let packed = perform(&mut client, &server.get("/gzip", |_| {})).await;
    assert_eq!((packed.body.len(), packed.body_bytes < 100), (5000, true));
    let missing = perform(&mut client, &server.get("/missing", |_| {})).await;
    assert_eq!((missing.outcome, missing.status, missing.body.len()), (Outcome::Ok, 404, 0));
    let head = perform(&mut client, &server.get("/big", |spec| spec.method = Method::HEAD)).await;
    assert_eq!((head.outcome, head.body.len()), (Outcome::Ok, 0), "{:?}", head.detail);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn long_bodies_go_through_the_windows_both_ways() {
    let server = Server::start(100).await;
    let mut client = Client::new();
    // Far longer than any window.
    let body = Bytes::from(vec![b'y'; 8 * 1024 * 1024]);
    let post = |path: &str| {
        server.get(path, |spec| {
            spec.method = Method::POST;
            spec.body = Body::Static(body.clone());
        })
    };
    let counted = perform(&mut client, &post("/count")).await;
    assert_eq!(String::from_utf8_lossy(&counted.body), body.len().to_string(), "{:?}", counted.detail);
    assert!(counted.sent > body.len() as u64);
    // The answer begins before the request has ended.
    let echoed = perform(&mut client, &post("/echo")).await;
    assert!(echoed.body == body, "{:?}", echoed.detail);
    let discarded = perform(
        &mut client,
        &server.get("/big", |spec| {
            spec.discard_body = true;
            spec.sha256 = true;
        }),
    )
    .await;
    assert_eq!((discarded.body.len(), discarded.body_bytes), (0, 20 * 1024 * 1024));
    assert_eq!(discarded.sha256.unwrap().len(), 64);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn users_who_share_a_connection_share_it_at_the_same_time() {
    let server = Server::start(100).await;
    let pool = Pool::new(2);
    let request = server.get("/slow", |spec| spec.connections = Connections::Shared(2));
    let mut totals = (0, 0, 0, 0);
    // Twice, so that the second time all connections are there.
    for _ in 0..2 {
        let users = (0..30).map(|_| async {
            let mut client = Client::new();
            let exchange = perform_in(&mut client, &request, &pool).await;
            assert_eq!((exchange.outcome, &exchange.body[..]), (Outcome::Ok, &b"slow"[..]), "{:?}", exchange.detail);
            exchange
        });
        for exchange in futures_util::future::join_all(users).await {
            totals.0 += exchange.connects.len();
            totals.1 += exchange.disconnects.len();
            totals.2 += exchange.sent;
            totals.3 += exchange.received;
        }
    }
    assert_eq!((totals.0, totals.1, server.connections()), (2, 0, 2));
    assert!(server.most() > 2, "they went one after the other");
    // Each byte is reported once: 60 requests with small headers, and 60 answers.
    assert!((60 * 20..60 * 400).contains(&totals.2) && (60 * 10..60 * 400).contains(&totals.3), "{totals:?}");
    assert_eq!(pool.close(), 2);
}

#[tokio::test]
async fn no_more_streams_are_opened_than_the_peer_takes() {
    let server = Server::start(3).await;
    let pool = Pool::new(1);
    let request = server.get("/slow", |spec| spec.connections = Connections::Shared(1));
    // The first answer brings the peer's limit.
    assert_eq!(perform_in(&mut Client::new(), &request, &pool).await.outcome, Outcome::Ok);
    let users = (0..12).map(|_| async {
        let mut client = Client::new();
        perform_in(&mut client, &request, &pool).await
    });
    for exchange in futures_util::future::join_all(users).await {
        assert_eq!(exchange.outcome, Outcome::Ok, "{:?}", exchange.detail);
        // Waiting for a stream is no service of the target's.
        assert!(exchange.service() >= Duration::from_millis(20));
    }
    assert_eq!((server.connections(), server.most()), (1, 3));
    // The time limit holds while waiting for one.
    let held = server.get("/never", |spec| spec.connections = Connections::Shared(1));
    let quick = server.get("/slow", |spec| {
        spec.connections = Connections::Shared(1);
        spec.timeout = Duration::from_millis(50);
    });
    let mut clients: Vec<Client> = (0..3).map(|_| Client::new()).collect();
    let mut holding: Vec<_> = clients.iter_mut().map(|client| Box::pin(perform_in(client, &held, &pool))).collect();
    for hold in &mut holding {
        assert!(hold.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
    }
    let exchange = perform_in(&mut Client::new(), &quick, &pool).await;
    assert_eq!(exchange.detail.unwrap(), "timed out after 50.0ms while waiting for a free stream");
    assert!(exchange.sent_at.is_none() && exchange.disconnects.is_empty());
}

#[tokio::test]
async fn a_time_limit_ends_the_stream_and_not_the_connection() {
    let server = Server::start(100).await;
    for connections in [Connections::PerUser, Connections::Shared(1), Connections::Fresh] {
        let pool = Pool::new(1);
        let mut client = Client::new();
        let never = server.get("/never", |spec| {
            spec.connections = connections;
            spec.timeout = Duration::from_millis(50);
        });
        let before = server.connections();
        let exchange = perform_in(&mut client, &never, &pool).await;
        assert_eq!((exchange.outcome, exchange.reason), (Outcome::Timeout, Some(Reason::Timeout)));
        assert_eq!(exchange.detail.unwrap(), "timed out after 50.0ms while waiting for the first byte");
        let fresh = connections == Connections::Fresh;
        let ended: &[Disconnect] = if fresh { &[Disconnect { reason: Some(Reason::Timeout) }] } else { &[] };
        assert_eq!(exchange.disconnects, ended, "{connections:?}");
        let next = perform_in(&mut client, &server.get("/head", |spec| spec.connections = connections), &pool).await;
        assert_eq!((next.outcome, next.connects.len()), (Outcome::Ok, usize::from(fresh)), "{:?}", next.detail);
        assert_eq!(next.disconnects, if fresh { vec![Disconnect { reason: None }] } else { vec![] });
        assert_eq!(server.connections() - before, if fresh { 2 } else { 1 });
        // What was reported while it went on and what is reported at the end make one connection each.
        assert_eq!(
            (client.close().disconnects.len(), pool.close()),
            match connections {
                Connections::PerUser => (1, 0),
                Connections::Shared(_) => (0, 1),
                Connections::Fresh => (0, 0),
            }
        );
    }
}

#[tokio::test]
async fn a_dropped_request_leaves_the_connection_to_the_next() {
    let server = Server::start(100).await;
    let mut client = Client::new();
    let never = server.get("/never", |_| {});
    assert!(tokio::time::timeout(Duration::from_millis(50), perform(&mut client, &never)).await.is_err());
    let next = perform(&mut client, &server.get("/head", |_| {})).await;
    // The connect that the dropped one could not report any more.
    assert_eq!((next.outcome, next.connects.len(), next.disconnects.len()), (Outcome::Ok, 1, 0));
    assert_eq!((server.connections(), client.close().disconnects.len()), (1, 1));
}
