//! A profile's file with the files that it includes, as one tree: read, substituted, laid over one another.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::diagnostic::Diagnostic;
use super::substitute::{Env, substitute, variables};
use super::tree::{NodeKind, Place, SourceFile, Tree};
use super::{masks, secrets, yaml};
use crate::base::files::plain;
use crate::base::written::Node;

/// What an included file may hold.
const PARTS: [&str; 9] = ["defaults", "vars", "data", "metrics", "setup", "scenarios", "verify", "teardown", "observe"];
/// The largest file that is read, in bytes.
const MAX_SIZE: u64 = 4 << 20;
/// How many files a profile may be made of.
const MAX_FILES: usize = 64;

/// Collects what a profile is made of.
pub(super) struct Loader<'a> {
    pub tree: Tree,
    pub env: &'a Env,
    pub diagnostics: Vec<Diagnostic>,
    /// Values that must not be shown.
    pub secrets: Vec<String>,
    /// Names that the profile gives to anything, its keys among them.
    pub names: Vec<String>,
    /// The variables that are named in `${…}`.
    pub variables: BTreeSet<String>,
    /// Whether a file that is included could not be read.
    pub lost: bool,
    /// The files that are being read, outermost first.
    open: Vec<PathBuf>,
}

impl<'a> Loader<'a> {
    pub fn new(env: &'a Env) -> Self {
        Self {
            tree: Tree::new(),
            env,
            diagnostics: Vec::new(),
            secrets: env.secrets().collect(),
            names: Vec::new(),
            variables: BTreeSet::new(),
            lost: false,
            open: Vec::new(),
        }
    }

    /// Reads a file and what it includes. `text`: its content, where it isn't to be read from the disk.
    pub fn file(&mut self, path: &Path, text: Option<String>, included_at: Option<Place>) -> Option<Node> {
        let text = match text.map_or_else(|| self.content(path, included_at.is_some()), Ok) {
            Ok(text) => text,
            Err(message) => {
                self.diagnostics.push(Diagnostic::error(included_at, message));
                return None;
            }
        };
        let index = self.tree.files.len();
        let source = SourceFile { path: path.to_owned(), text, shown: OnceLock::new() };
        self.tree.files.push(Arc::new(source));
        let top = yaml::read(&mut self.tree, index, &mut self.diagnostics);
        let Some(top) = top else {
            let empty =
                self.tree.files[index].text.lines().all(|line| line.trim_start().starts_with('#') || line.trim().is_empty());
            if empty {
                let place = Place { file: Arc::clone(&self.tree.files[index]), range: 0..0 };
                self.diagnostics.push(Diagnostic::error(
                    Some(place),
                    "this file is empty; a profile has at least a name, scenarios and phases",
                ));
            }
            return None;
        };
        self.substitute(top);
        self.mark_secrets(index, top);
        self.include(top, path);
        Some(top)
    }

    /// The text of a file. Only the profile itself may come through a pipe: what it includes is a file, which can't hang or never end.
    fn content(&self, path: &Path, included: bool) -> Result<String, String> {
        let shown = path.display();
        let failed = |error: &std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{shown}: there is no such file"),
            std::io::ErrorKind::PermissionDenied => format!("{shown}: this file must not be read by us"),
            std::io::ErrorKind::InvalidData => format!("{shown}: this file is not UTF-8 text"),
            _ => format!("{shown}: this file can't be read: {error}"),
        };
        let metadata = std::fs::metadata(path).map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(format!("{shown}: this is a directory; name the profile's file"));
        }
        if included && !metadata.is_file() {
            return Err(format!("{shown}: this is no file that can be included, but a pipe or a device"));
        }
        let too_large = || format!("{shown}: this file is larger than {} MiB; put rows of data into a CSV file", MAX_SIZE >> 20);
        if metadata.len() > MAX_SIZE {
            return Err(too_large());
        }
        let mut text = String::new();
        let file = if metadata.is_file() { plain(path) } else { std::fs::File::open(path) }.map_err(|error| failed(&error))?;
        // A pipe or a device has no length, and may have no end.
        file.take(MAX_SIZE + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
        if text.len() as u64 > MAX_SIZE {
            return Err(too_large());
        }
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    /// Substitutes in every scalar that is a value.
    fn substitute(&mut self, node: Node) {
        for node in self.tree.below(node) {
            let Some(scalar) = self.tree.scalar(node) else { continue };
            self.variables.extend(variables(&scalar.text).map(str::to_owned));
            match substitute(&scalar.text, self.env) {
                Ok(None) => {}
                Ok(Some(out)) => {
                    self.secrets.extend(out.secrets.into_iter().filter(|secret| secret.len() >= 8));
                    if let NodeKind::Scalar(scalar) = &mut self.tree.entry_mut(node).kind {
                        scalar.text = out.text;
                        scalar.original = Some(out.original);
                        scalar.plain = true;
                        scalar.secret |= out.secret;
                    }
                }
                Err(mistake) => {
                    let place = self.tree.part(node, mistake.range);
                    self.diagnostics.push(Diagnostic::error(place, mistake.message));
                    self.tree.remove(node);
                }
            }
        }
    }

    /// Finds what must not be shown of this file.
    fn mark_secrets(&mut self, file: usize, top: Node) {
        let found = secrets::mark(&mut self.tree, file, top);
        self.secrets.extend(found.secrets);
        self.names.extend(found.names);
        let source = &self.tree.files[file];
        let shown = masks::by_range(&source.text, &found.ranges);
        // Nobody has asked for it yet: whoever did would have got the version by looks, which hides more.
        let _ = source.shown.set(shown);
    }

    /// Lays the files under `include` beneath this one.
    fn include(&mut self, top: Node, path: &Path) {
        let Some(list) = self.tree.get(top, "include") else { return };
        let names = match &self.tree.entry(list).kind {
            NodeKind::List(items) => items.clone(),
            _ => vec![list],
        };
        self.open.push(canonical(path));
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        // The last one named lies highest of them, this file above all.
        for name in names.into_iter().rev() {
            let Some(scalar) = self.tree.scalar(name) else { continue };
            let file = folder.join(&scalar.text);
            let place = self.tree.place(name);
            if self.open.contains(&canonical(&file)) {
                self.diagnostics.push(Diagnostic::error(place, "this file includes itself"));
                continue;
            }
            if self.tree.files.len() >= MAX_FILES {
                self.diagnostics.push(Diagnostic::error(place, format!("a profile is made of {MAX_FILES} files at most")));
                continue;
            }
            match self.file(&file, None, place) {
                Some(below) => {
                    self.only_parts(below);
                    self.lay(top, below);
                }
                None => self.lost = true,
            }
        }
        self.open.pop();
    }

    /// An included file has parts of a profile, and nothing of what makes it one.
    fn only_parts(&mut self, top: Node) {
        let NodeKind::Map { entries, .. } = &self.tree.entry(top).kind else { return };
        for (key, _) in entries.clone() {
            let text = self.tree.key(key);
            let part = PARTS.contains(&text) || matches!(text, "slos" | "include") || text.starts_with("x-");
            if !part {
                let message = format!("`{text}` can't stand in an included file; it may have {} and slos", PARTS.join(", "));
                self.diagnostics.push(Diagnostic::error(self.tree.place(key), message));
            }
        }
    }

    /// Lays `below` beneath `top`, part by part.
    fn lay(&mut self, top: Node, below: Node) {
        for part in PARTS {
            // Defaults go down to the single key; of the others an entry is one thing.
            let depth = match part {
                "defaults" => usize::MAX,
                "setup" | "verify" | "teardown" => 0,
                _ => 1,
            };
            self.lay_part(top, below, part, depth);
        }
        let (Some(above), Some(beneath)) = (self.tree.get(top, "slos"), self.tree.get(below, "slos")) else {
            return self.lay_part(top, below, "slos", 0);
        };
        let (NodeKind::List(above_items), NodeKind::List(items)) = (&self.tree.entry(above).kind, &self.tree.entry(beneath).kind)
        else {
            return;
        };
        let name = |slo: &Node| self.tree.get(*slo, "name").map(|name| self.tree.key(name).to_owned());
        let mut all: Vec<Node> =
            items.iter().filter(|slo| !above_items.iter().any(|other| name(other) == name(slo))).copied().collect();
        all.extend(above_items);
        self.tree.entry_mut(above).kind = NodeKind::List(all);
    }

    fn lay_part(&mut self, top: Node, below: Node, part: &str, depth: usize) {
        let NodeKind::Map { entries, .. } = &self.tree.entry(below).kind else { return };
        let Some((key, value)) = entries.iter().find(|(key, _)| self.tree.key(*key) == part).copied() else { return };
        match self.tree.get(top, part) {
            Some(above) if depth > 0 => {
                let NodeKind::Map { entries, .. } = &self.tree.entry(value).kind else { return };
                let keys: Vec<String> = entries.iter().map(|(key, _)| self.tree.key(*key).to_owned()).collect();
                for key in keys {
                    self.lay_part(above, value, &key, depth - 1);
                }
            }
            Some(_) => {}
            None => {
                if let NodeKind::Map { entries, .. } = &mut self.tree.entry_mut(top).kind {
                    entries.push((key, value));
                }
            }
        }
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
