//! HTTP/2: many requests at once over one connection.
//!
//! It is built on `h2`, the layer below hyper's own client, since that shows what a load generator has to know: when a stream
//! was opened, why one was reset, and whether the connection outlives it. A [`H2Connection`] is one connection; a task of its own drives
//! it, for the peer may have something to say while no request is under way. A request that is dropped resets its stream and
//! leaves the connection to the others.

mod connection;
mod exchange;
mod failure;
mod send;
mod watched;

pub(super) use connection::{H2Connection, StreamPermit, connect};
pub(super) use exchange::{Broken, exchange};
pub(super) use failure::Over;
