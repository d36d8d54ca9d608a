//! Uploads: request bodies that are made as they are sent, so that none is ever in memory as a whole.
//!
//! A [`Source`] is what one request sends, its length known to the byte: pieces of text, files, generated content. An [`Upload`]
//! goes through it once, a chunk at a time, whenever the connection has room; a redirect that wants the body again goes through
//! the same source anew and sends the same bytes. The [`Tally`] says how far it came and what the SHA-256 of its parts is.
//!
//! hyper holds at most 16 chunks of a body in front of a full socket, so an upload takes about 16 times [`CHUNK`] of memory.

mod file;
mod generate;
mod multipart;
mod tally;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use file::Reading;
pub(super) use file::Source as File;
pub use file::probe;
use generate::Generator;
pub(super) use generate::Seed;
pub use multipart::{BodyPart, Content, Length, Multipart, SizeError, Sizes};
pub(super) use tally::Tally;
pub use tally::Uploaded;

use crate::expr::hex;

/// How much is made at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// A stretch of a body.
#[derive(Debug)]
pub(super) enum Segment {
    /// As it stands.
    Text(Bytes),
    /// So much of a file, from its beginning.
    File(Arc<File>, u64),
    /// So many incompressible bytes.
    Random(Seed, u64),
}

impl Segment {
    fn length(&self) -> u64 {
        match self {
            Segment::Text(bytes) => bytes.len() as u64,
            Segment::File(_, length) | Segment::Random(_, length) => *length,
        }
    }
}

/// All that one request sends.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// With the number of the digest that each goes into, if into one.
    segments: Vec<(Segment, Option<usize>)>,
    length: u64,
    digests: usize,
}

impl Source {
    /// Appends a stretch; `false` if the whole would be longer than can be said. With `digest` its SHA-256 is computed.
    #[must_use]
    pub fn push(&mut self, segment: Segment, digest: bool) -> bool {
        let Some(length) = self.length.checked_add(segment.length()) else { return false };
        self.length = length;
        let digest = digest.then(|| {
            self.digests += 1;
            self.digests - 1
        });
        self.segments.push((segment, digest));
        true
    }
}

/// One pass through a [`Source`].
#[derive(Debug)]
pub(super) struct Upload {
    source: Arc<Source>,
    tally: Arc<Tally>,
    /// The segment that is next, and how much of it has been handed over.
    at: usize,
    done: u64,
    left: u64,
    work: Work,
    digest: Option<Sha256>,
}

/// What a segment needs between two chunks.
#[derive(Debug, Default)]
enum Work {
    #[default]
    Nothing,
    Generate(Generator),
    Read(Reading),
}

impl Clone for Upload {
    /// A new pass through the same source.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.source))
    }
}

impl Upload {
    /// A pass through `source`.
    pub fn new(source: Arc<Source>) -> Self {
        let tally = Arc::new(Tally::new(source.length, source.digests));
        let left = source.length;
        Self { source, tally, at: 0, done: 0, left, work: Work::Nothing, digest: None }
    }

    /// What is reported of it.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// How many bytes are still to be handed over.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next chunk; none at the end. Pending for ever once it was stopped.
    ///
    /// # Errors
    /// A file that can't be read or has become shorter; the tally says it in words.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        if self.tally.is_stopped() {
            return Poll::Pending;
        }
        let source = Arc::clone(&self.source);
        loop {
            let Some((segment, digest)) = source.segments.get(self.at) else { return Poll::Ready(None) };
            let left = segment.length() - self.done;
            if left == 0 {
                self.end_segment(*digest);
                continue;
            }
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let chunk = match segment {
                Segment::Text(bytes) => {
                    // No longer than the segment, which is in memory.
                    let from = self.done as usize;
                    bytes.slice(from..from + most)
                }
                Segment::Random(seed, _) => {
                    if !matches!(self.work, Work::Generate(_)) {
                        self.work = Work::Generate(Generator::new(*seed));
                    }
                    let Work::Generate(generator) = &mut self.work else { continue };
                    generator.next(most)
                }
                Segment::File(file, _) => {
                    if !matches!(self.work, Work::Read(_)) {
                        self.work = Work::Read(Reading::default());
                    }
                    let Work::Read(reading) = &mut self.work else { continue };
                    match ready!(reading.poll(cx, file, self.done, left)) {
                        Ok(chunk) => chunk,
                        Err(error) => {
                            self.tally.fail(&error);
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
            };
            self.done += chunk.len() as u64;
            self.left -= chunk.len() as u64;
            if digest.is_some() {
                self.digest.get_or_insert_with(Sha256::new).update(&chunk);
            }
            if self.done == segment.length() {
                self.end_segment(*digest);
            }
            if self.left == 0 {
                // Segments of no length may follow.
                while let Some((_, digest)) = source.segments.get(self.at) {
                    self.end_segment(*digest);
                }
                self.tally.complete();
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
    }

    fn end_segment(&mut self, digest: Option<usize>) {
        if let Some(digest) = digest {
            let hash = self.digest.take().unwrap_or_default().finalize();
            self.tally.digested(digest, hex(&hash));
        }
        self.work = Work::Nothing;
        self.done = 0;
        self.at += 1;
    }
}

#[cfg(test)]
mod tests;
