//! The program from outside: runs, the daemon, the target's values, and what the repository says of itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod away;
mod books;
mod clock;
mod connect_to;
mod consistency;
mod counters;
mod daemon;
mod data;
mod documents;
mod doubts;
mod exposition;
mod flows;
mod freeze;
mod hooks;
mod http2;
mod messages;
mod outcomes;
mod outlasts;
mod pauses;
mod preflight;
mod restarts;
mod session_details;
mod session_tls;
mod sessions;
mod signals;
mod socketio;
mod socketio_runs;
mod sources;
mod status;
mod systems;
mod traces;
mod true_counts;
mod uploads;
mod verify;
mod web_config;
