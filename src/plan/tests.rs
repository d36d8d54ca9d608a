//! A profile's text in, a plan out: what its keys mean.

mod bodies;
mod empty;
mod scale;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::expr::{ScenarioValues, Scope, Template};
use crate::flow::{HttpStep, OnError, StepKind};
use crate::load::{Iterations, Load, OnBusy};
use crate::measure::{Layout, PhaseId, ScenarioId};
use crate::profile::Env;
use crate::protocol::http::{Body, Connections};
use crate::verdict::{Over, Subject};

fn plan_with(text: &str, env: &[(&str, &str)]) -> Plan {
    let env = Env::from_iter(env.iter().copied());
    match load_text(Path::new("test.yml"), text.to_owned(), &env, &[], Options::default()) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems}"),
    }
}

/// A plan with these scenarios and phases, and what else stands at the top.
fn plan(scenarios: &str, phases: &str, rest: &str) -> Plan {
    plan_with(
        &format!(
            "name: test\ndefaults: {{http: {{base_url: \"http://127.0.0.1:8080\"}}}}\nscenarios: {scenarios}\nphases: {phases}\n{rest}"
        ),
        &[],
    )
}

const A: &str = "{a: {flow: {http: {get: /}}}}";
const AB: &str = "{a: {flow: {http: {get: /a}}}, b: {flow: {http: {get: /b}}}}";
const ONE: &str = "[{name: one, duration: 10s, load: {a: {users: 1}}}]";

fn load_of(plan: &Plan, phase: usize, scenario: usize) -> &Load {
    plan.phases[phase].load(ScenarioId::at(scenario)).expect("no load")
}

/// The levels of a load at these seconds.
fn levels(plan: &Plan, phase: usize, scenario: usize, seconds: &[f64]) -> Vec<f64> {
    let shape = load_of(plan, phase, scenario).shape();
    seconds.iter().map(|s| shape.level(Duration::from_secs_f64(*s))).collect()
}

fn http(plan: &Plan, scenario: usize, step: usize) -> &HttpStep {
    match &plan.scenarios[scenario].flow.steps[step].kind {
        StepKind::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ramps_go_on_from_the_level_before_over_stages_and_phases() {
    let plan = plan(
        A,
        "[{name: up, duration: 10s, load: {a: {users: 0 -> 10}}},
          {name: more, stages: [
             {duration: 10s, load: {a: {users: -> 30}}},
             {duration: 0s, load: {a: {users: 7}}},
             {duration: 10s, load: {a: {users: -> 0}}},
             {duration: 10s},
             {duration: 10s, load: {a: {users: -> 4}}}]},
          {name: quiet, duration: 10s},
          {name: again, duration: 10s, load: {a: {users: -> 10}}}]",
        "",
    );
    assert_eq!(levels(&plan, 0, 0, &[0.0, 5.0]), [0.0, 5.0]);
    // From 10 to 30; the empty stage jumps to 7, from where it goes down; then nothing; then from 0 again.
    assert_eq!(levels(&plan, 1, 0, &[0.0, 5.0, 10.0, 15.0, 25.0, 35.0]), [10.0, 20.0, 7.0, 3.5, 0.0, 2.0]);
    assert_eq!(plan.phases[1].duration, Duration::from_secs(40));
    assert!(plan.phases[2].loads.is_empty());
    assert_eq!(levels(&plan, 3, 0, &[0.0, 5.0]), [0.0, 5.0]);
    assert_eq!(plan.layout.active, [(PhaseId(0), ScenarioId(0)), (PhaseId(1), ScenarioId(0)), (PhaseId(3), ScenarioId(0))]);
}

#[test]
fn open_loads_have_pools_bursts_and_spacing() {
    let plan = plan(
        A,
        "[{name: r, duration: 10s, load: {a: {rate: 60/m -> 3/s, users: 4, max_users: 9, on_busy: {wait: 2s}}}},
          {name: b, duration: 10s, load: {a: {at_once: 50}}},
          {name: d, duration: 10s, load: {a: {rate: 10/s, arrivals: poisson}}}]",
        "seed: 7",
    );
    match load_of(&plan, 0, 0) {
        Load::Open { arrivals, users: 4, max_users: 9, in_turn: 4, on_busy: OnBusy::Wait(wait) } => {
            assert_eq!((arrivals.total(), *wait), (20, Duration::from_secs(2)));
        }
        other => panic!("{other:?}"),
    }
    match load_of(&plan, 1, 0) {
        Load::Open { arrivals, users, max_users, .. } => {
            assert_eq!((arrivals.total(), *users, *max_users), (50, 50, 50));
        }
        other => panic!("{other:?}"),
    }
    // 10/s for 30s at most, the time limit of the one request.
    assert!(matches!(load_of(&plan, 2, 0), Load::Open { users: 10, max_users: 300, in_turn: 0, .. }));
}

#[test]
fn closed_loads_count_and_pace() {
    let plan = plan(
        A,
        "[{name: e, duration: 10s, load: {a: {users: 5, iterations: 3, pacing: 2s}}, drain: 1s, judge: false},
          {name: t, duration: 10s, load: {a: {users: 5, total_iterations: 3}}}]",
        "",
    );
    let counted = |phase| match load_of(&plan, phase, 0) {
        Load::Closed { iterations, pacing, .. } => (*iterations, *pacing),
        other => panic!("{other:?}"),
    };
    assert_eq!(counted(0), (Some(Iterations::Each(3)), Some(Duration::from_secs(2))));
    assert_eq!(counted(1), (Some(Iterations::Total(3)), None));
    assert_eq!((plan.phases[0].drain, plan.phases[0].judge), (Duration::from_secs(1), false));
    assert_eq!((plan.phases[1].drain, plan.phases[1].judge), (DRAIN, true));
}

#[test]
fn split_apportions_by_the_largest_remainder_and_scale_multiplies() {
    let phases = "[{name: u, duration: 100s, split: {a: 2, b: 1}, load: {users: 1 -> 10}},
                   {name: r, duration: 100s, split: {a: 75, b: 25}, load: {rate: 100/s, max_users: 10}}]";
    let full = plan(AB, phases, "");
    assert_eq!(levels(&full, 0, 0, &[0.0]), [1.0]);
    assert_eq!(levels(&full, 0, 1, &[0.0]), [0.0]);
    assert_eq!((load_of(&full, 0, 0).shape().max(), load_of(&full, 0, 1).shape().max()), (7.0, 3.0));
    assert_eq!((levels(&full, 1, 0, &[1.0]), levels(&full, 1, 1, &[1.0])), (vec![75.0], vec![25.0]));
    let pools = |plan: &Plan| (load_of(plan, 1, 0).max_users(), load_of(plan, 1, 1).max_users());
    assert_eq!(pools(&full), (8, 2));
    let small = plan(AB, phases, "scale: {load: 10%, time: 5%}");
    assert_eq!(small.phases[0].duration, Duration::from_secs(5));
    assert_eq!((levels(&small, 1, 0, &[1.0]), levels(&small, 1, 1, &[1.0])), (vec![7.5], vec![2.5]));
    // A user is a user: 10% of 1 is still one, else a small trial would try nothing.
    assert_eq!(levels(&small, 0, 0, &[0.0]), [1.0]);
}

#[test]
fn the_nearest_defaults_count_and_headers_add_up() {
    let plan = plan_with(
        "name: test
defaults: {on_error: end_user, http: {base_url: 'http://127.0.0.1:1', timeout: 5s, redirects: 2, headers: {A: general, B: general}}}
scenarios:
  a:
    defaults: {on_error: continue, http: {timeout: 3s, headers: {b: scenario, authorization: 'Bearer ${EMPTY:-}'}}}
    flow:
      - http: {get: '/x?y=1', headers: {C: step}}
      - {http: {get: /x, timeout: 1s, cookies: false, connections: {shared: 4}}, on_error: abort_run}
  b: {flow: {http: {post: /, json: {n: 1}, reuse: false}}}
phases: [{name: p, duration: 1s, load: {a: {users: 1}, b: {users: 1}}}]",
        &[],
    );
    let first = http(&plan, 0, 0).request.spec();
    let headers: Vec<(String, String)> = first
        .headers
        .iter()
        .map(|(name, value)| match value {
            Template::Static(text) => (name.to_string(), text.to_string()),
            Template::Dynamic(..) => panic!("{name} varies"),
        })
        .collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(headers, [pair("c", "step"), pair("b", "scenario"), pair("a", "general")]);
    assert_eq!((first.timeout, first.redirects, first.cookies), (Duration::from_secs(3), 2, true));
    let second = http(&plan, 0, 1).request.spec();
    assert_eq!((second.timeout, second.cookies, second.connections), (Duration::from_secs(1), false, Connections::Shared(4)));
    assert_eq!(http(&plan, 1, 0).request.spec().connections, Connections::Fresh);
    assert!(matches!(&http(&plan, 1, 0).request.spec().body, Body::Json(json) if json.is_static()));
    let on_error = |scenario: usize, step: usize| plan.scenarios[scenario].flow.steps[step].on_error;
    assert_eq!([on_error(0, 0), on_error(0, 1), on_error(1, 0)], [OnError::Continue, OnError::AbortRun, OnError::EndUser]);
    // Method and path as written, without the query; the same name is one step.
    assert_eq!(plan.layout.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["GET /x", "POST /"]);
}

#[test]
fn names_of_steps_keep_what_varies_as_it_is_written() {
    let plan = plan_with(
        "name: test
scenarios: {a: {flow: [{http: {get: '${HOST}/a/{{ user }}?q={{ iteration }}'}}, {http: {get: 'http://127.0.0.1'}}]}}
phases: [{name: p, duration: 1s, load: {a: {users: 1}}}]",
        &[("HOST", "http://10.0.0.1")],
    );
    assert_eq!(
        plan.layout.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
        ["GET ${HOST}/a/{{ user }}", "GET /"]
    );
}

#[test]
fn values_of_the_environment_are_retyped_and_never_templates() {
    let plan = plan_with(
        "name: test
defaults: {http: {base_url: 'http://127.0.0.1:1'}}
vars: {count: '${COUNT}', text: 'n${COUNT}', flag: '${FLAG:-true}', gone: '${NOTHING:-}', list: [a, '${EVIL}'], quoted: '5'}
scenarios: {a: {flow: {http: {post: /, body: '{{ user }} ${EVIL}', json: '${NOTHING:-}'}}}}
phases: [{name: p, duration: '${COUNT}s', load: {a: {users: '${COUNT}'}}}]",
        &[("COUNT", "12"), ("EVIL", "{{ 1 + 1 }}"), ("NOTHING", "")],
    );
    let values: Vec<String> = plan.vars.iter().map(|(_, value)| format!("{value:?}")).collect();
    assert_eq!(values, ["12", "'n12'", "True", "None", "['a', '{{ 1 + 1 }}']", "'5'"]);
    assert_eq!(plan.phases[0].duration, Duration::from_secs(12));
    let Body::Text(template) = &http(&plan, 0, 0).request.spec().body else { panic!("no text") };
    let mut text = String::new();
    template.text(&Scope::new(std::sync::Arc::new(ScenarioValues::default()), 3), &mut text).unwrap();
    assert_eq!(text, "3 {{ 1 + 1 }}");
}

#[test]
fn slos_find_their_steps_phases_and_thresholds() {
    let plan = plan(
        "{a: {flow: [{http: {get: /, name: home, check: {ok: response.ok}}}, {http: {get: /x, name: other}}]}, b: {flow: {http: {get: /, name: home}}}}",
        "[{name: p, duration: 10s, load: {a: {users: 1}}}, {name: q, duration: 10s, load: {a: {users: 1}, b: {users: 1}}},
          {name: r, duration: 10s, judge: false, load: {b: {users: 1}}}]",
        "slos:
  - {name: all, require: [p95 < 500ms, errors < 1%], target: within(100ms) > 90%}
  - {name: of-b, scenario: b, require: p95 < 1s}
  - {name: home, step: home, phase: q, of: service, require: p99 < 2s}
  - {name: each-step, each: step, scenario: a, require: checks > 99%, step: home}
  - {name: iterations, of: iteration, scenario: [a], over: run, require: p50 < 3s}
  - {name: steps, each: step, require: p95 < 250ms}",
    );
    let slo = |name: &str| plan.slos.iter().find(|slo| slo.name == name).unwrap_or_else(|| panic!("no SLO {name}"));
    let phases = |name: &str| match &slo(name).over {
        Over::Phases(phases) => phases.iter().map(|phase| phase.index()).collect::<Vec<_>>(),
        Over::Run => vec![],
    };
    let steps = |name: &str| match &slo(name).subject {
        Subject::Traffic(traffic) => traffic.steps.iter().map(|step| step.index()).collect::<Vec<_>>(),
        _ => vec![],
    };
    assert_eq!((phases("all"), steps("all")), (vec![0, 1], vec![0, 1, 2]));
    assert_eq!((phases("of-b"), steps("of-b")), (vec![1], vec![2]));
    assert_eq!((phases("home"), steps("home")), (vec![1], vec![0, 2]));
    assert_eq!(slo("iterations").over, Over::Run);
    assert_eq!((phases("each-step/home"), steps("each-step/home")), (vec![0, 1], vec![0]));
    let each: Vec<&str> = plan.slos.iter().map(|slo| slo.name.as_str()).filter(|name| name.starts_with("steps/")).collect();
    assert_eq!(each, ["steps/a/home", "steps/other", "steps/b/home"]);
    let layout: &Layout = &plan.layout;
    assert_eq!(layout.steps[0].thresholds, [0.1, 0.25, 0.5]);
    assert_eq!(layout.steps[2].thresholds, [0.1, 0.25, 0.5, 1.0]);
    assert_eq!(layout.steps[2].service_thresholds, [2.0]);
    assert_eq!(layout.scenarios[0].iteration_thresholds, [3.0]);
    let rows = |slo: &str, requirement: &str| -> Vec<_> {
        let of = layout.requirements.iter().filter(|row| row.slo == slo && row.requirement == requirement);
        of.map(|row| (row.phase.as_str(), row.required, row.scenarios.iter().map(|id| id.index()).collect::<Vec<_>>())).collect()
    };
    assert_eq!(rows("all", "errors < 1%"), [("p", true, vec![0, 1]), ("q", true, vec![0, 1])]);
    assert_eq!(rows("all", "within(100ms) > 90%"), [("p", false, vec![0, 1]), ("q", false, vec![0, 1])]);
    assert_eq!(rows("of-b", "p95 < 1s"), [("q", true, vec![1])]);
    assert_eq!(rows("iterations", "p50 < 3s"), [("", true, vec![0])]);
}

#[test]
fn a_target_that_is_required_too_is_required() {
    let plan = plan(
        "{a: {flow: [{http: {get: /}}]}}",
        "[{name: p, duration: 10s, load: {a: {users: 1}}}]",
        "slos: [{name: all, require: [p95 < 1s, p95 < 1s], target: [p95 < 1s, p50 < 1s]}, {name: sum, value: 1 + 1, require: value > 1}]",
    );
    let rows: Vec<_> =
        plan.layout.requirements.iter().map(|row| (&*row.requirement, row.required, row.scenarios.len())).collect();
    assert_eq!(rows, [("p95 < 1s", true, 1), ("p50 < 1s", false, 1), ("value > 1", true, 0)]);
}

#[test]
fn own_metrics_know_who_feeds_them() {
    let plan = plan(
        "{a: {flow: [{count: {n_total: 1}}, {record: {h: 2}}]}, b: {flow: {count: {n_total: 1}}}}",
        "[{name: p, duration: 1s, load: {a: {users: 1}, b: {users: 1}}}]",
        "metrics: {n_total: {type: counter}, h: {type: histogram, unit: seconds, buckets: [1, 2]}}",
    );
    let fed: Vec<usize> = plan.layout.own.iter().map(|own| own.scenarios.len()).collect();
    assert_eq!(fed, [2, 1]);
}

#[test]
fn schedules_limits_and_the_rest() {
    let rest = "schedule: {cron: '30 2 * * *', timezone: Europe/Zurich}\nlimits: {rate: 10/s, users: 20, hosts: 127.0.0.1}\nrepeat: 3\non_restart: skip\nseed: 9";
    let plan = plan(A, ONE, rest);
    let Schedule::Cron(cron) = &plan.schedule else { panic!("{:?}", plan.schedule) };
    let now = "2026-07-01T00:00:00Z".parse().unwrap();
    assert_eq!(cron.next(now).unwrap().to_rfc3339(), "2026-07-01T00:30:00+00:00");
    assert_eq!(plan.limits, Limits { rate: Some(10.0), users: Some(20), hosts: vec!["127.0.0.1".into()] });
    assert_eq!((plan.repeat, plan.on_restart, plan.seed), (Repeat::Times(3), OnRestart::Skip, 9));
    assert_eq!(plan.layout.series_limit, SERIES_LIMIT);
    assert!(matches!(self::plan(A, ONE, "schedule: continuous").schedule, Schedule::Continuous));
    assert!(
        matches!(self::plan(A, ONE, "schedule: {every: 2h}").schedule, Schedule::Every(every) if every == Duration::from_secs(7200))
    );
}

#[test]
fn a_plan_says_what_it_is_and_keeps_its_secrets() {
    let secret = "s3cr3t-of-a-test";
    let plan = plan_with(
        "name: test
defaults: {http: {base_url: 'http://ann:hunter22@127.0.0.1:1', headers: {x-token: 'Bearer ${MY_TOKEN}', cookie: c00kie}}}
vars: {key: '${MY_TOKEN}'}
scenarios: {a: {flow: {http: {get: /, query: {k: '${MY_TOKEN}'}}}}}
phases: [{name: p, duration: 1s, load: {a: {users: 1}}}]
observe: {prometheus: {url: 'http://127.0.0.1:9', bearer_token: '${MY_TOKEN}'}, counters: [{preset: redis}]}",
        &[("MY_TOKEN", secret)],
    );
    let shown = format!(
        "{plan:?} {:?} {:?} {:?} {:?} {} {}",
        plan.scenarios[0].flow,
        plan.phases,
        plan.observe,
        plan.secrets,
        describe(&plan),
        crate::profile::schema()
    );
    for hidden in [secret, "hunter22", "c00kie"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
        assert_eq!(plan.secrets.redact(&format!("<{hidden}>")), "<***>");
    }
    assert!(describe(&plan).starts_with("test: 1 phase, 1.00s, 1 scenario, 1 step\n"), "{}", describe(&plan));
}

#[test]
fn the_builtin_target_is_put_in() {
    let text = "name: test\ndefaults: {http: {base_url: builtin}}\nscenarios: {a: {flow: {http: {get: /}}}}\nphases: [{name: p, duration: 1s, load: {a: {users: 1}}}]\nlimits: {hosts: example.com}";
    let builtin = Builtin { http: "127.0.0.1:4321".parse().unwrap(), tcp: "127.0.0.1:4322".parse().unwrap() };
    let options = Options { builtin: Some(builtin), ..Options::default() };
    let (plan, _) = load_text(Path::new("t.yml"), text.to_owned(), &Env::default(), &[], options).unwrap();
    assert!(plan.uses_builtin);
    assert!(
        matches!(&http(&plan, 0, 0).request.spec().base_url, Some(Template::Static(base)) if &**base == "http://127.0.0.1:4321")
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_resolving_panic(
        cuts in proptest::collection::vec((0.0..1.0f64, 0usize..8, "[0-9a-z.>/ %-]{0,6}"), 1..4),
    ) {
        let whole = include_str!("../../tests/fixtures/profiles/good/votes.yml");
        let mut text: Vec<char> = whole.chars().collect();
        for (at, length, insert) in cuts {
            let start = (at * text.len() as f64) as usize;
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        match load_text(Path::new("t.yml"), text, &Env::default(), &[], Options::default()) {
            Ok((plan, warnings)) => {
                proptest::prop_assert!(describe(&plan).contains("series on /metrics"));
                for warning in warnings {
                    proptest::prop_assert!(warning.render(false).starts_with("warning: "));
                }
            }
            Err(problems) => proptest::prop_assert!(problems.errors() > 0),
        }
    }
}

#[test]
fn totals_are_refused_where_several_generators_share_a_run() {
    let text = "name: test
defaults: {http: {base_url: 'http://127.0.0.1'}}
scenarios: {a: {flow: {http: {get: /}}}}
phases: [{name: p, duration: 1s, load: {a: {users: 1}}}]
verify: {flow: {http: {get: /, check: {all: metric('load_requests_total') == 1}}}}
slos: [{name: all, value: metric('load_requests_total'), require: value > 0}]";
    let load = |shards| {
        let options = Options { shards, ..Options::default() };
        load_text(Path::new("t.yml"), text.to_owned(), &Env::default(), &[], options)
    };
    let (plan, _) = load(1).unwrap();
    let verify = plan.hooks.verify.as_ref().unwrap();
    // Its labels stand behind those of scenarios and phases, and nothing that judges traffic knows of it.
    assert_eq!((verify.scenario.index(), verify.phase.index()), (plan.scenarios.len(), plan.phases.len()));
    assert!(plan.layout.is_active(verify.phase, verify.scenario) && plan.layout.phases[1] == "verify");
    let problems = load(2).unwrap_err();
    assert_eq!(problems.errors(), 2);
    assert!(problems.render(false).contains("promql: sum("), "{}", problems.render(false));
}

#[test]
fn parts_keep_their_order_and_their_digests_a_variable() {
    let plan = plan(
        "{a: {flow: [{http: {post: /, multipart: [
           {name: a, value: x, digest: first}, {name: b, random: 1KB..2KB}, {name: c, random: '{{ user }}KB', digest: second}]}}]}}",
        ONE,
        "",
    );
    let step = http(&plan, 0, 0);
    let Body::Multipart(multipart) = &step.request.spec().body else { panic!("{step:?}") };
    assert_eq!(multipart.parts.iter().map(|part| part.digest).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(step.digests.len(), 2);
    assert!(plan.layout.steps[0].uploads && !plan.layout.steps[0].downloads);
}

/// The least time of this thread that it takes to load and describe a profile, of two tries.
fn least_time(text: &str) -> Duration {
    let clock = crate::measure::process::ThreadClock::of_this_thread().expect("a clock");
    let tries = (0..2).map(|_| {
        let began = clock.read();
        let described = describe(&plan_with(text, &[]));
        assert!(!described.is_empty());
        clock.read() - began
    });
    tries.min().unwrap_or_default()
}

#[test]
fn twice_the_scenarios_take_less_than_three_times_as_long() {
    let of = |n: usize, flow: &dyn Fn(usize) -> String, load: &dyn Fn(usize) -> String, rest: &str| {
        let all = |of: &dyn Fn(usize) -> String| (0..n).map(of).collect::<String>();
        format!(
            "name: many\ndefaults: {{http: {{base_url: \"http://127.0.0.1:8080\"}}}}\nscenarios:\n{}phases:\n  - name: one\n    duration: 10s\n{rest}{}",
            all(flow),
            all(load)
        )
    };
    let small = |i| {
        format!("  s{i}: {{flow: [{{http: {{get: /x{i}, name: x, check: {{ok: response.status == 200}}}}}}, {{think: 1s}}]}}\n")
    };
    let far = |i| format!("  s{i}: {{flow: [{{http: {{get: \"http://h{i}.test/\", name: x}}}}]}}\n");
    let users = |i| format!("      s{i}: {{users: 1}}\n");
    let rate = |i| format!("      s{i}: {{rate: 1/s, max_users: 2}}\n");
    let weight = |i| format!("      s{i}: 1\n");
    let nothing = |_| String::new();
    type Line<'a> = &'a dyn Fn(usize) -> String;
    let cases: [(&str, Line<'_>, Line<'_>, &str); 5] = [
        ("users", &small, &users, "    load:\n"),
        ("rates", &small, &rate, "    load:\n"),
        ("hosts", &far, &users, "    load:\n"),
        ("a split", &small, &weight, "    load: {users: 10000}\n    split:\n"),
        ("no load", &small, &nothing, "    load: {s0: {users: 1}}\n"),
    ];
    for (what, flow, load, rest) in cases {
        let time = |n| least_time(&of(n, flow, load, rest));
        // Other work of the machine may slow one of them down; what grows with the square takes four times as long each time.
        let tries: Vec<_> = (0..4).map(|_| (time(800), time(1600))).take_while(|(once, twice)| *twice >= *once * 3).collect();
        assert!(tries.len() < 4, "{what}: for so many, and for twice as many: {tries:?}");
    }
}

#[test]
fn a_day_of_arrivals_is_not_walked_through() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.csv");
    std::fs::write(&rows, "id\n1\n2\n").unwrap();
    let day = |rate: &str| {
        let phases = format!("[{{name: one, duration: 24h, load: {{a: {{rate: {rate}, arrivals: poisson, max_users: 100}}}}}}]");
        format!(
            "name: day\ndefaults: {{http: {{base_url: \"http://127.0.0.1:8080\"}}}}\ndata: {{rows: {{csv: \"{}\", pick: unique}}}}\n\
             scenarios: {{a: {{flow: [{{http: {{get: \"/{{{{ rows.id }}}}\"}}}}]}}}}\nphases: {phases}\n",
            rows.display()
        )
    };
    // A million times the arrivals: walked through, they would take hours.
    let (few, many) = (least_time(&day("1/s")), least_time(&day("1000000/s")));
    assert!(many < few * 3, "{few:?}, and {many:?}");
    assert!(describe(&plan_with(&day("1000/s"), &[])).contains("about 86400000 arrivals"));
}
