//! How a source is reached: its address without secrets in it, and the secrets, which are never shown.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::net::TlsOptions;
use crate::net::client::Secret;

/// The address of a source and what it wants to see of us.
#[derive(Debug, Clone)]
pub struct Access {
    /// Without user information.
    url: Url,
    /// From the URL's user information.
    basic: Option<(String, Secret)>,
    /// Sent as `Authorization: Bearer`.
    bearer: Option<Secret>,
    /// Sent as they are (`X-Scope-OrgID`); their values are kept secret too.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For https.
    tls: TlsOptions,
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
        Ok(Self { url, basic, bearer: None, headers: Vec::new(), tls: TlsOptions::default(), timeout: Self::TIMEOUT })
    }

    /// With a bearer token; an empty one counts as absent.
    pub fn bearer(mut self, token: &str) -> Self {
        self.bearer = (!token.is_empty()).then(|| Secret::new(token));
        self
    }

    /// With one more header.
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.push((name, value));
        self
    }

    /// With other certificates than the system's.
    pub fn with_tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
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
        self.basic.as_ref().map(|(user, password)| (user.as_str(), password.reveal()))
    }

    /// The bearer token.
    pub fn token(&self) -> Option<&str> {
        self.bearer.as_ref().map(Secret::reveal)
    }

    /// Further headers.
    pub fn headers(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.headers.iter()
    }

    /// How TLS is spoken.
    pub fn tls(&self) -> &TlsOptions {
        &self.tls
    }

    /// `text` with everything secret in it made unreadable: a server may repeat in an error what it was sent.
    pub fn redact(&self, text: &str) -> String {
        let secrets = self.bearer.iter().chain(self.basic.iter().map(|(_, password)| password)).map(Secret::reveal);
        let headers = self.headers.iter().filter_map(|(_, value)| std::str::from_utf8(value.as_bytes()).ok());
        secrets.chain(headers).filter(|s| !s.is_empty()).fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
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
        let access = Access::new("https://ann:p%40ss@prom.example:9090/prefix").unwrap().bearer("t0ken");
        let access = access.header(HeaderName::from_static("x-scope-orgid"), HeaderValue::from_static("tenant7"));
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
