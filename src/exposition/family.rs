//! Families and their series as messages of the `prometheus` crate; native histograms ride along as unknown fields.
//!
//! That crate's messages know classic buckets only. What Prometheus' own definition adds (fields 5 to 13 of its histogram) is put
//! into the message's unknown fields: protobuf writes them out like any others, and the text encoder doesn't see them.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use protobuf::UnknownFields;

use super::exemplar;
use super::varint::{varint, zigzag};
use crate::measure::catalogue::FamilyKind;
use crate::measure::exemplars::Exemplar;
use crate::measure::sparse::Spans;
use crate::measure::{Buckets, Sparse};

/// How many native buckets a histogram shows at most: where schema 6, at which it is recorded, has more, the finest coarser
/// schema that doesn't is shown, down to schema 0 with one for each power of two. What was seen only grows, so the schema of a
/// series only ever falls, which Prometheus takes without seeing a reset.
pub const NATIVE_BUCKETS: usize = 160;

/// Up to so many empty buckets are written out, since a new span costs more than they do.
const GAP: i32 = 2;

/// The labels of a series, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels(Vec<LabelPair>);

impl Labels {
    /// These labels and one more. One without a value is left out, which says the same to Prometheus.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        if !value.is_empty() {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            labels.0.push(pair);
        }
        labels
    }
}

/// A family with its series.
pub(super) fn family(name: &str, help: &str, kind: FamilyKind, series: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(metric_type(kind));
    family.set_metric(series);
    family
}

/// The kind as the `prometheus` crate knows it.
pub(super) fn metric_type(kind: FamilyKind) -> MetricType {
    match kind {
        FamilyKind::Counter => MetricType::COUNTER,
        FamilyKind::Gauge => MetricType::GAUGE,
        FamilyKind::Histogram => MetricType::HISTOGRAM,
    }
}

/// A counter's series.
pub(super) fn counter(labels: Labels, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels.0);
    let mut counter = Counter::default();
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

/// A gauge's series.
pub(super) fn gauge(labels: Labels, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels.0);
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

/// A histogram's series: classic buckets with exact counts, and native ones. All of it from the one snapshot.
pub(super) fn histogram(labels: Labels, sparse: &Sparse, buckets: &Buckets) -> Metric {
    traced(labels, sparse, buckets, &[])
}

/// A histogram's series with exemplars.
pub(super) fn traced(labels: Labels, sparse: &Sparse, buckets: &Buckets, exemplars: &[Exemplar]) -> Metric {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(sparse.count());
    histogram.set_sample_sum(sparse.sum());
    // Exact, since the recorder knows each of these bounds.
    let bucket = |(bound, count): (&f64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut classic: Vec<Bucket> = buckets.bounds().iter().zip(sparse.cumulative(buckets.bounds())).map(bucket).collect();
    exemplar::classic(&mut classic, exemplars);
    histogram.set_bucket(classic);
    exemplar::native(histogram.special_fields.mut_unknown_fields(), exemplars);
    native(sparse, buckets.zero_threshold(), histogram.special_fields.mut_unknown_fields());
    let mut metric = Metric::from_label(labels.0);
    metric.set_histogram(histogram);
    metric
}

/// Adds the fields of a native histogram.
fn native(sparse: &Sparse, zero_threshold: f64, fields: &mut UnknownFields) {
    let (schema, positive, negative) = at_bounded_schema(sparse);
    fields.add_varint(5, zigzag(i64::from(schema)));
    // Above 0: that distinguishes an empty native histogram from a classic one.
    fields.add_fixed64(6, zero_threshold.to_bits());
    fields.add_varint(7, sparse.zero_count());
    spans(&negative, 9, fields);
    spans(&positive, 12, fields);
}

/// The finest schema with at most [`NATIVE_BUCKETS`], and the buckets there.
fn at_bounded_schema(sparse: &Sparse) -> (i32, Spans, Spans) {
    let mut schema = crate::measure::index::SCHEMA;
    loop {
        let (positive, negative) = sparse.at_schema(schema);
        if positive.len() + negative.len() <= NATIVE_BUCKETS || schema == 0 {
            return (schema, positive, negative);
        }
        schema -= 1;
    }
}

/// Adds the spans (field `number`) and the counts' deltas (field `number + 1`) of one sign's buckets.
fn spans(buckets: &[(i32, u64)], number: u32, fields: &mut UnknownFields) {
    let mut spans: Vec<(i32, u32)> = Vec::new();
    let mut deltas = Vec::with_capacity(2 * buckets.len());
    let (mut next, mut last) = (0i32, 0i64);
    let mut count = |n: u64| {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        varint(zigzag(n - last), &mut deltas);
        last = n;
    };
    for (index, n) in buckets {
        let gap = index - next;
        match spans.last_mut() {
            Some(span) if gap <= GAP => {
                (0..gap).for_each(|_| count(0));
                span.1 += gap as u32 + 1;
            }
            _ => spans.push((gap, 1)),
        }
        count(*n);
        next = index + 1;
    }
    for (offset, length) in spans {
        let mut span = Vec::with_capacity(8);
        varint(1 << 3, &mut span);
        varint(zigzag(i64::from(offset)), &mut span);
        varint(2 << 3, &mut span);
        varint(u64::from(length), &mut span);
        fields.add_length_delimited(number, span);
    }
    if !deltas.is_empty() {
        fields.add_length_delimited(number + 1, deltas);
    }
}
