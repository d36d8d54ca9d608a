//! A file's text as an excerpt may show it: secrets blanked byte for byte, so that lines and columns stay.

use crate::base::secrets::{Naming, is_secret_header, secrets_of_url};

/// Blanks, by looks alone, what follows a key named like a secret, in its line and in those that belong to it, and what is secret in
/// URLs: for a file that is not YAML at all.
pub(super) fn by_line(text: &str) -> String {
    let mut shown = text.as_bytes().to_vec();
    let mut start = 0;
    // Where the key of a secret stands whose value is behind its line, and whether some of that was found.
    let mut under: Option<(usize, bool)> = None;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let indent = body.len() - body.trim_start().len();
        if let Some((of_key, found)) = under.filter(|_| indent < body.len()) {
            let belongs = !found || indent > of_key || (indent == of_key && body[indent..].starts_with("- "));
            under = belongs.then_some((of_key, true));
            if belongs {
                blank(&mut shown[start + value_of(body)..start + body.len()]);
            }
        }
        let keys = body.match_indices(':').map(|(colon, _)| colon);
        if let Some(colon) = keys.into_iter().find(|colon| naming(key_before(&body[..*colon])) != Naming::Open) {
            if body[colon + 1..].trim_start_matches([' ', '|', '>', '-', '+', '[', '{']).is_empty() {
                under = Some((indent, false));
            }
            blank(&mut shown[start + colon + 1..start + body.len()]);
        }
        for word in body.split([' ', '\t', '"', '\'']) {
            let at = start + (word.as_ptr() as usize - body.as_ptr() as usize);
            secrets_of_url(word).into_iter().for_each(|(place, _)| blank(&mut shown[at + place.start..at + place.end]));
        }
        start += line.len();
    }
    finish(shown, text)
}

/// The key before a colon, perhaps in quotes: its last word, if it has several.
fn key_before(text: &str) -> &str {
    let text = text.trim_end().trim_end_matches(['"', '\'']);
    let mut before = text.char_indices().rev();
    let start = before.find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_' && *c != '-').map_or(0, |(at, c)| at + c.len_utf8());
    &text[start..]
}

/// Where the value of a line begins: behind its key, if it has one.
fn value_of(line: &str) -> usize {
    let colon = line.match_indices(':').map(|(at, _)| at + 1).find(|at| line[*at..].is_empty() || line[*at..].starts_with(' '));
    colon.unwrap_or(0)
}

/// Blanks these ranges of the text, but for `{{ … }}` and the names of variables in them.
pub(super) fn by_range(text: &str, ranges: &[std::ops::Range<usize>]) -> String {
    let mut shown = text.as_bytes().to_vec();
    for range in ranges {
        let Some(part) = text.get(range.clone()) else { continue };
        let mut at = 0;
        while at < part.len() {
            let rest = &part[at..];
            let skip = if rest.starts_with("{{") {
                rest.find("}}").map_or(rest.len(), |end| end + 2)
            } else if let Some(name) = rest.strip_prefix("${") {
                2 + name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())
            } else {
                0
            };
            if skip > 0 {
                at += skip;
                continue;
            }
            let c = rest.chars().next().map_or(1, char::len_utf8);
            blank(&mut shown[range.start + at..range.start + at + c]);
            at += c;
        }
    }
    finish(shown, text)
}

/// What a key says of the value under it.
pub(super) fn naming(key: &str) -> Naming {
    match Naming::of(key) {
        // The name of a file.
        Naming::Secret | Naming::Secrets if key.ends_with("_file") => Naming::Open,
        Naming::Open if is_secret_header(key) => Naming::Secret,
        naming => naming,
    }
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if !matches!(*byte, b' ' | b'\n' | b'\r' | b'"' | b'\'' | b'}' | b']' | b',') {
            *byte = b'*';
        }
    }
}

/// Only whole characters are blanked, so what is left is UTF-8; if it were not, nothing is shown at all.
fn finish(shown: Vec<u8>, text: &str) -> String {
    String::from_utf8(shown).unwrap_or_else(|_| "*".repeat(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_looks() {
        let text = "a: 1\nheaders: {authorization: \"Bearer abc\", x: y\nbearer_token: äöü\nkey_file: k.pem\n";
        let shown = by_line(text);
        assert_eq!(shown.len(), text.len());
        assert!(!shown.contains("abc") && !shown.contains('ä') && shown.contains("k.pem") && shown.contains("a: 1"));
    }

    #[test]
    fn by_looks_in_whatever_form() {
        for (text, shown) in [
            (r#"vars: {a: b, "my_password": "Q-22", c: [}"#, r#"vars: {a: b, "my_password": "****", ** *}"#),
            (r#"{"name": "t", "api_key" : "J-11"} "x": 1}"#, r#"{"name": "t", "api_key" : "****"} "*"* *}"#),
            ("url: 'http://u:PW@h/'\nx: }", "url: 'http://u:**@h/'\nx: }"),
            ("get: /p?a=1&token=T1 }", "get: /p?a=1&token=** }"),
            ("http_proxy: ann:PW@127.0.0.1:1", "http_proxy: ann:**@127.0.0.1:1"),
            ("password:\n  abc\n\n  def\nname: n", "password:\n  ***\n\n  ***\nname: n"),
            ("tokens:\n- abc\n- def\nname: n", "tokens:\n* ***\n* ***\nname: n"),
            ("a:\n  secret: |\n    abc: d\n  b: c", "a:\n  secret: *\n    abc: *\n  b: c"),
            ("\"token\":\n\"abc\"\nx: y", "\"token\":\n\"***\"\nx: y"),
        ] {
            assert_eq!(by_line(text), shown);
        }
    }

    #[test]
    fn by_range_keeps_templates_and_names_of_variables() {
        let text = "x: Bearer {{ token }} tail ${API_KEY:-fallback}";
        let shown = by_range(text, std::slice::from_ref(&(3..text.len())));
        assert_eq!(shown, "x: ****** {{ token }} **** ${API_KEY**********}");
    }
}
