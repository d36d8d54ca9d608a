//! `response`: the last answer as expressions see it. JSON is parsed when it is first asked for, and once.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use sha2::{Digest, Sha256};

use super::Value;
use super::json::Tree;
use super::names;
use crate::base::Reason;

/// An answer, or what there is of it. Without an answer the status is 0.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code; 0 without an answer.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed; empty where it was discarded.
    pub body: Bytes,
    /// Response time in seconds, from when the request was due.
    pub duration: f64,
    /// Service time in seconds, from when it was sent.
    pub service: f64,
    /// Time to the first byte of the answer, in seconds.
    pub wait: f64,
    /// Time from the last byte sent to the first byte of the answer, in seconds; 0 where the answer began before.
    pub processing: f64,
    /// Bytes received on the wire.
    pub bytes: u64,
    /// Bytes of the body as transferred, whether it was kept or not.
    pub body_bytes: u64,
    /// Bytes sent on the wire.
    pub sent_bytes: u64,
    /// SHA-256 of the body in hex, where it was computed while streaming; otherwise it is computed from `body` when asked for.
    pub sha256: Option<String>,
    /// Why it failed, where it did.
    pub error: Option<Reason>,
}

/// A response with what is derived from it, kept for the next expression.
#[derive(Debug)]
pub struct ResponseObject {
    response: Response,
    tree: OnceLock<Option<Tree>>,
    json: OnceLock<Value>,
    text: OnceLock<Value>,
    headers: OnceLock<Value>,
}

impl ResponseObject {
    pub(super) fn new(response: Response) -> Self {
        Self { response, tree: OnceLock::new(), json: OnceLock::new(), text: OnceLock::new(), headers: OnceLock::new() }
    }

    /// What `response` is before there was any.
    pub(super) fn unanswered() -> Value {
        Value::from_object(Self::new(Response::default()))
    }

    /// The response itself.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Forgets what was made of the answer; it is made again when somebody asks for it.
    pub fn forget(&mut self) {
        self.tree.take();
        self.json.take();
        self.text.take();
    }

    /// The body's JSON, if it is JSON.
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.get_or_init(|| Tree::parse(&self.response.body)).as_ref()
    }

    fn json(&self) -> Value {
        self.json.get_or_init(|| self.tree().map_or(Value::UNDEFINED, Tree::value)).clone()
    }

    fn text(&self) -> Value {
        self.text
            .get_or_init(|| match std::str::from_utf8(&self.response.body) {
                Ok(text) => Value::from(text),
                Err(_) => Value::from_bytes(self.response.body.to_vec()),
            })
            .clone()
    }

    fn sha256(&self) -> Value {
        match &self.response.sha256 {
            Some(hex) => Value::from(hex.as_str()),
            None => Value::from(hex(&Sha256::digest(&self.response.body))),
        }
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let response = &self.response;
        Some(match name {
            "status" => Value::from(response.status),
            "ok" => Value::from((200..400).contains(&response.status) && response.error.is_none()),
            "headers" => self.headers.get_or_init(|| Value::from_object(Headers(response.headers.clone()))).clone(),
            "body" => self.text(),
            "json" => return Some(self.json()).filter(|json| !json.is_undefined()),
            "duration" => Value::from(response.duration),
            "service" => Value::from(response.service),
            "wait" => Value::from(response.wait),
            "processing" => Value::from(response.processing),
            "bytes" => Value::from(response.bytes),
            "body_bytes" => Value::from(response.body_bytes),
            "sent_bytes" => Value::from(response.sent_bytes),
            "sha256" => self.sha256(),
            "error" => Value::from(response.error?.label()),
            _ => return None,
        })
    }
}

impl Object for ResponseObject {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.attribute(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.attribute(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&names::RESPONSE)
    }
}

/// `response.headers`: names in any case; several values of one name are joined by `, `, as RFC 9110 has it.
#[derive(Debug)]
struct Headers(HeaderMap);

/// The values of one header as one text; bytes that aren't UTF-8 are replaced.
pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut text = values.next()?.into_owned();
    for value in values {
        text.push_str(", ");
        text.push_str(&value);
    }
    Some(text)
}

impl Object for Headers {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        header(&self.0, key.as_str()?).map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|name| Value::from(name.as_str())).collect())
    }
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
