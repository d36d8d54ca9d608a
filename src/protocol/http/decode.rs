//! Unpacking of answers: gzip and deflate, bounded.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::failure::Failure;
use crate::base::Reason;
use crate::net::unpack::unpack_some;

/// What is asked for with `compression: true`.
pub(super) const ACCEPTED: &str = "gzip, deflate";

/// How much of a body that is unpacked is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it, up to so many bytes: a longer one is an error.
    All(usize),
    /// Its beginning, of so many bytes: nobody reads it.
    Beginning(usize),
}

/// The body as its `Content-Encoding` says; encodings that were not asked for are left as they are.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, wanted: Wanted) -> Result<Bytes, Failure> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    let (Wanted::All(most) | Wanted::Beginning(most)) = wanted;
    let packed = body.len();
    let (unpacked, whole) =
        unpack_some(encoding.as_bytes(), body, most).map_err(|error| Failure::new(Reason::Protocol, error.to_string()))?;
    match wanted {
        Wanted::All(most) if !whole => {
            Err(Failure::too_long(&format!("the body of {packed} bytes is longer than that when it is unpacked"), most))
        }
        _ => Ok(unpacked),
    }
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
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        decode(&headers, body, Wanted::All(1000))
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
        let zeros = || std::io::repeat(0).take(100_000);
        let bombs = [
            ("gzip", packed(GzEncoder::new(zeros(), Compression::best()))),
            ("deflate", packed(ZlibEncoder::new(zeros(), Compression::best()))),
            ("deflate", packed(DeflateEncoder::new(zeros(), Compression::best()))),
        ];
        for (encoding, bomb) in bombs {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
            let of = |wanted| decode(&headers, bomb.clone(), wanted);
            let failure = of(Wanted::All(99_999)).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol);
            let wanted =
                format!("the body of {} bytes is longer than that when it is unpacked, and `max_body` is 99999", bomb.len());
            assert!(failure.detail.starts_with(&wanted), "{}", failure.detail);
            assert_eq!(of(Wanted::All(100_000)).unwrap().len(), 100_000);
            assert_eq!(of(Wanted::Beginning(10)).unwrap(), [0; 10][..], "nobody reads it");
        }
    }
}
