//! Names as profiles write them, what Prometheus allows, and what a URL does.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// All but the unreserved characters of RFC 3986: what is encoded in a part of a URL.
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether `text` is a name of the profile: `[A-Za-z_][A-Za-z0-9_-]*`.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The longest name of a profile; a directory's has 255 bytes at most, and more in it.
pub const LONGEST_PROFILE_NAME: usize = 128;

/// Whether `text` may name a profile: `[a-z0-9-]+`, since it becomes a label value and part of a directory's name.
pub fn is_profile_name(text: &str) -> bool {
    text.len() <= LONGEST_PROFILE_NAME && is_of_profile_letters(text)
}

/// Whether `text` is of what names of profiles are made of, however long.
pub fn is_of_profile_letters(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether `text` may name a metric: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_metric_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Whether `text` may name a label: `[a-zA-Z_][a-zA-Z0-9_]*`, and is not one of Prometheus' own (`__…`).
pub fn is_label_name(text: &str) -> bool {
    is_name(text) && !text.contains('-') && !text.starts_with("__")
}

/// The name among `candidates` that `text` was probably meant to be, for "did you mean".
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + text.len() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to say of a variable of the environment that a profile reads and that isn't among those which are `set`.
pub fn unset<'a>(name: &str, set: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(name, set).map(|near| format!("did you mean `{near}`? If not, ")).unwrap_or_default();
    format!("the variable {name} is not set; {near}set it, or write ${{{name}:-default}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(is_name("read-back") && is_name("_x9") && !is_name("9x") && !is_name("") && !is_name("a b"));
        assert!(is_profile_name("votes-2") && !is_profile_name("Votes"));
        let long = |length| "v".repeat(length);
        assert!(is_profile_name(&long(LONGEST_PROFILE_NAME)) && !is_profile_name(&long(LONGEST_PROFILE_NAME + 1)));
        assert!(is_metric_name("votes_submitted_total") && !is_metric_name("votes-total"));
        assert!(is_label_name("datname") && !is_label_name("__name__") && !is_label_name("a-b"));
    }

    #[test]
    fn nearest_forgives_a_slip_and_no_more() {
        let keys = ["duration", "load", "stages"];
        assert_eq!(nearest("duratoin", keys), Some("duration"));
        assert_eq!(nearest("laod", keys), Some("load"));
        assert_eq!(nearest("everything", keys), None);
    }
}
