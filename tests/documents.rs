//! Holds the documents to the program: what they name exists, and what exists is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use load_exporter::measure::catalogue::{self, Kind, Metric};
use load_exporter::profile::{self, Env, Loaded};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = fs::read_to_string(&path);
    assert!(text.is_ok(), "{}: {text:?}", path.display());
    text.unwrap_or_default()
}

/// The fenced blocks of a language, with their first lines' numbers.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(fence), None) => {
                inside = Some(fence == language);
                if fence == language {
                    found.push((number + 2, String::new()));
                }
            }
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => {
                if let Some((_, block)) = found.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            _ => {}
        }
    }
    found
}

/// What is wrong with a profile, a line each.
fn told(loaded: &Loaded) -> String {
    loaded.diagnostics.iter().map(|problem| problem.line() + "\n").collect()
}

/// A catalogue's row as docs/metrics.md has it.
fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let labels = metric.labels.join(" ");
    let labels = if labels.is_empty() { labels } else { format!("`{labels}`") };
    format!("| `{}` | {kind} | {labels} | {} |", metric.name, metric.help)
}

#[test]
fn metrics_md_has_every_metric_of_the_catalogue_and_no_other() {
    let text = document("docs/metrics.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `load_") || line.starts_with("| `process_")).collect();
    let wanted: Vec<String> = catalogue::ALL.iter().map(row).collect();
    for (row, wanted) in rows.iter().zip(&wanted) {
        assert_eq!(row, wanted);
    }
    assert_eq!(rows.len(), wanted.len());
}

#[test]
fn documents_name_no_metric_that_does_not_exist() {
    let names: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    for name in ["ARCHITECTURE.md", "docs/metrics.md", "docs/profile.md"] {
        let text = document(name);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("load_") && *word != "load_exporter") {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            let prefix = word.ends_with('_') || word == "load_message";
            assert!(prefix || names.contains(word) || names.contains(family), "{name} names {word}");
        }
    }
}

#[test]
fn every_whole_profile_of_profile_md_is_read_without_a_problem() {
    let text = document("docs/profile.md");
    let whole: Vec<_> = blocks(&text, "yaml").into_iter().filter(|(_, block)| block.starts_with("name:")).collect();
    assert!(!whole.is_empty());
    for (line, block) in whole {
        let loaded = profile::read_text(Path::new("example.yml"), Some(block), &Env::default(), &[]);
        assert!(!loaded.failed() && loaded.diagnostics.is_empty(), "docs/profile.md:{line}: {}", told(&loaded));
    }
}

/// What an example lacks to be a whole profile, so that its own keys are looked at alone.
const REST: [(&str, &str); 4] = [
    ("name:", "name: example\n"),
    ("scenarios:", "scenarios: {shoppers: {flow: [{think: 1s}]}}\n"),
    ("phases:", "phases: [{name: p, duration: 1s, load: {shoppers: {users: 1}}}]\n"),
    ("metrics:", ""),
];

/// An example as a whole profile.
fn completed(block: &str) -> String {
    let has = |key: &str| block.lines().any(|line| line.starts_with(key));
    let mut text = if has("flow:") || has("http:") {
        let indented: String = block.lines().map(|line| format!("    {line}\n")).collect();
        let flow = if has("flow:") {
            indented
        } else {
            format!("    flow:\n{}", indented.replace("    http:", "    - http:").replace("\n     ", "\n       "))
        };
        format!("scenarios:\n  shoppers:\n{flow}")
    } else {
        block.to_owned()
    };
    for (key, rest) in REST {
        if !text.lines().any(|line| line.starts_with(key)) {
            text.push_str(rest);
        }
    }
    text
}

#[test]
fn every_example_of_profile_md_is_read_without_a_problem() {
    let text = document("docs/profile.md");
    for (line, block) in blocks(&text, "yaml") {
        // Alternatives of one key are an example each; files to include aren't there.
        let alternatives: Vec<String> = match block.starts_with("schedule:") {
            true => block.lines().map(|line| format!("{line}\n")).collect(),
            false => vec![block.lines().filter(|line| !line.starts_with("include:")).map(|line| format!("{line}\n")).collect()],
        };
        for example in alternatives {
            let text = completed(&example);
            let loaded = profile::read_text(Path::new("example.yml"), Some(text.clone()), &Env::default(), &[]);
            assert!(!loaded.failed(), "docs/profile.md:{line}: {}\n{text}", told(&loaded));
        }
    }
}

#[test]
fn profile_md_has_every_key_of_the_schema() {
    let text = document("docs/profile.md");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut keys = BTreeSet::new();
    fn collect(schema: &serde_json::Value, keys: &mut BTreeSet<String>) {
        if let Some(properties) = schema.get("properties").and_then(|properties| properties.as_object()) {
            keys.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(fields) => fields.values().for_each(|value| collect(value, keys)),
            serde_json::Value::Array(items) => items.iter().for_each(|value| collect(value, keys)),
            _ => {}
        }
    }
    collect(&profile::schema(), &mut keys);
    assert!(keys.contains("abort_after") && keys.contains("on_busy"), "{keys:?}");
    for key in keys {
        assert!(words.contains(key.as_str()), "docs/profile.md doesn't name {key}");
    }
}

#[test]
fn each_that_profile_md_calls_not_supported_yet_is_refused_so() {
    let text = document("docs/profile.md");
    let [(_, block)] = &blocks(&text, "yaml refused")[..] else { panic!("one block") };
    let text = format!("name: example\n{block}");
    let loaded = profile::read_text(Path::new("example.yml"), Some(text.clone()), &Env::default(), &[]);
    let refused: BTreeSet<usize> = (loaded.diagnostics.iter())
        .filter(|problem| problem.message.contains("not supported yet"))
        .filter_map(|problem| problem.place.as_ref().map(|place| place.line_column().0))
        .collect();
    // Lines that only lead to others.
    let leads = ["name:", "defaults:", "scenarios:", "  s:", "    flow:", "phases:", "slos:"];
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !leads.iter().any(|lead| line.trim_end() == *lead || line.starts_with("name:")))
    {
        assert!(refused.contains(&(number + 1)), "line {}: {line}\n{}", number + 1, told(&loaded));
    }
}

#[test]
fn architecture_md_has_the_rows_that_the_test_of_the_architecture_holds() {
    let (map, test) = (document("ARCHITECTURE.md"), document("tests/architecture.rs"));
    let rows = test.split("const ROWS").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
    for row in rows.lines().map(str::trim).filter(|line| line.starts_with("&[\"")) {
        for module in row.split('"').skip(1).step_by(2) {
            assert!(map.contains(&format!("`{module}`")), "ARCHITECTURE.md doesn't name `{module}`");
        }
    }
}
