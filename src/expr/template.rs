//! Compiled templates: text with `{{ … }}` in it, expressions without braces, and JSON whose strings are templates.

use std::sync::Arc;

use bytes::Bytes;

use super::Value;
use super::error::EvalError;
use super::scope::Scope;

/// Text of the profile that may hold `{{ … }}`.
#[derive(Debug, Clone)]
pub enum Template {
    /// No expression in it: the text as it stands.
    Static(Arc<str>),
    /// At least one expression.
    Dynamic(Arc<()>),
}

impl Template {
    /// A text that is taken as it stands, whatever is in it: for what came from the environment.
    pub fn literal(text: &str) -> Self {
        Template::Static(text.into())
    }

    /// Whether it is the same for every user and every time.
    pub fn is_static(&self) -> bool {
        matches!(self, Template::Static(_))
    }

    /// Its value; the text is one `{{ … }}` alone: with the type that the expression has.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or is undefined or null.
    pub fn value(&self, _scope: &Scope) -> Result<Value, EvalError> {
        todo!()
    }

    /// Appends its text to `out`.
    ///
    /// # Errors
    /// As [`Template::value`]; `out` may then hold a part of it.
    pub fn text(&self, _scope: &Scope, _out: &mut String) -> Result<(), EvalError> {
        todo!()
    }
}

/// An expression, as `if`, `check`, `set` and their like hold.
#[derive(Debug, Clone)]
pub struct Expression(Arc<()>);

impl Expression {
    /// Its value, which may be undefined or null.
    ///
    /// # Errors
    /// An expression that can't be evaluated.
    pub fn value(&self, _scope: &Scope) -> Result<Value, EvalError> {
        todo!()
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or is undefined.
    pub fn truth(&self, _scope: &Scope) -> Result<bool, EvalError> {
        todo!()
    }

    /// Its value as a number, for `count`, `record` and an SLO's `value`.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or isn't a finite number.
    pub fn number(&self, _scope: &Scope) -> Result<f64, EvalError> {
        todo!()
    }

    /// The expression as the profile has it.
    pub fn source(&self) -> &str {
        todo!()
    }
}

/// JSON of the profile, in whose strings and keys there may be `{{ … }}`.
#[derive(Debug, Clone)]
pub enum JsonTemplate {
    /// Ready to be sent.
    Static(Bytes),
    /// Rendered for each request.
    Dynamic(Arc<()>),
}

impl JsonTemplate {
    /// Whether it is the same for every user and every time.
    pub fn is_static(&self) -> bool {
        matches!(self, JsonTemplate::Static(_))
    }

    /// The JSON, without insignificant spaces, keys in the order of the profile.
    ///
    /// # Errors
    /// An expression that can't be evaluated, is undefined or null, or has no JSON form (NaN).
    pub fn render(&self, _scope: &Scope) -> Result<Bytes, EvalError> {
        todo!()
    }
}
