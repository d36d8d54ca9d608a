//! Where an answer sends on, and what of the request goes with it (RFC 9110, 15.4).

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE, HOST, HeaderName, LOCATION,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::address::{Address, AddressError, Way};
use crate::base::secrets::carries_secret;

/// The address that an answer sends on to; none if it sends nowhere.
pub(super) fn target(
    status: StatusCode,
    headers: &HeaderMap,
    from: &Address,
    way: &Way,
) -> Option<Result<Address, AddressError>> {
    let location = location(status, headers)?;
    let text = String::from_utf8_lossy(location.as_bytes());
    let joined = from.url()?.join(&text).map_err(|error| AddressError::Invalid(error.to_string()));
    Some(joined.and_then(|url| Address::of(&url, way)))
}

/// Whether an answer is one that is followed, where redirects are.
pub(super) fn leads_on(status: StatusCode, headers: &HeaderMap) -> bool {
    location(status, headers).is_some()
}

fn location(status: StatusCode, headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(LOCATION).filter(|_| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308))
}

/// The method to go on with: 303 is a GET; 301 and 302 make a GET of a POST, as everyone does; 307 and 308 change nothing.
pub(super) fn method(status: StatusCode, method: &Method) -> Method {
    match status.as_u16() {
        303 if *method != Method::HEAD => Method::GET,
        301 | 302 if *method == Method::POST => Method::GET,
        _ => method.clone(),
    }
}

/// Takes out what must not go on: the body's headers if the body does not, what is secret if the origin is another.
pub(super) fn strip(headers: &mut HeaderMap, from: &Address, to: &Address, without_body: bool) {
    if without_body {
        for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
            headers.remove(name);
        }
    }
    if !from.origin.same(&to.origin) {
        let secret = |name: &HeaderName| *name == COOKIE || carries_secret(name.as_str());
        let names: Vec<HeaderName> = headers.keys().filter(|name| secret(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
        headers.insert(HOST, to.origin.host.clone());
    }
    if let Some(user) = &to.origin.user {
        headers.insert(AUTHORIZATION, user.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_by_status() {
        let after = |status: u16, from: &Method| method(StatusCode::from_u16(status).unwrap(), from);
        assert_eq!(after(301, &Method::POST), Method::GET);
        assert_eq!(after(302, &Method::PUT), Method::PUT);
        assert_eq!(after(303, &Method::DELETE), Method::GET);
        assert_eq!(after(303, &Method::HEAD), Method::HEAD);
        assert_eq!(after(307, &Method::POST), Method::POST);
        assert_eq!(after(308, &Method::PATCH), Method::PATCH);
    }

    #[test]
    fn locations_are_resolved_and_secrets_stay_at_home() {
        let way = Way::default();
        let from = Address::resolve(None, "http://h.test/a/b", "", &way).unwrap();
        let to = |status: u16, location: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            target(StatusCode::from_u16(status).unwrap(), &headers, &from, &way)
        };
        assert_eq!(to(302, "c?d#e").unwrap().unwrap().path, "/a/c?d");
        assert!(to(304, "/x").is_none() && to(200, "/x").is_none());
        assert_eq!(to(302, "ftp://h.test/").unwrap().unwrap_err(), AddressError::Scheme);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        headers.insert("x-api-key", HeaderValue::from_static("k"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        strip(&mut headers, &from, &to(302, "/same").unwrap().unwrap(), false);
        assert_eq!(headers.len(), 3);
        strip(&mut headers, &from, &to(302, "http://other.test:81/").unwrap().unwrap(), true);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[HOST], "other.test:81");
        strip(&mut headers, &from, &to(302, "http://ann:pw@other.test/").unwrap().unwrap(), true);
        assert_eq!(headers[AUTHORIZATION], "Basic YW5uOnB3", "a user in the new URL is sent to where that leads");
    }
}
