//! Rows of data: a file held once as bytes, with the place of each row, so that a million rows cost their size once.
//!
//! A row becomes a value when it is picked. What is wrong with a file is found when it is read, so that picking can't fail.

mod csv;
mod json;

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object};

use super::Value;
use super::json::from_json;

/// What is wrong with a file of data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Flaw {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl Flaw {
    /// At a byte of a file.
    fn at(bytes: &[u8], offset: usize, message: impl Into<String>) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        Self { line: before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1, message: message.into() }
    }
}

/// The most flaws of one file that are reported.
const MOST_FLAWS: usize = 3;
/// The largest file, in bytes: places of rows are 32 bits.
pub const MAX_SIZE: u64 = u32::MAX as u64;

/// The names of a row's parts.
type Columns = Vec<Box<str>>;
/// Where each row starts.
type Starts = Vec<u32>;

/// Rows, shared by all who pick from them.
pub struct Table {
    bytes: Vec<u8>,
    /// Where each row starts.
    starts: Starts,
    /// The names of a row's parts, where they are known: of CSV in the order of the header.
    columns: Option<Columns>,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the rows: they may be passwords.
        f.debug_struct("Table").field("rows", &self.starts.len()).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Table {
    /// Rows of CSV (RFC 4180) in UTF-8, with or without a byte order mark. The first line names the columns; lines that are
    /// empty are skipped; lines end with LF or CRLF. Every value is a text.
    ///
    /// # Errors
    /// The first flaws: no row, a bad or a second name of a column, a row with more or fewer fields than there are columns, a
    /// quote out of place, bytes that aren't UTF-8.
    pub fn csv(bytes: Vec<u8>) -> Result<Self, Vec<Flaw>> {
        let text = utf8(bytes)?;
        let (columns, mut starts) = csv::index(&text)?;
        starts.shrink_to_fit();
        Ok(Self { bytes: text.into_bytes(), starts, columns: Some(columns), form: Form::Csv })
    }

    /// Rows of a JSON array: objects, texts, numbers, true and false.
    ///
    /// # Errors
    /// The first flaw: not JSON, not an array, no row, a row that is an array itself.
    pub fn json(bytes: Vec<u8>) -> Result<Self, Vec<Flaw>> {
        let text = utf8(bytes)?;
        let (columns, mut starts) = json::index(text.as_bytes()).map_err(|flaw| vec![flaw])?;
        starts.shrink_to_fit();
        Ok(Self { bytes: text.into_bytes(), starts, columns, form: Form::Json })
    }

    /// How many rows there are; at least one.
    pub fn rows(&self) -> u64 {
        self.starts.len() as u64
    }

    /// The names of a row's parts; none where rows have no such parts, or not the same kind.
    pub fn columns(&self) -> Option<BTreeSet<String>> {
        let columns = self.columns.as_ref()?;
        Some(columns.iter().map(|column| column.to_string()).collect())
    }

    /// What it holds in memory, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * size_of::<u32>()
    }

    /// The bytes from a row's start on.
    fn at_row(&self, row: u64) -> &[u8] {
        self.starts.get(row as usize).map_or(&[], |start| &self.bytes[*start as usize..])
    }

    /// A part of a row of CSV.
    fn field(&self, row: u64, column: usize) -> Value {
        Value::from(csv::field(self.at_row(row), column))
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, Vec<Flaw>> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        vec![Flaw::at(error.as_bytes(), offset, "this is not UTF-8; save the file as UTF-8")]
    })
}

/// A table as one worker sees it. What it picks is counted on a cache line of the worker's own.
#[derive(Debug, Clone)]
pub struct Rows(Arc<View>);

#[derive(Debug)]
struct View {
    table: Arc<Table>,
}

impl Rows {
    /// A view of the table.
    pub fn new(table: &Arc<Table>) -> Self {
        Self(Arc::new(View { table: Arc::clone(table) }))
    }

    /// How many rows there are; at least one.
    pub fn len(&self) -> u64 {
        self.0.table.rows()
    }

    /// Whether there is none, which no table is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row, counted from 0; undefined beyond the last one.
    pub fn get(&self, row: u64) -> Value {
        if row >= self.len() {
            return Value::UNDEFINED;
        }
        match self.0.table.form {
            Form::Csv => Value::from_object(Record { view: Arc::clone(&self.0), row }),
            Form::Json => json::row(self.0.table.at_row(row)).as_ref().map_or(Value::UNDEFINED, from_json),
        }
    }
}

/// A row of CSV: its parts are taken out of the file's bytes when they are asked for.
struct Record {
    view: Arc<View>,
    row: u64,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {}", self.row)
    }
}

impl Record {
    fn columns(&self) -> &[Box<str>] {
        self.view.table.columns.as_deref().unwrap_or_default()
    }
}

impl Object for Record {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let column = self.columns().iter().position(|column| **column == *key)?;
        Some(self.view.table.field(self.row, column))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.columns().iter().map(|column| Value::from(&**column)).collect())
    }
}

#[cfg(test)]
mod tests;
