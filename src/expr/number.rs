//! Numbers that are longer than 64 bits, and `-0`, which no integer keeps.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};

use super::Value;

/// The number of these digits: an integer where it fits 128 bits, and otherwise something that can be sent and no more. So is
/// `-0`, which is 0 wherever anything is done with it.
pub(super) fn number(digits: &str) -> Value {
    if digits == MINUS_ZERO {
        return Value::from_object(Digits(digits.to_owned()));
    }
    match (digits.parse::<i128>(), digits.parse::<u128>()) {
        (Ok(number), _) => Value::from(number),
        (_, Ok(number)) => Value::from(number),
        _ => Value::from_object(Digits(digits.to_owned())),
    }
}

/// What no integer keeps.
pub(super) const MINUS_ZERO: &str = "-0";

/// A number that fits neither 128 bits nor a float, or `-0`.
#[derive(Debug)]
pub(super) struct Digits(String);

impl Digits {
    /// Whether it is `-0`.
    pub fn is_zero(&self) -> bool {
        self.0 == MINUS_ZERO
    }

    /// What it is, in a profile author's words.
    pub fn kind(&self) -> &'static str {
        match self.0.parse::<f64>() {
            _ if self.is_zero() => "a number",
            Ok(0.0) => "a number too small to calculate with",
            _ => "a number too large to calculate with",
        }
    }
}

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
