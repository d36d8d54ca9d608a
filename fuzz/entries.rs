//! What is fuzzed: every way by which text or bytes that nobody has looked at get into the program. Each takes any bytes and must neither
//! panic nor hang. The fuzzer calls these, and so does `tests/hostile/corpus.rs` with every file of the corpora.

#[path = "sockets.rs"]
mod sockets;

use std::path::Path;
use std::sync::Arc;

use load_exporter::counters::text::{Exposition, Format};
use load_exporter::expr::{Compiler, Extract, Names, Response, Rows, ScenarioValues, Scope, Table, Value};
use load_exporter::plan;
use load_exporter::profile::Env;

/// Takes any bytes.
pub type Entry = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const ALL: [(&str, Entry); 13] = [
    ("profile", profile),
    ("expression", expression),
    ("extraction", extraction),
    ("exposition", exposition),
    ("csv", csv),
    ("rows", rows),
    ("http", sockets::http),
    ("tcp", sockets::tcp),
    ("websocket-handshake", sockets::websocket_handshake),
    ("websocket-frames", sockets::websocket_frames),
    ("socketio", sockets::socketio),
    ("polling", sockets::polling),
    ("prometheus", sockets::prometheus),
];

/// A profile: read, resolved, and if it is right described; else all that is wrong with it is shown.
fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let env = Env::from_iter([("WORD", "eleven"), ("EMPTY", ""), ("API_TOKEN", "s3cr3t-of-a-test")]);
    match plan::load_text(Path::new("fuzz.yml"), text.to_owned(), &env, &[], plan::Options::default()) {
        Ok((plan, warnings)) => {
            let described = plan::describe(&plan);
            let shown: usize = warnings.iter().map(|warning| warning.render(false).len()).sum();
            std::hint::black_box((described, shown));
        }
        Err(problems) => {
            assert!(problems.errors() > 0, "refused without a reason");
            std::hint::black_box(problems.render(false));
        }
    }
}

/// A text as a template, as an expression, and as JSON in whose texts templates stand; evaluated for a user.
fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut compiler = Compiler::new();
    let mut names = Names::new();
    let mut scope = Scope::new(Arc::new(ScenarioValues::default()), 4);
    scope.begin_iteration(1);
    scope.set_phase("steady");
    let list: Vec<Value> = vec![Value::from(1), Value::from("two"), Value::from(3.5)];
    let row = Value::from_pairs([("name", Value::from("ann")), ("list", Value::from(list.clone()))]);
    for (name, value) in [
        ("a", Value::from(5)),
        ("b", Value::from("text")),
        ("list", Value::from(list)),
        ("row", row),
        ("nothing", Value::from(())),
    ] {
        names.variable(name);
        scope.assign(compiler.symbol(name), value);
    }
    scope.set_response(answer(br#"{"id": 7, "items": [{"name": "x"}, {"name": null}]}"#));
    if let Ok(template) = compiler.template(text, &names) {
        let _ = template.value(&scope);
        let _ = template.text(&scope, &mut String::new());
    }
    if let Ok(expression) = compiler.expression(text, &names) {
        let _ = expression.value(&scope);
        let _ = expression.truth(&scope);
        let _ = expression.number(&scope);
    }
    if let Ok(json) = serde_json::from_str(text)
        && let Ok(template) = compiler.json(&json, &names)
    {
        let _ = template.render(&scope);
    }
}

/// A first line that says what to look for, and an answer to look in: `json $.id`, `all $..id`, `regex id=(\d+)`, `header x-id`.
fn extraction(data: &[u8]) {
    let (line, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b""[..]),
    };
    let Ok(line) = std::str::from_utf8(line) else { return };
    let (kind, wanted) = line.split_once(' ').unwrap_or((line, ""));
    let made = match kind {
        "json" => Extract::json(wanted, false, true),
        "all" => Extract::json(wanted, true, false),
        "header" => Extract::header(wanted, false),
        _ => Extract::regex(wanted, false),
    };
    let Ok(extract) = made else { return };
    let mut scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
    scope.set_response(answer(body));
    if let Some(response) = scope.response() {
        let _ = extract.from_response(response);
    }
}

/// What an exporter answers, in both grammars.
fn exposition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for format in [Format::Text, Format::OpenMetrics] {
        if let Ok(read) = Exposition::parse(text, format) {
            for sample in &read.samples {
                let _ = (read.type_of(&sample.name), read.kind_of(&sample.name));
            }
        }
    }
}

/// A file of rows, as CSV.
fn csv(data: &[u8]) {
    look_at(Table::csv(data.to_vec()));
}

/// The same as JSON.
fn rows(data: &[u8]) {
    look_at(Table::json(data.to_vec()));
}

fn look_at<E: std::fmt::Debug>(table: Result<Table, Vec<E>>) {
    match table {
        Ok(table) => {
            let rows = Rows::new(&Arc::new(table));
            (0..rows.len()).for_each(|row| drop(std::hint::black_box(rows.get(row).to_string())));
        }
        Err(flaws) => assert!(!flaws.is_empty(), "refused without a reason"),
    }
}

fn answer(body: &[u8]) -> Response {
    Response { status: 200, body: body.to_vec().into(), ..Response::default() }
}
