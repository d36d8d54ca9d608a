//! Why a value can't be read, and what has been reported of it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de;

use crate::base::names::nearest;
use crate::base::written::Node;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::tree::Tree;

/// What has been reported so far.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) diagnostics: RefCell<Vec<Diagnostic>>,
    reported: RefCell<BTreeSet<(Node, String)>>,
    /// Mappings with a key that was probably meant to be this one.
    pub(super) misspelt: RefCell<BTreeSet<(Node, String)>>,
}

impl Notes {
    /// Reports a problem once. What stands after a newline is the hint.
    pub(super) fn report(&self, tree: &Tree, node: Node, message: &str) {
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
pub(super) struct Fault {
    /// Nothing if it has been reported, or follows from what has been.
    pub(super) message: Option<String>,
    pub(super) node: Option<Node>,
}

impl Fault {
    pub(super) fn new(node: Node, message: impl Into<String>) -> Self {
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
        // Reported for the whole mapping beforehand.
        Self { message: None, node: None }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(not_among(variant, expected.iter().copied()))
    }
}

/// "`x` is none of …", with the nearest if there is one.
fn not_among<'a>(text: &str, expected: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(text, expected.clone()) {
        Some(name) => format!("`{text}` is not known here; did you mean `{name}`?"),
        None => {
            let list: Vec<String> = expected.into_iter().map(|name| format!("`{name}`")).collect();
            format!("`{text}` is not known here; it is one of {}", list.join(", "))
        }
    }
}
