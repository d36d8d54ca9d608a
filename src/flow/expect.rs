//! Which answers are right.

use std::ops::RangeInclusive;

use crate::base::Reason;
use crate::expr::{Expression, Scope};

/// What an answer has to be like; otherwise the request is an error.
#[derive(Debug, Clone)]
pub struct Expect {
    /// Status codes, any of which is right.
    pub status: Vec<RangeInclusive<u16>>,
    /// What must hold, all of it.
    pub that: Vec<Expression>,
}

impl Default for Expect {
    fn default() -> Self {
        Self { status: vec![200..=399], that: Vec::new() }
    }
}

/// An answer that isn't right: why, and in words.
pub(super) type Wrong = (Reason, String);

impl Expect {
    /// Whether a status code is right.
    pub fn allows(&self, status: u16) -> bool {
        self.status.iter().any(|range| range.contains(&status))
    }

    /// What is wrong with an answer's status.
    pub(super) fn judge_status(&self, status: u16) -> Option<Wrong> {
        (!self.allows(status)).then(|| (Reason::Status, format!("status {status}{}", self.instead())))
    }

    /// What was expected instead, where the profile says so.
    fn instead(&self) -> String {
        if self.status == Self::default().status {
            return String::new();
        }
        let range = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
            (from, to) if from == to => from.to_string(),
            (from, to) => format!("{from} to {to}"),
        };
        format!(" instead of {}", self.status.iter().map(range).collect::<Vec<_>>().join(" or "))
    }

    /// What doesn't hold of the answer that `response` is.
    pub(super) fn judge_that(&self, scope: &Scope) -> Option<Wrong> {
        self.that.iter().find_map(|that| match that.truth(scope) {
            Ok(true) => None,
            Ok(false) => Some((Reason::Expect, format!("`{}` does not hold", that.source()))),
            Err(error) => Some((Reason::Expect, error.to_string())),
        })
    }
}
