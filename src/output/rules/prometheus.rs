//! A rule file of Prometheus: what every alert needs is recorded once, the alerts compare.

use std::time::Duration;

use serde_json::{Value, json};

use super::windows::written;
use super::{Burn, Objective, Watch};
use crate::plan::Plan;

/// The file's text.
pub(super) fn text(plan: &Plan, objectives: &[Objective<'_>]) -> String {
    let mut rules = Vec::new();
    for objective in objectives {
        if let Watch::Burn(burn) = &objective.watch {
            rules.extend(recorded(objective, burn));
        }
    }
    for objective in objectives {
        let burning = |burn: &Burn, pair: &super::Pair| {
            let of = |kind: &str, window| format!("{}{{{}}}", name(kind, window), identity(plan, objective));
            let long = of("bad:ratio", pair.long);
            burn.burning(pair, &long, &of("bad:ratio", pair.short), &of("events:", pair.long))
        };
        for alert in objective.alerts(plan, burning) {
            rules.push(json!({
                "alert": alert.name,
                "expr": alert.expr,
                "labels": {"severity": alert.severity, "slo": objective.slo.name, "requirement": objective.requirement.text},
                "annotations": {"summary": alert.summary, "description": alert.description},
            }));
        }
    }
    let head = format!(
        "# Alerts on the SLOs of the profile `{}`, made from it: make them anew when it changes.\n\
         #   load-exporter rules PROFILE > rules.yml\n",
        plan.name
    );
    let groups =
        if rules.is_empty() { json!([]) } else { json!([{"name": format!("load-exporter-{}", plan.name), "rules": rules}]) };
    head + &yaml(&json!({"groups": groups}))
}

/// The recording rules of one objective.
fn recorded(objective: &Objective<'_>, burn: &Burn) -> Vec<Value> {
    let labels = json!({"slo": objective.slo.name, "requirement": objective.requirement.text});
    let rule = |kind, window, expr| json!({"record": name(kind, window), "expr": expr, "labels": labels});
    let windows = objective.windows.all();
    let ratios = windows.iter().map(|window| rule("bad:ratio", *window, burn.ratio(*window)));
    let mut long: Vec<Duration> = objective.windows.page.iter().chain(&objective.windows.ticket).map(|pair| pair.long).collect();
    long.sort_unstable();
    long.dedup();
    ratios.chain(long.into_iter().map(|window| rule("events:", window, burn.volume(window)))).collect()
}

fn name(kind: &str, window: Duration) -> String {
    let underscore = if kind.ends_with(':') { "" } else { "_" };
    format!("load_slo:{kind}{underscore}rate{}", written(window))
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
