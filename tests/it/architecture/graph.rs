//! Which file names what of which other file: `use` and paths in code, followed to the file that defines the item.
//!
//! Names are resolved as the compiler does it: modules from `lib.rs` down, `crate`, `self`, `super`, names that a `use`
//! brings, re-exports. What only tests see is left out. A name that a macro defines counts for the file of its module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::code::code_only;

/// Files of `src/`, and for each which others it names.
pub(super) struct Graph {
    pub(super) edges: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<Named>>>,
}

/// An item that a file names of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) function: bool,
}

/// A module: its items, what it brings in, and every path that its code names.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Items with whether they are functions.
    items: BTreeMap<String, bool>,
    children: BTreeSet<String>,
    uses: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    paths: Vec<Vec<String>>,
}

/// All modules by their path from `crate`.
type Modules = BTreeMap<Vec<String>, Module>;

impl Graph {
    /// The graph of the crate whose `lib.rs` lies in `root`.
    pub(super) fn of(root: &Path) -> Self {
        let mut modules = Modules::new();
        read(&mut modules, root, Vec::new(), Path::new("lib.rs"));
        Self::between(&modules)
    }

    fn between(modules: &Modules) -> Self {
        let mut edges: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<Named>>> = BTreeMap::new();
        for (at, module) in modules {
            let from = edges.entry(module.file.clone()).or_default();
            // All that a module has, `*`, is of the file that it stands in.
            let globs = module.globs.iter().map(|glob| glob.iter().cloned().chain(["*".to_owned()]).collect());
            let globs: Vec<Vec<String>> = globs.collect();
            for path in module.paths.iter().chain(module.uses.values()).chain(&globs) {
                if let Some((to, named)) = resolve(modules, at, path, &mut BTreeSet::new())
                    && to != module.file
                {
                    from.entry(to).or_default().insert(named);
                }
            }
        }
        Self { edges }
    }
}

/// Reads the module in `file` and those that it declares.
fn read(modules: &mut Modules, root: &Path, at: Vec<String>, file: &Path) {
    let text = fs::read_to_string(root.join(file)).unwrap();
    // Children of `x.rs` lie in `x/`, those of `mod.rs` and `lib.rs` beside it.
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let directory = if matches!(stem, "mod" | "lib") { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    let tokens = tokens(&code_only(&text));
    let mut declared = Vec::new();
    parse(modules, &mut declared, &at, file, &tokens);
    for name in declared {
        let mut path = at.clone();
        path.push(name.clone());
        let flat = directory.join(format!("{name}.rs"));
        let nested = directory.join(&name).join("mod.rs");
        let file = if root.join(&flat).exists() { flat } else { nested };
        read(modules, root, path, &file);
    }
}

/// Identifiers, `::`, and other characters one by one.
fn tokens(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = match word {
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            _ => word,
        };
        found.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads what stands in one module's `tokens`; `declared` are its modules that lie in files of their own.
fn parse(modules: &mut Modules, declared: &mut Vec<String>, at: &[String], file: &Path, tokens: &[String]) {
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let (mut depth, mut i) = (0, 0);
    while i < tokens.len() {
        match token(i) {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            "#" => {
                let end = behind_group(tokens, if token(i + 1) == "!" { i + 2 } else { i + 1 });
                let only_in_tests = tokens[i..end].join("") == "#[cfg(test)]";
                i = if only_in_tests { behind_item(tokens, end) } else { end };
                continue;
            }
            "use" => {
                let end = (i..tokens.len()).find(|&j| token(j) == ";").unwrap();
                brought(&mut module, &[], &tokens[i + 1..end]);
                i = end;
            }
            "mod" if depth == 0 && token(i + 2) == ";" => {
                module.children.insert(token(i + 1).to_owned());
                declared.push(token(i + 1).to_owned());
            }
            "mod" if depth == 0 && token(i + 2) == "{" => {
                module.children.insert(token(i + 1).to_owned());
                let end = behind_group(tokens, i + 2);
                let inner: Vec<String> = at.iter().cloned().chain([token(i + 1).to_owned()]).collect();
                parse(modules, &mut Vec::new(), &inner, file, &tokens[i + 3..end - 1]);
                i = end;
                continue;
            }
            word @ ("struct" | "enum" | "trait" | "type" | "const" | "static" | "fn" | "union")
                if depth == 0 && is_name(token(i + 1)) && token(i + 1) != "fn" =>
            {
                module.items.insert(token(i + 1).to_owned(), word == "fn");
                i += 1;
            }
            word if is_name(word) && token(i + 1) == "::" && !(i > 0 && matches!(token(i - 1), "::" | "$" | "'")) => {
                let mut path = vec![word.to_owned()];
                while token(i + 1) == "::" && is_name(token(i + 2)) {
                    path.push(token(i + 2).to_owned());
                    i += 2;
                }
                module.paths.push(path);
            }
            _ => {}
        }
        i += 1;
    }
    modules.insert(at.to_owned(), module);
}

/// Behind the bracket that closes the one at `at`.
fn behind_group(tokens: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// Behind the item, or the statement, that begins at `at`.
fn behind_item(tokens: &[String], at: usize) -> usize {
    let mut i = at;
    let has_no_body = matches!(tokens[at].as_str(), "use" | "const" | "static" | "type" | "let");
    while i < tokens.len() {
        match tokens[i].as_str() {
            ";" => return i + 1,
            "}" | ")" | "]" => return i,
            "{" if !has_no_body => return behind_group(tokens, i),
            "{" | "(" | "[" => i = behind_group(tokens, i),
            _ => i += 1,
        }
    }
    i
}

/// Notes what a `use` of `tree` behind `prefix` brings in.
fn brought(module: &mut Module, prefix: &[String], tree: &[String]) {
    let mut path = prefix.to_vec();
    let mut i = 0;
    while i < tree.len() {
        match tree[i].as_str() {
            "::" => {}
            "*" => return module.globs.push(path),
            "{" => {
                let inside = &tree[i + 1..behind_group(tree, i) - 1];
                let mut start = 0;
                while start < inside.len() {
                    let mut end = start;
                    while end < inside.len() && inside[end] != "," {
                        end = if inside[end] == "{" { behind_group(inside, end) } else { end + 1 };
                    }
                    brought(module, &path, &inside[start..end]);
                    start = end + 1;
                }
                return;
            }
            "as" => {
                module.uses.insert(tree[i + 1].clone(), path);
                return;
            }
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        i += 1;
    }
    if let Some(name) = path.last() {
        module.uses.insert(name.clone(), path);
    }
}

/// The file that defines what `path` means in the module `at`; none if it is a module, or isn't of this crate.
fn resolve(
    modules: &Modules,
    at: &[String],
    path: &[String],
    seen: &mut BTreeSet<(Vec<String>, Vec<String>)>,
) -> Option<(PathBuf, Named)> {
    if !seen.insert((at.to_vec(), path.to_vec())) {
        return None;
    }
    let mut here = at.to_vec();
    let mut rest = path;
    let mut from_here = false;
    while let Some(first) = rest.first() {
        match first.as_str() {
            "crate" => here.clear(),
            "super" => drop(here.pop()),
            "self" => {}
            _ => break,
        }
        from_here = true;
        rest = &rest[1..];
    }
    while let Some(name) = rest.first() {
        let module = &modules[&here];
        // A module and an item may have one name: the last part of a path means the item, where there is one.
        let is_item = rest.len() == 1 || !module.children.contains(name);
        if let Some(&function) = module.items.get(name).filter(|_| is_item) {
            return Some((module.file.clone(), Named { name: name.clone(), function }));
        }
        let brought = module.uses.get(name).filter(|to| to.as_slice() != path || here != at);
        if let Some(to) = brought.filter(|_| is_item) {
            let whole: Vec<String> = to.iter().chain(&rest[1..]).cloned().collect();
            return resolve(modules, &here, &whole, seen);
        }
        if !module.children.contains(name) {
            let by_glob = module.globs.iter().find_map(|glob| {
                let whole: Vec<String> = glob.iter().chain(rest).cloned().collect();
                resolve(modules, &here, &whole, seen)
            });
            let by_macro = || Some((module.file.clone(), Named { name: name.clone(), function: false }));
            return by_glob.or_else(|| if from_here { by_macro() } else { None });
        }
        here.push(name.clone());
        from_here = true;
        rest = &rest[1..];
    }
    None
}
