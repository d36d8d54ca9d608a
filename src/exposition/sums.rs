//! What a metric came to over all its series: for `metric(name)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::proto::Metric as Series;

use super::family::Labels;
use super::gather::View;
use super::shown::Rows;
use super::{own, series};
use crate::measure::catalogue::{self, FamilyKind};
use crate::measure::{Layout, Store, Totals};

/// Sums each counter over all its series, and the `_count` and `_sum` of each histogram, as `/metrics` would show them if
/// `totals` were all that was ever recorded.
pub fn sums(layout: &Arc<Layout>, totals: &Totals) -> BTreeMap<String, f64> {
    // A store of its own, since what is summed here is nothing that anybody should see on `/metrics`.
    let store = Store::new(layout.clone());
    let view = View { store: &store, totals: vec![totals.clone()], rows: Rows::default(), base: Labels::default() };
    let mut sums = BTreeMap::new();
    for metric in catalogue::ALL.iter().filter(|metric| metric.kind != FamilyKind::Gauge && metric.name.starts_with("load_")) {
        let mut found = Vec::new();
        series::of_profile(metric, &view, &mut found);
        add(&mut sums, metric.name, metric.kind, &found);
    }
    for family in own::families(&[view]) {
        let kind = match family.type_() {
            prometheus::proto::MetricType::COUNTER => FamilyKind::Counter,
            prometheus::proto::MetricType::HISTOGRAM => FamilyKind::Histogram,
            _ => continue,
        };
        add(&mut sums, family.name(), kind, family.get_metric());
    }
    sums
}

fn add(sums: &mut BTreeMap<String, f64>, name: &str, kind: FamilyKind, found: &[Series]) {
    if kind == FamilyKind::Counter {
        sums.insert(name.to_owned(), found.iter().map(|series| series.get_counter().value()).sum());
        return;
    }
    let count = found.iter().map(|series| series.get_histogram().get_sample_count() as f64).sum();
    let sum = found.iter().map(|series| series.get_histogram().get_sample_sum()).sum();
    sums.insert(format!("{name}_count"), count);
    sums.insert(format!("{name}_sum"), sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Outcome, Protocol, Reason};
    use crate::measure::{OwnId, OwnKind, OwnMetric, PhaseId, Sample, ScenarioId, ScenarioLayout, StepId, StepLayout};

    #[test]
    fn over_all_scenarios_steps_and_outcomes() {
        let own = |name: &str, kind| OwnMetric { name: name.into(), help: String::new(), kind, scenarios: Vec::new() };
        let layout = Arc::new(Layout {
            profile: "p".into(),
            phases: vec!["one".into(), "setup".into()],
            scenarios: vec![ScenarioLayout::new("a"), ScenarioLayout::new("setup")],
            steps: vec![
                StepLayout::new(ScenarioId(0), "x", Protocol::Http),
                StepLayout::new(ScenarioId(0), "y", Protocol::Http),
                StepLayout::new(ScenarioId(1), "x", Protocol::Http),
            ],
            own: vec![
                own("written_total", OwnKind::Counter),
                own("size_bytes", OwnKind::Histogram { unit: "bytes".into(), bounds: None }),
            ],
            ..Layout::default()
        });
        let store = Store::new(layout.clone());
        let set = store.open(PhaseId(0));
        for (step, status) in [(0, 200), (1, 201), (2, 200), (0, 503)] {
            let bad = status == 503;
            let outcome = if bad { Outcome::Error } else { Outcome::Ok };
            let reason = bad.then_some(Reason::Status);
            let sample = Sample { response: 500_000_000, service: 1, outcome, reason, status, sent: 10, received: 20 };
            set.sample(StepId(step), &sample);
        }
        set.count(OwnId(0), ScenarioId(0), 3.0);
        set.count(OwnId(0), ScenarioId(1), 4.0);
        set.observe(OwnId(1), ScenarioId(0), 100.0);
        let sums = sums(&layout, &set.totals());
        assert_eq!((sums["load_requests_total"], sums["load_http_responses_total"]), (4.0, 4.0));
        assert_eq!((sums["load_request_errors_total"], sums["load_sent_bytes_total"]), (1.0, 40.0));
        assert_eq!((sums["load_response_duration_seconds_count"], sums["load_response_duration_seconds_sum"]), (4.0, 2.0));
        assert_eq!((sums["written_total"], sums["size_bytes_count"], sums["size_bytes_sum"]), (7.0, 1.0, 100.0));
        assert!(!sums.contains_key("load_users") && sums["load_arrivals_due_total"] == 0.0);
    }
}
