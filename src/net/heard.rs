//! How far an answer of HTTP/1 has come, read from its bytes, in whatever pieces they come. Interim answers (1xx, RFC 9110, 15.2) and
//! empty lines before one are none of it.

/// So many bytes of a status line, up to 12; or one of the constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard(pub u8);

/// What all status lines begin with.
const BEGINNING: &[u8] = b"HTTP/1.";

impl Heard {
    /// Nothing of an answer.
    pub const NOTHING: Self = Self(0);
    /// The first digit of a status that may be that of an interim answer.
    const ONE: Self = Self(10);
    /// The first two of one that may be 101, after which something else is spoken.
    const ONE_ZERO: Self = Self(11);
    /// The first two of an interim answer's.
    const INTERIM: Self = Self(12);
    /// The first digit of another.
    const FIRST: Self = Self(13);
    /// The first two.
    const SECOND: Self = Self(14);
    /// A part of a line of an interim answer's head.
    const LINE: Self = Self(15);
    /// The end of such a line.
    const LINE_END: Self = Self(16);
    /// The status of an answer.
    pub const STATUS: Self = Self(17);
    /// What is no answer of HTTP/1.
    const OTHER: Self = Self(18);
    /// Empty lines, behind which an answer is meant to be.
    const EMPTY: Self = Self(19);

    /// What it is once these bytes have come, too.
    pub fn and(self, data: &[u8]) -> Self {
        let mut heard = self;
        for byte in data {
            heard = match (heard, byte) {
                (Self::STATUS | Self::OTHER, _) => return heard,
                (Self::NOTHING | Self::EMPTY, b'\r' | b'\n') => Self::EMPTY,
                (Self::EMPTY, b'H') => Self(1),
                (Self(at @ 0..=6), _) if *byte == BEGINNING[usize::from(at)] => Self(at + 1),
                (Self(7), b'0' | b'1') => Self(8),
                (Self(8), b' ') => Self(9),
                (Self(9), b'1') => Self::ONE,
                (Self(9), b'2'..=b'9') => Self::FIRST,
                (Self::ONE, b'0') => Self::ONE_ZERO,
                (Self::ONE, b'1'..=b'9') => Self::INTERIM,
                (Self::FIRST, b'0'..=b'9') => Self::SECOND,
                (Self::ONE_ZERO, b'1') | (Self::SECOND, b'0'..=b'9') => Self::STATUS,
                (Self::ONE_ZERO | Self::INTERIM, b'0'..=b'9') => Self::LINE,
                (Self::LINE, b'\n') => Self::LINE_END,
                (Self::LINE_END, b'\n') => Self::NOTHING,
                (Self::LINE_END, b'\r') => heard,
                (Self::LINE | Self::LINE_END, _) => Self::LINE,
                _ => Self::OTHER,
            };
        }
        heard
    }

    /// Whether nothing of an answer has come, be it that an interim one has.
    pub fn is_interim(self) -> bool {
        matches!(self, Self::NOTHING | Self::LINE | Self::LINE_END)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_answers_in_any_form_and_any_pieces_are_no_answer() {
        for interim in [
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.0 100\r\n\r\n",
            "HTTP/1.1 110 X\r\n\r\n",
            "HTTP/1.1 199 X\r\na: b\r\nc: d\r\n\r\n",
            "\r\nHTTP/1.1 103 Early\nlink: </a>\n\nHTTP/1.1 103\n\n",
            "HTTP/1.1 103 Early\r\nlink: ",
            "HTTP/1.1 103",
        ] {
            for (answer, heard) in [
                ("", None),
                ("HTTP/1.1 200 OK\r\n", Some(Heard::STATUS)),
                ("HTTP/1.0 799", Some(Heard::STATUS)),
                ("HTTP/1.1 101 ", Some(Heard::STATUS)),
                ("HTTP/1.1 2", Some(Heard::FIRST)),
                ("\r\n", Some(Heard::EMPTY)),
                ("\n\r\nHTTP/1.1 404", Some(Heard::STATUS)),
                ("HTTP/1.1 20 OK", Some(Heard::OTHER)),
                ("HTTP/2.0 200", Some(Heard::OTHER)),
                ("<html>", Some(Heard::OTHER)),
            ] {
                if heard.is_some() && !(interim.is_empty() || interim.ends_with('\n')) {
                    continue;
                }
                let text = format!("{interim}{answer}");
                let whole = Heard::NOTHING.and(text.as_bytes());
                let by_bytes = text.bytes().fold(Heard::NOTHING, |heard, byte| heard.and(&[byte]));
                assert_eq!(whole, by_bytes, "{text:?}");
                assert_eq!(whole.is_interim(), heard.is_none(), "{text:?}");
                assert!(heard.is_none_or(|heard| heard == whole), "{text:?}: {whole:?}");
            }
        }
    }
}
