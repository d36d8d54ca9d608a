//! One line of the text format that holds a sample.

use super::{Format, Sample};
use crate::base::names::is_metric_name;
use crate::counters::labels::Labels;

/// The metric's name that a line begins with, whatever follows it.
pub(super) fn name(line: &str) -> Option<String> {
    let line = line.trim_start_matches([' ', '\t']);
    if let Some(quoted) = line.strip_prefix('{') {
        let mut cursor = Cursor::new(quoted);
        cursor.blanks();
        return cursor.take('"').then(|| cursor.quoted().ok()).flatten();
    }
    let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
    is_metric_name(&line[..end]).then(|| line[..end].to_owned())
}

/// The name in a `# TYPE`; one that needs it is quoted.
pub(super) fn unquoted(name: &str) -> String {
    let mut cursor = Cursor::new(name);
    let quoted = cursor.take('"').then(|| cursor.quoted().ok()).flatten();
    quoted.filter(|_| cursor.rest.is_empty()).unwrap_or_else(|| name.to_owned())
}

/// A place in a line.
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }

    /// `name{label="value",…} value [timestamp] [# exemplar]`; a name that isn't one of letters, digits and underscores is quoted, and within
    /// the braces: `{"name",label="value",…}`.
    pub(super) fn sample(mut self, format: Format) -> Result<Sample, String> {
        self.blanks();
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        let bare = is_metric_name(name);
        if !(bare || name.is_empty() && self.rest.starts_with('{')) {
            return Err("a metric's name is expected".into());
        }
        let blank = self.blanks();
        let braces = self.take('{');
        let (quoted, labels) = if braces { self.labels()? } else { (None, Vec::new()) };
        let name = match (bare, quoted) {
            (true, None) => name.to_owned(),
            (false, Some(quoted)) => quoted,
            (true, Some(_)) => return Err("it has two names".into()),
            (false, None) => return Err("a metric's name is expected".into()),
        };
        if !self.blanks() && !blank && !braces {
            return Err("a blank is expected after the name".into());
        }
        let value = number(self.word(|c| c != ' ' && c != '\t'))?;
        self.blanks();
        let mut timestamp = None;
        if !self.rest.is_empty() && !self.rest.starts_with('#') {
            timestamp = Some(time(self.word(|c| c != ' ' && c != '\t'), format)?);
            self.blanks();
        }
        if format == Format::OpenMetrics && self.take('#') {
            self.exemplar()?;
        }
        if self.rest.is_empty() {
            Ok(Sample { name, labels, value, timestamp })
        } else {
            Err("there is more than a value and a time".into())
        }
    }

    /// The rest of `{label="value",…}`, sorted, and the metric's name where that is among them.
    fn labels(&mut self) -> Result<(Option<String>, Labels), String> {
        let (mut labels, mut metric) = (Labels::new(), None);
        loop {
            self.blanks();
            if self.take('}') {
                break;
            }
            let quoted = self.take('"');
            let name = match quoted {
                true => self.quoted()?,
                false => self.word(|c| c.is_ascii_alphanumeric() || c == '_').to_owned(),
            };
            if name.is_empty() || !quoted && name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err("a label's name is expected".into());
            }
            self.blanks();
            if quoted && metric.is_none() && self.rest.starts_with([',', '}']) {
                metric = Some(name);
                self.take(',');
                continue;
            }
            if !self.take('=') {
                return Err("`=` is expected after a label's name".into());
            }
            self.blanks();
            if !self.take('"') {
                return Err("a label's value must begin with `\"`".into());
            }
            labels.push((name, self.quoted()?));
            self.blanks();
            if !self.take(',') && !self.rest.starts_with('}') {
                return Err("`,` or `}` is expected after a label".into());
            }
        }
        labels.sort();
        if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("a label is there twice".into());
        }
        // An empty value is the same as no label.
        labels.retain(|(_, value)| !value.is_empty());
        Ok((metric, labels))
    }

    /// The rest of a quoted text with `\\`, `\"` and `\n`.
    fn quoted(&mut self) -> Result<String, String> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' => value.push(match chars.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, c @ ('\\' | '"'))) => c,
                    _ => return Err("only \\\\, \\\" and \\n may be escaped in a label's value".into()),
                }),
                c => value.push(c),
            }
        }
        Err("a label's value isn't closed".into())
    }

    /// The rest of ` # {labels} value [timestamp]`, checked and not kept.
    fn exemplar(&mut self) -> Result<(), String> {
        self.blanks();
        if !self.take('{') {
            return Err("an exemplar must begin with `{`".into());
        }
        self.labels()?;
        self.blanks();
        number(self.word(|c| c != ' ' && c != '\t'))?;
        self.blanks();
        if !self.rest.is_empty() {
            time(self.word(|c| c != ' ' && c != '\t'), Format::OpenMetrics)?;
        }
        self.blanks();
        Ok(())
    }

    /// Skips blanks; whether there were any.
    fn blanks(&mut self) -> bool {
        let trimmed = self.rest.trim_start_matches([' ', '\t']);
        let any = trimmed.len() != self.rest.len();
        self.rest = trimmed;
        any
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}

/// A value, as Go's ParseFloat takes it.
fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| if text.is_empty() { "a value is missing".to_owned() } else { format!("`{text}` is not a number") })
}

/// A time: whole milliseconds in the text format, seconds in OpenMetrics.
fn time(text: &str, format: Format) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a time");
    match format {
        Format::Text => text.parse::<i64>().map(|ms| ms as f64 / 1e3).map_err(|_| wrong()),
        Format::OpenMetrics => text.parse::<f64>().ok().filter(|seconds| seconds.is_finite()).ok_or_else(wrong),
    }
}
