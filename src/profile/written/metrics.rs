//! Metrics of the profile's own, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::written::{At, Entries, Scalar};

/// A metric of the profile's own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    pub kind: At<MetricType>,
    /// What it counts or measures.
    pub help: Option<Scalar>,
    /// The unit of a histogram's values, in the plural: `seconds`, `bytes`, `ratio`.
    pub unit: Option<Scalar>,
    /// Upper bounds of a histogram's classic buckets.
    pub buckets: Option<At<Vec<f64>>>,
    /// A gauge that shows one of the program's own.
    pub from: Option<Scalar>,
    /// Which of its series, by labels.
    #[serde(rename = "match")]
    pub matching: Option<Entries<Scalar>>,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of values.
    Histogram,
}
