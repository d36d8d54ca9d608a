//! What a written type may hold, as its JSON Schema says, and what it is called.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The keys of a written type, as its schema lists them.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) known: Vec<String>,
    pub(super) required: Vec<String>,
}

/// The keys of all written types by their names.
pub(super) fn keys_of(name: &str) -> Option<&'static Keys> {
    static KEYS: OnceLock<BTreeMap<String, Keys>> = OnceLock::new();
    let all = KEYS.get_or_init(|| {
        let schema = crate::profile::schema::described();
        let names = |value: Option<&serde_json::Value>| -> Vec<String> {
            match value {
                Some(serde_json::Value::Object(map)) => map.keys().cloned().collect(),
                Some(serde_json::Value::Array(list)) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
                _ => Vec::new(),
            }
        };
        let keys =
            |schema: &serde_json::Value| Keys { known: names(schema.get("properties")), required: names(schema.get("required")) };
        let mut all = BTreeMap::new();
        if let Some(serde_json::Value::Object(definitions)) = schema.get("$defs") {
            all.extend(definitions.iter().map(|(name, schema)| (name.clone(), keys(schema))));
        }
        all.insert("Profile".to_owned(), keys(&schema));
        all
    });
    all.get(name)
}

/// A written type as a person calls it.
pub(super) fn words(name: &str) -> String {
    // Those that stand once, under a key of their own, are called by it.
    if matches!(name, "Prometheus" | "Observe" | "Limits" | "Tls" | "Scale" | "Defaults" | "Expect" | "Connections") {
        return format!("`{}`", name.to_ascii_lowercase());
    }
    let mut words = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    let words = words.replace("slo", "SLO");
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'h', 'S']) { "an" } else { "a" };
    format!("{article} {words}")
}
