//! Unpacking of bodies, bounded.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// Why a body isn't unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// It isn't what it says it is.
    #[error("the body cannot be unpacked as {encoding}: {message}")]
    Broken {
        /// What it says it is.
        encoding: &'static str,
        /// What is wrong.
        message: String,
    },
    /// It has more bytes than are kept.
    #[error("unpacked, the body is longer than {limit} bytes")]
    TooLong {
        /// The most that is kept.
        limit: usize,
    },
    /// It is packed in a way that isn't one of ours.
    #[error("the body is packed as `{0}`, and only gzip and deflate can be unpacked here")]
    Unknown(String),
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Deflate,
}

/// A body as it was before it was packed.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Its beginning, as far as it was to be kept.
    pub bytes: Bytes,
    /// Whether it came to its end within the most that was to be unpacked.
    pub whole: bool,
}

/// The body that `encoding` (of `Content-Encoding`) packs, of at most `limit` bytes.
///
/// # Errors
/// It is broken, too long, or packed in a way that isn't one of ours.
pub fn unpack(encoding: &str, body: Bytes, limit: usize) -> Result<Bytes, UnpackError> {
    let unpacked = unpack_some(encoding, body, limit, limit)?;
    if unpacked.whole { Ok(unpacked.bytes) } else { Err(UnpackError::TooLong { limit }) }
}

/// The same, of which only the first `keep` bytes are kept, and what is behind the first `most` isn't looked at.
///
/// # Errors
/// It is broken, or packed in a way that isn't one of ours.
pub fn unpack_some(encoding: &str, body: Bytes, keep: usize, most: usize) -> Result<Unpacked, UnpackError> {
    let mut layers = layers(encoding)?;
    let mut unpacked = Unpacked { bytes: body, whole: true };
    // What was packed last is unpacked first.
    while let Some(packing) = layers.pop() {
        let keep = if layers.is_empty() { keep } else { most };
        if !unpacked.whole {
            // What is left of it is still packed.
            return Ok(Unpacked { bytes: Bytes::new(), whole: false });
        }
        if unpacked.bytes.is_empty() {
            break;
        }
        unpacked = packing.open(&unpacked.bytes, keep, most)?;
    }
    Ok(unpacked)
}

/// In which ways a body is packed, one after the other.
fn layers(encoding: &str) -> Result<Vec<Packing>, UnpackError> {
    let names = encoding.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        .map(|name| match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Ok(Packing::Gzip),
            "deflate" => Ok(Packing::Deflate),
            _ => Err(UnpackError::Unknown(name.chars().take(50).collect())),
        })
        .collect()
}

impl Packing {
    fn open(self, body: &[u8], keep: usize, most: usize) -> Result<Unpacked, UnpackError> {
        let (encoding, opened) = match self {
            Self::Gzip => ("gzip", gzip(body, keep, most)),
            // RFC 9110 means zlib's format; some servers send the bare stream.
            Self::Deflate => {
                let bare = || alone(DeflateDecoder::new(body), keep, most, DeflateDecoder::into_inner);
                ("deflate", alone(ZlibDecoder::new(body), keep, most, ZlibDecoder::into_inner).or_else(|_| bare()))
            }
        };
        opened.map_err(|error| UnpackError::Broken { encoding, message: error.to_string() })
    }
}

/// Streams of gzip, one behind the other (RFC 1952, 2.2).
fn gzip(mut body: &[u8], keep: usize, most: usize) -> io::Result<Unpacked> {
    let mut sink = Sink::new(keep, most);
    loop {
        let mut decoder = GzDecoder::new(body);
        if !sink.take(&mut decoder)? {
            return Ok(sink.finish(false));
        }
        body = decoder.into_inner();
        if !body.starts_with(b"\x1f\x8b") {
            return nothing_in(body).map(|()| sink.finish(true));
        }
    }
}

/// One stream with nothing behind it.
fn alone<'b, D: Read>(mut decoder: D, keep: usize, most: usize, rest: impl Fn(D) -> &'b [u8]) -> io::Result<Unpacked> {
    let mut sink = Sink::new(keep, most);
    if !sink.take(&mut decoder)? {
        return Ok(sink.finish(false));
    }
    nothing_in(rest(decoder)).map(|()| sink.finish(true))
}

/// Behind a stream there may be NULs, with which blocks are filled up.
fn nothing_in(rest: &[u8]) -> io::Result<()> {
    match rest.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} bytes that belong to nothing stand behind its end", rest.len()),
        )),
    }
}

/// Takes what is unpacked: keeps its beginning, and counts the rest.
struct Sink {
    kept: Vec<u8>,
    keep: usize,
    most: usize,
    bytes: usize,
}

impl Sink {
    fn new(keep: usize, most: usize) -> Self {
        Self { kept: Vec::new(), keep: keep.min(most), most, bytes: 0 }
    }

    /// Reads to the end; whether that comes within the most that is looked at.
    fn take(&mut self, decoder: &mut impl Read) -> io::Result<bool> {
        let room = self.keep.saturating_sub(self.kept.len());
        self.bytes += Read::take(&mut *decoder, room as u64).read_to_end(&mut self.kept)?;
        let mut aside = [0; 8 * 1024];
        loop {
            match decoder.read(&mut aside)? {
                0 => return Ok(true),
                read => self.bytes += read,
            }
            if self.bytes > self.most {
                return Ok(false);
            }
        }
    }

    fn finish(self, whole: bool) -> Unpacked {
        Unpacked { bytes: self.kept.into(), whole }
    }
}
