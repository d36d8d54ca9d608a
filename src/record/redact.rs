//! The last gate before the disk: every text of a record passes through the caller's `redact`.

use std::borrow::Cow;

use serde_json::Value;

/// Keys whose values come from closed sets or are checked names of the profile's, so that they cannot hold a secret, and
/// without which a record couldn't be found or compared.
const IDENTIFIERS: &[&str] = &["profile", "run", "verdict", "protocol", "unit"];

/// Passes every text in `value` through `redact`, keys of mappings excepted.
pub(super) fn texts(value: &mut Value, redact: &dyn Fn(&str) -> Cow<'_, str>) {
    match value {
        Value::String(text) => {
            let redacted = match redact(text) {
                Cow::Borrowed(same) if same.len() == text.len() => None,
                other => Some(other.into_owned()),
            };
            if let Some(redacted) = redacted {
                *text = redacted;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, redact)),
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                if !(field.is_string() && IDENTIFIERS.contains(&key.as_str())) {
                    texts(field, redact);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_every_text_but_identifiers() {
        let mut value = serde_json::json!({
            "profile": "s3cret", "reasons": ["token s3cret was refused"],
            "phases": [{"name": "steady", "counters": [{"labels": {"password": "s3cret"}, "before": 3.0}]}],
        });
        texts(&mut value, &|text: &str| Cow::Owned(text.replace("s3cret", "***")));
        let text = value.to_string();
        assert_eq!(text.matches("s3cret").count(), 1, "{text}");
        assert_eq!(value["profile"], "s3cret");
        assert_eq!(value["phases"][0]["counters"][0]["labels"]["password"], "***");
    }
}
