//! The web config file: TLS and basic authentication, in the form that Prometheus' own exporters use
//! (`promtool check web-config` accepts it).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use bcrypt::HashParts;
use rustls::ServerConfig;
use serde::Deserialize;

use crate::base::files::plain;

use super::tls::{TlsConfigError, TlsServerConfig};

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
    /// Where it was read from.
    #[serde(skip)]
    path: PathBuf,
    /// TLS; empty: plain HTTP.
    pub tls_server_config: TlsServerConfig,
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
    /// Its TLS can't be used.
    #[error("{path}: {source}", path = path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What of it.
        source: TlsConfigError,
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
        // An excerpt of the file would show its keys.
        let options = serde_yaml::options! { with_snippet: false };
        let mut config: Self = serde_yaml::from_str_with_options(&text, options)
            .map_err(|error| WebConfigError::Parse { path: path.into(), message: error.to_string() })?;
        let wrong = |message| Err(WebConfigError::Parse { path: path.into(), message });
        if let Some((name, _)) = config.basic_auth_users.iter().find(|(_, hash)| !is_hash(hash)) {
            return wrong(format!(
                "`basic_auth_users`: what stands for `{name}` is no bcrypt hash; make one: htpasswd -nBC 10 {name}"
            ));
        }
        for (name, value) in &config.http_server_config.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
                return wrong(format!("`http_server_config.headers`: `{name}` is no header that can be sent"));
            }
            if OF_THE_ANSWER.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                return wrong(format!("`http_server_config.headers`: `{name}` is what each answer says of itself; leave it out"));
            }
        }
        config.path = path.into();
        config.tls_server_config.check().map_err(|source| config.wrong(source))?;
        config.tls_server_config.set_folder(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn wrong(&self, source: TlsConfigError) -> WebConfigError {
        WebConfigError::Tls { path: self.path.clone(), source }
    }

    /// TLS, ready for a connection; none for plain HTTP.
    ///
    /// # Errors
    /// Certificates or keys that can't be used.
    pub fn tls(&self) -> Result<Option<Arc<ServerConfig>>, WebConfigError> {
        let tls = &self.tls_server_config;
        if tls.is_empty() {
            return Ok(None);
        }
        let mut config = tls.load().map_err(|source| self.wrong(source))?;
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
        let suites: Vec<String> = suites.map(|suite| format!("{:?}", suite.suite())).collect();
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

    #[test]
    fn what_of_tls_does_not_go_together_is_said() {
        let whole = "cert_file: a, key_file: b";
        for (text, key, words) in [
            ("cert_file: a", "key_file", "is missing; TLS needs it, or `key`"),
            ("key: b", "cert_file", "is missing; TLS needs it, or `cert`"),
            ("min_version: TLS13", "cert_file", "is missing"),
            ("client_auth_type: NoClientCert", "cert_file", "is missing"),
            ("cert: a, cert_file: a, key: b", "cert", "says what `cert_file` says, too"),
            ("cert: a, key: b, key_file: b", "key", "says what `key_file` says, too"),
            (&format!("{whole}, client_ca: c, client_ca_file: c"), "client_ca", "says what `client_ca_file` says, too"),
            (&format!("{whole}, client_ca: c"), "client_ca", "without `client_auth_type`"),
            (
                &format!("{whole}, client_ca_file: c, client_auth_type: NoClientCert"),
                "client_ca_file",
                "without `client_auth_type`",
            ),
            (&format!("{whole}, client_allowed_sans: [a]"), "client_allowed_sans", "without `client_auth_type`"),
            (&format!("{whole}, client_auth_type: VerifyClientCertIfGiven"), "client_ca_file", "or by `client_ca`"),
            (&format!("{whole}, client_auth_type: RequireAndVerifyClientCert"), "client_ca_file", "or by `client_ca`"),
        ] {
            let error = read(&format!("tls_server_config: {{{text}}}\n")).unwrap_err().to_string();
            assert!(error.contains(&format!("web.yml: `{key}`: ")) && error.contains(words), "{text}: {error}");
        }
        // A section that says nothing asks for no TLS.
        for nothing in ["{}", "{cert_file: '', key: '', client_auth_type: }"] {
            assert!(read(&format!("tls_server_config: {nothing}\n")).unwrap().tls().unwrap().is_none(), "{nothing}");
        }
        for kind in ["''", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert"] {
            read(&format!("tls_server_config: {{{whole}, client_auth_type: {kind}}}\n")).unwrap();
        }
        let kind = read(&format!("tls_server_config: {{{whole}, client_auth_type: RequireCert}}\n")).unwrap_err().to_string();
        assert!(kind.contains("RequireCert") && kind.contains("RequireAnyClientCert"), "{kind}");
    }

    #[test]
    fn no_message_shows_a_key() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let block = |text: &str| format!("|\n    {}", text.trim_end().replace('\n', "\n    "));
        let config = |cert: &str, key: &str| format!("tls_server_config:\n  cert: {cert}\n  key: {key}\n");
        let whole = read(&config(&block(&cert), &block(&key))).unwrap();
        assert!(whole.tls().unwrap().is_some());
        let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
        // Behind what all keys of its kind begin with, and before what the certificate holds, too.
        let secret = &body[48..88];
        let shows = |text: &str| secret.as_bytes().windows(8).any(|part| text.contains(std::str::from_utf8(part).unwrap()));
        assert!(shows(&key) && !shows(&format!("{whole:?}")));
        for broken in [
            config(&block(&cert), &format!(">-\n    {}", key.trim_end().replace('\n', "\n    "))),
            config(&block(&cert), &block(&key.replace("END", "END OF"))),
            config(&block(&cert), &block(&key[..key.len() / 2])),
            config(&block(&key), &block(&key)),
            config(&block(&cert), &format!("|\n{key}")),
            config(&block(&cert), &format!("[{:?}]", key)),
            config(&block(&cert), &format!("{{{:?}: 1}}", key)),
            config(&block(&cert), &format!("\"{body}")),
            config(&block(&cert), &format!("!!int {body}")),
            config(&block(&cert), &format!("{}: x", body)),
            config(&block(&cert), &format!("{}\n key: x", block(&key))),
            format!("{}  keyfile: x\n", config(&block(&cert), &block(&key))),
            format!("{}  min_version: x\n", config(&block(&cert), &block(&key))),
            format!("tls_server_config: {body}\n"),
            format!("{body}\n"),
        ] {
            let error = read(&broken).and_then(|config| config.tls()).unwrap_err();
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shows(&shown), "{shown}");
            }
        }
    }
}
