//! A rule file of Prometheus: what every alert needs is recorded once, the alerts compare.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::windows::written;
use super::{Burn, Links, Objective, Pair, Watch};
use crate::plan::Plan;

/// How often the rules are evaluated (seconds).
const INTERVAL: u64 = 15;
/// Longer windows are built from what is recorded over the shortest one: over the raw series they would cost too much.
const RAW: Duration = Duration::from_secs(3600);

/// The file's text, with alerts that lead somewhere or without alerts.
pub(super) fn text(plan: &Plan, objectives: &[Objective<'_>], alerts: Option<Links<'_>>) -> String {
    let mut rules = Vec::new();
    for objective in objectives {
        if let Watch::Burn(burn) = &objective.watch {
            rules.extend(recorded(plan, objective, burn));
        }
    }
    for (objective, links) in objectives.iter().filter_map(|objective| Some((objective, alerts?))) {
        for alert in objective.alerts(plan) {
            rules.push(json!({
                "alert": alert.name,
                "expr": alert.expr,
                "labels": objective.labels(plan, &alert),
                "annotations": alert.annotations("$value", links).into_iter().collect::<BTreeMap<_, _>>(),
            }));
        }
    }
    let head = format!(
        "# Alerts on the SLOs of the profile `{}`, made from it: make them anew when it changes.\n\
         #   load-exporter rules PROFILE > rules.yml\n",
        plan.name
    );
    let groups = if rules.is_empty() {
        json!([])
    } else {
        json!([{"name": format!("load-exporter-{}", plan.name), "interval": written(Duration::from_secs(INTERVAL)), "rules": rules}])
    };
    head + &yaml(&json!({"groups": groups}))
}

/// The recording rules of one objective.
///
/// Over the shortest window, and any other of at most [`RAW`], they look at the series themselves.
fn recorded(plan: &Plan, objective: &Objective<'_>, burn: &Burn) -> Vec<Value> {
    let labels = json!({"slo": objective.slo.name, "requirement": objective.requirement.text});
    let rule = |kind, window, expr| json!({"record": name(kind, window), "expr": expr, "labels": labels});
    let of = |kind, window| series(plan, objective, kind, window);
    let windows = objective.windows.all();
    let Some(shortest) = windows.first().copied() else { return Vec::new() };
    let (raw, long): (Vec<Duration>, Vec<Duration>) = windows.iter().partition(|window| **window <= RAW || **window == shortest);
    let mut rules = Vec::new();
    for window in raw {
        rules.push(rule(BAD_PART, window, burn.ratio(window)));
        rules.push(rule(EVENTS, window, burn.volume(window)));
    }
    if !long.is_empty() {
        rules.push(rule(BAD, shortest, format!("{} * {}", of(BAD_PART, shortest), of(EVENTS, shortest))));
    }
    for window in long {
        let sum = |kind| format!("sum_over_time({}[{}])", of(kind, shortest), written(window));
        rules.push(rule(BAD_PART, window, format!("{} / ({} > 0)", sum(BAD), sum(EVENTS))));
        rules.push(rule(EVENTS, window, format!("{} * {INTERVAL} / {}", sum(EVENTS), window.as_secs())));
    }
    rules
}

/// The condition of one pair of windows.
pub(super) fn burning(plan: &Plan, objective: &Objective<'_>, burn: &Burn, pair: &Pair) -> String {
    let of = |kind, window| series(plan, objective, kind, window);
    burn.burning(pair, &of(BAD_PART, pair.long), &of(BAD_PART, pair.short), &of(EVENTS, pair.long))
}

/// What part of the events is bad, how many bad ones there are a second, and how many in all.
const BAD_PART: &str = "bad:ratio_";
const BAD: &str = "bad:";
const EVENTS: &str = "events:";

/// What is recorded of an objective over a window.
fn series(plan: &Plan, objective: &Objective<'_>, kind: &str, window: Duration) -> String {
    format!("{}{{{}}}", name(kind, window), identity(plan, objective))
}

fn name(kind: &str, window: Duration) -> String {
    format!("load_slo:{kind}rate{}", written(window))
}

fn identity(plan: &Plan, objective: &Objective<'_>) -> String {
    let (slo, requirement) = (super::quoted(&objective.slo.name), super::quoted(&objective.requirement.text));
    format!("profile={},slo={slo},requirement={requirement}", super::quoted(&plan.name))
}

/// YAML of plain values.
pub(super) fn yaml(value: &Value) -> String {
    // Plain values can always be written; a failure would be a defect of the library, and JSON is YAML as well.
    serde_yaml::to_string(value).unwrap_or_else(|_| format!("{value:#}\n"))
}
