//! The files under `config/` are what people start from: every one of them is right, at its full size and scaled down.

use std::path::{Path, PathBuf};
use std::process::Command;

use load_exporter::plan::{self, Options};
use load_exporter::profile::Env;

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// The profiles of `config/`: its files, not those of its folders.
fn shipped() -> Vec<PathBuf> {
    let files = std::fs::read_dir(config()).unwrap().map(|entry| entry.unwrap().path());
    let mut profiles: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "yml")).collect();
    profiles.sort();
    profiles
}

/// What is said of each profile with these values of the environment: one text for each problem, and none if all is right.
fn problems(sets: &[(&str, &str)]) -> Vec<String> {
    let sets: Vec<_> = sets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut said = Vec::new();
    for path in shipped() {
        match plan::load(&path, &Env::default(), &sets, Options::default()) {
            Ok((_, warnings)) => said.extend(warnings.iter().map(|warning| warning.render(false))),
            Err(problems) => said.push(problems.render(false)),
        }
    }
    said
}

#[test]
fn every_profile_is_right_as_it_comes() {
    assert!(shipped().len() >= 5, "{:?}", shipped());
    let said = problems(&[]);
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn every_profile_is_right_when_it_is_made_small() {
    let said = problems(&[
        ("LOAD", "1%"),
        ("TIME", "0.5%"),
        ("BASE_URL", "http://127.0.0.1:1"),
        ("PROMETHEUS_URL", "http://127.0.0.1:2"),
        ("SETTLE", "true"),
        ("STEADY", "1s"),
        ("SPIKE_RATE", "5"),
        ("VOTERS", "2"),
        ("THINK", "0s"),
        ("MAX_VUS", "4"),
        ("DURATION", "2s"),
        ("AUTH_TOKEN", "Bearer of-a-test"),
        ("WS_URL", "builtin"),
        ("TCP_ADDR", "builtin"),
        ("USERS", "5"),
        ("LINES", "5"),
        ("HOLD", "2s"),
        ("RAMP_UP", "1s"),
    ]);
    // A soak of two seconds can't show a drift, and says so.
    let (of_drift, others): (Vec<_>, Vec<_>) = said.into_iter().partition(|said| said.contains("a drift takes at least 20min"));
    assert!(others.is_empty() && of_drift.len() == 1, "{}\n{}", others.join("\n"), of_drift.join("\n"));
}

#[test]
fn the_example_of_a_scrape_configuration_is_right() {
    let output =
        Command::new("promtool").args(["check", "config"]).arg(config().join("prometheus/prometheus.yml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
