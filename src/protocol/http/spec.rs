//! An HTTP step as resolved: what a request is built from.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method};

use super::address::{AddressError, Way};
use super::upload::Multipart;
use crate::expr::{JsonTemplate, Template};
use crate::net::HostPort;
use crate::protocol::TIMEOUT;

/// The longest body that is kept, in bytes, where the profile says nothing (`max_body`). A user holds at most one, so this bounds a
/// worker's memory by its users. Where nothing of the profile reads bodies, long ones aren't kept at all.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// What a request carries.
#[derive(Clone, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes as they are.
    Static(Bytes),
    /// Text; it has no content type but the one that the headers give.
    Text(Template),
    /// JSON, as `application/json`.
    Json(JsonTemplate),
    /// Names and values, as `application/x-www-form-urlencoded`.
    Form(Vec<(String, Template)>),
    /// Parts, as `multipart/form-data`, made as they are sent.
    Multipart(Multipart),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Body::Empty => "Empty",
            Body::Static(_) => "Static",
            Body::Text(_) => "Text",
            Body::Json(_) => "Json",
            Body::Form(_) => "Form",
            Body::Multipart(_) => "Multipart",
        })
    }
}

/// Over which connections requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connections {
    /// One of each user's own per origin, opened at first use and kept.
    #[default]
    PerUser,
    /// A worker's part of this many, shared by all of a scenario's users; the part itself is the [`super::Pool`]'s.
    Shared(usize),
    /// A new one for every request (`reuse: false`).
    Fresh,
}

/// An HTTP step as resolved.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The method.
    pub method: Method,
    /// What paths are put behind: a URL.
    pub base_url: Option<Template>,
    /// A path or a whole URL.
    pub url: Template,
    /// Appended to the URL, percent-encoded.
    pub query: Vec<(String, Template)>,
    /// Headers; those given here replace the client's own.
    pub headers: Vec<(HeaderName, Template)>,
    /// The user and the password that are sent as Basic authentication.
    pub basic: Option<(Template, Template)>,
    /// Those of the headers that are left out where they use what is undefined; elsewhere that is an error.
    pub may_lack: Vec<HeaderName>,
    /// The body.
    pub body: Body,
    /// For the whole request: waiting for a shared connection, connecting, redirects and the body included.
    pub timeout: Duration,
    /// How many redirects are followed.
    pub redirects: u32,
    /// Whether cookies are kept and sent.
    pub cookies: bool,
    /// Whether compressed answers are asked for and unpacked.
    pub compression: bool,
    /// Whether the body is counted and thrown away.
    pub discard_body: bool,
    /// Whether something reads the bodies of answers; otherwise long ones aren't kept.
    pub reads_body: bool,
    /// Whether the step itself does, by what it extracts, expects or checks.
    pub step_reads: bool,
    /// The longest body that is kept to be read, unpacked too, in bytes.
    pub max_body: usize,
    /// Whether the SHA-256 of a body is computed where it isn't kept, since an expression reads `response.sha256`. It is
    /// of the bytes as transferred, so compression is not asked for then.
    pub sha256: bool,
    /// How `https` is done, in which version of HTTP, and by which way.
    pub way: Way,
    /// Over which connections.
    pub connections: Connections,
    /// The only hosts that may be sent to, redirects included; all if absent.
    pub hosts: Option<Arc<[HostPort]>>,
}

impl Spec {
    /// A request without headers, query or body, with the defaults of a profile.
    pub fn new(method: Method, url: Template) -> Self {
        Self {
            method,
            base_url: None,
            url,
            query: Vec::new(),
            headers: Vec::new(),
            basic: None,
            may_lack: Vec::new(),
            body: Body::Empty,
            timeout: TIMEOUT,
            redirects: 0,
            cookies: true,
            compression: true,
            discard_body: false,
            reads_body: true,
            step_reads: false,
            max_body: MAX_BODY,
            sha256: false,
            way: Way::default(),
            connections: Connections::PerUser,
            hosts: None,
        }
    }
}

/// Both a URL and the profile say who asks.
pub(crate) const TWO_USERS: &str = "the URL has a user, and `authorization` or `auth` says who asks, too; leave out one of them (`headers: {authorization: ''}` at a step takes that of the defaults away)";

/// A request that can never be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The static part of the URL.
    #[error("`{url}` {error}")]
    Url {
        /// As written.
        url: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// A header's value.
    #[error("the header `{0}` has a character that headers cannot carry (a line break?)")]
    Header(HeaderName),
    /// Two say who asks.
    #[error("{}", TWO_USERS)]
    TwoUsers,
    /// A header that is not the profile's to set.
    #[error("the header `{0}` follows from the body and how it is sent; leave it out")]
    Framing(HeaderName),
}
