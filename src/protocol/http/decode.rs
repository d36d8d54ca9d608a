//! Unpacking of answers: gzip and deflate, bounded.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::failure::Failure;
use crate::base::Reason;

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
    if body.is_empty() {
        return Ok(body);
    }
    let (Wanted::All(most) | Wanted::Beginning(most)) = wanted;
    let (unpacked, encoding) = match encoding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => (unpack(MultiGzDecoder::new(&body[..]), most), "gzip"),
        // RFC 9110 means zlib's format; some servers send the bare stream.
        b"deflate" => {
            let zlib = unpack(ZlibDecoder::new(&body[..]), most);
            (zlib.or_else(|_| unpack(DeflateDecoder::new(&body[..]), most)), "deflate")
        }
        _ => return Ok(body),
    };
    let mut unpacked = unpacked
        .map_err(|error| Failure::new(Reason::Protocol, format!("the body cannot be unpacked as {encoding}: {error}")))?;
    if unpacked.len() > most {
        if let Wanted::All(most) = wanted {
            return Err(Failure::too_long(
                &format!("the body of {} bytes is longer than that when it is unpacked", body.len()),
                most,
            ));
        }
        unpacked.truncate(most);
    }
    Ok(unpacked.into())
}

/// What comes out of it, up to one byte more than `most`.
fn unpack(reader: impl Read, most: usize) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut out)?;
    Ok(out)
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
