//! The last run of a profile under a storage path: what a daemon that comes back goes on from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::name::started;
use super::storage::{FOREGROUND, LOCK, is_running};
use super::{RecordError, Run, Storage, list, read};

/// Marks a finished run that the end of the daemon cut short.
const CUT: &str = "cut";
/// How many of a profile's newest runs are looked at.
const LOOKED_AT: usize = 1000;

/// What is stored of a profile.
#[derive(Debug, Default)]
pub struct Last {
    /// When its last run began, if the end of the daemon cut that short.
    pub cut: Option<SystemTime>,
    /// The last run that came to its end, and its directory.
    pub finished: Option<(PathBuf, Run)>,
    /// When the last run ended that nothing cut short (Unix seconds).
    pub completed: Option<f64>,
    /// Why runs that are newer than those can't be read, if there are such.
    pub unread: Vec<RecordError>,
}

impl Storage {
    /// What is stored of a profile's last run. Runs of another process that go on are left out, and what can't be read is reported.
    ///
    /// # Errors
    /// What the system says to reading the storage path.
    pub fn last(&self, profile: &str) -> Result<Last, RecordError> {
        let mut last = Last::default();
        let mut newest = true;
        for entry in list::newest(self.root(), LOOKED_AT, SystemTime::now(), |run| of_profile(run, profile))? {
            let run = if entry.finished { read(&entry.path).map(Some) } else { Ok(None) };
            let run = run.unwrap_or_else(|error| {
                // Another process' retention may have been quicker.
                if !matches!(error, RecordError::Missing { .. }) {
                    last.unread.push(error);
                }
                None
            });
            let mine = match &run {
                Some(run) => run.profile == profile,
                None => !entry.finished && !is_running(&entry.path) && began_for(&entry.path, profile),
            };
            if !mine {
                continue;
            }
            if newest && (!entry.finished || entry.path.join(CUT).exists()) {
                last.cut = started(&entry.run);
            }
            newest = false;
            if let Some(run) = run {
                last.completed = run.stopped.is_none().then_some(run.ended);
                last.finished.get_or_insert((entry.path, run));
            }
            if last.completed.is_some() {
                break;
            }
        }
        Ok(last)
    }
}

/// Marks a stored run as one that the end of the daemon cut short.
///
/// # Errors
/// What the system says to it.
pub fn mark_cut(directory: &Path) -> Result<(), RecordError> {
    let path = directory.join(CUT);
    match fs::write(&path, "") {
        // Another process' retention was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(|source| RecordError::io("writing", &path, source)),
    }
}

/// Whether a run's name may be of a profile: the second of a second has a number behind it.
fn of_profile(run: &str, profile: &str) -> bool {
    let rest = run.split_once('-').and_then(|(_, name)| name.strip_prefix(profile));
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('-').is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Whether a run that didn't come to its end was a daemon's of a profile, as its lock file says.
fn began_for(directory: &Path, profile: &str) -> bool {
    fs::read_to_string(directory.join(LOCK)).is_ok_and(|text| {
        let mut lines = text.lines().skip(1);
        lines.next().is_none_or(|name| name == profile) && lines.next() != Some(FOREGROUND)
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::super::sample;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn finish(storage: &Storage, profile: &str, seconds: u64) -> PathBuf {
        let directory = storage.begin(profile, at(seconds)).unwrap();
        let run = Run { profile: profile.into(), run: directory.run().into(), ..sample::run() };
        directory.finish(&run, &sample::histograms(), "", &|text: &str| Cow::Borrowed(text)).unwrap()
    }

    #[test]
    fn the_last_run_of_a_profile_and_whether_it_was_cut() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::new(root.path(), 99);
        let last = |profile: &str| {
            let last = storage.last(profile).unwrap();
            (last.cut, last.finished.map(|(path, _)| path))
        };
        assert_eq!(last("votes"), (None, None));
        let first = finish(&storage, "votes", 100);
        let other = finish(&storage, "votes-2", 200);
        assert_eq!((last("votes"), last("votes-2")), ((None, Some(first.clone())), (None, Some(other))));
        // A crash: nothing but the lock file is left, and nobody holds it.
        drop(storage.begin("votes", at(300)).unwrap());
        assert_eq!(last("votes"), (Some(at(300)), Some(first)));
        assert_eq!(last("votes-2").0, None);
        // One of somebody's at a terminal is no daemon's to begin again.
        drop(storage.clone().in_foreground().begin("votes", at(310)).unwrap());
        assert_eq!(last("votes").0, Some(at(300)));
        // Those of others are no reason to forget it, however many there are.
        for number in 0..=LOOKED_AT {
            std::fs::create_dir(root.path().join(format!("{}-other", super::super::name::stamp(at(320 + number as u64)))))
                .unwrap();
        }
        assert_eq!(last("votes").0, Some(at(300)));
        // A run of another process goes on.
        let going = storage.begin("votes", at(4000)).unwrap();
        assert_eq!(last("votes").0, Some(at(300)));
        drop(going);
        let stopped = finish(&storage, "votes", 5000);
        assert_eq!(last("votes"), (None, Some(stopped.clone())));
        mark_cut(&stopped).unwrap();
        assert_eq!(last("votes"), (Some(at(5000)), Some(stopped.clone())));
        // What can't be read is passed over, and reported.
        let broken = finish(&storage, "votes", 6000).join("run.json");
        std::fs::write(&broken, "{\"version\": 1").unwrap();
        assert_eq!(last("votes").1, Some(stopped.clone()));
        let unread = |profile: &str| storage.last(profile).unwrap().unread.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(matches!(&unread("votes")[..], [one] if one.contains(broken.to_str().unwrap())), "{:?}", unread("votes"));
        assert!(unread("votes-2").is_empty());
        // Nobody looks for one that is older than what is found.
        let newer = finish(&storage, "votes", 7000);
        assert_eq!((last("votes").1, unread("votes").len()), (Some(newer), 0));
        assert!(Storage::new("/nowhere/at/all", 1).last("votes").unwrap().finished.is_none());
    }
}
