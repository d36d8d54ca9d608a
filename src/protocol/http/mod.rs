//! HTTP/1.1 over hyper's low-level client connections: no hidden pool, no hidden retry, no task of its own.
//!
//! A [`Request`] is a step as resolved: what is static of it is built once. [`Request::prepare`] renders the rest for one
//! virtual user; that user's [`Client`] performs it and answers with an [`Exchange`]: what came, when, over which
//! connections. Whether the answer is the expected one is not decided here.
//!
//! The connection is driven inside the caller's future. Whoever drops that future drops the connection with it, so that an
//! interrupted request can never be mistaken for the next one's answer.

mod address;
mod alarm;
mod body;
mod client;
mod connection;
mod cookies;
mod decode;
mod exchange;
mod failure;
mod gate;
mod http2;
mod pool;
mod prepared;
mod progress;
mod received;
mod redirect;
mod request;
mod source;
mod spec;
mod transfer;
mod upload;
pub mod written;

pub(crate) use address::{Address, Base, push_query, split_scheme};
pub use address::{AddressError, Origin, Way};
pub use client::Client;
pub(in crate::protocol) use connection::http1_client;
pub use cookies::Jar as Cookies;
pub use exchange::{Disconnect, Exchange, Stage};
pub(crate) use failure::Failure;
pub use pool::Pool;
pub use prepared::PreparedRequest;
pub use progress::Unreported;
pub use request::Request;
pub(crate) use spec::TWO_USERS;
pub use spec::{Body, BuildError, Connections, MAX_BODY, Spec};
pub use upload::{BodyPart, Content, Length, Multipart, SizeError, Sizes, Uploaded, probe};

#[cfg(test)]
mod tests;
