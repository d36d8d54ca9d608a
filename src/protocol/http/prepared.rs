//! A request as rendered for one virtual user.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::address::Address;
use super::body::Payload;
use crate::base::trace::TraceId;
use crate::expr::unique;

/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request as rendered for one user.
pub struct PreparedRequest<'r> {
    pub(super) address: Rendered<'r, Address>,
    pub(super) headers: Rendered<'r, HeaderMap>,
    pub(super) body: Payload,
}

impl PreparedRequest<'_> {
    /// Gives the request a trace of its own, by the header `traceparent`. None if it was written with one.
    pub fn begin_trace(&mut self) -> Option<TraceId> {
        let headers = match &self.headers {
            Rendered::Once(headers) => headers,
            Rendered::Now(headers) => headers,
        };
        if headers.contains_key(TRACEPARENT) {
            return None;
        }
        let [high, low] = unique();
        let trace = TraceId::of((u128::from(high) << 64) | u128::from(low));
        // Hex digits and dashes can always be a header's value.
        let value = HeaderValue::try_from(trace.parent(unique()[0])).ok()?;
        let mut headers = headers.clone();
        headers.insert(TRACEPARENT, value);
        self.headers = Rendered::Now(headers);
        Some(trace)
    }
}

impl std::fmt::Debug for PreparedRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared")
    }
}

/// Something that was built once, or just now.
#[derive(Debug)]
pub(super) enum Rendered<'r, T> {
    Once(&'r T),
    Now(T),
}

impl<T: Clone> Rendered<'_, T> {
    pub fn into_owned(self) -> T {
        match self {
            Rendered::Once(value) => value.clone(),
            Rendered::Now(value) => value,
        }
    }
}
