//! The observer against servers that answer wrongly, or not at all.

mod holes;
mod lagging;
mod queries;
mod simulated;
mod slow;

use crate::measure::Clock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::api::unix;
use super::*;

const TOKEN: &str = "t0p-s3cret-t0ken";

/// Answers every request with what `answer` makes of it (head and form), on a port of its own.
async fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let request = request(&mut stream).await;
                let _ = stream.write_all(answer(&request).as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

/// A whole request: its head, and a body as long as it says.
async fn request(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let length = |head: &str| -> usize {
            let line =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            line.map_or(0, |length| length.trim().parse().unwrap())
        };
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= length(head)
        {
            return text;
        }
        let n = stream.read(&mut buffer).await.unwrap_or_default();
        if n == 0 {
            return text;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}

fn response(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn json(body: &str) -> String {
    response("200 OK", "application/json", body)
}

fn observer(url: &str, kind: SourceKind) -> Arc<Observer> {
    let access = Access::new(url).unwrap().bearer(TOKEN).timeout(Duration::from_millis(500));
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

/// Reads two edges of a source and gives why it could not be read; all rows and values have to say that too, and nothing may
/// hold the token.
async fn error(url: &str, kind: SourceKind) -> SourceError {
    let observer = observer(url, kind);
    let (before, after) =
        (observer.edge(SystemTime::now(), Traffic::Flowing), observer.edge(SystemTime::now(), Traffic::Flowing));
    let (before, after) = (before.reading().await, after.reading().await);
    let observed = observer.between(&before, &after, 10).await;
    let error = observed.sources[0].error.clone().unwrap();
    let shown = error.to_string();
    assert!(!observed.rows.is_empty());
    for row in &observed.rows {
        assert_eq!((row.before, row.after, row.delta, row.per_request), (None, None, None, None));
        assert!(row.missing.as_ref().unwrap().contains(&shown), "{row:?}");
    }
    assert!(observed.values.series("redis.commands").unwrap_err().contains(&shown));
    let all = format!("{observed:?}{before:?}{after:?}{observer:?}{shown}");
    assert!(!all.contains(TOKEN) && !all.contains("hunter2"), "{all}");
    error
}

#[tokio::test]
async fn a_prometheus_that_refuses_is_reported_without_the_token() {
    // Some proxies repeat what they were sent.
    let url = server(|request| response("401 Unauthorized", "text/plain", request)).await;
    let SourceError::Unauthorized { status: 401, message } = error(&url, SourceKind::Prometheus).await else { panic!() };
    assert!(message.contains("authorization: Bearer ***"), "{message}");
    let url = server(|request| response("502 Bad Gateway", "text/html", request)).await;
    let SourceError::Status { status: 502, message } = error(&url, SourceKind::Prometheus).await else { panic!() };
    assert!(message.starts_with("POST /api/v1/query"), "{message}");
}

/// Answers as such a server does, whatever is asked: the time, and nothing stored.
fn empty(request: &str, time: impl Fn(f64) -> String) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    match request {
        _ if request.contains("time%28%29") => time(now),
        _ if request.contains("query=count") => r#"{"resultType":"vector","result":[]}"#.into(),
        _ => r#"{"resultType":"matrix","result":[]}"#.into(),
    }
}

#[tokio::test]
async fn servers_that_differ_from_prometheus_are_read_all_the_same() {
    let scalar = |now: f64| format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#);
    let vector = |now: f64| format!(r#"{{"resultType":"vector","result":[{{"metric":{{}},"value":[{now},"{now}"]}}]}}"#);
    let wrong = |status: &str| response(status, "text/plain", "not here");
    let success = |data: String, more: &str| json(&format!(r#"{{"status":"success","data":{data}{more}}}"#));
    type Says = Box<dyn Fn(&str) -> String + Send + Sync>;
    let get_only = |status: &'static str| -> Says {
        Box::new(move |request| if request.starts_with("GET") { success(empty(request, scalar), "") } else { wrong(status) })
    };
    let cases: Vec<(&str, Says, &[&str])> = vec![
        ("no warnings", Box::new(move |r| success(empty(r, scalar), r#","warnings":null,"infos":null"#)), &[]),
        ("a vector", Box::new(move |r| success(empty(r, vector), r#","isPartial":false"#)), &[]),
        ("partial", Box::new(move |r| success(empty(r, vector), r#","isPartial":true"#)), &["a part of its storage is away"]),
        ("infos", Box::new(move |r| success(empty(r, scalar), r#","infos":["PromQL info: x"]"#)), &["PromQL info: x"]),
        ("405", get_only("405 Method Not Allowed"), &[]),
        ("403", get_only("403 Forbidden"), &[]),
    ];
    for (case, says, warned) in cases {
        let observer = observer(&server(says).await, SourceKind::Prometheus);
        assert_eq!(observer.try_once(Duration::from_secs(10)).await, [], "{case}");
        let at = SystemTime::now() - Duration::from_secs(60);
        let reading = observer.edge(at, Traffic::Flowing).reading().await;
        let source = &reading.sources[0];
        assert_eq!((&source.error, source.warnings.len()), (&None, warned.len()), "{case}");
        assert!(source.warnings.iter().zip(warned).all(|(got, said)| got.contains(said)), "{case}: {source:?}");
        assert!(source.ahead.abs() < 5.0, "{case}: {source:?}");
    }
}

#[tokio::test]
async fn a_server_that_answers_for_the_past_has_the_clock_that_it_dates_its_answers_by() {
    let late = |now: f64| format!(r#"{{"resultType":"vector","result":[{{"metric":{{}},"value":[{now},"{}"]}}]}}"#, now - 30.0);
    let url = server(move |request| {
        let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
        let body = format!(r#"{{"status":"success","data":{}}}"#, empty(request, late));
        response("200 OK", &format!("application/json\r\ndate: {date}"), &body)
    });
    let observer = observer(&url.await, SourceKind::Prometheus);
    let reading = observer.edge(SystemTime::now() - Duration::from_secs(60), Traffic::Flowing).reading().await;
    let source = &reading.sources[0];
    assert!(source.error.is_none() && source.ahead.abs() <= source.off && source.off < 3.0, "{source:?}");
}

#[tokio::test]
async fn a_prometheus_that_says_no_is_quoted() {
    let body = r#"{"status":"error","errorType":"unavailable","error":"TSDB not ready"}"#;
    let url = server(move |_| response("503 Service Unavailable", "application/json", body)).await;
    let SourceError::Query { status: 503, kind, message } = error(&url, SourceKind::Prometheus).await else { panic!() };
    assert_eq!((kind.as_str(), message.as_str()), ("unavailable", "TSDB not ready"));
}

#[tokio::test]
async fn what_is_no_prometheus_is_reported() {
    let pages = [
        response("200 OK", "text/html", "<html>Log in</html>"),
        response("404 Not Found", "text/plain", "404 page not found"),
        json("{\"status\":\"success\"}"),
        json("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1,\"x\"]]}]}}"),
        json("{\"status\":\"success\",\"data\":{\"resultType\":\"str"),
    ];
    for page in pages {
        let url = server(move |_| page.clone()).await;
        let error = error(&url.replace("http://", "http://ann:hunter2@"), SourceKind::Prometheus).await;
        assert!(matches!(error, SourceError::NotPrometheus(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_source_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let begun = Instant::now();
    assert_eq!(error(&url, SourceKind::Exporter).await, SourceError::Timeout { seconds: 0.5 });
    // Two edges with two seconds of patience each; the bound is far above, for a machine that is busy.
    assert!(begun.elapsed() < Duration::from_secs(60));
    drop(listener);
    assert!(matches!(error(&url, SourceKind::Exporter).await, SourceError::Unreachable(_)));
}

#[tokio::test]
async fn what_is_no_exporter_is_reported() {
    let pages = [
        (response("200 OK", "text/html", "<html></html>"), "text/html"),
        (response("200 OK", "text/plain", "<html></html>\n"), "line 1"),
        (response("200 OK", "text/plain", "redis_commands_processed_total{a=\"b} 12\n"), "isn't closed"),
        (response("200 OK", "application/openmetrics-text", "redis_commands_processed 12\n"), "# EOF"),
    ];
    for (page, words) in pages {
        let url = server(move |_| page.clone()).await;
        let SourceError::NotText(message) = error(&url, SourceKind::Exporter).await else { panic!() };
        assert!(message.contains(words), "{message}");
    }
    let url = server(|_| response("403 Forbidden", "text/plain", TOKEN)).await;
    assert_eq!(error(&url, SourceKind::Exporter).await, SourceError::Unauthorized { status: 403, message: "***".into() });
}

/// A Prometheus whose redis_commands_processed_total was scraped every second for a minute, up to 1 s from now, and grows by
/// 7 each time; with a warning.
fn stored(request: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let data = if request.contains("query=time") {
        format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#)
    } else if request.contains("query=count") {
        let name = |name: &str, count: u32| format!(r#"{{"metric":{{"__name__":"{name}"}},"value":[{now},"{count}"]}}"#);
        let counts = [name("redis_commands_processed_total", 1), name("redis_expired_keys_total", 1001)].join(",");
        format!(r#"{{"resultType":"vector","result":[{counts}]}}"#)
    } else if request.contains("redis_start_time_seconds") {
        r#"{"resultType":"matrix","result":[]}"#.into()
    } else {
        assert!(!request.contains("redis_expired_keys_total"), "left out, so not asked for");
        let samples: Vec<String> =
            (0..60).map(|n| now.floor() - 58.0 + f64::from(n)).map(|t| format!("[{t},\"{}\"]", t * 7.0)).collect();
        let labels = r#"{"__name__":"redis_commands_processed_total","job":"redis"}"#;
        format!(r#"{{"resultType":"matrix","result":[{{"metric":{labels},"values":[{}]}}]}}"#, samples.join(","))
    };
    json(&format!(r#"{{"status":"success","data":{data},"warnings":["shard 2 is away"]}}"#))
}

#[tokio::test]
async fn warnings_are_kept_and_too_many_series_left_out() {
    let observer = observer(&server(stored).await, SourceKind::Prometheus);
    let now = SystemTime::now();
    let before = observer.edge(now - Duration::from_secs(20), Traffic::Flowing);
    let after = observer.edge(now - Duration::from_secs(10), Traffic::Flowing);
    let (before, after) = (before.reading().await, after.reading().await);
    let observed = observer.between(&before, &after, 10).await;
    let source = &observed.sources[0];
    assert_eq!((source.warnings.as_slice(), source.interval), (&["shard 2 is away".to_owned()][..], Some(1.0)));
    let commands = observed.rows.iter().find(|row| row.delta.is_some()).unwrap();
    // The clocks are compared at each edge, to the half of a request's time: a sample that near an edge is on either side of it.
    let (delta, unsure) = (commands.delta.unwrap(), commands.uncertainty.unwrap());
    assert!((delta - 70.0).abs() < 7.0 && unsure <= 28.0, "{delta} ± {unsure}");
    assert_eq!(commands.per_request, Some(delta / 10.0));
    assert_eq!(observed.values.get("redis.commands"), Some(delta));
    assert_eq!(observed.values.systems("redis.commands").unwrap().partial.as_deref(), Some("shard 2 is away"));
    let many = observed.rows.iter().find(|row| row.metric == "redis_expired_keys_total").unwrap();
    assert!(many.missing.as_ref().unwrap().contains("1001 series"), "{many:?}");
    assert!(observed.notes.iter().any(|note| note.contains("redis_expired_keys_total was left out: it has 1001 series")));
    let absent = observed.rows.iter().find(|row| row.metric == "redis_evicted_keys_total").unwrap();
    assert!(absent.delta.is_none() && absent.missing.as_ref().unwrap().contains("no source has"));
    // A reading is a plain value.
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Reading>(&text).unwrap(), before);
}

#[tokio::test]
async fn one_line_that_can_not_be_read_spoils_its_metric_and_no_other() {
    let calls = AtomicUsize::new(0);
    let url = server(move |_| {
        let n = calls.fetch_add(1, Ordering::Relaxed);
        let text =
            format!("redis_commands_processed_total {n}\nredis_keyspace_hits_total {n} x\nredis_keyspace_misses_total {n}\n");
        response("200 OK", "text/plain", &text)
    });
    let observer = observer(&url.await, SourceKind::Exporter);
    let before = observer.settled(SystemTime::now()).await;
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;
    let source = &observed.sources[0];
    assert_eq!(source.error, None);
    let said = |warning: &String| {
        let begins = warning.starts_with("line 2: `x` is not a time in `redis_keyspace_hits_total ");
        begins && warning.ends_with("; redis_keyspace_hits_total is left out")
    };
    assert!(source.warnings.iter().any(said), "{source:?}");
    assert!(observed.values.get("redis.commands").unwrap() > 0.0);
    let hits = observed.rows.iter().find(|row| row.metric == "redis_keyspace_hits_total").unwrap();
    assert!(hits.missing.as_ref().unwrap().starts_with("it has it in a line that can't be read, line 2: "), "{hits:?}");
    assert!(observed.values.series("redis.hit_ratio").unwrap_err().contains("line 2"));
}

#[tokio::test]
async fn samples_that_are_old_by_their_own_time_are_there_and_their_age_is_said() {
    let url = server(|_| {
        let old = ((unix(SystemTime::now()) - 605.0) * 1e3).floor();
        response("200 OK", "text/plain", &format!("redis_commands_processed_total 7 {old}\n"))
    });
    let observer = observer(&url.await, SourceKind::Exporter);
    let before = observer.settled(SystemTime::now()).await;
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;
    let commands = observed.rows.iter().find(|row| row.metric == "redis_commands_processed_total").unwrap();
    let said = commands.missing.as_deref().unwrap();
    let expected = "the samples of redis_commands_processed_total bear a time of their own, and the newest is 10m";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(observed.values.series("redis.commands"), Err(said));
}

#[tokio::test]
async fn a_profile_without_a_prometheus_has_nobody_to_ask() {
    let observer = Observer::new(Observe::default(), Clock::default());
    let now = SystemTime::now();
    let error = observer.query(&Query::parse("up").unwrap(), &[(now, now)]).await.unwrap_err();
    assert!(error.to_string().contains("`observe` has no `prometheus`"));
}

/// A metric, further labels, and its value by the seconds since its first sample.
type History = (&'static str, &'static str, fn(f64) -> Option<f64>);

/// Samples of some series every 5 s for a minute from `base` on, and no other.
fn history(request: &str, base: f64) -> String {
    let series: [History; 6] = [
        // A burst at 31 s.
        ("redis_rejected_connections_total", "", |t| Some(if t < 31.0 { 0.0 } else { 100.0 })),
        ("redis_evicted_keys_total", "", |_| Some(7.0)),
        ("redis_evicted_keys_total", r#","db":"1""#, |t| (t >= 38.0).then_some(1e6 + t)),
        ("redis_keyspace_hits_total", "", |t| Some(9.0 * t)),
        ("redis_keyspace_misses_total", "", |t| Some(t)),
        // A restart between 40 s and 45 s.
        ("redis_expired_keys_total", "", |t| Some(if t <= 40.0 { 100.0 + 2.0 * t } else { 0.0 })),
    ];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let data = if request.contains("query=time") {
        format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#)
    } else if request.contains("query=count") {
        r#"{"resultType":"vector","result":[]}"#.into()
    } else if request.contains("redis_start_time_seconds") {
        r#"{"resultType":"matrix","result":[]}"#.into()
    } else {
        let series = series.iter().map(|(name, labels, value)| {
            let times = (0..13).map(|n| 5.0 * f64::from(n)).filter(|t| base + t <= now);
            let samples = times.filter_map(|t| Some(format!("[{},\"{}\"]", base + t, value(t)?)));
            let samples = samples.collect::<Vec<_>>().join(",");
            format!(r#"{{"metric":{{"__name__":"{name}","instance":"a"{labels}}},"values":[{samples}]}}"#)
        });
        format!(r#"{{"resultType":"matrix","result":[{}]}}"#, series.collect::<Vec<_>>().join(","))
    };
    json(&format!(r#"{{"status":"success","data":{data}}}"#))
}

#[tokio::test]
async fn what_samples_leave_open_is_within_the_bounds_of_a_value() {
    let base = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64().floor() - 61.0;
    let observer = observer(&server(move |request| history(request, base)).await, SourceKind::Prometheus);
    let at = |t: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(base + t);
    let readings = [32.0, 47.0].map(|t| observer.edge(at(t), Traffic::Flowing));
    let [before, after] = readings;
    let (before, after) = (before.reading().await, after.reading().await);
    let observed = observer.between(&before, &after, 10).await;
    let only = |name: &str| {
        let [value] = observed.values.series(name).unwrap() else { panic!("{observed:#?}") };
        (value.least, value.most)
    };
    // The burst was a second before the edge, or after it.
    assert_eq!(only("redis.rejected_connections"), (0.0, 100.0));
    // What came up with a million may have been hidden before: sure is what came after its first sample, at 40 s.
    assert_eq!(only("redis.evicted_keys"), (5.0, 1e6 + 50.0));
    // One scrape delivers hits and misses, and nine of ten were hits at any time.
    let (least, most) = only("redis.hit_ratio");
    assert!((least - 0.9).abs() < 1e-9 && (most - 0.9).abs() < 1e-9, "{least} {most}");
    // 2 a second before the restart, so that 10 may be lost; and an interval at the first edge.
    let expired = observed.rows.iter().find(|row| row.resets == 1).unwrap();
    let (delta, uncertainty) = (expired.delta.unwrap(), expired.uncertainty.unwrap());
    // The clocks are compared at each edge, to the half of a request's time.
    assert!((delta - 16.0).abs() < 1.0 && (uncertainty - 14.0).abs() < 1.0, "{delta} ± {uncertainty}");
    assert!(expired.note.as_ref().unwrap().contains("± covers what was lost"));
}

#[tokio::test]
async fn an_exporter_that_is_read_under_load_is_within_its_bounds() {
    let begun = SystemTime::now();
    // Ten in each hundredth of a second, at once.
    let count = |at: Duration| (at.as_millis() / 10 * 10) as f64;
    let url = server(move |_| {
        let hits = count(begun.elapsed().unwrap());
        response("200 OK", "text/plain", &format!("redis_commands_processed_total {hits}\n"))
    });
    let observer = observer(&url.await, SourceKind::Exporter);
    observer.watch();
    let mut readings = Vec::new();
    let mut edges = Vec::new();
    for _ in 0..5 {
        // As the load announces them: a little ahead.
        let at = SystemTime::now() + Duration::from_millis(100);
        edges.push(at.duration_since(begun).unwrap());
        readings.push(observer.edge(at, Traffic::Flowing).reading().await);
    }
    // Before the first edge there may be no scrape.
    for (from, to) in [(1, 2), (2, 3), (3, 4), (1, 4)] {
        let observed = observer.between(&readings[from], &readings[to], 1).await;
        let [value] = observed.values.series("redis.commands").unwrap() else { panic!("{observed:#?}") };
        let truth = count(edges[to]) - count(edges[from]);
        assert!(value.least <= truth && truth <= value.most, "{value:?} for {truth}");
        let row = observed.rows.iter().find(|row| row.delta.is_some()).unwrap();
        let (delta, uncertainty) = (row.delta.unwrap(), row.uncertainty.unwrap());
        assert!(uncertainty > 0.0 && (delta - truth).abs() <= uncertainty, "{row:?} for {truth}");
    }
}

/// A Prometheus with two series, scraped each second, of which the second one has no sample from 10 s ago on. How long its newest sample is
/// behind is worked out anew each time it is asked for.
fn selected(request: &str, asked: &AtomicUsize, forgets: bool) -> String {
    let now = unix(SystemTime::now());
    let series = |instance: &str, rest: &str| format!(r#"{{"metric":{{"__name__":"clients","instance":"{instance}"}},{rest}}}"#);
    let samples = |from: i32, to: i32| {
        let samples: Vec<String> = (from..=to).map(|n| format!("[{},\"3\"]", now.floor() + f64::from(n))).collect();
        format!("\"values\":[{}]", samples.join(","))
    };
    let vector = |result: String| format!(r#"{{"resultType":"vector","result":[{result}]}}"#);
    let value = |value: f64| format!(r#""value":[{now},"{value}"]"#);
    let data = if request.contains("query=time%28") {
        format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#)
    } else if request.contains("timestamp%28") {
        // The third time there is one past the end.
        let behind = if asked.fetch_add(1, Ordering::SeqCst) < 2 { 30.0 } else { 0.0 };
        vector(format!(r#"{{"metric":{{}},{}}}"#, value(now - behind)))
    } else if request.contains("query=topk") {
        vector(String::new())
    } else if request.contains("%5B") {
        assert!(asked.load(Ordering::SeqCst) >= 3, "samples were asked for before they had come");
        let both = [series("a", &samples(-20, 0)), series("b", &samples(-20, -10))];
        format!(r#"{{"resultType":"matrix","result":[{}]}}"#, both[..if forgets { 1 } else { 2 }].join(","))
    } else {
        let both = [series("a", &value(3.0)), series("b", &value(3.0))];
        vector(both[..if forgets { 1 } else { 2 }].join(","))
    };
    json(&format!(r#"{{"status":"success","data":{data}}}"#))
}

#[tokio::test]
async fn a_query_waits_for_late_samples_and_a_series_without_one_in_the_phase_is_unknown() {
    let (asked, forgets) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let forgotten = Arc::clone(&forgets);
    let url = server(move |request| selected(request, &asked, forgotten.load(Ordering::SeqCst) > 0)).await;
    let access = Access::new(&url).unwrap();
    let sources = vec![Source { name: "it".into(), kind: SourceKind::Prometheus, access }];
    // Nothing stands under `counters`.
    let observer = Observer::new(Observe { sources, ..Observe::default() }, Clock::default());
    let now = SystemTime::now();
    let answered = observer.query(&Query::parse("clients").unwrap(), &[(now - Duration::from_secs(5), now)]).await.unwrap();
    assert_eq!((answered.series.len(), answered.series[0].value), (1, 3.0));
    let [unknown] = &*answered.unknown else { panic!("{answered:?}") };
    assert!(unknown.labels.contains(&("instance".to_owned(), "b".to_owned())), "{unknown:?}");
    assert_eq!(unknown.why, "it has no sample in the phase");
    // It had samples before: it is missed even where the server has forgotten it.
    let early = now - Duration::from_secs(15);
    let answered = observer.query(&Query::parse("clients").unwrap(), &[(early, now - Duration::from_secs(8))]).await.unwrap();
    assert_eq!((answered.series.len(), answered.unknown.len()), (2, 0));
    let rest = Query::parse("(clients)").unwrap();
    forgets.store(1, Ordering::SeqCst);
    let answered = observer.query(&rest, &[(now - Duration::from_secs(5), now)]).await.unwrap();
    assert_eq!((answered.series.len(), answered.unknown.len()), (1, 1));
}
