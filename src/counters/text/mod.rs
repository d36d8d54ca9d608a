//! Prometheus' text format 0.0.4 and OpenMetrics text 1.0, read as leniently as Prometheus does, and more so where nobody asked:
//! what is odd is kept with its line ([`Odd`]), and a line that can't be read spoils only the metric that it is of. A text that
//! isn't one of metrics, or that was cut off, is an error.
//!
//! Grammar: prometheus.io, "Exposition formats"; OpenMetrics 1.0, "Text format".

mod line;

use std::collections::{HashMap, HashSet};

use super::error::beginning;
use super::kind::MetricKind;
use super::labels::Labels;
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
    /// Every sample, in order, but for the metrics of which a line can't be read.
    pub samples: Vec<Sample>,
    /// What is odd about it, in order.
    pub odd: Vec<Odd>,
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

/// Something odd, which Prometheus reads over, or which spoils one metric only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// Counted from 1.
    pub line: usize,
    /// What is odd.
    pub message: String,
    /// The metric of a line that can't be read.
    pub lost: Option<String>,
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
    /// Not given.
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
    /// The first line that doesn't begin like one of metrics; a text that was cut off.
    pub fn parse(text: &str, format: Format) -> Result<Self, ParseError> {
        let mut exposition = Self::default();
        let mut seen = HashSet::new();
        let (mut ended, mut unread) = (false, None);
        let mut number = 0;
        let mut rest = text;
        while !rest.is_empty() {
            number += 1;
            let at = |message: String| ParseError { line: number, message };
            let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
            let unended = line.len() == rest.len();
            rest = behind;
            let line = line.strip_suffix('\r').unwrap_or(line);
            let mut odd = |message: String| exposition.odd.push(Odd { line: number, message, lost: None });
            if ended {
                return Err(at("there is more after `# EOF`".into()));
            }
            if format == Format::OpenMetrics && line == "# EOF" {
                ended = true;
                continue;
            }
            if unended {
                odd("the last line has no end".into());
            }
            if let Some(comment) = line.trim_start_matches([' ', '\t']).strip_prefix('#') {
                if let Err(message) = exposition.comment(comment, format) {
                    exposition.odd.push(Odd { line: number, message, lost: None });
                }
            } else if !line.trim_matches([' ', '\t']).is_empty() {
                match Cursor::new(line).sample(format) {
                    Ok(sample)
                        if seen.insert((sample.name.clone(), sample.labels.clone(), sample.timestamp.map(f64::to_bits))) =>
                    {
                        exposition.samples.push(sample);
                    }
                    Ok(_) => odd(format!("the series `{}` is there twice; the first counts", beginning(line))),
                    Err(message) => {
                        let message = format!("{message} in `{}`", beginning(line));
                        let lost = line::name(line);
                        // Braces begin a line whose name isn't one of those that are asked for.
                        if lost.is_none() && !line.trim_start_matches([' ', '\t']).starts_with('{') {
                            return Err(at(message));
                        }
                        unread = unread.or_else(|| Some(at(message.clone())));
                        exposition.odd.push(Odd { line: number, message, lost });
                    }
                }
            }
        }
        if format == Format::OpenMetrics && !ended {
            return Err(ParseError { line: number, message: "the text was cut off: it doesn't end with `# EOF`".into() });
        }
        // A page for people may begin like a metric, too.
        if let Some(error) = unread.filter(|_| exposition.samples.is_empty()) {
            return Err(error);
        }
        // The line's series isn't known. A sum over the metric's series would be too small without it.
        let lost: HashSet<&str> = exposition.odd.iter().filter_map(|odd| odd.lost.as_deref()).collect();
        exposition.samples.retain(|sample| !lost.contains(&*sample.name));
        Ok(exposition)
    }

    /// Makes excerpts of what is odd. A name that an excerpt would change isn't repeated: it is too long, or has a secret in it.
    pub fn shorten(&mut self, excerpt: impl Fn(&str) -> String) {
        for odd in &mut self.odd {
            odd.message = excerpt(&odd.message);
            odd.lost = odd.lost.take().filter(|lost| excerpt(lost) == *lost);
        }
    }

    /// What is odd, in words.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.odd.iter().map(|odd| {
            let left_out = odd.lost.as_ref().map_or_else(String::new, |metric| format!("; {metric} is left out"));
            format!("line {}: {}{left_out}", odd.line, odd.message)
        })
    }

    /// `# TYPE` is kept, `# HELP` and `# UNIT` are read over, all else is a comment.
    fn comment(&mut self, comment: &str, format: Format) -> Result<(), String> {
        let mut words = comment.split([' ', '\t']).filter(|word| !word.is_empty());
        if words.next() != Some("TYPE") {
            return Ok(());
        }
        let (Some(name), Some(kind), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!("`#{}` should be `# TYPE name type`", beginning(comment)));
        };
        let kind = Type::parse(kind, format).ok_or_else(|| format!("`{}` is not a type", beginning(kind)))?;
        if *self.types.entry(line::unquoted(name)).or_insert(kind) == kind {
            return Ok(());
        }
        Err(format!("`{}` has two types; the first counts", beginning(name)))
    }

    /// The type of the family that a sample of this name belongs to.
    pub fn type_of(&self, name: &str) -> Option<Type> {
        let suffixes = ["_total", "_bucket", "_sum", "_count", "_created", "_info", "_gcount", "_gsum"];
        let family = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix)).find_map(|name| self.types.get(name));
        self.types.get(name).or(family).copied()
    }

    /// Whether a sample of this name only grows, if the text says so.
    pub fn kind_of(&self, name: &str) -> Option<MetricKind> {
        match self.type_of(name)? {
            Type::Counter => Some(MetricKind::Counter),
            Type::Histogram => Some(if name.ends_with("_created") { MetricKind::Gauge } else { MetricKind::Counter }),
            Type::Summary if name.ends_with("_sum") || name.ends_with("_count") => Some(MetricKind::Counter),
            Type::Unknown => None,
            Type::Gauge | Type::Summary | Type::GaugeHistogram | Type::Info | Type::StateSet => Some(MetricKind::Gauge),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
