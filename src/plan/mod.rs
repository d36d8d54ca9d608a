//! The profile, checked and resolved: names become indexes, texts become templates, levels become shapes.
//!
//! [`load`] reads a file and resolves it; all that is wrong with either is reported at once. Nothing here talks to a target.

mod bodies;
mod calls;
mod capacity;
mod connect;
mod data;
mod describe;
mod hooks;
mod http;
mod loads;
mod metrics;
mod multipart;
mod network;
mod observe;
mod options;
mod preparation;
mod resolve;
mod resolver;
mod schedule;
mod slos;
mod steps;
mod types;
mod variables;
mod walk;
mod warnings;

pub use describe::describe;
pub use options::{Builtin, Options};
pub use preparation::Preparation;
pub use resolve::{load, load_text, read_in_part, resolve};
#[cfg(test)]
mod tests;

pub use types::{
    Cron, DRAIN, Data, DataSource, DeadTargetAction, HOOK_TIMEOUT, Hook, HookKind, Hooks, Limits, OnDeadTarget, OnRestart, Phase,
    Pick, Plan, Repeat, SERIES_LIMIT, Scenario, ScenarioRows, Schedule,
};
pub use variables::{Variables, unread};
