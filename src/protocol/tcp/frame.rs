//! Where one message ends and the next begins in a stream of bytes.

use bytes::{Buf, Bytes, BytesMut};

/// How messages are framed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Frame {
    /// A line: sent with its newline; taken without it, and without a carriage return before it.
    #[default]
    Line,
    /// Up to these bytes, which are sent behind a message and taken off it; never empty.
    Until(Bytes),
    /// A length before each message, which counts the message only.
    Length(Width),
    /// No frames: what is written goes as it is, and what is read at once is a message.
    Raw,
}

/// A length on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    U8,
    /// Two bytes, the high one first.
    U16Be,
    /// Two bytes, the low one first.
    U16Le,
    /// Four bytes, the high one first.
    U32Be,
    /// Four bytes, the low one first.
    U32Le,
}

impl Width {
    /// Its name in a profile, and the width of that name.
    pub const NAMES: [(&'static str, Width); 5] =
        [("u8", Width::U8), ("u16be", Width::U16Be), ("u16le", Width::U16Le), ("u32be", Width::U32Be), ("u32le", Width::U32Le)];

    const fn bytes(self) -> usize {
        match self {
            Width::U8 => 1,
            Width::U16Be | Width::U16Le => 2,
            Width::U32Be | Width::U32Le => 4,
        }
    }

    fn put(self, length: usize, out: &mut BytesMut) -> Result<(), String> {
        let too_long = |_| format!("a message of {length} bytes is too long for the length before it");
        match self {
            Width::U8 => out.extend_from_slice(&u8::try_from(length).map_err(too_long)?.to_be_bytes()),
            Width::U16Be => out.extend_from_slice(&u16::try_from(length).map_err(too_long)?.to_be_bytes()),
            Width::U16Le => out.extend_from_slice(&u16::try_from(length).map_err(too_long)?.to_le_bytes()),
            Width::U32Be => out.extend_from_slice(&u32::try_from(length).map_err(too_long)?.to_be_bytes()),
            Width::U32Le => out.extend_from_slice(&u32::try_from(length).map_err(too_long)?.to_le_bytes()),
        }
        Ok(())
    }

    /// The length that `bytes` begin with, if all of it is there.
    fn get(self, mut bytes: &[u8]) -> Option<usize> {
        if bytes.len() < self.bytes() {
            return None;
        }
        let length = match self {
            Width::U8 => u32::from(bytes.get_u8()),
            Width::U16Be => u32::from(bytes.get_u16()),
            Width::U16Le => u32::from(bytes.get_u16_le()),
            Width::U32Be => bytes.get_u32(),
            Width::U32Le => bytes.get_u32_le(),
        };
        usize::try_from(length).ok()
    }
}

impl Frame {
    /// Appends a message with its frame to `out`. A delimiter that the message ends with already isn't sent twice.
    pub(super) fn encode(&self, message: &[u8], out: &mut BytesMut) -> Result<(), String> {
        if let Frame::Length(width) = self {
            width.put(message.len(), out)?;
        }
        out.extend_from_slice(message);
        if let Some(delimiter) = self.delimiter().filter(|delimiter| !message.ends_with(delimiter)) {
            out.extend_from_slice(delimiter);
        }
        Ok(())
    }

    /// Takes the first message off `buffer`, if all of it is there. `scanned` is how many of its bytes have been looked through
    /// in vain; the caller sets it to 0 with a new buffer.
    pub(super) fn decode(&self, buffer: &mut BytesMut, scanned: &mut usize, longest: usize) -> Result<Option<Bytes>, String> {
        let too_long =
            |length: usize| format!("the peer sent a message of {length} bytes or more, and `max_message` is {longest}");
        match self {
            Frame::Raw => Ok((!buffer.is_empty()).then(|| buffer.split().freeze())),
            Frame::Length(width) => {
                let Some(length) = width.get(buffer) else { return Ok(None) };
                if length > longest {
                    return Err(too_long(length));
                }
                if buffer.len() < width.bytes() + length {
                    return Ok(None);
                }
                buffer.advance(width.bytes());
                Ok(Some(buffer.split_to(length).freeze()))
            }
            Frame::Line | Frame::Until(_) => {
                let delimiter = self.delimiter().unwrap_or(b"\n");
                let Some(length) = find(buffer, *scanned, delimiter) else {
                    // The delimiter may have begun.
                    *scanned = (buffer.len() + 1).saturating_sub(delimiter.len());
                    return if *scanned > longest { Err(too_long(*scanned)) } else { Ok(None) };
                };
                *scanned = 0;
                if length > longest {
                    return Err(too_long(length));
                }
                let delimiter = delimiter.len();
                let mut message = buffer.split_to(length).freeze();
                buffer.advance(delimiter);
                if *self == Frame::Line && message.ends_with(b"\r") {
                    message.truncate(length - 1);
                }
                Ok(Some(message))
            }
        }
    }

    fn delimiter(&self) -> Option<&[u8]> {
        match self {
            Frame::Line => Some(b"\n"),
            Frame::Until(delimiter) => Some(delimiter),
            Frame::Length(_) | Frame::Raw => None,
        }
    }
}

/// Where `wanted` begins in `bytes`, from `from` on.
fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    match wanted {
        [only] => bytes[from..].iter().position(|byte| byte == only).map(|at| from + at),
        [] => None,
        _ => bytes[from..].windows(wanted.len()).position(|window| window == wanted).map(|at| from + at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONGEST: usize = 64;

    /// The messages of a stream that comes in pieces.
    fn decode(frame: &Frame, pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, String> {
        let (mut buffer, mut scanned, mut messages) = (BytesMut::new(), 0, Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(message) = frame.decode(&mut buffer, &mut scanned, LONGEST)? {
                messages.push(message.to_vec());
            }
        }
        Ok(messages)
    }

    #[test]
    fn lines_end_with_either_newline() {
        assert_eq!(decode(&Frame::Line, &[b"a\r\nb", b"c\n\n\r", b"\nx"]).unwrap(), [&b"a"[..], b"bc", b"", b""]);
        let mut out = BytesMut::new();
        Frame::Line.encode(b"PING", &mut out).unwrap();
        Frame::Line.encode(b"PONG\r\n", &mut out).unwrap();
        assert_eq!(&out[..], b"PING\nPONG\r\n");
    }

    #[test]
    fn what_is_too_long_is_reported_before_it_is_all_there() {
        let long = [b'x'; LONGEST + 1];
        for frame in [Frame::Line, Frame::Until(Bytes::from_static(b"\r\n\r\n"))] {
            assert_eq!(decode(&frame, &[&long[..LONGEST]]).unwrap().len(), 0);
            assert!(decode(&frame, &[&long, b"xxxx"]).unwrap_err().contains("`max_message`"));
        }
        assert!(decode(&Frame::Length(Width::U32Be), &[&[0, 0, 0, 65]]).unwrap_err().contains("65 bytes"));
        assert!(Frame::Length(Width::U8).encode(&[0; 256], &mut BytesMut::new()).is_err());
    }

    fn frames() -> impl Strategy<Value = Frame> {
        let width = prop::sample::select(Width::NAMES.map(|(_, width)| Frame::Length(width)).to_vec());
        let until = prop::collection::vec(b'0'..=b'2', 1..4).prop_map(|bytes| Frame::Until(bytes.into()));
        prop_oneof![Just(Frame::Line), until, width]
    }

    proptest! {
        #[test]
        fn messages_come_as_they_were_sent_however_they_are_cut(
            frame in frames(),
            messages in prop::collection::vec(prop::collection::vec(b'a'..=b'd', 0..LONGEST), 0..6),
            cuts in prop::collection::vec(1usize..40, 1..20),
        ) {
            let mut wire = BytesMut::new();
            for message in &messages {
                frame.encode(message, &mut wire).unwrap();
            }
            let (mut rest, mut pieces) = (&wire[..], Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, left) = rest.split_at(rest.len().min(*cut));
                pieces.push(piece);
                rest = left;
            }
            prop_assert_eq!(decode(&frame, &pieces).unwrap(), messages);
        }
    }
}
