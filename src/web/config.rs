//! The web config file: TLS and basic authentication, in the form that Prometheus' own exporters use
//! (`promtool check web-config` accepts it).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use bcrypt::HashParts;
use rustls::ServerConfig;

use crate::base::files::plain;
use crate::base::units::parse_duration;
use crate::net::auth::Secret;

use super::clients::ClientAuth;
use super::tls::{Pems, TlsServerConfig};
use super::written::{Section, Written, Wrong, shown, wrong};

/// The longest file, in bytes.
const LONGEST: u64 = 1024 * 1024;
/// What a hash may cost. bcrypt itself goes up to 31; but each step doubles the time, and beyond 18 nobody waits for an answer.
const COSTS: std::ops::RangeInclusive<u32> = 4..=18;
/// The headers that answers may have, each with the values that it has, where there are only some.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// What the file says.
#[derive(Debug)]
pub(super) struct WebConfig {
    /// TLS; none: plain HTTP.
    pub tls: Option<TlsServerConfig>,
    /// HTTP.
    pub http: HttpServerConfig,
    /// How often somebody may ask; absent: as often as they like.
    pub rate_limit: Option<RateLimit>,
    /// Names, and their passwords as bcrypt hashes; empty: everyone.
    pub basic_auth_users: BTreeMap<String, Secret>,
}

/// HTTP of the web surface.
#[derive(Debug)]
pub(super) struct HttpServerConfig {
    /// Whether HTTP/2 is spoken, where the client wants it.
    pub http2: bool,
    /// Headers that every answer has.
    pub headers: Vec<(&'static str, HeaderValue)>,
}

/// How often somebody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateLimit {
    /// The time from one request to the next; 0, as it is by default: as often as they like.
    pub interval: Duration,
    /// How many may come at once after a while.
    pub burst: u32,
}

/// What is wrong with the web config file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebConfigError(String);

impl WebConfigError {
    pub(super) fn of(path: &Path, wrong: Wrong) -> Self {
        Self(format!("{}: {wrong}", path.display()))
    }
}

impl WebConfig {
    /// The text of the file.
    ///
    /// # Errors
    /// It can't be read.
    pub fn text(path: &Path) -> Result<String, WebConfigError> {
        let read = || {
            let mut text = String::new();
            let length = plain(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
            if length as u64 > LONGEST { Err(std::io::Error::other("it is longer than 1 MiB")) } else { Ok(text) }
        };
        read().map_err(|error| WebConfigError(format!("{}: {error}; check `--web.config.file`", path.display())))
    }

    /// What a text says, of a file with this path; relative paths in it are relative to that.
    ///
    /// # Errors
    /// It holds an unknown key or a wrong value.
    pub fn of(path: &Path, text: &str) -> Result<Self, WebConfigError> {
        Self::written(text, path.parent().unwrap_or(Path::new("."))).map_err(|wrong| WebConfigError::of(path, wrong))
    }

    fn written(text: &str, folder: &Path) -> Result<Self, Wrong> {
        let keys = ["tls_server_config", "http_server_config", "rate_limit", "basic_auth_users"];
        let mut top = Section::whole(Written::read(text)?.unwrap_or(Written::Map(Vec::new())), &keys)?;
        let tls = top.section("tls_server_config", &TlsServerConfig::KEYS)?;
        let http = top.section("http_server_config", &["http2", "headers"])?;
        let limit = top.section("rate_limit", &["interval", "burst"])?;
        Ok(Self {
            tls: tls.map(|tls| TlsServerConfig::of(tls, folder)).transpose()?,
            http: HttpServerConfig::of(http)?,
            rate_limit: limit.map(RateLimit::of).transpose()?,
            basic_auth_users: top.named("basic_auth_users")?.into_iter().map(user).collect::<Result<_, _>>()?,
        })
    }

    /// What its PEM files hold by now; none without TLS.
    ///
    /// # Errors
    /// One can't be read.
    pub fn pems(&self, path: &Path) -> Result<Option<Pems>, WebConfigError> {
        self.tls.as_ref().map(TlsServerConfig::pems).transpose().map_err(|wrong| WebConfigError::of(path, wrong))
    }

    /// TLS, ready for a connection; none for plain HTTP.
    ///
    /// # Errors
    /// Certificates or keys that can't be used.
    pub fn load(&self, path: &Path, pems: &Pems) -> Result<Option<Arc<ServerConfig>>, WebConfigError> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let mut config = tls.load(pems).map_err(|wrong| WebConfigError::of(path, wrong))?;
        let protocols: &[&[u8]] = if self.http.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Some(Arc::new(config)))
    }

    /// Whether clients need a certificate.
    pub fn client_auth(&self) -> ClientAuth {
        self.tls.as_ref().map(TlsServerConfig::client_auth).unwrap_or_default()
    }

    /// Whether these credentials are one of the users'. Takes as long as a hash was made to take, whether there is such a user or not.
    pub fn admits(&self, name: &str, password: &str) -> bool {
        match self.basic_auth_users.get(name) {
            Some(hash) => bcrypt::verify(password, hash.reveal()).unwrap_or(false),
            None => {
                let cost = self.basic_auth_users.values().filter_map(|hash| cost(hash.reveal())).max();
                // Nothing has this hash, as far as anybody knows.
                let _ = bcrypt::verify(password, &format!("$2b${:02}${}", cost.unwrap_or(bcrypt::DEFAULT_COST), ".".repeat(53)));
                false
            }
        }
    }
}

fn cost(hash: &str) -> Option<u32> {
    Some(HashParts::from_str(hash).ok()?.get_cost())
}

/// A user, if a password can be compared with what stands for it.
fn user((name, hash, line): (String, String, usize)) -> Result<(String, Secret), Wrong> {
    if name.contains(':') {
        return Err(wrong(
            "basic_auth_users",
            format!("line {line}: {} holds a `:`, behind which a password begins; no such user can sign in", shown(&name)),
        ));
    }
    let message = match cost(&hash) {
        Some(cost) if COSTS.contains(&cost) => return Ok((name, Secret::new(hash))),
        Some(cost @ 19..=31) => {
            format!("is a hash of cost {cost}, which takes a processor too long; the cost may be up to {}", COSTS.end())
        }
        _ => "is no bcrypt hash".to_owned(),
    };
    let name = shown(&name);
    Err(wrong("basic_auth_users", format!("line {line}: what stands for {name} {message}; make one: htpasswd -nBC 10 NAME")))
}

impl HttpServerConfig {
    fn of(section: Option<Section>) -> Result<Self, Wrong> {
        let Some(mut section) = section else { return Ok(Self { http2: true, headers: Vec::new() }) };
        let http2 = section.flag("http2")?.unwrap_or(true);
        let headers = section.named("headers")?.into_iter().map(header).collect::<Result<_, _>>()?;
        Ok(Self { http2, headers })
    }
}

fn header((name, value, _): (String, String, usize)) -> Result<(&'static str, HeaderValue), Wrong> {
    let Some((name, values)) = HEADERS.iter().find(|(own, _)| *own == name) else {
        let names = HEADERS.map(|(name, _)| name).join(", ");
        return Err(wrong("headers", format!("{} can't be set; there are {names}", shown(&name))));
    };
    if !values.is_empty() && !values.contains(&value.as_str()) {
        return Err(wrong("headers", format!("`{name}` may be {}, and not {}", values.join(" or "), shown(&value))));
    }
    let value = HeaderValue::try_from(value).map_err(|_| wrong("headers", format!("`{name}` holds what no header can")))?;
    Ok((name, value))
}

impl RateLimit {
    fn of(mut section: Section) -> Result<Self, Wrong> {
        let interval = match section.text("interval")? {
            None => Duration::ZERO,
            // It needs no unit.
            Some(text) if text == "0" => Duration::ZERO,
            Some(text) => parse_duration(&text).map_err(|_| {
                wrong("interval", format!("{} is no duration; write a number and its unit, like 250ms", shown(&text)))
            })?,
        };
        let burst = match section.text("burst")? {
            None => 1,
            Some(text) => text
                .parse()
                .ok()
                .filter(|burst| *burst > 0)
                .ok_or_else(|| wrong("burst", format!("{} is no whole number from 1 on", shown(&text))))?,
        };
        Ok(Self { interval, burst })
    }
}
