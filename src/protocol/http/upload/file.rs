//! Files as they are sent: read a piece at a time on threads that may wait for the disk, never on a worker's own. They are
//! opened on that one, anew for each request: the file may be another by then, and so may a name that an expression makes.

use std::future::Future;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fs, io};

use bytes::{Bytes, BytesMut};
use tokio::task::{JoinHandle, spawn_blocking};

use super::CHUNK;
use crate::base::files::plain;
use crate::net::Limit;

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
        let named = |error| named(path, error);
        if !fs::metadata(path).map_err(named)?.is_file() {
            return Err(named(io::Error::other("it is not a plain file")));
        }
        let file = plain(path).map_err(named)?;
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
        match n {
            Ok(0) => Err(io::Error::other(format!("{} became shorter while it was sent", self.path.display()))),
            Ok(n) => {
                buffer.truncate(n);
                Ok(buffer.freeze())
            }
            Err(error) => Err(named(&self.path, error)),
        }
    }
}

/// An error with the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read: {source}", path = path.display())]
struct Named {
    path: PathBuf,
    source: io::Error,
}

pub(super) fn named(path: &Path, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), Named { path: path.to_owned(), source })
}

/// Runs a piece of work on a thread that may wait.
///
/// # Errors
/// No thread can be had for it; the runtime panics for that.
fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    catch_unwind(AssertUnwindSafe(|| spawn_blocking(work))).map_err(|_| io::Error::other(Limit::Threads))
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
            let task = match &mut self.under_way {
                Some(task) => task,
                None => {
                    let file = Arc::clone(file);
                    self.under_way.insert(elsewhere(move || file.read(at, left.min(READ)))?)
                }
            };
            let result = ready!(Pin::new(task).poll(cx));
            self.under_way = None;
            self.read = result.map_err(io::Error::other)??;
        }
        let length = self.read.len().min(CHUNK);
        Poll::Ready(Ok(self.read.split_to(length)))
    }
}
