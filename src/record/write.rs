//! Files that are whole or not there: written to a new name, synced, renamed, and the directory synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::RecordError;

/// The ending of a file that is still being written.
const UNFINISHED: &str = ".new";

/// Writes `name` in `directory` through `fill`, so that a reader, even after a crash, sees all of it or the file before.
///
/// # Errors
/// What the system says; then no trace of the attempt is left.
pub(super) fn atomically(
    directory: &Path,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), RecordError> {
    let path = directory.join(name);
    let unfinished = directory.join(format!("{name}{UNFINISHED}"));
    write_synced(&unfinished, fill)
        .and_then(|()| fs::rename(&unfinished, &path))
        .and_then(|()| sync_directory(directory))
        .map_err(|source| {
            // The first error is the one to report; on a full disk the half file must not keep its place.
            let _ = fs::remove_file(&unfinished);
            RecordError::io("writing", &path, source)
        })
}

fn write_synced(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut buffered = io::BufWriter::with_capacity(64 * 1024, file);
    fill(&mut buffered)?;
    buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Makes names that were added to or taken from a directory outlast a crash.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_leaves_the_file_before_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        atomically(directory.path(), "run.json", |out| out.write_all(b"first")).unwrap();
        let error = atomically(directory.path(), "run.json", |out| {
            out.write_all(b"half of the sec")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(matches!(error, RecordError::Full { .. }), "{error}");
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["run.json"]);
        assert_eq!(fs::read(directory.path().join("run.json")).unwrap(), b"first");
    }

    #[test]
    fn a_leftover_of_a_crash_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("summary.txt.new"), "a longer leftover").unwrap();
        atomically(directory.path(), "summary.txt", |out| out.write_all(b"short")).unwrap();
        assert_eq!(fs::read(directory.path().join("summary.txt")).unwrap(), b"short");
        assert!(!directory.path().join("summary.txt.new").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_said_to_be_full() {
        // /dev/full takes no byte; the attempt is made on a link to it, as the unfinished file.
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", directory.path().join("run.json.new")).unwrap();
        let error = atomically(directory.path(), "run.json", |out| out.write_all(b"x")).unwrap_err();
        assert!(matches!(error, RecordError::Full { .. }), "{error}");
    }
}
