//! TLS by rustls with ring: what a profile may say of it, loaded once.
//!
//! Session resumption is off: every connection of a load makes the full handshake that a new visitor's would, and the
//! timings of TLS mean the same from the first connection to the last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::pem::{self, PemError};

/// What can be said of TLS, as plain data: `tls: {ca_file, cert_file, key_file, server_name, insecure}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// PEM file of the certificates to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate chain; goes with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the client's private key; goes with `cert_file`.
    pub key_file: Option<PathBuf>,
    /// The name to ask for and to verify, instead of the host of the URL.
    pub server_name: Option<String>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
}

/// Why TLS could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read, or is not PEM of the right kind.
    #[error("`{key}`: {path}: {message}", path = path.display())]
    File {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// One of `cert_file` and `key_file` without the other.
    #[error("`{given}` is given without `{missing}`; a client certificate needs both")]
    Half {
        /// The key that is there.
        given: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// The system has no root certificates.
    #[error("no root certificates were found on this system; name the ones to trust with `tls: {{ca_file: …}}`")]
    NoRoots,
    /// A name that no certificate can carry.
    #[error("`{0}` cannot be the name of a TLS server; set `tls: {{server_name: …}}`")]
    ServerName(String),
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// One way to do TLS, shared by all connections that use it. Files are read at first use, once.
#[derive(Debug)]
pub struct Tls {
    options: TlsOptions,
    config: OnceLock<Result<Arc<ClientConfig>, TlsError>>,
}

impl Tls {
    /// TLS with these options; touches no file yet.
    pub fn new(options: TlsOptions) -> Arc<Self> {
        Arc::new(Self { options, config: OnceLock::new() })
    }

    /// TLS as the system has it: its roots, no client certificate. One for all of the process.
    pub fn system() -> Arc<Self> {
        static SYSTEM: OnceLock<Arc<Tls>> = OnceLock::new();
        Arc::clone(SYSTEM.get_or_init(|| Self::new(TlsOptions::default())))
    }

    /// What was asked for.
    pub fn options(&self) -> &TlsOptions {
        &self.options
    }

    /// The loaded configuration; reads the files the first time.
    ///
    /// # Errors
    /// Files that cannot be read or do not hold what they should; the same answer every time.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        self.config.get_or_init(|| load(&self.options).map(Arc::new)).clone()
    }

    /// The name to verify for a connection to `host`.
    ///
    /// # Errors
    /// A host that is neither a DNS name nor an address.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        let name = self.options.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_: InvalidDnsNameError| TlsError::ServerName(name.to_owned()))
    }
}

fn load(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    let trust = if options.insecure {
        Some(Trust::Anyone)
    } else {
        options.ca_file.as_deref().map(|path| trust_of_file(path, &provider)).transpose()?
    };
    let builder = match trust {
        Some(trust) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { trust, provider })),
        None => builder.with_root_certificates(native_roots()?),
    };
    let mut config = match (&options.cert_file, &options.key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates("cert_file", cert)?;
            let pair = pem::file(key).and_then(|text| pem::key(&text)).map_err(|error| file_error("key_file", key, error))?;
            builder.with_client_auth_cert(chain, pair).map_err(|error| {
                let error = PemError::of_pair(&error);
                let (at, path) = if error.is_of_certificate() { ("cert_file", cert) } else { ("key_file", key) };
                file_error(at, path, error)
            })?
        }
        (Some(_), None) => return Err(TlsError::Half { given: "cert_file", missing: "key_file" }),
        (None, Some(_)) => return Err(TlsError::Half { given: "key_file", missing: "cert_file" }),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The trust that `ca_file` asks for.
fn trust_of_file(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Trust, TlsError> {
    let certificates = certificates("ca_file", path)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|_| file_error("ca_file", path, PemError::OddCertificate))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let by_chain = verifier.build().map_err(|error| file_error("ca_file", path, error))?;
    Ok(Trust::File { certificates, by_chain })
}

/// The system's roots, read once per process.
fn native_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(Arc::clone(roots)) }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    pem::file(path).and_then(|text| pem::certificates(&text)).map_err(|error| file_error(key, path, error))
}

fn file_error(key: &'static str, path: &Path, message: impl ToString) -> TlsError {
    TlsError::File { key, path: path.to_owned(), message: message.to_string() }
}

/// Whether an I/O error is rustls' own: a handshake or a record that failed, not the socket beneath.
pub(super) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// What lies behind an error of TLS, and what to change, where that can be known; as the rest of a message.
pub(super) fn advice(error: &io::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Why, Error, PeerIncompatible as Unfit, PeerMisbehaved as Odd};
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return "" };
    match error {
        Error::InvalidCertificate(why) => match why {
            // Authorities of the same name, whose signature it isn't, are often two that nobody named.
            Why::UnknownIssuer | Why::BadSignature => {
                "; its authority isn't trusted here (self-signed?): name it with `tls: {ca_file: …}`, or a certificate between it and its authority is missing"
            }
            Why::NotValidForName | Why::NotValidForNameContext { .. } => {
                "; its certificate is for another name: write that with `tls: {server_name: …}`"
            }
            _ => "",
        },
        Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType
            | rustls::InvalidMessage::UnknownProtocolVersion
            | rustls::InvalidMessage::MessageTooLarge,
        ) => "; what answers there doesn't speak TLS: with plain HTTP the URL begins with http:// (or ws://)",
        Error::PeerIncompatible(Unfit::ServerDoesNotSupportTls12Or13) | Error::AlertReceived(Alert::ProtocolVersion) => {
            "; TLS 1.2 and 1.3 are spoken here, and it takes neither"
        }
        Error::PeerMisbehaved(Odd::SelectedUnofferedCipherSuite)
        | Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => {
            "; there is no cipher that both sides know, or it misses a certificate of this side (`tls: {cert_file: …, key_file: …}`), or it wants to shake hands anew (renegotiation)"
        }
        Error::AlertReceived(Alert::UnrecognisedName) => "; it doesn't know the name: write another with `tls: {server_name: …}`",
        Error::AlertReceived(Alert::NoApplicationProtocol) | Error::PeerMisbehaved(Odd::SelectedUnofferedApplicationProtocol) => {
            "; it speaks none of the protocols offered (ALPN): see `version`"
        }
        Error::AlertReceived(Alert::CertificateRequired) => {
            "; it asks for a certificate of this side: name one with `tls: {cert_file: …, key_file: …}`"
        }
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied,
        ) => "; it doesn't take the certificate that this side shows: `tls: {cert_file: …}`",
        _ => "",
    }
}

/// Whom to believe, other than by the system's roots.
#[derive(Debug)]
enum Trust {
    /// `insecure: true`: whoever answers is believed; signatures are still checked, as the handshake needs them.
    Anyone,
    /// `ca_file`: who has a certificate that one of these has signed, and who has one of these itself. The latter is how servers for
    /// trials are mostly set up (`openssl req -x509`), and the library refuses it, since such a certificate says that it is an
    /// authority's.
    File { certificates: Vec<CertificateDer<'static>>, by_chain: Arc<WebPkiServerVerifier> },
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.trust {
            Trust::Anyone => Ok(ServerCertVerified::assertion()),
            Trust::File { certificates, .. } if certificates.iter().any(|trusted| trusted.as_ref() == end_entity.as_ref()) => {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                verify_server_name(&certificate, server_name).map(|()| ServerCertVerified::assertion())
            }
            Trust::File { by_chain, .. } => {
                by_chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_key_to_change() {
        let with = |change: fn(&mut TlsOptions)| {
            let mut options = TlsOptions::default();
            change(&mut options);
            Tls::new(options).config().unwrap_err().to_string()
        };
        let absent = with(|o| o.ca_file = Some("/nowhere/ca.pem".into()));
        assert!(absent.starts_with("`ca_file`: /nowhere/ca.pem: "), "{absent}");
        let half = with(|o| {
            o.insecure = true;
            o.cert_file = Some("/nowhere/cert.pem".into());
        });
        assert_eq!(half, "`cert_file` is given without `key_file`; a client certificate needs both");
        let not_pem = with(|o| o.ca_file = Some("Cargo.toml".into()));
        assert!(not_pem.contains("holds no certificate"), "{not_pem}");
    }

    #[test]
    fn server_name_overrides_the_host() {
        let tls = Tls::new(TlsOptions { server_name: Some("api.example".into()), ..TlsOptions::default() });
        assert_eq!(tls.server_name("127.0.0.1").unwrap(), ServerName::try_from("api.example").unwrap());
        assert!(Tls::new(TlsOptions::default()).server_name("a b").is_err());
        assert!(Tls::new(TlsOptions::default()).server_name("127.0.0.1").is_ok());
    }
}
