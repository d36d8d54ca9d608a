//! Colours, only where a person sees them.

use std::io::IsTerminal;

/// Whether to colour a text, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colours: files, pipes, logs.
    pub const fn plain() -> Self {
        Self { colour: false }
    }

    /// Colours, whatever it is for.
    pub const fn coloured() -> Self {
        Self { colour: true }
    }

    /// Colours if `stream` is a terminal that knows them and nobody asked for none (`NO_COLOR`, <https://no-color.org>).
    pub fn of(stream: &impl IsTerminal) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { colour: stream.is_terminal() && !set("NO_COLOR") && !dumb }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What stands out: headings.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What stands back: units, explanations.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What is as it should be.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What is not.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// What isn't known.
    pub fn unsure(self, text: &str) -> String {
        self.wrap("33", text)
    }
}

/// `text` on one line, without what could steer a terminal: bodies and labels come from outside.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_direction(c) { ' ' } else { c }).collect()
}

/// Characters that change the direction of the text around them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` cut to `limit` characters, with an ellipsis if something is missing.
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_adds_nothing_and_colours_end_where_they_began() {
        assert_eq!(Style::plain().bad("x"), "x");
        assert_eq!(Style::coloured().bad("x"), "\x1b[31mx\x1b[0m");
    }

    #[test]
    fn what_comes_from_outside_steers_no_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{202e}d"), "a [2Jb c d");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
