//! What becomes of an answer's body as it comes: kept, kept if it is short, or counted only; with its SHA-256 if that is wanted.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::spec::Spec;
use crate::expr::hex;

/// The longest body that is kept where nothing of the profile reads it, in bytes.
const SHORT: usize = 256 * 1024;
/// How much of a longer one is kept, for an example of an error.
pub(super) const BEGINNING: usize = 64 * 1024;

/// What to do with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    keep: Keep,
    /// The longest body that is kept to be read.
    most: usize,
    /// Whether the SHA-256 is wanted.
    hash: bool,
}

/// How much of a body is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// All, up to the longest that may be.
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
        Self { keep, most: spec.max_body, hash: spec.sha256 }
    }
}

/// The body of an answer.
pub(super) struct Received {
    /// What was kept of it. It was read to its end, and its connection goes on, where it was too long for that.
    pub body: Result<Bytes, Failure>,
    /// Whether that is less than was to be kept of a short one.
    pub cut: bool,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hex, where it was asked for and can't be worked out from what was kept.
    pub sha256: Option<Box<str>>,
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

    /// Takes the next piece. What is longer than may be kept is counted only.
    #[inline]
    pub fn push(&mut self, data: Bytes) {
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
            Keep::All if self.bytes > self.what.most as u64 => self.kept = Kept::Nothing,
            Keep::All | Keep::Short => self.kept.push(data),
        }
    }

    /// The body is complete.
    pub fn finish(self) -> Received {
        let (bytes, most) = (self.bytes, self.what.most);
        let body = match self.what.keep == Keep::All && bytes > most as u64 {
            true => Err(Failure::too_long(&format!("the body has {bytes} bytes"), most)),
            false => Ok(self.kept.into_bytes()),
        };
        let sha256 = self.digest.map(|digest| hex(&digest.finalize()).into());
        Received { body, cut: self.cut, bytes, sha256 }
    }
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

    /// What is kept of a body of these pieces; its length, whether it was cut, all of its length, its hash.
    fn taken(keep: Keep, hash: bool, pieces: &[usize]) -> (usize, bool, u64, Option<String>) {
        let taken = taken_up_to(keep, usize::MAX, hash, pieces);
        (taken.body.unwrap().len(), taken.cut, taken.bytes, taken.sha256.map(String::from))
    }

    fn taken_up_to(keep: Keep, most: usize, hash: bool, pieces: &[usize]) -> Received {
        let mut collector = Collector::new(Use { keep, most, hash }, &HeaderMap::new());
        pieces.iter().for_each(|length| collector.push(vec![b'x'; *length].into()));
        collector.finish()
    }

    fn hash(length: usize) -> Option<String> {
        Some(Sha256::digest(vec![b'x'; length]).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    #[test]
    fn short_bodies_are_kept_and_long_ones_counted_where_nobody_reads_them() {
        let short = SHORT as u64;
        assert_eq!(taken(Keep::Short, true, &[1000, SHORT - 1000]), (SHORT, false, short, None), "what is kept gives its hash");
        let long = taken(Keep::Short, true, &[SHORT, 1, 500_000]);
        assert_eq!(long, (BEGINNING, true, short + 500_001, hash(SHORT + 500_001)));
        assert_eq!(taken(Keep::Short, false, &[SHORT + 1]).3, None);
        assert_eq!(taken(Keep::Short, true, &[SHORT + 1]), (0, true, short + 1, hash(SHORT + 1)), "in one piece");
    }

    #[test]
    fn all_or_nothing_is_kept() {
        let all = 2 * SHORT + 10;
        assert_eq!(taken(Keep::All, true, &[10, SHORT, SHORT]), (all, false, all as u64, None));
        assert_eq!(taken(Keep::Nothing, true, &[10, 20]), (0, false, 30, hash(30)));
        assert_eq!(taken(Keep::Nothing, true, &[]).3, hash(0));
    }

    #[test]
    fn what_is_to_be_read_has_a_longest_length_and_its_size_is_reported() {
        let of = |keep, pieces: &[usize]| taken_up_to(keep, 1000, false, pieces);
        assert_eq!(of(Keep::All, &[400, 600]).body.map(|all| all.len()), Ok(1000));
        let failure = of(Keep::All, &[400, 601, 7_000_000]).body.unwrap_err();
        assert_eq!(failure.reason, crate::base::Reason::Protocol);
        assert!(failure.detail.starts_with("the body has 7001001 bytes, and `max_body` is 1000 bytes"), "{}", failure.detail);
        for keep in [Keep::Short, Keep::Nothing] {
            assert_eq!(of(keep, &[7_000_000]).bytes, 7_000_000, "nobody reads it");
        }
    }

    #[test]
    fn what_is_packed_is_kept_for_its_hash() {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"))]);
        for (hash, cut) in [(true, false), (false, true)] {
            let mut collector = Collector::new(Use { keep: Keep::Short, most: SHORT + 1, hash }, &headers);
            collector.push(vec![0; SHORT + 1].into());
            assert_eq!(collector.finish().cut, cut);
        }
    }
}
