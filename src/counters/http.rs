//! How a source is reached: its address without secrets in it, the secrets, which are never shown, and a client that asks it and
//! cleans what comes back of anything secret.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use url::Url;

use super::error::{SourceError, excerpt};
use crate::base::secrets::secrets_of_url;
use crate::base::{Reason, Secrets};
use crate::net::TlsOptions;
use crate::net::client::{Answer, Auth, Client, ClientError, ClientOptions, Held, decoded};

/// The address of a source and what it wants to see of us.
#[derive(Debug, Clone)]
pub struct Access {
    /// Without user information.
    url: Url,
    /// Basic authentication comes from the URL's user information. Headers (`X-Scope-OrgID`) are sent as they are; their values
    /// are kept secret too.
    options: ClientOptions,
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
    /// Takes an address apart; user information in it becomes basic authentication.
    ///
    /// # Errors
    /// What isn't a URL, or isn't http or https.
    pub fn new(url: &str) -> Result<Self, AccessError> {
        let mut url = Url::parse(url.trim()).map_err(|error| AccessError::NotAUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AccessError::Scheme(url.scheme().to_owned()));
        }
        let mut options = ClientOptions::default();
        if !url.username().is_empty() || url.password().is_some() {
            let password = Held::here(decoded(url.password().unwrap_or_default()));
            options.auth = Auth::Basic { username: decoded(url.username()), password };
        }
        // Neither can fail: an http URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Ok(Self { url, options })
    }

    /// With a bearer token, which beats a user and a password; an empty one counts as absent.
    pub fn bearer(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.auth(Auth::Bearer(Held::here(token))) }
    }

    /// With a token or a password that beats the URL's.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.options.auth = auth;
        self
    }

    /// With one more header.
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.options.headers.push((name, value));
        self
    }

    /// With other certificates than the system's.
    pub fn with_tls(mut self, tls: TlsOptions) -> Self {
        self.options.tls = tls;
        self
    }

    /// With another time limit for one request than 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Whether both read the same: the same place, asked by the same.
    pub fn reads_the_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.options, &other.options);
        is_same_place(&self.url, &other.url) && (&a.auth, &a.headers, &a.tls) == (&b.auth, &b.headers, &b.tls)
    }

    /// What must not be shown of what a server says: it may repeat in an error what it was sent.
    fn secrets(&self) -> Secrets {
        let headers = self.options.headers.iter().filter_map(|(_, value)| std::str::from_utf8(value.as_bytes()).ok());
        let of_url = secrets_of_url(self.url.as_str()).into_iter().map(|(_, secret)| secret);
        let secrets = self.options.auth.secrets().into_iter().chain(headers.map(str::to_owned)).chain(of_url);
        Secrets::new(secrets)
    }
}

/// Whether an address is one of this machine, by its name.
pub(super) fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(is_this_machine)
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// A host and a port; this machine goes by one name.
pub(super) fn address(host: &str, port: impl Display) -> String {
    format!("{}:{port}", if is_this_machine(host) { "localhost" } else { host })
}

/// Whether two addresses are those of one place.
pub(super) fn is_same_place(a: &Url, b: &Url) -> bool {
    let origin = |url: &Url| {
        let at = address(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        (url.scheme().to_owned(), at)
    };
    let query = |url: &Url| url.query_pairs().into_owned().collect::<BTreeSet<_>>();
    let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
    origin(a) == origin(b) && path(a) == path(b) && query(a) == query(b)
}

/// Asks one source.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    access: Access,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// The server's clock, in whole Unix seconds.
    pub(super) date: Option<f64>,
    pub(super) bytes: Bytes,
}

impl Http {
    pub(super) fn new(access: Access) -> Self {
        Self { client: Client::new(access.options.clone()), access }
    }

    /// The source's own address.
    pub(super) fn url(&self) -> &Url {
        &self.access.url
    }

    pub(super) async fn get(&self, url: &Url, headers: &[(HeaderName, HeaderValue)]) -> Result<Body, SourceError> {
        self.body(self.client.get(url, headers).await)
    }

    pub(super) async fn post_form(&self, url: &Url, form: &[(&str, &str)]) -> Result<Body, SourceError> {
        self.body(self.client.post_form(url, form).await)
    }

    fn body(&self, answer: Result<Answer, ClientError>) -> Result<Body, SourceError> {
        match answer {
            Ok(answer) => {
                let text = |name| {
                    answer.headers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
                };
                let date = text(http::header::DATE).and_then(|date| chrono::DateTime::parse_from_rfc2822(&date).ok());
                let date = date.map(|date| date.timestamp() as f64);
                let content_type = text(http::header::CONTENT_TYPE);
                Ok(Body { status: answer.status.as_u16(), content_type, date, bytes: answer.body })
            }
            Err(error) if error.reason == Reason::Timeout => {
                Err(SourceError::Timeout { seconds: self.access.options.timeout.as_secs_f64() })
            }
            Err(error) => Err(SourceError::Unreachable(self.excerpt(&error.message))),
        }
    }

    /// The beginning of a text from the other side without what we sent it in confidence.
    pub(super) fn excerpt(&self, text: &str) -> String {
        self.excerpts()(text)
    }

    /// Makes such excerpts of many texts: what is secret is looked up once.
    pub(super) fn excerpts(&self) -> impl Fn(&str) -> String + use<> {
        let secrets = self.access.secrets();
        move |text| excerpt(&secrets.redact(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_never_shown() {
        let access = Access::new("https://ann:p%40ss@prom.example:9090/prefix").unwrap();
        let access = access.header(HeaderName::from_static("x-scope-orgid"), HeaderValue::from_static("tenant7"));
        let basic = Auth::Basic { username: "ann".into(), password: Held::here("p@ss") };
        assert_eq!((access.url.as_str(), &access.options.auth), ("https://prom.example:9090/prefix", &basic));
        assert_eq!(access.secrets().redact("denied: p@ss or YW5uOnBAc3M= of tenant7"), "denied: *** or *** of ***");
        let token = access.clone().bearer("t0ken");
        assert_eq!(token.secrets().redact("denied: Bearer t0ken"), "denied: Bearer ***");
        let other = Access::new("http://h/metrics?token=EX%2FTOKEN").unwrap();
        assert_eq!(other.secrets().redact("no /metrics?token=EX%2FTOKEN, EX/TOKEN"), "no /metrics?token=***, ***");
        let shown = format!("{access:?} {token:?}");
        for secret in ["p@ss", "p%40ss", "t0ken", "tenant7"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn an_empty_token_is_none_and_bad_addresses_say_what_is_right() {
        assert_eq!(Access::new("http://a").unwrap().bearer("").options.auth, Auth::None);
        assert!(Access::new("ftp://a").unwrap_err().to_string().contains("http or https"));
        let error = Access::new("://user:hunter2@").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("http://127.0.0.1:9090"), "{error}");
    }
    #[test]
    fn a_place_is_an_address_with_a_path_and_a_query() {
        let same = |a: &str, b: &str| is_same_place(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("http://a:80/metrics?b=1&a=2", "http://a/metrics/?a=2&b=1"));
        assert!(same("http://a/scrape?target=redis%3A%2F%2Fx", "http://a/scrape?target=redis://x"));
        assert!(!same("http://a/scrape?target=x", "http://a/scrape?target=y") && !same("http://a/metrics", "https://a/metrics"));
        assert!(
            same("http://localhost:9121/metrics", "http://127.0.0.1:9121/metrics")
                && same("http://[::1]:9/", "http://localhost:9")
        );
        assert!(!same("http://localhost:9121/metrics", "http://127.0.0.1:9122/metrics"));
    }

    #[test]
    fn one_place_that_is_asked_by_two_tenants_is_two_sources() {
        let access = || Access::new("http://a/metrics").unwrap();
        let tenant =
            |name: &'static str| access().header(HeaderName::from_static("x-scope-orgid"), HeaderValue::from_static(name));
        assert!(access().reads_the_same(&Access::new("http://a:80/metrics/").unwrap().timeout(Duration::from_secs(1))));
        assert!(tenant("a").reads_the_same(&tenant("a")) && !tenant("a").reads_the_same(&tenant("b")));
        assert!(!access().reads_the_same(&access().bearer("t")));
        let as_other = TlsOptions { cert_file: Some("b.pem".into()), ..TlsOptions::default() };
        assert!(!access().reads_the_same(&access().with_tls(as_other)));
    }
}
