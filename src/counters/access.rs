//! How a source is reached: its address without secrets in it, and the secrets, which are never shown.

use std::fmt;
use std::time::Duration;

use url::Url;

/// A text that is sent and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The address of a source and what it wants to see of us.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Without user information.
    url: Url,
    /// From the URL's user information.
    basic: Option<(String, Secret)>,
    /// Sent as `Authorization: Bearer`.
    bearer: Option<Secret>,
    /// Sent as they are (`X-Scope-OrgID`); their values are kept secret too.
    headers: Vec<(String, Secret)>,
    /// For one request.
    timeout: Duration,
}

/// Why an address can't be one of a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Not a URL at all. The text isn't repeated: it may hold a password.
    #[error("not a URL ({0}); write one like http://127.0.0.1:9090")]
    NotAUrl(String),
    /// A scheme that we don't speak.
    #[error("the URL's scheme is `{0}`; write http or https")]
    Scheme(String),
}

impl Access {
    /// How long one request to a source may take where the profile says nothing.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// Takes an address apart; user information in it becomes basic authentication.
    ///
    /// # Errors
    /// What isn't a URL, or isn't http or https.
    pub fn new(url: &str) -> Result<Self, AccessError> {
        let mut url = Url::parse(url.trim()).map_err(|error| AccessError::NotAUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AccessError::Scheme(url.scheme().to_owned()));
        }
        let decode = |text: &str| String::from_utf8_lossy(&percent_decode(text)).into_owned();
        let basic = (!url.username().is_empty() || url.password().is_some())
            .then(|| (decode(url.username()), Secret::new(decode(url.password().unwrap_or_default()))));
        // Neither can fail: an http URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Ok(Self { url, basic, bearer: None, headers: Vec::new(), timeout: Self::TIMEOUT })
    }

    /// With a bearer token; an empty one counts as absent.
    pub fn bearer(mut self, token: &str) -> Self {
        self.bearer = (!token.is_empty()).then(|| Secret::new(token));
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), Secret::new(value)));
        self
    }

    /// With another time limit for one request.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The address without user information.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The time limit of one request.
    pub fn time_limit(&self) -> Duration {
        self.timeout
    }

    /// User and password for basic authentication.
    pub fn basic(&self) -> Option<(&str, &str)> {
        self.basic.as_ref().map(|(user, password)| (user.as_str(), password.expose()))
    }

    /// The bearer token.
    pub fn token(&self) -> Option<&str> {
        self.bearer.as_ref().map(Secret::expose)
    }

    /// Further headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// `text` with everything secret in it made unreadable: a server may repeat in an error what it was sent.
    pub fn redact(&self, text: &str) -> String {
        let secrets = self.bearer.iter().chain(self.basic.iter().map(|(_, p)| p)).chain(self.headers.iter().map(|(_, v)| v));
        secrets.map(Secret::expose).filter(|s| !s.is_empty()).fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// Percent-decoding of user information.
fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_never_shown() {
        let access = Access::new("https://ann:p%40ss@prom.example:9090/prefix")
            .unwrap()
            .bearer("t0ken")
            .header("X-Scope-OrgID", "tenant7");
        assert_eq!(access.basic(), Some(("ann", "p@ss")));
        assert_eq!(access.url().as_str(), "https://prom.example:9090/prefix");
        let shown = format!("{access:?}");
        for secret in ["p@ss", "p%40ss", "t0ken", "tenant7"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(access.redact("denied: Bearer t0ken of p@ss"), "denied: Bearer *** of ***");
    }

    #[test]
    fn an_empty_token_is_none_and_bad_addresses_say_what_is_right() {
        assert_eq!(Access::new("http://a").unwrap().bearer("").token(), None);
        assert!(Access::new("ftp://a").unwrap_err().to_string().contains("http or https"));
        let error = Access::new("://user:hunter2@").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("http://127.0.0.1:9090"), "{error}");
    }
}
