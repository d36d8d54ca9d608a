//! The body of an answer as it comes: kept, counted, or computed a digest of.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::MAX_BODY;
use super::failure::Failure;
use crate::base::Reason;

/// The body of an answer.
pub(super) struct Received {
    /// Empty if it was to be discarded.
    pub body: Bytes,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hex, if asked for.
    pub sha256: Option<String>,
}

/// What to do with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Keep it, up to [`MAX_BODY`].
    Keep,
    /// Count it.
    Count,
    /// Count it and compute its SHA-256.
    Digest,
}

/// A body that is coming.
pub(super) struct Collector {
    what: Use,
    kept: Kept,
    bytes: u64,
    digest: Option<Sha256>,
}

impl Collector {
    pub fn new(what: Use) -> Self {
        Self { what, kept: Kept::Nothing, bytes: 0, digest: (what == Use::Digest).then(Sha256::new) }
    }

    /// Takes the next piece; fails where more would have to be kept than may be.
    #[inline]
    pub fn push(&mut self, data: Bytes) -> Result<(), Failure> {
        self.bytes += data.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(&data);
        }
        if self.what == Use::Keep && !self.kept.push(data) {
            return Err(too_long());
        }
        Ok(())
    }

    /// The body is complete.
    pub fn finish(self) -> Received {
        let sha256 = self.digest.map(|digest| digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        Received { body: self.kept.into_bytes(), bytes: self.bytes, sha256 }
    }
}

fn too_long() -> Failure {
    let limit = MAX_BODY / (1024 * 1024);
    Failure::new(
        Reason::Other,
        format!(
            "the body is longer than {limit} MiB, the most that is kept; with `discard_body: true` it is read and counted only"
        ),
    )
}

/// A body as it comes: most are one piece, which is kept as it is.
enum Kept {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Kept {
    /// Whether it still fits.
    fn push(&mut self, data: Bytes) -> bool {
        let length = match self {
            Kept::Nothing => 0,
            Kept::One(first) => first.len(),
            Kept::Many(all) => all.len(),
        };
        if length + data.len() > MAX_BODY {
            return false;
        }
        match std::mem::replace(self, Kept::Nothing) {
            Kept::Nothing => *self = Kept::One(data),
            Kept::One(first) => {
                let mut all = BytesMut::with_capacity(2 * (first.len() + data.len()));
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                *self = Kept::Many(all);
            }
            Kept::Many(mut all) => {
                all.extend_from_slice(&data);
                *self = Kept::Many(all);
            }
        }
        true
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Kept::Nothing => Bytes::new(),
            Kept::One(bytes) => bytes,
            Kept::Many(bytes) => bytes.freeze(),
        }
    }
}
