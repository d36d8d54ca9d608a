//! Least, greatest and mean of values as they come.

use super::report::Levels;

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Meter {
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
}

impl Meter {
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.sum += value;
        self.count += 1;
    }

    pub(super) fn levels(&self) -> Option<Levels> {
        (self.count > 0).then(|| Levels { min: self.min, max: self.max, avg: self.sum / self.count as f64, samples: self.count })
    }
}
