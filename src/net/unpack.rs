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
    match unpack_some(encoding, body, limit)? {
        (unpacked, true) => Ok(unpacked),
        (_, false) => Err(UnpackError::TooLong { limit }),
    }
}

/// The same, cut at `most` bytes; and whether that is all of it.
///
/// # Errors
/// It is broken.
pub fn unpack_some(encoding: &[u8], body: Bytes, most: usize) -> Result<(Bytes, bool), UnpackError> {
    if body.is_empty() {
        return Ok((body, true));
    }
    match encoding.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => read(MultiGzDecoder::new(&body[..]), "gzip", most),
        // RFC 9110 means zlib's format; some servers send the bare stream.
        b"deflate" => {
            read(ZlibDecoder::new(&body[..]), "deflate", most).or_else(|_| read(DeflateDecoder::new(&body[..]), "deflate", most))
        }
        _ => Ok((body, true)),
    }
}

fn read(reader: impl Read, encoding: &'static str, most: usize) -> Result<(Bytes, bool), UnpackError> {
    let mut out = Vec::new();
    let broken = |error: std::io::Error| UnpackError::Broken { encoding, message: error.to_string() };
    reader.take(most as u64 + 1).read_to_end(&mut out).map_err(broken)?;
    let whole = out.len() <= most;
    out.truncate(most);
    Ok((out.into(), whole))
}
