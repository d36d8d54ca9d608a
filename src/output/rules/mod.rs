//! Alert and recording rules out of a profile's SLOs, for Prometheus and for Grafana.
//!
//! A requirement that allows a part of all to be bad (`p95 < 150ms` allows 5 % to be slower, `errors < 0.1%` one in a thousand
//! to fail) has an error budget, and alerts look at how fast that is spent, as the SRE workbook has it (chapter 5): over a long
//! window, so that it matters, and a short one, so that the alert ends soon. [`windows`] fits both to the phases' lengths. A
//! query of the profile's own is asked as it stands while its phases go on. And every requirement has an alert on what the run
//! itself found: `load_slo_met`.
//!
//! Phases that aren't judged are left out, so a warm-up or a planned stress is silent.

mod burn;
mod grafana;
mod prometheus;
mod promql;
mod windows;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::measure::PhaseId;
use crate::plan::Plan;
use crate::verdict::{Comparison, Measure, Over, Requirement, Slo, Subject};

use burn::Burn;
use promql::{any_of, quoted};
use windows::{Pair, Windows};

/// Whose rules they are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulesFormat {
    /// A rule file of Prometheus.
    Prometheus,
    /// The recording rules of that file alone, for a Prometheus whose alerts Grafana evaluates.
    Recording,
    /// A provisioning file of Grafana's alerting, on what these record.
    Grafana,
}

/// Where alerts lead.
#[derive(Debug, Clone, Copy)]
pub struct Links<'a> {
    /// The page with a section for each alert.
    pub runbooks: &'a str,
    /// Grafana's address.
    pub grafana: &'a str,
}

/// The defaults, as `grafana/definition/alerts.py` has them too.
impl Default for Links<'_> {
    fn default() -> Self {
        Self { runbooks: "docs/runbooks.md", grafana: "http://127.0.0.1:3000" }
    }
}

/// The rules of a plan's SLOs, as the text of a file.
pub fn rules(plan: &Plan, format: RulesFormat, links: Links<'_>) -> String {
    let objectives = objectives(plan);
    match format {
        RulesFormat::Prometheus => prometheus::text(plan, &objectives, Some(links)),
        RulesFormat::Recording => prometheus::text(plan, &objectives, None),
        RulesFormat::Grafana => grafana::text(plan, &objectives, links),
    }
}

/// One requirement of an SLO, and how to watch it.
struct Objective<'a> {
    slo: &'a Slo,
    requirement: &'a Requirement,
    watch: Watch,
    windows: Windows,
}

/// How a requirement is watched while load goes on.
enum Watch {
    /// By its error budget.
    Burn(Burn),
    /// By asking the profile's own query: the expression that has a result where it is breached.
    Query(String),
    /// Not before its phase is judged.
    Judged,
}

/// An alert, in words that both formats share.
struct Alert {
    name: &'static str,
    severity: &'static str,
    expr: String,
    summary: String,
    description: String,
}

fn objectives(plan: &Plan) -> Vec<Objective<'_>> {
    let mut objectives = Vec::new();
    for slo in &plan.slos {
        let phases: Vec<PhaseId> = match &slo.over {
            Over::Phases(phases) => phases.clone(),
            Over::Run => plan.phases.iter().map(|phase| phase.id).collect(),
        };
        let judged = plan.phases.iter().filter(|phase| phase.judge && phases.contains(&phase.id));
        let (names, lengths): (Vec<&str>, Vec<_>) = judged.map(|phase| (phase.name.as_str(), phase.duration)).unzip();
        if names.is_empty() {
            continue;
        }
        let phases = any_of("phase", &names);
        let windows = Windows::new(plan, &slo.over, &lengths);
        for requirement in &slo.require {
            let watch = watch(plan, slo, requirement, &phases);
            objectives.push(Objective { slo, requirement, watch, windows: windows.clone() });
        }
    }
    objectives
}

fn watch(plan: &Plan, slo: &Slo, requirement: &Requirement, phases: &str) -> Watch {
    match &slo.subject {
        Subject::Traffic(traffic) => {
            Burn::new(&plan.layout, &plan.name, traffic, requirement, phases).map_or(Watch::Judged, Watch::Burn)
        }
        // An average is one of the whole phase, which only its end shows.
        Subject::Promql(query) if matches!(requirement.measure, Measure::Value | Measure::Min | Measure::Max) => {
            let breach = match requirement.comparison {
                Comparison::Below => ">=",
                Comparison::AtMost => ">",
                Comparison::Above => "<=",
                Comparison::AtLeast => "<",
                Comparison::Equal => "!=",
            };
            let active = format!("max(load_phase_active{{profile={},{phases}}}) == 1", quoted(&plan.name));
            Watch::Query(format!("(({}) {breach} {}) and on () ({active})", query.text, requirement.objective))
        }
        _ => Watch::Judged,
    }
}

impl Objective<'_> {
    /// The labels of its alerts. `of` says what is measured, so that a latency of the generator's is distinguished from a level of the target.
    fn labels(&self, plan: &Plan, alert: &Alert) -> Value {
        let of = match &self.slo.subject {
            Subject::Traffic(traffic) => traffic.of.name(&plan.layout),
            Subject::Server(_) => "server".to_owned(),
            Subject::Promql(_) => "promql".to_owned(),
            Subject::Value(_) => "value".to_owned(),
        };
        json!({"severity": alert.severity, "profile": plan.name, "slo": self.slo.name, "requirement": self.requirement.text, "of": of})
    }

    /// The alerts.
    fn alerts(&self, plan: &Plan) -> Vec<Alert> {
        let (profile, slo, requirement) = (&plan.name, &self.slo.name, &self.requirement.text);
        let mut alerts = Vec::new();
        match &self.watch {
            Watch::Burn(burn) => {
                let burning = |pair: &Pair| prometheus::burning(plan, self, burn, pair);
                let of = |pairs: &[Pair]| pairs.iter().map(&burning).collect::<Vec<_>>().join(" or ");
                let allowed = format!("{} of {} may", percentage(burn.budget), burn.of);
                alerts.push(Alert {
                    name: "LoadSloBudgetBurns",
                    severity: "page",
                    expr: of(&self.windows.page),
                    summary: format!("{profile}: {slo} burns its error budget ({requirement})"),
                    description: format!(
                        "{{{{ $value | humanizePercentage }}}} of {} {}, where {allowed}: it can't go on like this.",
                        burn.of, burn.bad_are
                    ),
                });
                alerts.push(Alert {
                    name: "LoadSloBudgetErodes",
                    severity: "ticket",
                    expr: of(&self.windows.ticket),
                    summary: format!("{profile}: {slo} will not keep its error budget ({requirement})"),
                    description: format!(
                        "{{{{ $value | humanizePercentage }}}} of {} {}, where {allowed}: slowly, and too much.",
                        burn.of, burn.bad_are
                    ),
                });
            }
            Watch::Query(expr) => alerts.push(Alert {
                name: "LoadSloBreached",
                severity: "ticket",
                expr: expr.clone(),
                summary: format!("{profile}: {slo} is breached ({requirement})"),
                description: "It is {{ $value }} just now.".to_owned(),
            }),
            Watch::Judged => {}
        }
        alerts.push(Alert {
            name: "LoadSloMissed",
            severity: "ticket",
            // The last run's result stays while the next one goes on; one scrape that fails ends nothing.
            expr: format!(
                "min by (job, instance, profile, phase) (last_over_time(load_slo_met{{profile={},slo={},requirement={}}}[5m])) == 0",
                quoted(profile),
                quoted(slo),
                quoted(requirement)
            ),
            summary: format!("{profile}: {slo} was missed in {{{{ $labels.phase }}}} ({requirement})"),
            description: "load_slo_value has what was measured, and the run's summary.txt what was beside it.".to_owned(),
        });
        alerts
    }
}

impl Alert {
    /// What a person reads about it; `value` is how its value is written.
    fn annotations(&self, value: &str, links: Links<'_>) -> [(&'static str, String); 4] {
        let anchor = self.name.to_lowercase();
        [
            ("summary", self.summary.clone()),
            ("description", self.description.replace("$value", value)),
            ("runbook_url", format!("{}#{anchor}", links.runbooks)),
            (
                "dashboard",
                format!("{}/d/load-exporter-slo?var-profile={{{{ $labels.profile }}}}", links.grafana.trim_end_matches('/')),
            ),
        ]
    }
}

/// A share as a person writes it: 0.001 is `0.1%`.
fn percentage(share: f64) -> String {
    format!("{}%", (share * 1e8).round() / 1e6)
}
