//! Unpacking of answers: gzip and deflate, bounded.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::MAX_BODY;
use super::failure::Failure;
use crate::base::Reason;

/// What is asked for with `compression: true`.
pub(super) const ACCEPTED: &str = "gzip, deflate";

/// The body as its `Content-Encoding` says; encodings that were not asked for are left as they are.
pub(super) fn decode(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Failure> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    if body.is_empty() {
        return Ok(body);
    }
    match encoding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => unpack(MultiGzDecoder::new(&body[..]), "gzip", MAX_BODY),
        // RFC 9110 means zlib's format; some servers send the bare stream.
        b"deflate" => unpack(ZlibDecoder::new(&body[..]), "deflate", MAX_BODY).or_else(|failure| match failure.reason {
            Reason::Protocol => unpack(DeflateDecoder::new(&body[..]), "deflate", MAX_BODY),
            _ => Err(failure),
        }),
        _ => Ok(body),
    }
}

fn unpack(reader: impl Read, encoding: &str, limit: usize) -> Result<Bytes, Failure> {
    let mut out = Vec::new();
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| Failure::new(Reason::Protocol, format!("the body cannot be unpacked as {encoding}: {error}")))?;
    if out.len() > limit {
        let limit = limit / (1024 * 1024);
        return Err(Failure::new(
            Reason::Other,
            format!("unpacked, the body is longer than {limit} MiB, the most that is kept; set `discard_body: true`"),
        ));
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    fn packed(mut reader: impl Read) -> Bytes {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        out.into()
    }

    fn with(encoding: &'static str, body: Bytes) -> Result<Bytes, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        decode(&headers, body)
    }

    #[test]
    fn unpacks_what_was_asked_for() {
        let text = &b"a body, a body, a body"[..];
        let level = Compression::default();
        assert_eq!(with("GZIP", packed(GzEncoder::new(text, level))).unwrap(), text);
        assert_eq!(with("deflate", packed(ZlibEncoder::new(text, level))).unwrap(), text);
        assert_eq!(with("deflate", packed(DeflateEncoder::new(text, level))).unwrap(), text);
        assert_eq!(with("br", Bytes::from_static(text)).unwrap(), text);
        assert_eq!(with("gzip", Bytes::new()).unwrap(), "");
        assert_eq!(with("gzip", Bytes::from_static(text)).unwrap_err().reason, Reason::Protocol);
    }

    #[test]
    fn a_bomb_is_cut() {
        let bomb = packed(GzEncoder::new(std::io::repeat(0).take(100_000), Compression::best()));
        let failure = unpack(MultiGzDecoder::new(&bomb[..]), "gzip", 99_999).unwrap_err();
        assert_eq!(failure.reason, Reason::Other);
        assert_eq!(unpack(MultiGzDecoder::new(&bomb[..]), "gzip", 100_000).unwrap().len(), 100_000);
    }
}
