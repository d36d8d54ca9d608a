//! Names as profiles write them, and what Prometheus allows.

/// Whether `text` is a name of the profile: `[A-Za-z_][A-Za-z0-9_-]*`.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whether `text` may name a profile: `[a-z0-9-]+`, since it becomes a label value and part of a directory's name.
pub fn is_profile_name(text: &str) -> bool {
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
        .map(|candidate| (edit_distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in bytes; names are short, so the plain table will do.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(is_name("read-back") && is_name("_x9") && !is_name("9x") && !is_name("") && !is_name("a b"));
        assert!(is_profile_name("votes-2") && !is_profile_name("Votes"));
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
