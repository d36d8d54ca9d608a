//! The JSON Schema of profiles.

use super::written;

/// The JSON Schema of profiles, for editors.
pub fn schema() -> serde_json::Value {
    let mut schema = described();
    if let Some(root) = schema.as_object_mut() {
        // Scenarios may stand in a file that is included; phases may not.
        root.insert("required".into(), serde_json::json!(["name", "phases"]));
        root.insert("anyOf".into(), serde_json::json!([{ "required": ["scenarios"] }, { "required": ["include"] }]));
    }
    schema
}

/// What a profile is with all that it includes.
pub(super) fn described() -> serde_json::Value {
    let mut schema = schemars::schema_for!(written::Profile).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("patternProperties".into(), serde_json::json!({ "^x-": true }));
    }
    let_in_the_environment(&mut schema);
    schema
}

/// Wherever a number, a switch or one of some words stands, `${VAR}` may stand too.
fn let_in_the_environment(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Array(items) => items.iter_mut().for_each(let_in_the_environment),
        serde_json::Value::Object(keys) => {
            keys.values_mut().for_each(let_in_the_environment);
            let kinds = keys.get("type").map(|kind| kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice));
            let is = |wanted: &[&str]| kinds.is_some_and(|kinds| kinds.iter().any(|kind| wanted.iter().any(|one| kind == one)));
            let words = |key: &str| keys.get(key).and_then(serde_json::Value::as_array);
            let is_word =
                keys.contains_key("enum") || words("oneOf").is_some_and(|all| all.iter().all(|one| one.get("const").is_some()));
            if is_word || is(&SCALARS) && !is(&["string"]) {
                let description = keys.remove("description");
                let written = std::mem::take(keys);
                keys.extend(description.map(|description| ("description".to_owned(), description)));
                let variable = serde_json::json!({ "type": "string", "pattern": r"\$\{" });
                keys.insert("anyOf".into(), serde_json::Value::Array(vec![written.into(), variable]));
            }
        }
        _ => {}
    }
}

/// Types of JSON Schema that a variable of the environment may stand for.
const SCALARS: [&str; 3] = ["boolean", "integer", "number"];
