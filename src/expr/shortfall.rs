//! By how much the numbers may be off that a run is judged by when it is over.

use std::collections::BTreeMap;

/// By how much numbers may be off, by what they are made of. What is in none of it is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shortfall {
    /// By the names of metrics that some scenarios count.
    pub metrics: BTreeMap<String, Missing>,
    /// By the names of steps: requests that were lost.
    pub lost: BTreeMap<String, Missing>,
    /// By the name of a metric and of a step: requests of the step that were interrupted where the metric is counted. Had such a request been
    /// answered, it would not be lost, and it would be counted.
    pub shared: BTreeMap<(String, String), f64>,
    /// All that the run did: numbers of which nobody knows what they are made of.
    pub all: Missing,
}

/// By how much a number may be off.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Missing {
    /// For requests that were never sent, or whose answer nobody read: up or down.
    pub kept: f64,
    /// For requests whose answer nobody read: up or down.
    pub unread: f64,
    /// For iterations that were cut off: by how much it might be greater.
    pub cut: f64,
    /// For iterations that were cut off: by how much it might be less.
    pub less: f64,
    /// What was counted before its request was cut off: the target may not have done it.
    pub ahead: f64,
}

impl Missing {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            kept: self.kept + other.kept,
            unread: self.unread + other.unread,
            cut: self.cut + other.cut,
            less: self.less + other.less,
            ahead: self.ahead + other.ahead,
        }
    }
}
