//! Values made of parsed JSON, and lists taken apart.

use minijinja::value::{ValueIter, ValueKind};

use super::{Value, json};

/// The elements of a list, one after the other.
pub type Elements = ValueIter;

/// The elements of a list; nothing if the value is none.
pub fn elements(value: &Value) -> Option<Elements> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter().ok(),
        _ => None,
    }
}

/// The value that a piece of JSON is, which may have marks of [`json`]. Mappings keep the order of their keys.
pub fn from_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            // JSON's numbers that are no integers parse as floats.
            (None, None) => number.as_f64().map_or(Value::UNDEFINED, Value::from),
        },
        Json::String(text) => match json::digits(text) {
            Some(digits) => json::integer(digits),
            None => Value::from(text.as_str()),
        },
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(entries) => Value::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), from_json(value)))),
    }
}
