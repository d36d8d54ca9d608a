//! What is secret in a URL as it is written: the password before its host, or the user alone, and values under names of secrets in its query.

use std::ops::Range;

use super::names::Naming;

/// What is secret in a text that may be a URL or a path: where it stands, and what it is once decoded. Templates are left alone. A text
/// without a blank may be a URL whose scheme was forgotten.
pub fn secrets_of_url(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut add = |place: Range<usize>, decode: fn(&str) -> String| {
        let written = &text[place.clone()];
        if !written.is_empty() && !written.contains("{{") {
            found.push((place, decode(written)));
        }
    };
    let scheme = text.find("://").map(|at| at + 3);
    let bare = || !text.contains(char::is_whitespace) && !text.starts_with("mailto:");
    if let Some(start) = scheme.or_else(|| bare().then_some(0)) {
        let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |end| start + end);
        if let Some(at) = text[start..end].rfind('@').map(|at| start + at) {
            // A user without a password is a token; without a scheme it is an address of mail.
            let colon = text[start..at].find(':').map(|colon| start + colon + 1);
            if let Some(from) = colon.or(scheme) {
                add(from..at, percent_decoded);
            }
        }
    }
    let query = text.find('?').filter(|_| scheme.is_some() || text.starts_with('/') || bare());
    let Some(mut from) = query.map(|at| at + 1) else { return found };
    let end = text[from..].find('#').map_or(text.len(), |end| from + end);
    for pair in text[from..end].split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && Naming::of(&form_decoded(name)).hides(value)
        {
            let place = from + name.len() + 1..from + pair.len();
            if value.contains('+') {
                add(place.clone(), form_decoded);
            }
            add(place, percent_decoded);
        }
        from += pair.len() + 1;
    }
    found
}

/// The values under names of secrets in a query, or in a form that is sent like one.
pub fn secrets_of_form(text: &str) -> Vec<String> {
    secrets_of_url(&format!("/?{text}")).into_iter().map(|(_, secret)| secret).collect()
}

/// Percent-decoded, as a user and a password stand in a URL.
pub fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn form_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_users_and_tokens_of_queries() {
        let of = |text: &str| -> Vec<String> { secrets_of_url(text).into_iter().map(|(_, secret)| secret).collect() };
        assert_eq!(of("http://ann:p%40ss@h:1/x?page=2&token=a%2Fb+c"), ["p@ss", "a/b c", "a/b+c"]);
        assert_eq!(of("https://tok-123@h/"), ["tok-123"]);
        assert_eq!(of("/x?api_key=k1&max_tokens=7&q=token#token=no"), ["k1"]);
        assert_eq!(of("ann:p%40ss@127.0.0.1:3128"), ["p@ss"]);
        assert_eq!(of("127.0.0.1:9121/metrics?token=t-1"), ["t-1"]);
        for open in [
            "127.0.0.1:9121/metrics?a=b@c",
            "mailto:ann@b.example",
            "ann:{{pw}}@h",
            "http://h/x",
            "a@b.example",
            "what? token=1",
            "http://h/?token={{ token }}",
            "http://{{ user }}:{{ pw }}@h/",
            "http://h/?token",
        ] {
            assert_eq!(of(open), Vec::<String>::new(), "{open}");
        }
        let text = "http://h/?a=1&secret=s3c";
        assert_eq!(&text[secrets_of_url(text)[0].0.clone()], "s3c");
    }
}
