//! OpenMetrics 1.0 as text: counters named without `_total` in their headers, units, floats written as floats, an end mark.
//!
//! A counter of a profile's own that doesn't end in `_total` is of type `unknown` here, since OpenMetrics would have it renamed,
//! and a metric must not change its name with its format.

use std::io::{self, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplar;
use crate::measure::catalogue::unit;

/// What an exposition ends with.
pub(super) const END: &[u8] = b"# EOF\n";

/// Writes a family.
pub(super) fn write(family: &MetricFamily, out: &mut impl Write) -> io::Result<()> {
    let full = family.name();
    let (name, kind) = match family.get_field_type() {
        MetricType::COUNTER => full.strip_suffix("_total").map_or((full, "unknown"), |name| (name, "counter")),
        MetricType::HISTOGRAM => (full, "histogram"),
        _ => full.strip_suffix("_info").map_or((full, "gauge"), |name| (name, "info")),
    };
    writeln!(out, "# TYPE {name} {kind}")?;
    match unit(name) {
        "" => {}
        unit => writeln!(out, "# UNIT {name} {unit}")?,
    }
    writeln!(out, "# HELP {name} {}", escaped(family.help()))?;
    for metric in family.get_metric() {
        match family.get_field_type() {
            MetricType::COUNTER => sample(out, full, "", metric, None, &float(metric.get_counter().value()))?,
            MetricType::HISTOGRAM => histogram(out, full, metric)?,
            _ => sample(out, full, "", metric, None, &float(metric.get_gauge().value()))?,
        }
    }
    Ok(())
}

fn histogram(out: &mut impl Write, name: &str, metric: &Metric) -> io::Result<()> {
    let histogram = metric.get_histogram();
    for bucket in histogram.get_bucket() {
        let bound = float(bucket.upper_bound());
        let exemplar = exemplar::text(bucket).unwrap_or_default();
        sample(out, name, "_bucket", metric, Some(&bound), &format!("{}{exemplar}", bucket.cumulative_count()))?;
    }
    let count = histogram.get_sample_count().to_string();
    sample(out, name, "_bucket", metric, Some("+Inf"), &count)?;
    // A sum that may go down (of negative values) has no place in OpenMetrics.
    if histogram.get_bucket().first().is_none_or(|bucket| bucket.upper_bound() >= 0.0) {
        sample(out, name, "_sum", metric, None, &float(histogram.get_sample_sum()))?;
        sample(out, name, "_count", metric, None, &count)?;
    }
    Ok(())
}

fn sample(out: &mut impl Write, name: &str, suffix: &str, metric: &Metric, bound: Option<&str>, value: &str) -> io::Result<()> {
    write!(out, "{name}{suffix}")?;
    let mut separator = '{';
    let bound = bound.map(|bound| ("le", bound));
    for (label, text) in metric.get_label().iter().map(pair).chain(bound) {
        write!(out, "{separator}{label}=\"{}\"", escaped(text))?;
        separator = ',';
    }
    if separator == ',' {
        out.write_all(b"}")?;
    }
    writeln!(out, " {value}")
}

fn pair(label: &LabelPair) -> (&str, &str) {
    (label.name(), label.value())
}

/// A float as OpenMetrics writes them: `1.0`, `0.25`, `+Inf`, `NaN`.
fn float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{value:?}")
}

/// Backslashes, quotes and line ends as OpenMetrics escapes them, in help texts and label values alike.
fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(['\\', '"', '\n']) {
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into()
    } else {
        text.into()
    }
}
