//! Values that a profile may have anywhere: what `vars` and `json` hold, as JSON.

use serde_json::{Map, Number, Value};

use super::tree::{NodeKind, Tree};
use crate::base::written::Node;
use crate::expr::json::odd_number;

impl Tree {
    /// The value at a node. With `template` its texts are templates, in which what came from the environment is escaped.
    pub fn json(&self, node: Node, template: bool) -> Value {
        match &self.entry(node).kind {
            NodeKind::List(items) => Value::Array(items.iter().map(|item| self.json(*item, template)).collect()),
            NodeKind::Map { entries, .. } => {
                let pairs = entries.iter().map(|(key, value)| (self.key(*key).to_owned(), self.json(*value, template)));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
            NodeKind::Scalar(scalar) => {
                let text = match &scalar.original {
                    Some(original) if template => original.template.as_str(),
                    _ => scalar.text.as_str(),
                };
                if scalar.plain { value(&scalar.text, text) } else { Value::from(text) }
            }
        }
    }

    /// The texts at and below a node, as templates, with their places.
    pub fn templates(&self, node: Node) -> Vec<(Node, String)> {
        let mut found = Vec::new();
        self.collect(node, &mut found);
        found
    }

    fn collect(&self, node: Node, found: &mut Vec<(Node, String)>) {
        match &self.entry(node).kind {
            NodeKind::List(items) => items.iter().for_each(|item| self.collect(*item, found)),
            NodeKind::Map { entries, .. } => {
                for (key, value) in entries {
                    found.push((*key, self.key(*key).to_owned()));
                    self.collect(*value, found);
                }
            }
            NodeKind::Scalar(scalar) => {
                let text = scalar.original.as_ref().map_or(&scalar.text, |original| &original.template);
                found.push((node, text.clone()));
            }
        }
    }

    /// The text of the scalar as it was written, before values of the environment came in: for names and labels.
    pub fn as_written(&self, node: Node) -> &str {
        match self.scalar(node) {
            Some(scalar) => scalar.original.as_ref().map_or(&scalar.text, |original| &original.text),
            None => "",
        }
    }
}

/// A scalar without quotes by the rules of YAML's core schema, in their strict form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

/// What a scalar without quotes is.
pub(super) fn plain(text: &str) -> Plain<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" => return Plain::Bool(true),
        "false" => return Plain::Bool(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Plain::Text(text);
    }
    if let Some(number) = text.parse().ok().or_else(|| in_another_base(text)) {
        return Plain::Unsigned(number);
    }
    if let Ok(number) = text.parse() {
        return Plain::Signed(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && text.contains(|c: char| c.is_ascii_digit()) => Plain::Float(number),
        _ => Plain::Text(text),
    }
}

/// A number as YAML's core schema writes one in another base: `0x1F`, `0o17`.
pub(super) fn in_another_base(text: &str) -> Option<u64> {
    let (base, digits) = match text.get(..2)? {
        "0x" => (16, &text[2..]),
        "0o" => (8, &text[2..]),
        _ => return None,
    };
    u64::from_str_radix(digits, base).ok().filter(|_| !digits.starts_with('+'))
}

/// The same as JSON. A number that JSON's numbers could not keep stays as it is written.
fn value(text: &str, otherwise: &str) -> Value {
    let unsigned = text.strip_prefix('+').filter(|rest| !rest.starts_with('-'));
    if let Some(odd) = odd_number(unsigned.unwrap_or(text)) {
        return odd;
    }
    match plain(text) {
        Plain::Null => Value::Null,
        Plain::Bool(value) => Value::Bool(value),
        Plain::Unsigned(number) => number.into(),
        Plain::Signed(number) => number.into(),
        Plain::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Plain::Text(_) => Value::from(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_json_could_not_keep_stays_as_it_is_written() {
        for text in ["-0", "1E400", "1E-400", "18446744073709551616"] {
            assert_eq!(Some(value(text, text)), odd_number(text), "{text}");
        }
        assert_eq!(Some(value("+1E400", "+1E400")), odd_number("1E400"));
        // Two signs make a text.
        assert_eq!(value("+-0", "+-0"), Value::from("+-0"));
        assert_eq!(value("+-1E400", "+-1E400"), Value::from("+-1E400"));
        assert_eq!(value("+5", "+5"), Value::from(5));
    }

    #[test]
    fn numbers_in_another_base() {
        for (text, number) in [("0x1F", 31), ("0xff", 255), ("0o17", 15), ("017", 17)] {
            assert_eq!(value(text, text), Value::from(number), "{text}");
        }
        for text in ["0x", "0o8", "0X1F", "-0x1F", "0x+1", "0xG", "0b1", "0x10000000000000000"] {
            assert_eq!(value(text, text), Value::from(text), "{text}");
        }
    }
}
