//! JSON as it is read and written here: an integer that fits no 64 bits stays as it is written.
//!
//! `serde_json` makes a float of it. So such integers, which are rare and quickly seen, are marked before a text is parsed: each
//! becomes a text of its digits behind [`MARK`], which stands in no text that is meant for others.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::Value;
use super::convert::from_json;
use super::text::write_string;

/// Begins a text that stands for an integer: a noncharacter of Unicode.
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
        let plain = serde_json::from_slice(bytes).ok()?;
        let exact = marked(bytes).and_then(|text| serde_json::from_slice(&text).ok());
        Some(Self { plain, exact })
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

/// A number as it is written, where that is an integer which fits no 64 bits: as [`from_json`] and [`write`] take it.
pub fn long_integer(text: &str) -> Option<Json> {
    is_long(text).then(|| Json::String(format!("{MARK}{text}")))
}

/// The digits of a marked text.
pub(super) fn digits(text: &str) -> Option<&str> {
    text.strip_prefix(MARK).filter(|text| is_long(text))
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

/// The integer of these digits: a number where it fits 128 bits, and otherwise something that can be sent and no more.
pub(super) fn integer(digits: &str) -> Value {
    match (digits.parse::<i128>(), digits.parse::<u128>()) {
        (Ok(number), _) => Value::from(number),
        (_, Ok(number)) => Value::from(number),
        _ => Value::from_object(Digits(digits.to_owned())),
    }
}

/// An integer of more than 128 bits.
#[derive(Debug)]
pub(super) struct Digits(String);

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_long(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() >= SHORTEST
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
        && text.parse::<i64>().is_err()
        && text.parse::<u64>().is_err()
}

/// The text with its long integers marked; nothing if there is none. It must be JSON.
fn marked(bytes: &[u8]) -> Option<Vec<u8>> {
    // A long integer covers one of these wholly.
    if !bytes.chunks_exact(SHORTEST.div_ceil(2)).any(|chunk| chunk.iter().all(u8::is_ascii_digit)) {
        return None;
    }
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
                if is_long(text) {
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
    fn integers_stay_as_they_are_written() {
        for text in [
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "[123456789012345678901234567890,1]",
            r#"{"a":{"b":[{"c":100000000000000000000000000000000000000000000000000000}]}}"#,
            r#"{"a \"18446744073709551616":"18446744073709551616","b":18446744073709551616}"#,
            r#"{"text":"\\","b":18446744073709551616}"#,
        ] {
            assert_eq!(through(text), text);
        }
        // Wherever in the text one stands.
        for blanks in 0..20 {
            let text = format!("[\"{}\",-9223372036854775809]", " ".repeat(blanks));
            assert_eq!(through(&text), text);
        }
        assert_eq!(through("[1.0e20, 18446744073709551616.5, 1e2]"), "[1e+20,1.8446744073709552e+19,100.0]");
    }

    #[test]
    fn where_none_is_long_nothing_is_read_twice() {
        for text in ["[]", "[1234567890123456789]", r#"["18446744073709551616"]"#, "[18446744073709551615]", "\u{feff}{}"] {
            assert!(Tree::parse(text.as_bytes()).unwrap().exact.is_none(), "{text}");
        }
        assert!(Tree::parse(b"[18446744073709551616").is_none());
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
    fn up_to_128_bits_they_are_numbers() {
        for (text, is_number) in [
            ("18446744073709551616", true),
            ("-170141183460469231731687303715884105728", true),
            ("340282366920938463463374607431768211455", true),
            ("340282366920938463463374607431768211456", false),
        ] {
            let value = integer(text);
            assert_eq!((value.is_integer(), value.to_string()), (is_number, text.to_owned()), "{text}");
        }
    }
}
