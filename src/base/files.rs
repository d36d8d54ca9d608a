//! Files that are read whole.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a file, if it is a plain one: a pipe would wait for its writer, and a device may have no end.
///
/// # Errors
/// What the system says, or that it is no plain file.
pub fn plain(path: &Path) -> io::Result<File> {
    // Looked at first, since a device may do something as it is opened; and then again, for it may be another file by now. If that is a
    // pipe, opening it waits for nobody.
    is_plain(&std::fs::metadata(path)?)?;
    open(path)
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    is_plain(&file.metadata()?)?;
    Ok(file)
}

fn is_plain(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is no plain file, but a directory, a pipe or a device")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_came_in_between_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for opened in [plain(&pipe), open(&pipe), open(folder.path()), open(Path::new("/dev/null"))] {
            assert!(opened.unwrap_err().to_string().contains("no plain file"));
        }
        std::fs::write(folder.path().join("file"), "text").unwrap();
        assert_eq!(io::read_to_string(plain(&folder.path().join("file")).unwrap()).unwrap(), "text");
    }
}
