//! What comes from outside, a log that nobody reads, a profile that is too much, a crash, doesn't stop the daemon, and what was
//! known before it ended comes back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use crate::support::http;
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, metric};

/// A profile of one scenario, with this phase and these further keys.
fn profile(phase: &str, more: &str) -> String {
    format!(
        "name: a
defaults: {{http: {{base_url: builtin, timeout: 2s}}}}
scenarios: {{s: {{flow: [{{http: {{get: /, name: home}}}}]}}}}
phases: [{{name: p, {phase}, load: {{s: {{rate: 50/s, max_users: 20}}}}}}]
slos: [{{name: all, require: errors < 1%}}]
{more}
"
    )
}

/// A process that is gone with this, however a test ends.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended already is no error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_neither_the_daemon_nor_its_runs() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("duration: 200ms", "schedule: continuous"));
    let port = free_port();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = bench.command(&["serve", &format!("--web.listen-address=127.0.0.1:{port}"), "a.yml"]);
    let child = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    let mut killed = Killed(child);
    let child = &mut killed.0;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while bench.records().len() < 3 {
        assert!(child.try_wait().unwrap().is_none() && std::time::Instant::now() < deadline, "{}", bench.records().len());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(http::get(port, "/-/ready").unwrap().0, 200);
    // SAFETY: kill() touches no memory; the process isn't reaped yet, so the number is still its own.
    unsafe { libc::kill(i32::try_from(child.id()).unwrap(), libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_profile_that_is_too_much_is_refused_and_the_load_goes_on() {
    let bench = Bench::new();
    let right = profile("duration: 10m", "");
    bench.file("a.yml", &right);
    let mut daemon = bench.serve(&["a.yml"]);
    let requests = |daemon: &Running| daemon.metric("load_requests_total", &[]);
    let mut known = daemon.until("requests", |daemon| requests(daemon).filter(|n| *n > 5.0));
    let pipe = std::ffi::CString::new(bench.path().join("pipe").to_str().unwrap()).unwrap();
    // SAFETY: the path is a text that ends, and lives as long as the call.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let flow = |check: &str| {
        let step = "{http: {get: /, name: home}}, ".repeat(3000);
        right.replace("flow: [", &format!("flow: [{step}{check}"))
    };
    for (number, (wrong, said)) in [
        (flow("{htp: {get: /}}, "), "`htp` is not a key of a step"),
        (right.replace("name: home", &format!("name: home, check: {{x: '1{}'}}", "+1".repeat(8000))), "at most 250 operators"),
        (format!("{right}include: [pipe]\n"), "this is no file that can be included"),
        (format!("{right}include: [/dev/zero]\n"), "this is no file that can be included"),
        (right.replace("timeout: 2s", "timeout: 2s, tls: {ca_file: pipe}"), "it is no plain file"),
        (format!("{right}observe: {{prometheus: {{url: 'http://127.0.0.1:1', bearer_token_file: pipe}}, counters: [{{metric: x}}]}}\n"), "it is no plain file"),
        (format!("{right}x-deep: \"{}{}\"\n", "${A:-".repeat(5000), "}".repeat(5000)), "stand in one another 32 times at most"),
        (format!("{right}x-long: {}\n", "a".repeat(5 << 20)), "larger than 4 MiB"),
        (right.replace("flow: [", &format!("flow: [{}", "{nothing: 1}, ".repeat(3000))), "… and 2975 more"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = daemon.err().len();
        bench.file("a.yml", &wrong);
        daemon.signal(libc::SIGHUP);
        daemon.logged("the profiles were not reloaded", number + 1);
        let err = daemon.err();
        assert!(err[before..].contains(said), "{said}:\n{}", err[before..].chars().take(4000).collect::<String>());
        known = daemon.until("more requests", |daemon| requests(daemon).filter(|n| *n > known + 2.0));
    }
    assert!(daemon.err().len() < 200_000, "{}", daemon.err().len());
    assert!(bench.records().is_empty(), "the run goes on");
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_run_that_the_end_of_the_daemon_cut_short_begins_again_or_is_left() {
    for (more, schedule, begins) in [
        ("", "", true),
        ("on_restart: skip", "", false),
        ("on_restart: restart", "schedule: {cron: '0 0 1 1 *'}", true),
        ("on_restart: skip", "schedule: {cron: '0 0 1 1 *'}", false),
    ] {
        for crash in [true, false] {
            let bench = Bench::new();
            bench.file("a.yml", &profile("duration: 10m", more));
            let mut first = bench.serve(&["a.yml"]);
            first.until("requests", |daemon| daemon.metric("load_requests_total", &[]).filter(|n| *n > 0.0));
            let verdict = match crash {
                true => {
                    first.signal(libc::SIGKILL);
                    first.wait();
                    None
                }
                false => {
                    assert_eq!(first.stop().code, Some(0));
                    Some(1.0)
                }
            };
            bench.file("a.yml", &profile("duration: 10m", &format!("{more}\n{schedule}")));
            let mut second = bench.serve(&["a.yml"]);
            second.logged("the last run was cut short", 1);
            if begins {
                second.logged("phase started", 1);
            } else {
                assert!(second.err().contains("is left so (on_restart: skip)"));
                second.until("it waits, or is done", |daemon| {
                    let state = daemon.page("/api/v1/status");
                    (state.contains("\"state\":\"waiting\"") || state.contains("\"state\":\"done\"")).then_some(())
                });
                let shown = metric(&second.page("/metrics"), "load_verdict", &[("verdict", "inconclusive")]);
                assert_eq!(shown.filter(|value| *value > 0.0), verdict, "the verdict of before");
                assert!(!second.err().contains("run started"));
            }
            assert_eq!(second.stop().code, Some(0), "{more} {schedule}");
        }
    }
}

#[test]
fn two_profiles_that_can_not_stand_side_by_side_are_reported_by_check() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("duration: 1s", "metrics: {x_seconds: {type: histogram}}"));
    bench.file(
        "b.yml",
        &profile("duration: 1s", "")
            .replace("name: a\n", "name: b\n")
            .replace("slos", "metrics: {x_seconds_count: {type: gauge}}\nslos"),
    );
    for (second, said) in
        [("a.yml", "both have the name `a`"), ("b.yml", "`x_seconds` and `x_seconds_count` would have series of one name")]
    {
        let ended = Running::start(bench.command(&["check", "a.yml", second]), bench.path()).wait();
        assert!(ended.code == Some(2) && ended.err.contains(said), "{:?} {}", ended.code, ended.err);
    }
}

#[test]
fn a_web_page_of_another_origin_changes_nothing() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("duration: 10m", ""));
    let mut daemon = bench.serve(&["--web.enable-lifecycle", "--web.external-url=https://load.example/", "a.yml"]);
    let reload = |daemon: &Running, headers: &str| http::ask(daemon.port, "POST", "/-/reload", headers).unwrap();
    for headers in ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let (status, body) = reload(&daemon, headers);
        assert!(status == 403 && body.contains("--web.external-url"), "{headers}: {status} {body}");
    }
    assert_eq!(daemon.err().matches("msg=reloaded").count(), 0);
    let (status, body) = reload(&daemon, "");
    assert!(status == 200 && body == "reloaded\n", "{status} {body}");
    // Whoever reads is never refused.
    assert_eq!(http::ask(daemon.port, "GET", "/metrics", "Origin: http://evil.example\r\n").unwrap().0, 200);
    assert!(daemon.lives());
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn users_of_the_web_config_file_may_reload_and_nobody_learns_who_they_are() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("duration: 10m", ""));
    bench.file("web.yml", &format!("basic_auth_users: {{ops: \"{}\"}}\n", bcrypt::hash("a password", 4).unwrap()));
    let daemon = bench.serve(&["--web.config.file=web.yml", "a.yml"]);
    let ask = |user: &str, password: &str| {
        use base64::Engine as _;
        let given = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        http::ask(daemon.port, "POST", "/-/reload", &format!("Authorization: Basic {given}\r\n")).unwrap()
    };
    assert_eq!(ask("ops", "a password").0, 200);
    let (wrong, nobody) = (ask("ops", "another"), ask("nobody", "another"));
    assert!(wrong.0 == 401 && wrong == nobody, "{wrong:?} {nobody:?}");
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn many_scrapes_at_once_share_their_pages() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("duration: 10m", ""));
    let mut daemon = bench.serve(&["a.yml"]);
    daemon.until("requests", |daemon| daemon.metric("load_requests_total", &[]).filter(|n| *n > 5.0));
    let memory = |daemon: &Running| daemon.metric("process_resident_memory_bytes", &[]).unwrap();
    let before = memory(&daemon);
    let port = daemon.port;
    let scrapers: Vec<_> = (0..200)
        .map(|_| std::thread::spawn(move || (0..5).map(|_| http::get(port, "/metrics").unwrap()).collect::<Vec<_>>()))
        .collect();
    for scraper in scrapers {
        for (status, page) in scraper.join().unwrap() {
            assert!(status == 200 && metric(&page, "load_requests_total", &[]).is_some_and(|n| n > 5.0));
        }
    }
    let grown = memory(&daemon) - before;
    assert!(grown < 64e6, "{grown} bytes more");
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_connection_beyond_its_peer_s_share_waits_for_a_place() {
    let bench = Bench::new();
    bench.file("a.yml", &profile("duration: 10m", ""));
    let mut daemon = bench.serve(&["a.yml"]);
    let connect = || TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
    // Half a request each: they have 10 s.
    let taken: Vec<_> = (0..256)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(b"GET /-/healthy HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    let mut one_more = connect();
    one_more.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    one_more.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answer = String::new();
    one_more.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    drop(taken);
    daemon.until("load", |daemon| daemon.metric("load_requests_total", &[]).filter(|n| *n > 5.0));
    assert_eq!(daemon.stop().code, Some(0));
}
