//! What was found to be worth trying on the program's readers of text, tried again: every file of the fuzzers' corpora, and every
//! profile of the fixtures, goes through the functions that are fuzzed. None panics, and none takes long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[path = "../fuzz/entries.rs"]
mod entries;

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

/// Puts every file of a folder to a function; which it is, is told if it panics or hangs.
fn replay(folder: &str, entry: fn(&[u8])) {
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
fn profiles() {
    for folder in ["fuzz/corpus/profile", "config", "tests/fixtures/profiles/good", "tests/fixtures/profiles/bad"] {
        replay(folder, entries::profile);
    }
}

#[test]
fn expressions() {
    replay("fuzz/corpus/expression", entries::expression);
}

#[test]
fn extractions() {
    replay("fuzz/corpus/extraction", entries::extraction);
}

#[test]
fn expositions() {
    replay("fuzz/corpus/exposition", entries::exposition);
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

/// A file of a corpus with pieces taken out, put in and doubled.
fn changed(folder: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let cuts = prop::collection::vec((0.0..1.0f64, 0usize..40, piece()), 0..5);
    (prop::sample::select(files(folder)), cuts).prop_map(|(path, cuts)| {
        let mut data = std::fs::read(path).unwrap();
        for (at, length, piece) in cuts {
            let start = (at * data.len() as f64) as usize;
            let end = (start + length).min(data.len());
            data.splice(start..end, piece);
        }
        data
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_change_of_a_profile_makes_it_panic(data in changed("fuzz/corpus/profile")) {
        entries::profile(&data);
    }

    #[test]
    fn no_change_of_an_expression_makes_it_panic(data in changed("fuzz/corpus/expression")) {
        entries::expression(&data);
    }

    #[test]
    fn no_change_of_an_extraction_makes_it_panic(data in changed("fuzz/corpus/extraction")) {
        entries::extraction(&data);
    }

    #[test]
    fn no_change_of_an_exposition_makes_it_panic(data in changed("fuzz/corpus/exposition")) {
        entries::exposition(&data);
    }
}
