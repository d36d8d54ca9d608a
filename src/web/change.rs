//! Who may change something: neither a web page of another origin nor somebody whom nothing allows it.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, Uri};

/// A request came with credentials that the web config file asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authenticated;

/// A request came over a connection whose peer has shown a certificate, and has its key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Certified {
    /// Whoever made it.
    Shown,
    /// One of `client_ca` has made it.
    Verified,
}

/// Why a request to `host` must not change anything, if it must not. `external` is what people's browsers call this server,
/// `--web.external-url`.
pub(super) fn refusal(
    headers: &HeaderMap,
    host: &str,
    external: Option<&str>,
    allowed: bool,
) -> Option<(StatusCode, &'static str)> {
    if comes_from_elsewhere(headers, host, external) {
        return Some((
            StatusCode::FORBIDDEN,
            "a web page of another origin asked for this; if the page is this server's own, start with --web.external-url\n",
        ));
    }
    (!allowed).then_some((
        StatusCode::FORBIDDEN,
        "the lifecycle API is not enabled; start with --web.enable-lifecycle, or name basic_auth_users in --web.config.file\n",
    ))
}

/// Whether a browser says that it does what a page of another origin wants. A name that somebody else's server gives to this machine
/// is another origin, too: that is how pages reach servers that only listen here.
fn comes_from_elsewhere(headers: &HeaderMap, host: &str, external: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let Some(origin) = text("origin") else { return text("sec-fetch-site") == Some("cross-site") };
    let Some(origin) = authority(origin) else { return true };
    let external = external.and_then(authority);
    let host = host.to_ascii_lowercase();
    let same = origin == host || without_default_port(&origin) == without_default_port(&host);
    !(same
        && (is_this_machine(&origin)
            || external.is_some_and(|external| without_default_port(&external) == without_default_port(&origin))))
}

/// Host and port of a URL, in small letters.
fn authority(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    uri.scheme()?;
    uri.authority().map(|authority| authority.as_str().to_ascii_lowercase())
}

fn without_default_port(authority: &str) -> &str {
    authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443")).unwrap_or(authority)
}

/// An address or `localhost`, which nobody else can make a name of this machine.
fn is_this_machine(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host == "localhost" || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_origins_change_nothing() {
        for (origin, site, host, external, elsewhere) in [
            ("", "", "load.example:10797", None, false),
            ("", "cross-site", "127.0.0.1:10797", None, true),
            ("", "same-origin", "127.0.0.1:10797", None, false),
            ("http://127.0.0.1:10797", "same-origin", "127.0.0.1:10797", None, false),
            ("http://[::1]:10797", "", "[::1]:10797", None, false),
            ("http://localhost:10797", "", "localhost:10797", None, false),
            ("http://localhost", "", "localhost:80", None, false),
            ("http://evil.example", "cross-site", "127.0.0.1:10797", None, true),
            ("http://127.0.0.1:8000", "same-site", "127.0.0.1:10797", None, true),
            ("null", "cross-site", "127.0.0.1:10797", None, true),
            // A name that was bound to this machine anew.
            ("http://evil.example:10797", "same-origin", "evil.example:10797", None, true),
            ("https://load.example", "same-origin", "load.example", Some("https://load.example/"), false),
            ("https://load.example", "same-origin", "load.example", Some("https://load.example:443"), false),
            ("https://load.example", "same-origin", "load.example", Some("https://other.example/"), true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(comes_from_elsewhere(&headers, host, external), elsewhere, "{origin} {site} {host} {external:?}");
            let refused = refusal(&headers, host, external, false).unwrap();
            assert_eq!(refused.1.contains("--web.enable-lifecycle"), !elsewhere);
            assert_eq!(refusal(&headers, host, external, true).is_some(), elsewhere);
        }
    }
}
