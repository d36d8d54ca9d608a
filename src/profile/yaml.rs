//! YAML 1.2, strictly, into nodes: no tag, no second document, no key twice; anchors, aliases and merge keys within bounds.
//!
//! The parser is the one inside `serde_yaml`, at the level of its events: serde's own way would stop at the first problem.

use std::collections::HashMap;
use std::ops::Range;

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use super::diagnostic::Diagnostic;
use super::tree::{Entry, NodeKind, Place, ScalarNode, Tree};
use crate::base::written::Node;

/// How many nodes a profile may have once its aliases are written out; a billion laughs end here.
const MAX_NODES: usize = 400_000;
/// How deep a profile may nest.
const MAX_DEPTH: usize = 64;

/// Reads the file with this index, which the tree already has, and answers with its top node.
pub(super) fn read(tree: &mut Tree, file: usize, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let text = tree.files.get(file)?.text.clone();
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder { tree, file, text: &text, diagnostics, anchors: HashMap::new(), open: Vec::new(), top: None };
    for event in Parser::new_from_str_with_options(&text, options) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                builder.syntax(&error);
                return None;
            }
        };
        if !builder.event(event, &span) {
            return None;
        }
    }
    builder.top
}

/// A list or a mapping whose end hasn't come.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<Node>,
}

struct Builder<'a> {
    tree: &'a mut Tree,
    file: usize,
    text: &'a str,
    diagnostics: &'a mut Vec<Diagnostic>,
    anchors: HashMap<usize, Node>,
    open: Vec<Open>,
    top: Option<Node>,
}

impl Builder<'_> {
    fn range(&self, span: &Span) -> Range<usize> {
        let start = span.start.byte_offset().unwrap_or(0).min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(start).clamp(start, self.text.len());
        let trimmed = self.text.get(start..end).map_or(0, |part| part.trim_end().len());
        start..start + trimmed
    }

    fn place(&self, range: Range<usize>) -> Option<Place> {
        Some(Place { file: self.tree.files.get(self.file)?.clone(), range })
    }

    fn error(&mut self, range: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        let diagnostic = Diagnostic::error(self.place(range), message);
        self.diagnostics.push(diagnostic);
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
        let line_start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let flow = error.info().contains("flow") && line.contains(['{', '[']);
        let control = line.chars().find(|c| c.is_control() && !c.is_whitespace());
        let message = format!("this is not YAML: {}", error.info());
        let diagnostic = self.error(at..at + 1, message);
        if let Some(control) = control {
            let code = u32::from(control);
            let help =
                format!("take this control character out, or write \"\\u{code:04x}\" in double quotes, where a value wants it");
            diagnostic.help = Some(help);
        } else if line.contains(['{', '[']) && line.contains("${") {
            diagnostic.help = Some("`${…}` wants quotes in flow style: {duration: \"${DURATION}\"}".into());
        } else if line.contains(['{', '[']) && line.contains("{{") {
            diagnostic.help = Some("`{{ … }}` wants quotes: {id: \"{{ id }}\"}".into());
        } else if flow {
            diagnostic.help = Some(QUOTES.into());
        } else if line.contains('\t') {
            diagnostic.help = Some("YAML indents with spaces, never with tabs".into());
        }
    }

    /// Takes one event; `false` ends the reading.
    fn event(&mut self, event: Event<'_>, span: &Span) -> bool {
        let range = self.range(span);
        match event {
            Event::DocumentStart(..) if self.top.is_some() => {
                self.error(range, "a profile is one document; take out this `---` and what follows it");
                return false;
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.no_tag(tag.as_deref(), &range);
                let scalar = ScalarNode { text: value.into_owned(), plain: style == ScalarStyle::Plain, ..ScalarNode::default() };
                let node = self.add(NodeKind::Scalar(scalar), range, false);
                self.anchor(anchor, node);
                return self.put(node);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.no_tag(tag.as_deref(), &range);
                let node = self.add(NodeKind::List(Vec::new()), range, style == StructureStyle::Flow);
                return self.start(node, anchor);
            }
            Event::MappingStart(style, anchor, tag) => {
                self.no_tag(tag.as_deref(), &range);
                let node = self.add(NodeKind::map(), range, style == StructureStyle::Flow);
                return self.start(node, anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.finish(open.node, &range);
                    self.anchor(open.anchor, open.node);
                    return self.put(open.node);
                }
            }
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id).copied() else {
                    self.error(range, "an alias can't stand inside what it names");
                    return false;
                };
                let Some(node) = self.copy(target, self.open.len()) else {
                    self.error(range, format!(
                            "the aliases of this profile make it too large: it has at most {MAX_NODES} keys and values, {MAX_DEPTH} levels deep"
                        ));
                    return false;
                };
                return self.put(node);
            }
            _ => {}
        }
        true
    }

    fn no_tag(&mut self, tag: Option<&Tag>, range: &Range<usize>) {
        if tag.is_some() {
            self.error(range.clone(), "a profile has no tags; take out what starts with `!`");
        }
    }

    fn add(&mut self, kind: NodeKind, range: Range<usize>, flow: bool) -> Node {
        self.tree.add(Entry { file: self.file, range, kind, flow })
    }

    fn anchor(&mut self, id: usize, node: Node) {
        if id != 0 {
            self.anchors.insert(id, node);
        }
    }

    fn start(&mut self, node: Node, anchor: usize) -> bool {
        if self.open.len() >= MAX_DEPTH {
            let range = self.tree.entry(node).range.clone();
            self.error(range, format!("a profile nests {MAX_DEPTH} levels at most"));
            return false;
        }
        self.open.push(Open { node, anchor, key: None });
        true
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node) -> bool {
        if self.tree.nodes.len() > MAX_NODES {
            let range = self.tree.entry(node).range.clone();
            self.error(
                range,
                format!(
                    "a profile has at most {MAX_NODES} keys and values, those of its included files among them, and this one has more; \
                     leave some out, or put rows into a file of `data`"
                ),
            );
            return false;
        }
        let Some(open) = self.open.last_mut() else {
            self.top = Some(node);
            return true;
        };
        match &mut self.tree.entry_mut(open.node).kind {
            NodeKind::List(items) => items.push(node),
            NodeKind::Map { entries, .. } => match open.key.take() {
                None => open.key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            NodeKind::Scalar(_) => {}
        }
        true
    }

    /// Looks through a mapping that is complete: keys that are no texts, keys that stand twice, merge keys.
    fn finish(&mut self, node: Node, end: &Range<usize>) {
        let entry = self.tree.entry_mut(node);
        if entry.flow {
            entry.range.end = end.end.max(entry.range.end);
        }
        let NodeKind::Map { entries, .. } = &mut entry.kind else { return };
        let entries = std::mem::take(entries);
        let mut seen: HashMap<String, Range<usize>> = HashMap::new();
        let mut kept: Vec<(Node, Node)> = Vec::new();
        let mut dropped = Vec::new();
        let mut merged = Vec::new();
        for (key, value) in entries {
            let range = self.tree.entry(key).range.clone();
            let Some(scalar) = self.tree.scalar(key) else {
                let diagnostic = self.error(range, "a key is a text here, not a list or a mapping");
                diagnostic.help = Some("a value that starts with `{{` wants quotes: \"{{ … }}\"".into());
                dropped.extend([(key, key), (key, value)]);
                continue;
            };
            if scalar.plain && scalar.text == "<<" {
                merged.push(value);
                continue;
            }
            let text = scalar.text.clone();
            if let Some(first) = seen.get(&text) {
                let line = self.text[..first.start].matches('\n').count() + 1;
                self.error(range, format!("the key `{text}` stands twice; its first is in line {line}"));
                dropped.push((key, value));
                continue;
            }
            seen.insert(text, range);
            kept.push((key, value));
        }
        for value in merged {
            let sources = match &self.tree.entry(value).kind {
                NodeKind::List(items) => items.clone(),
                _ => vec![value],
            };
            for source in sources {
                let range = self.tree.entry(source).range.clone();
                let NodeKind::Map { entries, dropped: inner, .. } = &self.tree.entry(source).kind else {
                    self.error(range, "`<<` merges a mapping or a list of mappings");
                    dropped.push((source, source));
                    continue;
                };
                let (entries, inner) = (entries.clone(), inner.clone());
                dropped.extend(inner);
                for (key, value) in entries {
                    let text = self.tree.key(key).to_owned();
                    match seen.entry(text) {
                        std::collections::hash_map::Entry::Vacant(e) => {
                            e.insert(range.clone());
                            kept.push((key, value));
                        }
                        std::collections::hash_map::Entry::Occupied(_) => dropped.push((key, value)),
                    }
                }
            }
        }
        if let NodeKind::Map { entries, dropped: others, .. } = &mut self.tree.entry_mut(node).kind {
            (*entries, *others) = (kept, dropped);
        }
    }

    /// A copy of a node with all below it; nothing if that would be too large, or too deep.
    fn copy(&mut self, node: Node, depth: usize) -> Option<Node> {
        if self.tree.nodes.len() > MAX_NODES || depth > MAX_DEPTH {
            return None;
        }
        let mut entry = self.tree.entry(node).clone();
        match &mut entry.kind {
            NodeKind::Scalar(_) => {}
            NodeKind::List(items) => {
                for item in items {
                    *item = self.copy(*item, depth + 1)?;
                }
            }
            NodeKind::Map { entries, dropped, .. } => {
                for (key, value) in entries.iter_mut().chain(dropped) {
                    (*key, *value) = (self.copy(*key, depth + 1)?, self.copy(*value, depth + 1)?);
                }
            }
        }
        Some(self.tree.add(entry))
    }
}

/// The hint where flow style has cut an expression in pieces.
pub(super) const QUOTES: &str =
    "an expression with commas, brackets or colons wants quotes in flow style: {n: \"random_int(1, 5)\"}";
