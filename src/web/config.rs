//! The web config file: TLS and basic authentication, in the form that Prometheus' own exporters use
//! (`promtool check web-config` accepts it).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use bcrypt::HashParts;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::Deserialize;

use crate::base::files::plain;

/// Headers that say how an answer is sent and what it holds: another value breaks every answer.
const OF_THE_ANSWER: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a password can be compared with this: bcrypt has costs from 4 to 31.
fn is_hash(text: &str) -> bool {
    HashParts::from_str(text).is_ok_and(|parts| (4..=31).contains(&parts.get_cost()))
}

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// TLS; absent: plain HTTP.
    pub tls_server_config: Option<TlsServerConfig>,
    /// HTTP.
    pub http_server_config: HttpServerConfig,
    /// How often somebody may ask; absent: as often as they like.
    pub rate_limit: Option<RateLimit>,
    /// Names, and their passwords as bcrypt hashes; empty: everyone.
    pub basic_auth_users: BTreeMap<String, String>,
}

/// HTTP of the web surface.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServerConfig {
    /// Whether HTTP/2 is spoken, where the client wants it.
    pub http2: bool,
    /// Headers that every answer has.
    pub headers: BTreeMap<String, String>,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self { http2: true, headers: BTreeMap::new() }
    }
}

/// How often somebody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The time from one request to the next; 0, as it is by default: as often as they like.
    #[serde(with = "duration_text", default)]
    pub interval: Duration,
    /// How many may come at once after a while.
    #[serde(default = "one")]
    pub burst: u32,
}

fn one() -> u32 {
    1
}

/// Durations as people write them; 0 needs no unit.
mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, de::Error as _};

    use crate::base::units::parse_duration;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "0" { Ok(Duration::ZERO) } else { parse_duration(&text).map_err(D::Error::custom) }
    }
}

/// TLS of the web surface.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerConfig {
    /// PEM file of the server's certificate chain.
    pub cert_file: PathBuf,
    /// PEM file of its private key.
    pub key_file: PathBuf,
    /// PEM file of the authorities whose client certificates are accepted.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients need a certificate.
    pub client_auth_type: ClientAuth,
    /// The oldest version that is spoken; none before TLS 1.2 is.
    pub min_version: TlsVersion,
    /// The newest version that is spoken.
    pub max_version: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2, by their names in Go; empty: all. Those of TLS 1.3 are always spoken.
    pub cipher_suites: Vec<String>,
    /// The groups for keys, by their names in Go; empty: all.
    pub curve_preferences: Vec<String>,
    /// Whether the order of the suites is the server's; true if it isn't said.
    pub prefer_server_cipher_suites: Option<bool>,
}

/// Whether clients need a certificate.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    NoClientCert,
    /// One is verified if it is given.
    VerifyClientCertIfGiven,
    /// One must be given, and is verified.
    RequireAndVerifyClientCert,
}

/// Versions of TLS.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.0
    TLS10,
    /// TLS 1.1
    TLS11,
    /// TLS 1.2
    #[default]
    TLS12,
    /// TLS 1.3
    TLS13,
}

/// What is wrong with the web config file.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// It can't be read.
    #[error("{path}: {source}; check `--web.config.file`", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It isn't what it should be.
    #[error("{path}: {message}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Its certificates or keys can't be used.
    #[error("`{key}`: {path}: {message}", path = path.display())]
    Tls {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl WebConfig {
    /// Reads the file; relative paths in it are relative to it.
    ///
    /// # Errors
    /// It can't be read, or holds an unknown key or a wrong value.
    pub fn read(path: &Path) -> Result<Self, WebConfigError> {
        let text = plain(path)
            .and_then(|_| std::fs::read_to_string(path))
            .map_err(|source| WebConfigError::Read { path: path.into(), source })?;
        let mut config: Self = serde_yaml::from_str(&text)
            .map_err(|error| WebConfigError::Parse { path: path.into(), message: error.to_string() })?;
        let wrong = |message| Err(WebConfigError::Parse { path: path.into(), message });
        if let Some((name, _)) = config.basic_auth_users.iter().find(|(_, hash)| !is_hash(hash)) {
            return wrong(format!(
                "`basic_auth_users`: what stands for `{name}` is no bcrypt hash; make one: htpasswd -nBC 10 {name}"
            ));
        }
        let tls = config.tls_server_config.as_ref();
        if tls.is_some_and(|tls| tls.client_ca_file.is_some() && tls.client_auth_type == ClientAuth::NoClientCert) {
            return wrong(
                "`client_ca_file` asks nobody for a certificate without `client_auth_type`; add RequireAndVerifyClientCert"
                    .into(),
            );
        }
        for (name, value) in &config.http_server_config.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
                return wrong(format!("`http_server_config.headers`: `{name}` is no header that can be sent"));
            }
            if OF_THE_ANSWER.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                return wrong(format!("`http_server_config.headers`: `{name}` is what each answer says of itself; leave it out"));
            }
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        if let Some(tls) = &mut config.tls_server_config {
            tls.cert_file = folder.join(&tls.cert_file);
            tls.key_file = folder.join(&tls.key_file);
            tls.client_ca_file = tls.client_ca_file.take().map(|file| folder.join(file));
        }
        Ok(config)
    }

    /// TLS, ready for a connection; none for plain HTTP.
    ///
    /// # Errors
    /// Certificates or keys that can't be used.
    pub fn tls(&self) -> Result<Option<Arc<ServerConfig>>, WebConfigError> {
        let Some(tls) = &self.tls_server_config else { return Ok(None) };
        let mut config = tls.load()?;
        let protocols: &[&[u8]] = if self.http_server_config.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Some(Arc::new(config)))
    }

    /// Whether these credentials are one of the users'. Takes as long as a hash was made to take, whether there is such a user or not.
    pub fn admits(&self, name: &str, password: &str) -> bool {
        match self.basic_auth_users.get(name) {
            Some(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            None => {
                let costs = self.basic_auth_users.values().filter_map(|hash| HashParts::from_str(hash).ok());
                let cost = costs.map(|parts| parts.get_cost()).max().unwrap_or(bcrypt::DEFAULT_COST);
                // Nothing has this hash, as far as anybody knows.
                let _ = bcrypt::verify(password, &format!("$2b${cost:02}${}", ".".repeat(53)));
                false
            }
        }
    }

    /// Whether all that is asked comes from somebody with a certificate.
    pub fn requires_certificates(&self) -> bool {
        let tls = self.tls_server_config.as_ref();
        tls.is_some_and(|tls| tls.client_auth_type == ClientAuth::RequireAndVerifyClientCert)
    }
}

impl TlsServerConfig {
    fn load(&self) -> Result<ServerConfig, WebConfigError> {
        let wrong = |key, path: &Path, message: String| WebConfigError::Tls { key, path: path.into(), message };
        let certificates = |key, path: &Path| -> Result<Vec<CertificateDer<'static>>, WebConfigError> {
            plain(path).map_err(|error| wrong(key, path, error.to_string()))?;
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| wrong(key, path, error.to_string()))
        };
        const ALL: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
        let versions = match (self.min_version, self.max_version.unwrap_or(TlsVersion::TLS13)) {
            (_, TlsVersion::TLS10 | TlsVersion::TLS11) => {
                return Err(wrong("max_version", &self.cert_file, "is older than TLS 1.2, the oldest that is spoken".to_owned()));
            }
            (TlsVersion::TLS13, TlsVersion::TLS12) => {
                return Err(wrong("max_version", &self.cert_file, "is older than `min_version`".to_owned()));
            }
            (TlsVersion::TLS13, TlsVersion::TLS13) => &ALL[..1],
            (_, TlsVersion::TLS12) => &ALL[1..],
            (_, TlsVersion::TLS13) => ALL,
        };
        let mut provider = rustls::crypto::ring::default_provider();
        let all = provider.cipher_suites.clone();
        select(&mut provider.cipher_suites, &self.cipher_suites, |suite| name_in_go(suite.suite()))
            .map_err(|message| wrong("cipher_suites", &self.cert_file, message))?;
        // As in Go the list is about TLS 1.2: the suites of TLS 1.3 are always spoken.
        let named = std::mem::take(&mut provider.cipher_suites).into_iter().filter(|suite| suite.tls13().is_none());
        provider.cipher_suites = all.into_iter().filter(|suite| suite.tls13().is_some()).chain(named).collect();
        select(&mut provider.kx_groups, &self.curve_preferences, |group| {
            format!("{:?}", group.name()).replace("secp256r1", "CurveP256").replace("secp384r1", "CurveP384")
        })
        .map_err(|message| wrong("curve_preferences", &self.cert_file, message))?;
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| wrong("min_version", &self.cert_file, error.to_string()))?;
        let builder = match (self.client_auth_type, &self.client_ca_file) {
            (ClientAuth::NoClientCert, _) => builder.with_no_client_auth(),
            (_, None) => {
                return Err(wrong("client_ca_file", &self.cert_file, "is needed to verify clients' certificates".to_owned()));
            }
            (kind, Some(path)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("client_ca_file", path)? {
                    roots.add(certificate).map_err(|error| wrong("client_ca_file", path, error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if kind == ClientAuth::VerifyClientCertIfGiven { verifier.allow_unauthenticated() } else { verifier };
                let verifier = verifier.build().map_err(|error| wrong("client_ca_file", path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates("cert_file", &self.cert_file)?;
        plain(&self.key_file).map_err(|error| wrong("key_file", &self.key_file, error.to_string()))?;
        let key =
            PrivateKeyDer::from_pem_file(&self.key_file).map_err(|error| wrong("key_file", &self.key_file, error.to_string()))?;
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| wrong("key_file", &self.key_file, error.to_string()))?;
        config.ignore_client_order = self.prefer_server_cipher_suites.unwrap_or(true);
        Ok(config)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WebConfig, WebConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        std::fs::write(&path, text).unwrap();
        WebConfig::read(&path)
    }

    #[test]
    fn users_are_admitted_by_their_hash() {
        let hash = bcrypt::hash("let me in", 4).unwrap();
        let config = read(&format!("basic_auth_users:\n  prometheus: {hash}\n")).unwrap();
        assert!(config.admits("prometheus", "let me in"));
        assert!(!config.admits("prometheus", "let me out"));
        assert!(!config.admits("grafana", "let me in"));
        assert!(config.tls().unwrap().is_none());
    }

    #[test]
    fn all_keys_of_the_exporters_are_taken_at_their_word() {
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("cert.pem", &certificate.cert.pem());
        file("key.pem", &certificate.signing_key.serialize_pem());
        file(
            "web.yml",
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem, max_version: TLS12, prefer_server_cipher_suites: false,\n  \
             cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP256, X25519]}\n\
             http_server_config: {http2: false, headers: {X-Frame-Options: deny}}\n\
             rate_limit: {interval: 100ms, burst: 20}\n",
        );
        let config = WebConfig::read(&folder.path().join("web.yml")).unwrap();
        assert_eq!(config.rate_limit, Some(RateLimit { interval: Duration::from_millis(100), burst: 20 }));
        let tls = config.tls().unwrap().unwrap();
        assert_eq!((tls.alpn_protocols.clone(), tls.ignore_client_order), (vec![b"http/1.1".to_vec()], false));
        let provider = tls.crypto_provider();
        let suites = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none());
        let suites: Vec<String> = suites.map(|suite| name_in_go(suite.suite())).collect();
        assert_eq!((suites, provider.kx_groups.len()), (vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()], 2));
    }

    #[test]
    fn mistakes_name_the_place() {
        assert!(read("basic_auth_user: {}\n").unwrap_err().to_string().contains("basic_auth_user"));
        let config = read("tls_server_config: {cert_file: no.crt, key_file: no.key}\n").unwrap();
        assert!(config.tls().unwrap_err().to_string().contains("no.crt"));
        let plain = read("basic_auth_users: {prometheus: let me in}\n").unwrap_err().to_string();
        assert!(plain.contains("`prometheus` is no bcrypt hash") && !plain.contains("let me in"), "{plain}");
        let suite = "tls_server_config: {cert_file: no.crt, key_file: no.key, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}\n";
        let suite = read(suite).unwrap().tls().unwrap_err().to_string();
        assert!(suite.contains("`TLS_RSA_WITH_RC4_128_SHA` isn't spoken; there are TLS_AES_256_GCM_SHA384"), "{suite}");
        for cost in ["00", "03", "32", "99"] {
            let hash = bcrypt::hash("let me in", 4).unwrap().replacen("$04$", &format!("${cost}$"), 1);
            let error = read(&format!("basic_auth_users: {{prometheus: '{hash}'}}\n")).unwrap_err().to_string();
            assert!(error.contains("`prometheus` is no bcrypt hash"), "{cost}: {error}");
        }
        assert!(read("http_server_config: {headers: {a b: c}}\n").unwrap_err().to_string().contains("`a b`"));
        let length = read("http_server_config: {headers: {Content-Length: '5'}}\n").unwrap_err().to_string();
        assert!(length.contains("`Content-Length`"), "{length}");
        let burst = read("rate_limit: {burst: 20}\n").unwrap().rate_limit;
        assert_eq!(burst, Some(RateLimit { interval: Duration::ZERO, burst: 20 }));
        assert!(read("rate_limit: {interval: often}\n").is_err());
        let nobody = read("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}\n").unwrap_err().to_string();
        assert!(nobody.contains("client_auth_type"), "{nobody}");
    }
}
