//! What a restart hides of the target's counters, and what is said of a system that goes away: with a real Redis, its real exporter and a real
//! Prometheus.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use crate::support::program::{Bench, named};
use crate::support::prometheus::Prometheus;
use crate::support::redis;
use load_exporter::counters::{
    Access, Matcher, Observe, Observed, Observer, Source, SourceKind, Systems, Traffic, Wanted, presets,
};
use load_exporter::measure::Clock;

fn exporter(name: &str, port: u16) -> Source {
    let access = Access::new(&format!("http://127.0.0.1:{port}/metrics")).unwrap();
    Source { name: name.into(), kind: SourceKind::Exporter, access }
}

fn prometheus(server: &Prometheus) -> Source {
    Source { name: "prometheus".into(), kind: SourceKind::Prometheus, access: Access::new(&server.url()).unwrap() }
}

fn observer(sources: Vec<Source>, matchers: &[(&str, &str)]) -> std::sync::Arc<Observer> {
    let matchers = matchers.iter().map(|(label, value)| Matcher::new(*label, *value)).collect();
    let counters = vec![Wanted::Preset { preset: presets::find("redis").unwrap(), matchers }];
    Observer::new(Observe { sources, counters, ..Observe::default() }, Clock::default())
}

fn hit_ratio(observed: &Observed) -> &Systems {
    observed.values.systems("redis.hit_ratio").unwrap()
}

/// Sends commands at once, and waits until they are done.
fn flood(port: u16, commands: &[(&str, usize)]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let text: String = commands.iter().map(|(command, times)| format!("{command}\r\n").repeat(*times)).collect();
    stream.write_all(format!("{text}QUIT\r\n").as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn a_burst_that_a_restart_hid_leaves_a_ratio_unknown() {
    let mut server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    let observer = observer(vec![exporter("redis", by.port)], &[]);
    // It is idle, and seen to be.
    for _ in 0..2 {
        observer.settled(SystemTime::now()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let before = observer.settled(SystemTime::now()).await;
    flood(server.port, &[("GET gone", 20_000)]);
    // Its start time is known to whole seconds only.
    while server.info("uptime_in_seconds") < 4.0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.kill();
    let server = redis::Redis::start_on(server.port);
    flood(server.port, &[("SET there 1", 1), ("GET there", 900), ("GET gone", 60)]);
    let after = observer.settled(SystemTime::now()).await;
    let observed = observer.between(&before, &after, 1).await;
    let [ratio] = &*hit_ratio(&observed).known else { panic!("{observed:#?}") };
    assert!(ratio.value > 0.0 && ratio.least < 0.05, "{ratio:?}");
}

#[tokio::test]
async fn a_system_that_dies_is_missed_in_every_later_phase() {
    let (a, mut b) = (redis::Redis::start(), redis::Redis::start());
    let (by_a, by_b) = (redis::Exporter::start(&a), redis::Exporter::start(&b));
    let server = Prometheus::start(&[("first", by_a.port), ("second", by_b.port)]);
    let stored = observer(vec![prometheus(&server)], &[]);
    let read = observer(vec![exporter("redis-a", by_a.port), exporter("redis-b", by_b.port)], &[]);
    assert!(stored.try_once(Duration::from_secs(10)).await.is_empty() && read.try_once(Duration::from_secs(10)).await.is_empty());
    b.kill();
    // Longer than what is read of the time before a phase.
    tokio::time::sleep(Duration::from_secs(8)).await;
    for (observer, label) in [(&stored, ("job", "second")), (&read, ("source", "redis-b"))] {
        let before = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
        flood(a.port, &[("SET there 1", 1), ("GET there", 100)]);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = observer.edge(SystemTime::now(), Traffic::Flowing).reading().await;
        let observed = observer.between(&before, &after, 1).await;
        let systems = hit_ratio(&observed);
        let named = |labels: &[(String, String)]| labels.iter().any(|(name, value)| (name.as_str(), value.as_str()) == label);
        assert_eq!(systems.known.len(), 1, "{systems:#?}");
        assert!(systems.unknown.iter().any(|unknown| named(&unknown.labels)), "{systems:#?}");
    }
}

#[tokio::test]
async fn a_label_that_no_metric_has_is_reported_with_those_that_there_are() {
    let server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    let scraped = Prometheus::start(&[("first", by.port)]);
    let right = observer(vec![prometheus(&scraped)], &[("instance", &format!("127.0.0.1:{}", by.port))]);
    assert!(right.try_once(Duration::from_secs(10)).await.is_empty() && right.mistakes().is_empty(), "{:?}", right.mistakes());
    let wrong = observer(vec![prometheus(&scraped), exporter("redis", by.port)], &[("instanc", "127.0.0.1:9121")]);
    assert!(wrong.try_once(Duration::from_secs(10)).await.is_empty());
    let said = wrong.mistakes().join("; ");
    assert!(said.contains("the label `instanc`") && said.contains("instance") && said.contains("job"), "{said}");
    let (before, after) = (wrong.settled(SystemTime::now()).await, wrong.settled(SystemTime::now()).await);
    let observed = wrong.between(&before, &after, 1).await;
    assert!(observed.values.series("redis.commands").unwrap_err().contains("`instanc`"), "{observed:#?}");
}

#[test]
fn over_the_run_a_phase_that_is_not_judged_is_no_part_of_the_target_s_values() {
    let server = redis::Redis::start();
    let by = redis::Exporter::start(&server);
    let bench = Bench::new();
    let profile = format!(
        "name: whole
defaults: {{tcp: {{address: '127.0.0.1:{}'}}}}
scenarios:
  s: {{flow: [{{tcp: {{name: ping, session: [{{send: PING}}, {{receive: {{name: pong}}}}]}}}}]}}
phases:
  - {{name: first, duration: 3s, load: {{s: {{rate: 5/s}}}}}}
  - {{name: busy, duration: 4s, load: {{s: {{rate: 300/s, max_users: 100}}}}, judge: false}}
  - {{name: third, duration: 3s, load: {{s: {{rate: 5/s}}}}}}
  - {{name: fourth, duration: 3s, load: {{s: {{rate: 5/s}}}}}}
observe:
  exporters: [{{name: redis, url: 'http://127.0.0.1:{}/metrics'}}]
  counters: [{{preset: redis}}]
slos:
  - {{name: quiet, over: run, server: redis.commands, require: value < 800}}
  - {{name: clients, over: run, server: redis.connected_clients, require: min >= 1}}
",
        server.port, by.port
    );
    bench.file("whole.yml", &profile);
    let ended = bench.run_files(&["whole.yml"], &[]);
    let run = bench.record();
    for name in ["quiet", "clients"] {
        let row = named(&run["slos"], "name", name);
        assert_eq!(row["verdict"], "pass", "{row:#}\n{}", ended.err);
    }
    assert!(redis::info(server.port, "total_commands_processed") > 1_200.0, "the busy phase was busy");
}
