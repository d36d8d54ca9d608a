//! Secrets in what a target says: values under names of secrets in the JSON of an answer.
//!
//! It is looked through as text and not parsed, since an answer may be cut off, or hold JSON in something else.

use super::names::Naming;

/// The values under names of secrets in a text with JSON in it.
pub fn secrets_of_answer(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = text_in(rest) {
        rest = after;
        let Some(value) = after.trim_start().strip_prefix(':') else { continue };
        let naming = Naming::of(name);
        if naming != Naming::Open {
            rest = values(value.trim_start(), naming, &mut found);
        }
    }
    found
}

/// Takes the value at the start of `text`, or the values of the list there; gives what follows.
fn values<'t>(text: &'t str, naming: Naming, found: &mut Vec<String>) -> &'t str {
    let Some(mut rest) = text.strip_prefix('[') else { return value(text, naming, found) };
    loop {
        let item = rest.trim_start_matches([' ', '\n', '\r', '\t', ',']);
        rest = value(item, naming, found);
        if rest.len() == item.len() {
            return rest;
        }
    }
}

/// Takes the scalar at the start of `text`, if there is one; gives what follows.
fn value<'t>(text: &'t str, naming: Naming, found: &mut Vec<String>) -> &'t str {
    let (value, after) = match text.strip_prefix('"') {
        // Where the answer is cut off, what is there of it.
        Some(quoted) => text_in(text).unwrap_or((quoted, "")),
        None => text.split_at(text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(text.len())),
    };
    if !value.is_empty() && naming.hides(value) {
        let text = format!("\"{value}\"");
        found.push(serde_json::from_str(&text).unwrap_or_else(|_| value.to_owned()));
    }
    after
}

/// The first text in quotes, and what follows it.
fn text_in(text: &str) -> Option<(&str, &str)> {
    let start = text.find('"')? + 1;
    let mut escaped = false;
    let end = text[start..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&text[start..start + end], &text[start + end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_under_names_of_secrets() {
        let answer = r#"{"token": "abc\"d", "user": {"password":"pw-1", "name": "ann"}, "pin_code": 1, "secret":12345,
            "tokens": ["t-1", "t-2"], "max_tokens": 4096, "tokens_total": 7, "token_type": "bearer", "api_key": null}"#;
        assert_eq!(secrets_of_answer(answer), ["abc\"d", "pw-1", "12345", "t-1", "t-2", "null"]);
    }

    #[test]
    fn of_an_answer_that_is_cut_off_or_no_json_what_is_there() {
        assert_eq!(secrets_of_answer(r#"<p>{"apiKey": "k-1"}</p> {"token": "half"#), ["k-1", "half"]);
        for text in
            ["", "\"", "\"token\"", "\"token\":", "\"token\":[", "\"token\":[\"", "\"token\": {\"a\": 1}", "token: abc", "ä\"ö"]
        {
            assert_eq!(secrets_of_answer(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(secrets_of_answer(r#"{"token": {"password": "inner"}, "x": "y"}"#), ["inner"]);
    }
}
