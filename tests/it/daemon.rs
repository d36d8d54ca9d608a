//! The daemon from outside: what it shows at once, reloading, schedules, its ends, and what it keeps on disk.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::http;
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, accounts_hold, count, metric};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/quickstart.yml");

/// A small profile; its phase, and what comes below.
fn profile(name: &str, phase: &str, more: &str) -> String {
    format!(
        "name: {name}
defaults: {{http: {{base_url: builtin, timeout: 2s}}}}
scenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases: [{{name: one, {phase}}}]
{more}
"
    )
}

const SHORT: &str = "duration: 300ms, load: {a: {rate: 50/s, max_users: 20}}";
const LONG: &str = "duration: 10m, drain: 1s, load: {a: {rate: 50/s, max_users: 20}}";

/// Every counter of a page: what stands before the value, and the value.
fn counters(page: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name, kind);
        }
    }
    let lines = page.lines().filter(|line| !line.starts_with('#') && line.starts_with("load_"));
    let samples =
        lines.filter_map(|line| line.rsplit_once(' ').map(|(series, value)| (series.to_owned(), value.parse().unwrap())));
    samples
        .filter(|(series, _)| {
            let name = series.split('{').next().unwrap();
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            kinds.get(name) == Some(&"counter") || kinds.get(base) == Some(&"histogram")
        })
        .collect()
}

/// Fails if a counter went back or is gone.
fn only_forward(before: &str, after: &str) {
    let after = counters(after);
    for (series, value) in counters(before) {
        let now = after.get(&series).unwrap_or_else(|| panic!("{series} is gone"));
        assert!(*now >= value, "{series}: {now} after {value}");
    }
}

#[test]
fn quickstart_shows_histograms_at_once_and_is_healthy() {
    let bench = Bench::new();
    let mut daemon = bench.serve(&["--web.enable-lifecycle", QUICKSTART]);
    let first = daemon.page("/metrics");
    for step in ["home", "search", "order"] {
        for phase in ["steady", "surge"] {
            let labels = [("profile", "quickstart"), ("phase", phase), ("step", step), ("protocol", "http"), ("outcome", "ok")];
            assert!(metric(&first, "load_response_duration_seconds_count", &labels).is_some(), "{step} in {phase}: {first}");
            assert_eq!(
                metric(&first, "load_response_duration_seconds_bucket", &[("phase", "surge"), ("le", "+Inf")]),
                Some(0.0),
                "a phase to come is at 0"
            );
        }
    }
    assert_eq!(metric(&first, "load_exporter_profile_last_reload_successful", &[("profile", "quickstart")]), Some(1.0));
    assert!(daemon.page("/-/healthy").contains("healthy"));
    daemon.is_ready();
    let status = daemon.until("the phase on the status page", |daemon| {
        let page = daemon.page("/");
        page.contains("steady").then_some(page)
    });
    assert!(status.contains("<html") && status.contains("quickstart") && status.contains("running"), "{status}");
    daemon.until("requests", |daemon| daemon.metric("load_requests_total", &[("step", "order")]).filter(|n| *n > 0.0));
    only_forward(&first, &daemon.page("/metrics"));
    assert_eq!(http::post(daemon.port, "/-/quit").map(|(status, _)| status), Some(200));
    assert_eq!(daemon.wait().code, Some(0));
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(record["verdict"], "inconclusive", "cut short");
    assert!(record["stopped"].as_str().unwrap().contains("stopped"));
}

#[test]
fn lifecycle_is_forbidden_unless_it_is_enabled() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("a", LONG, ""));
    let mut daemon = bench.serve(&["a.yml"]);
    for path in ["/-/quit", "/-/reload"] {
        let (status, body) = http::post(daemon.port, path).unwrap();
        assert!(status == 403 && body.contains("--web.enable-lifecycle"), "{status} {body}");
    }
    assert!(daemon.lives());
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn new_labels_do_not_forget_what_the_last_run_came_to() {
    let bench = Bench::new();
    let slos = "slos: [{name: api, require: errors < 100%}]";
    bench.file("a.yml", &profile("a", SHORT, slos));
    let mut daemon = bench.serve(&["--web.enable-lifecycle", "a.yml"]);
    let ended = |daemon: &Running| daemon.metric("load_run_last_verdict", &[("verdict", "pass")]).filter(|is| *is == 1.0);
    daemon.until("the verdict", ended);
    let completed = |daemon: &Running| daemon.metric("load_run_completed_timestamp_seconds", &[]);
    let before = daemon.until("its end", completed);
    daemon.until("its record", |_| (!bench.records().is_empty()).then_some(()));
    // A step of another name has other labels. Another run begins, which goes on for long.
    bench.file("a.yml", &profile("a", LONG, slos).replace("name: home", "name: house"));
    let (status, body) = http::post(daemon.port, "/-/reload").unwrap();
    assert!(status == 200 && body.contains("begin at 0"), "{status} {body}");
    daemon.until("the verdict again", ended);
    assert_eq!(completed(&daemon), Some(before));
    daemon.logged("run started", 2);
    assert_eq!(ended(&daemon), Some(1.0), "while the next one goes on");
    assert_eq!(daemon.metric("load_slo_met", &[("slo", "api")]), Some(1.0));
}

#[test]
fn a_changed_profile_is_reloaded_and_a_broken_one_is_not() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("a", LONG, "include: [more.yml]"));
    bench.file("more.yml", "vars: {x: \"${X:-1}\"}\n");
    let mut daemon = bench.serve(&["--web.enable-lifecycle", "--set=X=1", "a.yml"]);
    let requests = |daemon: &Running| daemon.metric("load_requests_total", &[]).filter(|n| *n > 20.0);
    daemon.until("requests", requests);
    let successful = |daemon: &Running| daemon.metric("load_exporter_profile_last_reload_successful", &[("profile", "a")]);
    let when = |daemon: &Running| daemon.metric("load_exporter_profile_last_reload_success_timestamp_seconds", &[]).unwrap();
    let began = when(&daemon);

    // Nothing has changed: the run goes on.
    daemon.signal(libc::SIGHUP);
    daemon.logged("msg=reloaded", 1);
    assert_eq!((successful(&daemon), daemon.err().matches("run started").count()), (Some(1.0), 1));

    // Broken: it goes on with the old one, and says so.
    let before = daemon.page("/metrics");
    bench.file("a.yml", "name: a\nscenarios: {}\nphasse: []\n");
    daemon.signal(libc::SIGHUP);
    daemon.until("the failure", |daemon| (successful(daemon) == Some(0.0)).then_some(()));
    assert!(daemon.err().contains("phasse"), "{}", daemon.err());
    let (status, body) = http::post(daemon.port, "/-/reload").unwrap();
    assert!(status == 500 && body.contains("phasse") && body.contains("a.yml"), "{status} {body}");
    let loaded = metric(&before, "load_requests_total", &[]).unwrap();
    daemon.until("more requests", |daemon| daemon.metric("load_requests_total", &[]).filter(|n| *n > loaded + 10.0));
    assert!(bench.records().is_empty(), "the run goes on");
    assert_eq!(
        when(&daemon).to_bits(),
        metric(&before, "load_exporter_profile_last_reload_success_timestamp_seconds", &[]).unwrap().to_bits()
    );

    // Changed in what it does, not in its labels: another run on the same counters.
    let before = daemon.page("/metrics");
    bench.file("a.yml", &profile("a", &LONG.replace("50/s", "60/s"), "include: [more.yml]"));
    assert_eq!(http::post(daemon.port, "/-/reload").unwrap().0, 200);
    daemon.logged("run started", 2);
    assert_eq!(successful(&daemon), Some(1.0));
    assert!(when(&daemon) > began);
    only_forward(&before, &daemon.page("/metrics"));
    let wanted = daemon.until("the new rate", |daemon| daemon.metric("load_rate_wanted", &[]).filter(|rate| *rate > 0.0));
    assert_eq!(wanted, 60.0);

    // A file that is included counts as well. Nobody reads what `--set` gives any more: that is no reason not to reload.
    assert!(!daemon.err().contains("no profile reads"), "{}", daemon.err());
    bench.file("more.yml", "vars: {x: 2}\n");
    assert_eq!(http::post(daemon.port, "/-/reload").unwrap().0, 200);
    daemon.logged("run started", 3);
    daemon.logged("--set X: no profile reads `${X}`", 1);

    // Another name: the old one is gone.
    bench.file("a.yml", &profile("b", LONG, ""));
    assert_eq!(http::post(daemon.port, "/-/reload").unwrap().0, 200);
    daemon.logged("run started", 4);
    let page = daemon.page("/metrics");
    assert!(page.contains("profile=\"b\"") && !page.contains("profile=\"a\""));
    let status = daemon.page("/");
    assert!(status.contains("<td>b</td>") && !status.contains("<td>a</td>"), "{status}");
    assert_eq!(daemon.stop().code, Some(0));
    assert_eq!(bench.records().len(), 4);
}

/// A profile whose requests are never answered, and wait for long.
fn stuck(url: &str) -> String {
    format!(
        "name: stuck
defaults: {{http: {{base_url: \"{url}\", timeout: 10m}}}}
scenarios: {{a: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases: [{{name: one, duration: 10m, drain: 10m, load: {{a: {{users: 2}}}}}}]
"
    )
}

#[test]
fn sigterm_waits_for_what_is_under_way() {
    let bench = Bench::new();
    let slow = Hostile::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(700));
        let _ = std::io::Write::write_all(stream, answer("200 OK", "late").as_bytes());
        Then::Keep
    });
    bench.file("slow.yml", &stuck(&slow.url()));
    let mut daemon = bench.serve(&["slow.yml"]);
    daemon.until("requests", |_| (slow.requests() >= 2).then_some(()));
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record = bench.record();
    let step = &record["phases"][0]["steps"][0];
    assert_eq!(step["outcomes"], serde_json::json!({"ok": count(&step["requests"])}), "none was cut off");
    assert!(record["stopped"].is_string());
}

#[test]
fn a_second_sigterm_ends_at_once_while_a_replaced_run_drains_too() {
    let bench = Bench::new();
    let silent = Hostile::answering("", Then::Stall);
    let text = stuck(&silent.url());
    bench.file("stuck.yml", &text);
    let mut daemon = bench.serve(&["--web.enable-lifecycle", "stuck.yml"]);
    daemon.until("requests", |_| (silent.requests() >= 2).then_some(()));
    // The run of the version before drains, for ten minutes if it is let.
    bench.file("stuck.yml", &text.replace("users: 2", "users: 3"));
    daemon.signal(libc::SIGHUP);
    daemon.logged("msg=reloaded", 1);
    daemon.signal(libc::SIGTERM);
    daemon.logged("stopping; once more stops at once", 1);
    daemon.until("not being ready", |daemon| (http::get(daemon.port, "/-/ready")?.0 == 503).then_some(()));
    assert!(daemon.page("/metrics").contains("load_requests_total"), "/metrics answers to the end");
    // Nobody reloads any more, and whoever asks hears so.
    assert_eq!(http::post(daemon.port, "/-/reload").unwrap().0, 503);
    assert_eq!(http::post(daemon.port, "/-/quit").unwrap().0, 200);
    let asked = Instant::now();
    daemon.signal(libc::SIGTERM);
    let ended = daemon.wait();
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let record = bench.record();
    accounts_hold(&record);
    assert_eq!(record["phases"][0]["steps"][0]["outcomes"], serde_json::json!({"interrupted": 2}));
}

#[test]
fn schedules_run_once_over_and_over_and_never_back() {
    let bench = Bench::new();
    bench.file("once.yml", &profile("once", SHORT, ""));
    bench.file("continuous.yml", &profile("continuous", SHORT, "schedule: continuous"));
    bench.file("every.yml", &profile("every", SHORT, "schedule: {every: 2s}"));
    bench.file("cron.yml", &profile("cron", SHORT, "schedule: {cron: \"0 2 31 12 *\", timezone: Europe/Zurich}"));
    let mut daemon = bench.serve(&["once.yml", "continuous.yml", "every.yml", "cron.yml"]);
    let of = |profile: &str| bench.records().into_iter().filter(|run| run["profile"] == profile).collect::<Vec<_>>();
    let mut page = daemon.page("/metrics");
    let deadline = Instant::now() + Duration::from_secs(60);
    while of("continuous").len() < 3 || of("every").len() < 3 {
        assert!(Instant::now() < deadline && daemon.lives(), "{}", daemon.err());
        std::thread::sleep(Duration::from_millis(100));
        let next = daemon.page("/metrics");
        only_forward(&page, &next);
        page = next;
    }
    let status = daemon.page("/");
    assert_eq!(of("once").len(), 1, "once is once");
    assert!(status.contains("<td>cron</td><td>waiting</td>") && status.contains("-12-31"), "{status}");
    assert!(of("cron").is_empty());
    // When a run ended last, and how long that may take; nothing is planned once `once` is over.
    let seconds = |metric: &str, profile: &str| daemon.metric(metric, &[("profile", profile)]);
    let (last, shown) = (of("once")[0]["ended"].as_f64().unwrap(), seconds("load_run_completed_timestamp_seconds", "once"));
    assert!(shown.is_some_and(|shown| (shown - last).abs() < 0.001), "{shown:?}, {last}");
    assert_eq!(
        (seconds("load_run_period_seconds", "once"), seconds("load_run_completed_timestamp_seconds", "cron")),
        (None, None)
    );
    let planned = seconds("load_run_period_seconds", "continuous").unwrap();
    assert_eq!(seconds("load_run_period_seconds", "every"), Some(planned + 2.0));
    assert!(seconds("load_run_period_seconds", "cron").unwrap() >= 365.0 * 86_400.0);
    let every = of("every");
    let starts: Vec<f64> = every.iter().map(|run| run["started"].as_f64().unwrap()).collect();
    for pair in starts.windows(2) {
        // On a grid of two seconds; a late start is allowed, an early one isn't.
        assert!(pair[1] - pair[0] > 1.5, "{starts:?}");
    }
    // Runs are distinguished by their records, and add up on /metrics.
    let recorded: u64 = of("once").iter().map(|run| count(&run["phases"][0]["steps"][0]["requests"])).sum();
    assert_eq!(daemon.metric("load_requests_total", &[("profile", "once")]), Some(recorded as f64));
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    bench.records().iter().for_each(accounts_hold);
}

#[test]
fn profiles_that_cannot_stand_side_by_side_are_refused() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("same", SHORT, ""));
    bench.file("b.yml", &profile("same", SHORT, ""));
    let counter = "metrics: {votes_total: {type: counter, help: Votes}}";
    let gauge = "metrics: {votes_total: {type: gauge, help: Votes}}";
    bench.file("c.yml", &profile("c", LONG, counter));
    bench.file("d.yml", &profile("d", LONG, gauge));
    for command in ["serve", "run"] {
        for (files, said) in [(["a.yml", "b.yml"], "`same`"), (["c.yml", "d.yml"], "`votes_total`")] {
            let mut running = bench.command(&[command, "--web.listen-address=127.0.0.1:0"]);
            running.args(files);
            let ended = Running::start(running, bench.path()).wait();
            assert_eq!(ended.code, Some(2), "{}", ended.err);
            assert!(ended.err.contains(said), "{}", ended.err);
        }
    }
    assert!(bench.records().is_empty());
    // By a reload they don't come together either.
    bench.file("d.yml", &profile("d", LONG, counter));
    let mut daemon = bench.serve(&["--web.enable-lifecycle", "c.yml", "d.yml"]);
    bench.file("d.yml", &profile("d", LONG, gauge));
    let (status, body) = http::post(daemon.port, "/-/reload").unwrap();
    assert!(status == 500 && body.contains("votes_total"), "{status} {body}");
    for profile in ["c", "d"] {
        assert_eq!(daemon.metric("load_exporter_profile_last_reload_successful", &[("profile", profile)]), Some(0.0));
        daemon.until("both run", |daemon| daemon.metric("load_requests_total", &[("profile", profile)]).filter(|n| *n > 0.0));
    }
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_crash_leaves_whole_files_and_retention_holds() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("a", "duration: 50ms, load: {a: {users: 2}}", "schedule: continuous\nrepeat: 3"));
    for crash in 0..3 {
        let mut daemon = bench.serve(&["--storage.retention.runs=4", "a.yml"]);
        daemon.logged("run ended", 2);
        // In the middle of whatever it does.
        std::thread::sleep(Duration::from_millis(37 * crash));
        daemon.signal(libc::SIGKILL);
        assert_eq!(daemon.wait().code, None);
        bench.records(); // each can be read
    }
    let mut daemon = bench.serve(&["--storage.retention.runs=4", "a.yml"]);
    daemon.logged("run ended", 6);
    assert_eq!(daemon.stop().code, Some(0));
    let mut runs = 0;
    for run in fs::read_dir(bench.path().join("runs")).unwrap() {
        runs += 1;
        for file in fs::read_dir(run.unwrap().path()).unwrap() {
            let (path, name) = file.map(|file| (file.path(), file.file_name().into_string().unwrap())).unwrap();
            assert!(["run.json", "histograms.json", "summary.txt"].contains(&name.as_str()), "{}", path.display());
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                !text.is_empty() && (name == "summary.txt" || serde_json::from_str::<serde_json::Value>(&text).is_ok()),
                "{name}"
            );
        }
    }
    assert_eq!(runs, 4, "the crashed ones have gone with time");
}

#[test]
fn a_run_that_ends_at_once_is_not_begun_without_end() {
    let bench = Bench::new();
    let away = format!("http://127.0.0.1:{}", free_port());
    let text = profile("away", "duration: 1m, load: {a: {users: 1}}", "schedule: continuous");
    bench.file("away.yml", &text.replace("builtin", &away).replace("name: home}}", "name: home}, on_error: abort_run}"));
    let mut daemon = bench.serve(&["away.yml"]);
    let began = Instant::now();
    daemon.logged("run ended", 3);
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn two_daemons_may_share_a_storage_path() {
    let bench = Bench::new();
    let slos = "slos: [{name: all, require: errors < 1%}]";
    bench.file("a.yml", &profile("a", SHORT, &format!("schedule: continuous\n{slos}")));
    bench.file("b.yml", &profile("b", SHORT, &format!("schedule: continuous\n{slos}")));
    bench.file("long.yml", &profile("long", LONG, slos));
    // What one of them runs is never taken for old by the other.
    let mut daemons = ["a.yml", "b.yml"].map(|file| bench.serve(&["--storage.retention.runs=1", "long.yml", file]));
    for daemon in &mut daemons {
        daemon.logged("run ended", 3);
    }
    for daemon in daemons {
        let ended = daemon.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        // On a busy machine the generator may well have been late.
        let wrong =
            |line: &&str| line.contains("level=error") || line.contains("level=warn") && !line.contains("was the bottleneck");
        assert_eq!(ended.err.lines().find(wrong), None, "{}", ended.err);
    }
    bench.records().iter().for_each(accounts_hold);
}

#[test]
fn a_port_that_is_taken_is_said_so() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("a", SHORT, ""));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["serve", "run"] {
        let arguments = [command, &format!("--web.listen-address={address}"), "a.yml"];
        let ended = Running::start(bench.command(&arguments), bench.path()).wait();
        assert_eq!(ended.code, Some(4), "{}", ended.err);
        assert!(ended.err.contains(&address) && ended.err.contains("--web.listen-address"), "{}", ended.err);
    }
    assert!(bench.records().is_empty());
}

#[test]
fn the_web_config_file_guards_every_page() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("a", LONG, ""));
    // `bcrypt("test-password")` at its lowest cost.
    let hash = bcrypt::hash("test-password", 4).unwrap();
    bench.file("web.yml", &format!("basic_auth_users: {{prometheus: \"{hash}\"}}\n"));
    let daemon = bench.serve(&["--web.config.file=web.yml", "--web.enable-lifecycle", "a.yml"]);
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        assert_eq!(http::get(daemon.port, path).unwrap().0, 401, "{path}");
    }
    assert_eq!(http::post(daemon.port, "/-/quit").unwrap().0, 401);
    let basic = |password: &str| {
        use base64::Engine as _;
        format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(format!("prometheus:{password}")))
    };
    assert_eq!(http::ask(daemon.port, "GET", "/metrics", &basic("wrong")).unwrap().0, 401);
    let (status, page) = http::ask(daemon.port, "GET", "/metrics", &basic("test-password")).unwrap();
    assert!(status == 200 && page.contains("load_requests_total"));
    assert_eq!(daemon.stop().code, Some(0));

    // With TLS plain HTTP gets no page.
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    bench.file("cert.pem", &key.cert.pem());
    bench.file("key.pem", &key.signing_key.serialize_pem());
    bench.file("web.yml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n");
    let daemon = bench.serve(&["--web.config.file=web.yml", "a.yml"]);
    assert!(http::get(daemon.port, "/metrics").is_none_or(|(status, _)| status == 400));
    let page = http::get_tls(daemon.port, "/metrics", &key.cert).unwrap();
    assert!(page.contains("200 OK") && page.contains("load_requests_total"), "{page}");
    assert_eq!(daemon.stop().code, Some(0));

    // A file that is wrong is reported at the start.
    bench.file("web.yml", "tls_server_config: {cert_file: none.pem, key_file: key.pem}\n");
    let arguments = ["serve", "--web.listen-address=127.0.0.1:0", "--web.config.file=web.yml", "a.yml"];
    let ended = Running::start(bench.command(&arguments), bench.path()).wait();
    assert!(ended.code == Some(2) && ended.err.contains("none.pem"), "{:?} {}", ended.code, ended.err);
}

#[test]
fn when_a_run_came_to_its_end_is_known_after_restarts_that_cut_others_short() {
    let bench = Bench::new();
    let completed = |daemon: &Running| daemon.metric("load_run_completed_timestamp_seconds", &[]);
    bench.file("a.yml", &profile("a", SHORT, ""));
    let mut daemon = bench.serve(&["a.yml"]);
    let shown = daemon.until("an end", completed);
    assert_eq!(daemon.stop().code, Some(0));
    assert!((shown - bench.record()["ended"].as_f64().unwrap()).abs() < 0.001, "{shown}");
    bench.file("a.yml", &profile("a", LONG, ""));
    for _ in 0..2 {
        let mut daemon = bench.serve(&["a.yml"]);
        daemon.until("a phase", |daemon| (daemon.metric("load_phase_active", &[]) == Some(1.0)).then_some(()));
        assert_eq!(completed(&daemon), Some(shown));
        assert_eq!(daemon.stop().code, Some(0));
    }
}

#[test]
fn a_run_that_cannot_be_stored_is_not_begun() {
    let (bench, target) = (Bench::new(), Hostile::answering(&answer("200 OK", "{}"), Then::Keep));
    let text = profile("a", SHORT, "setup: {flow: [{http: {get: /prepare, name: prepare}}]}").replace("builtin", &target.url());
    bench.file("a.yml", &text);
    bench.file("runs", "a file where the directory should be\n");
    let ended = bench.run_files(&["a.yml"], &[]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("nothing was sent") && ended.err.contains("runs is not a directory"), "{}", ended.err);
    assert!(ended.err.contains("point --storage.path to one"), "{}", ended.err);
    assert_eq!((ended.out.as_str(), target.requests(), target.connections()), ("", 0, 0));
    // Said to be stored nowhere, it runs.
    let ended = bench.run_files(&["a.yml"], &["--storage.path="]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.lines().any(|line| line.starts_with("not stored")), "{}", ended.out);
    assert!(ended.err.contains("This run is not stored") && target.requests() > 5, "{}", ended.err);
    assert!(bench.path().join("runs").is_file());
}

#[test]
fn the_daemon_tries_the_storage_path_anew_for_each_run() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("a", SHORT, "schedule: {every: 1s}"));
    bench.file("runs", "a file where the directory should be\n");
    let mut daemon = bench.serve(&["a.yml"]);
    daemon.logged("level=error msg=\"The run was not begun, since it can't be stored: ./runs is not a directory", 2);
    assert_eq!(daemon.metric("load_requests_total", &[]), Some(0.0));
    assert!(daemon.page("/api/v1/status").contains("it can't be stored"), "{}", daemon.page("/api/v1/status"));
    fs::remove_file(bench.path().join("runs")).unwrap();
    daemon.logged("msg=\"run ended\"", 1);
    assert_eq!(daemon.stop().code, Some(0));
    assert!(!bench.records().is_empty());
}
