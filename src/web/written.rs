//! The web config file as written: YAML read into texts, lists and mappings, and its keys by what they may hold.
//!
//! What stands in the file may be a key or a password under any name. So every message about it is a [`Wrong`], and repeats what is written
//! by [`shown`] only.

use std::collections::HashMap;

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span};

/// Texts of so many characters are not repeated: a line of a key has as many.
const LONG: usize = 64;
/// What stands in a message for a text that may be a secret.
pub(super) const HIDDEN: &str = "`…` (not shown, for it may be a secret)";
/// How deep the file may nest.
const MAX_DEPTH: usize = 16;
/// How many texts, lists and mappings it may hold once its aliases are written out.
const MAX_NODES: usize = 20_000;

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(String);

/// What is wrong with the value of a key.
pub(super) fn wrong(key: &str, message: impl std::fmt::Display) -> Wrong {
    Wrong(format!("`{key}`: {message}"))
}

/// How a text of the file is repeated in a message: not at all where it may be a secret, as a key, a part of one or a hash; and of what
/// stands behind a `:` nothing, for a password may.
pub(super) fn shown(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    // `$2y$…`, `$apr1$…`, `$5$…`, `{SHA}…`, `{SSHA}…`, wherever they stand.
    let hash = text.contains('$') || text.contains("SHA}");
    if hash || text.chars().nth(LONG - 1).is_some() || text.contains(breaks) || text.contains("-----") {
        return HIDDEN.to_owned();
    }
    match text.split_once(':') {
        Some((before, _)) => format!("`{before}:…`"),
        None => format!("`{text}`"),
    }
}

/// What stands at one place.
#[derive(Clone)]
pub(super) enum Written {
    Text {
        text: String,
        /// Whether it has no quotes.
        plain: bool,
        line: usize,
    },
    List(Vec<Written>),
    Map(Vec<(String, Written)>),
}

impl Written {
    /// Reads a file; none if it holds nothing.
    ///
    /// # Errors
    /// It is no YAML, or more of it than a file of this kind can want.
    pub fn read(text: &str) -> Result<Option<Self>, Wrong> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let mut reader = Reader { events: Parser::new_from_str_with_options(text, options), anchors: HashMap::new(), nodes: 0 };
        let mut top = None;
        while let Some((event, span)) = reader.next()? {
            match event {
                Event::DocumentStart(..) if top.is_some() => {
                    return Err(at(&span, "a second document begins; there is one only"));
                }
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => top = Some(reader.written(event, &span, 0)?),
            }
        }
        Ok(top.filter(|top| !top.is_null()))
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Text { text, plain: true, .. } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, for messages.
    fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } if self.is_null() => "nothing",
            Self::Text { .. } => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    fn text(self, key: &str) -> Result<String, Wrong> {
        match self {
            Self::Text { ref text, .. } if !self.is_null() => Ok(text.clone()),
            other => Err(other.is_not(key, "a text")),
        }
    }

    fn map(self, key: &str) -> Result<Vec<(String, Self)>, Wrong> {
        match self {
            Self::Map(entries) => Ok(entries),
            other => Err(other.is_not(key, "a mapping")),
        }
    }

    fn is_not(&self, key: &str, wanted: &str) -> Wrong {
        if self.is_null() {
            wrong(key, format!("has no value; write {wanted}, or leave it out"))
        } else {
            wrong(key, format!("wants {wanted}, and holds {}", self.kind()))
        }
    }
}

fn at(span: &Span, message: impl std::fmt::Display) -> Wrong {
    Wrong(format!("line {}: {message}", span.start.line()))
}

struct Reader<I> {
    events: I,
    anchors: HashMap<usize, Written>,
    nodes: usize,
}

impl<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Reader<I> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Wrong> {
        // The library's words about the form hold none of the file's.
        let no_yaml = |error: ScanError| Wrong(format!("line {}: this is not YAML: {}", error.marker().line(), error.info()));
        self.events.next().transpose().map_err(no_yaml)
    }

    /// The next one within a list or a mapping; none at its end.
    fn inner(&mut self, depth: usize) -> Result<Option<(Written, Span)>, Wrong> {
        match self.next()? {
            None | Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some((event, span)) => Ok(Some((self.written(event, &span, depth)?, span))),
        }
    }

    fn written(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Written, Wrong> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(at(span, format!("there is too much; it may hold {MAX_NODES} texts, and nest {MAX_DEPTH} levels")));
        }
        if let Event::Scalar(.., Some(_)) | Event::SequenceStart(.., Some(_)) | Event::MappingStart(.., Some(_)) = event {
            return Err(at(span, "there are no tags here; take out what starts with `!`"));
        }
        let (written, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let (plain, line) = (style == ScalarStyle::Plain, span.start.line());
                (Written::Text { text: text.into_owned(), plain, line }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                while let Some((item, _)) = self.inner(depth + 1)? {
                    items.push(item);
                }
                (Written::List(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => (Written::Map(self.entries(depth + 1)?), anchor),
            Event::Alias(id) => {
                let Some(named) = self.anchors.get(&id).cloned() else {
                    return Err(at(span, "an alias can't stand inside what it names"));
                };
                self.nodes += size(&named);
                (named, 0)
            }
            _ => return Err(at(span, "this is not YAML")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, written.clone());
        }
        Ok(written)
    }

    /// The entries of a mapping. Those that it merges (`<<`) come after its own, which win.
    fn entries(&mut self, depth: usize) -> Result<Vec<(String, Written)>, Wrong> {
        let mut entries: Vec<(String, Written)> = Vec::new();
        let mut merged = Vec::new();
        while let Some((key, span)) = self.inner(depth)? {
            let value = self.inner(depth)?.ok_or_else(|| at(&span, "this is not YAML"))?.0;
            match key {
                Written::Text { text, plain: true, .. } if text == "<<" => match value {
                    Written::List(all) => merged.extend(all),
                    one => merged.push(one),
                },
                Written::Text { text, .. } if entries.iter().any(|(key, _)| *key == text) => {
                    return Err(at(&span, format!("the key {} stands twice", shown(&text))));
                }
                Written::Text { text, .. } => entries.push((text, value)),
                other => return Err(at(&span, format!("a key is a text, and this is {}", other.kind()))),
            }
        }
        for from in merged {
            for (key, value) in from.map("<<")? {
                if !entries.iter().any(|(own, _)| *own == key) {
                    entries.push((key, value));
                }
            }
        }
        Ok(entries)
    }
}

/// How many it holds, with itself.
fn size(written: &Written) -> usize {
    match written {
        Written::Text { .. } => 1,
        Written::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Written::Map(entries) => 1 + entries.iter().map(|(_, value)| 1 + size(value)).sum::<usize>(),
    }
}

/// A mapping whose keys are known. Each is taken once; what is taken twice is gone.
pub(super) struct Section(Vec<(String, Written)>);

impl Section {
    /// The whole file.
    ///
    /// # Errors
    /// It is no mapping, or has another key.
    pub fn whole(written: Written, keys: &[&str]) -> Result<Self, Wrong> {
        let kind = written.kind();
        let Written::Map(entries) = written else { return Err(Wrong(format!("it wants a mapping, and holds {kind}"))) };
        match unknown(&entries, keys) {
            None => Ok(Self(entries)),
            Some(message) => Err(Wrong(message)),
        }
    }

    /// The mapping under a key.
    ///
    /// # Errors
    /// It is no mapping, or has another key.
    pub fn section(&mut self, key: &str, keys: &[&str]) -> Result<Option<Self>, Wrong> {
        let Some(entries) = self.take(key).map(|written| written.map(key)).transpose()? else { return Ok(None) };
        match unknown(&entries, keys) {
            None => Ok(Some(Self(entries))),
            Some(message) => Err(wrong(key, message)),
        }
    }

    fn take(&mut self, key: &str) -> Option<Written> {
        let at = self.0.iter().position(|(own, _)| own == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The text under a key.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, Wrong> {
        self.take(key).map(|written| written.text(key)).transpose()
    }

    /// The texts under a key.
    ///
    /// # Errors
    /// It is no list of texts.
    pub fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Wrong> {
        match self.take(key) {
            None => Ok(None),
            Some(Written::List(items)) => items.into_iter().map(|item| item.text(key)).collect::<Result<_, _>>().map(Some),
            Some(other) => Err(other.is_not(key, "a list of texts")),
        }
    }

    /// The names under a key, each with its text and the line of that; none without the key.
    ///
    /// # Errors
    /// It is no mapping from texts to texts.
    pub fn named(&mut self, key: &str) -> Result<Vec<(String, String, usize)>, Wrong> {
        let Some(written) = self.take(key) else { return Ok(Vec::new()) };
        let entry = |(name, written): (String, Written)| match written {
            Written::Text { ref text, line, .. } if !written.is_null() => Ok((name, text.clone(), line)),
            Written::Text { line, .. } => Err(wrong(
                key,
                format!("line {line}: {} wants a text, and holds nothing; a blank belongs behind its `:`", shown(&name)),
            )),
            other => Err(wrong(key, format!("{} wants a text, and holds {}", shown(&name), other.kind()))),
        };
        written.map(key)?.into_iter().map(entry).collect()
    }

    /// What the text under a key stands for; a text without a name is one of them that isn't said.
    ///
    /// # Errors
    /// It is none of these.
    pub fn choice<T: Copy>(&mut self, key: &str, all: &[(&str, T)]) -> Result<Option<T>, Wrong> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if let Some((_, meant)) = all.iter().find(|(name, _)| *name == text) {
            return Ok(Some(*meant));
        }
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        Err(wrong(key, format!("{} isn't known; it may be {}", shown(&text), names.join(", "))))
    }

    /// Whether something is so, as YAML of all times says it.
    ///
    /// # Errors
    /// It is a text in quotes, or says neither.
    pub fn flag(&mut self, key: &str) -> Result<Option<bool>, Wrong> {
        match self.take(key) {
            None => Ok(None),
            Some(Written::Text { text, plain: true, .. }) if is_one_of(&text, ["true", "yes", "on", "y"]) => Ok(Some(true)),
            Some(Written::Text { text, plain: true, .. }) if is_one_of(&text, ["false", "no", "off", "n"]) => Ok(Some(false)),
            Some(other) => Err(other.is_not(key, "`true` or `false`, without quotes")),
        }
    }
}

fn is_one_of(text: &str, words: [&str; 4]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// What is wrong with the keys of a mapping that may have these only.
fn unknown(entries: &[(String, Written)], keys: &[&str]) -> Option<String> {
    let (key, _) = entries.iter().find(|(key, _)| !keys.contains(&key.as_str()))?;
    Some(format!("there is no key {}; there are {}", shown(key), keys.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Written::read(text).err().unwrap_or_else(|| panic!("{text} can be read")).to_string()
    }

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        assert_eq!(shown("prometheus"), "`prometheus`");
        assert_eq!(shown(&"a".repeat(63)), format!("`{}`", "a".repeat(63)));
        let long = "ü".repeat(64);
        for secret in [
            "a\nb",
            "a\u{2028}b",
            "-----BEGIN KEY-----",
            "$2y$10$abc",
            "x$2y$10$abc",
            "x $2y$10$abc",
            "me:$2b$10$abc",
            "$5$abc",
            "$6$abc",
            "$apr1$abc",
            "{SHA}abc=",
            "me:{SSHA}abc=",
            "a\u{85}b",
            &long,
        ] {
            assert_eq!(shown(secret), "`…` (not shown, for it may be a secret)", "{secret}");
        }
        assert_eq!(shown("prometheus:hunter2secret"), "`prometheus:…`");
    }

    #[test]
    fn what_is_no_yaml_of_ours_is_said_by_its_line() {
        for (text, words) in [
            ("a: b\na: c\n", "line 2: the key `a` stands twice"),
            ("a: {b: [}\n", "line 1: this is not YAML"),
            ("a: !!str b\n", "line 1: there are no tags"),
            ("a: b\n---\nc: d\n", "line 2: a second document"),
            ("[a]: b\n", "line 1: a key is a text, and this is a list"),
            ("a: &x [*x]\n", "line 1: an alias can't stand inside"),
            (&format!("a: {}\n", "[".repeat(40)), "line 1: "),
            (&format!("a: {}{}\n", "[".repeat(40), "]".repeat(40)), "nest 16 levels"),
            (
                "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
              d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
                "there is too much",
            ),
        ] {
            assert!(error(text).contains(words), "{text}: {}", error(text));
        }
        for nothing in ["", " \n\t\n", "# only\n", "---\n", "null\n", "\u{feff}"] {
            assert!(Written::read(nothing).unwrap().is_none(), "{nothing:?}");
        }
    }

    #[test]
    fn values_are_what_their_key_wants() {
        let section = |text: &str| Section::whole(Written::read(text).unwrap().unwrap(), &["a", "b", "c"]).unwrap();
        assert_eq!(
            section("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n").named("b").unwrap(),
            [("x", "3", 2), ("y", "2", 1)].map(|(n, t, line)| (n.into(), t.into(), line))
        );
        assert_eq!(section("a: 1.10\n").text("a").unwrap().unwrap(), "1.10");
        assert_eq!(
            ["true", "Yes", "off"].map(|flag| section(&format!("a: {flag}\n")).flag("a").unwrap().unwrap()),
            [true, true, false]
        );
        assert_eq!(section("a: [x, 'null']\n").texts("a").unwrap().unwrap(), ["x", "null"]);
        for (text, wanted, held) in [
            ("a: 'yes'\n", "wants `true` or `false`, without quotes, and holds a text", ""),
            ("a: 1\n", "wants `true` or `false`", ""),
            ("a:\n", "has no value; write `true` or `false`", ""),
        ] {
            let error = section(text).flag("a").unwrap_err().to_string();
            assert!(error.starts_with("`a`: ") && error.contains(wanted) && error.contains(held), "{text}: {error}");
        }
        let message = |result: Result<(), Wrong>| result.unwrap_err().to_string();
        assert_eq!(message(section("a: [x]\n").text("a").map(drop)), "`a`: wants a text, and holds a list");
        assert_eq!(message(section("a: x\n").texts("a").map(drop)), "`a`: wants a list of texts, and holds a text");
        assert_eq!(message(section("a: []\n").named("a").map(drop)), "`a`: wants a mapping, and holds a list");
        assert_eq!(
            message(section("a: {x: }\n").named("a").map(drop)),
            "`a`: line 1: `x` wants a text, and holds nothing; a blank belongs behind its `:`"
        );
        assert_eq!(
            message(section("a: {d: 1}\n").section("a", &["b", "c"]).map(drop)),
            "`a`: there is no key `d`; there are b, c"
        );
    }
}
