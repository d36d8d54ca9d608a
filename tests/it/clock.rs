//! The wall clock is set back while the daemon runs: schedules go on, durations stay right, and the last run is the last. The program
//! sees a clock that libfaketime sets.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::program::{Bench, Running};
use serde_json::Value;

/// By how much the clock is set back.
const BACK: f64 = 3600.0;

/// The library, where Debian has it.
fn library() -> PathBuf {
    let lib = std::fs::read_dir("/usr/lib").unwrap();
    let mut found = lib.flatten().map(|entry| entry.path().join("faketime/libfaketime.so.1")).filter(|path| path.is_file());
    found.next().expect("libfaketime isn't installed (apt-get install faketime)")
}

fn serve(bench: &Bench, profiles: &[&str]) -> Running {
    let mut command = bench.command(&["serve", "--web.listen-address=127.0.0.1:0"]);
    command.args(profiles);
    command.env("LD_PRELOAD", library()).env("FAKETIME_TIMESTAMP_FILE", bench.path().join("clock"));
    // The file is read whenever the time is asked for, and only the wall clock is another one.
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut running = Running::start(command, bench.path());
    running.listens();
    running
}

fn profile(name: &str, duration: &str, schedule: &str) -> String {
    format!(
        "name: {name}
defaults: {{http: {{base_url: builtin}}}}
setup: {{flow: [{{http: {{get: /, name: prepare}}}}]}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases: [{{name: one, duration: {duration}, load: {{s: {{rate: 20/s, max_users: 10}}}}}}]
slos: [{{name: fine, require: errors < 50%}}]
{schedule}
"
    )
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key}: {value:#}"))
}

fn status(running: &Running, profile: usize) -> Value {
    let all: Value = serde_json::from_str(&running.page("/api/v1/status")).unwrap();
    all["profiles"][profile].clone()
}

#[test]
fn a_clock_that_is_set_back_stops_no_schedule_and_gives_no_negative_duration() {
    let bench = Bench::new();
    bench.file("clock", "+0");
    bench.file("continuous.yml", &profile("continuous", "300ms", "schedule: continuous"));
    bench.file("every.yml", &profile("every", "300ms", "schedule: {every: 2s}"));
    bench.file("cron.yml", &profile("cron", "300ms", "schedule: {cron: \"* * * * *\"}"));
    // Its edges are read, too.
    let exporter = Hostile::answering(&answer("200 OK", "x_total 1\n"), Then::Keep);
    let observed = format!(
        "schedule: once\nobserve: {{exporters: [{{name: own, url: 'http://127.0.0.1:{}/metrics'}}], counters: [{{metric: x_total}}]}}",
        exporter.port
    );
    bench.file("long.yml", &profile("long", "8s", &observed));
    let profiles = ["continuous.yml", "every.yml", "cron.yml", "long.yml"];
    let mut daemon = serve(&bench, &profiles);
    let of = |profile: &str| bench.records().into_iter().filter(|run| run["profile"] == profile).collect::<Vec<_>>();
    daemon.until("a run of each before", |_| (!of("continuous").is_empty() && !of("every").is_empty()).then_some(()));
    daemon.until("a long run under way", |daemon| (status(daemon, 3)["phase"] == "one").then_some(()));
    let began = number(&status(&daemon, 3), "started");
    bench.file("clock", &format!("-{BACK}"));
    let set = Instant::now();

    let earlier = began - BACK / 2.0;
    let since = |profile: &str| of(profile).into_iter().filter(|run| number(run, "started") < earlier).count();
    daemon.until("runs of each after", |_| (since("continuous") >= 2 && since("every") >= 2).then_some(()));
    // It would stand for an hour, if it stood.
    assert!(set.elapsed() < Duration::from_secs(600), "{:?}", set.elapsed());
    // By a schedule of the clock's own, what is due is due by the clock: within the next minute of it.
    let next = daemon.until("the next run by the clock", |daemon| status(daemon, 2)["next"].as_f64().filter(|at| *at < earlier));
    assert!(next > began - BACK - 60.0, "{next}");
    let long = daemon.until("the end of the long run", |_| of("long").pop());
    let row = &long["phases"][0]["counters"][0];
    assert!(row["before"] == 1.0 && row["after"] == 1.0 && row["delta"] == 0.0, "{row:#}");
    for run in bench.records() {
        let phase = &run["phases"][0];
        for part in [&run, &run["stages"][0], phase] {
            let took = number(part, "ended") - number(part, "started");
            assert!((0.0..300.0).contains(&took), "{took}: {run:#}");
        }
        assert!(
            number(&run, "started") <= number(phase, "started") && number(phase, "ended") <= number(&run, "ended"),
            "{run:#}"
        );
        assert!(phase["steps"][0]["response"]["max"].as_f64().is_none_or(|max| (0.0..300.0).contains(&max)), "{run:#}");
    }
    let took = number(&long["phases"][0], "ended") - number(&long["phases"][0], "started");
    assert!((8.0..100.0).contains(&took), "{took}");
    let shown = daemon.until("how long it took", |daemon| Some(status(daemon, 3)).filter(|now| now["state"] == "done"));
    assert!((8.0..100.0).contains(&number(&shown, "elapsed")), "{shown:#}");

    let last = daemon.until("a run that has ended", |daemon| Some(status(daemon, 1)).filter(|now| now["state"] == "waiting"));
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // And the last of them is the last after a restart.
    bench.file("every.yml", &profile("every", "300ms", "schedule: {cron: \"0 2 31 12 *\"}"));
    let mut daemon = serve(&bench, &["every.yml"]);
    let again = daemon.until("the last run", |daemon| Some(status(daemon, 0)).filter(|now| now["run"].is_string()));
    assert!(number(&again, "started") < earlier && number(&again, "started") >= number(&last, "started") - 1.0, "{again:#}");
    daemon.stop();
}
