//! What can go wrong: when a profile is loaded ([`CompileError`]) and when a virtual user evaluates ([`EvalError`]).
//!
//! Evaluation errors are counted, logged and stored, so they never hold a value: they name the expression as it is written in
//! the profile and the kinds of what it met.

use std::ops::Range;

use crate::base::Reason;

/// A template, an expression or an extraction that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// The bytes within the text that it is about.
    pub range: Range<usize>,
}

impl CompileError {
    /// An error about `range` of the text.
    pub fn new(message: impl Into<String>, range: Range<usize>) -> Self {
        Self { message: message.into(), range }
    }
}

/// An expression that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}` {message}")]
pub struct EvalError {
    expression: String,
    message: String,
    reason: Reason,
}

/// The longest piece of an expression that an error repeats, in characters.
const EXCERPT: usize = 80;

impl EvalError {
    /// An error about the part of the profile's text that `expression` is.
    pub fn new(expression: &str, message: impl Into<String>) -> Self {
        let trimmed = expression.trim();
        let mut excerpt: String = trimmed.chars().take(EXCERPT).collect();
        if excerpt.len() < trimmed.len() {
            excerpt.push('…');
        }
        Self { expression: excerpt, message: message.into(), reason: Reason::Template }
    }

    /// The same, where this machine's own limits are what kept it from that.
    pub fn locally(self) -> Self {
        Self { reason: Reason::Local, ..self }
    }

    /// The label under which it is counted: `template`, or `local`.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether it met something that isn't there (yet).
    pub fn is_of_undefined(&self) -> bool {
        self.message.starts_with("is undefined")
    }

    /// The expression as the profile has it, shortened.
    pub fn expression(&self) -> &str {
        &self.expression
    }
}

/// A value that could not be taken out of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtractError {
    /// `required: true`, and nothing was found.
    #[error("nothing found at {place}, which is required")]
    Missing {
        /// Where was looked: the path, the header or the pattern.
        place: String,
    },
}
