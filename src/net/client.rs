//! A small HTTP client for the program's own questions: to a Prometheus, to an exporter.
//!
//! One connection per request, one time limit for all of it, a bound on the answer's size, no redirects. Whatever it says
//! of an error never holds a token, a password, a query or a header's value.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use url::Url;

use super::dial::{self, Dialing, Endpoint, dial};
use super::tls::{Tls, TlsOptions};
use crate::base::Reason;
use crate::base::units::show_seconds;

/// What the program calls itself, to its own peers and to targets that are told no other name.
pub const AGENT: HeaderValue = HeaderValue::from_static(concat!("load-exporter/", env!("CARGO_PKG_VERSION")));

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nobody in particular; a user and a password in the URL are used if there are any.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
}

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
    tls: Arc<Tls>,
}

impl Client {
    /// A client with these options; opens nothing and reads no file yet.
    pub fn new(options: ClientOptions) -> Self {
        let tls = Tls::new(options.tls.clone());
        Self { options: Arc::new(options), tls }
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
        let (endpoint, request) = self.request(method, url, headers, body).map_err(failed)?;
        let mut progress = Progress::default();
        let limit = self.options.timeout;
        let result = tokio::time::timeout(limit, exchange(&endpoint, request, self.options.max_body, &mut progress)).await;
        result
            .unwrap_or_else(|_| {
                let limit = show_seconds(limit.as_secs_f64());
                Err((Reason::Timeout, format!("no answer within {limit}: timed out while {}", progress.doing())))
            })
            .map_err(failed)
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<(Endpoint, hyper::Request<Full<Bytes>>), Failure> {
        let wrong = |message: &str| (Reason::Other, message.to_owned());
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(Arc::clone(&self.tls)),
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
        if let Some(mut value) = self.authorization(url)? {
            value.set_sensitive(true);
            map.insert(AUTHORIZATION, value);
        }
        for (name, value) in self.options.headers.iter().chain(headers) {
            map.insert(name.clone(), value.clone());
        }
        Ok((Endpoint { tls, ..Endpoint::new(host, port) }, request))
    }

    fn authorization(&self, url: &Url) -> Result<Option<HeaderValue>, Failure> {
        let basic = |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let text = match &self.options.auth {
            Auth::Bearer(token) => format!("Bearer {}", token.reveal()),
            Auth::Basic { username, password } => basic(username, password.reveal()),
            Auth::None if url.username().is_empty() && url.password().is_none() => return Ok(None),
            Auth::None => basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default())),
        };
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
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.freeze() })
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

/// The URL without what may be secret.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// Percent-decoded, as a user and a password stand in a URL.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16);
        rest = match tail {
            [high, low, after @ ..] if *first == b'%' && hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push((hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0)) as u8);
                after
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
