//! The profiles of `config/`, run as a user runs them, with `/metrics` looked at all along.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::http;
use super::program::{Bench, Running};

/// How long a run may take before the test is given up, on a machine that has much else to do.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
/// How often `/metrics` is looked at: a page costs an unoptimised program a fifth of a second.
const LOOK: Duration = Duration::from_millis(500);

/// A profile of `config/`.
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// The series that `check` says to expect at most of a profile with nothing to complain of.
pub fn promised_series(profile: &Path, variables: &[(&str, &str)]) -> usize {
    let bench = Bench::new();
    let output = bench.command(&["check"]).arg(profile).envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let warned = String::from_utf8(output.stderr).unwrap();
    // A soak that is cut to seconds can't show a drift, and says so.
    let of_drift = warned.split("warning: ").skip(1).all(|warning| warning.contains("a drift takes at least 20min"));
    assert!(output.status.success() && of_drift && (warned.is_empty() || warned.starts_with("warning: ")), "{said}{warned}");
    let line = said.lines().find_map(|line| line.strip_prefix("series on /metrics: at most ")).expect("the series to expect");
    line.split(' ').next().unwrap().parse().unwrap()
}

/// What `promtool check metrics` finds on a page: nothing, if it is right.
pub fn promtool(page: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Shown {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output: the summary, and where the run is stored.
    pub out: String,
    /// Standard error: progress.
    pub err: String,
    /// `run.json`.
    pub record: Value,
    /// `summary.txt`.
    pub summary: String,
    /// `/metrics` as it was first seen.
    pub first: String,
    /// `/metrics` as it was last seen.
    pub last: String,
    /// The Unix time of that.
    pub last_at: f64,
}

/// Runs a profile, with `/metrics` on this port of 127.0.0.1, which is shown to `look` until the run has ended.
pub fn run(profile: &Path, port: u16, variables: &[(&str, &str)], mut look: impl FnMut(&str)) -> Shown {
    let bench = Bench::new();
    let mut command = bench.command(&["run", &format!("--web.listen-address=127.0.0.1:{port}")]);
    command.arg(profile).envs(variables.iter().copied());
    let mut running = Running::start(command, bench.path());
    let deadline = Instant::now() + ENDS_WITHIN;
    let (mut first, mut last, mut last_at) = (None, String::new(), 0.0);
    while running.lives() {
        assert!(Instant::now() < deadline, "it doesn't end: {}", running.err());
        if let Some((200, page)) = http::get(port, "/metrics") {
            look(&page);
            first.get_or_insert_with(|| page.clone());
            last = page;
            last_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        }
        std::thread::sleep(LOOK);
    }
    let ended = running.wait();
    let first = first.unwrap_or_else(|| panic!("/metrics was never there: {}", ended.err));
    let record = bench.record();
    let stored = bench.path().join("runs").join(record["run"].as_str().unwrap());
    let summary = std::fs::read_to_string(stored.join("summary.txt")).unwrap();
    Shown { code: ended.code, out: ended.out, err: ended.err, record, summary, first, last, last_at }
}
