//! Holds the order of the modules: a module may import modules of the rows above its own, and nothing else.
//!
//! Every `crate::` path under `src/` is looked at, in tests too; comments and strings are not. Beside it: every file says
//! in a module comment what it is, and stays of a size that can be read in one go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

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
    &["service"],
    &["daemon"],
    &["cli"],
    &["main"],
];

/// A file above this many lines fails; about 400 is what to aim at.
const LONGEST_FILE: usize = 500;

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

/// `text` with comments, strings and characters blanked; lines stay where they are.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let blank = |out: &mut Vec<u8>, part: &[u8]| out.extend(part.iter().map(|&b| if b == b'\n' { b'\n' } else { b' ' }));
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest, i.checked_sub(1).map(|before| bytes[before])) {
            length
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' {
            character(rest)
        } else {
            0
        };
        if length == 0 {
            out.push(rest[0]);
            i += 1;
        } else {
            blank(&mut out, &rest[..length]);
            i += length;
        }
    }
    String::from_utf8(out).unwrap()
}

/// The length of the block comment that `rest` begins with; they nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        if rest[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if rest[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    rest.len()
}

/// The length of the raw string (`r"…"`, `br#"…"#`) that `rest` begins with, if it does.
fn raw_string(rest: &[u8], before: Option<u8>) -> Option<usize> {
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let start = if rest.starts_with(b"br") { 2 } else { usize::from(rest.starts_with(b"r")) };
    if start == 0 {
        return None;
    }
    let hashes = rest[start..].iter().take_while(|&&b| b == b'#').count();
    if rest.get(start + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = start + hashes + 1;
    let found = rest[body..].windows(end.len()).position(|w| w == end);
    Some(found.map_or(rest.len(), |at| body + at + end.len()))
}

/// The length of the literal between two `quote`s that `rest` begins with.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != quote {
        i += if rest[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(rest.len())
}

/// The length of the character that `rest` begins with; 0 if it is a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted(rest, b'\'');
    }
    // One character of up to four bytes, then the closing quote.
    (2..=5)
        .find(|&at| rest.get(at) == Some(&b'\''))
        .filter(|at| std::str::from_utf8(&rest[1..*at]).is_ok_and(|s| s.chars().count() == 1))
        .map_or(0, |at| at + 1)
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
