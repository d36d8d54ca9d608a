//! The families of the profiles' own metrics, and what two profiles may not share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prometheus::proto::{Metric as Series, MetricFamily};

use super::family::{counter, family, gauge, histogram};
use super::gather::View;
use super::series;
use crate::measure::catalogue::{self, FamilyKind};
use crate::measure::{Layout, OwnId, OwnKind, OwnMetric, OwnTotals, ScenarioId};

fn kind(own: &OwnMetric) -> FamilyKind {
    match own.kind {
        OwnKind::Counter => FamilyKind::Counter,
        OwnKind::Gauge | OwnKind::GaugeFrom { .. } => FamilyKind::Gauge,
        OwnKind::Histogram { .. } => FamilyKind::Histogram,
    }
}

/// Why profiles can't be shown on the same `/metrics`, if they can't: two of one name, or one metric of two kinds.
pub fn conflict<'a>(layouts: impl IntoIterator<Item = &'a Arc<Layout>>) -> Option<String> {
    let mut profiles: HashSet<&str> = HashSet::new();
    // Of each metric the first profile that has it, and of each name on /metrics the metric.
    let mut metrics: HashMap<&str, (&OwnMetric, &str)> = HashMap::new();
    let mut shown: HashMap<String, &str> = HashMap::new();
    for layout in layouts {
        if !profiles.insert(&layout.profile) {
            return Some(format!("two profiles are named `{}`; rename one of them", layout.profile));
        }
        for own in &layout.own {
            let (first, profile) = *metrics.entry(&own.name).or_insert((own, &layout.profile));
            if kind(first) != kind(own) {
                return Some(format!(
                    "the metric `{}` has another type in the profile `{}` than in `{profile}`; rename one of them",
                    own.name, layout.profile
                ));
            }
            for name in names(own) {
                let other = *shown.entry(name).or_insert(&own.name);
                if other != own.name {
                    return Some(format!(
                        "the metrics `{other}` and `{}` would have series of one name on /metrics; rename one of them",
                        own.name
                    ));
                }
            }
        }
    }
    None
}

/// The names that a metric has on `/metrics`, in any of its formats.
fn names(own: &OwnMetric) -> Vec<String> {
    let name = &own.name;
    let parts: &[&str] = match kind(own) {
        FamilyKind::Counter => &["_created"],
        FamilyKind::Gauge => &[],
        FamilyKind::Histogram => &["_bucket", "_count", "_sum", "_created"],
    };
    // OpenMetrics calls the family of a counter by its name without `_total`.
    let family = name.strip_suffix("_total").unwrap_or(name);
    let mut names: Vec<String> = parts.iter().map(|part| format!("{family}{part}")).collect();
    names.extend([name.clone(), family.to_owned()]);
    names
}

/// The families, by name in the order of their first appearance. Of a name that has several kinds, the first is shown.
pub(super) fn families(views: &[View]) -> Vec<MetricFamily> {
    let mut firsts: Vec<(&OwnMetric, Vec<Series>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for view in views {
        for (i, own) in view.layout().own.iter().enumerate() {
            let place = *places.entry(&own.name).or_insert_with(|| {
                firsts.push((own, Vec::new()));
                firsts.len() - 1
            });
            let (first, found) = &mut firsts[place];
            if kind(own) == kind(first) {
                series_of(view, OwnId::at(i), own, found);
            }
        }
    }
    firsts.into_iter().map(|(first, found)| family(&first.name, &first.help, kind(first), found)).collect()
}

/// Adds the series of one profile's metric.
fn series_of(view: &View, id: OwnId, own: &OwnMetric, out: &mut Vec<Series>) {
    match &own.kind {
        OwnKind::Counter => each(view, id, own, |labels, cell| out.push(counter(labels, cell.counter))),
        OwnKind::Histogram { .. } => {
            let buckets = &view.store.shapes().own[id.index()];
            each(view, id, own, |labels, cell| out.push(histogram(labels, &cell.histogram, buckets)));
        }
        OwnKind::Gauge => {
            for (scenario, labels) in view.scenarios() {
                out.extend(view.store.gauges.own(id, scenario).map(|value| gauge(labels, value)));
            }
        }
        OwnKind::GaugeFrom { metric, matchers } => {
            let sum: f64 = referred(view, metric).iter().filter(|series| matches(series, matchers)).map(value).sum();
            out.push(gauge(view.base.clone(), sum));
        }
    }
}

/// Visits each scenario that feeds the metric in each of its phases.
fn each(view: &View, id: OwnId, own: &OwnMetric, mut visit: impl FnMut(super::family::Labels, &OwnTotals)) {
    for (phase, name, totals) in view.phases() {
        for scenario in (0..totals.scenarios.len()).map(ScenarioId::at) {
            let cell = totals.own(id, scenario);
            let known = own.scenarios.contains(&scenario) && view.layout().is_active(phase, scenario);
            if known || *cell != OwnTotals::default() {
                visit(view.in_phase(scenario, name), cell);
            }
        }
    }
}

/// The series that a gauge made `from` another metric looks at: of the catalogue or of the profile's own, if they have a value.
fn referred(view: &View, name: &str) -> Vec<Series> {
    let mut found = Vec::new();
    if let Some(metric) = catalogue::find(name) {
        series::of_profile(metric, view, &mut found);
    } else {
        for (i, own) in view.layout().own.iter().enumerate() {
            if own.name == name && matches!(own.kind, OwnKind::Counter | OwnKind::Gauge) {
                series_of(view, OwnId::at(i), own, &mut found);
            }
        }
    }
    found
}

fn matches(series: &Series, matchers: &[(String, String)]) -> bool {
    matchers.iter().all(|(name, wanted)| {
        let label = series.get_label().iter().find(|label| label.name() == name);
        label.map_or("", |label| label.value()) == wanted
    })
}

/// A counter's or a gauge's value; a histogram's count.
fn value(series: &Series) -> f64 {
    if series.counter.is_some() {
        series.get_counter().value()
    } else if series.histogram.is_some() {
        series.get_histogram().get_sample_count() as f64
    } else {
        series.get_gauge().value()
    }
}
