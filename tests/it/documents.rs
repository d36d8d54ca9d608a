//! Holds the documents to the program: what they name exists, and what exists is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use load_exporter::measure::catalogue::{self, FamilyKind, Metric};
use load_exporter::plan;
use load_exporter::profile::{self, Diagnostic, Env, Loaded};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = fs::read_to_string(&path);
    assert!(text.is_ok(), "{}: {text:?}", path.display());
    text.unwrap_or_default()
}

/// The documents of the profile's language, by their paths: the first one and its parts.
fn profile_documents() -> Vec<(String, String)> {
    let parts = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profile")).unwrap();
    let mut names: Vec<String> = parts.map(|part| format!("docs/profile/{}", part.unwrap().file_name().display())).collect();
    names.sort();
    names.insert(0, "docs/profile.md".to_owned());
    names.into_iter().map(|name| (name.clone(), document(&name))).collect()
}

/// All of them as one text.
fn profile_text() -> String {
    profile_documents().into_iter().map(|(_, text)| text).collect()
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
fn problems(loaded: &Loaded) -> String {
    loaded.diagnostics.iter().map(|problem| problem.line() + "\n").collect()
}

/// A catalogue's row as docs/metrics.md has it.
fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        FamilyKind::Counter => "counter",
        FamilyKind::Gauge => "gauge",
        FamilyKind::Histogram => "histogram",
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
    let others = ["README.md", "ARCHITECTURE.md", "docs/metrics.md", "docs/operations.md"];
    for (name, text) in others.map(|name| (name.to_owned(), document(name))).into_iter().chain(profile_documents()) {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("load_") && *word != "load_exporter") {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            let prefix = word.ends_with('_') || word == "load_message";
            assert!(prefix || names.contains(word) || names.contains(family), "{name} names {word}");
        }
    }
}

/// The whole profiles of the documents: where, and what.
fn whole_profiles() -> Vec<(String, usize, String)> {
    let mut whole = Vec::new();
    for (name, text) in [("README.md".to_owned(), document("README.md"))].into_iter().chain(profile_documents()) {
        let found = blocks(&text, "yaml").into_iter().filter(|(_, block)| block.starts_with("name:"));
        whole.extend(found.map(|(line, block)| (name.clone(), line, block)));
    }
    for name in ["README.md", "docs/profile.md"] {
        assert!(whole.iter().any(|(of, ..)| of == name), "{name}");
    }
    whole
}

#[test]
fn every_whole_profile_of_the_documents_can_be_carried_out_without_a_warning() {
    for (document, line, block) in whole_profiles() {
        let resolved = plan::load_text(
            Path::new("tests/fixtures/documents/example.yml"),
            block,
            &Env::default(),
            &[],
            plan::Options::default(),
        );
        let problems: Vec<String> = match resolved {
            Ok((_, warnings)) => warnings.iter().map(Diagnostic::line).collect(),
            Err(problems) => vec![problems.render(false)],
        };
        assert!(problems.is_empty(), "{document}:{line}: {}", problems.join("\n"));
    }
}

/// What an example lacks to be a whole profile.
const REST: [(&str, &str); 7] = [
    ("name:", "name: example\n"),
    ("defaults:", "defaults: {http: {base_url: builtin}}\n"),
    ("vars:", "vars: {price: 2, amount: 3, order: 7}\n"),
    (
        "metrics:",
        "metrics:\n  orders_total: {type: counter}\n  updates_total: {type: counter}\n  \
         update_bytes: {type: histogram, unit: bytes}\n  basket_value_euros: {type: histogram}\n  \
         queue_join_latency_seconds: {type: histogram, unit: seconds}\n",
    ),
    (
        "scenarios:",
        "scenarios:\n  shoppers: {flow: [{http: {get: /}}, {count: {orders_total: 1}}, \
         {record: {queue_join_latency_seconds: response.duration, basket_value_euros: 1}}]}\n  \
         orders: {flow: [{http: {get: /, name: checkout}}, \
         {group: {name: checkout, flow: {group: {name: pay, flow: {http: {get: /pay}}}}}}]}\n  visitors: {flow: {http: {get: /}}}\n  \
         rooms: {flow: {websocket: {connect: builtin, name: room, session: {listen: 1m}, on: {latency_from: message.json.at, \
         sequence: message.json.seq, every: 2s}}}}\n",
    ),
    ("phases:", "phases: [{name: steady, duration: 1h, load: {shoppers: {users: 1}, orders: {users: 1}, rooms: {users: 1}}}]\n"),
    ("observe:", "observe: {prometheus: {url: 'http://127.0.0.1:9090'}, counters: [{preset: redis}]}\n"),
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
    let holds = |key: &str| text.lines().any(|line| line.starts_with(key));
    let (has_scenarios, has_metrics) = (holds("scenarios:"), holds("metrics:"));
    for (key, rest) in REST {
        if !text.lines().any(|line| line.starts_with(key)) {
            // An example's own scenarios and metrics stand for those that are lacking.
            text.push_str(match (key, has_scenarios, has_metrics) {
                ("phases:", true, _) => "phases: [{name: steady, duration: 1h, load: {shoppers: {users: 1}}}]\n",
                ("scenarios:", _, true) => {
                    "scenarios: {shoppers: {flow: {http: {get: /}}}, orders: {flow: {think: 1s}}, rooms: {flow: {think: 1s}}}\n"
                }
                _ => rest,
            });
        }
    }
    text
}

#[test]
fn every_example_of_the_profile_s_documents_can_be_carried_out() {
    let mut wrong = String::new();
    let documents = profile_documents();
    let all =
        documents.iter().flat_map(|(name, text)| blocks(text, "yaml").into_iter().map(move |(line, block)| (name, line, block)));
    for (name, line, block) in all {
        // Alternatives of one key are an example each; files that are named aren't there.
        let alternatives: Vec<String> = match block.starts_with("schedule:") {
            true => block.lines().map(|line| format!("{line}\n")).collect(),
            false => vec![
                block
                    .lines()
                    .filter(|line| {
                        !line.starts_with("include:") && !line.contains("ca_file:") && !line.contains(", file: pictures/")
                    })
                    .map(|line| format!("{line}\n"))
                    .collect(),
            ],
        };
        for example in alternatives {
            let text = completed(&example);
            let resolved = plan::load_text(
                Path::new("tests/fixtures/documents/example.yml"),
                text.clone(),
                &Env::default(),
                &[],
                plan::Options::default(),
            );
            if let Err(problems) = resolved {
                wrong.push_str(&format!("{name}:{line}: {}\n", problems.render(false)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_profile_s_documents_have_every_key_of_the_schema() {
    let text = profile_text();
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
        assert!(words.contains(key.as_str()), "the profile's documents don't name {key}");
    }
}

#[test]
fn the_profile_s_documents_have_every_preset_with_its_exporters_and_values() {
    use load_exporter::counters::presets;

    let text = profile_text();
    for preset in presets::ALL {
        let exporters: Vec<&str> = preset.dialects.iter().map(|dialect| dialect.exporter).collect();
        let values: Vec<String> = preset.values.iter().map(|value| format!("`{}`", value.name)).collect();
        let row = format!("| `{}` | {} | {} |", preset.name, exporters.join("; "), values.join(", "));
        assert!(text.lines().any(|line| line == row), "the profile's documents lack the row\n{row}");
    }
}

#[test]
fn each_that_profile_md_calls_not_supported_yet_is_refused_so() {
    let text = document("docs/profile.md");
    let [(_, block)] = &blocks(&text, "yaml refused")[..] else { panic!("one block") };
    let text = format!("name: example\n{block}");
    let loaded = profile::read_text(Path::new("tests/fixtures/documents/example.yml"), Some(text.clone()), &Env::default(), &[]);
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
        assert!(refused.contains(&(number + 1)), "line {}: {line}\n{}", number + 1, problems(&loaded));
    }
}

/// How a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || " _-".contains(*c)).collect::<String>();
    kept.trim().replace(' ', "-")
}

/// The headings of a document, outside of its blocks.
fn headings(text: &str) -> BTreeSet<String> {
    let mut inside = false;
    let outside = text.lines().filter(|line| {
        inside ^= line.starts_with("```");
        !inside
    });
    outside.filter_map(|line| line.strip_prefix('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named =
        ["README.md", "ARCHITECTURE.md", "docs/metrics.md", "docs/monitoring.md", "docs/operations.md", "docs/runbooks.md"];
    let all: Vec<(String, String)> =
        named.map(|name| (name.to_owned(), document(name))).into_iter().chain(profile_documents()).collect();
    for (name, text) in &all {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { name.clone() } else { Path::new(name).with_file_name(file).display().to_string() };
            assert!(root.join(&to).exists(), "{name} links to {link}");
            assert!(heading.is_empty() || headings(&document(&to)).contains(heading), "{name} links to {link}");
        }
    }
    // The first of them names all the others, and their parts.
    let contents = document("docs/profile.md");
    for (name, text) in profile_documents().iter().skip(1) {
        for heading in headings(text) {
            let link = name.strip_prefix("docs/").unwrap();
            assert!(
                contents.contains(&format!("({link}#{heading})")) || contents.contains(&format!("({link})")),
                "{link}#{heading}"
            );
        }
    }
}

#[test]
fn architecture_md_has_the_rows_that_the_test_of_the_architecture_holds() {
    let (map, test) = (document("ARCHITECTURE.md"), document("tests/it/architecture.rs"));
    let rows = test.split("const ROWS").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
    for row in rows.lines().map(str::trim).filter(|line| line.starts_with("&[\"")) {
        for module in row.split('"').skip(1).step_by(2) {
            assert!(map.contains(&format!("`{module}`")), "ARCHITECTURE.md doesn't name `{module}`");
        }
    }
}

#[test]
fn operations_md_has_every_flag() {
    let text = document("docs/operations.md");
    let command = <load_exporter::cli::Cli as clap::CommandFactory>::command();
    for sub in command.get_subcommands() {
        assert!(text.contains(&format!("load-exporter {}", sub.get_name())), "{}", sub.get_name());
        for flag in sub.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(text.contains(&format!("--{flag}")), "docs/operations.md doesn't name --{flag}");
        }
    }
}
