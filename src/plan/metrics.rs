//! Metrics of the profile's own.

use super::resolver::Resolver;
use crate::base::names::{is_label_name, is_metric_name};
use crate::base::written::At;
use crate::expr::Names;
use crate::measure::{Layout, OwnKind, OwnMetric, catalogue};
use crate::profile::written::{Metric, MetricType};

/// Resolves `metrics`; which scenarios feed them is known later, by their steps.
pub(super) fn own(resolver: &mut Resolver<'_>) -> Vec<OwnMetric> {
    let Some(metrics) = &resolver.profile.written.metrics else { return Vec::new() };
    metrics.iter().filter_map(|(name, metric)| one(resolver, name, metric)).collect()
}

/// Why `metric(name)` and `lost(step)` can't be had where several generators share a run.
const SHARDED: &str = "is a total of this generator alone, and the run is shared by several (`--shard`); run it with one, or ask Prometheus for the sum over all of them in an SLO: promql: sum(…)";

/// Makes the totals of the run known, unless others have a part in them.
pub(super) fn with_totals(resolver: &Resolver<'_>, layout: &Layout, names: Names) -> Names {
    let steps = layout.steps.iter().map(|step| step.name.clone());
    let names = names.with_totals(totals(layout), steps);
    if resolver.options.shards > 1 { names.without_totals(SHARDED) } else { names }
}

/// The names that `metric(name)` answers: counters, the counts and sums of histograms, and what the profile's own gauges stand
/// at. One with `from` isn't among them: it is worked out for each scrape. Wanted by verify, teardown and SLOs over a `value`.
fn totals(layout: &Layout) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |name: &str, histogram: bool| {
        if histogram {
            names.extend(["_count", "_sum"].map(|suffix| format!("{name}{suffix}")));
        } else {
            names.push(name.to_owned());
        }
    };
    for own in layout.own.iter().filter(|own| !matches!(own.kind, OwnKind::GaugeFrom { .. })) {
        add(&own.name, matches!(own.kind, OwnKind::Histogram { .. }));
    }
    for metric in catalogue::ALL.iter().filter(|metric| metric.name.starts_with("load_")) {
        match metric.kind {
            catalogue::FamilyKind::Counter => add(metric.name, false),
            catalogue::FamilyKind::Histogram => add(metric.name, true),
            catalogue::FamilyKind::Gauge => {}
        }
    }
    names
}

/// Whether an expression is a count of the run and nothing else, like `metric('sold_total')`: of anything else nobody knows how it grows
/// with the load.
pub(super) fn is_count_alone(expression: &str, layout: &Layout) -> bool {
    let argument =
        expression.trim().strip_prefix("metric").map(str::trim).and_then(|call| call.strip_prefix('(')?.strip_suffix(')'));
    let quoted = |quote| argument.and_then(|text| text.trim().strip_prefix(quote)?.strip_suffix(quote));
    let Some(name) = quoted('\'').or_else(|| quoted('"')) else { return false };
    // Counters end like that, and nothing else does.
    let counted = |histogram: &str| histogram.starts_with("load_") || layout.own.iter().any(|own| own.name == histogram);
    is_metric_name(name) && (name.ends_with("_total") || name.strip_suffix("_count").is_some_and(counted))
}

fn one(resolver: &mut Resolver<'_>, name: &At<String>, metric: &Metric) -> Option<OwnMetric> {
    let text = &name.value;
    if !is_metric_name(text) {
        resolver.error(name.at, format!("`{text}` can't be the name of a metric; it has letters, digits and `_`"));
        return None;
    }
    if let Some(prefix) = ["load_", "process_"].into_iter().find(|prefix| text.starts_with(prefix)) {
        resolver.error(name.at, format!("`{text}` can't start with `{prefix}`, which are the program's own metrics"));
        return None;
    }
    let kind = metric.kind.value;
    if kind == MetricType::Counter && !text.ends_with("_total") {
        resolver.error(name.at, format!("the name of a counter ends with `_total`; write `{text}_total`"));
    }
    if kind != MetricType::Counter && text.ends_with("_total") {
        resolver.error(name.at, format!("`{text}` ends with `_total`, which names a counter"));
    }
    let misplaced = [
        (metric.unit.as_ref().map(|unit| unit.at), "unit", MetricType::Histogram),
        (metric.buckets.as_ref().map(|buckets| buckets.at), "buckets", MetricType::Histogram),
        (metric.from.as_ref().map(|from| from.at), "from", MetricType::Gauge),
    ];
    for (at, key, wants) in misplaced {
        if let Some(at) = at.filter(|_| kind != wants) {
            let wants = if wants == MetricType::Gauge { "gauge" } else { "histogram" };
            resolver.error(at, format!("`{key}` belongs to a {wants}"));
        }
    }
    let resolved = match kind {
        MetricType::Counter => OwnKind::Counter,
        MetricType::Histogram => histogram(resolver, metric),
        MetricType::Gauge => gauge(resolver, metric)?,
    };
    let help = metric.help.as_ref().map_or_else(|| format!("The profile's own {text}"), |help| help.source.clone());
    Some(OwnMetric { name: text.clone(), help, kind: resolved, scenarios: Vec::new() })
}

fn histogram(resolver: &mut Resolver<'_>, metric: &Metric) -> OwnKind {
    let bounds = metric.buckets.as_ref().map(|buckets| {
        let ascending = buckets.value.windows(2).all(|pair| pair[0] < pair[1]);
        if buckets.value.is_empty() || !ascending || buckets.value.iter().any(|bound| !bound.is_finite()) {
            resolver.error(buckets.at, "the bounds of buckets are numbers in ascending order, like [0.1, 0.5, 1]");
        }
        buckets.value.clone()
    });
    OwnKind::Histogram { unit: metric.unit.as_ref().map_or_else(String::new, |unit| unit.source.clone()), bounds }
}

fn gauge(resolver: &mut Resolver<'_>, metric: &Metric) -> Option<OwnKind> {
    let Some(from) = &metric.from else {
        if let Some((label, _)) = metric.matching.iter().flat_map(|entries| entries.iter()).next() {
            resolver.error(label.at, "`match` goes with `from`");
        }
        return Some(OwnKind::Gauge);
    };
    let Some(source) = catalogue::find(&from.source) else {
        resolver.unknown(from.at, "metric of the program", &from.source, catalogue::ALL.iter().map(|metric| metric.name));
        return None;
    };
    if source.kind == catalogue::FamilyKind::Histogram {
        resolver.error(from.at, format!("`{}` is a histogram; a gauge can show a counter or a gauge", source.name));
        return None;
    }
    let mut matchers = Vec::new();
    for (label, value) in metric.matching.iter().flat_map(|entries| entries.iter()) {
        if !is_label_name(&label.value) || !source.labels.contains(&label.value.as_str()) {
            resolver.unknown(label.at, &format!("label of {}", source.name), &label.value, source.labels.iter().copied());
            continue;
        }
        matchers.push((label.value.clone(), value.source.clone()));
    }
    Some(OwnKind::GaugeFrom { metric: source.name.to_owned(), matchers })
}
