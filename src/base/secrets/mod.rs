//! Values that must never be printed, logged or stored, and their removal from texts.

mod answers;
mod names;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use answers::secrets_of_answer;
pub use names::Naming;

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
    let shown = [value].into_iter().chain(token).chain(cookies).filter(|secret| !secret.is_empty()).map(str::to_owned);
    shown.chain(password_of(value)).collect()
}

/// The password within `Basic …` (RFC 7617); the user where there is none, for then that is a token.
fn password_of(value: &str) -> Option<String> {
    let pair = STANDARD.decode(value.strip_prefix("Basic ")?.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(if password.is_empty() { user } else { password }).filter(|secret| !secret.is_empty()).map(str::to_owned)
}

/// The secrets of a profile. Cheap to clone; prints nothing of what it holds.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Longest first, so that a secret that holds another goes as a whole.
    values: Arc<[String]>,
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
        let mut values: Vec<String> = values.into_iter().filter(|value| hides(value)).collect();
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { values: values.into() }
    }

    /// These and those of another.
    pub fn with(&self, others: impl IntoIterator<Item = String>) -> Self {
        Self::new(self.values.iter().cloned().chain(others))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The text with every secret in it replaced by `***`. A short one goes only where it stands as a word of its own.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut result = Cow::Borrowed(text);
        for secret in self.values.iter() {
            if result.contains(secret.as_str()) {
                result = Cow::Owned(replace(&result, secret));
            }
        }
        result
    }
}

/// Below so many bytes a secret may well be a part of other words.
const SHORT: usize = 6;

fn hides(value: &str) -> bool {
    value.trim().len() >= 3 && !matches!(value.trim(), "true" | "false" | "yes" | "off" | "null" | "none")
}

fn replace(text: &str, secret: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, found) = rest.split_at(at);
        let after = &found[secret.len()..];
        let inside = before.chars().next_back().or_else(|| result.chars().next_back()).is_some_and(word)
            || after.chars().next().is_some_and(word);
        result.push_str(before);
        result.push_str(if secret.len() < SHORT && inside { secret } else { HIDDEN });
        rest = after;
    }
    result.push_str(rest);
    result
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
        assert_eq!(secrets_of_header("Basic YW5uOnAxMjM="), ["Basic YW5uOnAxMjM=", "YW5uOnAxMjM=", "p123"]);
        assert_eq!(secrets_of_header("Basic dG9rZW46"), ["Basic dG9rZW46", "dG9rZW46", "token"]);
    }

    #[test]
    fn every_occurrence_goes_and_the_longest_first() {
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
}
