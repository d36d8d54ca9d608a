//! Which alert keeps which still: the stack's configuration in a real Alertmanager.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::http;
use crate::support::process::{Service, directory, free_port};
use serde_json::Value;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/alertmanager/alertmanager.yml");

/// An alert: its name, and labels beside those that all of its case have.
type Alert<'a> = (&'a str, &'a [&'a str]);

/// What fires at the same time, those that stay first, then those that are silenced. Each case is a profile of its own.
const CASES: &[(&[Alert<'_>], &[Alert<'_>])] = &[
    (
        &[
            ("LoadTargetDown", &[]),
            ("LoadCountersMissing", &[]),
            ("LoadRunFailed", &["profile=other"]),
            ("LoadSloBreached", &["slo=pool", "requirement=max < 70%", "of=promql"]),
        ],
        &[
            ("LoadSloBudgetBurns", &["slo=api", "requirement=errors < 1%"]),
            ("LoadSloMissed", &["slo=api", "requirement=errors < 1%"]),
            ("LoadArrivalsDropped", &["scenario=s"]),
            ("LoadConnectionChurn", &["scenario=s"]),
            ("LoadRunFailed", &[]),
        ],
    ),
    (
        &[
            ("LoadGeneratorSaturated", &[]),
            ("LoadSloBudgetBurns", &["slo=api", "requirement=errors < 1%"]),
            ("LoadRunFailed", &[]),
        ],
        &[
            ("LoadSloBudgetBurns", &["slo=api", "requirement=p95 < 300ms"]),
            ("LoadSloBudgetErodes", &["slo=api", "requirement=within(1s) > 99%"]),
            ("LoadArrivalsDropped", &["scenario=s"]),
        ],
    ),
    // Levels of the target are none of the generator's doing.
    (
        &[
            ("LoadGeneratorSaturated", &[]),
            ("LoadSloBreached", &["slo=pool", "requirement=max < 70%", "of=promql"]),
            ("LoadSloMissed", &["slo=pool", "requirement=max < 70%", "of=promql"]),
            ("LoadSloMissed", &["slo=redis", "requirement=mean < 50%", "of=server"]),
        ],
        &[("LoadSloMissed", &["slo=api", "requirement=max < 2s"])],
    ),
    (
        &[
            ("LoadSloBudgetBurns", &["slo=api", "requirement=p95 < 1s"]),
            ("LoadSloBudgetErodes", &["slo=api", "requirement=p50 < 1s"]),
        ],
        &[("LoadSloBudgetErodes", &["slo=api", "requirement=p95 < 1s"]), ("LoadSloMissed", &["slo=api", "requirement=p95 < 1s"])],
    ),
    (
        &[("LoadSloBudgetBurns", &["slo=all", "requirement=dropped < 2%"]), ("LoadFanOutLoss", &["scenario=s"])],
        &[("LoadArrivalsDropped", &["scenario=s"])],
    ),
    (
        &[("LoadRunFailed", &[]), ("LoadRunOverdue", &[]), ("LoadGeneratorSaturated", &["profile=further"])],
        &[("LoadRunInconclusive", &[]), ("LoadSloMissed", &["slo=api", "requirement=p95 < 1s"]), ("LoadRunMissing", &[])],
    ),
    // What is summed over the exporters of a job isn't known to be that one's.
    (
        &[
            ("LoadExporterDown", &["instance=down"]),
            ("LoadRunFailed", &["instance=up"]),
            ("LoadSloMissed", &["instance=third", "slo=api", "requirement=p95 < 1s"]),
            ("LoadSloBudgetBurns", &["slo=api", "requirement=p50 < 1s"]),
        ],
        &[
            ("LoadRunFailed", &["instance=down"]),
            ("LoadRunMissing", &["instance=down"]),
            ("LoadSloMissed", &["instance=down", "slo=api", "requirement=p95 < 1s"]),
        ],
    ),
    // All exporters of a job are gone, and the alert on that has no instance.
    (
        &[("LoadExporterDown", &["job=gone", "instance="]), ("LoadSloBudgetBurns", &["slo=api", "requirement=p95 < 1s"])],
        &[("LoadSloBudgetBurns", &["job=gone", "slo=api", "requirement=p95 < 1s"])],
    ),
    (
        &[("LoadRunInconclusive", &[]), ("LoadRunMissing", &[]), ("LoadSloBudgetErodes", &["slo=api", "requirement=p95 < 1s"])],
        &[],
    ),
    (
        &[("LoadExporterRestarts", &[]), ("LoadRunMissing", &["instance=steady"]), ("LoadRunOverdue", &["profile=yet-another"])],
        &[("LoadRunMissing", &[]), ("LoadRunInconclusive", &[])],
    ),
    // One profile on several exporters: what one of them says shows nothing of the others.
    (
        &[
            ("LoadTargetDown", &["instance=staging"]),
            ("LoadRunFailed", &["instance=prod"]),
            ("LoadArrivalsDropped", &["instance=prod", "scenario=s"]),
            ("LoadRunInconclusive", &["instance=third"]),
            ("LoadSloMissed", &["instance=third", "slo=api", "requirement=errors < 1%"]),
            ("LoadSloBudgetBurns", &["job=another", "slo=api", "requirement=errors < 1%"]),
        ],
        &[("LoadRunFailed", &["instance=staging"])],
    ),
    (
        &[
            ("LoadGeneratorSaturated", &["instance=staging"]),
            ("LoadArrivalsDropped", &["instance=prod", "scenario=s"]),
            ("LoadSloMissed", &["instance=prod", "slo=api", "requirement=p95 < 1s"]),
            ("LoadRunOverdue", &["instance=staging"]),
            ("LoadRunMissing", &["instance=prod"]),
        ],
        &[("LoadArrivalsDropped", &["instance=staging", "scenario=s"])],
    ),
];

/// As the rules write them: budgets are of a job, and a query of the profile's own is of nobody.
fn labels(case: usize, (name, more): Alert<'_>) -> Vec<String> {
    let mut labels = vec![format!("alertname={name}")];
    let of_job = name != "LoadSloBreached";
    let of_instance = of_job && !name.starts_with("LoadSloBudget");
    let defaults = [
        ("job", of_job, "load-exporter".to_owned()),
        ("profile", true, format!("case-{case}")),
        ("instance", of_instance, format!("of-{case}")),
        ("of", name.starts_with("LoadSlo"), "response".to_owned()),
    ];
    for (label, has, value) in defaults {
        if has && !more.iter().any(|more| more.starts_with(&format!("{label}="))) {
            labels.push(format!("{label}={value}"));
        }
    }
    labels.extend(more.iter().filter(|label| !label.ends_with('=')).map(|label| (*label).to_owned()));
    labels.sort();
    labels
}

/// The labels of the alerts that are silenced, or that aren't.
fn shown(alerts: &Value, silenced: bool) -> BTreeSet<Vec<String>> {
    let alerts = alerts.as_array().unwrap().iter();
    let of = alerts.filter(|alert| alert["status"]["inhibitedBy"].as_array().unwrap().is_empty() != silenced);
    of.map(|alert| {
        let labels = alert["labels"].as_object().unwrap().iter();
        let mut labels: Vec<String> = labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
        labels.sort();
        labels
    })
    .collect()
}

#[test]
fn what_follows_from_another_alert_keeps_still() {
    let (port, dir) = (free_port(), directory());
    let mut command = Command::new("prometheus-alertmanager");
    command.arg(format!("--config.file={CONFIG}")).arg(format!("--storage.path={}", dir.path().display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
    let mut service = Service::start(&mut command, dir.path());
    service.until(|| http::get(port, "/-/ready").is_some_and(|(status, _)| status == 200));

    let all = |silenced: bool| -> BTreeSet<Vec<String>> {
        let of = |(case, (stay, silent)): (usize, &(&[Alert<'_>], &[Alert<'_>]))| {
            let alerts = if silenced { *silent } else { *stay };
            alerts.iter().map(|alert| labels(case, *alert)).collect::<Vec<_>>()
        };
        CASES.iter().enumerate().flat_map(of).collect()
    };
    for labels in all(true).union(&all(false)) {
        let quoted: Vec<String> = labels.iter().map(|label| label.replacen('=', "=\"", 1) + "\"").collect();
        let mut amtool = Command::new("amtool");
        amtool.arg(format!("--alertmanager.url=http://127.0.0.1:{port}")).args(["alert", "add"]).args(&quoted);
        let out = amtool.output().expect("amtool comes with Debian's prometheus-alertmanager");
        assert!(out.status.success(), "{quoted:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let ask = || -> Value { serde_json::from_str(&http::get(port, "/api/v2/alerts").unwrap().1).unwrap() };
    // An alert is known a moment after it was sent, and silenced when it is looked at the next time.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while shown(&ask(), true) != all(true) && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let alerts = ask();
    assert_eq!(shown(&alerts, true), all(true), "silenced");
    assert_eq!(shown(&alerts, false), all(false), "not silenced");
}
