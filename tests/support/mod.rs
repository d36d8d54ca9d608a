//! Real services for end-to-end tests: each in a process of its own on a free port of 127.0.0.1, with its data in a
//! directory of its own; ready when its constructor returns, killed and reaped when it is dropped.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod books;
pub mod dashboards;
pub mod hostile;
pub mod http;
pub mod postgres;
pub mod process;
pub mod program;
pub mod prometheus;
pub mod promql;
pub mod record;
pub mod redis;
pub mod shipped;
pub mod socketio;
#[path = "../../examples/backend/tests/support/mod.rs"]
pub mod stack;
pub mod tls;
pub mod victoriametrics;
pub mod websocket;
