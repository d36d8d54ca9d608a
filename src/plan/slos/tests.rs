//! SLOs on values of the target: which systems they are about, and what PromQL is refused.

use std::path::Path;

use crate::counters::Matcher;
use crate::plan::{Options, Plan, load_text};
use crate::profile::Env;
use crate::verdict::{Over, Several, Slo, Subject};

/// The plan and what it is warned of, or what is wrong.
fn load(observe: &str, slo: &str) -> Result<(Plan, String), String> {
    let text = format!(
        "name: t
defaults: {{http: {{base_url: 'http://127.0.0.1'}}}}
scenarios: {{a: {{flow: {{http: {{get: /}}}}}}}}
phases: [{{name: short, duration: 10s, load: {{a: {{users: 1}}}}}}, {{name: long, duration: 10m, load: {{a: {{users: 1}}}}}}]
observe: {{{observe}}}
slos: [{{name: s, {slo}}}]"
    );
    match load_text(Path::new("t.yml"), text, &Env::default(), &[], Options::default()) {
        Ok((plan, warnings)) => Ok((plan, warnings.iter().map(|warning| format!("{}\n", warning.message)).collect())),
        Err(problems) => Err(problems.render(false)),
    }
}

const REDIS: &str = "prometheus: {url: 'http://p'}, counters: [{preset: redis}]";

fn slo(observe: &str, slo: &str) -> Slo {
    load(observe, slo).unwrap_or_else(|problems| panic!("{problems}")).0.slos.remove(0)
}

fn several(observe: &str, text: &str) -> Several {
    let slo = slo(observe, &format!("server: redis.hit_ratio, require: value > 80%{text}"));
    let Subject::Server(server) = slo.subject else { panic!("{slo:?}") };
    server.systems
}

#[test]
fn what_says_which_systems_are_meant() {
    assert_eq!(several(REDIS, ""), Several::Agree);
    assert_eq!(several(REDIS, ", over: run"), Several::Agree);
    assert_eq!(several(REDIS, ", over: each"), Several::Each);
    assert_eq!(several(REDIS, ", over: sum"), Several::Sum);
    assert_eq!(several(REDIS, ", match: {source: redis-a}"), Several::Each);
    let matched = "prometheus: {url: 'http://p'}, counters: [{preset: redis, match: {job: a}}]";
    assert_eq!(several(matched, ""), Several::Each);
    let partly = "prometheus: {url: 'http://p'}, counters: [{preset: redis, match: {job: a}}, {preset: redis}]";
    assert_eq!(several(partly, ""), Several::Agree);
    let both = slo(REDIS, "server: redis.hit_ratio, require: value > 80%, over: [run, sum], match: {instance: 'a:1'}");
    assert_eq!(both.over, Over::Run);
    let Subject::Server(server) = both.subject else { panic!() };
    assert_eq!((server.systems, server.matchers), (Several::Sum, vec![Matcher::new("instance", "a:1")]));
}

#[test]
fn what_is_about_systems_suits_nothing_else() {
    for (text, said) in [
        ("require: p95 < 1s, over: each", "`over: each` and `over: sum` are about the systems"),
        ("require: p95 < 1s, match: {a: b}", "`match` picks systems of a `server`"),
        ("require: p95 < 1s, optional: true", "`optional` is about the source"),
        ("promql: up, require: value > 0, over: sum", "`over: each` and `over: sum` are about the systems"),
        ("server: redis.hit_ratio, require: value > 1, over: [each, sum]", "either `over: each` or `over: sum`"),
        ("server: redis.hit_ratio, require: max > 1, over: sum", "doesn't suit systems that are added up"),
    ] {
        let problems = load(REDIS, text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert!(problems.contains(said), "{text}: {problems}");
    }
}

#[test]
fn a_source_is_left_out_by_an_empty_address() {
    let optional =
        |observe: &str, subject: &str| slo(observe, &format!("{subject}, require: value > 0, optional: true")).optional;
    let away = "prometheus: {url: ''}, exporters: [{name: a, url: 'http://a'}], counters: [{preset: redis}]";
    assert!(optional(away, "server: redis.commands") && optional(away, "promql: up"));
    let there = "prometheus: {url: 'http://p'}, exporters: [{name: a, url: ''}], counters: [{preset: redis}]";
    assert!(optional(there, "server: redis.commands") && !optional(there, "promql: up"));
    assert!(!optional(REDIS, "server: redis.commands"));
    // Only what isn't optional is warned of.
    let nothing = "prometheus: {url: ''}, counters: [{preset: redis}]";
    for (text, warned) in [("", true), (", optional: true", false)] {
        for subject in ["server: redis.commands", "promql: up"] {
            let (_, warnings) = load(nothing, &format!("{subject}, require: value > 0{text}")).unwrap();
            assert_eq!(warnings.contains("can't be judged"), warned, "{subject}{text}: {warnings}");
        }
    }
}

#[test]
fn promql_is_read_before_a_run() {
    let of = |query: &str, more: &str| load(REDIS, &format!("promql: '{query}', require: value > 0{more}"));
    for query in ["sum(up", "rate(up)", "up[5m]", "sum(up) by", "up{job=\"a}"] {
        let problems = of(query, "").err().unwrap_or_else(|| panic!("{query} is taken"));
        assert!(problems.contains("this is no PromQL query"), "{query}: {problems}");
    }
    let reaches = |query: &str, more: &str| of(query, more).unwrap().1.contains("is evaluated once, at the end");
    assert!(!reaches("sum(up)", "") && !reaches("rate(up[5s])", "") && reaches("rate(up[5m])", ""));
    assert!(!reaches("rate(up[5m])", ", phase: long") && reaches("rate(up[10m])", ", phase: long"));
    assert!(!reaches("rate(up[10m])", ", over: run") && reaches("rate(up[11m])", ", over: run"));
    let (_, warnings) = of("rollup_rate(up[5s])", "").unwrap();
    assert!(warnings.contains("only the server knows"), "{warnings}");
}
