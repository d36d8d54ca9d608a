//! The storage path: a directory a run, begun, finished, kept for a while, read back.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::list::RUN;
use super::name::{self, is_run_name, run_name};
use super::{Entry, Histograms, RecordError, Run, VERSION, list, redact, write};

/// The file of the distributions.
const HISTOGRAMS: &str = "histograms.json";
/// The file for people.
const SUMMARY: &str = "summary.txt";
/// Locked while the run goes on.
pub(super) const LOCK: &str = "running";
/// How many runs may begin in one second under one storage path.
const MAX_SAME_SECOND: u32 = 10_000;

/// How many runs this process has begun, for names that nobody else has.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Where runs are stored (`--storage.path`), and how many (`--storage.retention.runs`).
#[derive(Debug, Clone)]
pub struct Storage {
    root: PathBuf,
    keep: usize,
    /// Whether its runs are somebody's at a terminal, which no daemon begins again.
    foreground: bool,
}

impl Storage {
    /// Runs under `root`, of which the newest `keep` stay.
    pub fn new(root: impl Into<PathBuf>, keep: usize) -> Self {
        Self { root: root.into(), keep, foreground: false }
    }

    /// The same for runs that aren't a daemon's.
    pub fn in_foreground(self) -> Self {
        Self { foreground: true, ..self }
    }

    /// The storage path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes and locks the directory of a run of `profile` that starts at `started`, and writes a file in it: what can't be
    /// stored is known before anything is sent.
    ///
    /// # Errors
    /// What the system says to it. Nothing is left of the directory then.
    pub fn begin(&self, profile: &str, started: SystemTime) -> Result<RunDirectory, RecordError> {
        fs::create_dir_all(&self.root).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RecordError::NotDirectory { path: self.root.clone(), source },
            _ => RecordError::io("making", &self.root, source),
        })?;
        let base = run_name(profile, self.after_others(started));
        // It has its name once it is locked: another process that looks for old runs never finds it without its lock.
        let number = BEGUN.fetch_add(1, Ordering::Relaxed);
        let unnamed = self.root.join(format!("{}{}-{number}-{base}", list::BEGINNING, std::process::id()));
        let begin = || {
            fs::create_dir(&unnamed).map_err(|source| RecordError::io("making", &unnamed, source))?;
            lock(&unnamed, profile, self.foreground)
                .map_err(|source| RecordError::io("writing and locking", &unnamed.join(LOCK), source))
        };
        let named =
            begin().and_then(|lock| self.name(&unnamed, &base).map(|(run, path)| RunDirectory { run, path, _lock: lock }));
        if named.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_dir_all(&unnamed);
        }
        named
    }

    /// When a run starts, as its name is to say: after all that are there. Where the clock was set back that is a little after the newest.
    fn after_others(&self, started: SystemTime) -> SystemTime {
        let newest = list::newest(&self.root, 1, started, |_| true).ok();
        let newest = newest.and_then(|runs| name::started(&runs.first()?.run));
        match newest {
            Some(newest) if newest > started && newest <= started + list::AHEAD => newest + Duration::from_secs(1),
            _ => started,
        }
    }

    /// Gives a directory the first free name.
    fn name(&self, unnamed: &Path, base: &str) -> Result<(String, PathBuf), RecordError> {
        for number in 1..=MAX_SAME_SECOND {
            let run = if number == 1 { base.to_owned() } else { format!("{base}-{number}") };
            let path = self.root.join(&run);
            // A directory that is there is replaced by a rename if it is empty, which no run's is.
            match fs::rename(unnamed, &path).and_then(|()| write::sync_directory(&self.root)) {
                Ok(()) => return Ok((run, path)),
                Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) => {}
                Err(source) => return Err(RecordError::io("making", &path, source)),
            }
        }
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(RecordError::io("making", &self.root.join(base), source))
    }

    /// The newest `limit` runs, newest first; no more than `limit` names are held in memory.
    ///
    /// # Errors
    /// What the system says to reading the storage path. One that isn't there has no runs.
    pub fn list(&self, limit: usize) -> Result<Vec<Entry>, RecordError> {
        list::newest(&self.root, limit, SystemTime::now(), |_| true)
    }

    /// The directory of the run `run`, if that is a run's name and the directory is there.
    pub fn find(&self, run: &str) -> Option<PathBuf> {
        let path = self.root.join(run);
        (is_run_name(run) && path.is_dir()).then_some(path)
    }

    /// Removes the oldest runs that are too many, and answers how many: first those that didn't come to their end, never one that is
    /// going on.
    ///
    /// # Errors
    /// The last failure to remove one; the others are removed all the same.
    pub fn prune(&self) -> Result<usize, RecordError> {
        list::prune(&self.root, self.keep, SystemTime::now(), is_running)
    }
}

/// What the lock file of a run has behind the profile's name where the run isn't a daemon's.
pub(super) const FOREGROUND: &str = "foreground";

/// Writes and locks a run's lock file; it holds the number of the process, the profile's name, and whether it isn't a daemon's. The system releases the lock when the process
/// ends, however it ends.
fn lock(directory: &Path, profile: &str, foreground: bool) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).open(directory.join(LOCK))?;
    // A disk that is full takes an empty file, but not one with a text.
    writeln!(file, "{}\n{profile}{}", std::process::id(), if foreground { format!("\n{FOREGROUND}") } else { String::new() })?;
    file.sync_all()?;
    match file.lock() {
        // On a file system without locks the run isn't guarded from another process' retention, but it goes on.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        locked => locked.map(|()| file),
    }
}

/// Whether a process holds the lock of the run in `directory`.
pub(super) fn is_running(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The directory of a run that is going on; locked until this is finished or dropped.
#[derive(Debug)]
pub struct RunDirectory {
    run: String,
    path: PathBuf,
    /// Held as long as this is.
    _lock: File,
}

impl RunDirectory {
    /// The run's identifier: the directory's name.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores the run: histograms and summary first, `run.json` last, so that where it is the rest is too.
    ///
    /// # Errors
    /// The first failure. What was written before it stays, and it may be tried again.
    pub fn finish(
        &self,
        run: &Run,
        histograms: &Histograms,
        summary: &str,
        redact: &dyn Fn(&str) -> Cow<'_, str>,
    ) -> Result<PathBuf, RecordError> {
        // Somebody may have removed the directory to make room on a full disk.
        fs::create_dir_all(&self.path).map_err(|source| RecordError::io("making", &self.path, source))?;
        write::atomically(&self.path, HISTOGRAMS, |out| write_json(out, histograms, redact, false))?;
        write::atomically(&self.path, SUMMARY, |out| out.write_all(redact(summary).as_bytes()))?;
        write::atomically(&self.path, RUN, |out| write_json(out, run, redact, true))?;
        // The lock file goes before the lock: a reader that finds none knows that the run is over.
        let lock = self.path.join(LOCK);
        match fs::remove_file(&lock) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RecordError::io("removing", &lock, source)),
            _ => Ok(self.path.clone()),
        }
    }
}

fn write_json(
    out: &mut dyn io::Write,
    record: &impl serde::Serialize,
    redact: &dyn Fn(&str) -> Cow<'_, str>,
    pretty: bool,
) -> io::Result<()> {
    let mut value = serde_json::to_value(record)?;
    redact::texts(&mut value, redact);
    if pretty {
        serde_json::to_writer_pretty(&mut *out, &value)?;
    } else {
        serde_json::to_writer(&mut *out, &value)?;
    }
    out.write_all(b"\n")
}

/// Reads a run back from its directory.
///
/// # Errors
/// A run that didn't come to its end, a file that isn't a record or is of an unknown version, or what the system says.
pub fn read(directory: &Path) -> Result<Run, RecordError> {
    read_json(directory, RUN)
}

/// Reads a run's histograms back from its directory.
///
/// # Errors
/// As [`read`].
pub fn read_histograms(directory: &Path) -> Result<Histograms, RecordError> {
    read_json(directory, HISTOGRAMS)
}

fn read_json<T: serde::de::DeserializeOwned>(directory: &Path, name: &'static str) -> Result<T, RecordError> {
    let path = directory.join(name);
    let file = File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => RecordError::Missing { path: directory.to_path_buf(), file: name },
        _ => RecordError::io("reading", &path, source),
    })?;
    let malformed = |message: String| RecordError::Malformed { path: path.clone(), message };
    let value: serde_json::Value = serde_json::from_reader(BufReader::new(file)).map_err(|error| malformed(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(found) => return Err(RecordError::Version { path, found }),
        None => return Err(malformed("it has no version".into())),
    }
    serde_json::from_value(value).map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn plain(text: &str) -> Cow<'_, str> {
        Cow::Borrowed(text)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_run_is_stored_and_read_back() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::new(root.path().join("deep/runs"), 3);
        let directory = storage.begin("votes", at(1_795_185_843)).unwrap();
        assert_eq!(directory.run(), "20261120T144403Z-votes");
        assert!(matches!(read(directory.path()), Err(RecordError::Missing { file: "run.json", .. })));
        let path = directory.finish(&sample::run(), &sample::histograms(), "PASS\n", &plain).unwrap();
        assert_eq!(read(&path).unwrap(), sample::run());
        assert_eq!(read_histograms(&path).unwrap(), sample::histograms());
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["histograms.json", "run.json", "summary.txt"]);
        assert_eq!(storage.find("20261120T144403Z-votes"), Some(path));
        assert_eq!(storage.find("../runs"), None);
    }

    #[test]
    fn a_run_s_name_comes_after_all_others_whatever_the_clock_was_set_to() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::new(root.path(), 3);
        let name = |seconds: u64| storage.begin("votes", at(seconds)).unwrap().run().to_owned();
        assert_eq!(
            [name(7200), name(3600), name(3601)],
            ["19700101T020000Z-votes", "19700101T020001Z-votes", "19700101T020002Z-votes"]
        );
        assert_eq!(name(7203), "19700101T020003Z-votes");
        // A clock that was wrong by far leads none that is right.
        assert_eq!([name(900_000), name(7204)], ["19700111T100000Z-votes", "19700101T020004Z-votes"]);
        assert_eq!(storage.list(1).unwrap()[0].run, "19700111T100000Z-votes");
    }

    #[test]
    fn two_in_one_second_have_a_directory_each() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::new(root.path(), 3);
        let names: Vec<String> = (0..3).map(|_| storage.begin("votes", at(0)).unwrap().run().to_owned()).collect();
        assert_eq!(names, ["19700101T000000Z-votes", "19700101T000000Z-votes-2", "19700101T000000Z-votes-3"]);
    }

    #[test]
    fn retention_knows_a_running_run_by_its_lock_and_a_crashed_one_by_its_absence() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::new(root.path(), 1);
        let running = storage.begin("a", at(1)).unwrap();
        let crashed = storage.begin("a", at(2)).unwrap().path().to_path_buf();
        let newest = storage.begin("a", at(3)).unwrap();
        assert!(is_running(running.path()) && !is_running(&crashed));
        assert_eq!(storage.prune().unwrap(), 0, "those that go on take no place of another");
        let path = newest.path().to_owned();
        drop(newest);
        assert_eq!(storage.prune().unwrap(), 1);
        assert!(running.path().is_dir() && path.is_dir() && !crashed.exists());
    }

    #[test]
    fn no_stored_file_holds_what_redact_takes_out() {
        let root = tempfile::tempdir().unwrap();
        let directory = Storage::new(root.path(), 3).begin("votes", at(0)).unwrap();
        let mut run = sample::run();
        // Quotes and backslashes: a search in the written JSON would miss it.
        let secret = "s3\"cr\\et";
        run.reasons.push(format!("the answer to {secret} was odd"));
        run.phases[1].steps[0].samples[0].body = format!("{{\"echo\": \"{secret}\"}}");
        run.phases[1].counters[0].labels.insert("token".into(), secret.into());
        let path = directory
            .finish(&run, &sample::histograms(), &format!("because of {secret}"), &|text: &str| {
                Cow::Owned(text.replace(secret, "[redacted]"))
            })
            .unwrap();
        for entry in fs::read_dir(&path).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!text.contains("cr\\et") && !text.contains("s3\""), "{text}");
        }
        assert!(fs::read_to_string(path.join("summary.txt")).unwrap().contains("[redacted]"));
    }

    #[test]
    fn strange_files_are_errors_that_say_what_they_are() {
        let root = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            fs::write(root.path().join(RUN), text).unwrap();
            read(root.path()).unwrap_err().to_string()
        };
        assert!(said("").contains("is not a record of a run: EOF"));
        assert!(said("{}").contains("it has no version"));
        assert!(said(r#"{"version": 7}"#).contains("has version 7"));
        assert!(said(r#"{"version": 1}"#).contains("missing field"));
    }

    #[test]
    fn a_storage_path_that_is_a_file_or_closed_is_said_so() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("runs");
        fs::write(&file, "").unwrap();
        let error = Storage::new(file.join("below"), 3).begin("votes", at(0)).unwrap_err();
        assert!(matches!(error, RecordError::NotDirectory { .. }), "{error}");
        let error = Storage::new(&file, 3).begin("votes", at(0)).unwrap_err();
        assert!(matches!(error, RecordError::NotDirectory { .. }), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_lock_file_that_cannot_be_written_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        // /dev/full takes no byte.
        std::os::unix::fs::symlink("/dev/full", directory.path().join(LOCK)).unwrap();
        assert_eq!(lock(directory.path(), "votes", false).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
