//! What rendering a request costs: with four expressions (URL, query, header, JSON body) less than 5 µs; without any, nothing
//! is rendered and nothing allocated. Fails above that; `scripts/bench` runs it.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::Method;
use load_exporter::expr::{Compiler, Names, ScenarioValues, Scope, Template, Value};
use load_exporter::protocol::http::{Body, Request, Spec};

/// The budget of one request with four expressions, in nanoseconds.
const BUDGET: f64 = 5000.0;
/// Requests of a round.
const REQUESTS: usize = 10_000;
const ROUNDS: usize = 50;

/// Counts allocations; the system's allocator does the work.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A user in mid-iteration, who has a token, a list to pick from and a row of data.
fn user(compiler: &mut Compiler) -> Scope {
    let mut scope = Scope::new(Arc::new(ScenarioValues { seed: 42, ..ScenarioValues::default() }), 7);
    scope.set_phase("steady");
    scope.begin_iteration(3);
    let channels: Vec<Value> = (0..100).map(|n| Value::from(format!("channel-{n}"))).collect();
    let account = Value::from_pairs([("name", Value::from("account-7")), ("id", Value::from(1007))]);
    let values = [("channels", Value::from(channels)), ("account", account), ("order", Value::from("0b7e8c2a-5d19-4c1e"))];
    for (name, value) in values {
        scope.assign(compiler.symbol(name), value);
    }
    scope
}

/// A request with one expression each in its URL, its query, a header and its body.
fn varying(compiler: &mut Compiler) -> Request {
    let mut names = Names::new();
    ["channels", "account", "order"].into_iter().for_each(|name| names.variable(name));
    let mut template = |text: &str| compiler.template(text, &names).expect("a template");
    let mut spec = Spec::new(Method::POST, template("/orders/{{ order }}/votes"));
    spec.base_url = Some(Template::literal("http://127.0.0.1:8080"));
    spec.query = vec![("channel".to_owned(), template("{{ pick(channels) }}")), ("page".to_owned(), template("2"))];
    spec.headers = vec![
        (http::header::ACCEPT, template("application/json")),
        (http::header::AUTHORIZATION, template("Bearer {{ account.name }}")),
    ];
    let body = serde_json::json!({"weight": "{{ random_int(1, 5) }}", "kind": "vote", "tags": ["a", "b"], "note": null});
    spec.body = Body::Json(compiler.json(&body, &names).expect("JSON"));
    Request::new(spec).expect("a request")
}

/// The same without expressions.
fn constant(compiler: &mut Compiler) -> Request {
    let names = Names::new();
    let mut spec = Spec::new(Method::POST, Template::literal("/orders/7/votes"));
    spec.base_url = Some(Template::literal("http://127.0.0.1:8080"));
    spec.query = vec![("channel".to_owned(), Template::literal("channel-1"))];
    spec.headers = vec![(http::header::AUTHORIZATION, Template::literal("Bearer account-7"))];
    spec.body = Body::Json(compiler.json(&serde_json::json!({"weight": 3, "kind": "vote"}), &names).expect("JSON"));
    Request::new(spec).expect("a request")
}

/// Nanoseconds a request, and allocations of all.
fn round(request: &Request, scope: &Scope) -> (f64, u64) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let started = Instant::now();
    for _ in 0..REQUESTS {
        black_box(black_box(request).prepare(black_box(scope)).expect("rendered"));
    }
    let nanoseconds = started.elapsed().as_nanos() as f64 / REQUESTS as f64;
    (nanoseconds, ALLOCATIONS.load(Ordering::Relaxed) - before)
}

/// The median of the rounds.
fn measure(request: &Request, scope: &Scope, rounds: usize) -> (f64, u64) {
    let mut all: Vec<(f64, u64)> = (0..rounds).map(|_| round(request, scope)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all[all.len() / 2]
}

fn main() {
    // `cargo test --benches` would pass --test: then one round shows that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let mut compiler = Compiler::new();
    let scope = user(&mut compiler);
    let (varying, constant) = (varying(&mut compiler), constant(&mut compiler));
    // Whatever is made at first use is made here.
    round(&varying, &scope);
    let (nanoseconds, allocations) = measure(&varying, &scope, rounds);
    let (nothing, allocated) = measure(&constant, &scope, rounds);
    println!(
        "rendering a request with four expressions: {nanoseconds:.0} ns and {:.1} allocations (median of {rounds} rounds); budget {BUDGET} ns",
        allocations as f64 / REQUESTS as f64
    );
    println!("rendering one without expressions: {nothing:.1} ns, {allocated} allocations; budget 0");
    let within = rounds == 1 || nanoseconds < BUDGET;
    if allocated > 0 || !within {
        println!("rendering is over its budget");
        std::process::exit(1);
    }
}
