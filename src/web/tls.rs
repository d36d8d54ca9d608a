//! TLS of the web surface, as the web config file says it.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::Deserialize;

use crate::net::auth::Secret;
use crate::net::pem::{self, PemError};

use super::clients::{ClientAuth, Clients};

/// TLS of the web surface; what is empty counts as not written.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerConfig {
    /// The server's certificate chain, as PEM.
    pub cert: String,
    /// PEM file of it.
    pub cert_file: PathBuf,
    /// Its private key, as PEM.
    pub key: Secret,
    /// PEM file of it.
    pub key_file: PathBuf,
    /// The authorities whose client certificates are accepted, as PEM.
    pub client_ca: String,
    /// PEM file of them.
    pub client_ca_file: PathBuf,
    /// Whether clients need a certificate.
    pub client_auth_type: Option<ClientAuth>,
    /// The names one of which a client's certificate must have, if it is given; without this it needs none.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The oldest version that is spoken, TLS 1.2 if it isn't said; none before that is.
    pub min_version: Option<TlsVersion>,
    /// The newest version that is spoken.
    pub max_version: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2, by their names in Go; empty: all. Those of TLS 1.3 are always spoken.
    pub cipher_suites: Vec<String>,
    /// The groups for keys, by their names in Go; empty: all.
    pub curve_preferences: Vec<String>,
    /// Whether the order of the suites is the server's; true if it isn't said.
    pub prefer_server_cipher_suites: Option<bool>,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.0
    TLS10,
    /// TLS 1.1
    TLS11,
    /// TLS 1.2
    TLS12,
    /// TLS 1.3
    TLS13,
}

/// What of `tls_server_config` can't be used.
#[derive(Debug, thiserror::Error)]
#[error("`{key}`: {message}")]
pub struct TlsConfigError {
    key: &'static str,
    message: String,
}

fn wrong(key: &'static str, message: impl Display) -> TlsConfigError {
    TlsConfigError { key, message: message.to_string() }
}

/// A PEM text, by the key that it stands under.
struct Pem<'a> {
    key: &'static str,
    held: Held<'a>,
}

enum Held<'a> {
    Here(&'a str),
    File(&'a Path),
}

impl<'a> Pem<'a> {
    /// The one that is written, of a text and of a file.
    fn of(
        (key, text): (&'static str, &'a str),
        (file_key, file): (&'static str, &'a Path),
    ) -> Result<Option<Self>, TlsConfigError> {
        match (text.is_empty(), file.as_os_str().is_empty()) {
            (true, true) => Ok(None),
            (false, true) => Ok(Some(Self { key, held: Held::Here(text) })),
            (true, false) => Ok(Some(Self { key: file_key, held: Held::File(file) })),
            (false, false) => Err(wrong(key, format!("says what `{file_key}` says, too; leave out one of them"))),
        }
    }

    fn read<T>(&self, parse: fn(&[u8]) -> Result<T, PemError>) -> Result<T, TlsConfigError> {
        match self.held {
            Held::Here(text) => parse(text.as_bytes()),
            Held::File(path) => pem::file(path).and_then(|text| parse(&text)),
        }
        .map_err(|error| self.wrong(error))
    }

    fn wrong(&self, message: impl Display) -> TlsConfigError {
        match self.held {
            Held::Here(_) => wrong(self.key, message),
            Held::File(path) => wrong(self.key, format!("{}: {message}", path.display())),
        }
    }
}

/// The texts of a section that go together.
struct Pems<'a> {
    certificate: Pem<'a>,
    key: Pem<'a>,
    authorities: Option<Pem<'a>>,
}

impl TlsServerConfig {
    /// Whether nothing is written: then there is no TLS.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether clients need a certificate.
    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth_type.unwrap_or_default()
    }

    /// Relative paths are relative to this one from now on.
    pub(super) fn set_folder(&mut self, folder: &Path) {
        for file in [&mut self.cert_file, &mut self.key_file, &mut self.client_ca_file] {
            if !file.as_os_str().is_empty() {
                *file = folder.join(&file);
            }
        }
    }

    /// Whether what is written goes together; reads no file.
    ///
    /// # Errors
    /// Something is missing, is said twice or has no effect.
    pub(super) fn check(&self) -> Result<(), TlsConfigError> {
        if self.is_empty() { Ok(()) } else { self.pems().map(drop) }
    }

    fn pems(&self) -> Result<Pems<'_>, TlsConfigError> {
        let certificate = Pem::of(("cert", &self.cert), ("cert_file", &self.cert_file))?;
        let key = Pem::of(("key", self.key.reveal()), ("key_file", &self.key_file))?;
        let authorities = Pem::of(("client_ca", &self.client_ca), ("client_ca_file", &self.client_ca_file))?;
        let certificate = certificate.ok_or_else(|| wrong("cert_file", "is missing; TLS needs it, or `cert`"))?;
        let key = key.ok_or_else(|| wrong("key_file", "is missing; TLS needs it, or `key`"))?;
        let kind = self.client_auth();
        let names = self.client_allowed_sans.as_ref().map(|_| "client_allowed_sans");
        if let Some(key) = authorities.as_ref().map(|pem| pem.key).or(names).filter(|_| kind == ClientAuth::NoClientCert) {
            return Err(wrong(
                key,
                "asks nobody for a certificate without `client_auth_type`; add `client_auth_type: RequireAndVerifyClientCert`",
            ));
        }
        if kind.verifies() && authorities.is_none() {
            return Err(wrong("client_ca_file", "is missing; clients' certificates are verified by it, or by `client_ca`"));
        }
        Ok(Pems { certificate, key, authorities })
    }

    /// What rustls makes of it.
    ///
    /// # Errors
    /// Certificates or keys that can't be used, or a version, suite or group that isn't spoken.
    pub(super) fn load(&self) -> Result<ServerConfig, TlsConfigError> {
        let pems = self.pems()?;
        let mut provider = rustls::crypto::ring::default_provider();
        let all = provider.cipher_suites.clone();
        select(&mut provider.cipher_suites, &self.cipher_suites, |suite| name_in_go(suite.suite()))
            .map_err(|message| wrong("cipher_suites", message))?;
        // As in Go the list is about TLS 1.2: the suites of TLS 1.3 are always spoken.
        let named = std::mem::take(&mut provider.cipher_suites).into_iter().filter(|suite| suite.tls13().is_none());
        provider.cipher_suites = all.into_iter().filter(|suite| suite.tls13().is_some()).chain(named).collect();
        select(&mut provider.kx_groups, &self.curve_preferences, |group| {
            format!("{:?}", group.name()).replace("secp256r1", "CurveP256").replace("secp384r1", "CurveP384")
        })
        .map_err(|message| wrong("curve_preferences", message))?;
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions()?)
            .map_err(|error| wrong("min_version", error))?;
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &pems.authorities {
            for certificate in pem.read(pem::certificates)? {
                roots.add(certificate).map_err(|error| pem.wrong(error))?;
            }
        }
        let clients = Clients::verifier(self.client_auth(), roots, self.client_allowed_sans.clone(), &provider)
            .map_err(|error| wrong("client_ca", error))?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let chain = pems.certificate.read(pem::certificates)?;
        let key = pems.key.read(pem::key)?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| pems.key.wrong(error))?;
        config.ignore_client_order = self.prefer_server_cipher_suites.unwrap_or(true);
        Ok(config)
    }

    fn versions(&self) -> Result<&'static [&'static SupportedProtocolVersion], TlsConfigError> {
        const ALL: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
        match (self.min_version.unwrap_or(TlsVersion::TLS12), self.max_version.unwrap_or(TlsVersion::TLS13)) {
            (_, TlsVersion::TLS10 | TlsVersion::TLS11) => {
                Err(wrong("max_version", "is older than TLS 1.2, the oldest that is spoken"))
            }
            (TlsVersion::TLS13, TlsVersion::TLS12) => Err(wrong("max_version", "is older than `min_version`")),
            (TlsVersion::TLS13, TlsVersion::TLS13) => Ok(&ALL[..1]),
            (_, TlsVersion::TLS12) => Ok(&ALL[1..]),
            (_, TlsVersion::TLS13) => Ok(ALL),
        }
    }
}

/// Leaves those that are named, in the order in which they are; all where none is.
fn select<T>(all: &mut Vec<T>, named: &[String], name: impl Fn(&T) -> String) -> Result<(), String> {
    let mut chosen = Vec::new();
    for wanted in named {
        let Some(at) = all.iter().position(|one| name(one) == *wanted) else {
            let there: Vec<String> = all.iter().map(name).collect();
            return Err(format!("`{wanted}` isn't spoken; there are {}", there.join(", ")));
        };
        chosen.push(all.remove(at));
    }
    if !named.is_empty() {
        *all = chosen;
    }
    Ok(())
}

/// What Go calls a cipher suite.
fn name_in_go(suite: rustls::CipherSuite) -> String {
    format!("{suite:?}").replace("TLS13_", "TLS_")
}
