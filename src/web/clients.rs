//! Which clients' certificates are taken: the kinds of Go's `crypto/tls`, and the names one of which a certificate must have.
//!
//! Whatever the kind, a client proves that it has the key of the certificate that it shows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// Whether clients need a certificate.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    NoClientCert,
    /// One is asked for, and taken whoever made it.
    RequestClientCert,
    /// One must be given, and is taken whoever made it.
    RequireAnyClientCert,
    /// One is verified if it is given.
    VerifyClientCertIfGiven,
    /// One must be given, and is verified.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// Each with its names; without one it is the first.
    pub const NAMES: [(&str, Self); 7] = [
        ("", Self::NoClientCert),
        ("NoClientCert", Self::NoClientCert),
        ("RequestClientCert", Self::RequestClientCert),
        ("RequireAnyClientCert", Self::RequireAnyClientCert),
        ("RequireClientCert", Self::RequireAnyClientCert),
        ("VerifyClientCertIfGiven", Self::VerifyClientCertIfGiven),
        ("RequireAndVerifyClientCert", Self::RequireAndVerifyClientCert),
    ];

    /// Whether a client without one is turned away.
    pub fn requires(self) -> bool {
        matches!(self, Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert)
    }

    /// Whether an authority must have made it.
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }
}

/// None of a certificate's names is allowed.
#[derive(Debug, thiserror::Error)]
#[error("the client's certificate has none of the names of `client_allowed_sans`")]
struct NotAllowed;

/// Judges clients' certificates.
#[derive(Debug)]
pub(super) struct Clients {
    required: bool,
    /// Who verifies who made it; none: nobody does.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// The names one of which it must have; none: any will do.
    allowed: Option<Vec<String>>,
    authorities: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// What is asked of clients; nothing is if none is asked for a certificate.
    ///
    /// # Errors
    /// Authorities that can't verify anything.
    pub fn verifier(
        kind: ClientAuth,
        authorities: RootCertStore,
        allowed: Option<Vec<String>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, VerifierBuilderError> {
        if kind == ClientAuth::NoClientCert {
            return Ok(None);
        }
        let subjects = authorities.subjects();
        let chain = if kind.verifies() {
            Some(WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone()).build()?)
        } else {
            None
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Some(Arc::new(Self { required: kind.requires(), chain, allowed, authorities: subjects, algorithms })))
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(end_entity, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed {
            let names = names(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
            if !names.iter().any(|name| allowed.contains(name)) {
                return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NotAllowed)))));
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The names of a certificate (SAN): DNS, e-mail and URI as they stand in it, addresses as they are mostly written. None if it can't be read.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    let extension = certificate.subject_alternative_name().ok().filter(|_| rest.is_empty())?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    Some(names.filter_map(written).collect())
}

fn written(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))));
            // As Go writes it, an IPv4 address within IPv6 is one of IPv4.
            Some(address.ok()?.to_canonical().to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_its_dns_e_mail_address_and_uri() {
        use rcgen::{CertificateParams, KeyPair, SanType};
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        let mut params = CertificateParams::new(vec!["Prometheus.example".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        params.subject_alt_names.extend([
            SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
            SanType::URI("spiffe://example.org/prometheus".try_into().unwrap()),
            SanType::IpAddress("2001:DB8:0::1".parse().unwrap()),
            SanType::IpAddress(mapped),
        ]);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let wanted =
            ["Prometheus.example", "10.0.0.7", "ops@example.org", "spiffe://example.org/prometheus", "2001:db8::1", "192.0.2.7"];
        assert_eq!(names(certificate.der()).unwrap(), wanted);
        // Its subject is no such name.
        let none = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        assert_eq!(names(none.der()), Some(Vec::new()));
        for cut in 0..none.der().len() {
            assert_eq!(names(&none.der()[..cut].into()), None, "{cut}");
        }
        let mut longer = none.der().to_vec();
        longer.push(0);
        assert_eq!(names(&longer.into()), None);
    }
}
