//! Least, greatest and mean of values as they come.

use super::report::Levels;

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
