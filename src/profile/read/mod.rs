//! From nodes to the written types: a serde deserializer that reports every problem instead of the first.
//!
//! serde gives up a value at its first mistake. So a pass that fails takes the smallest node that failed out of the tree,
//! and the next pass goes on without it, until one succeeds; what is only missing because it was taken out is not reported.
//! Unknown and missing keys are reported for a whole mapping at once: the known ones are in the JSON Schema of the same type.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::diagnostic::Diagnostic;
use super::tree::{NodeKind, Tree};
use crate::base::written::Node;

mod fault;
mod keys;
mod reader;

use fault::Notes;
use reader::Reader;

/// Reads a type from the node, takes out of the tree what can't be read, and reports why.
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
        let NodeKind::Map { entries, removed, .. } = &tree.entry(top).kind else { return };
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
