//! Files as they are sent: read a piece at a time on threads that may wait for the disk, never on a worker's own. They are
//! opened on that one, anew for each request: the file may be another by then, and so may a name that an expression makes.

use std::future::Future;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fs, io};

use bytes::{Bytes, BytesMut};
use tokio::task::{JoinHandle, spawn_blocking};

use super::CHUNK;

/// How much is read at once, in bytes: a hop to another thread costs more than reading a small piece.
const READ: u64 = 4 * CHUNK as u64;

/// An open file.
#[derive(Debug)]
pub(in crate::protocol::http) struct Source {
    file: fs::File,
    path: PathBuf,
}

impl Source {
    /// Opens a file; its length now is what will be sent of it.
    ///
    /// # Errors
    /// It can't be opened, or is no plain file. The message names it.
    pub fn open(path: &Path) -> io::Result<(Self, u64)> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{} cannot be read: {error}", path.display()));
        // Looked at first, since opening a pipe would wait for its writer.
        if !fs::metadata(path).map_err(named)?.is_file() {
            return Err(named(io::Error::other("it is not a plain file")));
        }
        let file = fs::File::open(path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        Ok((Self { file, path: path.to_owned() }, metadata.len()))
    }

    fn read(&self, at: u64, length: u64) -> io::Result<Bytes> {
        // At most `READ`.
        let mut buffer = BytesMut::zeroed(length as usize);
        let n = loop {
            match self.file.read_at(&mut buffer, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let name = self.path.display();
        match n {
            Ok(0) => Err(io::Error::other(format!("{name} became shorter while it was sent"))),
            Ok(n) => {
                buffer.truncate(n);
                Ok(buffer.freeze())
            }
            Err(error) => Err(io::Error::other(format!("{name} cannot be read: {error}"))),
        }
    }
}

/// Whether a file can be sent, as far as it is known before.
///
/// # Errors
/// It can't be opened, or is no plain file. The message names it.
pub fn probe(path: &Path) -> io::Result<()> {
    Source::open(path).map(|_| ())
}

/// A pass through a file.
#[derive(Debug, Default)]
pub(super) struct Reading {
    read: Bytes,
    under_way: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Reading {
    /// The next chunk, from `at` on; `left` is how much there is to be.
    pub fn poll(&mut self, cx: &mut Context<'_>, file: &Arc<Source>, at: u64, left: u64) -> Poll<io::Result<Bytes>> {
        if self.read.is_empty() {
            let task = self.under_way.get_or_insert_with(|| {
                let file = Arc::clone(file);
                spawn_blocking(move || file.read(at, left.min(READ)))
            });
            let result = ready!(Pin::new(task).poll(cx));
            self.under_way = None;
            self.read = result.map_err(io::Error::other)??;
        }
        let length = self.read.len().min(CHUNK);
        Poll::Ready(Ok(self.read.split_to(length)))
    }
}
