//! Extraction: values taken out of an answer by JSONPath (RFC 9535), by header or by regular expression.

use regex::Regex;
use serde_json_path::JsonPath;

use super::Value;
use super::error::{CompileError, ExtractError};
use super::message::MessageObject;
use super::response::{ResponseObject, header};
use super::size::MAX_PATH;

/// One extraction, compiled.
#[derive(Debug, Clone)]
pub struct Extract {
    from: From,
    required: bool,
}

#[derive(Debug, Clone)]
enum From {
    Json { path: JsonPath, all: bool },
    Header(http::HeaderName),
    Regex(Regex),
}

/// The largest compiled regular expression, in bytes.
const REGEX_LIMIT: usize = 1 << 20;
/// How often a JSONPath may say `..`. Each multiplies the nodes to look at by the depth of an answer, which is the target's to
/// choose: six of them over sixty nested lists come to fifty million.
const DESCENTS: usize = 2;

impl Extract {
    /// The first node that a JSONPath finds in the body, or with `all` the list of all of them.
    ///
    /// # Errors
    /// Not a JSONPath.
    pub fn json(path: &str, all: bool, required: bool) -> Result<Self, CompileError> {
        if path.len() > MAX_PATH {
            return Err(CompileError::new(format!("a JSONPath has at most {MAX_PATH} bytes"), 0..path.len()));
        }
        if descents(path) > DESCENTS {
            return Err(CompileError::new(
                format!(
                    "`{path}` goes down with `..` more than {DESCENTS} times; each multiplies what has to be looked at in an answer"
                ),
                0..path.len(),
            ));
        }
        let parsed = JsonPath::parse(path).map_err(|error| {
            let at = error.position().saturating_sub(1).min(path.len());
            CompileError::new(
                format!("`{path}` is not a JSONPath ({error}); write one like $.id or $.items[0].name"),
                at..path.len(),
            )
        })?;
        Ok(Self { from: From::Json { path: parsed, all }, required })
    }

    /// A header's value, its name in any case.
    ///
    /// # Errors
    /// Not a header's name.
    pub fn header(name: &str, required: bool) -> Result<Self, CompileError> {
        let parsed = name.parse().map_err(|_| {
            CompileError::new(format!("`{name}` is not a header's name; write one like x-request-id"), 0..name.len())
        })?;
        Ok(Self { from: From::Header(parsed), required })
    }

    /// The first group that takes part in a regular expression's first match in the body, or without groups the match.
    ///
    /// # Errors
    /// Not a regular expression.
    pub fn regex(pattern: &str, required: bool) -> Result<Self, CompileError> {
        let parsed = regex::RegexBuilder::new(pattern).size_limit(REGEX_LIMIT).build().map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let why = last.strip_prefix("error: ").unwrap_or(last);
            CompileError::new(format!("not a regular expression: {why}"), 0..pattern.len())
        })?;
        Ok(Self { from: From::Regex(parsed), required })
    }

    /// The value in an answer; `None` where there is none.
    ///
    /// # Errors
    /// There is none, and it is required.
    pub fn from_response(&self, response: &ResponseObject) -> Result<Option<Value>, ExtractError> {
        self.found(match &self.from {
            From::Json { path, all } => response.tree().and_then(|tree| tree.find(path, *all)),
            From::Header(name) => header(&response.response().headers, name.as_str()).map(Value::from),
            From::Regex(regex) => in_text(regex, &String::from_utf8_lossy(&response.response().body)),
        })
    }

    /// The value in a message, which has no headers; `None` where there is none.
    ///
    /// # Errors
    /// There is none, and it is required.
    pub fn from_message(&self, message: &MessageObject) -> Result<Option<Value>, ExtractError> {
        self.found(match &self.from {
            From::Json { path, all } => message.tree().and_then(|tree| tree.find(path, *all)),
            From::Header(_) => None,
            From::Regex(regex) => message.text().and_then(|text| in_text(regex, text)),
        })
    }

    fn found(&self, found: Option<Value>) -> Result<Option<Value>, ExtractError> {
        match found {
            None if self.required => Err(ExtractError::Missing { place: self.place() }),
            found => Ok(found),
        }
    }

    fn place(&self) -> String {
        match &self.from {
            From::Json { path, .. } => format!("`{path}`"),
            From::Header(name) => format!("header `{name}`"),
            From::Regex(regex) => format!("`{regex}`"),
        }
    }
}

fn in_text(regex: &Regex, text: &str) -> Option<Value> {
    let captures = regex.captures(text)?;
    let group = captures.iter().skip(1).flatten().next().or_else(|| captures.get(0));
    group.map(|found| Value::from(found.as_str()))
}

/// How often a JSONPath says `..` outside of its texts.
fn descents(path: &str) -> usize {
    let (mut count, mut quote, mut rest) = (0, None, path.chars().peekable());
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(rest.next()),
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '.') if rest.peek() == Some(&'.') => {
                rest.next();
                count += 1;
            }
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_multiply_what_has_to_be_looked_at_are_refused() {
        for (path, count) in [("$.id", 0), ("$..id", 1), ("$..a[?@..b]", 2), ("$['..']..a[\"\\\"..\"]", 1), ("$..*..*..*", 3)] {
            assert_eq!(descents(path), count, "{path}");
            assert_eq!(Extract::json(path, true, false).is_ok(), count <= 2, "{path}");
        }
    }
}
