//! Unpacking of answers: gzip and deflate, bounded.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::MAX_BODY;
use super::failure::Failure;
use crate::base::Reason;
use crate::net::unpack::{UnpackError, unpack};

/// What is asked for with `compression: true`.
pub(super) const ACCEPTED: &str = "gzip, deflate";

/// The body as its `Content-Encoding` says; encodings that were not asked for are left as they are.
pub(super) fn decode(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Failure> {
    decode_within(headers, body, MAX_BODY)
}

fn decode_within(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, Failure> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    unpack(encoding.as_bytes(), body, limit).map_err(|error| match error {
        UnpackError::Broken { .. } => Failure::new(Reason::Protocol, error.to_string()),
        UnpackError::TooLong { limit } => {
            let limit = limit / (1024 * 1024);
            let message =
                format!("unpacked, the body is longer than {limit} MiB, the most that is kept; set `discard_body: true`");
            Failure::new(Reason::Other, message)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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
        within(encoding, body, MAX_BODY)
    }

    fn within(encoding: &'static str, body: Bytes, limit: usize) -> Result<Bytes, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        decode_within(&headers, body, limit)
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
        assert_eq!(within("gzip", bomb.clone(), 99_999).unwrap_err().reason, Reason::Other);
        assert_eq!(within("gzip", bomb, 100_000).unwrap().len(), 100_000);
    }
}
