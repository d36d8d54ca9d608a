//! What becomes of an answer's body as it comes: kept, kept if it is short, or counted only; with its SHA-256 if that is wanted.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use sha2::{Digest, Sha256};

use super::MAX_BODY;
use super::failure::Failure;
use super::spec::Spec;
use crate::base::Reason;
use crate::expr::hex;

/// The longest body that is kept where nothing of the profile reads it, in bytes.
const SHORT: usize = 256 * 1024;
/// How much of a longer one is kept, for an example of an error.
const BEGINNING: usize = 64 * 1024;

/// What to do with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    keep: Keep,
    /// Whether the SHA-256 is wanted.
    hash: bool,
}

/// How much of a body is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// All, up to [`MAX_BODY`].
    All,
    /// All of a short one, the beginning of a longer one.
    Short,
    /// Nothing.
    Nothing,
}

impl Use {
    /// What a request wants.
    pub fn of(spec: &Spec) -> Self {
        let keep = match (spec.discard_body, spec.reads_body) {
            (true, _) => Keep::Nothing,
            (false, true) => Keep::All,
            (false, false) => Keep::Short,
        };
        Self { keep, hash: spec.sha256 }
    }
}

/// The body of an answer.
pub(super) struct Received {
    /// What was kept of it.
    pub body: Bytes,
    /// Whether that is less than was to be kept of a short one.
    pub cut: bool,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hex, where it was asked for and what was kept doesn't tell it.
    pub sha256: Option<String>,
}

/// A body that is coming.
pub(super) struct Collector {
    what: Use,
    digest: Option<Sha256>,
    kept: Kept,
    cut: bool,
    bytes: u64,
}

impl Collector {
    /// For the body behind these headers.
    pub fn new(mut what: Use, headers: &HeaderMap) -> Self {
        if what.hash && what.keep == Keep::Short && headers.contains_key(CONTENT_ENCODING) {
            // The hash is that of the body unpacked.
            what.keep = Keep::All;
        }
        let digest = (what.hash && what.keep == Keep::Nothing).then(Sha256::new);
        Self { what, digest, kept: Kept::Nothing, cut: false, bytes: 0 }
    }

    /// Takes the next piece; fails where more would have to be kept than may be.
    #[inline]
    pub fn push(&mut self, data: Bytes) -> Result<(), Failure> {
        self.bytes += data.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(&data);
        }
        match self.what.keep {
            Keep::Nothing => {}
            Keep::Short if self.cut => {}
            Keep::Short if self.kept.bytes().len() + data.len() > SHORT => {
                let kept = self.kept.bytes();
                self.digest = self.what.hash.then(|| Sha256::new().chain_update(kept).chain_update(&data));
                self.kept = Kept::One(Bytes::copy_from_slice(&kept[..kept.len().min(BEGINNING)]));
                self.cut = true;
            }
            Keep::All | Keep::Short => {
                if self.kept.bytes().len() + data.len() > MAX_BODY {
                    return Err(too_long());
                }
                self.kept.push(data);
            }
        }
        Ok(())
    }

    /// The body is complete.
    pub fn finish(self) -> Received {
        let sha256 = self.digest.map(|digest| hex(&digest.finalize()));
        Received { body: self.kept.into_bytes(), cut: self.cut, bytes: self.bytes, sha256 }
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
    fn bytes(&self) -> &[u8] {
        match self {
            Kept::Nothing => &[],
            Kept::One(first) => first,
            Kept::Many(all) => all,
        }
    }

    fn push(&mut self, data: Bytes) {
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
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Kept::Nothing => Bytes::new(),
            Kept::One(bytes) => bytes,
            Kept::Many(bytes) => bytes.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(keep: Keep, hash: bool, pieces: &[usize]) -> Received {
        let mut collector = Collector::new(Use { keep, hash }, &HeaderMap::new());
        for length in pieces {
            assert_eq!(collector.push(vec![b'x'; *length].into()), Ok(()));
        }
        collector.finish()
    }

    fn hash(length: usize) -> Option<String> {
        Some(Sha256::digest(vec![b'x'; length]).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    #[test]
    fn short_bodies_are_kept_and_long_ones_counted_where_nobody_reads_them() {
        let short = taken(Keep::Short, true, &[1000, SHORT - 1000]);
        assert_eq!((short.body.len(), short.cut, short.sha256), (SHORT, false, None), "what is kept tells its hash");
        let long = taken(Keep::Short, true, &[SHORT, 1, 500_000]);
        assert_eq!((long.body.len(), long.cut, long.bytes), (BEGINNING, true, SHORT as u64 + 500_001));
        assert_eq!(long.sha256, hash(SHORT + 500_001));
        assert_eq!(taken(Keep::Short, false, &[SHORT + 1]).sha256, None);
        let one = taken(Keep::Short, true, &[SHORT + 1]);
        assert_eq!((one.body.len(), one.sha256), (0, hash(SHORT + 1)), "in one piece");
    }

    #[test]
    fn all_or_nothing_is_kept() {
        let all = taken(Keep::All, true, &[10, SHORT, SHORT]);
        assert_eq!((all.body.len(), all.cut, all.sha256), (2 * SHORT + 10, false, None));
        let none = taken(Keep::Nothing, true, &[10, 20]);
        assert_eq!((none.body.len(), none.bytes, none.sha256), (0, 30, hash(30)));
        assert_eq!(taken(Keep::Nothing, true, &[]).sha256, hash(0));
        let mut collector = Collector::new(Use { keep: Keep::All, hash: false }, &HeaderMap::new());
        assert_eq!(collector.push(vec![0; MAX_BODY].into()), Ok(()));
        assert!(collector.push(vec![0].into()).unwrap_err().detail.contains("`discard_body: true`"));
    }

    #[test]
    fn what_is_packed_is_kept_for_its_hash() {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"))]);
        for (hash, cut) in [(true, false), (false, true)] {
            let mut collector = Collector::new(Use { keep: Keep::Short, hash }, &headers);
            assert_eq!(collector.push(vec![0; SHORT + 1].into()), Ok(()));
            assert_eq!(collector.finish().cut, cut);
        }
    }
}
