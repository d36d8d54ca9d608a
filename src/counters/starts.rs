//! Start times that move: they show that counters started again even where no value fell.

use std::collections::BTreeMap;

use super::api::Series;
use super::labels::{Labels, label};
use super::want::CREATED;

/// Series to remember that are not there at present.
pub(super) const SERIES_REMEMBERED: usize = 10_000;

/// Where start times moved, as far as they were seen.
#[derive(Debug, Default)]
pub(super) struct Starts {
    by_metric: BTreeMap<String, OfMetric>,
}

#[derive(Debug, Default)]
struct OfMetric {
    /// The newest sample of each series: time and value.
    last: BTreeMap<Labels, (f64, f64)>,
    /// Of those that moved: the times of the first samples after it.
    moves: BTreeMap<Labels, Vec<f64>>,
}

/// Restarts of one target to remember; later ones are the ones that are asked for.
const MOVES: usize = 1_000;
/// No time at which a series came to be is before this one, in Unix seconds: it is of 2001.
const EARLIEST: f64 = 1e9;

impl Starts {
    /// Takes in the samples of a start time, later ones than before.
    pub(super) fn feed(&mut self, series: &Series, jitter: f64) {
        for (time, value) in &series.samples {
            self.sample(&series.metric, &series.labels, jitter, *time, *value);
        }
    }

    /// Takes in one sample of a start time. A change of at most `jitter` seconds is none.
    pub(super) fn sample(&mut self, metric: &str, labels: &Labels, jitter: f64, time: f64, value: f64) {
        // Something else may be named so: a counter of what was created.
        if metric.ends_with(CREATED) && value < EARLIEST {
            return;
        }
        let of_metric = self.by_metric.entry(metric.to_owned()).or_default();
        let last = of_metric.last.entry(labels.clone()).or_insert((time, value));
        if time <= last.0 {
            return;
        }
        // One that was never set before is set by the first reset.
        let moved = !value.is_nan() && (last.1.is_nan() || (value - last.1).abs() > jitter);
        if moved {
            let moves = of_metric.moves.entry(labels.clone()).or_default();
            if moves.len() == MOVES {
                moves.remove(0);
            }
            moves.push(time);
        }
        *last = (time, if value.is_nan() { last.1 } else { value });
    }

    /// Forgets the series that had no sample at `time`, where there are too many to remember.
    pub(super) fn forget(&mut self, time: f64) {
        for of_metric in self.by_metric.values_mut().filter(|of_metric| of_metric.last.len() > SERIES_REMEMBERED) {
            of_metric.last.retain(|_, (seen, _)| *seen >= time);
            of_metric.moves.retain(|labels, _| of_metric.last.contains_key(labels));
        }
    }

    /// Whether the start time that speaks for these labels moved after `last` and up to `time`.
    pub(super) fn moved(&self, metric: &str, labels: &Labels, last: Option<f64>, time: f64) -> bool {
        let Some(last) = last else { return false };
        // Most never move, and this is asked for every sample.
        self.by_metric.get(metric).into_iter().flat_map(|of_metric| &of_metric.moves).any(|(of, moves)| {
            moves.iter().any(|at| *at > last && *at <= time) && of.iter().all(|(name, value)| label(labels, name) == value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_move_beyond_the_jitter_speaks_for_the_series_of_the_same_target() {
        let mut starts = Starts::default();
        for (time, value) in [(0.0, 1000.0), (1.0, 1001.0), (2.0, 1500.0), (3.0, 1500.0)] {
            starts.sample("start", &labels(&[("instance", "a")]), 2.0, time, value);
        }
        let of = labels(&[("db", "0"), ("instance", "a")]);
        assert!(!starts.moved("start", &of, Some(0.0), 1.0), "jitter");
        assert!(starts.moved("start", &of, Some(1.0), 2.0));
        assert!(!starts.moved("start", &of, Some(2.0), 3.0));
        assert!(!starts.moved("start", &of, None, 2.0));
        assert!(!starts.moved("start", &labels(&[("instance", "b")]), Some(1.0), 2.0));
        assert!(!starts.moved("other", &of, Some(1.0), 2.0));
    }

    #[test]
    fn series_that_are_gone_are_forgotten_where_there_are_many_and_the_others_are_not() {
        let (mut starts, stays) = (Starts::default(), labels(&[("path", "stays")]));
        let one = |n: usize| labels(&[("path", &n.to_string())]);
        for time in [0.0, 1.0] {
            starts.sample("hits_created", &stays, 0.001, time, 2e9 + time);
            let paths = if time == 0.0 { 0..SERIES_REMEMBERED } else { 0..1 };
            paths.for_each(|n| starts.sample("hits_created", &one(n), 0.001, time, 2e9));
            starts.forget(time);
        }
        assert_eq!(starts.by_metric["hits_created"].last.len(), 2);
        assert!(starts.moved("hits_created", &stays, Some(0.0), 1.0) && !starts.moved("hits_created", &one(0), Some(0.0), 1.0));
    }

    #[test]
    fn what_counts_creations_is_no_start_time() {
        let (mut starts, none) = (Starts::default(), Labels::new());
        for (time, value) in [(0.0, 5.0), (1.0, 9.0), (2.0, 1.7e9), (3.0, 1.7e9 + 1.0)] {
            starts.sample("jobs_created", &none, 0.001, time, value);
        }
        assert!(!starts.moved("jobs_created", &none, Some(0.0), 2.0) && starts.moved("jobs_created", &none, Some(2.0), 3.0));
    }

    #[test]
    fn statistics_that_were_reset_for_the_first_time_had_no_start_before() {
        let mut starts = Starts::default();
        let none = Labels::new();
        for (time, value) in [(0.0, f64::NAN), (1.0, f64::NAN), (2.0, 1500.0), (3.0, f64::NAN), (4.0, 1500.0)] {
            starts.sample("reset", &none, 0.001, time, value);
        }
        let moved = |last, time| starts.moved("reset", &none, Some(last), time);
        assert!(!moved(0.0, 1.0) && moved(1.0, 2.0) && !moved(2.0, 4.0));
    }
}
