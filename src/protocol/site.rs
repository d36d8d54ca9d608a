//! Where a session connects to over HTTP: a URL with its query and headers, for the handshakes of WebSocket and Socket.IO.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_PROTOCOL, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::http::written::Version;
use super::http::{Address, AddressError, Base, Cookies, TWO_USERS, Way, push_query, split_scheme};
use super::sent::Sent;
use crate::base::secrets::{carries_secret, is_secret_header, secrets_of_form};
use crate::expr::{EvalError, Scope, Template};
use crate::net::{AGENT, Endpoint, HostPort, Route, Tls};

/// A URL as resolved, with what goes with it.
#[derive(Debug, Clone)]
pub struct Site {
    /// What paths are put behind: a URL.
    pub base_url: Option<Template>,
    /// A path or a whole URL; `ws` and `wss` are the same as `http` and `https`.
    pub url: Template,
    /// Appended to the URL, percent-encoded.
    pub query: Vec<(String, Template)>,
    /// Headers of the handshake.
    pub headers: Vec<(HeaderName, Template)>,
    /// Whether the user's cookies go with the handshake, and those that its answer sets are kept.
    pub cookies: bool,
    /// How `wss` and `https` are done.
    pub tls: Arc<Tls>,
    /// By which way to get there; a proxy is asked for a tunnel.
    pub route: Arc<Route>,
    /// The only hosts that may be connected to; all if absent.
    pub hosts: Option<Arc<[HostPort]>>,
}

/// A site that can never be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// The static part of the URL.
    #[error("`{url}` {problem}")]
    Url {
        /// As written.
        url: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A header's value.
    #[error("the header `{0}` has a character that headers cannot carry (a line break?)")]
    Header(HeaderName),
    /// A header that is not the profile's to set.
    #[error("the header `{0}` is the handshake's own; leave it out")]
    Handshake(HeaderName),
    /// Two say who asks.
    #[error("{}", TWO_USERS)]
    TwoUsers,
    /// Subprotocols have a key of their own.
    #[error("write `subprotocols: [name]` instead of the header `sec-websocket-protocol`")]
    Subprotocol,
}

/// A site as rendered for one user.
#[derive(Clone)]
pub(super) struct Visit {
    pub address: Address,
    /// Where to dial for it.
    pub endpoint: Endpoint,
    /// The profile's headers, `Host` and the user agent among them.
    pub headers: HeaderMap,
    pub cookies: bool,
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without its path and headers: a token may be in either.
        f.write_str("Visit")
    }
}

impl Visit {
    /// What must not be shown of it.
    pub fn credentials(&self) -> Sent {
        let headers = self.headers.iter().filter(|(name, _)| carries_secret(name.as_str())).map(|(_, value)| value.clone());
        let values = secrets_of_form(self.address.path.query().unwrap_or_default());
        Sent { headers: headers.collect(), values }
    }

    /// Adds the user's cookies, if they are to go along.
    pub fn add_cookies(&mut self, cookies: Option<&mut Cookies>) {
        if let (true, Some(jar)) = (self.cookies, cookies) {
            jar.add(&mut self.headers, &self.address);
        }
    }

    /// Keeps the cookies that an answer sets, if they are to be kept.
    pub fn keep_cookies(&self, answer: &HeaderMap, cookies: Option<&mut Cookies>) {
        if let (true, Some(jar)) = (self.cookies, cookies) {
            jar.store(answer, &self.address, self.headers.get(HOST));
        }
    }
}

impl Site {
    /// A site without headers or query.
    pub fn new(url: Template) -> Self {
        let (query, headers) = (Vec::new(), Vec::new());
        let (tls, route) = (Tls::system(), Route::direct());
        Self { base_url: None, url, query, headers, cookies: true, tls, route, hosts: None }
    }

    /// An upgrade is HTTP/1.1's.
    fn way(&self) -> Way {
        Way { tls: Arc::clone(&self.tls), route: Arc::clone(&self.route), version: Version::Http11 }
    }

    /// Whether what is static of it can be used; for when a profile is loaded.
    ///
    /// # Errors
    /// A URL or a header that no handshake could carry.
    pub fn check(&self) -> Result<(), SiteError> {
        let url = |url: &str, problem| SiteError::Url { url: url.to_owned(), problem };
        let way = self.way();
        let base = match &self.base_url {
            Some(Template::Static(text)) => Some(base(text, &way).map_err(|problem| url(text, problem))?),
            _ => None,
        };
        if let (Template::Static(text), true) = (&self.url, base.is_some() || self.base_url.is_none()) {
            let address = resolve(base.as_ref(), text, "", &way).map_err(|problem| url(text, problem))?;
            self.allowed(&address).map_err(|problem| url(text, problem))?;
            if address.origin.user.is_some() && self.headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
                return Err(SiteError::TwoUsers);
            }
        }
        for (name, value) in &self.headers {
            let own = [CONNECTION, UPGRADE, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name);
            if *name == SEC_WEBSOCKET_PROTOCOL {
                return Err(SiteError::Subprotocol);
            }
            if own || name.as_str().starts_with("sec-websocket-") {
                return Err(SiteError::Handshake(name.clone()));
            }
            if let Template::Static(text) = value {
                HeaderValue::from_str(text).map_err(|_| SiteError::Header(name.clone()))?;
            }
        }
        Ok(())
    }

    /// Where it goes, if that is the same for all users.
    pub fn destination(&self) -> Option<Endpoint> {
        let way = self.way();
        let base = match &self.base_url {
            Some(template) => Some(base(template.as_static()?, &way).ok()?),
            None => None,
        };
        let address = resolve(base.as_ref(), self.url.as_static()?, "", &way).ok()?;
        Some(address.origin.endpoint.clone())
    }

    /// Renders it. The errors do not repeat the text: it may hold what a template put there.
    pub(super) fn render(&self, scope: &Scope) -> Result<Visit, EvalError> {
        let unusable = |key: &'static str| move |problem: String| EvalError::new(key, format!("the result {problem}"));
        let mut text = String::new();
        let way = self.way();
        let base = match &self.base_url {
            Some(template) => {
                template.text(scope, &mut text)?;
                Some(base(&text, &way).map_err(unusable("base_url"))?)
            }
            None => None,
        };
        let mut query = String::new();
        for (name, value) in &self.query {
            text.clear();
            value.text(scope, &mut text)?;
            push_query(&mut query, name, &text);
        }
        text.clear();
        self.url.url(scope, &mut text)?;
        let address = resolve(base.as_ref(), &text, &query, &way).map_err(unusable("connect"))?;
        self.allowed(&address).map_err(unusable("connect"))?;
        let mut headers = HeaderMap::new();
        headers.extend(address.origin.user.clone().map(|user| (AUTHORIZATION, user)));
        headers.insert(HOST, address.origin.host_header().clone());
        headers.insert(USER_AGENT, AGENT);
        for (name, value) in &self.headers {
            text.clear();
            value.text(scope, &mut text)?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| {
                EvalError::new(name.as_str(), "the header's value has a character that headers cannot carry (a line break?)")
            })?;
            value.set_sensitive(is_secret_header(name.as_str()));
            if headers.insert(name.clone(), value).is_some() && *name == AUTHORIZATION {
                return Err(EvalError::new("connect", TWO_USERS));
            }
        }
        let endpoint = address.origin.endpoint.clone();
        Ok(Visit { address, endpoint, headers, cookies: self.cookies })
    }

    fn allowed(&self, address: &Address) -> Result<(), String> {
        address.origin.endpoint.allowed(self.hosts.as_deref()).map_err(|refused| refused.to_string())
    }
}

fn base(text: &str, way: &Way) -> Result<Base, String> {
    Base::of_paths(&as_http(text), way).map_err(explain)
}

fn resolve(base: Option<&Base>, text: &str, query: &str, way: &Way) -> Result<Address, String> {
    if base.is_none() && split_scheme(text).is_none() {
        return Err(
            "is a path, and this protocol's `defaults` have no `base_url` to put before it; add one there, or write the whole URL, like ws://127.0.0.1:8081/ws".into()
        );
    }
    let text = as_http(text);
    // HTTP takes what isn't http:// or https:// for a path; a URL of another scheme is none of a session's.
    let scheme = split_scheme(&text).map_or("http", |(scheme, _)| scheme);
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(explain(AddressError::Scheme));
    }
    Address::resolve(base, &text, query, way).map_err(explain)
}

fn explain(error: AddressError) -> String {
    match error {
        // Without a base, what is no path has another scheme.
        AddressError::Scheme | AddressError::NoBase => "must begin with ws://, wss://, http:// or https://".into(),
        error => error.to_string(),
    }
}

/// A URL of `ws` or `wss` as one of `http` or `https`, which it is on the wire.
fn as_http(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = split_scheme(text) else { return Cow::Borrowed(text) };
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => Cow::Owned(format!("http://{rest}")),
        "wss" => Cow::Owned(format!("https://{rest}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::ScenarioValues;

    fn site(base: &str, url: &str) -> Site {
        Site { base_url: (!base.is_empty()).then(|| Template::literal(base)), ..Site::new(Template::literal(url)) }
    }

    fn render(site: &Site) -> Result<String, EvalError> {
        let visit = site.render(&Scope::new(Arc::new(ScenarioValues::default()), 0))?;
        let secure = if visit.address.origin.is_secure() { "s" } else { "" };
        Ok(format!("{secure}|{}|{}", visit.headers[HOST].to_str().unwrap(), visit.address.path))
    }

    #[test]
    fn paths_stand_behind_the_base_and_websocket_schemes_are_https() {
        assert_eq!(render(&site("ws://h:81/v1", "/live")).unwrap(), "|h:81|/v1/live");
        assert_eq!(render(&site("ws://h", "WSS://other/x")).unwrap(), "s|other|/x");
        assert_eq!(render(&site("", "https://h:8443")).unwrap(), "s|h:8443|/");
        let mut queried = site("http://h", "/ws?a=1");
        queried.query.push(("room".into(), Template::literal("a b")));
        assert_eq!(render(&queried).unwrap(), "|h|/ws?a=1&room=a%20b");
    }

    #[test]
    fn what_cannot_be_connected_to_is_reported_when_it_is_loaded() {
        let problem = |site: &Site| site.check().unwrap_err().to_string();
        assert!(problem(&site("", "/ws")).contains("no `base_url`"));
        assert!(problem(&site("", "ftp://h/")).contains("must begin with ws://"));
        assert!(problem(&site("ws://h", "ftp://h/")).contains("must begin with ws://"));
        assert_eq!(site("ws://h", "/to?url=ftp://x/").check(), Ok(()));
        assert!(problem(&site("ws://", "/x")).contains("`ws://` is not a URL"));
        let mut limited = site("", "ws://other/");
        limited.hosts = Some(Arc::new([HostPort::parse("h").unwrap()]));
        assert!(problem(&limited).contains("`other`, which is not among"));
        for (header, part) in
            [("upgrade", "handshake's own"), ("sec-websocket-key", "own"), ("sec-websocket-protocol", "subprotocols")]
        {
            let mut site = site("", "ws://h/");
            site.headers.push((HeaderName::from_static(header), Template::literal("x")));
            assert!(problem(&site).contains(part), "{header}");
        }
        assert_eq!(site("ws://h", "/x").check(), Ok(()));
    }
}
