//! From nodes to the written types: a serde deserializer that reports every problem instead of the first.
//!
//! serde gives up a value at its first mistake. So a pass that fails takes the smallest node that failed out of the tree,
//! and the next pass goes on without it, until one succeeds; what is only missing because it was taken out is not told.
//! Unknown and missing keys are told for a whole mapping at once: the known ones are in the JSON Schema of the same type.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::de::{self, DeserializeOwned};

use super::diagnostic::Diagnostic;
use super::tree::{Kind, Tree};
use crate::base::names::nearest;
use crate::base::written::Node;

mod reader;

use reader::Reader;

/// Reads a type from the node, takes out of the tree what can't be read, and tells why.
pub(super) fn read<T: DeserializeOwned + JsonSchema>(
    tree: &mut Tree,
    node: Node,
    diagnostics: &mut Vec<Diagnostic>,
    damage: &mut Damage,
) -> Option<T> {
    let notes = Notes::default();
    let result = loop {
        let fault = match T::deserialize(Reader { tree, notes: &notes, node, key: false, void: false }) {
            Ok(value) => break Some(value),
            Err(fault) => fault,
        };
        let at = fault.node.unwrap_or(node);
        if let Some(message) = fault.message {
            notes.report(tree, at, &message);
        }
        if at == node || !tree.remove(at) {
            break None;
        }
    };
    diagnostics.append(&mut notes.diagnostics.into_inner());
    for (map, key) in notes.misspelt.into_inner() {
        if map == node {
            damage.lost.insert(key);
        }
    }
    damage.look(tree, node);
    result
}

/// Which of a profile's parts are not as they were written, since something in them could not be read. What is unknown
/// elsewhere may be so because of it.
#[derive(Debug, Clone, Default)]
pub struct Damage {
    /// Everything may be lost: an included file could not be read.
    all: bool,
    /// Parts that are lost, or have lost entries.
    lost: BTreeSet<String>,
    /// Parts that have lost something at any depth.
    within: BTreeSet<String>,
}

impl Damage {
    /// None yet, but for what an included file may have held.
    pub(super) fn new(all: bool) -> Self {
        Self { all, ..Self::default() }
    }

    fn look(&mut self, tree: &Tree, top: Node) {
        let Kind::Map { entries, removed } = &tree.entry(top).kind else { return };
        self.lost.extend(removed.iter().cloned());
        for (key, value) in entries {
            if tree.damaged.contains(value) {
                self.lost.insert(tree.key(*key).to_owned());
            }
            if tree.below(*value).iter().any(|node| tree.damaged.contains(node)) {
                self.within.insert(tree.key(*key).to_owned());
            }
        }
    }

    /// Whether the part is lost, or has lost entries.
    pub fn lost(&self, part: &str) -> bool {
        self.all || self.lost.contains(part)
    }

    /// Whether the part has lost something at any depth.
    pub fn within(&self, part: &str) -> bool {
        self.lost(part) || self.within.contains(part)
    }
}

/// What has been reported so far.
#[derive(Default)]
struct Notes {
    diagnostics: RefCell<Vec<Diagnostic>>,
    reported: RefCell<BTreeSet<(Node, String)>>,
    /// Mappings with a key that was probably meant to be this one.
    misspelt: RefCell<BTreeSet<(Node, String)>>,
}

impl Notes {
    /// Reports a problem once. What stands after a newline is the hint.
    fn report(&self, tree: &Tree, node: Node, message: &str) {
        if !self.reported.borrow_mut().insert((node, message.to_owned())) {
            return;
        }
        let (message, help) = message.split_once('\n').map_or((message, None), |(message, help)| (message, Some(help)));
        let mut diagnostic = Diagnostic::error(tree.place(node), message);
        diagnostic.help = help.map(str::to_owned);
        self.diagnostics.borrow_mut().push(diagnostic);
    }
}

/// Why a value can't be read.
#[derive(Debug)]
struct Fault {
    /// Nothing if it has been reported, or follows from what has been.
    message: Option<String>,
    node: Option<Node>,
}

impl Fault {
    fn new(node: Node, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), node: Some(node) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("already reported"))
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: Some(message.to_string()), node: None }
    }

    fn missing_field(_: &'static str) -> Self {
        // Told for the whole mapping beforehand.
        Self { message: None, node: None }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(not_among(variant, expected.iter().copied()))
    }
}

/// "`x` is none of …", with the nearest if there is one.
pub(super) fn not_among<'a>(text: &str, expected: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(text, expected.clone()) {
        Some(name) => format!("`{text}` is not known here; did you mean `{name}`?"),
        None => {
            let list: Vec<String> = expected.into_iter().map(|name| format!("`{name}`")).collect();
            format!("`{text}` is not known here; it is one of {}", list.join(", "))
        }
    }
}

/// The keys of a written type, as its schema tells them.
#[derive(Default)]
struct Keys {
    known: Vec<String>,
    required: Vec<String>,
}

/// The keys of all written types by their names.
fn keys_of(name: &str) -> Option<&'static Keys> {
    static KEYS: OnceLock<BTreeMap<String, Keys>> = OnceLock::new();
    let all = KEYS.get_or_init(|| {
        let schema = super::described();
        let names = |value: Option<&serde_json::Value>| -> Vec<String> {
            match value {
                Some(serde_json::Value::Object(map)) => map.keys().cloned().collect(),
                Some(serde_json::Value::Array(list)) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
                _ => Vec::new(),
            }
        };
        let keys =
            |schema: &serde_json::Value| Keys { known: names(schema.get("properties")), required: names(schema.get("required")) };
        let mut all = BTreeMap::new();
        if let Some(serde_json::Value::Object(definitions)) = schema.get("$defs") {
            all.extend(definitions.iter().map(|(name, schema)| (name.clone(), keys(schema))));
        }
        all.insert("Profile".to_owned(), keys(&schema));
        all
    });
    all.get(name)
}

/// A written type as a person calls it.
fn words(name: &str) -> String {
    // Those that stand once, under a key of their own, are called by it.
    if matches!(name, "Prometheus" | "Observe" | "Limits" | "Tls" | "Scale" | "Defaults" | "Expect" | "Connections") {
        return format!("`{}`", name.to_ascii_lowercase());
    }
    let mut words = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    let words = words.replace("slo", "SLO");
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'h', 'S']) { "an" } else { "a" };
    format!("{article} {words}")
}
