//! What a phase measured of long bodies.

use serde::{Deserialize, Serialize};

use super::Latency;

/// The bodies of one step that uploads or downloads. Only requests that ended as expected are in here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transfer {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`.
    pub step: String,
    /// How fast requests' bodies went over.
    pub upload: Speed,
    /// How fast answers' bodies came.
    pub download: Speed,
    /// From the last byte of an upload to the first of its answer.
    pub processing: Latency,
}

/// A distribution in bytes a second: a body's bytes by its request's service time. All `null` where nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Speed {
    /// How many bodies of at least 64 KiB.
    pub count: u64,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// One of twenty was at most as fast.
    pub p5: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// Nineteen of twenty were at most as fast.
    pub p95: Option<f64>,
}
