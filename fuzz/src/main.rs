//! One entry under libFuzzer, named by `FUZZ_ENTRY`: scripts/fuzz builds and runs it.

#![no_main]

#[path = "../entries.rs"]
mod entries;

use std::sync::LazyLock;

static ENTRY: LazyLock<entries::Entry> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_ENTRY").unwrap_or_default();
    let entry = entries::ALL.iter().find(|(known, _)| *known == name);
    entry.unwrap_or_else(|| panic!("FUZZ_ENTRY is `{name}`; there are {:?}", entries::ALL.map(|(known, _)| known))).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| ENTRY(data));
