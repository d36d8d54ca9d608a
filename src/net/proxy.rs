//! An HTTP proxy: its address and credentials, and the tunnel through it (`CONNECT`, RFC 9110, 9.3.6).
//!
//! Nothing here prints the credentials: neither the user nor the password, nor what they make together.

use std::fmt;
use std::io;

use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::auth::basic;
use super::client::{Secret, decoded};

/// The longest head of an answer to `CONNECT`, with those of interim answers before it.
const MAX_HEAD: usize = 16 * 1024;

/// A proxy that speaks HTTP/1.1 over plain TCP.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// A name or an address; IPv6 in brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// `Proxy-Authorization`.
    authorization: Option<Secret>,
    /// The part that must not be shown on its own: the password, or the user where there is none.
    password: Option<Secret>,
}

/// A text that is no proxy's address. It is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not a URL.
    #[error("is not a URL ({0}); write one like http://user:password@127.0.0.1:3128")]
    NotAUrl(String),
    /// A kind of proxy that there is no support for.
    #[error("begins with {0}:, and only proxies by http:// are supported; write one like http://127.0.0.1:3128")]
    Scheme(String),
    /// More than an address.
    #[error("has a path or a query, and a proxy has neither; write one like http://127.0.0.1:3128")]
    Path,
}

impl Proxy {
    /// Reads a proxy's URL; its user and password become credentials.
    ///
    /// # Errors
    /// What is not a URL, not http, or has a path.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text.trim()).map_err(|error| ProxyError::NotAUrl(error.to_string()))?;
        if url.scheme() != "http" {
            return Err(ProxyError::Scheme(url.scheme().to_owned()));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Path);
        }
        let host = url.host_str().ok_or_else(|| ProxyError::NotAUrl("it has no host".into()))?.to_owned();
        // 80 is the scheme's own.
        let port = url.port_or_known_default().unwrap_or(80);
        let (user, password) = (decoded(url.username()), url.password().map(decoded));
        let authorization =
            (!user.is_empty() || password.is_some()).then(|| Secret::new(basic(&user, password.as_deref().unwrap_or_default())));
        // A user without a password is a token.
        let password = password.or_else(|| (!user.is_empty()).then_some(user)).map(Secret::new);
        Ok(Self { host, port, authorization, password })
    }

    /// `Proxy-Authorization`, if there are credentials.
    pub fn authorization(&self) -> Option<HeaderValue> {
        // Base64 after a word: a header can carry it.
        let mut value = HeaderValue::from_str(self.authorization.as_ref()?.reveal()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// What must not be shown anywhere: the password, and the credentials as they are sent.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let sent = self.authorization.as_ref().map(Secret::reveal);
        let bare = sent.and_then(|value| value.strip_prefix("Basic "));
        self.password.as_ref().map(Secret::reveal).into_iter().chain(bare)
    }

    /// Has the proxy connect `tcp` to `target` (host and port).
    pub(super) async fn tunnel(&self, tcp: &mut TcpStream, target: &str) -> io::Result<Result<(), Refusal>> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization.reveal());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        tcp.write_all(request.as_bytes()).await?;
        let mut left = MAX_HEAD;
        let mut interim = None;
        let status = loop {
            let head = read_head(tcp, &mut left).await?;
            match status_of(&head) {
                Some(status @ (100 | 102..=199)) if left > 0 => interim = Some(status),
                // Of those that go on and on the last one stands.
                None if left == 0 => break interim,
                status => break status,
            }
        };
        Ok(match status {
            Some(200..=299) => Ok(()),
            Some(407) if self.authorization.is_some() => Err(Refusal::Credentials),
            Some(407) => Err(Refusal::NoCredentials),
            Some(status) => Err(Refusal::Status(status)),
            None => Err(Refusal::NotHttp),
        })
    }
}

/// Why a proxy has made no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it answered 407: it does not take the user and password of `http_proxy`")]
    Credentials,
    #[error("it answered 407: it wants a user and a password; write `http_proxy: http://user:password@host:port`")]
    NoCredentials,
    #[error("it answered {0}")]
    Status(u16),
    #[error("its answer is not HTTP/1.1")]
    NotHttp,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The status in an answer's head, if it is one of HTTP/1.
fn status_of(head: &str) -> Option<u16> {
    let mut words = head.trim_start().lines().next()?.splitn(3, ' ');
    let is_http = words.next()?.starts_with("HTTP/1.");
    words.next()?.parse().ok().filter(|_| is_http)
}

/// Reads an answer's head and not a byte more: what follows belongs to the target. No more than `left` bytes are read.
async fn read_head(tcp: &mut TcpStream, left: &mut usize) -> io::Result<String> {
    let mut head = Vec::new();
    let mut seen = [0; 1024];
    while *left > 0 {
        let most = seen.len().min(*left);
        let n = tcp.peek(&mut seen[..most]).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = head.len();
        head.extend_from_slice(&seen[..n]);
        let from = before.saturating_sub(3);
        let end = head[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4);
        let taken = end.unwrap_or(head.len()) - before;
        tcp.read_exact(&mut seen[..taken]).await?;
        *left -= taken;
        if let Some(end) = end {
            head.truncate(end);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn credentials_are_taken_out_and_never_shown() {
        let proxy = Proxy::parse("http://ann:p%40ss@proxy.test:3128").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.to_string()), ("proxy.test", 3128, "proxy.test:3128".into()));
        let value = proxy.authorization().unwrap();
        assert_eq!(value, format!("Basic {}", STANDARD.encode("ann:p@ss")));
        assert!(value.is_sensitive());
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.test:3128)");
        assert_eq!(proxy.secrets().collect::<Vec<_>>(), ["p@ss", &STANDARD.encode("ann:p@ss")]);
        let open = Proxy::parse("http://[::1]").unwrap();
        assert_eq!((open.to_string(), open.authorization(), open.secrets().count()), ("[::1]:80".into(), None, 0));
    }

    #[test]
    fn what_is_no_proxy_says_what_is_right() {
        for (text, part) in [
            ("127.0.0.1:3128", "is not a URL"),
            ("https://hunter2@proxy.test", "begins with https:"),
            ("socks5://127.0.0.1:1080", "begins with socks5:"),
            ("http://a:hunter2@proxy.test/path", "has a path"),
            ("", "is not a URL"),
        ] {
            let error = Proxy::parse(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("http://") && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
