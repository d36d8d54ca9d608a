//! Service level objectives as written: a subject and what is required of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::written::{At, Entries, Expr, Many, Name, Of, Scalar};
use crate::verdict::Requirement;

/// A service level objective.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// The label `slo`.
    pub name: Of<Name>,
    /// Only these protocols.
    pub protocol: Option<Many<Scalar>>,
    /// Only these scenarios.
    pub scenario: Option<Many<Scalar>>,
    /// Only these steps.
    pub step: Option<Many<Scalar>>,
    /// Only these phases.
    pub phase: Option<Many<Scalar>>,
    /// Only these groups, by their labels (`outer/inner`), with those within them.
    pub group: Option<Many<Scalar>>,
    /// What is judged: `response` (default), `service`, `connect`, `iteration`, `group`, or a histogram of the profile's own.
    pub of: Option<Scalar>,
    /// A value of the target: `preset.value`, or a ratio of `observe`.
    pub server: Option<Scalar>,
    /// Of a `server` only the systems with these labels; `source` is the name of an exporter that is read directly.
    #[serde(rename = "match")]
    pub matching: Option<Entries<Scalar>>,
    /// Whether the SLO isn't judged where the source of its `server` or `promql` is left out: `url` is empty. Default false.
    pub optional: Option<At<bool>>,
    /// A question to Prometheus.
    pub promql: Option<Scalar>,
    /// An expression over `metric(…)`.
    pub value: Option<Expr>,
    /// One SLO for each `scenario`, `step` or `group`.
    pub each: Option<At<Each>>,
    /// `run`: the run as a whole, without phases that aren't judged. For a `server` of several systems: `each` of them has to meet it,
    /// or their `sum`.
    pub over: Option<Many<At<Over>>>,
    /// What must hold: `p95 < 500ms`, `errors <= 0.1%`.
    pub require: Option<Many<Of<Requirement>>>,
    /// What should hold: reported, never failed.
    pub target: Option<Many<Of<Requirement>>>,
    /// Judges each window of this length, sliding by a tenth.
    pub window: Option<Of<Duration>>,
    /// Ends the run once the last so long, as a whole, breach.
    pub abort_after: Option<Of<Duration>>,
}

/// What there is an SLO for each of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Each scenario.
    Scenario,
    /// Each step.
    Step,
    /// Each group.
    Group,
}

/// What an SLO looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The run as a whole.
    Run,
    /// Each system by itself.
    Each,
    /// All systems added up.
    Sum,
}
