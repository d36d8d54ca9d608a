//! What was found to be worth trying on the program's readers of text, tried again: every file of the fuzzers' corpora, and every
//! profile of the fixtures, goes through the functions that are fuzzed. None panics, and none takes long.

#[path = "../../fuzz/entries.rs"]
mod entries;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;

/// None takes a second on an idle machine; a machine that does much else besides is given its time.
const PATIENCE: Duration = Duration::from_secs(60);

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "snap"));
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// Puts every file of a folder to a function; which one it is, is reported if it panics or hangs.
fn replay(folder: &str, entry: entries::Entry) {
    for path in files(folder) {
        let data = std::fs::read(&path).unwrap();
        let (done, over) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            entry(&data);
            let _ = done.send(()); // nobody waits any more for one that took too long
        });
        match over.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{}: {:?}", path.display(), thread.join()),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{} takes longer than {PATIENCE:?}", path.display()),
        }
    }
}

#[test]
fn corpora() {
    std::thread::scope(|scope| {
        for (name, entry) in entries::ALL {
            scope.spawn(move || replay(&format!("fuzz/corpus/{name}"), entry));
        }
    });
}

#[test]
fn profiles() {
    for folder in ["config", "tests/fixtures/profiles/good", "tests/fixtures/profiles/bad"] {
        replay(folder, entry("profile"));
    }
}

/// What is fuzzed under this name.
fn entry(name: &str) -> entries::Entry {
    entries::ALL.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Pieces that mean something to one reader or the other, and bytes that mean nothing.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "{{", "}}", "${", "}", ": ", "- ", "[", "]", "{", "\"", "'", "\n", "\\", "|", "*", "$..", "[?", "(", ")", "+Inf",
            "# EOF", "1e999", "\u{fc}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
        "[ -~]{0,12}".prop_map(String::into_bytes),
    ]
}

/// A file of any corpus with pieces taken out, put in and doubled, and what is fuzzed with it.
fn changed() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let all: Vec<(&str, PathBuf)> = entries::ALL
        .iter()
        .flat_map(|(name, _)| files(&format!("fuzz/corpus/{name}")).into_iter().map(move |path| (*name, path)))
        .collect();
    let cuts = prop::collection::vec((0.0..1.0f64, 0usize..40, piece()), 0..5);
    (prop::sample::select(all), cuts).prop_map(|((name, path), cuts)| {
        let mut data = std::fs::read(path).unwrap();
        for (at, length, piece) in cuts {
            let start = (at * data.len() as f64) as usize;
            let end = (start + length).min(data.len());
            data.splice(start..end, piece);
        }
        (name, data)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_change_makes_a_reader_panic((name, data) in changed()) {
        entry(name)(&data);
    }
}

/// The names at the beginnings of a text's lines, from one line to the next that is empty.
fn names(text: &str, from: &str) -> BTreeSet<String> {
    let lines = text.lines().skip_while(|line| *line != from).skip(1).take_while(|line| !line.is_empty());
    // A package may go by another name here.
    let named = |line: &str| line.split_once("package = \"").map_or(line, |(_, name)| name).to_owned();
    let first =
        |line: &str| named(line).trim_matches([' ', '"', ',']).split([' ', '=', '"']).next().unwrap_or_default().to_owned();
    lines.filter(|line| !line.trim_start().starts_with('#')).map(first).collect()
}

/// Nothing but scripts/fuzz builds with the fuzzers' own lock file, which `--locked` refuses where it lacks something.
#[test]
fn the_fuzzers_lock_file_knows_what_the_program_is_made_of() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let wanted = names(&read("Cargo.toml"), "[dependencies]");
    let locked = names(&read("fuzz/Cargo.lock"), "name = \"load-exporter\"");
    assert!(wanted.len() > 20 && locked.contains("tokio"), "{wanted:?}");
    let lacking: Vec<&String> = wanted.difference(&locked).collect();
    assert!(lacking.is_empty(), "{lacking:?}; make it anew: cargo metadata --manifest-path fuzz/Cargo.toml");
}
