//! Data: files are read and held, names become variables.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::resolver::Resolver;
use super::types::{Data, DataSource, Pick, Scenario};
use crate::base::files::plain;
use crate::base::names::nearest;
use crate::base::written::{At, Name, Node, Of, Scalar};
use crate::expr::{Flaw, ListId, MAX_DATA_SIZE, Names, Table, is_reserved};
use crate::profile::written;

/// Files that were read: two sources may name the same one.
type Files = HashMap<(PathBuf, bool), Arc<Table>>;

/// Resolves `data`: the rows go to the resolver, their names to the names.
pub(super) fn data(resolver: &mut Resolver<'_>, names: &mut Names) {
    let profile = resolver.profile;
    let mut files = Files::new();
    let mut hasher = DefaultHasher::new();
    for (name, written) in profile.written.data.iter().flat_map(|data| data.iter()) {
        if is_reserved(&name.value) {
            resolver.error(name.at, format!("`{}` is a name of the program's own; choose another", name.value));
            continue;
        }
        if resolver.lists.iter().any(|(list, _)| *list == name.value) {
            resolver
                .error(name.at, format!("`{}` is a list that steps remember; choose another name for one of them", name.value));
        } else if names.contains(&name.value) {
            resolver.error(name.at, format!("`{}` is under `vars` too; choose another name for one of them", name.value));
        }
        let source = source(resolver, name, written, &mut files, &mut hasher);
        // Where a file could not be read any column may be right.
        let columns = match &source {
            Some(DataSource::Table(table)) => table.columns(),
            _ => None,
        };
        names.row(&name.value, columns);
        let symbol = resolver.compiler.symbol(&name.value);
        let Some(source) = source else { continue };
        let pick = match written.pick.map(|pick| pick.value).unwrap_or_default() {
            written::Pick::Sequential => Pick::Sequential,
            written::Pick::Random => Pick::Random,
            written::Pick::Unique => Pick::Unique,
            written::Pick::PerUser => Pick::PerUser,
        };
        resolver.data.push(Data { name: name.value.clone(), symbol, source, pick, users: 0 });
    }
    resolver.data_digest = hasher.finish();
}

fn source(
    resolver: &mut Resolver<'_>,
    name: &At<String>,
    written: &written::Data,
    files: &mut Files,
    hasher: &mut DefaultHasher,
) -> Option<DataSource> {
    let given: Vec<Node> = [
        written.csv.as_ref().map(|csv| csv.at),
        written.json.as_ref().map(|json| json.at),
        written.list.map(|list| list.0),
        written.remembered.as_ref().map(|list| list.at),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [_, second, ..] = given[..] {
        resolver.error(second, "rows come from one place: `csv`, `json`, `list` or `remembered`");
        return None;
    }
    let table = if let Some(csv) = &written.csv {
        file(resolver, csv, true, files, hasher)?
    } else if let Some(json) = &written.json {
        file(resolver, json, false, files, hasher)?
    } else if let Some(list) = written.list {
        inline(resolver, list.0)?
    } else if let Some(list) = &written.remembered {
        return remembered(resolver, list);
    } else {
        let message = format!("`{}` says not where its rows are; it wants one of csv, json, list, remembered", name.value);
        resolver.lacking(name.at, message);
        return None;
    };
    Some(DataSource::Table(table))
}

/// The rows of a list that users fill.
fn remembered(resolver: &mut Resolver<'_>, list: &Of<Name>) -> Option<DataSource> {
    let name = &list.value.0;
    if let Some(index) = resolver.lists.iter().position(|(known, _)| known == name) {
        return Some(DataSource::Remembered(ListId::at(index)));
    }
    let known: Vec<String> = resolver.lists.iter().map(|(known, _)| known.clone()).collect();
    if known.is_empty() {
        let message = format!("no step remembers a list `{name}`; write one: remember: {{{name}: \"{{{{ id }}}}\"}}");
        resolver.lacking(list.at, message);
    } else {
        resolver.unknown(list.at, "list", name, known.iter().map(String::as_str));
    }
    None
}

/// The rows of a list that stands in the profile.
fn inline(resolver: &mut Resolver<'_>, at: Node) -> Option<Arc<Table>> {
    let tree = &resolver.profile.tree;
    if let Some((node, _)) = tree.templates(at).into_iter().find(|(node, _)| tree.as_written(*node).contains("{{")) {
        resolver.error(node, "rows are constants; what varies is made by a step: set: {name: expression}");
        return None;
    }
    let rows = tree.json(at, false);
    if !rows.is_array() {
        resolver.error(at, "a list is wanted here: list: [ann, bob], or list: [{name: ann}, {name: bob}]");
        return None;
    }
    match Table::json(rows.to_string().into_bytes()) {
        Ok(table) => Some(Arc::new(table)),
        Err(flaws) => {
            flaws.iter().for_each(|flaw| resolver.error(at, flaw.message.clone()));
            None
        }
    }
}

/// The rows of a file, which is found relative to the one that names it.
fn file(
    resolver: &mut Resolver<'_>,
    written: &Scalar,
    csv: bool,
    files: &mut Files,
    hasher: &mut DefaultHasher,
) -> Option<Arc<Table>> {
    let path = resolver.profile.file(written.at, written.source.trim());
    let key = (path.canonicalize().unwrap_or_else(|_| path.clone()), csv);
    if let Some(table) = files.get(&key) {
        return Some(Arc::clone(table));
    }
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(message) => {
            resolver.error(written.at, message);
            return None;
        }
    };
    (&path, &bytes).hash(hasher);
    match if csv { Table::csv(bytes) } else { Table::json(bytes) } {
        Ok(table) => {
            let table = Arc::new(table);
            files.insert(key, Arc::clone(&table));
            Some(table)
        }
        Err(flaws) => {
            for Flaw { line, message } in flaws {
                resolver.error(written.at, format!("{}:{line}: {message}", path.display()));
            }
            None
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => match neighbour(path) {
            Some(near) => format!("{shown}: there is no such file; did you mean `{near}`?"),
            None => format!("{shown}: there is no such file"),
        },
        std::io::ErrorKind::PermissionDenied => format!("{shown}: this file must not be read by us"),
        _ => format!("{shown}: this file can't be read: {error}"),
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("{shown}: this is no file that can be read into memory"));
    }
    if metadata.len() > MAX_DATA_SIZE {
        return Err(format!("{shown}: this file is larger than 4 GiB; split it"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It may have grown meanwhile.
    plain(path).and_then(|file| file.take(MAX_DATA_SIZE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_DATA_SIZE { Err(format!("{shown}: this file is larger than 4 GiB; split it")) } else { Ok(bytes) }
}

/// The file of the same folder that was probably meant.
fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files: Vec<String> =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(1000).collect();
    files.sort();
    nearest(name, files.iter().map(String::as_str)).map(str::to_owned)
}

/// Gives data the most users that may pick from it.
pub(super) fn with_users(mut data: Vec<Data>, scenarios: &[Scenario]) -> Vec<Data> {
    for (index, data) in data.iter_mut().enumerate() {
        let names = |scenario: &&Scenario| {
            let rows = &scenario.rows;
            [&rows.start, &rows.flow, &rows.stop].into_iter().any(|rows| rows.contains(&index))
        };
        data.users = scenarios.iter().filter(names).map(|scenario| scenario.max_users).max().unwrap_or(0);
    }
    data
}
