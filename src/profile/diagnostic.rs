//! What is wrong with a profile: the message, the place, the excerpt with its caret, and what would be right.

use std::borrow::Cow;
use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use super::tree::Place;
use crate::base::Secrets;

/// How many problems are shown at once; nobody reads more of them in a terminal.
pub const SHOWN: usize = 25;
/// The most of a message that is shown, in characters.
const MAX_MESSAGE: usize = 1000;
/// Of a line that is longer than both of these together, what is shown before and behind the beginning of the place, in bytes.
const AROUND: [usize; 2] = [60, 180];

/// Whether a profile can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The profile is refused.
    Error,
    /// The profile is used; something about it is probably not meant.
    Warning,
}

/// One problem of a profile.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, and what would be right.
    pub message: String,
    /// A hint, where there is one.
    pub help: Option<String>,
    /// Where; nothing for what has no place, like a file that can't be read.
    pub place: Option<Place>,
    /// It may follow from another problem: an unknown name, where the part that would have defined it couldn't be read.
    pub consequent: bool,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(place: Option<Place>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), help: None, place, consequent: false }
    }

    /// A warning at a place.
    pub fn warning(place: Option<Place>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// The same with a hint.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, marked as possibly following from another problem.
    #[must_use]
    pub fn consequent(mut self) -> Self {
        self.consequent = true;
        self
    }

    /// `file:line:column: message`, for a line of a log.
    pub fn line(&self) -> String {
        match &self.place {
            Some(place) => {
                let (line, column) = place.line_column();
                format!("{}:{line}:{column}: {}", place.file.path.display(), cut(&self.message))
            }
            None => cut(&self.message).into_owned(),
        }
    }

    /// The message with its excerpt and caret, over several lines, without a newline at the end.
    pub fn render(&self, colour: bool) -> String {
        let severity = match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        };
        let mut report = MietteDiagnostic::new(cut(&self.message)).with_severity(severity);
        if let Some(help) = &self.help {
            report = report.with_help(help.clone());
        }
        let mut theme = if colour { GraphicalTheme::ascii() } else { GraphicalTheme::none() };
        theme.characters.error = "error:".into();
        theme.characters.warning = "warning:".into();
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(120)
            .with_context_lines(0)
            .without_syntax_highlighting()
            .with_links(false);
        let mut text = String::new();
        let done = match &self.place {
            None => handler.render_report(&mut text, &report),
            Some(place) => {
                let shown = place.file.shown();
                let start = place.range.start.min(shown.len());
                // The caret marks one line: of a longer node its first.
                let end = place.range.end.clamp(start, shown.len());
                let line = shown.get(start..end).map_or(0, |part| part.lines().next().unwrap_or("").trim_end().len());
                let excerpt = Excerpt::of(place, shown, start);
                let length = line.max(usize::from(start < shown.len())).min(excerpt.end().saturating_sub(start));
                let label = LabeledSpan::new_primary_with_span(None, (start, length));
                let report = miette::Report::new(report.with_label(label)).with_source_code(excerpt);
                handler.render_report(&mut text, report.as_ref())
            }
        };
        if done.is_err() {
            return self.line();
        }
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned()
    }
}

/// One line of a file, as miette asks for it: it would show only the part that is marked. Of a very long line what stands around
/// the place.
struct Excerpt {
    name: String,
    text: String,
    /// Where the text begins in the file.
    from: usize,
    line: usize,
    column: usize,
}

impl Excerpt {
    /// What to show of a place that begins at `at` in a file's text.
    fn of(place: &Place, text: &str, at: usize) -> Self {
        let (line, column) = place.line_column();
        let name = place.file.path.display().to_string();
        let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let whole = text[start..].lines().next().unwrap_or("");
        if whole.len() <= AROUND.iter().sum() {
            return Self { name, text: whole.to_owned(), from: start, line, column };
        }
        let at = (at - start).min(whole.len());
        let [before, behind] = [at.saturating_sub(AROUND[0]), (at + AROUND[1]).min(whole.len())];
        let boundary = |at: &usize| whole.is_char_boundary(*at);
        let begin = (before..=at).find(boundary).unwrap_or(at);
        let end = (at..=behind).rev().find(boundary).unwrap_or(at);
        let mut text = String::new();
        // The marks of what is left out stand where some of it stood, so that places keep their distance.
        let from = match begin {
            0 => start,
            _ => {
                text.push(LEFT_OUT);
                (start + begin).saturating_sub(LEFT_OUT.len_utf8())
            }
        };
        text.push_str(&whole[begin..end]);
        if end < whole.len() {
            text.push(LEFT_OUT);
        }
        Self { name, text, from, line, column }
    }

    /// Where it ends in the file.
    fn end(&self) -> usize {
        self.from + self.text.len()
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(&'a self, span: &SourceSpan, _: usize, _: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        if span.offset() < self.from || span.offset() > self.end() {
            return Err(MietteError::OutOfBounds);
        }
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            self.text.as_bytes(),
            (self.from, self.text.len()).into(),
            self.line - 1,
            self.column - 1,
            1,
        )))
    }
}

/// Stands for what is left out of a line or a message.
const LEFT_OUT: char = '…';

/// A message that repeats very much of what somebody wrote, without the end of it.
fn cut(message: &str) -> Cow<'_, str> {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}{LEFT_OUT}", &message[..end]).into(),
        None => message.into(),
    }
}

/// The first of many problems, each as `show` has it, and how many more there are.
pub fn first_of<'a>(all: impl ExactSizeIterator<Item = &'a Diagnostic>, show: impl Fn(&Diagnostic) -> String) -> Vec<String> {
    let more = all.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| format!("{LEFT_OUT} and {more} more"));
    all.take(SHOWN).map(show).chain(rest).collect()
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

/// Why a profile is refused: all of its problems, warnings included.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Problems {
    /// In the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
}

impl Problems {
    /// Problems in the order of their places; what could follow from another is left out if there is another.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        sort(&mut diagnostics);
        Self { diagnostics }
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// All of them with their excerpts, and a line that counts them.
    pub fn render(&self, colour: bool) -> String {
        // Errors first where not all are shown.
        let mut ordered: Vec<&Diagnostic> = self.diagnostics.iter().collect();
        if ordered.len() > SHOWN {
            ordered.sort_by_key(|diagnostic| diagnostic.severity);
        }
        let mut text = String::new();
        for shown in first_of(ordered.into_iter(), |diagnostic| diagnostic.render(colour)) {
            text.push_str(&shown);
            text.push_str("\n\n");
        }
        let errors = self.errors();
        let warnings = self.diagnostics.len() - errors;
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        text.push_str(&count(errors, "error"));
        if warnings > 0 {
            text.push_str(", ");
            text.push_str(&count(warnings, "warning"));
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Sorts by file and place, each file's own before those of the next.
pub(crate) fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| d.place.as_ref().map(|p| (p.file.path.clone(), p.range.start));
        key(a).cmp(&key(b))
    });
}

/// Takes the secrets out of messages and hints.
pub(crate) fn redact(diagnostics: &mut [Diagnostic], secrets: &Secrets) {
    for Diagnostic { place, message, help, .. } in diagnostics {
        *message = redacted(place.as_ref(), message, secrets);
        if let Some(help) = help {
            *help = redacted(place.as_ref(), help, secrets);
        }
    }
}

/// A message about a place, without secrets. Where the place itself holds one the message may repeat it.
pub(super) fn redacted(place: Option<&Place>, message: &str, secrets: &Secrets) -> String {
    let is_secret =
        place.is_some_and(|place| place.file.shown().get(place.range.clone()) != place.file.text.get(place.range.clone()));
    if is_secret { secrets.redact_about(message) } else { secrets.redact_own(message) }.into_owned()
}
