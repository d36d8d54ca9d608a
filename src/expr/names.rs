//! What an expression may refer to, as far as it is known when the profile is loaded, and the numbers that names become.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::base::secrets::Naming;

/// The number of a variable's name; one [`super::Compiler`] gives every name one number. Its highest bits say whether the name is
/// that of a secret, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Symbol(pub(super) u32);

/// Gives numbers to names. The first ones are those that the program itself fills.
#[derive(Debug)]
pub(super) struct Symbols {
    numbers: HashMap<String, Symbol>,
}

/// The names that the program itself fills, in the order of their symbols.
const BUILT_IN: [&str; 8] = ["response", "message", "user", "iteration", "index", "phase", "shard", "env"];

/// The bit of a symbol whose name is that of a secret.
const SECRET: u32 = 1 << 31;
/// The bit of a symbol whose name is that of several secrets.
const SECRETS: u32 = 1 << 30;

impl Symbol {
    /// What the name says of the value.
    pub(super) fn naming(self) -> Naming {
        match (self.0 & SECRET != 0, self.0 & SECRETS != 0) {
            (true, _) => Naming::Secret,
            (false, true) => Naming::Secrets,
            (false, false) => Naming::Open,
        }
    }

    pub(super) const RESPONSE: Symbol = Symbol(0);
    pub(super) const MESSAGE: Symbol = Symbol(1);
    pub(super) const USER: Symbol = Symbol(2);
    pub(super) const ITERATION: Symbol = Symbol(3);
    pub(super) const INDEX: Symbol = Symbol(4);
    pub(super) const PHASE: Symbol = Symbol(5);
    pub(super) const SHARD: Symbol = Symbol(6);
    pub(super) const ENV: Symbol = Symbol(7);
}

impl Symbols {
    pub(super) fn new() -> Self {
        let numbers = BUILT_IN.iter().zip(0..).map(|(name, i)| ((*name).to_owned(), Symbol(i))).collect();
        Self { numbers }
    }

    pub(super) fn get(&mut self, name: &str) -> Symbol {
        if let Some(symbol) = self.numbers.get(name) {
            return *symbol;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX) & !(SECRET | SECRETS);
        let symbol = match Naming::of(name) {
            Naming::Open => Symbol(number),
            Naming::Secret => Symbol(number | SECRET),
            Naming::Secrets => Symbol(number | SECRETS),
        };
        self.numbers.insert(name.to_owned(), symbol);
        symbol
    }
}

/// Whether `name` is one that the program itself fills and a profile therefore can't set.
pub fn is_reserved(name: &str) -> bool {
    BUILT_IN.contains(&name) || matches!(name, "true" | "false" | "none" | "loop")
}

/// The names that are known where an expression stands. Any other is an error when the profile is loaded.
///
/// `response`, `user`, `iteration`, `phase`, `shard` and `env` are known everywhere.
#[derive(Debug, Clone)]
pub struct Names {
    /// Name to its attributes, where those are a closed set.
    variables: BTreeMap<String, Option<BTreeSet<String>>>,
    /// The metrics and the steps whose totals are known.
    totals: Option<[BTreeSet<String>; 2]>,
    /// Why there are no totals where there could be some.
    no_totals: Option<&'static str>,
}

/// The attributes of `response`.
pub(super) const RESPONSE: [&str; 14] = [
    "status",
    "ok",
    "headers",
    "body",
    "json",
    "duration",
    "service",
    "wait",
    "processing",
    "bytes",
    "body_bytes",
    "sent_bytes",
    "sha256",
    "error",
];
/// Those of them that are read from its body, which has to be kept for that.
const OF_BODY: [&str; 2] = ["body", "json"];
/// The attributes of `message`.
pub(super) const MESSAGE: [&str; 5] = ["text", "json", "bytes", "event", "args"];

/// The attributes of `response` that are known of an answer whose body wasn't kept.
pub fn bodiless() -> Vec<&'static str> {
    RESPONSE.into_iter().filter(|name| !OF_BODY.contains(name)).collect()
}

fn set(names: &[&str]) -> Option<BTreeSet<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    /// What is known everywhere.
    pub fn new() -> Self {
        let mut names = Self { variables: BTreeMap::new(), totals: None, no_totals: None };
        for name in ["user", "iteration", "phase", "shard", "env"] {
            names.variable(name);
        }
        names.variables.insert("response".into(), set(&RESPONSE));
        names
    }

    /// Adds a variable that may hold anything, set or not.
    pub fn variable(&mut self, name: &str) {
        self.variables.insert(name.to_owned(), None);
    }

    /// Adds a data source's row; its columns, where they are known.
    pub fn row(&mut self, name: &str, columns: Option<BTreeSet<String>>) {
        self.variables.insert(name.to_owned(), columns);
    }

    /// Adds `index`, inside of `repeat`.
    #[must_use]
    pub fn with_index(mut self) -> Self {
        self.variable("index");
        self
    }

    /// Adds `message`, inside of a session.
    #[must_use]
    pub fn with_message(mut self) -> Self {
        self.variables.insert("message".into(), set(&MESSAGE));
        self
    }

    /// Allows `metric(name)` of these metrics and `lost(step)` of these steps: in `verify`, `teardown` and an SLO's `value`.
    #[must_use]
    pub fn with_totals(mut self, metrics: impl IntoIterator<Item = String>, steps: impl IntoIterator<Item = String>) -> Self {
        self.totals = Some([metrics.into_iter().collect(), steps.into_iter().collect()]);
        self
    }

    /// Says why they can't be had, where they otherwise could; the sentence begins with the function.
    #[must_use]
    pub fn without_totals(mut self, why: &'static str) -> Self {
        self.no_totals = Some(why);
        self
    }

    /// Whether `name` is known here.
    pub fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    pub(super) fn attributes(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.variables.get(name)?.as_ref()
    }

    /// The metrics and the steps whose totals are known, or why none are.
    pub(super) fn totals(&self) -> Result<&[BTreeSet<String>; 2], &'static str> {
        const ELSEWHERE: &str = "is a total of the run, known in `verify`, `teardown` and an SLO's `value` only";
        match (&self.totals, self.no_totals) {
            (_, Some(why)) => Err(why),
            (Some(totals), None) => Ok(totals),
            (None, None) => Err(ELSEWHERE),
        }
    }
}
