//! What was found of a requirement.

use super::known::Known;
use super::requirement::Requirement;

/// What was found of a requirement: what is known of its value, or why nothing is; and what is to be said of it.
pub(super) struct RequirementFinding {
    pub(super) known: Option<Known>,
    pub(super) note: Option<String>,
    /// It can't be judged here, and neither passes nor fails.
    pub(super) unjudged: bool,
}

impl RequirementFinding {
    pub(super) fn known(known: Known, note: Option<String>) -> Self {
        Self { known: Some(known), note, unjudged: false }
    }

    /// It can't be judged here, and neither passes nor fails.
    pub(super) fn unjudged(reason: impl Into<String>) -> Self {
        Self { unjudged: true, ..Self::missing(reason) }
    }

    pub(super) fn missing(reason: impl Into<String>) -> Self {
        Self { known: None, note: Some(reason.into()), unjudged: false }
    }
}

/// What an answer depends on: `between 0% and 90%: 450 arrivals were dropped or cancelled, or sent nothing`.
pub(super) fn depends(requirement: &Requirement, known: &Known, doubt: &str) -> String {
    let between = requirement.unit.show_between(known.least, known.most);
    if doubt.is_empty() { between } else { format!("{between}: {doubt}") }
}
