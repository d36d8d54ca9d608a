//! What is made of a shipped profile.

use std::path::Path;

use super::*;
use crate::plan;
use crate::profile::Env;

fn plan_of(file: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    plan::load(&path, &Env::default(), &[], plan::Options::default()).unwrap().0
}

#[test]
fn every_requirement_is_watched() {
    let plan = plan_of("config/votes.yml");
    let text = rules(&plan, RulesFormat::Prometheus, Links::default());
    for slo in &plan.slos {
        for requirement in &slo.require {
            assert!(text.contains(&format!("requirement: {}", requirement.text)) || text.contains(&requirement.text), "{text}");
        }
    }
    let objectives = objectives(&plan);
    let burns = objectives.iter().filter(|objective| matches!(objective.watch, Watch::Burn(_))).count();
    let queries = objectives.iter().filter(|objective| matches!(objective.watch, Watch::Query(_))).count();
    // Four of `api`, two of `vote`, one of `arrivals`; `pool` is a query; the rest is the server's.
    assert_eq!((burns, queries), (7, 1));
    assert!(!text.contains("warm-up"), "what isn't judged raises no alert\n{text}");
}

#[test]
fn a_burn_is_what_the_requirement_says() {
    let plan = plan_of("config/votes.yml");
    let objectives = objectives(&plan);
    let of = |requirement: &str| {
        let found = objectives.iter().find(|objective| objective.requirement.text == requirement).unwrap();
        let Watch::Burn(burn) = &found.watch else { panic!("{requirement}") };
        (burn.budget, burn.ratio(std::time::Duration::from_secs(60)))
    };
    let (budget, ratio) = of("p95 < 150ms");
    assert!(budget == 0.05 && ratio.contains("le=\"0.15\"") && ratio.contains("outcome!=\"error\""), "{budget} {ratio}");
    let (budget, ratio) = of("checks > 99%");
    assert!(budget == 0.01 && ratio.contains("load_check_failures_total"), "{budget} {ratio}");
    let (budget, ratio) = of("status(429) < 1%");
    assert!(budget == 0.01 && ratio.contains("code=\"429\"") && ratio.contains("step=\"vote\""), "{budget} {ratio}");
    assert!(ratio.contains("phase=\"spike\""), "{ratio}");
}

#[test]
fn grafana_gets_the_same_alerts() {
    let plan = plan_of("config/votes.yml");
    let (prometheus, grafana) =
        (rules(&plan, RulesFormat::Prometheus, Links::default()), rules(&plan, RulesFormat::Grafana, Links::default()));
    assert_eq!(prometheus.matches("alert: ").count(), grafana.matches("title: ").count());
    assert!(!grafana.contains("rate("), "what is dear is recorded");
    let recording = rules(&plan, RulesFormat::Recording, Links::default());
    assert_eq!(recording.matches("record: ").count(), prometheus.matches("record: ").count());
    assert!(!recording.contains("alert: "));
    assert!(grafana.contains("{{ $$values.B.Value | humanizePercentage }}"), "{grafana}");
    assert!(!grafana.contains(" $labels") && grafana.contains("$$labels"), "{grafana}");
}

#[test]
fn alerts_link_to_the_pages_that_are_named() {
    let plan = plan_of("config/votes.yml");
    let links = Links { runbooks: "https://runbooks.example/load", grafana: "https://grafana.example/" };
    for format in [RulesFormat::Prometheus, RulesFormat::Grafana] {
        let text = rules(&plan, format, links);
        assert!(text.contains("https://runbooks.example/load#loadslomissed") && !text.contains("docs/runbooks.md"), "{text}");
        assert!(text.contains("https://grafana.example/d/load-exporter-slo") && !text.contains("127.0.0.1"), "{text}");
    }
}

#[test]
fn a_latency_is_distinguished_from_a_level_of_the_target() {
    let plan = plan_of("config/votes.yml");
    let objectives = objectives(&plan);
    for (slo, of) in [("api", "response"), ("arrivals", "response"), ("cache", "server"), ("pool", "promql")] {
        for objective in objectives.iter().filter(|objective| objective.slo.name == slo) {
            let alerts = objective.alerts(&plan);
            assert!(alerts.iter().all(|alert| objective.labels(&plan, alert)["of"] == of), "{slo}");
        }
    }
}
