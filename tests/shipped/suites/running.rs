//! A shipped profile's run, and what has to be right of each.

use serde_json::Value;

use crate::support::http;
use crate::support::process::free_port;
use crate::support::record::{self, list};
use crate::support::shipped::{self, Shown, promised_series, promtool, shipped};

/// Runs a profile of `config/`, made small by its variables.
pub fn run(name: &str, variables: &[(&str, &str)]) -> Shown {
    run_watched(name, variables, |_| {})
}

/// The same, with `/metrics` shown to `look` all along.
pub fn run_watched(name: &str, variables: &[(&str, &str)], look: impl FnMut(&str)) -> Shown {
    let ended = run_short(name, variables, look);
    record::holds_together(&ended);
    record::is_right(&ended.record);
    ended
}

/// A run that may be too short for what is judged over a while.
pub fn run_short(name: &str, variables: &[(&str, &str)], look: impl FnMut(&str)) -> Shown {
    let profile = shipped(name);
    let promised = promised_series(&profile, variables);
    let ended = shipped::run(&profile, free_port(), variables, look);
    assert_eq!(promtool(&ended.last), "", "{name}");
    let shown = ended.last.lines().filter(|line| line.contains("{profile=")).count();
    assert!((100..=promised).contains(&shown), "{name}: `check` promised at most {promised} series, there are {shown}");
    ended
}

/// What the backend answers.
pub fn asked(backend: u16, path: &str) -> Value {
    serde_json::from_str(&http::get(backend, path).unwrap().1).unwrap()
}

/// What the backend has booked.
pub fn ledger(backend: u16) -> Value {
    asked(backend, "/api/ledger")
}

/// Set-up, verify and teardown, as far as the profile has them, and that they went well.
pub fn stages_went_well(run: &Value, names: &[&str]) {
    let stages: Vec<_> = list(run, "stages").iter().map(|stage| (stage["name"].as_str().unwrap(), stage["ok"] == true)).collect();
    assert_eq!(stages, names.iter().map(|name| (*name, true)).collect::<Vec<_>>());
}
