//! What expressions read of the environment, and whether it is there.

use std::collections::BTreeSet;
use std::ops::Range;

use super::error::CompileError;
use crate::base::names;

/// What expressions read of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvRead {
    /// The variables that they name: `env.KEY`, `env["KEY"]`.
    pub names: BTreeSet<String>,
    /// Whether one reads a variable that isn't known before it is evaluated: `env[name]`.
    pub any: bool,
}

/// The environment as one text reads it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Variables that are there wherever the branch at hand is evaluated: `env.KEY is defined` holds before it.
    there: Vec<String>,
    /// Where a variable stands that may be missing: `env.KEY | default('x')`, `env.KEY is defined`.
    optional: Vec<Range<usize>>,
    /// What it reads elsewhere, and where.
    read: Vec<(String, Range<usize>)>,
}

impl Reading {
    /// A branch begins in which these are there. Gives what [`Self::leave`] wants.
    pub fn enter(&mut self, there: Vec<String>) -> usize {
        let before = self.there.len();
        self.there.extend(there);
        before
    }

    /// It ends.
    pub fn leave(&mut self, before: usize) {
        self.there.truncate(before);
    }

    pub fn reads(&mut self, name: &str, at: Range<usize>) {
        if !self.optional.contains(&at) && !self.there.iter().any(|there| there == name) {
            self.read.push((name.to_owned(), at));
        }
    }

    /// What is read there later may be missing.
    pub fn is_optional(&mut self, at: Range<usize>) {
        self.optional.push(at);
    }

    /// That all that has to be there is set, as far as it is known what is.
    ///
    /// # Errors
    /// The first that isn't.
    pub fn check(self, set: Option<&BTreeSet<String>>) -> Result<(), CompileError> {
        let Some(set) = set else { return Ok(()) };
        match self.read.into_iter().find(|(name, _)| !set.contains(name)) {
            Some((name, at)) => Err(CompileError::new(names::unset(&name, set.iter().map(String::as_str)), at)),
            None => Ok(()),
        }
    }
}
