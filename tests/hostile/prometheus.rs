//! A Prometheus that is away or talks nonsense: the phases go on, the counters are said to be missing, and the verdict is
//! inconclusive, never a pass on what nobody has seen. Its token shows up nowhere.

use std::io::Write;
use std::time::Duration;

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, accounts_hold, count, metric, named};

const TOKEN: &str = "tok-5f2c9e-never-shown";

fn profile(prometheus: &str) -> String {
    format!(
        "name: watched
defaults: {{http: {{base_url: builtin}}}}
scenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases:
  - {{name: one, duration: 1s, load: {{a: {{rate: 20/s, max_users: 100}}}}}}
  - {{name: two, duration: 2s, load: {{a: {{rate: 20/s, max_users: 100}}}}}}
observe:
  prometheus: {{url: \"{prometheus}\", bearer_token: \"${{PROMETHEUS_BEARER_TOKEN}}\", timeout: 500ms}}
  counters: [{{preset: redis}}, {{metric: http_requests_total}}]
slos:
  - {{name: errors, require: [errors < 1%]}}
  - {{name: cache, server: redis.hit_ratio, require: [value > 80%]}}
  - {{name: pool, promql: sum(up), require: [max < 70]}}
"
    )
}

/// Runs beside such a Prometheus, and looks at everything that there is to see. Gives the reasons of its record.
fn watched_by(prometheus: &str) -> String {
    let bench = Bench::new();
    bench.file("watched.yml", &profile(prometheus));
    let port = free_port();
    let address = format!("--web.listen-address=127.0.0.1:{port}");
    let mut command = bench.command(&["run", "--log.level=debug", &address, "watched.yml"]);
    command.env("PROMETHEUS_BEARER_TOKEN", TOKEN);
    let mut running = Running::start(command, bench.path());
    running.port = port;
    let page = running.until("a word on the source", |_| {
        let (_, page) = crate::support::http::get(port, "/metrics")?;
        let success = metric(&page, "load_target_scrape_success", &[("source", "prometheus")])?;
        assert_eq!(success, 0.0);
        Some(page)
    });
    let ended = running.wait();
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(record["verdict"], "inconclusive");
    for (phase, requests) in [("one", 20), ("two", 40)] {
        let phase = named(&record["phases"], "name", phase);
        assert_eq!(count(&phase["steps"][0]["requests"]), requests, "the load went on: {phase:#}");
        assert_eq!(phase["verdict"], "inconclusive");
        let source = named(&phase["sources"], "name", "prometheus");
        assert!(!source["error"].as_str().unwrap().is_empty(), "{source:#}");
        for counter in phase["counters"].as_array().unwrap() {
            assert!(
                counter["delta"].is_null() && !counter["missing"].as_str().unwrap().is_empty(),
                "missing, not 0: {counter:#}"
            );
        }
        let slo = |name: &str| named(&phase["slos"], "name", name);
        assert_eq!(slo("errors")["met"], true);
        for name in ["cache", "pool"] {
            assert!(slo(name)["met"].is_null() && slo(name)["value"].is_null(), "{:#}", slo(name));
        }
    }
    let everything = [&ended.out, &ended.err, &page, &bench.left()].map(String::as_str).concat();
    assert!(!everything.contains(TOKEN), "{everything}");
    assert!(ended.out.contains("INCONCLUSIVE") && ended.out.contains("prometheus"), "{}", ended.out);
    assert!(ended.took < Duration::from_secs(45), "{:?}", ended.took);
    record["reasons"].to_string()
}

/// A Prometheus that gives this answer to everything; with it what the token was sent in.
fn answering(text: String) -> Hostile {
    Hostile::start(move |request, stream| {
        assert!(request.head.contains(TOKEN), "it authenticates");
        let _ = stream.write_all(text.as_bytes());
        Then::Keep
    })
}

/// Runs beside each source, and looks for what its record must say of it. All at once: most of the time is spent on waiting for
/// samples that don't come.
fn each_says(cases: &[(&str, String, &str)], run: fn(&str) -> String) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = cases.iter().map(|(case, url, said)| (case, said, scope.spawn(move || run(url)))).collect();
        for (case, said, thread) in threads {
            let reasons = thread.join().unwrap_or_else(|_| panic!("{case}: see above"));
            assert!(reasons.contains(said), "{case}: {reasons}");
        }
    });
}

#[test]
fn whatever_prometheus_does_the_load_goes_on_and_nothing_is_made_up() {
    let unauthorized = answering(answer("401 Unauthorized", &format!("no such token: Bearer {TOKEN}")));
    let unavailable = answering(answer("503 Service Unavailable", "starting up"));
    let garbage = answering(answer("200 OK", &format!("{{\"status\": \"success\", \"data\": \"{TOKEN}\"")));
    let body = r#"{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [["x", 1]]}]}}"#;
    let nonsense_in_form = answering(answer("200 OK", body));
    let body = r#"{"status": "success", "data": {"resultType": "vector", "result": []}}"#;
    let nothing_there = answering(answer("200 OK", body));
    let other_server = answering(answer("404 Not Found", "<!doctype html><title>nginx</title><h1>Not found</h1>"));
    let silent = Hostile::answering("", Then::Stall);
    let breaks_off = Hostile::answering("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"status\":", Then::Reset);
    let cases = [
        ("away", format!("http://127.0.0.1:{}", free_port()), "refused"),
        ("unauthorized", unauthorized.url(), "401"),
        ("unavailable", unavailable.url(), "503"),
        ("garbage", garbage.url(), "prometheus"),
        ("nonsense in form", nonsense_in_form.url(), "prometheus"),
        ("nothing there", nothing_there.url(), "prometheus"),
        ("another server", other_server.url(), "404"),
        ("silent", silent.url(), "no answer within"),
        ("breaks off", breaks_off.url(), "prometheus"),
    ];
    each_says(&cases, watched_by);
}

/// Runs beside such an exporter, which is read directly. Gives the reasons of its record.
fn read_from(exporter: &str) -> String {
    let bench = Bench::new();
    bench.file(
        "read.yml",
        &format!(
            "name: read
defaults: {{http: {{base_url: builtin}}}}
scenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases:
  - {{name: one, duration: 1s, load: {{a: {{rate: 20/s, max_users: 100}}}}}}
  - {{name: two, duration: 1s, load: {{a: {{rate: 20/s, max_users: 100}}}}}}
observe:
  exporters: [{{name: app, url: \"{exporter}/metrics\", bearer_token: {TOKEN}, timeout: 500ms}}]
  counters: [{{preset: redis}}]
slos:
  - {{name: errors, require: [errors < 1%]}}
  - {{name: cache, server: redis.hit_ratio, require: [value > 80%]}}
"
        ),
    );
    let mut daemon = bench.serve(&["--log.level=debug", "read.yml"]);
    daemon.logged("msg=\"run ended\"", 1);
    assert_eq!(daemon.metric("load_target_scrape_success", &[("source", "app")]), Some(0.0));
    assert_eq!(daemon.metric("load_verdict", &[("verdict", "inconclusive")]), Some(1.0));
    let page = daemon.page("/metrics");
    assert!(metric(&page, "load_target_delta", &[]).is_none(), "nothing is made up");
    let ended = daemon.stop();
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(record["verdict"], "inconclusive");
    for phase in record["phases"].as_array().unwrap() {
        assert_eq!((count(&phase["steps"][0]["requests"]), &phase["verdict"]), (20, &"inconclusive".into()));
        let cache = named(&phase["slos"], "name", "cache");
        assert!(cache["met"].is_null() && cache["value"].is_null(), "{cache:#}");
    }
    let everything = [&ended.out, &ended.err, &page, &bench.left()].map(String::as_str).concat();
    assert!(!everything.contains(TOKEN), "{everything}");
    record["reasons"].to_string()
}

#[test]
fn whatever_an_exporter_does_the_load_goes_on_and_nothing_is_made_up() {
    let unauthorized = answering(answer("401 Unauthorized", &format!("no such token: Bearer {TOKEN}")));
    let broken = answering(answer("500 Internal Server Error", "out of order"));
    let page = answering("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 12\r\n\r\n<h1>App</h1>".to_owned());
    let garbage = answering("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n\u{1}{}= = x=".to_owned());
    let half = "# TYPE redis_keyspace_hits_total counter\nredis_keyspace_hits_total 12";
    let breaks_off = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n{half}");
    let breaks_off = Hostile::answering(&breaks_off, Then::Close);
    let silent = Hostile::answering("", Then::Stall);
    let cases = [
        ("away", format!("http://127.0.0.1:{}", free_port()), "refused"),
        ("unauthorized", unauthorized.url(), "401"),
        ("broken", broken.url(), "500"),
        ("a page for people", page.url(), "text/html"),
        ("garbage", garbage.url(), "app"),
        ("breaks off", breaks_off.url(), "app"),
        ("silent", silent.url(), "no answer within"),
    ];
    each_says(&cases, read_from);
}
