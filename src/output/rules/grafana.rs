//! A provisioning file of Grafana's alerting: a query, its last value, whether there is one.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::prometheus::yaml;
use super::{Links, Objective};
use crate::plan::Plan;

/// The data source's uid, as `grafana/provisioning/datasources` gives it.
const SOURCE: &str = "prometheus";

/// The file's text.
pub(super) fn text(plan: &Plan, objectives: &[Objective<'_>], links: Links<'_>) -> String {
    let mut rules = Vec::new();
    for objective in objectives {
        for alert in objective.alerts(plan) {
            let texts = alert.annotations("$values.B.Value", links);
            let annotations: BTreeMap<_, _> = texts.iter().map(|(name, text)| (name, escaped(text))).collect();
            let title = format!("{} {} {}: {}", alert.name, plan.name, objective.slo.name, objective.requirement.text);
            rules.push(json!({
                "uid": uid(&title),
                "title": title,
                "condition": "C",
                "data": data(&escaped(&alert.expr)),
                "noDataState": "OK",
                "execErrState": "Error",
                "for": "0s",
                "isPaused": false,
                "labels": objective.labels(plan, &alert),
                "annotations": annotations,
            }));
        }
    }
    let head = format!(
        "# Alerts on the SLOs of the profile `{}`, made from it: make them anew when it changes.\n\
         #   load-exporter rules PROFILE --format grafana > grafana/provisioning/alerting/{}.yml\n\
         # They compare what Prometheus records: load-exporter rules PROFILE --format recording\n",
        plan.name, plan.name
    );
    let group =
        json!({"orgId": 1, "name": format!("load-exporter-{}", plan.name), "folder": "Load", "interval": "30s", "rules": rules});
    head + &yaml(&json!({"apiVersion": 1, "groups": [group]}))
}

/// The query has a result where the alert is due and none where all is well, whatever its value.
fn data(expr: &str) -> Value {
    let of = |name: &str, source: &str, model: Value| json!({"refId": name, "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": source, "model": model});
    let query = json!({"refId": "A", "expr": expr, "instant": true, "range": false});
    let reduce = json!({"refId": "B", "type": "reduce", "expression": "A", "reducer": "last"});
    let there = json!({"refId": "C", "type": "math", "expression": "is_number($$B)"});
    json!([of("A", SOURCE, query), of("B", "__expr__", reduce), of("C", "__expr__", there)])
}

/// At most 40 characters, the same for the same alert.
fn uid(title: &str) -> String {
    let mut hasher = DefaultHasher::new();
    title.hash(&mut hasher);
    format!("load-slo-{:016x}", hasher.finish())
}

/// Grafana expands `$NAME` in its files.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}
