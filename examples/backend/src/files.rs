//! The directory in which uploads are kept, a file each.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tempfile::TempDir;

/// Where uploads are kept.
pub enum Files {
    /// A directory that someone named, and keeps.
    Given(PathBuf),
    /// One of this application's own, which goes with it: another in the same process has another.
    Own(TempDir),
}

impl Files {
    /// The directory given, or one of its own.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(given: Option<&Path>) -> io::Result<Self> {
        match given {
            Some(directory) => {
                fs::create_dir_all(directory)?;
                Ok(Self::Given(directory.to_owned()))
            }
            None => Ok(Self::Own(tempfile::Builder::new().prefix("example-backend-").tempdir()?)),
        }
    }

    /// The file of an id; ids are made here or looked up, so they are no paths.
    pub fn path(&self, id: &str) -> PathBuf {
        match self {
            Self::Given(directory) => directory.join(id),
            Self::Own(directory) => directory.path().join(id),
        }
    }
}
