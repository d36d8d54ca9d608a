//! What can go wrong: when a profile is loaded ([`CompileError`]) and when a virtual user evaluates ([`EvalError`]).
//!
//! Evaluation errors are counted, logged and stored, so they never hold a value: they name the expression as it is written in
//! the profile and the kinds of what it met.

use std::ops::Range;

use super::Value;
use super::strict::kind_of;
use crate::base::Reason;

/// A template, an expression or an extraction that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong, and what would be right.
    pub message: Box<str>,
    /// The bytes within the text that it is about.
    pub range: Range<usize>,
    /// What is named and doesn't exist; a part of the profile that could not be read may have it.
    pub unknown: Option<Unknown>,
}

/// Something that is named and doesn't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A variable's name.
    Name,
    /// A function, a filter, an attribute, a list, a metric.
    Other,
}

impl CompileError {
    /// An error about `range` of the text.
    pub fn new(message: impl Into<Box<str>>, range: Range<usize>) -> Self {
        Self { message: message.into(), range, unknown: None }
    }

    /// The parser's complaint, with what is most often meant.
    pub(super) fn of_syntax(error: &minijinja::Error, text: &str) -> Self {
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let lone_equals = text.match_indices('=').any(|(at, _)| {
            let before = text[..at].chars().next_back();
            !matches!(before, Some('=' | '!' | '<' | '>')) && !text[at + 1..].starts_with('=')
        });
        let hint = match () {
            () if text.contains("&&") => "; write `and` for &&",
            () if text.contains("||") => "; write `or` for ||",
            () if lone_equals && !text.contains('(') => "; comparing is written ==",
            () => "",
        };
        let range = error.range().map_or(0..text.len(), |range| range.start.min(text.len())..range.end.min(text.len()));
        Self::new(format!("{detail}{hint}"), range)
    }

    /// The same about something that doesn't exist.
    pub(super) fn of_unknown(self, unknown: Unknown) -> Self {
        Self { unknown: Some(unknown), ..self }
    }
}

/// An expression that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}` {message}")]
pub struct EvalError {
    expression: String,
    message: String,
    reason: Reason,
    of_undefined: bool,
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
        Self { expression: excerpt, message: message.into(), reason: Reason::Template, of_undefined: false }
    }

    /// An error about an expression's value, which something can't be done with.
    pub(super) fn of_value(expression: &str, value: &Value, why: &str) -> Self {
        let error = Self::new(expression, format!("is {}{why}", kind_of(value)));
        Self { of_undefined: value.is_undefined(), ..error }
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
        self.of_undefined
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
