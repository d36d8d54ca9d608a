//! What has to have its process for itself: threads, descriptors and memory of the whole process are counted. One test at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

mod engine;
mod sockets;

/// Held by each test.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
