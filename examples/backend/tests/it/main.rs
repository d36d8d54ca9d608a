//! The backend against real stores, and `scripts/stack`, which starts them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod service;
#[path = "../support/mod.rs"]
mod support;

mod booking;
mod chat;
mod http;
mod stack;
