//! The runs under a storage path, newest first, and which of them retention removes.
//!
//! A storage path may hold many thousands of runs: the directory is read as a stream, and no more than the wanted number
//! of names is kept at any moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::RecordError;
use super::name::{is_run_name, stamp};

/// The file of the results: where it is, a run came to its end.
pub(super) const RUN: &str = "run.json";
/// The prefix of a run that is being removed; what a crash leaves of it goes at the next occasion.
const REMOVING: &str = ".removing-";

/// The prefix of a run that is being begun; what a crash leaves of it goes once it is [`LEFT`] old.
pub(super) const BEGINNING: &str = ".beginning-";
const LEFT: Duration = Duration::from_secs(3600);

/// A run's directory, as its name describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The run's identifier: its directory's name.
    pub run: String,
    /// The directory.
    pub path: PathBuf,
    /// Whether the run came to its end, so that there is a record to read.
    pub finished: bool,
}

/// Names lead the clock by so much at most, where it was set back. What is named later began by a clock that was wrong.
pub(super) const AHEAD: Duration = Duration::from_secs(86_400);

/// What runs are ordered by: their start, then how many started before them in the same second, then the name. Those that start later than
/// `latest` come first.
fn order(name: &str, latest: &str) -> (bool, String, usize, String) {
    let (start, profile) = name.split_once('-').unwrap_or((name, ""));
    (start <= latest, start.to_owned(), profile.len(), profile.to_owned())
}

/// Calls `each` with the name of every run under `root`. A storage path that isn't there has none.
fn scan(root: &Path, mut each: impl FnMut(String)) -> Result<(), RecordError> {
    let failed = |source| RecordError::io("reading", root, source);
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string()
            && is_run_name(&name)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
        {
            each(name);
        }
    }
    Ok(())
}

/// The newest `limit` runs under `root` as of `now` whose names are `wanted`, newest first.
pub(super) fn newest(
    root: &Path,
    limit: usize,
    now: SystemTime,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, RecordError> {
    let mut kept = BinaryHeap::new();
    let latest = stamp(now + AHEAD);
    scan(root, |name| {
        if !wanted(&name) {
            return;
        }
        kept.push(Reverse(order(&name, &latest)));
        if kept.len() > limit {
            kept.pop();
        }
    })?;
    let mut names: Vec<_> = kept.into_iter().map(|Reverse(key)| key).collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names
        .into_iter()
        .map(|(_, start, _, profile)| {
            let run = format!("{start}-{profile}");
            let path = root.join(&run);
            Entry { finished: path.join(RUN).is_file(), run, path }
        })
        .collect())
}

/// Removes the oldest runs as of `now` until `keep` are left, those excepted that `is_running`. A run that came to its end never goes in favour
/// of one that didn't. Answers how many went.
///
/// A run is first renamed, so that no reader finds half of one.
pub(super) fn prune(root: &Path, keep: usize, now: SystemTime, is_running: impl Fn(&Path) -> bool) -> Result<usize, RecordError> {
    finish_removals(root)?;
    let latest = stamp(now + AHEAD);
    let mut best = BinaryHeap::new();
    let mut removed = 0;
    let mut failure = None;
    scan(root, |name| {
        let path = root.join(&name);
        // One that goes on is neither counted nor removed.
        if is_running(&path) {
            return;
        }
        let finished = path.join(RUN).is_file();
        best.push(Reverse((finished, order(&name, &latest))));
        if best.len() > keep
            && let Some(Reverse((_, (_, start, _, profile)))) = best.pop()
        {
            match remove(root, &format!("{start}-{profile}")) {
                Ok(()) => removed += 1,
                Err(error) => failure = Some(error),
            }
        }
    })?;
    failure.map_or(Ok(removed), Err)
}

fn remove(root: &Path, name: &str) -> Result<(), RecordError> {
    let path = root.join(name);
    let doomed = root.join(format!("{REMOVING}{name}"));
    match fs::rename(&path, &doomed).and_then(|()| fs::remove_dir_all(&doomed)) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|source| RecordError::io("removing", &path, source)),
    }
}

/// Takes away what a crash left of a removal or a beginning.
fn finish_removals(root: &Path) -> Result<(), RecordError> {
    let Ok(entries) = fs::read_dir(root) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let old = || entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT));
        if name.strip_prefix(REMOVING).is_some_and(is_run_name) || (name.starts_with(BEGINNING) && old()) {
            let path = entry.path();
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RecordError::io("removing", &path, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time after all of these runs began.
    fn later() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
    }

    fn runs(root: &Path) -> Vec<String> {
        newest(root, usize::MAX, later(), |_| true).unwrap().into_iter().map(|entry| entry.run).collect()
    }

    fn with(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        root
    }

    #[test]
    fn newest_first_and_the_second_of_a_second_after_the_first() {
        let root = with(&["20261120T144403Z-a", "20261120T144403Z-a-10", "20261120T144403Z-a-2", "20251120T144403Z-b"]);
        fs::write(root.path().join("20261120T144403Z-a/run.json"), "{}").unwrap();
        assert_eq!(
            runs(root.path()),
            ["20261120T144403Z-a-10", "20261120T144403Z-a-2", "20261120T144403Z-a", "20251120T144403Z-b"]
        );
        let two = newest(root.path(), 3, later(), |_| true).unwrap();
        assert_eq!(two.len(), 3);
        assert!(two[2].finished && !two[0].finished);
        assert_eq!(newest(&root.path().join("nowhere"), 9, later(), |_| true).unwrap(), []);
    }

    #[test]
    fn retention_takes_the_oldest_but_never_a_running_one_nor_what_isn_t_a_run() {
        let root = with(&["20260101T000000Z-a", "20260102T000000Z-a", "20260103T000000Z-b", "20260104T000000Z-a", "notes"]);
        fs::write(root.path().join("20260102T000000Z-a/run.json"), "{}").unwrap();
        let removed = prune(root.path(), 2, later(), |path| path.ends_with("20260101T000000Z-a")).unwrap();
        assert_eq!(removed, 1);
        // The one of the second of January came to its end; two newer ones were cut off.
        assert_eq!(runs(root.path()), ["20260104T000000Z-a", "20260102T000000Z-a", "20260101T000000Z-a"]);
        assert!(root.path().join("notes").is_dir());
        assert_eq!(prune(root.path(), 3, later(), |_| false).unwrap(), 0);
        assert_eq!(prune(root.path(), 1, later(), |_| false).unwrap(), 2);
        assert_eq!(runs(root.path()), ["20260102T000000Z-a"]);
    }

    #[test]
    fn runs_of_a_clock_that_was_wrong_by_far_are_the_oldest() {
        let root = with(&["20260102T120000Z-a", "20260103T110000Z-a", "20260104T113000Z-a", "20310101T000000Z-a"]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_353_400); // 2026-01-02, 11:30
        let names: Vec<String> = newest(root.path(), 9, now, |_| true).unwrap().into_iter().map(|entry| entry.run).collect();
        assert_eq!(names, ["20260103T110000Z-a", "20260102T120000Z-a", "20310101T000000Z-a", "20260104T113000Z-a"]);
        assert_eq!(prune(root.path(), 1, now, |_| false).unwrap(), 3);
        assert_eq!(runs(root.path()), ["20260103T110000Z-a"]);
    }

    #[test]
    fn what_a_crash_left_of_a_removal_goes() {
        let root = with(&[".removing-20260101T000000Z-a", ".removing-mine"]);
        prune(root.path(), 5, later(), |_| false).unwrap();
        assert!(!root.path().join(".removing-20260101T000000Z-a").exists());
        assert!(root.path().join(".removing-mine").exists());
    }
}
