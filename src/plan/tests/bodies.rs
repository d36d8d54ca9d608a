//! Whose answers' bodies are kept: those that something reads.

use super::*;

/// The paths of the requests whose answers' bodies are kept, in all flows of a profile.
fn kept(scenarios: &str, rest: &str) -> String {
    let plan = plan_with(
        &format!(
            "name: test\ndefaults: {{http: {{base_url: 'http://127.0.0.1:1'}}}}\nscenarios: {scenarios}\n\
             phases: [{{name: p, duration: 1s, load: {{a: {{users: 1}}}}}}]\n{rest}\n"
        ),
        &[],
    );
    let stages = [&plan.hooks.setup, &plan.hooks.verify, &plan.hooks.teardown];
    let flows = plan.scenarios.iter().flat_map(|scenario| scenario.flows());
    let mut kept = Vec::new();
    for flow in flows.chain(stages.into_iter().flatten().map(|stage| &stage.flow)) {
        flow.each(&mut |step| {
            if let StepKind::Http(http) = &step.kind
                && http.request.spec().reads_body
            {
                kept.push(http.name.clone());
            }
        });
    }
    kept.join(" ")
}

fn get(name: &str) -> String {
    format!("{{http: {{get: /{name}, name: {name}}}}}")
}

/// A request that looks at its own answer.
fn looks(name: &str) -> String {
    format!("{{http: {{get: /{name}, name: {name}, check: {{c: response.json.x == 1}}}}}}")
}

/// A step that looks at the last answer.
const READS: &str = "{set: {x: response.json.x}}";

#[test]
fn a_step_reads_its_own_answer() {
    let reads = |step: &str| !kept(&format!("{{a: {{flow: [{{http: {{get: /, name: a, {step}}}}}]}}}}"), "").is_empty();
    for reading in [
        "check: {a: response.json.x == 1}",
        "expect: {that: response.body != 'x'}",
        "extract: {b: $.id}",
        "extract: {b: {regex: 'x=(.)'}}",
    ] {
        assert!(reads(reading), "{reading}");
    }
    for other in ["check: {a: response.status == 200}", "check: {a: response.sha256 != ''}", "extract: {b: {header: x}}"] {
        assert!(!reads(other), "{other}");
    }
}

#[test]
fn what_others_read_is_no_business_of_a_step() {
    let (a, b, c, d) = (get("a"), get("b"), get("c"), looks("d"));
    for (flow, wanted) in [
        (format!("[{a}, {b}]"), ""),
        (format!("[{a}, {d}, {b}]"), "d"),
        (format!("[{a}, {b}, {READS}, {c}]"), "b"),
        (format!("[{a}, {{http: {{get: \"/{{{{ response.json.next }}}}\", name: b}}}}, {c}]"), "a"),
        (format!("[{a}, {{if: response.json.x, http: {{get: /b, name: b}}}}, {READS}]"), "a b"),
        (format!("[{a}, {{if: response.status == 1, http: {{get: /b, name: b}}}}, {READS}]"), "a b"),
        (format!("[{a}, {{group: {{name: g, flow: [{READS}, {b}]}}}}, {c}]"), "a"),
        (format!("[{a}, {{group: {{name: g, flow: [{b}, {c}]}}}}, {READS}]"), "c"),
        (format!("[{a}, {{choose: [{{weight: 1, flow: [{b}]}}, {{weight: 1, flow: []}}]}}, {READS}]"), "a b"),
        (format!("[{a}, {{repeat: {{times: 2, flow: [{READS}, {b}, {c}]}}}}]"), "a c"),
        (format!("[{a}, {{repeat: {{while: response.json.more, flow: [{b}, {c}]}}}}]"), "a c"),
        (format!("[{a}, {{call: s}}]"), "a c"),
        (
            format!("[{{group: {{name: g, flow: [{b}, {{set: {{x: nope + 1}}}}, {c}]}}, on_error: continue}}, {READS}]")
                .replace("nope", "user"),
            "b c",
        ),
        (
            format!(
                "[{{websocket: {{connect: 'ws://127.0.0.1:1/', name: w, on: [{{count: {{n_total: response.json.x}}}}], session: [{b}, {c}]}}}}]"
            ),
            "b c",
        ),
    ] {
        let scenarios = format!("{{a: {{flow: {flow}}}, s: {{flow: [{READS}, {c}, {READS}]}}, other: {{flow: [{d}]}}}}");
        let found = kept(&scenarios, "metrics: {n_total: {type: counter, help: N.}}");
        // That of the other scenario, and of the one that is called, is its own.
        let own = |wanted: &str| [wanted, "c", "d"].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let called = if flow.contains("call") { format!("{wanted} d") } else { own(wanted) };
        assert_eq!(found, called, "{flow}");
    }
}

#[test]
fn what_is_done_once_and_what_all_have_in_common_count_too() {
    let (a, b) = (get("a"), get("b"));
    let plain = format!("{{a: {{start: {b}, flow: [{a}], stop: {b}}}}}");
    assert_eq!(kept(&plain, ""), "");
    assert_eq!(kept(&plain, "x-later: \"{{ response.json }}\""), "", "nobody uses it");
    assert_eq!(kept(&plain, &format!("verify: {{flow: [{b}, {READS}]}}")), "b");
    let defaults = "{a: {defaults: {http: {headers: {x: \"{{ response.json.x }}\"}}}, flow: [{http: {get: /, name: a}}]}}";
    assert_eq!(kept(defaults, ""), "a");
}
