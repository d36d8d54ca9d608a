//! Prometheus' text format 0.0.4 and OpenMetrics text 1.0, read strictly: every sample is returned or the whole text is an
//! error with its line. Nothing is dropped and nothing is guessed, since a counter that is silently missing would be taken
//! for one that stood still.
//!
//! Grammar: prometheus.io, "Exposition formats"; OpenMetrics 1.0, "Text format".

mod line;

use std::collections::{HashMap, HashSet};

use super::error::excerpt;
use super::observe::Kind;
use super::report::Labels;
use line::Cursor;

/// Which grammar a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text`.
    OpenMetrics,
}

/// A whole scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// Every sample, in order.
    pub samples: Vec<Sample>,
    types: HashMap<String, Type>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name, with its suffix.
    pub name: String,
    /// Its labels, sorted by name.
    pub labels: Labels,
    /// Its value, NaN and infinities among them.
    pub value: f64,
    /// Its own time in Unix seconds, if it brings one.
    pub timestamp: Option<f64>,
}

/// The type of a family of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Not told.
    Unknown,
    /// OpenMetrics: a histogram of present values.
    GaugeHistogram,
    /// OpenMetrics: text in labels.
    Info,
    /// OpenMetrics: which of a set of states holds.
    StateSet,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Type {
    fn parse(text: &str, format: Format) -> Option<Self> {
        Some(match (text, format) {
            ("counter", _) => Type::Counter,
            ("gauge", _) => Type::Gauge,
            ("histogram", _) => Type::Histogram,
            ("summary", _) => Type::Summary,
            ("untyped", Format::Text) | ("unknown", Format::OpenMetrics) => Type::Unknown,
            ("gaugehistogram", Format::OpenMetrics) => Type::GaugeHistogram,
            ("info", Format::OpenMetrics) => Type::Info,
            ("stateset", Format::OpenMetrics) => Type::StateSet,
            _ => return None,
        })
    }
}

impl Format {
    /// The format by an answer's content type; none where it is neither.
    pub fn of(content_type: Option<&str>) -> Option<Self> {
        let media = content_type.map_or("text/plain", |value| value.split(';').next().unwrap_or_default().trim());
        match media.to_ascii_lowercase().as_str() {
            // Small exporters forget the header, or send the file's type as unknown.
            "text/plain" | "" | "application/octet-stream" => Some(Format::Text),
            "application/openmetrics-text" => Some(Format::OpenMetrics),
            _ => None,
        }
    }
}

impl Exposition {
    /// Reads a whole text.
    ///
    /// # Errors
    /// The first line that isn't as the format says; a text that was cut off; a series that is there twice.
    pub fn parse(text: &str, format: Format) -> Result<Self, ParseError> {
        let mut exposition = Self::default();
        let mut seen = HashSet::new();
        let mut ended = false;
        let mut number = 0;
        let mut rest = text;
        while !rest.is_empty() {
            number += 1;
            let at = |message: String| ParseError { line: number, message };
            let Some(end) = rest.find('\n') else {
                return Err(at(format!("the text ends in the middle of a line: `{}`", excerpt(rest))));
            };
            let line = rest[..end].strip_suffix('\r').unwrap_or(&rest[..end]);
            rest = &rest[end + 1..];
            if ended {
                return Err(at("there is more after `# EOF`".into()));
            }
            if format == Format::OpenMetrics && line == "# EOF" {
                ended = true;
            } else if let Some(comment) = line.trim_start_matches([' ', '\t']).strip_prefix('#') {
                exposition.comment(comment, format).map_err(at)?;
            } else if !line.trim_matches([' ', '\t']).is_empty() {
                let sample =
                    Cursor::new(line).sample(format).map_err(|message| at(format!("{message} in `{}`", excerpt(line))))?;
                if !seen.insert((sample.name.clone(), sample.labels.clone(), sample.timestamp.map(f64::to_bits))) {
                    return Err(at(format!("the series `{}` is there twice", excerpt(line))));
                }
                exposition.samples.push(sample);
            }
        }
        if format == Format::OpenMetrics && !ended {
            return Err(ParseError { line: number, message: "the text was cut off: it doesn't end with `# EOF`".into() });
        }
        Ok(exposition)
    }

    /// `# TYPE` is kept, `# HELP` and `# UNIT` are read over, all else is a comment.
    fn comment(&mut self, comment: &str, format: Format) -> Result<(), String> {
        let mut words = comment.split([' ', '\t']).filter(|word| !word.is_empty());
        if words.next() != Some("TYPE") {
            return Ok(());
        }
        let (Some(name), Some(kind), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!("`#{}` should be `# TYPE name type`", excerpt(comment)));
        };
        let kind = Type::parse(kind, format).ok_or_else(|| format!("`{}` is not a type", excerpt(kind)))?;
        match self.types.insert(name.to_owned(), kind) {
            Some(before) if before != kind => Err(format!("`{}` has two types", excerpt(name))),
            _ => Ok(()),
        }
    }

    /// The type of the family that a sample of this name belongs to.
    pub fn type_of(&self, name: &str) -> Option<Type> {
        let suffixes = ["_total", "_bucket", "_sum", "_count", "_created", "_info", "_gcount", "_gsum"];
        let family = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix)).find_map(|name| self.types.get(name));
        self.types.get(name).or(family).copied()
    }

    /// Whether a sample of this name only grows, if the text tells.
    pub fn kind_of(&self, name: &str) -> Option<Kind> {
        match self.type_of(name)? {
            Type::Counter => Some(Kind::Counter),
            Type::Histogram => Some(if name.ends_with("_created") { Kind::Gauge } else { Kind::Counter }),
            Type::Summary if name.ends_with("_sum") || name.ends_with("_count") => Some(Kind::Counter),
            Type::Unknown => None,
            Type::Gauge | Type::Summary | Type::GaugeHistogram | Type::Info | Type::StateSet => Some(Kind::Gauge),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
