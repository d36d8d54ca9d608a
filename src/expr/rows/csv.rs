//! CSV as in RFC 4180, held to its letter: where each row starts, and the fields of a row.
//!
//! A reader that takes everything would silently shift the columns of whatever comes after a forgotten quote.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Columns, Flaw, MOST_FLAWS, Starts};
use crate::base::names::is_name;

/// How a field ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Another field follows.
    Comma,
    /// The row is over.
    Row,
}

/// A field of the file: its bytes without the quotes around it, whether quotes in it are doubled, and what comes after.
struct Field {
    text: std::ops::Range<usize>,
    doubled: bool,
    end: End,
    /// Where the next field or row starts.
    next: usize,
}

/// A quote or a line's end that is out of place, and where.
type Misplaced = (usize, &'static str);

/// Reads the field that starts at `at`.
fn read(bytes: &[u8], at: usize) -> Result<Field, Misplaced> {
    let (text, doubled, after) = match bytes.get(at) {
        Some(b'"') => quoted(bytes, at)?,
        _ => plain(bytes, at)?,
    };
    let (end, next) = match bytes.get(after) {
        Some(b',') => (End::Comma, after + 1),
        Some(b'\n') => (End::Row, after + 1),
        Some(b'\r') if matches!(bytes.get(after + 1), Some(b'\n')) => (End::Row, after + 2),
        None => (End::Row, after),
        Some(b'\r') => return Err((after, "a carriage return stands alone here; lines end with LF or CRLF")),
        Some(_) => return Err((after, "something follows a closing quote; a quote within a quoted field is written twice")),
    };
    Ok(Field { text, doubled, end, next })
}

fn plain(bytes: &[u8], at: usize) -> Result<(std::ops::Range<usize>, bool, usize), Misplaced> {
    let rest = &bytes[at..];
    let length = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r' | b'"')).unwrap_or(rest.len());
    match rest.get(length) {
        Some(b'"') => Err((at + length, "a quote within a field; put the whole field in quotes, and write the quote twice")),
        _ => Ok((at..at + length, false, at + length)),
    }
}

fn quoted(bytes: &[u8], at: usize) -> Result<(std::ops::Range<usize>, bool, usize), Misplaced> {
    let mut from = at + 1;
    let mut doubled = false;
    loop {
        let Some(quote) = bytes[from..].iter().position(|byte| *byte == b'"').map(|found| from + found) else {
            return Err((at, "the quote that opens this field is never closed"));
        };
        if bytes.get(quote + 1) != Some(&b'"') {
            return Ok((at + 1..quote, doubled, quote + 1));
        }
        doubled = true;
        from = quote + 2;
    }
}

/// The length of an empty line.
fn empty_line(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes[at..] {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// The names of the columns and the start of each row.
pub(super) fn index(text: &str) -> Result<(Columns, Starts), Vec<Flaw>> {
    let bytes = text.as_bytes();
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let misplaced = |(at, message): Misplaced| vec![Flaw::at(bytes, at, message)];
    while let Some(length) = empty_line(bytes, at) {
        at += length;
    }
    if at >= bytes.len() {
        return Err(vec![Flaw::at(bytes, at, "this file is empty; its first line names the columns")]);
    }
    let mut columns = Vec::new();
    let mut names = HashSet::new();
    let mut flaws = Vec::new();
    loop {
        let field = read(bytes, at).map_err(misplaced)?;
        let name = unquoted(text, &field);
        // A flaw knows its line and column, which takes a look at all before it.
        if flaws.len() < MOST_FLAWS
            && let Some(message) = wrong_name(&name, columns.len() + 1, !names.insert(name.clone()))
        {
            flaws.push(Flaw::at(bytes, at, message));
        }
        columns.push(name.into());
        at = field.next;
        if field.end == End::Row {
            break;
        }
    }
    if !flaws.is_empty() {
        return Err(flaws);
    }
    // As many rows as lines, unless fields have several lines.
    let mut starts = Vec::with_capacity(bytes[at..].iter().filter(|byte| **byte == b'\n').count() + 1);
    while at < bytes.len() && flaws.len() < MOST_FLAWS {
        if let Some(length) = empty_line(bytes, at) {
            at += length;
            continue;
        }
        let start = at;
        let mut fields = 0;
        loop {
            // What follows a quote out of place can't be made sense of.
            let field = read(bytes, at).map_err(|found| flaws.drain(..).chain(misplaced(found)).collect::<Vec<_>>())?;
            (fields, at) = (fields + 1, field.next);
            if field.end == End::Row {
                break;
            }
        }
        if fields != columns.len() {
            let (has, wants) = (plural(fields, "field"), plural(columns.len(), "column"));
            flaws.push(Flaw::at(bytes, start, format!("this row has {has}, and the file {wants}")));
        }
        // A file is no longer than 32 bits can say.
        starts.push(start as u32);
    }
    if flaws.is_empty() && starts.is_empty() {
        flaws.push(Flaw::at(bytes, at, "this file has no row after the names of its columns"));
    }
    if flaws.is_empty() { Ok((columns, starts)) } else { Err(flaws) }
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What is wrong with the name of a column; whether there is another of that name.
fn wrong_name(name: &str, column: usize, again: bool) -> Option<String> {
    if name.trim().is_empty() {
        return Some(format!("column {column} has no name; the file's first line names the columns"));
    }
    if again {
        return Some(format!("two columns are called `{name}`"));
    }
    let hint = if name.contains([';', '\t']) { "; the fields of a line are separated by commas" } else { "" };
    let message =
        || format!("`{name}` can't name a column; a name is letters, digits, `_` and `-`, and starts with a letter or `_`{hint}");
    (!is_name(name)).then(message)
}

fn unquoted<'t>(text: &'t str, field: &Field) -> Cow<'t, str> {
    // A field ends before a comma, a quote or a line's end, so never within a character.
    let inner = text.get(field.text.clone()).unwrap_or_default();
    if field.doubled { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) }
}

/// A field of the row at the start of `row`, whose form has been checked.
pub(super) fn field(row: &[u8], column: usize) -> Cow<'_, str> {
    let mut at = 0;
    for _ in 0..column {
        match read(row, at) {
            Ok(field) => at = field.next,
            Err(_) => return Cow::Borrowed(""),
        }
    }
    match read(row, at) {
        Ok(field) => {
            let inner = String::from_utf8_lossy(&row[field.text]);
            if field.doubled { Cow::Owned(inner.replace("\"\"", "\"")) } else { inner }
        }
        Err(_) => Cow::Borrowed(""),
    }
}
