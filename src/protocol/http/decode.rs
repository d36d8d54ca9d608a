//! Unpacking of answers: gzip and deflate, bounded.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::failure::Failure;
use crate::base::Reason;
use crate::net::unpack::{UnpackError, unpack_some};

/// What is asked for with `compression: true`.
pub(super) const ACCEPTED: &str = "gzip, deflate";

/// How much of a body that is unpacked is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it, up to so many bytes: a longer one is an error.
    All(usize),
    /// Its beginning, of so many bytes: nobody reads it. Whether it is whole is looked at up to so many bytes, as if somebody did.
    Beginning(usize, usize),
}

/// The body as its `Content-Encoding` says. An encoding that isn't ours is left as it is, unless the `step_reads` the body.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, wanted: Wanted, step_reads: bool) -> Result<Bytes, Failure> {
    if body.is_empty() || !headers.contains_key(CONTENT_ENCODING) {
        return Ok(body);
    }
    let encodings: Vec<_> =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let (keep, most) = match wanted {
        Wanted::All(most) => (most, most),
        Wanted::Beginning(keep, most) => (keep, most),
    };
    let packed = body.len();
    match (unpack_some(&encodings.join(","), body.clone(), keep, most), wanted) {
        (Ok(unpacked), Wanted::All(most)) if !unpacked.whole => {
            Err(Failure::too_long(&format!("the body of {packed} bytes is longer than that when it is unpacked"), most))
        }
        (Ok(unpacked), _) => Ok(unpacked.bytes),
        (Err(UnpackError::Unknown(_)), _) if !step_reads => Ok(body),
        (Err(error), _) => Err(Failure::new(Reason::Protocol, error.to_string())),
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
        decode(&headers, body, Wanted::All(1000), true)
    }

    #[test]
    fn unpacks_what_was_asked_for() {
        let text = &b"a body, a body, a body"[..];
        let level = Compression::default();
        assert_eq!(with("GZIP", packed(GzEncoder::new(text, level))).unwrap(), text);
        assert_eq!(with("deflate", packed(ZlibEncoder::new(text, level))).unwrap(), text);
        assert_eq!(with("deflate", packed(DeflateEncoder::new(text, level))).unwrap(), text);
        assert_eq!(with("identity", Bytes::from_static(text)).unwrap(), text);
        let twice = packed(ZlibEncoder::new(&packed(GzEncoder::new(text, level))[..], level));
        assert_eq!(with("gzip, identity, Deflate", twice).unwrap(), text);
        assert_eq!((with("gzip", Bytes::new()).unwrap(), with("br", Bytes::new()).unwrap()), ("".into(), "".into()));
        assert_eq!(with("gzip", Bytes::from_static(text)).unwrap_err().reason, Reason::Protocol);
    }

    #[test]
    fn an_encoding_that_is_not_ours_is_named_where_the_body_is_read() {
        let text = Bytes::from_static(b"?");
        for encoding in ["br2", "zstd", "gzip, br2"] {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
            let failure = decode(&headers, text.clone(), Wanted::All(10), true).unwrap_err();
            let name = encoding.rsplit(' ').next().unwrap();
            assert_eq!(failure.detail, format!("the body is packed as `{name}`, and only gzip and deflate can be unpacked here"));
            assert_eq!(decode(&headers, text.clone(), Wanted::Beginning(10, 10), false).unwrap(), text);
        }
    }

    #[test]
    fn a_packed_body_is_judged_the_same_whether_anybody_reads_it_or_not() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let level = Compression::default();
        let gzip = packed(GzEncoder::new(&text[..], level));
        let zlib = packed(ZlibEncoder::new(&text[..], level));
        let and = |body: &Bytes, more: &[u8]| Bytes::from([body, more].concat());
        let mut crc = gzip.to_vec();
        let at = crc.len() - 6;
        crc[at] ^= 1;
        for (encoding, body, wrong) in [
            ("gzip", gzip.clone(), ""),
            ("gzip", and(&gzip, &[0; 1000]), ""),
            ("gzip", and(&gzip, &gzip), ""),
            ("deflate", zlib.clone(), ""),
            ("deflate", and(&zlib, &[0; 3]), ""),
            ("deflate", packed(DeflateEncoder::new(&text[..], level)), ""),
            ("gzip", gzip.slice(..gzip.len() - 9), "cannot be unpacked as gzip: "),
            ("gzip", gzip.slice(..gzip.len() - 1), "cannot be unpacked as gzip: "),
            ("gzip", crc.into(), "cannot be unpacked as gzip: "),
            ("gzip", and(&gzip, b"\0junk"), "5 bytes that belong to nothing stand behind its end"),
            ("gzip", and(&gzip, b"\x1f\x8b"), "cannot be unpacked as gzip: "),
            ("deflate", zlib.slice(..zlib.len() - 1), "cannot be unpacked as deflate: "),
            ("deflate", and(&zlib, b"junk"), "cannot be unpacked as deflate: "),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
            for wanted in [Wanted::All(10_000_000), Wanted::Beginning(100, 10_000_000)] {
                let decoded = decode(&headers, body.clone(), wanted, false).map_err(|failure| failure.detail);
                match wrong {
                    "" => assert!(decoded.unwrap().starts_with(&text[..100]), "{encoding} {wanted:?}"),
                    wrong => assert!(decoded.as_ref().unwrap_err().contains(wrong), "{encoding} {wanted:?} {wrong}: {decoded:?}"),
                }
            }
        }
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
            let of = |wanted| decode(&headers, bomb.clone(), wanted, false);
            let failure = of(Wanted::All(99_999)).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol);
            let wanted =
                format!("the body of {} bytes is longer than that when it is unpacked, and `max_body` is 99999", bomb.len());
            assert!(failure.detail.starts_with(&wanted), "{}", failure.detail);
            assert_eq!(of(Wanted::All(100_000)).unwrap().len(), 100_000);
            assert_eq!(of(Wanted::Beginning(10, 1000)).unwrap(), [0; 10][..], "nobody reads it");
        }
    }
}
