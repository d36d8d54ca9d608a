//! Files in, written profiles out: inclusion, places, secrets, and that nothing a file can hold makes the reader panic.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const WHOLE: &str = include_str!("../../tests/fixtures/profiles/good/votes.yml");

fn texts(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.line()).collect()
}

fn read_with(text: &str, env: &[(&str, &str)], sets: &[(&str, &str)]) -> Loaded {
    let sets: Vec<_> = sets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    read_text(Path::new("t.yml"), Some(text.to_owned()), &Env::from_iter(env.iter().copied()), &sets)
}

/// A minimal profile with more at the top.
fn minimal(more: &str) -> String {
    format!("name: t\nscenarios: {{}}\nphases: []\n{more}")
}

#[test]
fn included_files_lie_beneath() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    file(
        "main.yml",
        "name: main
include: [parts/a.yml, parts/b.yml]
defaults: {http: {timeout: 1s}}
vars: {own: 1, shared: main}
scenarios: {s: {flow: []}}
phases: []
slos: [{name: x, require: p95 < 1s}, {name: y, require: p95 < 1s}]
x-mine: {anything: [1, 2]}
",
    );
    file(
        "parts/a.yml",
        "defaults: {http: {timeout: 9s, redirects: 1, base_url: 'http://a'}, on_error: continue}
vars: {shared: a, a: 1}
slos: [{name: x, require: p95 < 9s}, {name: z, require: p95 < 9s}]
",
    );
    // Named later, so it lies higher; and it includes in turn, from where it lies.
    file("parts/b.yml", "include: c.yml\ndefaults: {http: {base_url: 'http://b'}}\nvars: {shared: b}\n");
    file("parts/c.yml", "vars: {deep: 1}\nscenarios: {s: {flow: [{think: 9s}]}, t: {flow: []}}\n");
    let loaded = read(&folder.path().join("main.yml"), &Env::default(), &[]);
    assert_eq!(texts(&loaded), Vec::<String>::new());
    let profile = loaded.profile.unwrap();
    let written = &profile.written;
    let http = written.defaults.as_ref().and_then(|defaults| defaults.http.as_ref()).unwrap();
    assert_eq!(http.timeout.unwrap().value.as_secs(), 1);
    assert_eq!(http.redirects.unwrap().value, 1);
    assert_eq!(http.base_url.as_ref().unwrap().source, "http://b");
    assert!(written.defaults.as_ref().unwrap().on_error.is_some());
    let vars: Vec<String> = written
        .vars
        .iter()
        .flat_map(|vars| vars.iter())
        .map(|(name, value)| format!("{}={}", name.value, profile.tree.json(value.0, false)))
        .collect();
    assert_eq!(vars, ["own=1", "shared=\"main\"", "deep=1", "a=1"]);
    let scenarios: Vec<usize> = written.scenarios.iter().map(|(_, scenario)| scenario.flow.0.len()).collect();
    assert_eq!(scenarios, [0, 0]);
    let slos: Vec<(&str, f64)> = written
        .slos
        .iter()
        .flatten()
        .map(|slo| (slo.name.value.0.as_str(), slo.require.as_ref().unwrap().0[0].value.objective))
        .collect();
    assert_eq!(slos, [("z", 9.0), ("x", 1.0), ("y", 1.0)]);
    assert_eq!(profile.file(http.base_url.as_ref().unwrap().at, "ca.pem"), folder.path().join("parts/ca.pem"));
}

#[test]
fn places_count_lines_and_characters() {
    let loaded = read_with("name: t\r\nscenarios: {}\r\nphases: []\r\nvars: {ü: 1}\r\nseed: x\r\n", &[], &[]);
    let said = texts(&loaded);
    assert!(said[0].starts_with("t.yml:4:8: `ü` is not a name"), "{said:?}");
    assert!(said[1].starts_with("t.yml:5:7: a whole number"), "{said:?}");
    let loaded = read_with("name: t # größer\nscenarios: {}\nphases: []\nlimits: {größe: 1, hosts: [a], sries: 1}\n", &[], &[]);
    assert!(texts(&loaded)[1].starts_with("t.yml:4:32: `sries`"), "{:?}", texts(&loaded));
}

#[test]
fn merge_keys_and_aliases_are_written_out() {
    let loaded = read_with(
        "name: t
x-a: &a {users: 5, rate: 7/s}
x-b: &b {users: 6, series: 8}
scenarios: {}
phases: []
limits: {<<: [*a, *b], series: 9}
",
        &[],
        &[],
    );
    assert_eq!(texts(&loaded), Vec::<String>::new());
    let limits = loaded.profile.unwrap().written.limits.unwrap();
    assert_eq!((limits.users.unwrap().value, limits.series.unwrap().value), (5, 9));
}

#[test]
fn the_command_line_goes_over_the_environment_and_what_is_empty_is_absent() {
    let text = minimal("seed: '${SEED}'\nobserve: {prometheus: {url: '${URL:-}', bearer_token: '${TOKEN:-}'}}\n");
    let loaded = read_with(&text, &[("SEED", "1"), ("TOKEN", "")], &[("SEED", "2")]);
    assert_eq!(texts(&loaded), Vec::<String>::new());
    let written = loaded.profile.unwrap().written;
    assert_eq!(written.seed.unwrap().value, 2);
    let prometheus = written.observe.unwrap().prometheus.unwrap();
    assert!(prometheus.url.is_none() && prometheus.bearer_token.is_none());
}

#[test]
fn a_value_beside_a_name_is_secret_by_what_stands_around_it() {
    let text = minimal(
        "vars: {token: {name: x, value: by-the-token}, plain: {name: password, value: open-plain}}
slos: [{name: auth, value: metric('open_total'), require: value > 0}]
setup: {flow: [{http: {post: 'http://admin:admin@h/', name: up, multipart: [{name: password, value: by-the-part}, {name: x, value: open-part}]}}]}
",
    );
    let profile = read_with(&text, &[], &[]).profile.unwrap();
    for secret in ["by-the-token", "by-the-part"] {
        assert_eq!(profile.secrets.redact(secret), "***", "{secret}");
    }
    for open in ["open-plain", "metric('open_total')", "open-part"] {
        assert_eq!(profile.secrets.redact(open), open);
    }
    let shown = profile.tree.files[0].shown();
    assert!(shown.contains("http://admin:*****@h/") && !shown.contains("by-the-"), "{shown}");
}

#[test]
fn secrets_are_known_by_their_variables_keys_and_urls() {
    let text = minimal(
        "observe:
  prometheus: {url: 'http://ann:in-the-url@127.0.0.1', bearer_token: in-the-file, headers: {X-Api-Key: '${PLAIN}'}}
defaults: {http: {headers: {authorization: 'Bearer literal-token', accept: text/html}}}
vars: {a: '${SOME_SECRET:-the-default}'}
",
    );
    let env = [("OTHER_PASSWORD", "unused-password"), ("PLAIN", "by-its-header"), ("HOME", "/home/ann")];
    let profile = read_with(&text, &env, &[]).profile.unwrap();
    for secret in ["in-the-url", "in-the-file", "by-its-header", "literal-token", "the-default", "unused-password"] {
        assert_eq!(profile.secrets.redact(&format!("a {secret} b")), "a *** b");
    }
    for open in ["text/html", "/home/ann", "127.0.0.1"] {
        assert_eq!(profile.secrets.redact(open), open);
    }
    let shown = profile.tree.files[0].shown();
    for secret in ["in-the-url", "in-the-file", "literal-token", "the-default"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("${PLAIN}") && shown.contains("text/html"), "{shown}");
    let debug = format!("{profile:?} {:?} {:?} {:?}", profile.written, profile.tree, profile.env);
    for secret in ["in-the-", "literal-token", "the-default", "unused", "by-its-header"] {
        assert!(!debug.contains(secret), "{debug}");
    }
}

#[test]
fn what_is_not_taken_shows_no_secret_either() {
    let text = minimal(
        "vars: {token: first-secret, token: second-secret}
defaults: {http: {headers: {authorization: Bearer third-secret, authorization: Bearer fourth-secret}, headers: {x-api-key: fifth-secret}}}
x-base: &base {plain: open-base}
x-merged: {password: sixth-secret, <<: *base, <<: {password: seventh-secret, url: 'http://ann:eighth-secret@h/'}, [x]: {pass: ninth-secret}}
x-key:
  ? {password: tenth-secret}
  : x
x-twice: {<<: {password: eleventh-secret, password: twelfth-secret}}
x-nested: {<<: [[{password: thirteenth-secret}]]}
",
    );
    let loaded = read_with(&text, &[], &[]);
    let shown = Problems::new(loaded.diagnostics).render(false);
    assert!(shown.matches("stands twice").count() >= 4 && shown.matches("a key is a text here").count() == 2, "{shown}");
    assert!(shown.contains("`<<` merges a mapping"), "{shown}");
    assert!(!shown.contains("-secret"), "{shown}");
}

#[test]
fn a_control_character_is_reported_with_what_to_write() {
    let loaded = read_with(&minimal("vars: {x: a\u{1f}b}\n"), &[], &[]);
    let shown = Problems::new(loaded.diagnostics).render(false);
    assert!(shown.contains("control character") && shown.contains("\"\\u001f\""), "{shown}");
    let loaded = read_with(&minimal("vars: {x: \"a\\u001fb\"}\n"), &[], &[]);
    assert_eq!(texts(&loaded), Vec::<String>::new());
}

#[test]
fn the_schema_describes_what_is_supported_and_nothing_else() {
    let schema = schema();
    let properties = |name: &str| -> Vec<String> {
        let found = if name.is_empty() { &schema["properties"] } else { &schema["$defs"][name]["properties"] };
        found.as_object().unwrap_or_else(|| panic!("no {name}")).keys().cloned().collect()
    };
    let targets = ["http", "websocket", "socketio", "tcp"];
    let others = ["think", "set", "count", "record", "remember"];
    let flows = ["choose", "maybe", "repeat", "for_each", "group", "call", "eventually"];
    let on_connections = ["send", "emit", "receive", "listen", "hold", "close"];
    assert_eq!(properties("Step"), [&targets[..], &others, &flows, &on_connections, &["if", "on_error"]].concat());
    for key in ["name", "include", "scale", "defaults", "vars", "metrics", "scenarios", "phases", "observe", "slos", "schedule"] {
        assert!(properties("").iter().any(|property| property == key), "{key}");
    }
    assert_eq!(schema["required"], serde_json::json!(["name", "phases"]));
    assert_eq!(schema["anyOf"], serde_json::json!([{"required": ["scenarios"]}, {"required": ["include"]}]));
    let variable = serde_json::json!({"type": "string", "pattern": r"\$\{"});
    assert!(
        schema["$defs"]["ScheduleWord"]["anyOf"].as_array().unwrap().contains(&variable),
        "{:#}",
        schema["$defs"]["ScheduleWord"]
    );
    assert_eq!(schema["additionalProperties"], false);
    // Every key says what it is for.
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            assert!(property.get("description").is_some(), "{name}.{key}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_text_makes_the_reader_panic(
        cuts in proptest::collection::vec((0.0..1.0f64, 0usize..40, "[ -~\n\tü{}\\[\\]:&*#!|>'\"$%<-]{0,12}"), 1..4),
    ) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, length, insert) in cuts {
            let start = (at * text.len() as f64) as usize;
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        let loaded = read_with(&text, &[("AUTH_TOKEN", "s3cr3t-of-a-test")], &[]);
        for diagnostic in &loaded.diagnostics {
            let shown = diagnostic.render(false);
            prop_assert!(shown.contains("t.yml:"), "{}", shown);
            prop_assert!(!shown.contains("s3cr3t-of-a-test"));
        }
        prop_assert!(loaded.profile.is_some() || !loaded.diagnostics.is_empty());
    }
}
