//! From the profile's text to what users evaluate, once, when the profile is loaded.

use super::error::CompileError;
use super::names::{Names, Symbol, Symbols};
use super::template::{Expression, JsonTemplate, Template};

/// Compiles the templates and expressions of one profile. What it made lives on without it.
#[derive(Debug)]
pub struct Compiler {
    symbols: Symbols,
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new()
    }
}

impl Compiler {
    /// A compiler that has seen no name yet.
    pub fn new() -> Self {
        Self { symbols: Symbols::new() }
    }

    /// The number of a variable's name, for [`super::Scope`].
    pub fn symbol(&mut self, name: &str) -> Symbol {
        self.symbols.get(name)
    }

    /// A text in which `{{ … }}` may stand.
    ///
    /// # Errors
    /// Wrong syntax, or a name, an attribute, a function, a filter or a test that doesn't exist.
    pub fn template(&mut self, _text: &str, _names: &Names) -> Result<Template, CompileError> {
        todo!()
    }

    /// An expression without braces.
    ///
    /// # Errors
    /// As [`Compiler::template`].
    pub fn expression(&mut self, _text: &str, _names: &Names) -> Result<Expression, CompileError> {
        todo!()
    }

    /// JSON whose strings (keys too) are templates. The message of an error names the place within it.
    ///
    /// # Errors
    /// As [`Compiler::template`]; the range is one within the string concerned.
    pub fn json(&mut self, _value: &serde_json::Value, _names: &Names) -> Result<JsonTemplate, CompileError> {
        todo!()
    }
}
