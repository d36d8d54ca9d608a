//! What can go wrong with stored runs, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a run could not be stored or read. Messages name the path and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk or the quota is used up.
    #[error("no space left to write {path}: free some, or point --storage.path elsewhere or lower --storage.retention.runs")]
    Full {
        /// The file that was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process may not write or read there.
    #[error("no permission for {path}: make it accessible to this user, or point --storage.path elsewhere ({source})")]
    Permission {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The storage path, or a part of it, is a file.
    #[error("{path} is not a directory: point --storage.path to one")]
    NotDirectory {
        /// What stands in the way.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such run.
    #[error("no finished run in {path}: it holds no {file}, so the run is still going on, or was cut off before its end")]
    Missing {
        /// The run's directory.
        path: PathBuf,
        /// The file that isn't there.
        file: &'static str,
    },
    /// The file is not what this program wrote.
    #[error("{path} is not a record of a run: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why it can't be read.
        message: String,
    },
    /// The file is of a version that this program doesn't know.
    #[error(
        "{path} has version {found}, and this program reads version {}: read it with the program that wrote it",
        super::run::VERSION
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it says.
        found: u64,
    },
    /// Any other failure of the system.
    #[error("{action} {path} failed: {source}; if that can't be helped, point --storage.path elsewhere")]
    Io {
        /// What was being done: `writing`, `reading`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RecordError {
    /// The error for what the system said while doing `action` to `path`.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Permission { path, source },
            io::ErrorKind::NotADirectory => Self::NotDirectory { path, source },
            _ => Self::Io { action, path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_path_and_the_remedy() {
        let of = |kind| RecordError::io("writing", Path::new("/runs/x/run.json"), io::Error::from(kind)).to_string();
        assert!(of(io::ErrorKind::StorageFull).contains("/runs/x/run.json: free some"));
        assert!(of(io::ErrorKind::PermissionDenied).contains("--storage.path elsewhere"));
        assert!(of(io::ErrorKind::NotADirectory).contains("is not a directory"));
        assert!(of(io::ErrorKind::TimedOut).starts_with("writing /runs/x/run.json failed"));
        let version = RecordError::Version { path: "/runs/x/run.json".into(), found: 9 };
        assert!(version.to_string().contains("has version 9, and this program reads version 1"));
    }
}
