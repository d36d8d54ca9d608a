//! Values as they are sent: text and JSON.
//!
//! `true` and `false`, numbers as written, lists and mappings as JSON. What is undefined or null has no text; null within a
//! list or a mapping is JSON's `null`.

use std::borrow::Cow;
use std::fmt::Write as _;

use minijinja::value::ValueKind;

use super::Value;
use super::number::Digits;
use super::strict::{Refused, kind_of, within_limit};

/// How deep lists and mappings may be nested.
const DEPTH: usize = 128;

/// Appends a value's text.
pub(super) fn write_text(value: &Value, out: &mut String) -> Result<(), Refused> {
    match value.kind() {
        ValueKind::String => out.push_str(value.as_str().unwrap_or_default()),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => write_number(value, out)?,
        ValueKind::Bytes => {
            let bytes = value.as_bytes().unwrap_or_default();
            out.push_str(std::str::from_utf8(bytes).map_err(|_| "is binary data, which is no text")?);
        }
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => write_json(value, out)?,
        ValueKind::Undefined | ValueKind::None => return Err(format!("is {} and can't be sent", kind_of(value))),
        _ if write_digits(value, out) => {}
        _ => return Err(format!("is {}, which has no text", kind_of(value))),
    }
    Ok(())
}

/// A value's text.
pub(super) fn to_text(value: &Value) -> Result<String, Refused> {
    let mut out = String::new();
    write_text(value, &mut out)?;
    Ok(out)
}

/// A value's text as bytes; binary data stay as they are.
pub(super) fn to_bytes(value: &Value) -> Result<Cow<'_, [u8]>, Refused> {
    match value.as_bytes() {
        Some(bytes) => Ok(Cow::Borrowed(bytes)),
        None => to_text(value).map(|text| Cow::Owned(text.into_bytes())),
    }
}

/// Appends a value as JSON; it must be there.
pub(super) fn write_json(value: &Value, out: &mut String) -> Result<(), Refused> {
    write_json_at(value, out, 0)
}

fn write_json_at(value: &Value, out: &mut String, depth: usize) -> Result<(), Refused> {
    if depth > DEPTH {
        return Err("is nested too deep".into());
    }
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => write_number(value, out)?,
        ValueKind::String => write_string(value.as_str().unwrap_or_default(), out),
        ValueKind::Bytes => {
            let bytes = value.as_bytes().unwrap_or_default();
            write_string(std::str::from_utf8(bytes).map_err(|_| "holds binary data, which has no JSON")?, out);
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (i, item) in value.try_iter().map_err(|_| "can't be gone through")?.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json_at(&item, out, depth + 1)?;
                // The same text may stand in it many times.
                within_limit(out.len())?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter().map_err(|_| "can't be gone through")?.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                match key.as_str() {
                    Some(name) => write_string(name, out),
                    None => write_string(&to_text(&key)?, out),
                }
                out.push(':');
                let item = value.get_item(&key).map_err(|_| "can't be gone through")?;
                write_json_at(&item, out, depth + 1)?;
                within_limit(out.len())?;
            }
            out.push('}');
        }
        ValueKind::Undefined if depth > 0 => return Err("holds something undefined".into()),
        _ if write_digits(value, out) => {}
        _ => return Err(format!("is {}, which has no JSON", kind_of(value))),
    }
    Ok(())
}

/// Appends an integer of more than 128 bits; whether it is one.
fn write_digits(value: &Value, out: &mut String) -> bool {
    // Writing to a String cannot fail.
    value.downcast_object_ref::<Digits>().is_some_and(|_| write!(out, "{value}").is_ok())
}

/// Appends a number: integers as they are, others with a point or an exponent.
fn write_number(value: &Value, out: &mut String) -> Result<(), Refused> {
    if value.is_integer() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{value}");
        return Ok(());
    }
    let number = f64::try_from(value.clone()).map_err(|_| "is no number")?;
    let finite = serde_json::Number::from_f64(number).ok_or("is not a finite number")?;
    let _ = write!(out, "{finite}");
    Ok(())
}

/// Appends a JSON string with its quotes.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    write_escaped(text, out);
    out.push('"');
}

/// Appends a text as it stands within a JSON string.
pub(super) fn write_escaped(text: &str, out: &mut String) {
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[plain..i]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain = i + 1;
    }
    out.push_str(&text[plain..]);
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(super) fn percent_encode(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, crate::base::names::RESERVED).to_string()
}
