//! Start times that move: they tell that counters started again even where no value fell.

use std::collections::BTreeMap;

use super::api::Series;
use super::report::Labels;
use super::want::label;

/// Where start times moved, as far as they were seen.
#[derive(Debug, Default)]
pub(super) struct Starts {
    seen: BTreeMap<(String, Labels), Seen>,
}

#[derive(Debug)]
struct Seen {
    last: (f64, f64),
    /// The times of the first samples after it moved.
    moves: Vec<f64>,
}

/// Restarts of one target to remember; later ones are the ones that are asked for.
const MOVES: usize = 1_000;

impl Starts {
    /// Takes in the samples of a start time, later ones than before.
    pub(super) fn feed(&mut self, series: &Series, jitter: f64) {
        for (time, value) in &series.samples {
            self.sample(&series.metric, &series.labels, jitter, *time, *value);
        }
    }

    /// Takes in one sample of a start time. A change of at most `jitter` seconds is none.
    pub(super) fn sample(&mut self, metric: &str, labels: &Labels, jitter: f64, time: f64, value: f64) {
        let fresh = || Seen { last: (time, value), moves: Vec::new() };
        let seen = self.seen.entry((metric.to_owned(), labels.clone())).or_insert_with(fresh);
        if time <= seen.last.0 {
            return;
        }
        // One that was never set before is set by the first reset.
        let moved = !value.is_nan() && (seen.last.1.is_nan() || (value - seen.last.1).abs() > jitter);
        if moved {
            if seen.moves.len() == MOVES {
                seen.moves.remove(0);
            }
            seen.moves.push(time);
        }
        seen.last = (time, if value.is_nan() { seen.last.1 } else { value });
    }

    /// Whether the start time that speaks for these labels moved after `last` and up to `time`.
    pub(super) fn moved(&self, metric: &str, labels: &Labels, last: Option<f64>, time: f64) -> bool {
        let Some(last) = last else { return false };
        self.seen.iter().any(|((name, of), seen)| {
            name == metric
                && seen.moves.iter().any(|at| *at > last && *at <= time)
                && of.iter().all(|(name, value)| label(labels, name) == value)
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
