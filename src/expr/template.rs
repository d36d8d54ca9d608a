//! Compiled templates: text with `{{ … }}` in it, expressions without braces, and JSON whose strings are templates.

use std::sync::Arc;

use bytes::Bytes;

use super::Value;
use super::error::EvalError;
use super::eval;
use super::functions::{timestamp, whole};
use super::json::Tree;
use super::names::Symbol;
use super::program::{Body, Program};
use super::scope::{ScenarioValues, Scope};
use super::strict::{is_present, kind_of, usable};
use super::text::{write_escaped, write_json};
use crate::base::secrets::secrets_of_answer;

/// Text of the profile that may hold `{{ … }}`.
#[derive(Clone)]
pub enum Template {
    /// No expression in it: the text as it stands.
    Static(Arc<str>),
    /// At least one expression.
    Dynamic(Compiled),
}

/// A compiled program; cheap to clone.
#[derive(Clone)]
pub struct Compiled(pub(super) Arc<Program>);

/// Shows of a text only whether it varies: what came from the environment may be a secret.
macro_rules! opaque {
    ($($type:ident: $($variant:ident),+;)+) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($type::$variant(..) => concat!(stringify!($type), "::", stringify!($variant))),+ })
            }
        })+
    };
}

opaque! {
    Template: Static, Dynamic;
    JsonTemplate: Static, Dynamic;
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
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

    /// The text of a template that is always the same.
    pub fn as_static(&self) -> Option<&str> {
        match self {
            Template::Static(text) => Some(text),
            Template::Dynamic(_) => None,
        }
    }

    /// Its value; where the text is one `{{ … }}` alone: with the type that the expression has.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or is undefined or null.
    pub fn value(&self, scope: &Scope) -> Result<Value, EvalError> {
        match self {
            Template::Static(text) => Ok(Value::from(&**text)),
            Template::Dynamic(Compiled(program)) => present(program, eval::value(program, scope)?),
        }
    }

    /// Appends its text to `out`.
    ///
    /// # Errors
    /// As [`Template::value`]; `out` may then hold a part of it.
    pub fn text(&self, scope: &Scope, out: &mut String) -> Result<(), EvalError> {
        match self {
            Template::Static(text) => {
                out.push_str(text);
                Ok(())
            }
            Template::Dynamic(Compiled(program)) => eval::text(program, scope, out),
        }
    }
}

impl Template {
    /// Appends its text to `out`, as [`Template::text`] does, where that is a URL or a part of one: a `#` out of a value is percent-encoded.
    ///
    /// # Errors
    /// As [`Template::text`].
    pub fn url(&self, scope: &Scope, out: &mut String) -> Result<(), EvalError> {
        match self {
            Template::Static(_) => self.text(scope, out),
            Template::Dynamic(Compiled(program)) => eval::url(program, scope, out),
        }
    }
}

impl Template {
    /// The same where it is a URL or a part of one, with all put in that is known already: variables that never change.
    #[must_use]
    pub fn settled(self, constants: &[(Symbol, Value)]) -> Self {
        let Template::Dynamic(Compiled(program)) = &self else { return self };
        if !program.reads_only(&|symbol| constants.iter().any(|(known, _)| *known == symbol)) {
            return self;
        }
        let shared = ScenarioValues { vars: constants.to_vec(), ..ScenarioValues::default() };
        let mut text = String::new();
        // What can't be put in is an error when it is asked for.
        match self.url(&Scope::new(Arc::new(shared), 0), &mut text) {
            Ok(()) => Template::Static(text.into()),
            Err(_) => self,
        }
    }
}

fn present(program: &Program, value: Value) -> Result<Value, EvalError> {
    if is_present(&value) {
        return Ok(value);
    }
    Err(EvalError::of_value(&program.source, &value, " and can't be sent"))
}

/// An expression, as `if`, `check`, `set` and their like hold.
#[derive(Debug, Clone)]
pub struct Expression(pub(super) Compiled);

impl Expression {
    /// Its value, which may be undefined or null.
    ///
    /// # Errors
    /// An expression that can't be evaluated.
    pub fn value(&self, scope: &Scope) -> Result<Value, EvalError> {
        eval::value(&self.0.0, scope)
    }

    /// Whether it holds; null doesn't.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or is undefined.
    pub fn truth(&self, scope: &Scope) -> Result<bool, EvalError> {
        let value = usable(eval::value(&self.0.0, scope)?);
        eval::truth(&self.0.0, &value)
    }

    /// Its value as a number, for `count`, `record` and an SLO's `value`.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or isn't a finite number.
    pub fn number(&self, scope: &Scope) -> Result<f64, EvalError> {
        let value = usable(eval::value(&self.0.0, scope)?);
        let number = Some(&value).filter(|value| value.is_number()).and_then(|value| f64::try_from(value.clone()).ok());
        number.filter(|number| number.is_finite()).ok_or_else(|| {
            let what = if value.is_number() { "not a finite number" } else { kind_of(&value) };
            EvalError::new(self.source(), format!("is {what}, where a number is wanted"))
        })
    }

    /// Its value as a moment in Unix seconds, for `latency_from`: a number of seconds, of milliseconds above 1e11, or a text as in
    /// RFC 3339.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or is no moment.
    pub fn moment(&self, scope: &Scope) -> Result<f64, EvalError> {
        let value = usable(eval::value(&self.0.0, scope)?);
        timestamp(&value).map_err(|why| EvalError::new(self.source(), why))
    }

    /// Its value as a whole number, for `sequence`.
    ///
    /// # Errors
    /// An expression that can't be evaluated, or isn't a whole number.
    pub fn whole(&self, scope: &Scope) -> Result<i64, EvalError> {
        let value = usable(eval::value(&self.0.0, scope)?);
        whole(&value).map_err(|why| EvalError::new(self.source(), why))
    }

    /// The expression as the profile has it.
    pub fn source(&self) -> &str {
        &self.0.0.source
    }
}

/// JSON of the profile, in whose strings and keys there may be `{{ … }}`.
#[derive(Clone)]
pub enum JsonTemplate {
    /// Ready to be sent.
    Static(Bytes),
    /// Rendered for each request.
    Dynamic(Arc<JsonParts>),
}

/// The JSON in pieces, in order.
#[derive(Debug)]
pub struct JsonParts {
    pub(super) parts: Vec<JsonPart>,
}

/// A piece of JSON.
#[derive(Debug)]
pub(super) enum JsonPart {
    /// Ready-made JSON.
    Raw(String),
    /// A value with its type, or a string made of several pieces.
    Value(Compiled),
    /// An object's key: always text.
    Key(Compiled),
}

impl JsonTemplate {
    /// Whether it is the same for every user and every time.
    pub fn is_static(&self) -> bool {
        matches!(self, JsonTemplate::Static(_))
    }

    /// Whether something under the name of a secret may be rendered into it.
    pub fn may_hold_secrets(&self) -> bool {
        let JsonTemplate::Dynamic(parts) = self else { return false };
        let text = parts.parts.iter().map(|part| match part {
            JsonPart::Raw(json) => json.as_str(),
            JsonPart::Value(_) => "\"x\"",
            // It may be any name.
            JsonPart::Key(_) => "\"key\"",
        });
        !secrets_of_answer(&text.collect::<String>()).is_empty()
    }

    /// Its value; where it is one `{{ … }}` alone: with the type that the expression has.
    ///
    /// # Errors
    /// As [`JsonTemplate::render`].
    pub fn value(&self, scope: &Scope) -> Result<Value, EvalError> {
        if let JsonTemplate::Dynamic(parts) = self
            && let [JsonPart::Value(Compiled(program))] = &parts.parts[..]
        {
            return present(program, eval::value(program, scope)?);
        }
        // What was rendered is JSON, however deep it is.
        Ok(Tree::parse(&self.render(scope)?).map_or(Value::UNDEFINED, |tree| tree.value()))
    }

    /// The JSON, without insignificant spaces, keys in the order of the profile.
    ///
    /// # Errors
    /// An expression that can't be evaluated, is undefined or null, or has no JSON form (NaN).
    pub fn render(&self, scope: &Scope) -> Result<Bytes, EvalError> {
        let parts = match self {
            JsonTemplate::Static(json) => return Ok(json.clone()),
            JsonTemplate::Dynamic(parts) => &parts.parts,
        };
        let mut out = String::with_capacity(128);
        let mut string = String::new();
        for part in parts {
            let (program, is_key) = match part {
                JsonPart::Raw(json) => {
                    out.push_str(json);
                    continue;
                }
                JsonPart::Value(Compiled(program)) => (program, false),
                JsonPart::Key(Compiled(program)) => (program, true),
            };
            if let (Body::Value(_), false) = (&program.body, is_key) {
                let value = present(program, eval::value(program, scope)?)?;
                write_json(&value, &mut out).map_err(|why| EvalError::new(&program.source, why))?;
                continue;
            }
            string.clear();
            eval::text(program, scope, &mut string)?;
            out.push('"');
            write_escaped(&string, &mut out);
            out.push('"');
        }
        Ok(Bytes::from(out))
    }
}
