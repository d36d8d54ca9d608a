//! Flows within flows: the labels that they bring along, whose defaults hold, and what SLOs make of groups.

use std::path::Path;
use std::time::Duration;

use crate::flow::{HttpStep, OnError, Step, StepKind};
use crate::measure::OwnId;
use crate::plan::{Options, Plan, load_text};
use crate::profile::Env;
use crate::verdict::Subject;

fn plan(scenarios: &str, rest: &str) -> Plan {
    let text = format!(
        "name: test\ndefaults: {{on_error: continue, http: {{base_url: \"http://127.0.0.1:8080\", timeout: 5s}}}}\nscenarios: {scenarios}\n\
         phases: [{{name: one, duration: 10s, load: {{a: {{users: 1}}}}}}]\n{rest}"
    );
    match load_text(Path::new("test.yml"), text, &Env::from_iter([("NEXT", "/next")]), &[], Options::default()) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems}"),
    }
}

/// All steps of the first scenario, nested ones too.
fn steps(plan: &Plan) -> Vec<&Step> {
    let mut steps = Vec::new();
    plan.scenarios[0].flow.each(&mut |step| steps.push(step));
    steps
}

fn requests(plan: &Plan) -> Vec<&HttpStep> {
    steps(plan).into_iter().filter_map(|step| if let StepKind::Http(http) = &step.kind { Some(&**http) } else { None }).collect()
}

#[test]
fn groups_are_labels_of_what_stands_in_them() {
    let plan = plan(
        "{a: {flow: [
            {http: {get: /x}},
            {group: {name: outer, flow: [{http: {get: /x}}, {group: {name: inner, flow: {http: {get: /y}}}}]}},
            {maybe: {chance: 50%, flow: {group: {name: outer, flow: {http: {get: /x}}}}}}]}}",
        "",
    );
    let groups: Vec<&str> = plan.layout.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(groups, ["outer", "outer/inner"]);
    let labels: Vec<_> = plan.layout.steps.iter().map(|step| (step.name.as_str(), step.group.as_deref())).collect();
    assert_eq!(labels, [("GET /x", None), ("GET /x", Some("outer")), ("GET /y", Some("outer/inner"))]);
    // The same request in both groups of one name is one step.
    let ids: Vec<usize> = requests(&plan).iter().map(|request| request.id.index()).collect();
    assert_eq!(ids, [0, 1, 2, 1]);
}

#[test]
fn a_called_flow_has_its_own_defaults_and_its_callers_labels() {
    let plan = plan(
        "{a: {defaults: {http: {timeout: 1s}}, flow: [{call: b}, {http: {get: /a}}, {repeat: {times: 2, flow: {call: b}}}]},
          b: {defaults: {on_error: end_user, http: {timeout: 2s}}, flow: [{http: {get: \"/{{ x }}\", name: b}}, {set: {x: user}}]}}",
        "",
    );
    let timeouts: Vec<Duration> = requests(&plan).iter().map(|request| request.request.timeout()).collect();
    assert_eq!(timeouts, [2, 1, 2].map(Duration::from_secs));
    let on_error: Vec<OnError> = steps(&plan).iter().map(|step| step.on_error).collect();
    use OnError::{Continue, EndUser};
    assert_eq!(on_error, [Continue, EndUser, EndUser, Continue, Continue, Continue, EndUser, EndUser]);
    // Called twice it is one step, of the scenario that calls.
    let of_a = plan.layout.steps.iter().filter(|step| step.scenario.index() == 0).map(|step| step.name.as_str());
    assert_eq!(of_a.collect::<Vec<_>>(), ["b", "GET /a"]);
}

#[test]
fn what_fails_in_an_attempt_ends_the_attempt() {
    let plan = plan("{a: {flow: {eventually: {within: 9s, flow: [{http: {get: /x}}, {set: {x: 1}, on_error: abort_run}]}}}}", "");
    let on_error: Vec<OnError> = steps(&plan).iter().map(|step| step.on_error).collect();
    assert_eq!(on_error, [OnError::Continue, OnError::EndIteration, OnError::AbortRun]);
}

#[test]
fn slos_judge_groups_and_what_stands_in_them() {
    let plan = plan(
        "{a: {flow: [{group: {name: g, flow: [{http: {get: /x, check: {c: response.ok}}}, {group: {name: h, flow: {http: {get: /y}}}}]}}, {http: {get: /z}}]},
          b: {flow: {group: {name: g, flow: {http: {get: /x}}}}}}",
        "slos:
           - {name: whole, of: group, group: g/h, require: p95 < 2s}
           - {name: within, group: g, scenario: a, require: [p95 < 1s, checks > 99%]}
           - {name: each, of: group, each: group, require: p95 < 3s}
           - {name: steps, each: group, scenario: a, require: p95 < 3s}",
    );
    let of = |name: &str| {
        let slo = plan.slos.iter().find(|slo| slo.name == name).unwrap_or_else(|| panic!("{name}: {:?}", plan.slos));
        let Subject::Traffic(traffic) = &slo.subject else { panic!("{slo:?}") };
        let groups: Vec<usize> = traffic.groups.iter().map(|group| group.index()).collect();
        let steps: Vec<usize> = traffic.steps.iter().map(|step| step.index()).collect();
        (groups, steps, traffic.scenarios.len(), traffic.checks.len())
    };
    assert_eq!(of("whole"), (vec![1], vec![1], 1, 0));
    assert_eq!(of("within"), (vec![], vec![0, 1], 1, 1));
    assert_eq!(of("each/a/g").0, [0]);
    assert!(!plan.slos.iter().any(|slo| slo.name == "each/b/g"), "no phase loads it");
    assert_eq!(of("each/g/h").0, [1]);
    assert_eq!(of("steps/g").1, [0, 1]);
    assert_eq!(of("steps/g/h").1, [1]);
    assert_eq!(plan.layout.groups[1].thresholds, [2.0, 3.0]);
}

#[test]
fn requests_without_a_name_are_called_by_method_and_path() {
    for (url, name) in [
        ("/x?a=http://h/y", "GET /x"),
        ("?a=/y", "GET /"),
        ("/x#y", "GET /x"),
        ("http://h", "GET /"),
        ("http://h?next=/y", "GET /"),
        ("http://ann:s3cret@h:81/x/?y", "GET /x/"),
        ("http://{{ user / 2 }}.h/x", "GET /x"),
        ("/{{ user if user > 1 else '?' }}/x?y={{ user }}", "GET /{{ user if user > 1 else '?' }}/x"),
        ("{{ env.NEXT }}", "GET {{ env.NEXT }}"),
    ] {
        let plan = plan(&format!("{{a: {{flow: [{{http: {{get: \"{url}\"}}}}]}}}}"), "");
        assert_eq!(plan.layout.steps[0].name, name, "{url}");
    }
}

#[test]
fn behind_which_step_an_iteration_puts_nothing_more_into_a_metric() {
    let names = ["of_start", "once", "turns", "late", "messages", "heard", "tries", "of_stop"];
    let metrics: String = names.iter().map(|name| format!("{name}_total: {{type: counter}}, ")).collect();
    let plan = plan(
        "{a: {
          start: [{count: {of_start_total: 1, once_total: 1}}],
          flow: [
            {think: 1s}, {count: {once_total: 1}}, {repeat: {times: 2, flow: [{count: {turns_total: 1}}, {think: 1s}]}},
            {websocket: {connect: 'ws://h/', on: [{count: {messages_total: 1}}], session: [{send: x}, {count: {late_total: 1}}, {listen: {for: 1s, on: [{count: {heard_total: 1}}]}}, {hold: 1s}]}},
            {eventually: {within: 9s, flow: [{count: {tries_total: 1}}, {http: {get: 'http://h/'}}]}}, {think: 1s}],
          stop: [{count: {of_stop_total: 1}}]}}",
        &format!("metrics: {{{}}}", metrics.trim_end_matches(", ")),
    );
    let mut numbers = Vec::new();
    plan.scenarios[0].flow.each(&mut |step| numbers.push(step.number));
    assert_eq!(numbers, (2..=15).collect::<Vec<u32>>(), "one is the start's");
    let own = |name: &str| plan.layout.own.iter().position(|own| own.name == format!("{name}_total")).unwrap();
    let last = |name: &str| plan.scenarios[0].amounts.get(&OwnId::at(own(name))).copied();
    let found = names.map(last);
    assert_eq!(found, [None, Some(3), Some(6), Some(9), Some(11), Some(10), Some(14), Some(u32::MAX)]);
}
