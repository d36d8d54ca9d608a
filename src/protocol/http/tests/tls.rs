//! TLS with a certificate authority of the test's own.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::base::{Outcome, Reason};
use crate::net::{Tls, TlsOptions};

/// An authority, with its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::of(params)
    }

    fn of(params: CertificateParams) -> Self {
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.directory.path().join(name))
    }

    /// A certificate for `name`, also as `cert.pem` and `key.pem`.
    fn certify(&self, name: &str) -> (rustls::pki_types::CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(self.directory.path().join("cert.pem"), certificate.pem()).unwrap();
        fs::write(self.directory.path().join("key.pem"), key.serialize_pem()).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// A server that answers one request per connection; with `mutual` it wants a certificate of the client.
    async fn serve(&self, name: &str, mutual: bool) -> String {
        self.serve_by(name, mutual, &[]).await
    }

    /// The same with what is offered by ALPN; where that is HTTP/2, hyper speaks it.
    async fn serve_by(&self, name: &str, mutual: bool, alpn: &[&str]) -> String {
        let certified = self.certify(name);
        self.serve_with(certified, mutual, alpn).await
    }

    /// A server whose certificate is the authority's own, which is in `ca.pem`.
    async fn serve_itself(name: &str) -> (Self, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = Self::of(params);
        let key = PrivateKeyDer::try_from(authority.issuer.key().serialize_der()).unwrap();
        let url = authority.serve_with((authority.issuer.der().clone(), key), false, &[]).await;
        (authority, url)
    }

    async fn serve_with(
        &self,
        (certificate, key): (rustls::pki_types::CertificateDer<'static>, PrivateKeyDer<'static>),
        mutual: bool,
        alpn: &[&str],
    ) -> String {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if mutual {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(socket).await else { continue };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let service = hyper::service::service_fn(|request| super::http2::page(request, Arc::default()));
                    let builder = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
                    tokio::spawn(builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
                    continue;
                }
                let mut request = vec![0; 4096];
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
            }
        });
        url
    }
}

async fn ask(url: &str, options: TlsOptions) -> Exchange {
    perform(&mut Client::new(), &get(url, |spec| spec.way.tls = Tls::new(options))).await
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_trusted_where_it_is_named_and_by_its_name_only() {
    let (authority, url) = Authority::serve_itself("127.0.0.1").await;
    let options = TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() };
    let exchange = ask(&url, options.clone()).await;
    assert_eq!((exchange.outcome, &exchange.body[..]), (Outcome::Ok, &b"ok"[..]), "{:?}", exchange.detail);
    let exchange = ask(&url, TlsOptions { server_name: Some("elsewhere.example".into()), ..options }).await;
    assert_eq!((exchange.outcome, exchange.reason), (Outcome::Error, Some(Reason::Tls)));
    let stranger = Authority::new();
    let exchange = ask(&url, TlsOptions { ca_file: stranger.file("ca.pem"), ..Default::default() }).await;
    assert_eq!((exchange.outcome, exchange.reason), (Outcome::Error, Some(Reason::Tls)));
}

#[tokio::test]
async fn trusts_whom_the_profile_names() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let url = authority.serve("127.0.0.1", false).await;
    let exchange = ask(&url, TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() }).await;
    assert_eq!((exchange.outcome, &exchange.body[..]), (Outcome::Ok, &b"ok"[..]), "{:?}", exchange.detail);
    let times = exchange.connects[0].result.unwrap();
    assert!(times.tls.unwrap() > Duration::ZERO && times.total >= times.tls.unwrap());
    // Ciphertext and handshake are counted, not the 37 bytes of the answer.
    assert!(exchange.received > 500 && exchange.sent > 200);

    let exchange = ask(&url, TlsOptions { ca_file: stranger.file("ca.pem"), ..Default::default() }).await;
    assert_eq!((exchange.outcome, exchange.reason), (Outcome::Error, Some(Reason::Tls)));
    assert_eq!(exchange.connects[0].result, Err(Some(Reason::Tls)));
    assert_eq!(exchange.sent_at, None);

    let exchange = ask(&url, TlsOptions { insecure: true, ..Default::default() }).await;
    assert_eq!(exchange.outcome, Outcome::Ok);
    let exchange = ask(&url, TlsOptions { ca_file: Some("/nowhere".into()), ..Default::default() }).await;
    assert_eq!(exchange.reason, Some(Reason::Tls));
    assert!(exchange.detail.unwrap().contains("`ca_file`: /nowhere"));
}

#[tokio::test]
async fn names_are_checked() {
    let authority = Authority::new();
    let url = authority.serve("api.test", false).await;
    let trusting = || TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() };
    assert_eq!(ask(&url, trusting()).await.reason, Some(Reason::Tls));
    let named = TlsOptions { server_name: Some("api.test".into()), ..trusting() };
    assert_eq!(ask(&url, named).await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn shows_its_own_certificate() {
    let authority = Authority::new();
    let url = authority.serve("127.0.0.1", true).await;
    let trusting = || TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() };
    let shown = TlsOptions { cert_file: authority.file("cert.pem"), key_file: authority.file("key.pem"), ..trusting() };
    assert_eq!(ask(&url, shown).await.outcome, Outcome::Ok);
    // With TLS 1.3 the refusal comes with the first answer.
    let exchange = ask(&url, trusting()).await;
    assert_eq!(exchange.reason, Some(Reason::Tls), "{:?}", exchange.detail);
}

#[tokio::test]
async fn a_connection_is_kept() {
    let authority = Authority::new();
    let url = authority.serve("127.0.0.1", false).await;
    let request = get(&url, |spec| {
        spec.way.tls = Tls::new(TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() });
    });
    let mut client = Client::new();
    assert_eq!(perform(&mut client, &request).await.connects.len(), 1);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let exchange = perform(&mut client, &request).await;
    assert_eq!((exchange.outcome, exchange.connects.len()), (Outcome::Ok, 0));
}

#[tokio::test]
async fn the_version_is_agreed_on_within_tls() {
    use crate::protocol::http::written::Version::{self, Auto, Http2, Http11};
    let authority = Authority::new();
    let both = authority.serve_by("127.0.0.1", false, &["h2", "http/1.1"]).await;
    let old = authority.serve_by("127.0.0.1", false, &["http/1.1"]).await;
    let silent = authority.serve_by("127.0.0.1", false, &[]).await;
    let ask = async |url: &str, version: Version| {
        let request = get(&format!("{url}head"), |spec| {
            spec.way.tls = Tls::new(TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() });
            spec.way.version = version;
        });
        let mut client = Client::new();
        let first = perform(&mut client, &request).await;
        let again = perform(&mut client, &request).await;
        if first.outcome == Outcome::Ok {
            assert_eq!((again.outcome, again.connects.len()), (Outcome::Ok, 0), "{version:?}: {:?}", again.detail);
            assert!(first.connects[0].result.unwrap().tls.unwrap() > Duration::ZERO);
        }
        first.reason.ok_or_else(|| String::from_utf8_lossy(&first.body).into_owned())
    };
    let http2 = Err(format!("GET {both}head HTTP/2.0 "));
    let http11 = Err("ok".to_owned());
    for (url, version, wanted) in [
        (&both, Auto, http2.clone()),
        (&both, Http2, http2),
        (&both, Http11, http11.clone()),
        (&old, Auto, http11.clone()),
        (&silent, Auto, http11),
        // Such a server ends the handshake itself.
        (&old, Http2, Ok(Reason::Tls)),
        (&silent, Http2, Ok(Reason::Protocol)),
    ] {
        assert_eq!(ask(url, version).await, wanted, "{url} {version:?}");
    }
}

#[tokio::test]
async fn a_missing_certificate_is_the_same_error_with_http2() {
    let authority = Authority::new();
    let url = authority.serve_by("127.0.0.1", true, &["h2"]).await;
    let trusting = || TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() };
    let shown = TlsOptions { cert_file: authority.file("cert.pem"), key_file: authority.file("key.pem"), ..trusting() };
    let exchange = ask(&format!("{url}head"), shown).await;
    assert_eq!(exchange.outcome, Outcome::Ok, "{:?}", exchange.detail);
    let exchange = ask(&format!("{url}head"), trusting()).await;
    assert_eq!(exchange.reason, Some(Reason::Tls), "{:?}", exchange.detail);
}

#[tokio::test]
async fn a_target_that_wants_to_shake_hands_anew_is_refused() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    let authority = Authority::new();
    authority.certify("127.0.0.1");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-tls1_2",
            "-naccept",
            "1",
            "-cert",
            "cert.pem",
            "-key",
            "key.pem",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ])
        .current_dir(authority.directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut orders, said) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
    let (listens, listening) = tokio::sync::oneshot::channel();
    let reading = std::thread::spawn(move || {
        let mut listens = Some(listens);
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if line == "ACCEPT" {
                let _ = listens.take().map(|listens| listens.send(()));
            } else if line.starts_with("GET / ") {
                // Its word for a renegotiation.
                let _ = orders.write_all(b"R\n");
            }
        }
    });
    listening.await.unwrap();
    let options = TlsOptions { ca_file: authority.file("ca.pem"), ..Default::default() };
    let exchange = ask(&format!("https://127.0.0.1:{port}/"), options).await;
    let detail = exchange.detail.unwrap_or_default();
    assert_eq!((exchange.reason, exchange.connects.len()), (Some(Reason::Tls), 1), "{detail}");
    assert!(detail.contains("(renegotiation)"), "{detail}");
    let _ = server.kill(); // it may have ended
    server.wait().unwrap();
    reading.join().unwrap();
}
