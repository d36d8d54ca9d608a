//! Asks a source over HTTP, and cleans what comes back of anything secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use url::Url;

use super::access::Access;
use super::error::{SourceError, excerpt};
use crate::base::Reason;
use crate::net::client::{Auth, Client, ClientError, ClientOptions, Secret};

/// Asks one source.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    client: Client,
    access: Access,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Bytes,
}

impl Fetch {
    pub(super) fn new(access: Access) -> Self {
        let auth = match (access.token(), access.basic()) {
            (Some(token), _) => Auth::Bearer(Secret::new(token)),
            (None, Some((user, password))) => Auth::Basic { username: user.to_owned(), password: Secret::new(password) },
            (None, None) => Auth::None,
        };
        let options = ClientOptions {
            auth,
            headers: access.headers().cloned().collect(),
            tls: access.tls().clone(),
            timeout: access.time_limit(),
            ..ClientOptions::default()
        };
        Self { client: Client::new(options), access }
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Body, SourceError> {
        self.get_as(url, &[]).await
    }

    pub(super) async fn get_as(&self, url: &Url, headers: &[(HeaderName, HeaderValue)]) -> Result<Body, SourceError> {
        self.body(self.client.get(url, headers).await)
    }

    pub(super) async fn post_form(&self, url: &Url, form: &[(&str, &str)]) -> Result<Body, SourceError> {
        self.body(self.client.post_form(url, form).await)
    }

    fn body(&self, answer: Result<crate::net::client::Answer, ClientError>) -> Result<Body, SourceError> {
        match answer {
            Ok(answer) => Ok(Body {
                status: answer.status.as_u16(),
                content_type: answer
                    .headers
                    .get(http::header::CONTENT_TYPE)
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
                bytes: answer.body,
            }),
            Err(error) if error.reason == Reason::Timeout => {
                Err(SourceError::Timeout { seconds: self.access.time_limit().as_secs_f64() })
            }
            Err(error) => Err(SourceError::Unreachable(self.excerpt(&error.message))),
        }
    }

    /// The beginning of a text from the other side without what we sent it in confidence.
    pub(super) fn excerpt(&self, text: &str) -> String {
        let basic = self.access.basic().map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        let text = basic.map_or_else(|| text.to_owned(), |basic| text.replace(&basic, "***"));
        excerpt(&self.access.redact(&text))
    }
}
