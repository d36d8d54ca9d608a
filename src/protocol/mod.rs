//! The drivers: each with its keys as written and as resolved.

pub mod http;
mod inbox;
mod opening;
pub mod session;
mod site;
pub mod socketio;
pub mod tcp;
pub mod websocket;

pub use site::{Site, SiteError};
