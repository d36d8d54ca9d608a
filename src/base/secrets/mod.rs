//! Values that must never be printed, logged or stored, and their removal from texts.
//!
//! A text from outside loses every secret in it, however it is encoded ([`Secrets::redact`]). The program's own sentences hold such texts in
//! double quotes; what else stands in them are words and names, and they are left as they are where a secret is such a word or a part of
//! such a name ([`Secrets::redact_own`]): `password: load` hides no "load".

mod answers;
mod names;
mod searched;
mod urls;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use answers::secrets_of_answer;
pub use names::Naming;
pub use searched::Searched;
pub use urls::{percent_decoded, secrets_of_url};

/// What stands in place of a secret.
pub const HIDDEN: &str = "***";

/// Whether a header of this name carries a secret.
pub fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie" | "set-cookie" | "x-api-key" | "x-auth-token")
}

/// Whether the value of a header of this name must not be shown: beside those of [`is_secret_header`] whatever else is named
/// like a secret.
pub fn carries_secret(name: &str) -> bool {
    is_secret_header(name) || Naming::of(name) == Naming::Secret
}

/// The fewest bytes of such a cookie: what is shorter (`lang=en`) would blank the words of a report.
const LEAST_COOKIE: usize = 8;

/// Whether a cookie of this value is kept secret on its own.
pub fn is_secret_cookie(value: &str) -> bool {
    value.len() >= LEAST_COOKIE
}

/// What is secret in the value of a header that carries credentials: all of it, the token behind its scheme, and the values
/// of its cookies.
pub fn secrets_of_header(value: &str) -> Vec<String> {
    let token = value.split_once(' ').map(|(_, token)| token.trim());
    let cookies =
        value.split(';').filter_map(|part| Some(part.split_once('=')?.1.trim())).filter(|value| is_secret_cookie(value));
    let parts = [value].into_iter().chain(token).chain(cookies).filter(|secret| !secret.is_empty()).map(str::to_owned);
    parts.chain(basic_password(value)).collect()
}

/// The password in a header that is `Basic …` (RFC 7617); the user where there is none, for then that is a token.
pub fn basic_password(value: &str) -> Option<String> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let pair = STANDARD.decode(token.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let pair = String::from_utf8(pair).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(if password.is_empty() { user } else { password }).filter(|secret| !secret.is_empty()).map(str::to_owned)
}

/// The secrets of a profile. Cheap to clone; prints nothing of what it holds.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Arc<[Known]>,
    /// Names of the profile's own.
    names: Arc<BTreeSet<String>>,
}

/// A secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    text: String,
    /// It could be a word or a number of the program's, or is part of a name of the profile's.
    common: bool,
}

impl Known {
    fn new(text: String, names: &BTreeSet<String>) -> Self {
        let common = is_common(&text) || names.iter().any(|name| name.contains(&text));
        Self { text, common }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

impl Secrets {
    /// Secrets from their values. Left out are repeats, switches, and what is too short to be one: hiding every `1` or `true`
    /// would make reports unreadable and protect nothing.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        Self::default().with(values)
    }

    /// These and those of another.
    pub fn with(&self, others: impl IntoIterator<Item = String>) -> Self {
        let others = others.into_iter().filter(|text| hides(text)).map(|text| Known::new(text, &self.names));
        let values: BTreeSet<Known> = self.values.iter().cloned().chain(others).collect();
        Self { values: values.into_iter().collect(), names: self.names.clone() }
    }

    /// The same, where these are names of the profile's own.
    pub fn beside(&self, names: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = self.names.iter().cloned().chain(names).collect();
        let values = self.values.iter().map(|known| Known::new(known.text.clone(), &names)).collect();
        Self { values, names: Arc::new(names) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A text from outside with `***` in the place of every secret, in whatever encoding. A short one goes only where it stands as a word of
    /// its own.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without(text, |_, _| true)
    }

    /// A sentence of the program's own likewise. Outside of double quotes what could be one of its words, or is part of a name of the
    /// profile's, stays.
    pub fn redact_own<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without(text, |known, place| !known.common || stands_in_quotes(text, place.start))
    }

    fn without<'a>(&self, text: &'a str, goes: impl Fn(&Known, &Range<usize>) -> bool) -> Cow<'a, str> {
        if self.is_empty() || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let searched = Searched::new(text);
        let mut places = Vec::new();
        for known in self.values.iter() {
            searched.find(&known.text, known.text.len() < SHORT, &mut |place| {
                if goes(known, &place) {
                    places.push(place);
                }
            });
        }
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        places.sort_by_key(|place| place.start);
        let mut result = String::with_capacity(text.len());
        let mut end = 0;
        for place in places {
            if place.start > end || result.is_empty() {
                result.push_str(text.get(end..place.start).unwrap_or_default());
                result.push_str(HIDDEN);
            }
            end = end.max(place.end);
        }
        result.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(result)
    }
}

/// Below so many bytes a secret may well be a part of other words.
const SHORT: usize = 6;
/// The longest word that the program may have in a sentence.
const LONGEST_WORD: usize = 14;

fn hides(value: &str) -> bool {
    value.trim().len() >= 3 && !matches!(value.trim(), "true" | "false" | "yes" | "off" | "null" | "none")
}

/// Whether a secret could be a word, or a number, of a sentence.
fn is_common(text: &str) -> bool {
    let text = text.trim();
    text.parse::<f64>().is_ok() || text.len() <= LONGEST_WORD && text.chars().all(char::is_alphabetic)
}

/// Whether what begins there stands between double quotes, in its line.
fn stands_in_quotes(text: &str, at: usize) -> bool {
    let mut escaped = false;
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let quotes = text.as_bytes()[line..at].iter().filter(|byte| {
        let quote = **byte == b'"' && !escaped;
        escaped = **byte == b'\\' && !escaped;
        quote
    });
    quotes.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_headers() {
        assert!(is_secret_header("Authorization") && is_secret_header("X-API-Key") && !is_secret_header("accept"));
        assert!(carries_secret("X-Session-Token") && carries_secret("cookie") && !carries_secret("x-tokens"));
    }

    #[test]
    fn of_a_header_the_token_and_the_cookies_are_secret_on_their_own() {
        assert_eq!(secrets_of_header("Bearer abcdef"), ["Bearer abcdef", "abcdef"]);
        assert_eq!(secrets_of_header("lang=en; sid=0123456789"), ["lang=en; sid=0123456789", "sid=0123456789", "0123456789"]);
        assert_eq!(secrets_of_header("plain"), ["plain"]);
        assert_eq!(secrets_of_header("Basic YW5uOnBAc3M="), ["Basic YW5uOnBAc3M=", "YW5uOnBAc3M=", "p@ss"]);
        assert_eq!(secrets_of_header("Basic YW5uOnAxMjM="), ["Basic YW5uOnAxMjM=", "YW5uOnAxMjM=", "p123"]);
        assert_eq!(secrets_of_header("Basic dG9rZW46"), ["Basic dG9rZW46", "dG9rZW46", "token"]);
    }

    #[test]
    fn every_occurrence_goes_and_one_within_another_once() {
        let secrets = Secrets::new(["hunter2".into(), "hunter2-and-more".into(), String::new(), "hunter2".into()]);
        assert_eq!(secrets.len(), 2);
        assert_eq!(secrets.redact("a hunter2 b hunter2-and-more"), "a *** b ***");
        assert!(matches!(secrets.redact("nothing here"), Cow::Borrowed(_)));
        assert!(!format!("{secrets:?}").contains("hunter"));
    }

    #[test]
    fn a_short_secret_is_hidden_only_as_a_word() {
        let secrets = Secrets::new(["105".into(), "1".into(), "true".into()]);
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets.redact("p95 is 1105, password 105, true."), "p95 is 1105, password ***, true.");
    }

    #[test]
    fn words_of_the_program_and_names_of_the_profile_stay_in_its_own_sentences() {
        let secrets = Secrets::new(["load", "500", "login-2", "s3cret-x"].map(str::to_owned)).beside(["read-login-2".to_owned()]);
        let own = "the load `read-login-2` took 500 ms and said \"no load 500 login-2\": s3cret-x";
        assert_eq!(secrets.redact_own(own), "the load `read-login-2` took 500 ms and said \"no *** *** ***\": ***");
        assert_eq!(secrets.redact("load 500 login-2"), "*** *** ***");
        assert_eq!(secrets.with(["checkout".to_owned()]).redact_own("checkout, \"checkout\""), "checkout, \"***\"");
    }

    /// What each encoding makes of a text.
    fn encodings(text: &str) -> Vec<(&'static str, String)> {
        use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
        let percent = |text: &str, upper: bool, kept: fn(u8) -> bool| -> String {
            let each = text.bytes().map(|byte| match byte {
                byte if kept(byte) => char::from(byte).to_string(),
                byte if upper => format!("%{byte:02X}"),
                byte => format!("%{byte:02x}"),
            });
            each.collect()
        };
        let json = |text: &str| {
            let quoted = serde_json::to_string(text).unwrap();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let ascii = |text: &str| -> String {
            let unit = |c: char| {
                let mut units = [0; 2];
                let units: String = c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
                if c.is_ascii() { c.to_string() } else { units }
            };
            json(text).chars().map(unit).collect()
        };
        let html = |text: &str| -> String {
            let each = text.chars().map(|c| match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '"' => "&quot;".to_owned(),
                '\'' => "&#x27;".to_owned(),
                c => c.to_string(),
            });
            each.collect()
        };
        let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let of_path = |byte: u8| byte.is_ascii_graphic() && !b"%\"<>`#?".contains(&byte);
        let uri = percent(text, true, unreserved);
        vec![
            ("plain", text.to_owned()),
            ("percent", uri.clone()),
            ("percent, small", percent(text, false, unreserved)),
            ("percent, as in a path", percent(text, true, of_path)),
            ("form", form),
            ("JSON", json(text)),
            ("JSON in ASCII", ascii(text)),
            ("JSON in JSON", json(&json(text))),
            ("JSON, slashes too", json(text).replace('/', "\\/")),
            ("percent in JSON", json(&percent(text, true, of_path))),
            ("percent twice", percent(&uri, true, unreserved)),
            ("HTML", html(text)),
            ("Base64", STANDARD.encode(text)),
            ("Base64 without padding", STANDARD_NO_PAD.encode(text)),
            ("Base64 for URLs", URL_SAFE.encode(text)),
            ("Base64 in a query", percent(&STANDARD.encode(text), true, unreserved)),
            ("Basic", STANDARD.encode(format!("ann:{text}"))),
            ("Basic, others", URL_SAFE_NO_PAD.encode(format!("someone.else:{text}"))),
        ]
    }

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_encoding_is_hidden_and_what_stands_around_it_stays(
            secret in "[ -~\u{e4}\u{20ac}\u{1f600}%+\"\\\\/&<']{6,24}", around in 0usize..6,
        ) {
            prop_assume!(secret.trim().len() >= 6 && !"request to said refused key=x&y status".contains(&secret));
            let secrets = Secrets::new([secret.clone()]);
            let (before, after) = [
                ("refused: ", " (status 401)"),
                ("{\"said\": \"", "\"}"),
                ("GET /a/b?key=", "&y=1"),
                ("authorization: Basic ", "\r\nhost: x"),
                ("<p>", "</p>"),
                ("'", "'"),
            ][around];
            for (encoding, text) in encodings(&secret) {
                let shown = secrets.redact(&format!("{before}{text}{after}")).into_owned();
                // An end of the surroundings may look like a part of it, and goes with it.
                prop_assert!(shown.contains(HIDDEN) && !shown.contains(&text), "{}: {}", encoding, shown);
                prop_assert!(shown.starts_with(before.trim_end_matches('/')) && shown.ends_with(after), "{}: {}", encoding, shown);
            }
        }

        #[test]
        fn nothing_that_is_searched_is_a_panic(text in "(.|%[0-9a-f]{0,2}|\\\\u\\{?[0-9a-fD]{0,6}|&#?x?[0-9a-f]{0,4};?|[A-Za-z0-9+/=]){0,60}", secret in ".{3,8}") {
            let secrets = Secrets::new([secret.clone(), "abc".to_owned()]);
            let shown = secrets.redact(&text);
            prop_assert!(!shown.contains(&secret) || secret.len() < SHORT || secret.contains('*'));
        }
    }
}
