//! What is secret in a value: what stands under names of secrets, in itself and in what it holds.

use minijinja::value::ValueKind;

use super::Value;
use crate::base::secrets::Naming;

/// How deep a value is looked into; JSON is not deeper than that either.
pub(super) const DEPTH: usize = 128;

/// Reports all that is secret in the value of a variable of such a name.
pub(super) fn secrets_of(value: &Value, naming: Naming, found: &mut dyn FnMut(&str)) {
    inner(value, naming, 0, found);
}

fn inner(value: &Value, naming: Naming, depth: usize, found: &mut dyn FnMut(&str)) {
    match value.kind() {
        ValueKind::String => found_in(value.as_str(), naming, found),
        ValueKind::Number if naming == Naming::Secret => found_in(Some(&value.to_string()), naming, found),
        ValueKind::Seq if depth < DEPTH => {
            value.try_iter().into_iter().flatten().for_each(|item| inner(&item, naming, depth + 1, found));
        }
        ValueKind::Map if depth < DEPTH => {
            for key in value.try_iter().into_iter().flatten() {
                let naming = naming.within(key.as_str().unwrap_or_default());
                if let Ok(part) = value.get_item(&key) {
                    inner(&part, naming, depth + 1, found);
                }
            }
        }
        _ => {}
    }
}

fn found_in(text: Option<&str>, naming: Naming, found: &mut dyn FnMut(&str)) {
    if let Some(text) = text.filter(|text| !text.is_empty() && naming.hides(text)) {
        found(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Rows, Table};
    use std::sync::Arc;

    fn secrets(name: &str, value: &Value) -> Vec<String> {
        let mut secrets = Vec::new();
        secrets_of(value, Naming::of(name), &mut |secret| secrets.push(secret.to_owned()));
        secrets.sort();
        secrets
    }

    #[test]
    fn in_mappings_and_lists_too() {
        let json = serde_json::json!({
            "id": 7, "token": "t-1", "pin": 1, "more": [{"password": 12345, "name": "ann"}, "text"], "tokens": 3, "keys": ["k-1"],
            "auth": {"user": "bob", "level": 4, "password": 999}, "off": {"secret": null, "token": true, "cookie": ""},
        });
        let value = crate::expr::from_json(&json);
        assert_eq!(secrets("account", &value), ["12345", "999", "bob", "k-1", "t-1"]);
        assert_eq!(secrets("names", &Value::from("ann")), Vec::<String>::new());
        assert_eq!(secrets("token", &Value::from(4711)), ["4711"]);
        assert_eq!(secrets("tokens", &Value::from(vec![Value::from("a"), Value::from(4711)])), ["a"]);
    }

    #[test]
    fn in_rows_of_data() {
        let csv = Table::csv(b"name,password,tokens\nann,pw-1,10\nbob,pw-2,20\n".to_vec()).unwrap();
        assert_eq!(secrets("accounts", &Rows::new(&Arc::new(csv)).get(1)), ["pw-2"]);
    }
}
