//! Peers, input and surroundings that mean no good: nothing of it ends the program, shows a secret, or passes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

mod bad_profiles;
mod corpus;
mod limits;
mod no_false_pass;
mod prometheus;
mod secrets;
mod sessions;
mod survival;
mod targets;
