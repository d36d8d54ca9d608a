//! What is secret in a URL as it is written: the password before its host, or the user alone, and values under names of secrets in its query.

use std::ops::Range;

use super::names::Naming;

/// What is secret in a text that may be a URL or a path: where it stands, and what it is once decoded. Templates are left alone.
pub fn secrets_of_url(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut add = |place: Range<usize>, decode: fn(&str) -> String| {
        let written = &text[place.clone()];
        if !written.is_empty() && !written.contains("{{") {
            found.push((place, decode(written)));
        }
    };
    let authority = text.find("://").map(|at| at + 3);
    if let Some(start) = authority {
        let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |end| start + end);
        if let Some(at) = text[start..end].rfind('@').map(|at| start + at) {
            // A user without a password is a token.
            let from = text[start..at].find(':').map_or(start, |colon| start + colon + 1);
            add(from..at, percent_decoded);
        }
    }
    let query = text.find('?').filter(|_| authority.is_some() || text.starts_with('/'));
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

/// Percent-decoded, as a user and a password stand in a URL.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16);
        rest = match tail {
            [high, low, after @ ..] if *first == b'%' && hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push((hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0)) as u8);
                after
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
        for open in [
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
