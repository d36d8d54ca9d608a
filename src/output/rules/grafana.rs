//! A provisioning file of Grafana's alerting: a query, its last value, a threshold.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::prometheus::yaml;
use super::{Burn, Objective, Pair};
use crate::plan::Plan;

/// The data source's uid, as `grafana/provisioning/datasources` gives it.
const SOURCE: &str = "prometheus";

/// The file's text.
pub(super) fn text(plan: &Plan, objectives: &[Objective<'_>]) -> String {
    let mut rules = Vec::new();
    for objective in objectives {
        let burning = |burn: &Burn, pair: &Pair| {
            burn.burning(pair, &burn.ratio(pair.long), &burn.ratio(pair.short), &burn.volume(pair.long))
        };
        for alert in objective.alerts(plan, burning) {
            let title = format!("{} {} {}: {}", alert.name, plan.name, objective.slo.name, objective.requirement.text);
            rules.push(json!({
                "uid": uid(&title),
                "title": title,
                "condition": "C",
                "data": data(&alert.expr),
                "noDataState": "OK",
                "execErrState": "Error",
                "for": "0s",
                "isPaused": false,
                "labels": {"severity": alert.severity, "profile": plan.name, "slo": objective.slo.name,
                           "requirement": objective.requirement.text},
                "annotations": {"summary": escaped(&alert.summary), "description": escaped(&alert.description)},
            }));
        }
    }
    let head = format!(
        "# Alerts on the SLOs of the profile `{}`, made from it: make them anew when it changes.\n\
         #   load-exporter rules PROFILE --format grafana > grafana/provisioning/alerting/{}.yml\n",
        plan.name, plan.name
    );
    let group =
        json!({"orgId": 1, "name": format!("load-exporter-{}", plan.name), "folder": "Load", "interval": "30s", "rules": rules});
    head + &yaml(&json!({"apiVersion": 1, "groups": [group]}))
}

/// The query has a result where the alert is due and none where all is well, whatever its value; hence `* 0 + 1`.
fn data(expr: &str) -> Value {
    let of = |name: &str, source: &str, model: Value| json!({"refId": name, "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": source, "model": model});
    let query = json!({"refId": "A", "expr": format!("({expr}) * 0 + 1"), "instant": true, "range": false});
    let reduce = json!({"refId": "B", "type": "reduce", "expression": "A", "reducer": "last"});
    let condition = json!([{"type": "query", "evaluator": {"type": "gt", "params": [0]}, "operator": {"type": "and"},
                            "query": {"params": ["B"]}, "reducer": {"type": "last", "params": []}}]);
    let threshold = json!({"refId": "C", "type": "threshold", "expression": "B", "conditions": condition});
    json!([of("A", SOURCE, query), of("B", "__expr__", reduce), of("C", "__expr__", threshold)])
}

/// At most 40 characters, the same for the same alert.
fn uid(title: &str) -> String {
    let mut hasher = DefaultHasher::new();
    title.hash(&mut hasher);
    format!("load-slo-{:016x}", hasher.finish())
}

/// Grafana expands `$NAME` in its files, and its own query says 1 whatever the value was.
fn escaped(text: &str) -> String {
    text.replace("{{ $value | humanizePercentage }} of", "Too many of")
        .replace("It is {{ $value }} just now.", "The query tells by how much.")
        .replace('$', "$$")
}
