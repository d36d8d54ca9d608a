//! The drivers: each with its keys as written and as resolved.

pub mod http;
mod inbox;
mod knock;
mod message;
mod opening;
mod patience;
mod sent;
pub mod session;
mod site;
pub mod socketio;
pub mod tcp;
pub mod websocket;

pub use knock::{Connect, Knock};
pub use patience::TIMEOUT;
pub use sent::Sent;
pub use site::{Site, SiteError};
