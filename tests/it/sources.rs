//! How sources are reached: a server that answers like a Prometheus and isn't one, credentials and certificates that change.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::redis;
use crate::support::tls::Authority;
use crate::support::victoriametrics::VictoriaMetrics;
use load_exporter::counters::{Access, Observe, Observer, Query, Source, SourceKind, Wanted, presets};
use load_exporter::measure::Clock;
use load_exporter::net::TlsOptions;
use load_exporter::net::auth::{Auth, Held};

fn observer(kind: SourceKind, access: Access) -> Arc<Observer> {
    let preset = presets::find("redis").unwrap();
    Observer::new(
        Observe {
            sources: vec![Source { name: "it".into(), kind, access }],
            counters: vec![Wanted::Preset { preset, matchers: Vec::new() }],
            ..Observe::default()
        },
        Clock::default(),
    )
}

/// What keeps the source from being read; empty: nothing.
async fn refused(observer: &Observer) -> String {
    let failed = observer.try_once(Duration::from_secs(20)).await;
    failed.first().map(|(_, error)| error.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn victoriametrics_is_read_like_a_prometheus() {
    let server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    server.send(&["SET there 1", "GET there"]);
    let Some(victoria) = VictoriaMetrics::start(&[("redis", by.port)]) else { return };
    let observer = observer(SourceKind::Prometheus, Access::new(&victoria.url()).unwrap());
    let before = observer.settled(SystemTime::now()).await;
    server.send(&[&["GET there"; 70][..], &["GET gone"; 30]].concat());
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 100).await;
    assert_eq!(observed.sources[0].error, None);
    let delta = |metric: &str| observed.rows.iter().find(|row| row.metric == metric).map(|row| (row.delta, row.uncertainty));
    assert_eq!(delta("redis_keyspace_hits_total"), Some((Some(70.0), Some(0.0))), "{observed:#?}");
    assert_eq!(delta("redis_keyspace_misses_total"), Some((Some(30.0), Some(0.0))));
    assert_eq!(observed.values.get("redis.hit_ratio"), Some(0.7));
    assert!(
        observed.notes.iter().any(|note| note == "it: the names of redis are those of redis_exporter 1.x"),
        "{:?}",
        observed.notes
    );
    let (query, now) = (Query::parse("sum(redis_connected_clients)").unwrap(), SystemTime::now());
    let clients = observer.query(&query, &[(now - Duration::from_secs(5), now)]).await.unwrap();
    assert!(clients.series[0].max >= 1.0, "{clients:?}");
}

#[tokio::test]
async fn a_token_in_a_file_is_read_for_each_question_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "t0ken-0f-yesterday\n").unwrap();
    let server = Hostile::start(|request, stream| {
        let text = match request.head.contains("authorization: Bearer t0ken-0f-today\r\n") {
            true => answer("200 OK", "redis_up 1\n"),
            false => answer("401 Unauthorized", &format!("out of date:\n{}", request.head)),
        };
        let _ = stream.write_all(text.as_bytes()); // the client may have gone
        Then::Keep
    });
    let auth = Auth::Bearer(Held::File { key: "bearer_token_file", path: file.clone() });
    let observer = observer(SourceKind::Exporter, Access::new(&server.url()).unwrap().auth(auth));
    let error = refused(&observer).await;
    assert!(error.contains("401") && error.contains("out of date") && error.contains("bearer_token_file"), "{error}");
    assert!(!error.contains("t0ken"), "{error}");
    std::fs::write(&file, "t0ken-0f-today\n").unwrap();
    assert_eq!(refused(&observer).await, "");
    std::fs::remove_file(&file).unwrap();
    let error = refused(&observer).await;
    assert!(error.contains("`bearer_token_file`: ") && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn certificates_are_read_again_when_they_change_and_an_unknown_authority_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority");
    let stranger = Authority::new(dir.path(), "stranger");
    let server = authority.serve(true, |stream| {
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(n @ 1..) => request.extend_from_slice(&buffer[..n]),
                _ => return,
            }
        }
        let _ = stream.write_all(answer("200 OK", "redis_up 1\n").as_bytes()); // the client may have gone
        let _ = stream.flush();
    });
    let at = |name: &str| dir.path().join(name);
    let copy = |from: &str, to: &str| assert!(std::fs::copy(at(from), at(to)).unwrap() > 0);
    stranger.certify("foreign");
    authority.certify("own");
    copy("stranger.pem", "ca.pem");
    copy("foreign.pem", "client.pem");
    copy("foreign.key", "client.key");
    let tls = TlsOptions {
        ca_file: Some(at("ca.pem")),
        cert_file: Some(at("client.pem")),
        key_file: Some(at("client.key")),
        ..TlsOptions::default()
    };
    let url = server.url().replace("http://", "https://");
    let observer = observer(SourceKind::Exporter, Access::new(&url).unwrap().with_tls(tls));
    let error = refused(&observer).await;
    assert!(error.contains("self-signed?") && error.contains("ca_file"), "{error}");
    copy("authority.pem", "ca.pem");
    assert_ne!(refused(&observer).await, "", "the server doesn't know the client's authority");
    // A key alone doesn't fit: both are there before the next question.
    copy("own.pem", "client.pem");
    copy("own.key", "client.key");
    assert_eq!(refused(&observer).await, "");
}
