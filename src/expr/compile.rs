//! From the profile's text to what users evaluate, once, when the profile is loaded.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::environment::{EnvRead, Reading};
use super::error::CompileError;
use super::json::digits;
use super::library::Library;
use super::lower::Lowering;
use super::names::{Names, Symbol, Symbols};
use super::program::{Body, Piece, Program};
use super::size::bounded;
use super::template::{Compiled, Expression, JsonPart, JsonParts, JsonTemplate, Template};
use super::text::write_string;

/// Compiles the templates and expressions of one profile. What it made lives on without it.
#[derive(Debug)]
pub struct Compiler {
    symbols: Symbols,
    library: Arc<Library>,
    /// The variables that were read since it was asked last.
    read: HashSet<Symbol>,
    /// What was read of `env`.
    env: EnvRead,
    /// The variables of the environment that are set, where that is known.
    set: Option<BTreeSet<String>>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new()
    }
}

/// What makes a text a template.
const MARKS: [&str; 3] = ["{{", "{%", "{#"];

impl Compiler {
    /// A compiler that has seen no name yet.
    pub fn new() -> Self {
        Self { symbols: Symbols::new(), library: Library::new(), read: HashSet::new(), env: EnvRead::default(), set: None }
    }

    /// One for which these variables of the environment are set: reading another is an error.
    pub fn with_env(set: impl IntoIterator<Item = String>) -> Self {
        Self { set: Some(set.into_iter().collect()), ..Self::new() }
    }

    /// The number of a variable's name, for [`super::Scope`].
    pub fn symbol(&mut self, name: &str) -> Symbol {
        self.symbols.get(name)
    }

    /// The variables that are read by what was compiled since this was asked last.
    pub fn take_read(&mut self) -> HashSet<Symbol> {
        std::mem::take(&mut self.read)
    }

    /// What all that was compiled reads of the environment.
    pub fn env_read(&self) -> &EnvRead {
        &self.env
    }

    /// A text in which `{{ … }}` may stand.
    ///
    /// # Errors
    /// Wrong syntax, or a name, an attribute, a function, a filter or a test that doesn't exist.
    pub fn template(&mut self, text: &str, names: &Names) -> Result<Template, CompileError> {
        if !MARKS.iter().any(|mark| text.contains(mark)) {
            return Ok(Template::Static(text.into()));
        }
        bounded(text, false)?;
        let mut lowering = self.lowering(text, names);
        let mut pieces = lowering.template()?;
        let locals = lowering.slots;
        lowering.reading.check(self.set.as_ref())?;
        let body = match pieces.pop() {
            Some(Piece::Emit(node)) if pieces.is_empty() => Body::Value(node),
            last => {
                pieces.extend(last);
                match joined(&pieces) {
                    Some(text) => return Ok(Template::Static(text.into())),
                    None => Body::Text(pieces),
                }
            }
        };
        Ok(Template::Dynamic(self.program(text, body, locals)))
    }

    /// An expression without braces.
    ///
    /// # Errors
    /// As [`Compiler::template`].
    pub fn expression(&mut self, text: &str, names: &Names) -> Result<Expression, CompileError> {
        if text.trim_start().starts_with("{{") {
            return Err(CompileError::new("an expression stands here without braces", 0..text.len()));
        }
        bounded(text, true)?;
        let mut lowering = self.lowering(text, names);
        let node = lowering.whole()?;
        let locals = lowering.slots;
        lowering.reading.check(self.set.as_ref())?;
        Ok(Expression(self.program(text, Body::Value(node), locals)))
    }

    /// JSON whose strings (keys too) are templates. The message of an error names the place within it.
    ///
    /// # Errors
    /// As [`Compiler::template`]; the range is one within the string concerned.
    pub fn json(&mut self, value: &serde_json::Value, names: &Names) -> Result<JsonTemplate, CompileError> {
        let mut builder = JsonBuilder::default();
        self.json_parts(value, names, &mut builder, &mut String::from("$"))?;
        if builder.parts.is_empty() {
            return Ok(JsonTemplate::Static(Bytes::from(builder.raw)));
        }
        builder.flush();
        Ok(JsonTemplate::Dynamic(Arc::new(JsonParts { parts: builder.parts })))
    }

    fn json_parts(
        &mut self,
        value: &serde_json::Value,
        names: &Names,
        out: &mut JsonBuilder,
        path: &mut String,
    ) -> Result<(), CompileError> {
        let here = path.len();
        match value {
            serde_json::Value::String(text) if digits(text).is_some() => out.raw.push_str(digits(text).unwrap_or_default()),
            serde_json::Value::String(text) => match self.template_at(text, names, path)? {
                Template::Static(text) => write_string(&text, &mut out.raw),
                Template::Dynamic(compiled) => out.push(JsonPart::Value(compiled)),
            },
            serde_json::Value::Array(items) => {
                out.raw.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.raw.push(',');
                    }
                    path.push_str(&format!("[{i}]"));
                    self.json_parts(item, names, out, path)?;
                    path.truncate(here);
                }
                out.raw.push(']');
            }
            serde_json::Value::Object(entries) => {
                out.raw.push('{');
                for (i, (key, item)) in entries.iter().enumerate() {
                    if i > 0 {
                        out.raw.push(',');
                    }
                    path.push('.');
                    path.push_str(key);
                    match self.template_at(key, names, path)? {
                        Template::Static(text) => write_string(&text, &mut out.raw),
                        Template::Dynamic(compiled) => out.push(JsonPart::Key(compiled)),
                    }
                    out.raw.push(':');
                    self.json_parts(item, names, out, path)?;
                    path.truncate(here);
                }
                out.raw.push('}');
            }
            plain => out.raw.push_str(&plain.to_string()),
        }
        Ok(())
    }

    fn template_at(&mut self, text: &str, names: &Names, path: &str) -> Result<Template, CompileError> {
        self.template(text, names)
            .map_err(|error| CompileError { message: format!("{} (at {path})", error.message).into(), ..error })
    }

    fn lowering<'a>(&'a mut self, source: &'a str, names: &'a Names) -> Lowering<'a> {
        Lowering {
            source,
            symbols: &mut self.symbols,
            read: &mut self.read,
            env: &mut self.env,
            reading: Reading::default(),
            names,
            library: &self.library,
            locals: Vec::new(),
            scope: 0,
            slots: 0,
        }
    }

    fn program(&self, source: &str, body: Body, locals: usize) -> Compiled {
        Compiled(Arc::new(Program { source: source.into(), library: self.library.clone(), body, locals }))
    }
}

/// Collects JSON: ready-made text in between of what is evaluated.
#[derive(Default)]
struct JsonBuilder {
    parts: Vec<JsonPart>,
    raw: String,
}

impl JsonBuilder {
    fn push(&mut self, part: JsonPart) {
        self.flush();
        self.parts.push(part);
    }

    fn flush(&mut self) {
        if !self.raw.is_empty() {
            self.parts.push(JsonPart::Raw(std::mem::take(&mut self.raw)));
        }
    }
}

/// The text of pieces that are all raw.
fn joined(pieces: &[Piece]) -> Option<String> {
    pieces.iter().map(|piece| if let Piece::Raw(text) = piece { Some(&**text) } else { None }).collect()
}
