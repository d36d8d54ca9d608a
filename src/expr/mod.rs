//! Values, templates and extraction: what varies from request to request.
//!
//! Owns the strict evaluation of `{{ … }}` and of expressions, the names and functions they may use, the variables of a
//! virtual user, and taking values out of answers. Syntax, values, filters and tests are minijinja's; evaluation is not, since
//! profiles are held to more than minijinja's strictest mode: comparing, calculating with or sending what is undefined or null,
//! and ordering unlike types, are errors. Everything compiled is immutable and shared between threads by reference.

mod compile;
mod elements;
mod entropy;
mod environment;
mod error;
mod eval;
mod explain;
mod extract;
mod functions;
pub mod json;
mod library;
mod lists;
mod lower;
mod message;
mod names;
mod number;
mod program;
mod response;
mod rows;
mod scope;
mod secrets;
mod shortfall;
mod size;
mod strict;
mod template;
mod text;

pub use compile::Compiler;
pub use elements::{Elements, elements};
pub use entropy::unique;
pub use environment::EnvRead;
pub use error::{CompileError, EvalError, ExtractError, Unknown};
pub use explain::{Cause, Explanation};
pub use extract::Extract;
pub use json::from_json;
pub use lists::{BOUND, Bound, ListId, Lists};
pub use message::{Content, MessageObject};
pub use names::{Names, Symbol, bodiless, is_reserved};
pub use response::{Response, ResponseObject, hex};
pub use rows::{Flaw, MAX_SIZE as MAX_DATA_SIZE, Rows, Table};
pub use scope::{Layer, ScenarioValues, Scope};
pub use shortfall::{Missing, Shortfall};
pub use template::{Compiled, Expression, JsonParts, JsonTemplate, Template};

/// A value of an expression: `Send` and `Sync`, cheap to clone.
pub use minijinja::Value;

#[cfg(test)]
mod tests;
