//! The drivers: each with its keys as written and as resolved.

pub mod http;
