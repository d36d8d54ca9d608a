//! A file's text as an excerpt may show it: secrets blanked byte for byte, so that lines and columns stay.

use crate::base::secrets::{Naming, is_secret_header};

/// Blanks, by looks alone, what follows a key named like a secret: for a file that is not YAML at all.
pub(super) fn by_line(text: &str) -> String {
    let mut shown = text.as_bytes().to_vec();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut from = 0;
        while let Some(colon) = line[from..].find(':').map(|at| at + from) {
            let mut before = line[..colon].char_indices().rev();
            let key_start =
                before.find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_' && *c != '-').map_or(0, |(at, c)| at + c.len_utf8());
            if naming(&line[key_start..colon]) != Naming::Open {
                blank(&mut shown[start + colon + 1..start + line.trim_end().len()]);
                break;
            }
            from = colon + 1;
        }
        start += line.len();
    }
    finish(shown, text)
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
    fn by_range_keeps_templates_and_names_of_variables() {
        let text = "x: Bearer {{ token }} tail ${API_KEY:-fallback}";
        let shown = by_range(text, std::slice::from_ref(&(3..text.len())));
        assert_eq!(shown, "x: ****** {{ token }} **** ${API_KEY**********}");
    }
}
