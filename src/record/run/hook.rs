//! What was done once for the whole run: set-up, verify, teardown.

use serde::{Deserialize, Serialize};

use super::{Group, Message, Metric, Sessions, Step, Transfer};

/// A set-up, a verify or a teardown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// `setup`, `verify` or `teardown`; also the labels `scenario` and `phase` of what it did.
    pub name: String,
    /// Unix time in seconds.
    pub started: f64,
    /// Unix time in seconds.
    pub ended: f64,
    /// Whether all its steps were done and all its checks held.
    pub ok: bool,
    /// What went wrong first, as a sentence; `null` if nothing did.
    pub error: Option<String>,
    /// Why that proves nothing; `null` if it does.
    pub unsure: Option<String>,
    /// Its checks.
    pub checks: Vec<HookCheck>,
    /// What was measured, by step.
    pub steps: Vec<Step>,
    /// Connections that were held, by step.
    pub sessions: Vec<Sessions>,
    /// Messages that were followed.
    pub messages: Vec<Message>,
    /// Long bodies: how fast they went over.
    pub transfers: Vec<Transfer>,
    /// Groups of steps, timed as a whole.
    pub groups: Vec<Group>,
    /// What it put into the profile's own metrics.
    pub metrics: Vec<Metric>,
}

/// One check of a hook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookCheck {
    /// The label `check`.
    pub name: String,
    /// The step that it stands in, if any.
    pub step: Option<String>,
    /// How often it held.
    pub passed: u64,
    /// How often it did not.
    pub failed: u64,
    /// How it failed first: the comparison with the values of both sides, or why it could not be evaluated; `null` where it held.
    pub detail: Option<String>,
}

impl Hook {
    /// How long it took, in seconds.
    pub fn duration(&self) -> f64 {
        (self.ended - self.started).max(0.0)
    }
}
