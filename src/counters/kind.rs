//! What a metric of the target is.

use serde::{Deserialize, Serialize};

/// Whether a metric only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Grows; falling back means that it started again.
    Counter,
    /// Goes up and down.
    #[default]
    Gauge,
}

impl MetricKind {
    /// The label in reports.
    pub const fn label(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        }
    }
}
