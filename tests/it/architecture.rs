//! Holds the order of the modules: a module may import modules of the rows above its own, and nothing else.
//!
//! Every `crate::` path under `src/` is looked at, in tests too; comments and strings are not. Beside it: every file says
//! in a module comment what it is, and stays of a size that can be read in one go; and files import each other without circles
//! ([`circles`]).

mod circles;
mod code;
mod graph;

use std::fs;
use std::path::{Path, PathBuf};

use code::code_only;

/// The rows of ARCHITECTURE.md, first to last. Siblings in a row don't import each other.
const ROWS: &[&[&str]] = &[
    &["base"],
    &["load", "measure", "expr", "net", "stats"],
    &["protocol", "counters"],
    &["flow", "verdict", "target"],
    &["profile"],
    &["plan"],
    &["engine"],
    &["record"],
    &["exposition", "output"],
    &["run"],
    &["web"],
    &["daemon"],
    &["cli"],
    &["main"],
];

/// A file above this many lines fails; about 400 is what to aim at.
const LONGEST_FILE: usize = 500;

/// The files that know minijinja's machinery, which any version may change: its syntax tree, and its tokens.
const MACHINERY: [&str; 2] = ["src/expr/lower.rs", "src/expr/size.rs"];

/// A `crate::` path in a file: the first segment, and where it stands.
#[derive(Debug, PartialEq)]
struct Import {
    module: String,
    line: usize,
}

/// A Rust file of `src/` with its module: the directory or file directly under `src/`.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let module = Path::new(inside.components().next().unwrap().as_os_str()).file_stem().unwrap();
                let module = module.to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: Path::new("src").join(inside), module, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every `crate::` path in `text`, groups (`use crate::{a, b::{c, d}}`) taken apart.
fn imports(text: &str) -> Vec<Import> {
    // The binary names the library from outside.
    let code = code_only(text).replace("load_exporter::", "        crate::");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate") {
        let before = code[..at].chars().next_back();
        // `$crate::…` in a macro and `xcrate` are other things; `crate` in `pub(crate)` has no path.
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let Some(path) = code[at + "crate".len()..].trim_start().strip_prefix("::") else { continue };
        let line = code[..at].matches('\n').count() + 1;
        let path = path.trim_start();
        if let Some(group) = path.strip_prefix('{') {
            found.extend(first_segments(group).into_iter().map(|module| Import { module, line }));
        } else {
            found.push(Import { module: identifier(path), line });
        }
    }
    found
}

/// The first segment of each member of a group, whose opening brace is behind us.
fn first_segments(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut members) = (0, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(std::mem::take(&mut member)),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                member.push(c);
            }
        }
    }
    members.push(member);
    members.iter().map(|m| identifier(m.trim_start())).filter(|m| !m.is_empty()).collect()
}

fn identifier(text: &str) -> String {
    let text = text.strip_prefix("r#").unwrap_or(text);
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// What is wrong with `import` in a file of `module`, if anything.
fn objection(module: &str, import: &Import) -> Option<String> {
    if module == import.module {
        return None;
    }
    let (Some(own), Some(other)) = (row(module), row(&import.module)) else {
        return Some(format!("`crate::{}` is not a module of the table", import.module));
    };
    match other.cmp(&own) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(format!("`{module}` and `{}` are siblings and don't import each other", import.module)),
        std::cmp::Ordering::Greater => Some(format!("`{module}` stands above `{}` and may not import it", import.module)),
    }
}

#[test]
fn imports_go_one_way() {
    let sources = sources();
    assert!(sources.len() > ROWS.len(), "the sources were not found");
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|s| s.module != "lib") {
        if row(&source.module).is_none() {
            wrong.push(format!("{}: module `{}` has no row", source.path.display(), source.module));
        }
        for import in imports(&source.text) {
            if let Some(objection) = objection(&source.module, &import) {
                wrong.push(format!("{}:{}: {objection}", source.path.display(), import.line));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the order of the modules:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_table_exists() {
    let sources = sources();
    let absent: Vec<_> = ROWS.iter().copied().flatten().filter(|m| !sources.iter().any(|s| s.module == **m)).collect();
    assert!(absent.is_empty(), "in the table and not under src/: {absent:?}");
}

#[test]
fn every_file_says_what_it_is_and_can_be_read_in_one_go() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            wrong.push(format!("{}: begins without a module comment (`//!`)", source.path.display()));
        }
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{}: {lines} lines; split it by subject, 400 are enough", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn few_files_know_the_machinery_of_minijinja() {
    let mut knowing = sources();
    knowing.retain(|source| code_only(&source.text).contains("minijinja::machinery"));
    let knowing: Vec<_> = knowing.iter().map(|source| source.path.to_str().unwrap()).collect();
    assert_eq!(knowing, MACHINERY);
}

#[test]
fn paths_are_found_where_they_are_and_nowhere_else() {
    let text = r####"//! See `crate::cli`.
use crate::{base::{names, units}, load,
    measure as m, self};
/* crate::daemon /* crate::daemon */ */
/// [`crate::plan`]
fn f<'a>(x: &'a str) -> char { crate::expr::g("crate::cli", r#"" crate::cli"#, '"', '\'', 'é') }
pub(crate) use crate :: net::dial;
macro_rules! m { () => { $crate::flow::x() } }
fn main() { load_exporter::cli::main() }
"####;
    let found: Vec<_> = imports(text).into_iter().map(|i| (i.module, i.line)).collect();
    let expected = [("base", 2), ("load", 2), ("measure", 2), ("self", 2), ("expr", 6), ("net", 7), ("flow", 8), ("cli", 9)];
    assert_eq!(found, expected.map(|(module, line)| (module.to_owned(), line)));
}

#[test]
fn rows_above_may_be_imported_and_others_not() {
    let check = |module: &str, other: &str| objection(module, &Import { module: other.into(), line: 1 });
    assert_eq!(check("flow", "base"), None);
    assert_eq!(check("flow", "flow"), None);
    assert!(check("flow", "verdict").unwrap().contains("siblings"));
    assert!(check("load", "plan").unwrap().contains("stands above"));
    assert!(check("load", "util").unwrap().contains("not a module"));
}
