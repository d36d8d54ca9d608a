//! What is wrong with a profile: the message, the place, the excerpt with its caret, and what would be right.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use super::tree::Place;
use crate::base::Secrets;

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
                format!("{}:{line}:{column}: {}", place.file.path.display(), self.message)
            }
            None => self.message.clone(),
        }
    }

    /// The message with its excerpt and caret, over several lines, without a newline at the end.
    pub fn render(&self, colour: bool) -> String {
        let severity = match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        };
        let mut report = MietteDiagnostic::new(self.message.clone()).with_severity(severity);
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
                let label = LabeledSpan::new_primary_with_span(None, (start, line.max(usize::from(start < shown.len()))));
                let (line, column) = place.line_column();
                let excerpt = Excerpt { name: place.file.path.display().to_string(), text: shown.to_owned(), line, column };
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

/// One line of a file, as miette asks for it: it would show only the part that is marked.
struct Excerpt {
    name: String,
    text: String,
    line: usize,
    column: usize,
}

impl SourceCode for Excerpt {
    fn read_span<'a>(&'a self, span: &SourceSpan, _: usize, _: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let before = self.text.get(..span.offset()).ok_or(MietteError::OutOfBounds)?;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[start..].lines().next().unwrap_or("");
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            line.as_bytes(),
            (start, line.len()).into(),
            self.line - 1,
            self.column - 1,
            1,
        )))
    }
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
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text.push_str(&diagnostic.render(colour));
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
        *message = told(place.as_ref(), message, secrets);
        if let Some(help) = help {
            *help = told(place.as_ref(), help, secrets);
        }
    }
}

/// A message about a place, without secrets. Where the place itself holds one the message may repeat it.
pub(super) fn told(place: Option<&Place>, message: &str, secrets: &Secrets) -> String {
    let is_secret =
        place.is_some_and(|place| place.file.shown().get(place.range.clone()) != place.file.text.get(place.range.clone()));
    if is_secret { secrets.redact(message) } else { secrets.redact_own(message) }.into_owned()
}
