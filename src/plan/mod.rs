//! The profile, checked and resolved: names become indexes, texts become templates, levels become shapes.
//!
//! [`load`] reads a file and resolves it; all that is wrong with either is told at once. Nothing here talks to a target.

mod bodies;
mod calls;
mod capacity;
mod connect;
mod data;
mod describe;
mod http;
mod loads;
mod metrics;
mod multipart;
mod network;
mod observe;
mod preparation;
mod resolve;
mod resolver;
mod schedule;
mod slos;
mod stages;
mod steps;
mod types;
mod variables;
mod warnings;

pub use describe::describe;
pub use preparation::Preparation;
pub use resolve::{load, load_text, resolve};
pub use resolver::{Builtin, Options};
#[cfg(test)]
mod tests;

pub use types::{
    Cron, DRAIN, Data, DataSource, DeadTargetAction, Limits, OnDeadTarget, OnRestart, Phase, Pick, Plan, Repeat, SERIES_LIMIT,
    STAGE_TIMEOUT, Scenario, ScenarioRows, Schedule, Stage, StageKind, Stages,
};
pub use variables::{Variables, read_in_part, unread};
