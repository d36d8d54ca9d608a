//! URLs as they go on the wire: the origin to connect to, and the path and query to ask for.

use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::{Position, Url};

use super::written::Version;
use crate::base::names::RESERVED;
use crate::net::auth::basic;
use crate::net::client::decoded;
use crate::net::dial::NotAllowed;
use crate::net::{Alpn, Endpoint, Route, Tls};

/// What a path can't carry.
const UNFIT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// A text that is no URL to send a request to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not parsed by the URL standard's rules.
    #[error("is not a URL: {0}")]
    Invalid(String),
    /// Neither http nor https.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// No base to put a path behind.
    #[error(
        "is a path, and there is no `base_url` to put before it; set `defaults: {{http: {{base_url: …}}}}` or write the whole URL"
    )]
    NoBase,
    /// A base with something behind its path, which no path could be put behind.
    #[error("has a query or a fragment, and paths are put behind it; write the query at the steps")]
    Query,
    /// A host that the profile does not allow.
    #[error(transparent)]
    Host(#[from] NotAllowed),
}

/// How requests go wherever they go.
#[derive(Debug, Clone)]
pub struct Way {
    /// How `https` is done.
    pub tls: Arc<Tls>,
    /// From which addresses, by which answers of DNS, through which proxy.
    pub route: Arc<Route>,
    /// In which version of HTTP.
    pub version: Version,
}

impl Default for Way {
    fn default() -> Self {
        Self { tls: Tls::system(), route: Route::direct(), version: Version::Auto }
    }
}

/// Where requests go: a scheme, a host, a port, and how to get there.
#[derive(Debug, Clone)]
pub struct Origin {
    pub(crate) endpoint: Endpoint,
    /// `Host`, with the port where it is not the scheme's own.
    pub(super) host: HeaderValue,
    /// `Authorization` by the user and the password of the URL, where it has them.
    pub(crate) user: Option<HeaderValue>,
    version: Version,
    /// Whether requests go to a proxy as they are, which forwards them.
    forwards: bool,
}

/// The scheme of a whole URL, and what follows its `://`. A URL within a path or a query is none.
pub(crate) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let mut bytes = scheme.bytes();
    let named = bytes.next()?.is_ascii_alphabetic() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    named.then_some((scheme, rest))
}

/// The user and the password of a URL, as they are sent.
fn user(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let value = basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default()));
    // Base64 behind a word: a header can carry it.
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Origin {
    fn of(url: &Url, way: &Way) -> Result<Self, AddressError> {
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(Arc::clone(&way.tls)),
            _ => return Err(AddressError::Scheme),
        };
        let invalid = || AddressError::Invalid("it has no host".into());
        let host = url.host_str().ok_or_else(invalid)?;
        let port = url.port_or_known_default().ok_or_else(invalid)?;
        let text = &url[Position::BeforeHost..Position::AfterPort];
        let value = HeaderValue::from_str(text).map_err(|_| invalid())?;
        let version = way.version;
        let alpn = match version {
            Version::Auto => Alpn::Either,
            Version::Http11 => Alpn::Http11,
            Version::Http2 => Alpn::Http2,
        };
        // HTTP/2 without TLS is for those who know each other, and a proxy is a stranger: it gets a tunnel.
        let forwards = tls.is_none() && version != Version::Http2 && way.route.proxy().is_some();
        let endpoint = Endpoint { host: host.to_owned(), port, tls, alpn, route: Arc::clone(&way.route) };
        Ok(Self { endpoint, host: value, user: user(url), version, forwards })
    }

    /// Whether connections may turn out to speak HTTP/2.
    #[inline]
    pub(super) fn may_be_http2(&self) -> bool {
        match self.version {
            Version::Auto => self.is_secure(),
            Version::Http11 => false,
            Version::Http2 => true,
        }
    }

    /// The version that was asked for.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether requests go to a proxy, in absolute form.
    #[inline]
    pub(super) fn forwards(&self) -> bool {
        self.forwards
    }

    /// The host, a name or an address, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.endpoint.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// What the header `Host` says: with the port where it is not the scheme's own.
    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.endpoint.tls.is_some()
    }

    /// The same scheme, host and port: what RFC 6454 calls the same origin.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.port() == other.port() && self.is_secure() == other.is_secure() && self.host() == other.host()
    }

    /// Whether a connection to `other` can serve this one: the same origin, by the same version, way and TLS.
    pub(super) fn shares_connections_with(&self, other: &Self) -> bool {
        let (a, b) = (&self.endpoint.route, &other.endpoint.route);
        self.same(other)
            && self.version == other.version
            && (Arc::ptr_eq(a, b) || a == b)
            && match (&self.endpoint.tls, &other.endpoint.tls) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.options() == b.options(),
                _ => true,
            }
    }
}

/// Where one request goes.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub origin: Arc<Origin>,
    pub path: PathAndQuery,
}

impl Address {
    /// The URL, for cookies and for resolving redirects.
    pub fn url(&self) -> Option<Url> {
        let scheme = if self.origin.is_secure() { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}:{}{}", self.origin.host(), self.origin.port(), self.path)).ok()
    }

    /// The URL as a proxy wants it, and HTTP/2: with scheme and authority. `host` replaces the origin's own.
    pub fn absolute(&self, host: &HeaderValue) -> Result<Uri, http::Error> {
        let scheme = if self.origin.is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = Authority::try_from(host.as_bytes())?;
        Uri::builder().scheme(scheme).authority(authority).path_and_query(self.path.clone()).build()
    }

    /// The address of a whole URL.
    pub fn of(url: &Url, way: &Way) -> Result<Self, AddressError> {
        let origin = Arc::new(Origin::of(url, way)?);
        let path = path_and_query(&url[Position::BeforePath..Position::AfterQuery])?;
        Ok(Self { origin, path })
    }

    /// The address of `text` with `query` appended: a whole URL, or a path behind `base`.
    pub fn resolve(base: Option<&Base>, text: &str, query: &str, way: &Way) -> Result<Self, AddressError> {
        let text = text.split('#').next().unwrap_or_default();
        if is_absolute(text) {
            let whole = Base::parse(text, way)?;
            let path = path_and_query(&with_query(whole.path, query))?;
            return Ok(Self { origin: whole.origin, path });
        }
        if has_other_scheme(text) {
            return Err(AddressError::Scheme);
        }
        let base = base.ok_or(AddressError::NoBase)?;
        let mut path = String::with_capacity(base.path.len() + text.len() + query.len() + 2);
        path.push_str(base.path.trim_end_matches('/'));
        if !text.starts_with(['/', '?']) {
            path.push('/');
        }
        encode(text, &mut path);
        if path.starts_with('?') {
            path.insert(0, '/');
        }
        Ok(Self { origin: Arc::clone(&base.origin), path: path_and_query(&with_query(path, query))? })
    }
}

/// What paths are put behind: an origin and the beginning of a path.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub origin: Arc<Origin>,
    path: String,
}

impl Base {
    /// One that paths are put behind.
    pub fn of_paths(text: &str, way: &Way) -> Result<Self, AddressError> {
        if text.contains(['?', '#']) { Err(AddressError::Query) } else { Self::parse(text, way) }
    }

    fn parse(text: &str, way: &Way) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|error| AddressError::Invalid(error.to_string()))?;
        let origin = Arc::new(Origin::of(&url, way)?);
        // As written, not as the URL standard would normalise it: a load may be about just that.
        let rest = split_scheme(text).map_or("", |(_, rest)| rest);
        let mut path = String::new();
        match rest.find(['/', '?', '#']) {
            Some(at) if rest[at..].starts_with('/') => encode(&rest[at..], &mut path),
            Some(at) if rest[at..].starts_with('?') => {
                path.push('/');
                encode(&rest[at..], &mut path);
            }
            _ => path.push('/'),
        }
        Ok(Self { origin, path })
    }
}

/// Whether it is a whole URL.
pub(super) fn is_absolute(text: &str) -> bool {
    let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    begins("http://") || begins("https://")
}

/// Whether it is a URL of another scheme, or one of HTTP that lacks a slash: no path looks so.
fn has_other_scheme(text: &str) -> bool {
    let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    split_scheme(text).is_some() || begins("http:") || begins("https:")
}

fn with_query(mut path: String, query: &str) -> String {
    if !query.is_empty() {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(query);
    }
    path
}

fn path_and_query(text: &str) -> Result<PathAndQuery, AddressError> {
    PathAndQuery::try_from(text).map_err(|error| AddressError::Invalid(error.to_string()))
}

/// Appends a path as it may stand on the wire: what HTTP cannot carry is percent-encoded, what is encoded already is kept.
fn encode(text: &str, out: &mut String) {
    let path = text.split_once('#').map_or(text, |(path, _)| path);
    out.extend(utf8_percent_encode(path, UNFIT));
}

/// Appends `name=value` to a query, both percent-encoded but for the unreserved characters of RFC 3986.
pub(crate) fn push_query(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    out.extend(utf8_percent_encode(name, RESERVED));
    out.push('=');
    out.extend(utf8_percent_encode(value, RESERVED));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(base: &str, text: &str, query: &str) -> Result<(String, String), AddressError> {
        let way = Way::default();
        let base = (!base.is_empty()).then(|| Base::of_paths(base, &way).unwrap());
        let address = Address::resolve(base.as_ref(), text, query, &way)?;
        Ok((address.origin.host.to_str().unwrap().to_owned(), address.path.to_string()))
    }

    #[test]
    fn paths_stand_behind_the_base_and_urls_alone() {
        let cases = [
            ("http://h:8080", "/api", "", "h:8080", "/api"),
            ("http://h:80/v1/", "/api?x=1", "y=2", "h", "/v1/api?x=1&y=2"),
            ("http://h/v1", "api", "", "h", "/v1/api"),
            ("http://h", "", "a=b", "h", "/?a=b"),
            ("http://h", "?q", "", "h", "/?q"),
            ("https://h", "//other/x", "", "h", "//other/x"),
            ("http://h", "HTTPS://Other:443/y/../z#part", "", "other", "/y/../z"),
            ("", "http://[::1]:81?q=ü", "", "[::1]:81", "/?q=%C3%BC"),
            ("http://h", "/a b/{x}%20\"", "", "h", "/a%20b/%7Bx%7D%20%22"),
            ("http://h", "/a#b", "c=d", "h", "/a?c=d"),
        ];
        for (base, text, query, host, path) in cases {
            assert_eq!(resolve(base, text, query).unwrap(), (host.into(), path.into()), "{base} {text}");
        }
        assert_eq!(resolve("", "/api", ""), Err(AddressError::NoBase));
        for no_path in ["ftp://other/x", "htps://other/x", "ws://other/x", "http:/other/x", "HTTPS:x"] {
            assert_eq!(resolve("http://h", no_path, ""), Err(AddressError::Scheme), "{no_path}");
        }
        assert!(matches!(resolve("http://h", "http://", ""), Err(AddressError::Invalid(_))));
        assert_eq!(Base::of_paths("http://h/v1?key=1", &Way::default()).err(), Some(AddressError::Query));
    }

    #[test]
    fn a_url_within_another_is_none() {
        assert_eq!(split_scheme("HTTPS://h/x"), Some(("HTTPS", "h/x")));
        for text in ["/to?next=https://other/", "?u=http://x", "to/http://x", "://x", "1a://x", "{{ a }}://x"] {
            assert_eq!(split_scheme(text), None, "{text}");
        }
        assert_eq!(resolve("http://h", "/to?next=https://other/x", "").unwrap(), ("h".into(), "/to?next=https://other/x".into()));
    }

    #[test]
    fn queries_are_encoded() {
        let mut query = String::new();
        push_query(&mut query, "q", "a b&c=d/é");
        push_query(&mut query, "n[]", "1");
        assert_eq!(query, "q=a%20b%26c%3Dd%2F%C3%A9&n%5B%5D=1");
    }

    #[test]
    fn users_of_urls_are_sent_and_are_no_part_of_what_else_a_url_says() {
        let sent = |url: &str| {
            let address = Address::resolve(None, url, "", &Way::default()).unwrap();
            assert_eq!((address.origin.host().to_owned(), address.path.as_str()), ("h".into(), "/x"), "{url}");
            assert_eq!(address.url().unwrap().as_str(), "http://h/x", "{url}");
            address.origin.user.as_ref().map(|value| (value.to_str().unwrap().to_owned(), value.is_sensitive()))
        };
        let basic = |user: &str, password: &str| Some((basic(user, password), true));
        assert_eq!(sent("http://ann:s3cret@h/x"), basic("ann", "s3cret"));
        assert_eq!(sent("http://a%40b:p%3A%C3%BC@h/x"), basic("a@b", "p:ü"));
        assert_eq!(sent("http://a:p@ss@h/x"), basic("a", "p@ss"));
        assert_eq!((sent("http://token@h/x"), sent("http://:p@h/x")), (basic("token", ""), basic("", "p")));
        assert_eq!((sent("http://h/x"), sent("http://@h/x")), (None, None));
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let way = Way::default();
        let origin = |text: &str| Base::parse(text, &way).unwrap().origin;
        assert!(origin("http://h").same(&origin("http://h:80/x")));
        assert!(!origin("http://h").same(&origin("https://h")));
        assert!(!origin("http://h").same(&origin("http://h:81")));
        let address = Address::resolve(None, "https://h/p?q=1", "", &way).unwrap();
        assert_eq!(address.url().unwrap().as_str(), "https://h/p?q=1");
    }
}
