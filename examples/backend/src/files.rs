//! The directory in which uploads are kept, a file each.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

/// Where uploads are kept.
pub struct Files {
    directory: PathBuf,
    /// Whether it goes with the process.
    own: bool,
}

impl Files {
    /// The directory given, or one of this process's own.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(given: Option<&Path>) -> io::Result<Self> {
        let directory = match given {
            Some(directory) => directory.to_owned(),
            None => env::temp_dir().join(format!("example-backend-{}", process::id())),
        };
        fs::create_dir_all(&directory)?;
        Ok(Self { directory, own: given.is_none() })
    }

    /// The file of an id; ids are made here or looked up, so they are no paths.
    pub fn path(&self, id: &str) -> PathBuf {
        self.directory.join(id)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.own {
            // Nobody is left to be told.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}
