//! The program under test as a process, in a directory of its own with its profiles and its runs. Every wait has an end, and
//! no process outlives its test.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http;

/// How long anything may take before it counts as hanging, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// A directory with profiles, in which the program runs.
pub struct Bench {
    dir: tempfile::TempDir,
}

/// What the program left when it ended.
pub struct Ended {
    /// The exit code; none if a signal killed it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, whole or not at all.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.path().join(name), self.path().join(format!("{name}.new")));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// The program with these arguments, and with an environment that holds nothing of the tests'.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_load-exporter"));
        command.env_clear().current_dir(self.path()).args(args);
        command
    }

    /// Runs a profile to its end, given as text, beside nothing else: without progress, on any free port.
    pub fn run(&self, profile: &str) -> Ended {
        self.file("profile.yml", profile);
        self.run_files(&["profile.yml"], &[])
    }

    /// Runs profiles that are there, with further arguments.
    pub fn run_files(&self, profiles: &[&str], args: &[&str]) -> Ended {
        let mut all = vec!["run", "--web.listen-address=127.0.0.1:0"];
        all.extend(profiles);
        all.extend(args);
        Running::start(self.command(&all), self.path()).wait()
    }

    /// Starts `serve` with these arguments, and waits until it listens.
    pub fn serve(&self, args: &[&str]) -> Running {
        let mut all = vec!["serve", "--web.listen-address=127.0.0.1:0"];
        all.extend(args);
        let mut running = Running::start(self.command(&all), self.path());
        running.listens();
        running
    }

    /// The records of the runs that have ended, oldest first.
    pub fn records(&self) -> Vec<Value> {
        let mut runs: Vec<_> =
            fs::read_dir(self.path().join("runs")).into_iter().flatten().map(|run| run.unwrap().path()).collect();
        runs.sort();
        let texts = runs.iter().filter_map(|run| fs::read_to_string(run.join("run.json")).ok());
        texts.map(|text| serde_json::from_str(&text).unwrap_or_else(|error| panic!("half a record ({error}): {text}"))).collect()
    }

    /// The one record that there is.
    pub fn record(&self) -> Value {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }

    /// Everything that the program has left under the directory, but for the profiles: names and contents.
    pub fn left(&self) -> String {
        let mut text = String::new();
        let mut rest = vec![self.path().join("runs")];
        while let Some(path) = rest.pop() {
            writeln!(text, "{}", path.display()).unwrap();
            if path.is_dir() {
                rest.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                text += &String::from_utf8_lossy(&fs::read(&path).unwrap());
            }
        }
        text
    }
}

/// The program while it runs; killed when it is dropped.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    began: Instant,
    pub port: u16,
}

impl Running {
    /// Starts it; what it writes goes to files in `dir`, so that no pipe can hold it up.
    pub fn start(mut command: Command, dir: &Path) -> Self {
        let began = Instant::now();
        let files: Vec<PathBuf> = (0..).map(|n| dir.join(format!("out.{n}"))).filter(|path| !path.exists()).take(2).collect();
        let open = |path: &PathBuf| fs::File::create(path).unwrap();
        command.stdin(Stdio::null()).stdout(open(&files[0])).stderr(open(&files[1]));
        // However the tests were started: what `nohup` ignores is passed on.
        // SAFETY: signal() may be called between fork() and exec(), and what it sets is a constant.
        unsafe {
            command.pre_exec(|| {
                (libc::signal(libc::SIGHUP, libc::SIG_DFL) != libc::SIG_ERR).then_some(()).ok_or_else(io::Error::last_os_error)
            })
        };
        let child = command.spawn().unwrap();
        Self { child, out: files[0].clone(), err: files[1].clone(), began, port: 0 }
    }

    /// What it wrote so far.
    pub fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    /// What it logged so far.
    pub fn err(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Waits until `ready` gives something; fails if the program ends or takes too long.
    pub fn until<T>(&mut self, what: &str, mut ready: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ready(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                panic!("{what} has not come (ended: {ended:?}):\n{}\n{}", self.out(), self.err());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has logged where it listens.
    pub fn listens(&mut self) {
        self.port = self.until("an address", |running| {
            let log = running.err();
            let line = log.lines().find(|line| line.contains("msg=listening") || line.contains("msg=echoing"))?;
            let (_, address) = line.split_once("address=")?;
            let port = address.split(' ').next()?.rsplit_once(':')?.1;
            port.parse().ok()
        });
    }

    /// Waits until it has logged so many lines that hold `text`.
    pub fn logged(&mut self, text: &str, times: usize) {
        self.until(text, |running| (running.err().matches(text).count() >= times).then_some(()));
    }

    /// The body of a page, which must be there.
    pub fn page(&self, path: &str) -> String {
        let (status, body) = http::get(self.port, path).unwrap_or_else(|| panic!("no answer to {path}:\n{}", self.err()));
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Waits until it says that it is ready.
    pub fn is_ready(&mut self) {
        self.until("being ready", |running| (http::get(running.port, "/-/ready")?.0 == 200).then_some(()));
    }

    /// The sum of the series of a metric that have these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        metric(&self.page("/metrics"), name, labels)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: kill() touches no memory; the process isn't reaped yet, so the number is still its own.
        unsafe { libc::kill(pid, signal) };
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let ended = Ended { code: status.code(), out: self.out(), err: self.err(), took: self.began.elapsed() };
                assert!(!ended.err.contains("panicked"), "{}", ended.err);
                return ended;
            }
            assert!(Instant::now() < deadline, "it hangs:\n{}\n{}", self.out(), self.err());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(self) -> Ended {
        self.signal(libc::SIGTERM);
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum of the series of a metric that have these labels; none if there is no such series.
pub fn metric(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut sum = None;
    for line in page.lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        let (found, value) = match rest.strip_prefix('{').and_then(|rest| rest.rsplit_once("} ")) {
            Some(parts) => parts,
            None => match rest.strip_prefix(' ') {
                Some(value) => ("", value),
                None => continue,
            },
        };
        let found = format!(",{found}");
        if labels.iter().all(|(label, value)| found.contains(&format!(",{label}=\"{value}\""))) {
            *sum.get_or_insert(0.0) += value.trim().parse::<f64>().unwrap();
        }
    }
    sum
}

/// The member of a list in which `key` is `name`.
pub fn named<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let found = list.as_array().and_then(|list| list.iter().find(|item| item[key] == name));
    found.unwrap_or_else(|| panic!("no {name} in {list:#}"))
}

/// A whole number of a record.
pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// Runs a profile to its end: its record, and what it printed. Whatever it measured, its books are right.
pub fn run(profile: &str) -> (Value, String) {
    let bench = Bench::new();
    let ended = bench.run(profile);
    let record = bench.record();
    accounts_hold(&record);
    (record, format!("{}{}", ended.out, ended.err))
}

/// Whether all arrivals of all phases are accounted for.
pub fn accounts_hold(record: &Value) {
    for phase in record["phases"].as_array().unwrap() {
        for scenario in phase["scenarios"].as_array().unwrap() {
            let [due, started, dropped, cancelled] = ["due", "started", "dropped", "cancelled"].map(|key| count(&scenario[key]));
            assert_eq!(due, started + dropped + cancelled, "{}: {scenario:#}", phase["name"]);
        }
        for step in phase["steps"].as_array().unwrap() {
            let of = |key: &str| step[key].as_object().unwrap().values().map(count).sum::<u64>();
            assert_eq!(count(&step["requests"]), of("outcomes"), "{step:#}");
            let errors = step["outcomes"].as_object().unwrap();
            let errors: u64 = ["error", "timeout"].iter().filter_map(|outcome| errors.get(*outcome)).map(count).sum();
            assert_eq!(errors, of("errors"), "{step:#}");
        }
    }
}
