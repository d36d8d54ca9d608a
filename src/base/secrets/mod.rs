//! Values that must never be printed, logged or stored, and their removal from texts.
//!
//! A text from outside loses every secret in it, however it is encoded ([`Secrets::redact`]). The program's own sentences hold such texts in
//! double quotes; what else stands in them are words and names, and they are left as they are where a secret is such a word or a part of
//! such a name ([`Secrets::redact_own`]): `password: load` hides no "load".
//!
//! Some secrets are known from the profile, others come to be known while a run goes on ([`Secrets::learn`]), for all who share them.

mod answers;
mod common;
mod learned;
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

use common::is_common;
use learned::Learned;

pub use answers::secrets_of_answer;
pub use names::Naming;
pub use searched::Searched;
pub use urls::{percent_decoded, secrets_of_form, secrets_of_url};

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

/// The value of a cookie that is written `name=value`, without quotes around it.
fn cookie_value(pair: &str) -> Option<&str> {
    Some(pair.split_once('=')?.1.trim().trim_matches('"'))
}

/// The values of cookies that are written one behind the other; those of templates are left alone.
pub fn secrets_of_cookies(value: &str) -> impl Iterator<Item = &str> {
    value.split(';').filter_map(cookie_value).filter(|value| is_secret_cookie(value) && !value.contains("{{"))
}

/// What is secret in the value of a header that carries credentials: all of it, the token behind its scheme, and the values
/// of its cookies.
pub fn secrets_of_header(value: &str) -> Vec<String> {
    let token = value.split_once(' ').map(|(_, token)| token.trim());
    let parts =
        [value].into_iter().chain(token).chain(secrets_of_cookies(value)).filter(|secret| !secret.is_empty()).map(str::to_owned);
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

/// What is secret in the value of a header that carries credentials, in an answer: of a cookie its value only.
pub fn secrets_of_answered_header(name: &str, value: &str) -> Vec<String> {
    if !name.eq_ignore_ascii_case("set-cookie") {
        return secrets_of_header(value);
    }
    let cookie = value.split(';').next().and_then(cookie_value);
    cookie.filter(|value| is_secret_cookie(value)).map(str::to_owned).into_iter().collect()
}

/// The secrets of a profile, and those that its runs come to know. Cheap to clone; prints nothing of what it holds.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Arc<[Known]>,
    /// Shared with all that were made of the same.
    learned: Arc<Learned>,
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
        let common = is_common_or_named(&text, names);
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
        Self { values: values.into_iter().collect(), ..self.clone() }
    }

    /// The same, where these are names of the profile's own.
    pub fn beside(&self, names: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = self.names.iter().cloned().chain(names).collect();
        let values = self.values.iter().map(|known| Known::new(known.text.clone(), &names)).collect();
        Self { values, names: Arc::new(names), learned: self.learned.clone() }
    }

    /// Keeps these secret, too, from now on and for all who share them. What is short is left out: it could be a part of any text.
    pub fn learn(&self, values: impl IntoIterator<Item = String>) {
        for text in values {
            if text.trim().len() >= SHORT && hides(&text) && self.values.iter().all(|known| known.text != text) {
                self.learned.add(text, |text| is_common_or_named(text, &self.names));
            }
        }
    }

    /// Changes when some of what was learned is about to be forgotten: what is still in use has to be reported again.
    pub fn generation(&self) -> u64 {
        self.learned.generation()
    }

    /// How many there are, without those that were learned.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.learned.is_empty()
    }

    /// A text from outside with `***` in the place of every secret, in whatever encoding. A short one goes only where it stands as a word of
    /// its own.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without(text, &|_, _| true)
    }

    /// A sentence of the program's own likewise. Outside of double quotes what could be one of its words, or is part of a name of the
    /// profile's, stays.
    pub fn redact_own<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without(text, &|is_common, place| !is_common || stands_in_quotes(text, place.start))
    }

    /// A sentence of the program's own about a value that is secret: it may repeat it between backticks, too.
    pub fn redact_about<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let in_backticks = |place: &Range<usize>| text[..place.start].matches('`').count() % 2 == 1;
        self.without(text, &|is_common, place| !is_common || in_backticks(place) || stands_in_quotes(text, place.start))
    }

    fn without<'a>(&self, text: &'a str, goes: &dyn Fn(bool, &Range<usize>) -> bool) -> Cow<'a, str> {
        if self.is_empty() || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let searched = Searched::new(text);
        let mut places = Vec::new();
        let mut find = |secret: &str, is_common: bool| {
            searched.find(secret, secret.len() < SHORT, &mut |place| {
                if goes(is_common, &place) {
                    places.push(place);
                }
            });
        };
        self.values.iter().for_each(|known| find(&known.text, known.common));
        self.learned.each(&mut find);
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

fn hides(value: &str) -> bool {
    value.trim().len() >= 3 && !matches!(value.trim(), "true" | "false" | "yes" | "off" | "null" | "none")
}

fn is_common_or_named(text: &str, names: &BTreeSet<String>) -> bool {
    is_common(text) || names.iter().any(|name| name.contains(text))
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
        assert_eq!(secrets_of_header("sid=\"0123456789\""), ["sid=\"0123456789\"", "0123456789"]);
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
        // Quotes of others stand escaped among theirs.
        let quoted = format!("it said {:?}", "wrong \"load\" and load");
        assert_eq!(secrets.redact_own(&quoted), r#"it said "wrong \"***\" and ***""#);
        assert_eq!(secrets.with(["checkout".to_owned()]).redact_own("checkout, \"checkout\""), "checkout, \"***\"");
    }

    #[test]
    fn a_few_words_of_the_program_stay_as_one_does_and_a_passphrase_goes() {
        let words = ["status 500", "held_back", "took longer than", "p95", "4 of 5"].map(str::to_owned);
        let phrase = "correct horse battery staple".to_owned();
        for made in ["sk_live_4242424242", "bot_123456789", "p45211234"] {
            assert_eq!(Secrets::new([made.to_owned()]).redact_own(&format!("it said {made} so")), "it said *** so");
        }
        assert_eq!(Secrets::new(["45211234".to_owned()]).redact_own("45211234 of \"45211234\""), "45211234 of \"***\"");
        let secrets = Secrets::new(words.iter().cloned().chain([phrase.clone()]));
        for word in &words {
            let own = format!("it {word} so: \"{word}\"");
            assert_eq!(secrets.redact_own(&own), format!("it {word} so: \"***\""));
            assert_eq!(secrets.redact(word), "***");
        }
        assert_eq!(secrets.redact_own(&phrase), "***");
        let about = Secrets::new(["text".to_owned()]);
        assert_eq!(
            about.redact_about("`text` is no number, this is the text \"text\""),
            "`***` is no number, this is the text \"***\""
        );
    }

    #[test]
    fn what_is_learned_is_secret_for_all_who_share_it() {
        let plan = Secrets::new(["hunter2".to_owned()]).beside(["checkout-1".to_owned()]);
        let other = plan.clone();
        plan.with(["of-one-answer".to_owned()]).learn(["abc-def".to_owned(), "short".to_owned(), "checkout".to_owned()]);
        assert_eq!(other.redact("hunter2 abc-def short of-one-answer"), "*** *** short of-one-answer");
        assert_eq!(other.redact_own("checkout says \"checkout\""), "checkout says \"***\"");
        assert_eq!(Secrets::default().redact("abc-def"), "abc-def");
        let none = Secrets::default();
        none.learn(["learned-alone".to_owned()]);
        assert_eq!(none.redact("learned-alone"), "***");
    }

    #[test]
    fn of_a_cookie_in_an_answer_its_value_is_secret() {
        let cookie = "sid=0123456789; Path=/account-pages; Domain=shop.example; HttpOnly";
        assert_eq!(secrets_of_answered_header("set-cookie", cookie), ["0123456789"]);
        assert_eq!(secrets_of_answered_header("set-cookie", "sid=\"0123456789\"; Path=/"), ["0123456789"]);
        assert_eq!(secrets_of_answered_header("set-cookie", "lang=en"), Vec::<String>::new());
        assert_eq!(secrets_of_answered_header("authorization", "Bearer abcdef"), ["Bearer abcdef", "abcdef"]);
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
