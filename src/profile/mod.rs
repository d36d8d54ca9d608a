//! The traffic profile as YAML, and its diagnostics.
//!
//! A file goes through these steps: YAML to a tree of nodes with their places (`yaml`, `tree`), values of the environment put
//! into its scalars (`substitute`), included files laid beneath it (`include`), the written types read from it (`read`,
//! [`written`]). Every problem is kept with its place, and all are reported at once. Nothing here knows what a name stands for:
//! that is the plan's.

mod diagnostic;
mod include;
mod masks;
pub(crate) mod read;
mod schema;
mod secrets;
mod substitute;
mod tree;
pub mod values;
pub mod written;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::base::Secrets;
use crate::base::written::Node;

pub use diagnostic::{Diagnostic, Problems, Severity, first_of};
pub use read::Damage;
pub use schema::schema;
pub use substitute::Env;
pub use tree::{Place, SourceFile, Tree};

/// A profile as it was written, with the places of all its parts.
pub struct Profile {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub written: written::Profile,
    /// Where it says so.
    pub tree: Tree,
    /// The environment it was loaded with.
    pub env: Env,
    /// The variables that its `${…}` name, whether they are set or not.
    pub variables: BTreeSet<String>,
    /// What must never be shown.
    pub secrets: Secrets,
    /// What of it could not be read.
    pub damage: Damage,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What could be read of a profile, and all that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// The profile without what could not be read; nothing if too little is left.
    pub profile: Option<Profile>,
    /// All problems, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether the profile is refused.
    pub fn failed(&self) -> bool {
        self.profile.is_none() || self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Reads a profile with all its problems. `sets` go over the environment.
pub fn read(path: &Path, env: &Env, sets: &[(String, String)]) -> Loaded {
    read_text(path, None, env, sets)
}

/// The same with the file's content given, for instance one that is part of the program.
pub fn read_text(path: &Path, text: Option<String>, env: &Env, sets: &[(String, String)]) -> Loaded {
    let env = env.clone().with(sets);
    let mut loader = include::Loader::new(&env);
    let top = loader.file(path, text, None);
    let include::Loader { mut tree, mut diagnostics, secrets, names, variables, lost, .. } = loader;
    let secrets = Secrets::new(secrets).beside(names);
    let mut damage = Damage::new(lost);
    let written = top.and_then(|top| read::read::<written::Profile>(&mut tree, top, &mut diagnostics, &mut damage));
    diagnostic::sort(&mut diagnostics);
    diagnostic::redact(&mut diagnostics, &secrets);
    let profile = written.map(|written| Profile { path: path.to_owned(), written, tree, env, variables, secrets, damage });
    Loaded { profile, diagnostics }
}

/// Reads a profile.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn load(path: &Path, env: &Env, sets: &[(String, String)]) -> Result<(Profile, Vec<Diagnostic>), Problems> {
    let loaded = read(path, env, sets);
    match loaded.profile {
        Some(profile) if !loaded.diagnostics.iter().any(|d| d.severity == Severity::Error) => Ok((profile, loaded.diagnostics)),
        _ => Err(Problems::new(loaded.diagnostics)),
    }
}

impl Profile {
    /// What is said of the node, without secrets.
    pub fn redacted(&self, at: Node, message: &str) -> String {
        diagnostic::redacted(self.tree.place(at).as_ref(), message, &self.secrets)
    }

    /// Whether the environment is in the node, a text.
    pub fn is_of_environment(&self, at: Node) -> bool {
        self.tree.scalar(at).is_some_and(|scalar| scalar.original.is_some())
    }

    /// A problem of the node.
    pub fn error(&self, at: Node, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.tree.place(at), self.redacted(at, &message.into()))
    }

    /// Something about the node that is probably not meant.
    pub fn warning(&self, at: Node, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(self.tree.place(at), self.redacted(at, &message.into()))
    }

    /// The same for two loads of the same files, unless the text of this one or of one that it includes has changed.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in &self.tree.files {
            (&file.path, &file.text).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// A file that the node names, relative to the file that the node stands in.
    pub fn file(&self, at: Node, name: &str) -> PathBuf {
        let place = self.tree.place(at);
        let folder = place.as_ref().and_then(|place| place.file.path.parent()).unwrap_or(Path::new(""));
        folder.join(name)
    }
}
