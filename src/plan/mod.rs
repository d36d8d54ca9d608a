//! The profile, checked and resolved.

mod types;

pub use types::{Cron, DRAIN, Limits, OnRestart, Phase, Plan, Repeat, SERIES_LIMIT, Scenario, Schedule};
