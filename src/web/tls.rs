//! TLS of the web surface, as the web config file says it.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::net::auth::Secret;
use crate::net::pem::{self, PemError};

use super::clients::{ClientAuth, Clients};
use super::written::{HIDDEN, Section, Wrong, shown, wrong};

/// TLS of the web surface.
#[derive(Debug)]
pub struct TlsServerConfig {
    /// The server's certificate chain.
    certificate: Pem,
    /// Its private key.
    key: Pem,
    /// The authorities whose client certificates are accepted.
    authorities: Option<Pem>,
    /// Whether clients need a certificate, if it is said.
    client_auth_type: Option<ClientAuth>,
    /// The names one of which a client's certificate must have, if it is given; without this it needs none.
    client_allowed_sans: Option<Vec<String>>,
    /// The oldest version that is spoken, if it is said; none before TLS 1.2 is.
    min_version: Option<TlsVersion>,
    /// The newest version that is spoken.
    max_version: TlsVersion,
    /// The cipher suites of TLS 1.2, by their names in Go; empty: all. Those of TLS 1.3 are always spoken.
    cipher_suites: Vec<String>,
    /// The groups for keys, by their names in Go; empty: all.
    curve_preferences: Vec<String>,
    /// Whether the order of the suites is the server's.
    prefer_server_cipher_suites: bool,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl TlsVersion {
    const NAMES: [(&str, Self); 4] =
        [("TLS10", Self::Tls10), ("TLS11", Self::Tls11), ("TLS12", Self::Tls12), ("TLS13", Self::Tls13)];
}

/// A PEM text, by the key that it stands under.
#[derive(Debug)]
struct Pem {
    key: &'static str,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Here(Secret),
    File {
        /// As messages show it.
        shown: String,
        path: PathBuf,
    },
}

impl Pem {
    /// The one that is written, of a text and of a file in this folder.
    fn of(section: &mut Section, key: &'static str, file: &'static str, folder: &Path) -> Result<Option<Self>, Wrong> {
        let (text, name) = (section.text(key)?, section.text(file)?);
        for (key, text) in [(key, &text), (file, &name)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                return Err(wrong(key, "is empty; write what it wants, or leave it out"));
            }
        }
        match (text, name) {
            (None, None) => Ok(None),
            (Some(text), None) => Ok(Some(Self { key, held: Held::Here(Secret::new(text)) })),
            (None, Some(name)) if name.contains(char::is_control) || name.contains("-----") => {
                Err(wrong(file, format!("wants the path of a file, and holds a text; that stands under `{key}`")))
            }
            (None, Some(name)) => {
                let path = folder.join(&name);
                let whole = shown(&name) == format!("`{name}`");
                let shown = match whole && is_like_a_path(&name, &path) {
                    true => path.display().to_string(),
                    false => HIDDEN.to_owned(),
                };
                Ok(Some(Self { key: file, held: Held::File { shown, path } }))
            }
            (Some(_), Some(_)) => Err(wrong(key, format!("says what `{file}` says, too; leave out one of them"))),
        }
    }

    fn read(&self) -> Result<Vec<u8>, Wrong> {
        match &self.held {
            Held::Here(text) => Ok(text.reveal().into()),
            Held::File { path, .. } => pem::file(path).map_err(|error| self.wrong(error)),
        }
    }

    fn wrong(&self, message: impl Display) -> Wrong {
        match &self.held {
            Held::Here(_) => wrong(self.key, message),
            Held::File { shown, .. } => wrong(self.key, format!("{shown}: {message}")),
        }
    }
}

/// Whether a name is surely that of a file. The last line of a key may hold a `/`, but no `.`, and is in no folder that there is.
fn is_like_a_path(name: &str, path: &Path) -> bool {
    let folder = Path::new(name).parent().filter(|folder| folder.file_name().is_some());
    name.contains('.') || folder.is_some() && path.parent().is_some_and(Path::is_dir)
}

/// What stands in the PEM texts of a section, in the order in which it names them.
#[derive(PartialEq, Eq, Default)]
pub(super) struct Pems {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl TlsServerConfig {
    /// The keys of the section.
    pub(super) const KEYS: [&str; 13] = [
        "cert",
        "cert_file",
        "key",
        "key_file",
        "client_ca",
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "curve_preferences",
        "prefer_server_cipher_suites",
    ];

    /// What a section says; reads no file of those that it names, which are in `folder`.
    ///
    /// # Errors
    /// Something is missing, is said twice, is of another kind or has no effect.
    pub(super) fn of(mut section: Section, folder: &Path) -> Result<Self, Wrong> {
        let certificate = Pem::of(&mut section, "cert", "cert_file", folder)?;
        let key = Pem::of(&mut section, "key", "key_file", folder)?;
        let authorities = Pem::of(&mut section, "client_ca", "client_ca_file", folder)?;
        let config = Self {
            client_auth_type: section.choice("client_auth_type", &ClientAuth::NAMES)?,
            client_allowed_sans: section.texts("client_allowed_sans")?,
            min_version: section.choice("min_version", &TlsVersion::NAMES)?,
            max_version: section.choice("max_version", &TlsVersion::NAMES)?.unwrap_or(TlsVersion::Tls13),
            cipher_suites: section.texts("cipher_suites")?.unwrap_or_default(),
            curve_preferences: section.texts("curve_preferences")?.unwrap_or_default(),
            prefer_server_cipher_suites: section.flag("prefer_server_cipher_suites")?.unwrap_or(true),
            certificate: certificate.ok_or_else(|| wrong("cert_file", "is missing; TLS needs it, or `cert`"))?,
            key: key.ok_or_else(|| wrong("key_file", "is missing; TLS needs it, or `key`"))?,
            authorities,
        };
        let kind = config.client_auth();
        let names = config.client_allowed_sans.as_ref().map(|_| "client_allowed_sans");
        let asked = config.authorities.as_ref().map(|pem| pem.key).or(names);
        if let Some(key) = asked.filter(|_| kind == ClientAuth::NoClientCert) {
            return Err(wrong(
                key,
                "asks nobody for a certificate without `client_auth_type`; add `client_auth_type: RequireAndVerifyClientCert`",
            ));
        }
        if kind.verifies() && config.authorities.is_none() {
            return Err(wrong("client_ca_file", "is missing; clients' certificates are verified by it, or by `client_ca`"));
        }
        config.provider()?;
        config.versions()?;
        Ok(config)
    }

    /// Whether clients need a certificate.
    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth_type.unwrap_or_default()
    }

    /// The key by which it protects, and which another leaves out. What that says instead is meant.
    pub(super) fn left_out_by(&self, new: &Self) -> Option<&'static str> {
        let kind = self.client_auth();
        if (kind.requires() || kind.verifies()) && new.client_auth_type.is_none() {
            return Some("client_auth_type");
        }
        // Names can't stand where nobody is asked for a certificate.
        if self.client_allowed_sans.is_some()
            && new.client_allowed_sans.is_none()
            && new.client_auth_type != Some(ClientAuth::NoClientCert)
        {
            return Some("client_allowed_sans");
        }
        (self.min_version == Some(TlsVersion::Tls13) && new.min_version.is_none()).then_some("min_version")
    }

    /// What protects less than it seems to.
    pub(super) fn warnings(&self) -> Vec<String> {
        let kind = self.client_auth();
        let names = self.client_allowed_sans.as_ref().filter(|_| !(kind.requires() && kind.verifies()));
        let authorities = self.authorities.as_ref().filter(|_| !kind.verifies());
        let why =
            if kind.verifies() { "a client without a certificate comes in" } else { "nobody verifies who made a certificate" };
        let keys = names.map(|_| "client_allowed_sans").into_iter().chain(authorities.map(|pem| pem.key));
        keys.map(|key| format!("`{key}`: keeps nobody out, since {why}; `client_auth_type: RequireAndVerifyClientCert` does"))
            .collect()
    }

    /// Reads its files.
    ///
    /// # Errors
    /// One can't be read.
    pub(super) fn pems(&self) -> Result<Pems, Wrong> {
        Ok(Pems {
            certificate: self.certificate.read()?,
            key: self.key.read()?,
            authorities: self.authorities.as_ref().map(Pem::read).transpose()?,
        })
    }

    /// What rustls makes of it.
    ///
    /// # Errors
    /// Certificates or keys that can't be used, or a version, suite or group that isn't spoken.
    pub(super) fn load(&self, pems: &Pems) -> Result<ServerConfig, Wrong> {
        let provider = Arc::new(self.provider()?);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions()?)
            .map_err(|error| wrong("min_version", error))?;
        let mut roots = RootCertStore::empty();
        if let (Some(pem), Some(text)) = (&self.authorities, &pems.authorities) {
            for certificate in pem::certificates(text).map_err(|error| pem.wrong(error))? {
                roots.add(certificate).map_err(|_| pem.wrong(PemError::OddCertificate))?;
            }
        }
        let clients = Clients::verifier(self.client_auth(), roots, self.client_allowed_sans.clone(), &provider)
            .map_err(|error| wrong("client_ca", error))?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let chain = pem::certificates(&pems.certificate).map_err(|error| self.certificate.wrong(error))?;
        let key = pem::key(&pems.key).map_err(|error| self.key.wrong(error))?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            let error = PemError::of_pair(&error);
            if error.is_of_certificate() { self.certificate.wrong(error) } else { self.key.wrong(error) }
        })?;
        config.ignore_client_order = self.prefer_server_cipher_suites;
        // A client is verified each time that it connects.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// The suites and groups that are spoken.
    fn provider(&self) -> Result<CryptoProvider, Wrong> {
        let mut provider = rustls::crypto::ring::default_provider();
        let all = provider.cipher_suites.clone();
        select(&mut provider.cipher_suites, &self.cipher_suites, |suite| name_in_go(suite.suite()))
            .map_err(|message| wrong("cipher_suites", message))?;
        // As in Go the list is about TLS 1.2: the suites of TLS 1.3 are always spoken.
        let named: Vec<_> =
            std::mem::take(&mut provider.cipher_suites).into_iter().filter(|suite| suite.tls13().is_none()).collect();
        if named.is_empty() && self.max_version == TlsVersion::Tls12 {
            return Err(wrong("cipher_suites", "names none of TLS 1.2, and `max_version` allows no other version"));
        }
        provider.cipher_suites = all.into_iter().filter(|suite| suite.tls13().is_some()).chain(named).collect();
        select(&mut provider.kx_groups, &self.curve_preferences, |group| {
            format!("{:?}", group.name()).replace("secp256r1", "CurveP256").replace("secp384r1", "CurveP384")
        })
        .map_err(|message| wrong("curve_preferences", message))?;
        Ok(provider)
    }

    fn versions(&self) -> Result<&'static [&'static SupportedProtocolVersion], Wrong> {
        const ALL: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
        match (self.min_version.unwrap_or(TlsVersion::Tls12), self.max_version) {
            (_, TlsVersion::Tls10 | TlsVersion::Tls11) => {
                Err(wrong("max_version", "is older than TLS 1.2, the oldest that is spoken"))
            }
            (TlsVersion::Tls13, TlsVersion::Tls12) => Err(wrong("max_version", "is older than `min_version`")),
            (TlsVersion::Tls13, TlsVersion::Tls13) => Ok(&ALL[..1]),
            (_, TlsVersion::Tls12) => Ok(&ALL[1..]),
            (_, TlsVersion::Tls13) => Ok(ALL),
        }
    }
}

/// Leaves those that are named, in the order in which they are; all where none is.
fn select<T: Copy>(all: &mut Vec<T>, named: &[String], name: impl Fn(&T) -> String) -> Result<(), String> {
    let mut chosen = Vec::new();
    for (at, wanted) in named.iter().enumerate() {
        let Some(one) = all.iter().find(|one| name(one) == *wanted) else {
            let there: Vec<String> = all.iter().map(name).collect();
            return Err(format!("{} isn't spoken; there are {}", shown(wanted), there.join(", ")));
        };
        if !named[..at].contains(wanted) {
            chosen.push(*one);
        }
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
