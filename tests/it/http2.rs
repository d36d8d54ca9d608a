//! HTTP/2 from end to end: many users over a few shared connections against hyper's server, by prior knowledge and by ALPN. What the
//! server counted is what run.json and /metrics say, errors and timeouts have their reasons, and connections survive both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::support::program::{Bench, accounts_hold, count, metric, named};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;

const USERS: u64 = 40;
const ITERATIONS: u64 = 5;
const SHARED: u64 = 4;

/// What the server has seen.
#[derive(Default)]
struct Seen {
    /// Requests by path, whatever became of them.
    requests: Mutex<BTreeMap<String, u64>>,
    /// The most requests that were open at once on each connection, once it has ended.
    connections: Mutex<Vec<Option<u64>>>,
    /// What ALPN came to, of each connection.
    spoken: Mutex<Vec<Option<Vec<u8>>>>,
    /// How many requests that are never answered were given up by the client.
    given_up: Mutex<u64>,
}

/// A request that is open, on a connection that knows how many are.
struct Open<'a> {
    line: &'a watch::Sender<(u64, u64)>,
}

impl<'a> Open<'a> {
    fn new(line: &'a watch::Sender<(u64, u64)>) -> Self {
        line.send_modify(|(now, most)| (*now, *most) = (*now + 1, (*now + 1).max(*most)));
        Self { line }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.line.send_modify(|(now, _)| *now -= 1);
    }
}

/// Counts what is dropped before its time.
struct GivenUp(Arc<Seen>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        *self.0.given_up.lock().unwrap() += 1;
    }
}

/// One connection, from its first byte of HTTP/2 to its end.
async fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: T, seen: Arc<Seen>) {
    let place = {
        let mut connections = seen.connections.lock().unwrap();
        connections.push(None);
        connections.len() - 1
    };
    let line = Arc::new(watch::Sender::new((0, 0)));
    let (of_requests, log) = (Arc::clone(&line), Arc::clone(&seen));
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (line, seen) = (Arc::clone(&of_requests), Arc::clone(&log));
        async move {
            let path = request.uri().path().to_owned();
            *seen.requests.lock().unwrap().entry(path.clone()).or_default() += 1;
            let _open = Open::new(&line);
            match path.as_str() {
                // Answered once its connection has had two requests at once: 40 users have to share 4 connections.
                "/meet" => {
                    line.subscribe().wait_for(|(_, most)| *most > 1).await.unwrap();
                }
                "/reset" => return Err("this stream is reset"),
                "/never" => {
                    let _given_up = GivenUp(Arc::clone(&seen));
                    std::future::pending::<()>().await;
                }
                _ => {}
            }
            Ok(hyper::Response::new(Full::new(Bytes::from_static(b"hello"))))
        }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    seen.connections.lock().unwrap()[place] = Some(line.borrow().1);
}

/// The certificate and the key of the server, with the certificate in `ca.pem` for the profile to trust.
fn tls(bench: &Bench) -> tokio_rustls::TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    bench.file("ca.pem", &certificate.pem());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    // Whoever offers nothing better gets HTTP/1.1, which nobody here speaks.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// Starts the server on threads of its own; they end with the runtime.
fn start(acceptor: Option<tokio_rustls::TlsAcceptor>) -> (tokio::runtime::Runtime, u16, Arc<Seen>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let log = Arc::clone(&seen);
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&log));
            tokio::spawn(async move {
                match acceptor {
                    None => serve(socket, seen).await,
                    Some(acceptor) => {
                        let stream = acceptor.accept(socket).await.unwrap();
                        seen.spoken.lock().unwrap().push(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec));
                        serve(stream, seen).await;
                    }
                }
            });
        }
    });
    (runtime, port, seen)
}

/// Each user meets others on its connection; one has a stream reset, and one waits for an answer that never comes, and both go on.
fn profile(settings: &str) -> String {
    format!(
        "name: http2
defaults: {{on_error: continue, http: {{{settings}, timeout: 60s, connections: {{shared: {SHARED}}}}}}}
scenarios:
  users:
    flow:
      - http: {{get: /meet, name: meet}}
      - http: {{get: /reset, name: reset}}
        if: user % 10 == 3
      - http: {{get: /never, name: never, timeout: 2s}}
        if: user % 10 == 7 and iteration == 1
      - http: {{get: /after, name: after}}
phases: [{{name: one, duration: 10m, load: {{users: {{users: {USERS}, iterations: {ITERATIONS}}}}}}}]
"
    )
}

fn run(bench: &Bench, settings: &str, seen: &Seen) {
    bench.file("profile.yml", &profile(settings));
    let mut serve = bench.serve(&["profile.yml"]);
    serve.until("a record", |_| (bench.records().len() == 1).then_some(()));
    let (record, page) = (bench.record(), serve.page("/metrics"));
    serve.until("the ends of the connections", |_| {
        let connections = seen.connections.lock().unwrap();
        connections.iter().all(Option::is_some).then_some(())
    });
    serve.stop();
    accounts_hold(&record);
    let phase = named(&record["phases"], "name", "one");

    let of_users = USERS * ITERATIONS;
    let steps = [
        ("meet", of_users, "ok", None),
        ("reset", USERS / 10 * ITERATIONS, "error", Some("reset")),
        ("never", USERS / 10, "timeout", Some("timeout")),
        ("after", of_users, "ok", None),
    ];
    for (step, times, outcome, reason) in steps {
        assert_eq!(seen.requests.lock().unwrap()[&format!("/{step}")], times, "{step}");
        let of_record = named(&phase["steps"], "step", step);
        assert_eq!((count(&of_record["requests"]), count(&of_record["outcomes"][outcome])), (times, times), "{of_record:#}");
        assert_eq!(metric(&page, "load_requests_total", &[("step", step), ("phase", "one")]), Some(times as f64), "{step}");
        let labels = [("step", step), ("phase", "one"), ("outcome", outcome)];
        assert_eq!(metric(&page, "load_response_duration_seconds_count", &labels), Some(times as f64), "{step}");
        let errors: Vec<(&str, u64)> =
            of_record["errors"].as_object().unwrap().iter().map(|(reason, times)| (reason.as_str(), count(times))).collect();
        assert_eq!(errors, reason.map(|reason| (reason, times)).into_iter().collect::<Vec<_>>(), "{of_record:#}");
        if let Some(reason) = reason {
            let labels = [("step", step), ("phase", "one"), ("reason", reason)];
            assert_eq!(metric(&page, "load_request_errors_total", &labels), Some(times as f64), "{step}");
        }
    }
    assert_eq!(seen.requests.lock().unwrap().len(), steps.len());
    // A time limit gave its stream up, and nothing but its stream.
    assert_eq!(*seen.given_up.lock().unwrap(), USERS / 10);

    // No connection ended of a reset or of a time limit: there are as many as may be shared, each with several streams at once.
    // The look before the run is one more, without a request.
    let connections: Vec<u64> = seen.connections.lock().unwrap().iter().copied().flatten().collect();
    assert_eq!(connections.len() as u64, SHARED + 1);
    assert_eq!(connections.iter().filter(|most| **most > 1).count() as u64, SHARED, "{connections:?}");
    assert_eq!(connections.iter().filter(|most| **most == 0).count(), 1, "{connections:?}");
    let of_users = &named(&phase["scenarios"], "scenario", "users")["connections"];
    let of_record = named(of_users, "protocol", "http");
    assert_eq!(
        (count(&of_record["connects"]), &of_record["failures"], &of_record["disconnects"]),
        (SHARED, &json!({}), &json!({}))
    );
    assert_eq!(metric(&page, "load_connects_total", &[("protocol", "http"), ("phase", "one")]), Some(SHARED as f64));
}

#[test]
fn by_prior_knowledge_many_users_share_few_connections() {
    let bench = Bench::new();
    let (_runtime, port, seen) = start(None);
    run(&bench, &format!("base_url: 'http://127.0.0.1:{port}', version: 2"), &seen);
}

#[test]
fn by_alpn_over_tls_too() {
    let bench = Bench::new();
    let (_runtime, port, seen) = start(Some(tls(&bench)));
    run(&bench, &format!("base_url: 'https://127.0.0.1:{port}', version: 2, tls: {{ca_file: ca.pem}}"), &seen);
    let spoken = seen.spoken.lock().unwrap();
    assert!(spoken.len() as u64 == SHARED + 1 && spoken.iter().all(|spoken| spoken.as_deref() == Some(b"h2")), "{spoken:?}");
}
