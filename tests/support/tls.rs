//! A certificate authority of a test's own, and servers that it certifies.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::hostile::Hostile;

/// The server's side of a connection through TLS.
pub type Secure = StreamOwned<ServerConnection, TcpStream>;

/// An authority, whose certificate is `NAME.pem` in a directory; those that it issues are there, too.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    pub fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), issuer.pem()).unwrap();
        Self { issuer, dir: dir.to_owned() }
    }

    /// Its own certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate for 127.0.0.1 and its key, also as `NAME.pem` and `NAME.key`.
    pub fn certify(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.certify_as(name, vec![SanType::IpAddress([127, 0, 0, 1].into())])
    }

    /// The same, of something with these names.
    pub fn certify_as(&self, name: &str, names: Vec<SanType>) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// A server that this authority certifies; with `mutual` its clients, too, have to be certified by it.
    pub fn serve(&self, mutual: bool, serve: impl Fn(&mut Secure) + Send + Sync + 'static) -> Hostile {
        let (certificate, key) = self.certify("server");
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        } else {
            builder.with_no_client_auth()
        };
        let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
        Hostile::accept(move |stream, _| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut secure = StreamOwned::new(connection, stream);
            serve(&mut secure);
            // The goodbye, and what refused the client if something did.
            secure.conn.send_close_notify();
            while secure.conn.wants_write() && secure.conn.write_tls(&mut secure.sock).is_ok() {}
            let _ = secure.sock.shutdown(std::net::Shutdown::Write); // the client may have gone
            let _ = std::io::copy(&mut secure.sock, &mut std::io::sink());
            let _ = secure.sock.shutdown(std::net::Shutdown::Both);
        })
    }
}
