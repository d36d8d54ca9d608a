//! `trace: true`: every request carries a trace of its own, and real Prometheus servers, by OpenMetrics and by protobuf, keep
//! the traces of histograms' outliers as exemplars.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::http;
use crate::support::process::free_port;
use crate::support::program::{Bench, Running};
use crate::support::prometheus::Prometheus;
use serde_json::Value;

/// A server that keeps the header `traceparent` of each request, and takes 300 ms for one in ten.
fn traced() -> (Hostile, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keeps = seen.clone();
    let server = Hostile::start(move |request, stream| {
        let header = request.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("traceparent").then(|| value.trim().to_owned())
        });
        keeps.lock().unwrap().push(header.unwrap_or_default());
        if request.number % 10 == 0 {
            std::thread::sleep(Duration::from_millis(300));
        }
        let _ = stream.write_all(answer("200 OK", "fine").as_bytes());
        Then::Keep
    });
    (server, seen)
}

fn profile(port: u16, trace: &str) -> String {
    format!(
        "name: traces\n{trace}\ndefaults: {{http: {{base_url: 'http://127.0.0.1:{port}', timeout: 20s}}}}\n\
         scenarios: {{users: {{flow: [{{http: {{get: /, name: home}}}}, {{think: 20ms}}]}}}}\n\
         phases: [{{name: steady, duration: 2s, load: {{users: {{users: 4}}}}}}]\nrepeat: forever\n"
    )
}

/// The ids of traces that this Prometheus has as exemplars of response times above so many seconds.
fn exemplars(port: u16, above: f64) -> BTreeSet<String> {
    let query: String =
        url::form_urlencoded::byte_serialize(b"{__name__=~\"load_response_duration_seconds(_bucket)?\"}").collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let path = format!("/api/v1/query_exemplars?query={query}&start={}&end={}", now - 300, now + 60);
    let (status, body) = http::get(port, &path).expect("Prometheus answers");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let all = answer["data"].as_array().unwrap().iter().flat_map(|series| series["exemplars"].as_array().unwrap());
    let slow = all.filter(|exemplar| exemplar["value"].as_str().unwrap().parse::<f64>().unwrap() > above);
    slow.map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn outliers_lead_to_their_traces() {
    let (server, seen) = traced();
    let bench = Bench::new();
    let port = free_port();
    let file = bench.file("traces.yml", &profile(server.port, "trace: true"));
    let running = bench.serve(&[&format!("--web.listen-address=127.0.0.1:{port}"), file.to_str().unwrap()]);
    let classic = Prometheus::start_with(&[("load", port)], &["--enable-feature=exemplar-storage"]);
    let native = Prometheus::start_with(&[("load", port)], &["--enable-feature=exemplar-storage,native-histograms"]);
    // Outliers are what one looks for. 2.42 takes one exemplar of a native histogram, the first; newer ones take all.
    for (prometheus, above) in [(&classic, 0.25), (&native, 0.0)] {
        let deadline = Instant::now() + Duration::from_secs(60);
        while exemplars(prometheus.port, above).len() < 2 {
            assert!(Instant::now() < deadline, "no exemplars within a minute");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let found: BTreeSet<String> = exemplars(classic.port, 0.25).union(&exemplars(native.port, 0.0)).cloned().collect();
    stop(running);

    let seen = seen.lock().unwrap();
    let sent: BTreeSet<&str> = seen.iter().map(|header| header.split('-').nth(1).unwrap_or_default()).collect();
    assert_eq!(sent.len(), seen.len(), "a trace for each request");
    for header in seen.iter() {
        let parts: Vec<&str> = header.split('-').collect();
        let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(matches!(parts[..], ["00", trace, span, "01"] if hex(trace, 32) && hex(span, 16)), "{header}");
    }
    assert!(found.iter().all(|trace| sent.contains(trace.as_str())), "{found:?}");
}

#[test]
fn without_it_nothing_is_sent() {
    let (server, seen) = traced();
    let bench = Bench::new();
    let ended = bench.run(&profile(server.port, "").replace("repeat: forever", "repeat: 1"));
    assert!(!seen.lock().unwrap().is_empty(), "{}", ended.err);
    assert!(seen.lock().unwrap().iter().all(String::is_empty));
}

fn stop(running: Running) {
    running.signal(15);
    assert_eq!(running.wait().code, Some(0));
}
