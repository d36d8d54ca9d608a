//! What was sent that must not be shown.

use http::HeaderValue;

use crate::base::secrets::secrets_of_header;

/// Secrets of one request or handshake that are not known from the profile as they were sent.
#[derive(Clone, Default)]
pub struct Sent {
    /// Headers that carry credentials.
    pub headers: Vec<HeaderValue>,
    /// Values under names of secrets in its query and its body.
    pub values: Vec<String>,
}

impl Sent {
    /// All that is secret of it.
    pub fn secrets(&self) -> impl Iterator<Item = String> + '_ {
        let headers = self.headers.iter().filter_map(|value| value.to_str().ok());
        headers.flat_map(secrets_of_header).chain(self.values.iter().cloned())
    }
}
