//! Least, greatest and mean of values as they come.

use serde::{Deserialize, Serialize};

/// Least, greatest and mean value over a phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean over samples.
    pub avg: f64,
    /// How many samples there were.
    pub samples: u64,
    /// How many more there were that had no number (NaN, ±Inf).
    pub blank: u64,
}

impl Levels {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        let samples = self.samples + other.samples;
        let mean = |a: f64, b: f64| (a * self.samples as f64 + b * other.samples as f64) / samples.max(1) as f64;
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            avg: mean(self.avg, other.avg),
            samples,
            blank: self.blank + other.blank,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Meter {
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
    /// What came and was no number.
    blank: u64,
}

impl Meter {
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.blank += 1;
            return;
        }
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.sum += value;
        self.count += 1;
    }

    pub(super) fn levels(&self) -> Option<Levels> {
        let Self { min, max, sum, count: samples, blank } = *self;
        (samples > 0).then(|| Levels { min, max, avg: sum / samples as f64, samples, blank })
    }
}
