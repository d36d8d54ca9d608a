//! Each kind of mistake in a profile has a file, and beside it the exact message that a user reads; so have warnings.
//!
//! `BLESS=1 cargo test --test bad_profiles` writes the messages anew; what changed is then read in the difference.

use std::path::{Path, PathBuf};

use load_exporter::plan::{self, Options};
use load_exporter::profile::Env;

const SECRET: &str = "s3cr3t-of-the-environment";

fn env() -> Env {
    Env::from_iter([("WORD", "eleven"), ("LIST", "[1, 2]"), ("API_TOKEN", SECRET)])
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/fixtures/profiles").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    files
}

/// Compares what is said of each file with the text beside it.
fn compare(folder: &str, say: impl Fn(&Path) -> String) -> usize {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    let files = files(folder);
    for path in &files {
        let said = say(path) + "\n";
        let expected_path = path.with_extension("txt");
        if bless {
            std::fs::write(&expected_path, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if said != expected {
            wrong += &format!("{}:\n{said}\ninstead of\n{expected}\n\n", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    files.len()
}

#[test]
fn every_mistake_has_its_message() {
    let checked = compare("bad", |path| match plan::load(path, &env(), &[], Options::default()) {
        Ok(_) => panic!("{} was taken", path.display()),
        Err(problems) => {
            assert!(problems.errors() > 0);
            let text = problems.render(false);
            for secret in [SECRET, "hunter22", "tok3n-in-the-file", "c00kie"] {
                assert!(!text.contains(secret), "{text}");
                assert!(!format!("{problems:?} {problems}").contains(secret));
            }
            text
        }
    });
    assert!(checked > 100, "{checked}");
}

#[test]
fn every_warning_has_its_message() {
    let checked = compare("warn", |path| match plan::load(path, &env(), &[], Options::default()) {
        Ok((_, warnings)) => {
            assert!(!warnings.is_empty(), "{}", path.display());
            warnings.iter().map(|warning| warning.render(false)).collect::<Vec<_>>().join("\n\n")
        }
        Err(problems) => panic!("{}", problems.render(false)),
    });
    assert!(checked >= 6, "{checked}");
}

#[test]
fn good_profiles_are_taken_without_a_word() {
    for path in files("good") {
        match plan::load(&path, &env(), &[], Options::default()) {
            Ok((plan, warnings)) => {
                let said: Vec<String> = warnings.iter().map(|warning| warning.render(false)).collect();
                assert!(said.is_empty(), "{}", said.join("\n"));
                assert!(plan::describe(&plan).contains("series on /metrics"));
            }
            Err(problems) => panic!("{}", problems.render(false)),
        }
    }
}

#[test]
fn a_file_that_is_away_or_no_file_is_reported_plainly() {
    let said = |path: &str| plan::load(Path::new(path), &env(), &[], Options::default()).unwrap_err().render(false);
    assert_eq!(said("nowhere.yml"), "error: nowhere.yml: there is no such file\n\n1 error");
    assert_eq!(said("tests"), "error: tests: this is a directory; name the profile's file\n\n1 error");
}
