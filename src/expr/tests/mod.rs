//! Tests of expressions as a profile's author meets them, by subject.

mod functions;
mod loading;
mod strictness;
mod templates;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::{Compiler, EvalError, Names, Response, ScenarioValues, Scope, Value, from_json};

/// A compiler, its names and a scope with variables `a`, `b`, … that tests set, and `nothing`, which is known but never set.
pub(super) struct Bench {
    pub(super) compiler: Compiler,
    pub(super) names: Names,
    pub(super) scope: Scope,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut names = Names::new();
        for name in ["a", "b", "c", "nothing", "list"] {
            names.variable(name);
        }
        let shared =
            ScenarioValues { seed: 42, shard: 3, env: Value::from_pairs([("REGION", "west")]), ..ScenarioValues::default() };
        let mut scope = Scope::new(Arc::new(shared), 7);
        scope.set_phase("steady");
        scope.begin_iteration(11);
        Self { compiler: Compiler::new(), names, scope }
    }

    /// A bench whose last answer had this body.
    pub(super) fn answered(status: u16, body: &'static str) -> Self {
        let mut bench = Self::new();
        let mut response = Response { status, body: Bytes::from_static(body.as_bytes()), duration: 0.25, ..Response::default() };
        response.headers.insert("x-request-id", http::HeaderValue::from_static("r-1"));
        response.headers.append("via", http::HeaderValue::from_static("one"));
        response.headers.append("via", http::HeaderValue::from_static("two"));
        bench.scope.set_response(response);
        bench
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        let symbol = self.compiler.symbol(name);
        self.scope.assign(symbol, value.into());
    }

    pub(super) fn set_json(&mut self, name: &str, value: serde_json::Value) {
        self.set(name, from_json(&value));
    }

    pub(super) fn value(&mut self, text: &str) -> Result<Value, EvalError> {
        let compiled = self.compiler.expression(text, &self.names).unwrap_or_else(|error| panic!("{text}: {error}"));
        compiled.value(&self.scope)
    }

    pub(super) fn truth(&mut self, text: &str) -> Result<bool, EvalError> {
        let compiled = self.compiler.expression(text, &self.names).unwrap_or_else(|error| panic!("{text}: {error}"));
        compiled.truth(&self.scope)
    }

    pub(super) fn text(&mut self, text: &str) -> Result<String, EvalError> {
        let compiled = self.compiler.template(text, &self.names).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut out = String::new();
        compiled.text(&self.scope, &mut out)?;
        Ok(out)
    }

    pub(super) fn json(&mut self, value: serde_json::Value) -> Result<String, EvalError> {
        let compiled = self.compiler.json(&value, &self.names).unwrap_or_else(|error| panic!("{value}: {error}"));
        compiled.render(&self.scope).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }
}

#[test]
fn the_answer_is_readable() {
    let mut bench = Bench::answered(201, r#"{"id": 7, "items": [{"n": null}, {"n": 2}], "z": 1, "a": 2}"#);
    for holds in [
        "response.status == 201",
        "response.ok",
        "response.json.id == 7",
        "response.json.items[1].n == 2",
        "response.json['items'] | length == 2",
        "response.json.items[0].n is none",
        "response.json.items[-1].n == 2",
        "response.headers['X-Request-ID'] == 'r-1'",
        "response.headers.via == 'one, two'",
        "'r-' in response.headers['x-request-id']",
        "response.duration < 0.5",
        "response.error is undefined",
        "response.body is startingwith '{'",
        "response.sha256 == sha256(response.body)",
        "response.json.missing.deeper is undefined",
        "user == 7 and iteration == 11 and phase == 'steady' and shard == 3 and env.REGION == 'west'",
    ] {
        assert_eq!(bench.truth(holds), Ok(true), "{holds}");
    }
    // Keys keep their order on the way back out.
    assert_eq!(bench.json(json!("{{ response.json }}")).unwrap(), r#"{"id":7,"items":[{"n":null},{"n":2}],"z":1,"a":2}"#);
}

#[test]
fn without_an_answer_the_status_is_0() {
    let mut bench = Bench::new();
    assert_eq!(bench.truth("response.status == 0 and not response.ok"), Ok(true));
    assert_eq!(bench.truth("response.json is undefined"), Ok(true));
    let mut bench = Bench::answered(200, "no json");
    assert_eq!(bench.truth("response.json is undefined and response.body == 'no json'"), Ok(true));
    assert!(bench.truth("response.json.id == 1").is_err());
}

#[test]
fn inner_layers_hide_outer_ones_and_iterations_forget() {
    use super::Layer;
    let mut bench = Bench::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| bench.compiler.symbol(name));
    let shared = ScenarioValues {
        vars: vec![(a, 1.into()), (b, 1.into()), (c, 1.into())],
        setup: vec![(b, 2.into())],
        ..ScenarioValues::default()
    };
    bench.scope = Scope::new(Arc::new(shared), 0);
    bench.scope.begin_start();
    bench.scope.assign(c, 3.into());
    bench.scope.begin_iteration(0);
    assert_eq!(bench.text("{{ a }}{{ b }}{{ c }}").unwrap(), "123");
    bench.scope.assign(a, 4.into());
    bench.scope.set(Layer::Start, b, 5.into());
    assert_eq!(bench.text("{{ a }}{{ b }}{{ c }}").unwrap(), "453");
    bench.scope.unset(c);
    assert_eq!(bench.truth("c is undefined"), Ok(true));
    bench.scope.begin_iteration(1);
    assert_eq!(bench.text("{{ a }}{{ b }}{{ c }}").unwrap(), "153");
    bench.scope.begin_start();
    assert_eq!(bench.text("{{ a }}{{ b }}{{ c }}").unwrap(), "121");
}

#[test]
fn compiled_programs_go_to_other_threads_and_outlive_their_compiler() {
    fn assert_shared<T: Send + Sync + 'static>(_: &T) {}
    let mut bench = Bench::new();
    let template = bench.compiler.template("{{ user | string | upper }}", &bench.names).unwrap();
    let json = bench.compiler.json(&json!({"a": "{{ user }}"}), &bench.names).unwrap();
    let expression = bench.compiler.expression("user", &bench.names).unwrap();
    assert_shared(&template);
    assert_shared(&json);
    assert_shared(&expression);
    drop(bench);
    let copy = template.clone();
    let text = std::thread::spawn(move || {
        let mut out = String::new();
        copy.text(&Scope::new(Arc::new(ScenarioValues::default()), 5), &mut out).map(|()| out)
    });
    assert_eq!(text.join().unwrap().unwrap(), "5");
}
