//! What `scale` multiplies, and what `limits` hold for.

use super::*;

#[test]
fn scale_multiplies_what_makes_load_and_how_long_it_lasts_and_nothing_else() {
    let whole = |scale: &str| {
        plan_with(
            &format!(
                "name: test
{scale}
defaults: {{http: {{base_url: 'http://127.0.0.1:1', timeout: 20s}}}}
setup:
  timeout: 10s
  flow: [{{repeat: {{times: 40, flow: [{{repeat: {{times: 30, flow: {{http: {{get: /a, name: a}}}}}}}}]}}}}, {{repeat: {{times: '{{{{ 20 }}}}', flow: {{http: {{get: /a, name: a}}}}}}}}]
teardown: {{flow: {{repeat: {{times: 10, every: 4s, flow: {{http: {{get: /a, name: b}}}}}}}}}}
scenarios: {{a: {{flow: [{{http: {{get: /a}}}}, {{think: 7s}}, {{repeat: {{times: 60, flow: {{think: 1s}}}}}}]}}}}
phases:
  - {{name: u, duration: 100s, drain: 50s, load: {{a: {{users: 20 -> 40, pacing: 9s}}}}}}
  - {{name: r, stages: [{{duration: 100s, load: {{a: {{rate: 10/s, max_users: 100}}}}}}]}}
  - {{name: o, duration: 10s, load: {{a: {{at_once: 30, on_busy: {{wait: 3s}}}}}}}}
  - {{name: i, duration: 10s, load: {{a: {{users: 6, iterations: 12}}}}}}
  - {{name: t, duration: 10s, load: {{a: {{users: 6, total_iterations: 80}}}}}}
on_dead_target: {{after: 8s, do: abort}}
slos: [{{name: w, window: 60s, require: p95 < 1s}}]"
            ),
            &[],
        )
    };
    let of = |plan: &Plan| {
        let repeats = |flow: &crate::flow::Flow| {
            let mut times = Vec::new();
            flow.each(&mut |step| {
                if let StepKind::Repeat(repeat) = &step.kind {
                    times.push(match repeat.times {
                        Some(crate::flow::Times::Always(times)) => times,
                        _ => 0,
                    });
                }
            });
            times
        };
        let stages = [plan.hooks.setup.as_ref().unwrap(), plan.hooks.teardown.as_ref().unwrap()];
        let secs: Vec<u64> = plan.phases.iter().flat_map(|phase| [phase.duration.as_secs(), phase.drain.as_secs()]).collect();
        let loads: Vec<(u64, u64)> = (0..5)
            .map(|phase| match load_of(plan, phase, 0) {
                Load::Closed { level, iterations, .. } => match iterations {
                    None => (level.max() as u64, 0),
                    Some(Iterations::Each(n) | Iterations::Total(n)) => (level.max() as u64, *n),
                },
                Load::Open { arrivals, max_users, .. } => {
                    (arrivals.rate.max() as u64 + arrivals.bursts.iter().map(|burst| burst.1).sum::<u64>(), *max_users)
                }
            })
            .collect();
        let kept = (
            stages.map(|stage| stage.timeout.as_secs()),
            http(plan, 0, 0).request.spec().timeout.as_secs(),
            repeats(&plan.scenarios[0].flow),
            plan.on_dead_target.after.as_secs(),
            plan.slos[0].require[0].objective,
        );
        (stages.map(|stage| repeats(&stage.flow)), secs, loads, plan.slos[0].window.unwrap().as_secs(), kept)
    };
    let (times, secs, loads, window, kept) = of(&whole(""));
    assert_eq!(times, [vec![40, 30, 0], vec![10]]);
    assert_eq!(secs, [100, 50, 100, 30, 10, 30, 10, 30, 10, 30]);
    assert_eq!(loads, [(40, 0), (10, 100), (30, 30), (6, 12), (6, 80)]);
    let half = of(&whole("scale: {load: 50%, time: 20%}"));
    assert_eq!(half.0, [vec![20, 30, 0], vec![5]], "of turns within turns the outermost; an expression knows what it wants");
    assert_eq!(half.1, [20, 10, 20, 30, 2, 30, 2, 30, 2, 30], "a drain that isn't written is 30s");
    assert_eq!(half.2, [(20, 0), (5, 50), (15, 15), (3, 12), (3, 40)], "half the users do as much each");
    assert_eq!((window, half.3), (60, 12));
    assert_eq!(half.4, kept, "never `think`, `pacing`, timeouts, thresholds");
    assert_eq!(of(&whole("scale: {time: 1%}")).3, 1, "no window is shorter");
}

#[test]
fn scale_multiplies_counts_in_requirements() {
    let objectives = |scale: &str| -> Vec<f64> {
        let plan = plan_with(
            &format!(
                "name: test
{scale}
metrics: {{sold_total: {{type: counter, help: S.}}, size: {{type: histogram, help: S.}}, open_count: {{type: gauge, help: O.}}}}
scenarios: {{a: {{flow: [{{http: {{get: 'http://127.0.0.1:1/'}}}}, {{count: {{sold_total: 1}}}}, {{record: {{size: 1, open_count: 2}}}}]}}}}
phases: [{{name: p, duration: 100s, load: {{a: {{rate: 10/s}}}}}}]
slos:
  - {{name: a, require: [count(requests) > 100, rate > 100/s, p95 < 100s]}}
  - {{name: b, of: sold_total, require: value > 100}}
  - {{name: c, value: metric('sold_total'), require: value > 100}}
  - {{name: d, value: ' metric( \"size_count\" ) ', require: value > 100}}
  - {{name: e, value: metric('load_requests_total'), require: value > 100}}
  - {{name: f, value: metric('size_sum'), require: value > 100}}
  - {{name: g, value: metric('open_count'), require: value > 100}}
  - {{name: h, value: metric('sold_total') / metric('load_requests_total'), require: value > 100}}"
            ),
            &[],
        );
        plan.slos.iter().flat_map(|slo| &slo.require).map(|requirement| requirement.objective).collect()
    };
    assert_eq!(objectives(""), [100.0; 10]);
    let scaled = [10.0, 50.0, 100.0, 10.0, 10.0, 10.0, 10.0, 100.0, 100.0, 100.0];
    assert_eq!(objectives("scale: {load: 50%, time: 20%}"), scaled);
}

#[test]
fn limits_hold_for_all_that_makes_load() {
    let problems = |limits: &str, rest: &str| {
        let text = format!(
            "name: test\nlimits: {{{limits}}}\nscenarios: {{a: {{flow: {{http: {{get: 'http://127.0.0.1:1/'}}}}}}}}\n{rest}\n"
        );
        match load_text(Path::new("t.yml"), text, &Env::default(), &[], Options::default()) {
            Ok(_) => String::new(),
            Err(problems) => problems.render(false),
        }
    };
    let phases = "phases: [{name: p, duration: 1m, load: {a: {users: 1}}}]";
    let setup = |repeat: &str| format!("{phases}\nsetup: {{flow: {{repeat: {{{repeat}}}}}}}");
    let get = "flow: {http: {get: 'http://127.0.0.1:1/x', name: x}}";
    for (limits, rest, wrong) in [
        ("users: 10", setup(&format!("times: 100, users: 11, {get}")), "here 11 users work at once, and `limits` allows 10"),
        (
            "users: 10",
            setup(&format!("times: 2, users: 4, flow: {{repeat: {{times: 3, users: 3, {get}}}}}")),
            "here 12 users work at once",
        ),
        ("users: 10", setup(&format!("times: 100, users: 10, {get}")), ""),
        ("rate: 10/s", setup(&format!("times: 100, every: 50ms, {get}")), "these turns reach 20/s, and `limits` allows 10/s"),
        ("rate: 10/s", setup(&format!("times: 100, every: 100ms, {get}")), ""),
        ("rate: 10/s", "phases: [{name: p, duration: 1m, load: {a: {at_once: 11}}}]".into(), "the phase `p` reaches 11/s"),
        (
            "rate: 10/s",
            "phases: [{name: p, duration: 1m, load: {a: {at_once: 6, rate: 5/s}}}]".into(),
            "the phase `p` reaches 11/s",
        ),
        ("rate: 10/s", "phases: [{name: p, duration: 1m, load: {a: {at_once: 6, rate: 4/s}}}]".into(), ""),
        ("rate: 10/s", "scale: {load: 300%}\nphases: [{name: p, duration: 1m, load: {a: {rate: 4/s}}}]".into(), "reaches 12/s"),
        ("users: 10", "scale: {load: 300%}\nphases: [{name: p, duration: 1m, load: {a: {users: 4}}}]".into(), "12 users at once"),
        (
            "hosts: [127.0.0.1]",
            format!("{phases}\nteardown: {{flow: {{http: {{get: 'http://127.0.0.2:1/'}}}}}}"),
            "`127.0.0.2:1` must not be loaded",
        ),
    ] {
        let found = problems(limits, &rest);
        assert!(if wrong.is_empty() { found.is_empty() } else { found.contains(wrong) }, "{limits} {rest}: {found}");
    }
}
