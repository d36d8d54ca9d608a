//! The tree of a profile's nodes, each with its place in a file: what YAML, substitution and inclusion make, and what the
//! written types are read from.
//!
//! A node keeps where it stands for as long as the profile lives, so that any later stage can point at it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::base::written::Node;

/// A file of the profile.
pub struct SourceFile {
    /// The path as it was given.
    pub path: PathBuf,
    /// Its text; never shown as it is, since it may hold secrets.
    pub(super) text: String,
    /// Its text as it may be shown: the same length, with secrets as `*`.
    pub(super) shown: OnceLock<String>,
}

impl std::fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceFile({})", self.path.display())
    }
}

impl SourceFile {
    /// The text with its secrets blanked, byte for byte as long as the file.
    pub fn shown(&self) -> &str {
        self.shown.get_or_init(|| super::masks::by_line(&self.text))
    }
}

/// A range of bytes in a file.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The bytes.
    pub range: Range<usize>,
}

impl Place {
    /// Line and column, from 1; the column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.file.text.get(..self.range.start).unwrap_or(&self.file.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// A scalar.
#[derive(Clone, Default)]
pub(super) struct ScalarNode {
    /// Its value after substitution.
    pub text: String,
    /// Its value before substitution, where that differs.
    pub original: Option<Substituted>,
    /// Written without quotes, or holding a substitution: its type follows from its text.
    pub plain: bool,
    /// It is, or holds, a secret.
    pub secret: bool,
}

/// How a scalar's text came from what was written.
#[derive(Clone, Default)]
pub(super) struct Substituted {
    /// The text as written.
    pub text: String,
    /// The text for a template: what came from the environment can't open an expression.
    pub template: String,
    /// `(start in template, start in text as written, length)` of what was taken over as it stands.
    pub kept: Vec<(usize, usize, usize)>,
}

/// What a node is.
#[derive(Clone)]
pub(super) enum NodeKind {
    Scalar(ScalarNode),
    List(Vec<Node>),
    Map {
        entries: Vec<(Node, Node)>,
        removed: Vec<String>,
        /// What isn't taken, since its key stands there already or is no text. It may hold secrets all the same.
        dropped: Vec<(Node, Node)>,
    },
}

impl NodeKind {
    /// A mapping without a key.
    pub(super) fn map() -> Self {
        NodeKind::Map { entries: Vec::new(), removed: Vec::new(), dropped: Vec::new() }
    }
}

#[derive(Clone)]
pub(super) struct Entry {
    pub file: usize,
    pub range: Range<usize>,
    pub kind: NodeKind,
    pub flow: bool,
}

/// All nodes of a profile. Node 0 is the document.
pub struct Tree {
    pub(super) files: Vec<Arc<SourceFile>>,
    pub(super) nodes: Vec<Entry>,
    /// Lists and mappings from which something was taken out.
    pub(super) damaged: BTreeSet<Node>,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tree({} files, {} nodes)", self.files.len(), self.nodes.len())
    }
}

impl Tree {
    /// A tree without a node but the document, which is an empty mapping until it is read.
    pub(super) fn new() -> Self {
        let root = Entry { file: 0, range: 0..0, kind: NodeKind::map(), flow: false };
        Self { files: Vec::new(), nodes: vec![root], damaged: BTreeSet::new() }
    }

    pub(super) fn add(&mut self, entry: Entry) -> Node {
        self.nodes.push(entry);
        Node(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn entry(&self, node: Node) -> &Entry {
        // A node is only ever made by `add`; one of another tree falls back to the document.
        self.nodes.get(node.0 as usize).unwrap_or(&self.nodes[0])
    }

    pub(super) fn entry_mut(&mut self, node: Node) -> &mut Entry {
        let index = (node.0 as usize).min(self.nodes.len() - 1);
        &mut self.nodes[index]
    }

    pub(super) fn scalar(&self, node: Node) -> Option<&ScalarNode> {
        match &self.entry(node).kind {
            NodeKind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a key.
    pub(super) fn key(&self, node: Node) -> &str {
        self.scalar(node).map_or("", |scalar| scalar.text.as_str())
    }

    /// All values under this key, wherever it stands.
    pub fn under(&self, key: &str) -> Vec<Node> {
        let nodes = (0..).map(Node).take(self.nodes.len());
        nodes.filter_map(|node| self.get(node, key)).collect()
    }

    /// The value under a key of a mapping.
    pub fn get(&self, map: Node, key: &str) -> Option<Node> {
        match &self.entry(map).kind {
            NodeKind::Map { entries, .. } => entries.iter().find(|(name, _)| self.key(*name) == key).map(|(_, value)| *value),
            _ => None,
        }
    }

    /// Takes the node out of all that holds it (merge keys share nodes); `false` if nothing does. A mapping remembers the key.
    pub(super) fn remove(&mut self, node: Node) -> bool {
        let mut found = false;
        for index in 0..self.nodes.len() {
            let at = match &self.nodes[index].kind {
                NodeKind::List(items) => items.iter().position(|item| *item == node),
                NodeKind::Map { entries, .. } => entries.iter().position(|(key, value)| *key == node || *value == node),
                NodeKind::Scalar(_) => None,
            };
            let Some(at) = at else { continue };
            found = true;
            self.damaged.insert(Node(index as u32));
            let key = match &self.nodes[index].kind {
                NodeKind::Map { entries, .. } => self.key(entries[at].0).to_owned(),
                _ => String::new(),
            };
            match &mut self.nodes[index].kind {
                NodeKind::List(items) => {
                    items.remove(at);
                }
                NodeKind::Map { entries, removed, .. } => {
                    entries.remove(at);
                    removed.push(key);
                }
                NodeKind::Scalar(_) => {}
            }
        }
        found
    }

    /// All nodes from this one down that are values, not keys, those that aren't taken included; each once, in the order in which they were
    /// made.
    pub(super) fn below(&self, node: Node) -> BTreeSet<Node> {
        let mut found = BTreeSet::new();
        let mut rest = vec![node];
        while let Some(node) = rest.pop() {
            if !found.insert(node) {
                continue;
            }
            match &self.entry(node).kind {
                NodeKind::List(items) => rest.extend(items),
                NodeKind::Map { entries, dropped, .. } => rest.extend(entries.iter().chain(dropped).map(|(_, value)| *value)),
                NodeKind::Scalar(_) => {}
            }
        }
        found
    }

    /// Whether a text stands anywhere in the profile's files.
    pub fn mentions(&self, text: &str) -> bool {
        self.files.iter().any(|file| file.text.contains(text))
    }

    /// Whether a name stands in the node's text, or below it, other than followed by a dot and one of `attributes`. What is `apart` isn't
    /// looked at.
    pub fn names_beyond(&self, node: Node, apart: &[Node], name: &str, attributes: &[&str]) -> bool {
        if apart.contains(&node) {
            return false;
        }
        let below = |node: Node| self.names_beyond(node, apart, name, attributes);
        match &self.entry(node).kind {
            NodeKind::Scalar(scalar) => stands_beyond(&scalar.text, name, attributes),
            NodeKind::List(items) => items.iter().any(|item| below(*item)),
            NodeKind::Map { entries, .. } => entries.iter().any(|(key, value)| below(*key) || below(*value)),
        }
    }

    /// Where a node stands.
    pub fn place(&self, node: Node) -> Option<Place> {
        let entry = self.entry(node);
        let file = self.files.get(entry.file)?;
        Some(Place { file: Arc::clone(file), range: entry.range.clone() })
    }

    /// Where a part of a scalar stands: `part` are bytes of the text that a template or an expression was compiled from.
    /// Where that isn't known (a value from the environment) it is the whole scalar.
    pub fn part(&self, node: Node, part: Range<usize>) -> Option<Place> {
        let place = self.place(node)?;
        let exact = self.scalar(node).and_then(|scalar| {
            let (written, start, end) = match &scalar.original {
                None => (scalar.text.as_str(), part.start, part.end),
                Some(original) => {
                    let (start, end) = (original.written(part.start)?, original.written(part.end.max(1) - 1)? + 1);
                    (original.text.as_str(), start, end)
                }
            };
            align(written, place.file.text.get(place.range.clone())?, start..end)
        });
        Some(match exact {
            Some(range) => {
                Place { file: Arc::clone(&place.file), range: place.range.start + range.start..place.range.start + range.end }
            }
            None => place,
        })
    }
}

impl Substituted {
    /// Where an offset of the template stands in the text as written.
    fn written(&self, offset: usize) -> Option<usize> {
        self.kept
            .iter()
            .find(|(start, _, length)| (*start..*start + *length).contains(&offset))
            .map(|(start, written, _)| written + (offset - start))
    }
}

/// Finds in `source` (a scalar with its quotes, escapes, folds and indentation) the bytes that gave `range` of `text`.
fn align(text: &str, source: &str, range: Range<usize>) -> Option<Range<usize>> {
    let quote = source.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut at = match source.chars().next()? {
        '"' | '\'' => 1,
        '|' | '>' => source.find('\n')? + 1,
        _ => 0,
    };
    let (mut start, mut end) = (None, None);
    for (offset, wanted) in text.char_indices() {
        // What stands in the source and not in the text: indentation, folded lines.
        loop {
            // A text's last line breaks may have no counterpart: the source was cut behind what can be seen.
            let Some(found) = source[at..].chars().next() else { return found_range(source, start, end.or(Some(at))) };
            if found == wanted || (quote == Some('"') && found == '\\') || (wanted == ' ' && found == '\n') {
                break;
            }
            if !found.is_whitespace() {
                return None;
            }
            at += found.len_utf8();
        }
        if offset == range.start {
            start = Some(at);
        }
        if offset < range.end {
            end = Some(at);
        }
        let found = source[at..].chars().next()?;
        at += found.len_utf8();
        match (quote, found) {
            (Some('"'), '\\') => {
                let escaped = source[at..].chars().next()?;
                at += escaped.len_utf8();
                at += match escaped {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
            }
            (Some('\''), '\'') => at += 1,
            _ => {}
        }
        if offset < range.end {
            end = Some(at);
        }
    }
    if range.start >= text.len() {
        start = Some(at);
        end = Some((at + 1).min(source.len()));
    }
    found_range(source, start, end)
}

fn found_range(source: &str, start: Option<usize>, end: Option<usize>) -> Option<Range<usize>> {
    let (start, end) = (start?, end?);
    (source.is_char_boundary(start) && source.is_char_boundary(end)).then_some(start..end.max(start))
}

/// Whether a name stands in a text other than followed by a dot and one of `attributes`.
fn stands_beyond(text: &str, name: &str, attributes: &[&str]) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let rest = &text[at + name.len()..];
        if text[..at].ends_with(word) || rest.starts_with(word) {
            return false;
        }
        let attribute = rest.strip_prefix('.').map(|rest| &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())]);
        !attribute.is_some_and(|attribute| attributes.contains(&attribute))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'a>(text: &str, source: &'a str, wanted: &str) -> Option<&'a str> {
        let start = text.find(wanted).unwrap();
        align(text, source, start..start + wanted.len()).map(|range| &source[range])
    }

    #[test]
    fn parts_are_found_through_quotes_escapes_and_folds() {
        assert_eq!(part("a + b", "a + b", "b"), Some("b"));
        assert_eq!(part("a + b", "'a + b'", "+ b"), Some("+ b"));
        assert_eq!(part("it's here", "'it''s here'", "here"), Some("here"));
        assert_eq!(part("say \"x\" now", r#""say \"x\" now""#, "now"), Some("now"));
        assert_eq!(part("ä\tb", r#""\u00e4\tb""#, "b"), Some("b"));
        assert_eq!(part("one two", "one\n    two", "two"), Some("two"));
        assert_eq!(part("{\"id\": 1}\nx", "|\n    {\"id\": 1}\n    x\n", "x"), Some("x"));
        assert_eq!(part("first\nsecond {{ x }}\n", "first\n    second {{ x }}", "x"), Some("x"));
        assert_eq!(part("abc", "xyz", "b"), None);
    }
}
