//! Least, greatest and mean of values as they come.

use serde::{Deserialize, Serialize};

/// Without a sample for longer than so many scrape intervals, a level may have been any.
pub(super) const HOLE: f64 = 3.5;

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
    /// The longest time without a sample, in seconds, where that is more than a few scrape intervals.
    #[serde(default)]
    pub hole: f64,
    /// How long before the end the last sample was, in seconds, where that and the next one are more than a few scrape intervals apart.
    #[serde(default)]
    pub ended: f64,
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
            hole: self.hole.max(other.hole),
            ended: other.ended,
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
    /// Between which times there were samples, and the longest time without one in between.
    times: Option<[f64; 2]>,
    apart: f64,
    /// The samples around the end.
    astride: Option<[f64; 2]>,
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

    /// A sample was there at this time.
    pub(super) fn there(&mut self, time: f64) {
        if let Some([_, last]) = self.times {
            self.apart = self.apart.max(time - last);
        }
        self.times = Some(self.times.map_or([time; 2], |[first, last]| [first.min(time), last.max(time)]));
    }

    /// A sample that is past the end was there at this time.
    pub(super) fn past(&mut self, time: f64) {
        if self.astride.is_none() {
            self.astride = self.times.map(|[_, last]| [last, time]);
        }
    }

    pub(super) fn levels(&self) -> Option<Levels> {
        let Self { min, max, sum, count: samples, blank, .. } = *self;
        (samples > 0).then(|| Levels { min, max, avg: sum / samples as f64, samples, blank, hole: 0.0, ended: 0.0 })
    }

    /// The same of a stretch of time, where samples come each so many seconds.
    pub(super) fn levels_within(&self, [from, to]: [f64; 2], every: f64) -> Option<Levels> {
        let apart = self.times.map_or(0.0, |[first, last]| self.apart.max(first - from).max(to - last));
        let hole = if apart > HOLE * every { apart } else { 0.0 };
        let far_apart = self.astride.filter(|[last, next]| next - last > HOLE * every);
        let ended = far_apart.map_or(0.0, |[last, _]| to - last);
        self.levels().map(|levels| Levels { hole, ended, ..levels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hole of samples at these times, within 100 s, where one is due each 5 s.
    fn hole(times: impl Iterator<Item = u32>) -> f64 {
        let mut meter = Meter::default();
        for time in times {
            meter.there(f64::from(time));
            meter.add(1.0);
        }
        meter.levels_within([0.0, 100.0], 5.0).unwrap().hole
    }

    #[test]
    fn a_level_at_the_end_is_known_by_samples_that_are_not_far_apart() {
        for (last, next, ended) in [(85, 102, 0.0), (85, 103, 15.0), (99, 104, 0.0)] {
            let mut meter = Meter::default();
            for time in [80, last] {
                meter.there(f64::from(time));
                meter.add(1.0);
            }
            meter.past(f64::from(next));
            meter.past(105.0);
            assert_eq!(meter.levels_within([0.0, 100.0], 5.0).unwrap().ended, ended, "{last} {next}");
        }
    }

    #[test]
    fn a_few_scrapes_that_are_missing_are_no_hole_and_more_are_one_wherever_they_are() {
        let each = |from: u32, to: u32| (from..=to).step_by(5);
        assert_eq!((hole(each(0, 100)), hole(each(15, 85)), hole(each(0, 40).chain(each(55, 100)))), (0.0, 0.0, 0.0));
        assert_eq!((hole(each(20, 100)), hole(each(0, 60)), hole(each(0, 40).chain(each(70, 100)))), (20.0, 40.0, 30.0));
    }
}
