//! Data as written: where rows come from, and how they are picked.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::written::{Anything, At, Name, Of, Scalar};

/// Rows for virtual users: one of `csv`, `json`, `list`, `remembered`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A CSV file whose first line names the columns; relative to this file.
    pub csv: Option<Scalar>,
    /// A JSON file that holds an array of objects or of scalars; relative to this file.
    pub json: Option<Scalar>,
    /// The rows themselves.
    pub list: Option<Anything>,
    /// A list that users fill as they go.
    pub remembered: Option<Of<Name>>,
    /// Which row an iteration gets: `sequential`, `random`, `unique` or `per_user`. Default sequential.
    pub pick: Option<At<Pick>>,
}

/// How rows are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// One after the other, and from the first one again.
    #[default]
    Sequential,
    /// Any, as the seed has it.
    Random,
    /// Each once.
    Unique,
    /// Each user has one.
    PerUser,
}
