//! What the repository ships beside the program: profiles, suites, dashboards, rules, compose files and the image.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

mod compose;
mod image;
mod inhibition;
mod monitoring;
mod panels;
mod profiles;
mod rules;
mod suites;
mod votes;
