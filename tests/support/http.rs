//! The smallest HTTP client, for readiness and for looking at pages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// The status and body of a GET; none while there is no whole answer.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    ask(port, "GET", path, "")
}

/// The same of a POST without a body.
pub fn post(port: u16, path: &str) -> Option<(u16, String)> {
    ask(port, "POST", path, "Content-Length: 0\r\n")
}

/// The same of any method, with further header lines.
pub fn ask(port: u16, method: &str, path: &str, headers: &str) -> Option<(u16, String)> {
    let mut stream = connect(port)?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{headers}\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The whole answer to a GET over TLS, from a server that has this very certificate.
pub fn get_tls(port: u16, path: &str, certificate: &rcgen::Certificate) -> Option<String> {
    ask_tls(port, "GET", path, certificate.der(), None, &rustls::version::TLS13)
}

/// The whole answer to a request over TLS, from a server that this certificate vouches for; empty if it is refused. `client` is what the client
/// shows of itself.
pub fn ask_tls(
    port: u16,
    method: &str,
    path: &str,
    root: &rustls::pki_types::CertificateDer<'static>,
    client: Option<Arc<rustls::sign::CertifiedKey>>,
    version: &'static rustls::SupportedProtocolVersion,
) -> Option<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).ok()?;
    let config = config.with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(client) => config.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(client))),
    };
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").ok()?;
    let connection = rustls::ClientConnection::new(Arc::new(config), name).ok()?;
    let mut stream = rustls::StreamOwned::new(connection, connect(port)?);
    let mut bytes = Vec::new();
    if write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").is_ok() {
        // A server that hangs up without a goodbye is an error of its own, after its answer.
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8(bytes).ok()
}

fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    Some(stream)
}

/// The value of a series on a page in the text format, by all that stands before its value.
pub fn sample(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
}

/// All series of one metric: what stands between the braces, and the value.
pub fn series<'a>(page: &'a str, metric: &str) -> impl Iterator<Item = (&'a str, f64)> {
    page.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(metric)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some((labels, value.parse().ok()?))
    })
}
