//! One user's cookies, by the rules of RFC 6265. Nothing is allocated before the first cookie comes.

use std::cmp::Reverse;
use std::convert::Infallible;

use cookie_store::{Cookie, CookieDomain, CookieStore};
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use url::Url;

use super::address::Address;

/// The most cookies that a user keeps, as many as browsers keep of one site; new ones beyond are ignored.
const MAX_COOKIES: usize = 180;

/// Whether there is such a cookie, which the new one renews or ends.
fn is_kept(store: &CookieStore, cookie: &Cookie<'_>) -> bool {
    cookie.domain.as_cow().is_some_and(|domain| store.contains(&domain, &cookie.path, cookie.name()))
}

/// The store marks what has expired and keeps it: a target that sets a name of its own each time would fill it.
fn forget_expired(store: &mut CookieStore) {
    let fresh = store.iter_unexpired().cloned().map(Ok::<_, Infallible>);
    let Ok(fresh) = CookieStore::from_cookies(fresh, false);
    *store = fresh;
}

/// Whose cookies they are: that of the host that a request names, which a profile may have written itself.
fn site(address: &Address, host: Option<&HeaderValue>) -> Option<Url> {
    let mut url = address.url()?;
    if let Some(written) = host.filter(|host| **host != address.origin.host).and_then(|host| host.to_str().ok()) {
        let named = Url::parse(&format!("{}://{written}", url.scheme())).ok()?;
        url.set_host(named.host_str()).ok()?;
    }
    Some(url)
}

/// Second levels that registries of countries sell names under (`co.uk`).
const SOLD_UNDER: [&str; 7] = ["ac", "co", "com", "edu", "gov", "net", "org"];

/// Whether names of strangers end in this domain, as far as that can be known without the list of all such domains.
fn is_public(domain: &str) -> bool {
    match domain.rsplit_once('.') {
        None => true,
        Some((second, country)) => country.len() == 2 && SOLD_UNDER.contains(&second),
    }
}

/// A cookie is never for all that ends in a public domain; a host of that very name may set one for itself (RFC 6265, 5.3).
fn within_one_site(mut cookie: Cookie<'static>, url: &Url) -> Option<Cookie<'static>> {
    if let CookieDomain::Suffix(domain) = &cookie.domain
        && is_public(domain)
    {
        if url.host_str() != Some(domain) {
            return None;
        }
        cookie.domain = CookieDomain::host_only(url).ok()?;
    }
    Some(cookie)
}

/// The jar.
#[derive(Debug, Default)]
pub struct Jar {
    store: Option<Box<CookieStore>>,
}

impl Jar {
    /// Keeps what an answer from `address` sets, that was asked for as `host`.
    pub(crate) fn store(&mut self, headers: &HeaderMap, address: &Address, host: Option<&HeaderValue>) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let Some(url) = site(address, host) else { return };
        let store = self.store.get_or_insert_with(Box::default);
        for value in headers.get_all(SET_COOKIE) {
            // What a browser would ignore is ignored: a broken cookie, one for another site.
            let Ok(Ok(cookie)) = value.to_str().map(|text| Cookie::parse(text, &url)) else { continue };
            let Some(cookie) = within_one_site(cookie.into_owned(), &url) else { continue };
            if store.iter_any().count() >= MAX_COOKIES {
                forget_expired(store);
            }
            if store.iter_any().count() < MAX_COOKIES || is_kept(store, &cookie) {
                let _ = store.insert(cookie, &url);
            }
        }
    }

    /// The values of all cookies.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.store.iter().flat_map(|store| store.iter_any()).map(|cookie| cookie.value())
    }

    /// Adds the cookies for `address` to `headers`, behind those that the profile wrote itself.
    pub(crate) fn add(&self, headers: &mut HeaderMap, address: &Address) {
        let Some(store) = &self.store else { return };
        let Some(url) = site(address, headers.get(HOST)) else { return };
        let mut text = String::new();
        if let Some(written) = headers.get(COOKIE) {
            text.push_str(&String::from_utf8_lossy(written.as_bytes()));
        }
        // Those of longer paths first, then the older ones (RFC 6265, 5.4).
        let mut cookies = store.matches(&url);
        cookies.sort_by_key(|cookie| Reverse(cookie.path.len()));
        for (name, value) in cookies.into_iter().map(|cookie| cookie.name_value()) {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        if let (false, Ok(mut value)) = (text.is_empty(), HeaderValue::try_from(text)) {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http::Way;

    fn address(text: &str) -> Address {
        Address::resolve(None, text, "", &Way::default()).unwrap()
    }

    #[test]
    fn cookies_go_back_to_where_they_are_for() {
        let mut jar = Jar::default();
        let mut answer = HeaderMap::new();
        for cookie in ["sid=1; Path=/", "cart=2; Path=/shop", "sec=3; Secure", "evil=4; Domain=other.test", "gone=5; Max-Age=0"] {
            answer.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        jar.store(&answer, &address("http://h.test/login"), None);
        let sent = |jar: &Jar, url: &str, own: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(own.map(|own| (COOKIE, HeaderValue::from_static(own))));
            jar.add(&mut headers, &address(url));
            let mut parts: Vec<String> = headers
                .get(COOKIE)
                .map_or_else(Vec::new, |value| value.to_str().unwrap().split("; ").map(str::to_owned).collect());
            parts.sort();
            parts.join(" ")
        };
        assert_eq!(sent(&jar, "http://h.test/", None), "sid=1");
        assert_eq!(sent(&jar, "http://h.test/shop/1", Some("own=0")), "cart=2 own=0 sid=1");
        assert_eq!(sent(&jar, "http://other.test/", None), "");
        for i in 0..2 * MAX_COOKIES {
            let mut answer = HeaderMap::new();
            answer.insert(SET_COOKIE, HeaderValue::try_from(format!("c{i}=x")).unwrap());
            jar.store(&answer, &address("http://h.test/"), None);
        }
        assert_eq!(jar.store.as_ref().unwrap().iter_unexpired().count(), MAX_COOKIES);
        // What is there can be renewed and ended all the same, which makes room for another.
        let mut set = |cookie: &str| {
            let mut answer = HeaderMap::new();
            answer.insert(SET_COOKIE, HeaderValue::try_from(cookie).unwrap());
            jar.store(&answer, &address("http://h.test/"), None);
            sent(&jar, "http://h.test/", None)
        };
        assert!(set("sid=renewed; Path=/").contains("sid=renewed"));
        assert!(!set("sid=; Path=/; Max-Age=0").contains("sid="));
        assert!(set("late=1").contains("late=1"));
        assert!(!set("later=1").contains("later=1"));
    }

    #[test]
    fn longer_paths_come_first_then_older_cookies_and_the_host_is_that_which_is_sent() {
        let mut jar = Jar::default();
        for cookie in ["b=1; Path=/", "a=2; Path=/", "deep=3; Path=/shop/cart", "z=4; Path=/shop", "c=5; Path=/"] {
            let answer = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(cookie))]);
            jar.store(&answer, &address("http://127.0.0.1:81/shop/cart/1"), Some(&HeaderValue::from_static("shop.test")));
        }
        let sent = |host: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(host.map(|host| (HOST, HeaderValue::from_static(host))));
            jar.add(&mut headers, &address("http://127.0.0.1:81/shop/cart/1"));
            headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(sent(Some("shop.test")).unwrap(), "deep=3; z=4; b=1; a=2; c=5");
        assert_eq!(sent(Some("shop.test:8080")).unwrap(), "deep=3; z=4; b=1; a=2; c=5", "cookies know no port");
        assert_eq!((sent(None), sent(Some("other.test"))), (None, None));
    }

    #[test]
    fn no_cookie_is_for_strangers() {
        let sent = |from: &str, cookie: &'static str, to: &str| {
            let mut jar = Jar::default();
            jar.store(&HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(cookie))]), &address(from), None);
            let mut headers = HeaderMap::new();
            jar.add(&mut headers, &address(to));
            headers.contains_key(COOKIE)
        };
        for (domain, from, to) in [
            ("a=1; Domain=com", "http://shop.com/", "http://other.com/"),
            ("a=1; Domain=.CO.uk", "http://shop.co.uk/", "http://other.co.uk/"),
        ] {
            assert!(!sent(from, domain, to) && !sent(from, domain, from), "{domain}");
        }
        assert!(sent("http://a.shop.com/", "a=1; Domain=shop.com", "http://b.shop.com/"));
        assert!(sent("http://a.co.example/", "a=1; Domain=co.example", "http://b.co.example/"));
        // A host of such a name, for itself alone.
        assert!(sent("http://localhost/", "a=1; Domain=localhost", "http://localhost/"));
        assert!(!sent("http://localhost/", "a=1; Domain=localhost", "http://shop.localhost/"));
    }

    #[test]
    fn names_that_are_never_used_again_make_no_jar_grow() {
        let mut jar = Jar::default();
        for i in 0..20 * MAX_COOKIES {
            let mut answer = HeaderMap::new();
            answer.append(SET_COOKIE, HeaderValue::try_from(format!("state-{i}=x")).unwrap());
            answer.append(SET_COOKIE, HeaderValue::try_from(format!("state-{i}=; Max-Age=0")).unwrap());
            jar.store(&answer, &address("http://h.test/"), None);
        }
        assert!(jar.store.unwrap().iter_any().count() <= MAX_COOKIES);
    }
}
