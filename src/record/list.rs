//! The runs under a storage path, newest first, and which of them retention removes.
//!
//! A storage path may hold many thousands of runs: the directory is read as a stream, and no more than the wanted number
//! of names is kept at any moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RecordError;

/// The prefix of a run that is being removed; what a crash leaves of it goes at the next occasion.
const REMOVING: &str = ".removing-";

/// The prefix of a run that is being begun; what a crash leaves of it goes once it is [`LEFT`] old.
pub(super) const BEGINNING: &str = ".beginning-";
const LEFT: Duration = Duration::from_secs(3600);

/// A run's directory, as its name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The run's identifier: its directory's name.
    pub run: String,
    /// The directory.
    pub path: PathBuf,
    /// Whether the run came to its end, so that there is a record to read.
    pub finished: bool,
}

/// Whether `name` is a run's: `20261120T144403Z-votes`. Nothing else under a storage path is ever touched.
pub(super) fn is_run_name(name: &str) -> bool {
    let Some((start, profile)) = name.split_once('-') else { return false };
    let bytes = start.as_bytes();
    bytes.len() == 16
        && bytes.iter().enumerate().all(|(i, byte)| match i {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
        && crate::base::names::is_profile_name(profile)
}

/// What runs are ordered by: their start, then how many started before them in the same second, then the name.
fn order(name: &str) -> (String, usize, String) {
    let (start, profile) = name.split_once('-').unwrap_or((name, ""));
    (start.to_owned(), profile.len(), profile.to_owned())
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

/// The newest `limit` runs under `root`, newest first.
pub(super) fn newest(root: &Path, limit: usize) -> Result<Vec<Entry>, RecordError> {
    let mut kept = BinaryHeap::new();
    scan(root, |name| {
        kept.push(Reverse(order(&name)));
        if kept.len() > limit {
            kept.pop();
        }
    })?;
    let mut names: Vec<_> = kept.into_iter().map(|Reverse(key)| key).collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names
        .into_iter()
        .map(|(start, _, profile)| {
            let run = format!("{start}-{profile}");
            let path = root.join(&run);
            Entry { finished: path.join(super::storage::RUN).is_file(), run, path }
        })
        .collect())
}

/// Removes the oldest runs until `keep` are left, those excepted that `is_running`. A run that came to its end never goes in favour
/// of one that didn't. Answers how many went.
///
/// A run is first renamed, so that no reader finds half of one.
pub(super) fn prune(root: &Path, keep: usize, is_running: impl Fn(&Path) -> bool) -> Result<usize, RecordError> {
    finish_removals(root)?;
    let mut best = BinaryHeap::new();
    let mut removed = 0;
    let mut failure = None;
    scan(root, |name| {
        let path = root.join(&name);
        // One that goes on is neither counted nor removed.
        if is_running(&path) {
            return;
        }
        let finished = path.join(super::storage::RUN).is_file();
        best.push(Reverse((finished, order(&name))));
        if best.len() > keep
            && let Some(Reverse((_, (start, _, profile)))) = best.pop()
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

    fn runs(root: &Path) -> Vec<String> {
        newest(root, usize::MAX).unwrap().into_iter().map(|entry| entry.run).collect()
    }

    fn with(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        root
    }

    #[test]
    fn a_run_s_name() {
        assert!(is_run_name("20261120T144403Z-votes") && is_run_name("20261120T144403Z-live-votes-2"));
        for other in ["20261120T144403Z", "20261120T144403Z-", "votes", "20261120X144403Z-votes", "20261120T144403Z-Votes"] {
            assert!(!is_run_name(other), "{other}");
        }
    }

    #[test]
    fn newest_first_and_the_second_of_a_second_after_the_first() {
        let root = with(&["20261120T144403Z-a", "20261120T144403Z-a-10", "20261120T144403Z-a-2", "20251120T144403Z-b"]);
        fs::write(root.path().join("20261120T144403Z-a/run.json"), "{}").unwrap();
        assert_eq!(
            runs(root.path()),
            ["20261120T144403Z-a-10", "20261120T144403Z-a-2", "20261120T144403Z-a", "20251120T144403Z-b"]
        );
        let two = newest(root.path(), 3).unwrap();
        assert_eq!(two.len(), 3);
        assert!(two[2].finished && !two[0].finished);
        assert_eq!(newest(&root.path().join("nowhere"), 9).unwrap(), []);
    }

    #[test]
    fn retention_takes_the_oldest_but_never_a_running_one_nor_what_isn_t_a_run() {
        let root = with(&["20260101T000000Z-a", "20260102T000000Z-a", "20260103T000000Z-b", "20260104T000000Z-a", "notes"]);
        fs::write(root.path().join("20260102T000000Z-a/run.json"), "{}").unwrap();
        let removed = prune(root.path(), 2, |path| path.ends_with("20260101T000000Z-a")).unwrap();
        assert_eq!(removed, 1);
        // The one of the second of January came to its end; two newer ones were cut off.
        assert_eq!(runs(root.path()), ["20260104T000000Z-a", "20260102T000000Z-a", "20260101T000000Z-a"]);
        assert!(root.path().join("notes").is_dir());
        assert_eq!(prune(root.path(), 3, |_| false).unwrap(), 0);
        assert_eq!(prune(root.path(), 1, |_| false).unwrap(), 2);
        assert_eq!(runs(root.path()), ["20260102T000000Z-a"]);
    }

    #[test]
    fn what_a_crash_left_of_a_removal_goes() {
        let root = with(&[".removing-20260101T000000Z-a", ".removing-mine"]);
        prune(root.path(), 5, |_| false).unwrap();
        assert!(!root.path().join(".removing-20260101T000000Z-a").exists());
        assert!(root.path().join(".removing-mine").exists());
    }
}
