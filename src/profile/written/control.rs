//! Steps that hold flows of their own, as written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::load::Weight;
use super::step::Step;
use crate::base::written::{At, Expr, Many, Name, Of, Ratio, Scalar, Text};

/// The steps of a nested flow.
pub type Steps = Many<At<Step>>;

/// One of the branches of a choice.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its weight; what counts is its share of their sum. Default 1.
    pub weight: Option<Of<Weight>>,
    /// Its steps; none at all is a branch too.
    pub flow: Steps,
}

/// Steps that are done now and then.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maybe {
    /// How often: 10% is once in ten times, at random.
    pub chance: Of<Ratio>,
    /// An expression; where it doesn't hold, the steps are left out.
    #[serde(rename = "if")]
    pub condition: Option<Expr>,
    /// The steps.
    pub flow: Steps,
}

/// Steps that are repeated; of several ends the first that is reached counts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repetition {
    /// How often: a number, or a template that gives one.
    pub times: Option<Text>,
    /// An expression; once it doesn't hold before a turn, there is no more.
    #[serde(rename = "while")]
    pub condition: Option<Expr>,
    /// How long; no turn begins after it.
    #[serde(rename = "for")]
    pub lasting: Option<Of<Duration>>,
    /// From the beginning of one turn to the beginning of the next, or longer where a turn takes longer.
    pub every: Option<Of<Duration>>,
    /// How many users do it at the same time, in set-up, verify and teardown. Default 1.
    pub users: Option<At<u64>>,
    /// The steps of a turn; `index` counts turns from 0.
    pub flow: Steps,
}

/// Steps that are done for each element of a list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForEach {
    /// An expression that gives the list.
    #[serde(rename = "in")]
    pub list: Expr,
    /// The variable that is each element in turn.
    #[serde(rename = "as")]
    pub variable: Of<Name>,
    /// How many users do it at the same time, in set-up, verify and teardown. Default 1.
    pub users: Option<At<u64>>,
    /// The steps of a turn; `index` counts turns from 0.
    pub flow: Steps,
}

/// Steps that are timed as a whole.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The label `group`; within another group it follows that one's name and a `/`.
    pub name: Scalar,
    /// The steps.
    pub flow: Steps,
}

/// Steps that are tried until their checks hold and nothing fails.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eventually {
    /// No attempt begins after that; it is an error then.
    pub within: Of<Duration>,
    /// From the beginning of one attempt to the beginning of the next, or longer where one takes longer. Default 1s.
    pub every: Option<Of<Duration>>,
    /// The steps of an attempt.
    pub flow: Steps,
}
