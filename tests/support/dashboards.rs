//! What dashboards and rules ask Prometheus: their queries, as Grafana would send them, and the metrics that they name.

use std::collections::BTreeSet;
use std::path::Path;

use load_exporter::measure::catalogue::{self, FamilyKind};
use regex::Regex;
use serde_json::Value;

/// A query and where it stands.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Dashboard and panel, or the rule.
    pub place: String,
    /// As Grafana would send it.
    pub query: String,
}

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every dashboard, by its file's name.
pub fn dashboards() -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir(root("grafana/dashboards")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

/// What stands for each variable of a dashboard: everything there is.
fn filled(query: &str, variables: &BTreeSet<String>, shown: &str) -> String {
    let seconds = |length: &str| -> u64 {
        let (number, unit) = length.split_at(length.len() - 1);
        number.parse::<u64>().unwrap()
            * ["s", "m", "h"].iter().position(|one| *one == unit).map_or(0, |power| 60u64.pow(power as u32))
    };
    let mut query = query
        .replace("$__range_s", &seconds(shown).to_string())
        .replace("$__rate_interval", "20s")
        .replace("$__range", shown)
        .replace("$__interval", "5s")
        .replace("$objective", "99.9");
    for name in variables {
        query = query.replace(&format!("\"${name}\""), "\".*\"");
    }
    assert!(!query.contains('$'), "a variable that the dashboard doesn't have: {query}");
    query
}

fn variables(dashboard: &Value) -> BTreeSet<String> {
    let list = dashboard["templating"]["list"].as_array().unwrap();
    list.iter().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

/// What a panel asks over `shown` (`5m`): each column of a table and its query, or each legend and its query.
pub fn columns(name: &str, title: &str, shown: &str) -> Vec<(String, String)> {
    let all = dashboards();
    let dashboard = &all.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("no dashboard {name}")).1;
    let panel = panels(dashboard).find(|panel| panel["title"] == title).unwrap_or_else(|| panic!("{name} has no panel {title}"));
    let renamed = panel["transformations"].as_array().map(|all| &all.last().unwrap()["options"]["renameByName"]);
    let column = |target: &Value| {
        let named = renamed.map(|names| &names[format!("Value #{}", target["refId"].as_str().unwrap())]);
        named.unwrap_or(&target["legendFormat"]).as_str().unwrap().to_owned()
    };
    let query = |target: &Value| filled(target["expr"].as_str().unwrap(), &variables(dashboard), shown);
    panel["targets"].as_array().unwrap().iter().map(|target| (column(target), query(target))).collect()
}

/// Every legend of a dashboard's curves and bars that stands for labels, with its query.
pub fn legends(name: &str, dashboard: &Value) -> Vec<(Asked, String)> {
    let mut all = Vec::new();
    for panel in panels(dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let legend = target["legendFormat"].as_str().unwrap();
            if legend.contains("{{") && legend != "{{le}}" {
                let query = filled(target["expr"].as_str().unwrap(), &variables(dashboard), "1m");
                all.push((Asked { place: format!("{name} / {}", panel["title"].as_str().unwrap()), query }, legend.to_owned()));
            }
        }
    }
    all
}

/// Every query of a dashboard's panels, variables and annotations.
pub fn queries(name: &str, dashboard: &Value) -> Vec<Asked> {
    let list = dashboard["templating"]["list"].as_array().unwrap();
    let variables = variables(dashboard);
    let asked = |place: String, query: &str| Asked { place: format!("{name} / {place}"), query: filled(query, &variables, "1m") };
    let mut all = Vec::new();
    for panel in panels(dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            all.push(asked(panel["title"].as_str().unwrap().to_owned(), target["expr"].as_str().unwrap()));
        }
    }
    let label_values = Regex::new(r"^label_values\((.+), (\w+)\)$").unwrap();
    for variable in list.iter().filter(|variable| variable["type"] == "query") {
        let text = variable["query"]["query"].as_str().unwrap();
        let parts = label_values.captures(text).unwrap_or_else(|| panic!("{text} is no label_values"));
        all.push(asked(format!("${}", variable["name"].as_str().unwrap()), &format!("count by ({}) ({})", &parts[2], &parts[1])));
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        all.push(asked(format!("annotation {}", annotation["name"].as_str().unwrap()), annotation["expr"].as_str().unwrap()));
    }
    all
}

/// Every expression of a rule file, and the names that it records.
pub fn rules(path: &str) -> (Vec<Asked>, BTreeSet<String>) {
    let file: Value = serde_yaml::from_str(&std::fs::read_to_string(root(path)).unwrap()).unwrap();
    let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let mut recorded = BTreeSet::new();
    let mut all = Vec::new();
    for rule in rules {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap().to_owned();
        recorded.extend(rule["record"].as_str().map(str::to_owned));
        all.push(Asked { place: format!("{path} / {name}"), query: rule["expr"].as_str().unwrap().to_owned() });
    }
    (all, recorded)
}

/// What other programs expose, as their exporters name it.
const FOREIGN: &[&str] = &["redis_", "pg_", "node_"];
/// What Prometheus itself adds.
const PROMETHEUS: &[&str] = &["up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"];
/// Labels that Prometheus adds to every series, or to a histogram's buckets.
const ADDED: &[&str] = &["job", "instance", "profile", "le"];

/// What is wrong with the names in a query: a metric or a label that the catalogue doesn't have.
pub fn unknown_names(query: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let selector = Regex::new(r#"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?"#).unwrap();
    let strings = Regex::new(r#""(?:[^"\\]|\\.)*""#).unwrap();
    let clauses = Regex::new(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)").unwrap();
    let windows = Regex::new(r"\[[^\]]*\]").unwrap();
    let label = Regex::new(r#"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)"#).unwrap();
    let text = clauses.replace_all(query, " ");
    let text = windows.replace_all(&text, " ");
    let mut wrong = Vec::new();
    for found in selector.captures_iter(&text) {
        let (whole, name) = (found.get(0).unwrap(), &found[1]);
        let before = text[..whole.start()].chars().next_back();
        let rest = text[whole.end()..].trim_start();
        // A function, a keyword, the unit of a duration after `offset`, or text in quotes.
        let word = rest.starts_with('(') || before.is_some_and(|c| c.is_ascii_digit());
        let quoted = strings.find_iter(&text).any(|string| string.range().contains(&whole.start()));
        if word || quoted || ["and", "or", "unless", "offset", "bool", "atan2"].contains(&name) {
            continue;
        }
        let matchers = strings.replace_all(found.get(3).map_or("", |inside| inside.as_str()), "\"\"").into_owned();
        let labels: Vec<&str> = label.captures_iter(&matchers).map(|label| label.get(1).unwrap().as_str()).collect();
        if PROMETHEUS.contains(&name) || recorded.contains(name) || FOREIGN.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| catalogue::find(name.strip_suffix(suffix)?).filter(|metric| metric.kind == FamilyKind::Histogram));
        let Some(metric) = catalogue::find(name).or(base) else {
            wrong.push(format!("there is no metric {name}"));
            continue;
        };
        for label in labels {
            if !metric.labels.contains(&label) && !ADDED.contains(&label) {
                wrong.push(format!("{name} has no label {label}"));
            }
        }
    }
    wrong
}
