//! A Prometheus that is away or talks nonsense: the phases go on, the counters are said to be missing, and the verdict is
//! inconclusive, never a pass on what nobody has seen. Its token shows up nowhere.

mod support;

use std::io::Write;
use std::time::Duration;

use support::hostile::{Hostile, Then, answer};
use support::process::free_port;
use support::program::{Bench, Running, accounts_hold, count, named};

const TOKEN: &str = "tok-5f2c9e-never-shown";

fn profile(prometheus: &str) -> String {
    format!(
        "name: watched
defaults: {{http: {{base_url: builtin}}}}
scenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases:
  - {{name: one, duration: 1s, load: {{a: {{rate: 20/s, max_users: 10}}}}}}
  - {{name: two, duration: 2s, load: {{a: {{rate: 20/s, max_users: 10}}}}}}
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
    let page = running.until("a verdict on the source", |running| {
        let (_, page) = support::http::get(port, "/metrics")?;
        support::program::metric(&page, "load_target_scrape_success", &[("source", "prometheus")])
            .map(|success| (page, success))
            .or_else(|| running.out().contains("never").then(|| panic!("{}", running.out())))
    });
    assert_eq!(page.1, 0.0, "{}", page.0);
    let ended = running.wait();
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(record["verdict"], "inconclusive");
    for (phase, requests) in [("one", 20), ("two", 40)] {
        let phase = named(&record["phases"], "name", phase);
        assert_eq!(count(&phase["steps"][0]["requests"]), requests, "the load went on");
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
    let everything = [&ended.out, &ended.err, &page.0, &bench.left()].map(String::as_str).concat();
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

#[test]
fn away() {
    let reasons = watched_by(&format!("http://127.0.0.1:{}", free_port()));
    assert!(reasons.contains("refused"), "{reasons}");
}

#[test]
fn unauthorized() {
    let prometheus = answering(answer("401 Unauthorized", &format!("no such token: Bearer {TOKEN}")));
    let reasons = watched_by(&prometheus.url());
    assert!(reasons.contains("401"), "{reasons}");
}

#[test]
fn unavailable() {
    let prometheus = answering(answer("503 Service Unavailable", "starting up"));
    let reasons = watched_by(&prometheus.url());
    assert!(reasons.contains("503"), "{reasons}");
}

#[test]
fn garbage() {
    let prometheus = answering(answer("200 OK", &format!("{{\"status\": \"success\", \"data\": \"{TOKEN}\"")));
    watched_by(&prometheus.url());
}

#[test]
fn nonsense_of_the_right_form() {
    let body = r#"{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [["x", 1]]}]}}"#;
    watched_by(&answering(answer("200 OK", body)).url());
}

#[test]
fn some_other_server() {
    let prometheus = answering(answer("404 Not Found", "<!doctype html><title>nginx</title><h1>Not found</h1>"));
    let reasons = watched_by(&prometheus.url());
    assert!(reasons.contains("404"), "{reasons}");
}

#[test]
fn hangs() {
    let prometheus = Hostile::answering("", Then::Stall);
    watched_by(&prometheus.url());
}

#[test]
fn breaks_off() {
    let prometheus = Hostile::answering("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"status\":", Then::Reset);
    watched_by(&prometheus.url());
}
