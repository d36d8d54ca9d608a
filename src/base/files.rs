//! Files that are read whole.

use std::fs::Metadata;
use std::io;
use std::path::Path;

/// What a file is, if it is a plain one: a pipe would wait for its writer, and a device may have no end.
///
/// # Errors
/// What the system says, or that it is no plain file.
pub fn plain(path: &Path) -> io::Result<Metadata> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(io::Error::other("it is no plain file, but a directory, a pipe or a device"))
    }
}
