//! `/metrics` as real Prometheus servers read it: once without and once with native histograms.
//!
//! Each test serves a store from a thread, starts Debian's `prometheus` on a free port of the loopback with its data in a
//! directory that goes with the test, and asks it by PromQL what it has understood.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use load_exporter::base::random::Stream;
use load_exporter::base::{Outcome, Protocol};
use load_exporter::exposition;
use load_exporter::measure::{
    Layout, OwnId, OwnKind, OwnMetric, PhaseId, Sample, ScenarioId, ScenarioLayout, Set, StepId, StepLayout, Store,
};
use serde_json::Value;

const SCENARIO: ScenarioId = ScenarioId(0);
const STEP: StepId = StepId(0);
const PHASE: PhaseId = PhaseId(0);
/// How long to wait for what must come about.
const DEADLINE: Duration = Duration::from_secs(60);

fn store() -> Arc<Store> {
    let values = OwnKind::Histogram { unit: String::new(), bounds: None };
    Store::new(Arc::new(Layout {
        profile: "votes".into(),
        phases: vec!["steady".into()],
        scenarios: vec![ScenarioLayout::new("voters")],
        steps: vec![StepLayout { thresholds: vec![0.15], ..StepLayout::new(SCENARIO, "vote \"x\"", Protocol::Http) }],
        own: vec![OwnMetric { name: "balance".into(), help: "Either sign.".into(), kind: values, scenarios: vec![SCENARIO] }],
        active: vec![(PHASE, SCENARIO)],
        ..Layout::default()
    }))
}

/// Records `n` requests around 100 ms with a tail.
fn requests(set: &Set, stream: &mut Stream, n: usize) {
    for _ in 0..n {
        let response = (1e8 * (stream.normal() * 0.4).exp()) as u64;
        let (outcome, reason) = (Outcome::Ok, None);
        set.sample(STEP, &Sample { response, service: response / 2, outcome, reason, status: 200, sent: 1, received: 1 });
        set.observe(OwnId(0), SCENARIO, stream.normal() * 10.0);
    }
}

/// Answers requests for `/metrics` one after the other, as long as the test's process lives. Keeps each content type.
fn serve(store: Arc<Store>) -> (u16, Arc<Mutex<Vec<&'static str>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, served) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let types = served.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A reader that goes away in the middle is no concern of the test's.
            if let Some(content_type) = answer(stream, &store) {
                types.lock().unwrap().push(content_type);
            }
        }
    });
    (port, served)
}

fn answer(mut stream: TcpStream, store: &Arc<Store>) -> Option<&'static str> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        head.extend_from_slice(&buffer[..n]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let exposed = exposition::answer(
        &[exposition::Shown::new(store.clone())],
        exposition::Format::negotiate(header("accept")),
        header("accept-encoding").is_some_and(exposition::accepts_gzip),
    )
    .unwrap();
    let encoding = if exposed.gzip { "Content-Encoding: gzip\r\n" } else { "" };
    let (kind, length) = (exposed.content_type, exposed.body.len());
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{encoding}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&exposed.body)).ok().map(|()| kind)
}

/// A Prometheus of the test's own; it ends with its value.
struct Prometheus {
    child: Child,
    port: u16,
    _data: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().expect("it was started here");
        self.child.wait().expect("it was started here");
    }
}

impl Prometheus {
    /// Starts one that scrapes `target` every second.
    fn start(target: u16, arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("prometheus.yml");
        let job = format!("{{job_name: load, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}");
        let text = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: [{job}]\n");
        std::fs::write(&config, text).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(data.path().join("log")).unwrap())
            .spawn()
            .expect("prometheus is needed: Debian's package of that name");
        Self { child, port, _data: data }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// The one value of a PromQL expression, if it has one.
    fn query(&self, expression: &str) -> Option<f64> {
        let encoded: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"))?;
        match answer["data"]["result"].as_array()?.as_slice() {
            [one] => one["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }

    /// Waits until an expression has a value that will do.
    fn until(&self, expression: &str, will_do: impl Fn(f64) -> bool) -> f64 {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < DEADLINE {
            last = self.query(expression);
            if let Some(value) = last.filter(|value| will_do(*value)) {
                return value;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let targets = self.get("/api/v1/targets").unwrap_or_default();
        panic!("{expression} is {last:?} after {DEADLINE:?}; targets: {targets}");
    }
}

#[test]
fn classic_histograms() {
    let store = store();
    let set = store.open(PHASE);
    requests(&set, &mut Stream::keyed(&[1]), 10_000);
    let (port, types) = serve(store.clone());
    let prometheus = Prometheus::start(port, &[]);
    prometheus.until(r#"up{job="load"}"#, |up| up == 1.0);
    let ok = r#"{job="load",profile="votes",scenario="voters",phase="steady",step="vote \"x\"",protocol="http",outcome="ok""#;
    prometheus.until(&format!("load_response_duration_seconds_count{ok}}}"), |n| n == 10_000.0);
    assert!(types.lock().unwrap().iter().all(|kind| kind.starts_with("application/openmetrics-text")));

    let totals = store.totals(PHASE);
    let sparse = &totals.step(STEP).response[Outcome::Ok.index()];
    let within = prometheus.query(&format!("load_response_duration_seconds_bucket{ok},le=\"0.15\"}}"));
    assert_eq!(within, sparse.within_exactly(0.15).map(|n| n as f64));
    let sum = prometheus.query(&format!("load_response_duration_seconds_sum{ok}}}")).unwrap();
    assert!((sum - sparse.sum()).abs() < 1e-6 * sum, "{sum} for {}", sparse.sum());
    // Classic buckets are an octave wide, and interpolated linearly: only the bucket is known.
    let p50 = prometheus.query(&format!("histogram_quantile(0.5, load_response_duration_seconds_bucket{ok}}})")).unwrap();
    assert!((0.0625..=0.125).contains(&p50) && (0.0625..=0.125).contains(&sparse.quantile(0.5).unwrap()), "{p50}");
    assert_eq!(prometheus.query("sum(load_request_errors_total)"), Some(0.0), "known label sets stand at 0");
}

#[test]
fn native_histograms() {
    let store = store();
    let set = store.open(PHASE);
    let mut stream = Stream::keyed(&[2]);
    requests(&set, &mut stream, 10_000);
    let (port, types) = serve(store.clone());
    let prometheus = Prometheus::start(port, &["--enable-feature=native-histograms"]);
    prometheus.until(r#"up{job="load"}"#, |up| up == 1.0);
    let ok = r#"load_response_duration_seconds{outcome="ok"}"#;
    prometheus.until(&format!("histogram_count({ok})"), |n| n == 10_000.0);
    assert!(types.lock().unwrap().iter().all(|kind| kind.starts_with("application/vnd.google.protobuf")));

    let agrees = |prometheus: &Prometheus, growth: f64| {
        let totals = store.totals(PHASE);
        let sparse = &totals.step(STEP).response[Outcome::Ok.index()];
        for q in [0.01, 0.5, 0.9, 0.95, 0.99, 0.999] {
            let (theirs, ours) =
                (prometheus.query(&format!("histogram_quantile({q}, {ok})")).unwrap(), sparse.quantile(q).unwrap());
            assert!(theirs / ours < growth && ours / theirs < growth, "q {q}: {theirs} by PromQL, {ours} here");
        }
        let fraction = prometheus.query(&format!("histogram_fraction(0, 0.125, {ok})")).unwrap();
        assert!((fraction - sparse.share_within(0.125).unwrap()).abs() < 1e-9, "{fraction}");
    };
    agrees(&prometheus, 1.011);
    // Empty ones are native too, and values of either sign are what they are.
    assert_eq!(prometheus.query(r#"histogram_count(load_response_duration_seconds{outcome="timeout"})"#), Some(0.0));
    assert_eq!(prometheus.query("histogram_count(balance)"), Some(10_000.0));
    let median = prometheus.query("histogram_quantile(0.5, balance)").unwrap();
    assert!(median.abs() < 0.5, "{median}");

    // A wider spread takes a coarser schema: nothing is lost, and it is no reset.
    for exponent in 10..40 {
        for part in 0..16 {
            let response = (1 << exponent) + (part << (exponent - 4));
            let (outcome, reason) = (Outcome::Ok, None);
            set.sample(STEP, &Sample { response, service: 0, outcome, reason, status: 200, sent: 1, received: 1 });
        }
    }
    requests(&set, &mut stream, 5_000);
    prometheus.until(&format!("histogram_count({ok})"), |n| n == 15_480.0);
    agrees(&prometheus, 1.2);
    // A reset would make it 15,480 and more; extrapolation at the window's ends is small once there are some samples.
    prometheus.until(&format!("histogram_count(increase({ok}[1m]))"), |n| (5_000.0..8_000.0).contains(&n));
    store.retire(set);
    prometheus.until(r#"histogram_count(load_service_duration_seconds{outcome="ok"})"#, |n| n == 15_000.0);
}
