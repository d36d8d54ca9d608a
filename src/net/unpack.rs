//! Unpacking of bodies, bounded.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

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
}

/// The body that `encoding` (of `Content-Encoding`) packs, of at most `limit` bytes; as it is where the encoding isn't one of ours.
///
/// # Errors
/// It is broken or too long.
pub fn unpack(encoding: &[u8], body: Bytes, limit: usize) -> Result<Bytes, UnpackError> {
    if body.is_empty() {
        return Ok(body);
    }
    match encoding.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => read(MultiGzDecoder::new(&body[..]), "gzip", limit),
        // RFC 9110 means zlib's format; some servers send the bare stream.
        b"deflate" => read(ZlibDecoder::new(&body[..]), "deflate", limit).or_else(|error| match error {
            UnpackError::Broken { .. } => read(DeflateDecoder::new(&body[..]), "deflate", limit),
            UnpackError::TooLong { .. } => Err(error),
        }),
        _ => Ok(body),
    }
}

fn read(reader: impl Read, encoding: &'static str, limit: usize) -> Result<Bytes, UnpackError> {
    let mut out = Vec::new();
    let broken = |error: std::io::Error| UnpackError::Broken { encoding, message: error.to_string() };
    reader.take(limit as u64 + 1).read_to_end(&mut out).map_err(broken)?;
    if out.len() > limit { Err(UnpackError::TooLong { limit }) } else { Ok(out.into()) }
}
