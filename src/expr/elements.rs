//! Lists taken apart.

use minijinja::value::{ValueIter, ValueKind};

use super::Value;

/// The elements of a list, one after the other.
pub type Elements = ValueIter;

/// The elements of a list; nothing if the value is none.
pub fn elements(value: &Value) -> Option<Elements> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter().ok(),
        _ => None,
    }
}
