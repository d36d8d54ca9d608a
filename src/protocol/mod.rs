//! The drivers: each with its keys as written and as resolved.

pub mod http;
mod inbox;
mod knock;
mod opening;
pub mod session;
mod site;
pub mod socketio;
pub mod tcp;
pub mod websocket;

pub use knock::Knock;
pub use site::{Site, SiteError};

/// How long a request may take, or opening a connection, a message that is sent and one that is awaited, where a profile says
/// nothing.
pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
