//! JSON as it is read and written here: a number that fits neither 64 bits nor a float stays as it is written.
//!
//! `serde_json` makes a float of a long integer and of `-0`, and refuses `1E400`. So such numbers, which are rare and quickly seen, are
//! marked before a text is parsed: each becomes a text of its digits behind [`MARK`], which stands in no text that is meant for others.

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::Value;
use super::number::{MINUS_ZERO, number};
use super::text::write_string;

/// Begins a text that stands for a number: a noncharacter of Unicode.
const MARK: char = '\u{fdd0}';
/// No integer of fewer digits is too long for 64 bits.
const SHORTEST: usize = 19;

/// What was read.
#[derive(Debug)]
pub struct Tree {
    /// As `serde_json` has it, in which paths compare numbers.
    plain: Json,
    /// The same with marks, where there are any.
    exact: Option<Json>,
}

impl Tree {
    /// Reads JSON, with or without a byte order mark before it (RFC 8259, 8.1); nothing if it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let marked = || marked(bytes).and_then(|text| serde_json::from_slice(&text).ok());
        match serde_json::from_slice(bytes) {
            Ok(plain) => Some(Self { plain, exact: if may_have_odd(bytes) { marked() } else { None } }),
            // A number that no float reaches.
            Err(error) if error.to_string().contains("out of range") => Some(Self { plain: marked()?, exact: None }),
            Err(_) => None,
        }
    }

    /// JSON that was read already; its marks stay.
    pub fn of(json: Json) -> Self {
        Self { plain: json, exact: None }
    }

    /// With its marks, if there are any: for [`from_json`].
    pub fn exact(self) -> Json {
        self.exact.unwrap_or(self.plain)
    }

    /// All of it.
    pub fn value(&self) -> Value {
        from_json(self.exact.as_ref().unwrap_or(&self.plain))
    }

    /// The first node that a path finds, or all of them as a list.
    pub fn find(&self, path: &JsonPath, all: bool) -> Option<Value> {
        let found: Vec<&Json> = match &self.exact {
            None => path.query(&self.plain).all(),
            Some(exact) => {
                let located = path.query_located(&self.plain);
                located.iter().filter_map(|node| exact.pointer(&node.location().to_json_pointer())).collect()
            }
        };
        match all {
            true if found.is_empty() => None,
            true => Some(found.into_iter().map(from_json).collect()),
            false => found.first().map(|node| from_json(node)),
        }
    }
}

/// The value that a piece of JSON is, which may have marks. Mappings keep the order of their keys.
pub fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            // JSON's numbers that are no integers parse as floats.
            (None, None) => number.as_f64().map_or(Value::UNDEFINED, Value::from),
        },
        Json::String(text) => match digits(text) {
            Some(digits) => number(digits),
            None => Value::from(text.as_str()),
        },
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(entries) => Value::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), from_json(value)))),
    }
}

/// A number as it is written, where a number of JSON could not keep it: as [`from_json`] and [`write`] take it.
pub fn odd_number(text: &str) -> Option<Json> {
    is_odd(text).then(|| Json::String(format!("{MARK}{text}")))
}

/// The digits of a marked text.
pub(super) fn digits(text: &str) -> Option<&str> {
    text.strip_prefix(MARK).filter(|text| is_odd(text))
}

/// Appends JSON as it goes on the wire.
pub fn write(json: &Json, out: &mut String) {
    let comma = |out: &mut String, at: usize| {
        if at > 0 {
            out.push(',');
        }
    };
    match json {
        Json::String(text) => match digits(text) {
            Some(digits) => out.push_str(digits),
            None => write_string(text, out),
        },
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                comma(out, at);
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(entries) => {
            out.push('{');
            for (at, (key, item)) in entries.iter().enumerate() {
                comma(out, at);
                write_string(key, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// Whether a text is a number of JSON that would not be written as it was read: a long integer, `-0`, or one that is too large or too
/// small for a float.
fn is_odd(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_long = || {
            digits.len() >= SHORTEST && !digits.starts_with('0') && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
        };
        return text == MINUS_ZERO || is_long();
    }
    // It is one of JSON's, for a float is what is refused of it at most.
    let is_json = |text: &str| match serde_json::from_str::<Json>(text) {
        Ok(json) => json.is_number(),
        Err(error) => error.to_string().contains("out of range"),
    };
    let Some(mantissa) = text.split(['e', 'E']).next().filter(|mantissa| mantissa.len() < text.len()) else { return false };
    let lost = |number: f64| number.is_infinite() || number == 0.0 && mantissa.contains(|c: char| matches!(c, '1'..='9'));
    text.parse().is_ok_and(lost) && is_json(text)
}

/// Whether JSON that can be parsed may have a long integer, a `-0`, or a number that is too small for a float.
fn may_have_odd(bytes: &[u8]) -> bool {
    // A long integer covers one of these wholly.
    let mut chunks = bytes.chunks_exact(SHORTEST.div_ceil(2));
    let minus_zero = |at: usize| {
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let behind = bytes.get(at + 2).copied().unwrap_or(b' ');
        b":,[ \t\r\n".contains(&before) && !(behind.is_ascii_digit() || b".eE".contains(&behind))
    };
    chunks.any(|chunk| chunk.iter().all(u8::is_ascii_digit))
        || bytes.windows(2).enumerate().any(|(at, pair)| pair == b"-0" && minus_zero(at))
        || bytes.windows(3).any(|part| matches!(part, [b'0'..=b'9', b'e' | b'E', b'-']))
}

/// The text with its odd numbers marked; nothing if there is none.
fn marked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                at += 1;
                at +=
                    bytes[at..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')).count();
                let text = std::str::from_utf8(&bytes[start..at]).unwrap_or_default();
                if is_odd(text) {
                    let out = out.get_or_insert_default();
                    out.extend_from_slice(&bytes[copied..start]);
                    out.extend_from_slice(format!("\"{MARK}{text}\"").as_bytes());
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    let mut out = out?;
    out.extend_from_slice(&bytes[copied..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text as it is read and written again.
    fn through(text: &str) -> String {
        let mut out = String::new();
        write(&Tree::parse(text.as_bytes()).unwrap().exact(), &mut out);
        out
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        for text in [
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "[123456789012345678901234567890,1]",
            r#"{"a":{"b":[{"c":100000000000000000000000000000000000000000000000000000}]}}"#,
            r#"{"a \"18446744073709551616":"18446744073709551616","b":18446744073709551616}"#,
            r#"{"text":"\\","b":18446744073709551616}"#,
            "-0",
            r#"[-0,{"a":-0},"-0"]"#,
            r#"{"a":1E400,"b":[-1.5e+999,2],"c":"1E400"}"#,
            "1E400",
            r#"[1E-400,{"a":-2.5e-999}]"#,
        ] {
            assert_eq!(through(text), text);
        }
        // Wherever in the text one stands.
        for blanks in 0..20 {
            let text = format!("[\"{}\",-9223372036854775809]", " ".repeat(blanks));
            assert_eq!(through(&text), text);
        }
        assert_eq!(through("[1.0e20, 18446744073709551616.5, 1e2, -0.0]"), "[1e+20,1.8446744073709552e+19,100.0,-0.0]");
    }

    #[test]
    fn where_none_is_long_nothing_is_read_twice() {
        for text in [
            "[]",
            "[1234567890123456789]",
            r#"["18446744073709551616"]"#,
            "[18446744073709551615]",
            "\u{feff}{}",
            r#"["2026-01-01", " -0500", -0.5]"#,
            r#"["a1e-400", 1e-4, 0E-400]"#,
        ] {
            assert!(Tree::parse(text.as_bytes()).unwrap().exact.is_none(), "{text}");
        }
        for broken in ["[18446744073709551616", "[1E400", "1E400 2", "[01E400]", "[-.5E400]", "[\"\\"] {
            assert!(Tree::parse(broken.as_bytes()).is_none(), "{broken}");
        }
        for (text, odd) in
            [("1E-400", true), ("0E-400", false), ("+1E400", false), (".5E400", false), ("1E400x", false), ("inf", false)]
        {
            assert_eq!(odd_number(text).is_some(), odd, "{text}");
        }
    }

    #[test]
    fn paths_compare_numbers_and_find_digits() {
        let tree =
            Tree::parse(br#"{"a~/b": [{"n": 18446744073709551616}, {"n": 5}], "n": 340282366920938463463374607431768211456}"#)
                .unwrap();
        let found = |path: &str| tree.find(&JsonPath::parse(path).unwrap(), true).map(|value| value.to_string());
        assert_eq!(found("$['a~/b'][?@.n > 6].n").as_deref(), Some("[18446744073709551616]"));
        assert_eq!(found("$..n").as_deref(), Some("[340282366920938463463374607431768211456, 18446744073709551616, 5]"));
        assert_eq!(found("$.none"), None);
    }

    #[test]
    fn up_to_128_bits_they_are_integers() {
        for (text, is_number) in [
            ("18446744073709551616", true),
            ("-170141183460469231731687303715884105728", true),
            ("340282366920938463463374607431768211455", true),
            ("340282366920938463463374607431768211456", false),
            ("1E400", false),
        ] {
            let value = number(text);
            assert_eq!((value.is_integer(), value.to_string()), (is_number, text.to_owned()), "{text}");
        }
    }
}
