//! A small HTTP client for the program's own questions: to a Prometheus, to an exporter.
//!
//! One connection per request, one time limit for all of it, a bound on the answer's size. Redirects are followed as Prometheus follows
//! them; what is secret goes to the host that was meant, and to no other. Whatever it says of an error never holds a token, a password, a
//! query or a header's value.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use url::Url;

pub use super::auth::{Auth, Held, Secret, SecretError};
use super::dial::{self, Dialing, Endpoint, dial};
use super::tls::{Tls, TlsOptions};
use super::unpack::unpack;
use crate::base::Reason;
pub(crate) use crate::base::secrets::percent_decoded as decoded;
use crate::base::units::show_seconds;

/// What the program calls itself, to its own peers and to targets for which the profile names no other.
pub const AGENT: HeaderValue = HeaderValue::from_static(concat!("load-exporter/", env!("CARGO_PKG_VERSION")));

/// Most redirects to follow.
const REDIRECTS: usize = 10;

/// How a [`Client`] asks.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Sent with every request.
    pub auth: Auth,
    /// Sent with every request; may hold secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For `https` URLs.
    pub tls: TlsOptions,
    /// For a whole request, from resolving the name to the answer's last byte.
    pub timeout: Duration,
    /// The longest answer to accept, in bytes.
    pub max_body: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            headers: Vec::new(),
            tls: TlsOptions::default(),
            timeout: Duration::from_secs(10),
            // A Prometheus with a million series answers a /metrics of some 100 MB; an exporter's is rarely above 1 MB.
            max_body: 64 * 1024 * 1024,
        }
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {message}")]
pub struct ClientError {
    /// The label for it.
    pub reason: Reason,
    /// The URL without user, password and query.
    pub url: String,
    /// What happened.
    pub message: String,
}

/// Asks over HTTP/1.1.
#[derive(Debug, Clone)]
pub struct Client {
    options: Arc<ClientOptions>,
    tls: Arc<Mutex<Loaded>>,
}

/// TLS, and how its files looked when they were read.
#[derive(Debug)]
struct Loaded {
    tls: Arc<Tls>,
    files: Vec<Option<(SystemTime, u64)>>,
}

impl Loaded {
    fn new(options: &TlsOptions) -> Self {
        let look = |path: &std::path::PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let files = [&options.ca_file, &options.cert_file, &options.key_file].into_iter().flatten().map(look).collect();
        Self { tls: Tls::new(options.clone()), files }
    }
}

impl Client {
    /// A client with these options; opens nothing and reads no file yet.
    pub fn new(options: ClientOptions) -> Self {
        let tls = Arc::new(Mutex::new(Loaded::new(&options.tls)));
        Self { options: Arc::new(options), tls }
    }

    /// TLS as its files say now: they are read again when they have changed.
    fn tls(&self) -> Arc<Tls> {
        let mut loaded = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Loaded::new(&self.options.tls);
        if now.files != loaded.files {
            *loaded = now;
        }
        Arc::clone(&loaded.tls)
    }

    /// GET.
    ///
    /// # Errors
    /// No answer within the time limit, or one that is broken or too long. A status is never an error.
    pub async fn get(&self, url: &Url, headers: &[(HeaderName, HeaderValue)]) -> Result<Answer, ClientError> {
        self.ask(Method::GET, url, headers, Bytes::new()).await
    }

    /// POST of a form (`application/x-www-form-urlencoded`), as Prometheus takes long queries.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn post_form(&self, url: &Url, form: &[(&str, &str)]) -> Result<Answer, ClientError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.post(url, HeaderValue::from_static("application/x-www-form-urlencoded"), body.into()).await
    }

    /// POST of a body.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn post(&self, url: &Url, content_type: HeaderValue, body: Bytes) -> Result<Answer, ClientError> {
        self.ask(Method::POST, url, &[(CONTENT_TYPE, content_type)], body).await
    }

    async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let failed = |(reason, message): Failure| ClientError { reason, url: shown(url), message };
        let mut progress = Progress::default();
        let limit = self.options.timeout;
        let result = tokio::time::timeout(limit, self.follow(method, url.clone(), headers, body, &mut progress)).await;
        result
            .unwrap_or_else(|_| {
                let limit = show_seconds(limit.as_secs_f64());
                Err((Reason::Timeout, format!("no answer within {limit}: timed out while {}", progress.doing())))
            })
            .map_err(failed)
    }

    /// Asks, and asks again wherever the answer says that it is elsewhere.
    async fn follow(
        &self,
        mut method: Method,
        mut url: Url,
        headers: &[(HeaderName, HeaderValue)],
        mut body: Bytes,
        progress: &mut Progress,
    ) -> Result<Answer, Failure> {
        let mut trusted = true;
        for _ in 0..=REDIRECTS {
            *progress = Progress::default();
            let (endpoint, request) = self.request(method.clone(), &url, headers, body.clone(), trusted)?;
            let answer = exchange(&endpoint, request, self.options.max_body, progress).await?;
            let Some(next) = elsewhere(&url, &answer)? else { return Ok(answer) };
            if answer.status == StatusCode::SEE_OTHER {
                (method, body) = (Method::GET, Bytes::new());
            }
            // Nor to the same host where everyone could read it on the way.
            let readable = url.scheme() == "https" && next.scheme() != "https";
            trusted &= url.host() == next.host() && !readable;
            url = next;
        }
        Err((Reason::Other, format!("it was redirected more than {REDIRECTS} times")))
    }

    /// `trusted`: it goes to the host that was meant, so that it may hold what is secret.
    fn request(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        trusted: bool,
    ) -> Result<(Endpoint, hyper::Request<Full<Bytes>>), Failure> {
        let wrong = |message: &str| (Reason::Other, message.to_owned());
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(self.tls()),
            _ => return Err(wrong("the URL must begin with http:// or https://")),
        };
        let host = url.host_str().ok_or_else(|| wrong("the URL has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| wrong("the URL has no port"))?;
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url[url::Position::BeforePath..url::Position::AfterQuery]
            .parse()
            .map_err(|_| wrong("the URL's path cannot be sent"))?;
        let map = request.headers_mut();
        map.insert(HOST, HeaderValue::try_from(authority).map_err(|_| wrong("the URL's host cannot be sent"))?);
        map.insert(USER_AGENT, AGENT);
        map.insert(CONNECTION, HeaderValue::from_static("close"));
        map.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(mut value) = if trusted { self.authorization(url)? } else { None } {
            value.set_sensitive(true);
            map.insert(AUTHORIZATION, value);
        }
        for (name, value) in self.options.headers.iter().filter(|_| trusted).chain(headers) {
            map.insert(name.clone(), value.clone());
        }
        Ok((Endpoint { tls, ..Endpoint::new(host, port) }, request))
    }

    fn authorization(&self, url: &Url) -> Result<Option<HeaderValue>, Failure> {
        let of_url = |url: &Url| Auth::Basic {
            username: decoded(url.username()),
            password: Held::here(decoded(url.password().unwrap_or_default())),
        };
        let header = match &self.options.auth {
            Auth::None if !url.username().is_empty() || url.password().is_some() => of_url(url).header(),
            auth => auth.header(),
        };
        let Some((text, _)) = header.map_err(|error| (Reason::Other, error.to_string()))? else { return Ok(None) };
        HeaderValue::try_from(text)
            .map(Some)
            .map_err(|_| (Reason::Other, "the token holds a character that a header cannot (a line break?)".into()))
    }
}

/// A reason and what happened.
type Failure = (Reason, String);

/// How far a request came.
#[derive(Default)]
struct Progress {
    dialing: Dialing,
    connected: bool,
    answered: bool,
}

impl Progress {
    fn doing(&self) -> &'static str {
        match (self.connected, self.answered) {
            (false, _) => self.dialing.stage.doing(),
            (true, false) => "waiting for the first byte",
            (true, true) => "reading the body",
        }
    }
}

async fn exchange(
    endpoint: &Endpoint,
    request: hyper::Request<Full<Bytes>>,
    max_body: usize,
    progress: &mut Progress,
) -> Result<Answer, Failure> {
    let stream = dial(endpoint, &mut progress.dialing).await.map_err(|error| (error.reason, error.message))?;
    progress.connected = true;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failure(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| failure(&error))?;
        progress.answered = true;
        let (parts, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| failure(&error))?;
            if let Some(data) = frame.data_ref() {
                if body.len() + data.len() > max_body {
                    return Err((Reason::Other, format!("the answer is longer than {max_body} bytes")));
                }
                body.extend_from_slice(data);
            }
        }
        let mut body = body.freeze();
        if let Some(encoding) = parts.headers.get(CONTENT_ENCODING) {
            body = unpack(&String::from_utf8_lossy(encoding.as_bytes()), body, max_body)
                .map_err(|error| (Reason::Protocol, error.to_string()))?;
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    };
    drive(connection, answer).await
}

/// Polls the connection beside `answer` until that is there. The connection's own end is no news: `answer` gets it too.
async fn drive<T>(connection: impl Future<Output = hyper::Result<()>>, answer: impl Future<Output = T>) -> T {
    tokio::pin!(connection, answer);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}

fn failure(error: &hyper::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return (dial::reason_of(io), format!("the connection failed: {}", dial::explain(io)));
        }
        source = cause.source();
    }
    if error.is_incomplete_message() {
        (Reason::Closed, "the peer closed the connection before the answer was complete".into())
    } else {
        (Reason::Protocol, format!("the answer is not HTTP/1.1: {error}"))
    }
}

/// Where the answer to a URL says that it is instead.
fn elsewhere(url: &Url, answer: &Answer) -> Result<Option<Url>, Failure> {
    let moved = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = answer.headers.get(LOCATION).filter(|_| moved) else { return Ok(None) };
    let next = location.to_str().ok().and_then(|location| url.join(location).ok());
    next.map(Some).ok_or_else(|| (Reason::Protocol, "it was redirected to what is not a URL".to_owned()))
}

/// The URL without what may be secret.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
