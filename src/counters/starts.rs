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
    /// The time of the first sample after a move, and by how much it moved (infinite: it was not set before).
    moves: Vec<(f64, f64)>,
}

impl Starts {
    /// Takes in the samples of a start time, later ones than before.
    pub(super) fn feed(&mut self, series: &Series) {
        for (time, value) in &series.samples {
            self.sample(&series.metric, &series.labels, *time, *value);
        }
    }

    /// Takes in one sample of a start time.
    pub(super) fn sample(&mut self, metric: &str, labels: &Labels, time: f64, value: f64) {
        let fresh = || Seen { last: (time, value), moves: Vec::new() };
        let seen = self.seen.entry((metric.to_owned(), labels.clone())).or_insert_with(fresh);
        if time <= seen.last.0 {
            return;
        }
        let moved = match (seen.last.1.is_nan(), value.is_nan()) {
            (false, false) => (value - seen.last.1).abs(),
            (true, false) => f64::INFINITY,
            (_, true) => 0.0,
        };
        if moved > 0.0 {
            seen.moves.push((time, moved));
        }
        seen.last = (time, if value.is_nan() { seen.last.1 } else { value });
    }

    /// Whether the start time that speaks for these labels moved by more than its jitter after `last` and up to `time`.
    pub(super) fn moved(&self, (metric, jitter): &(String, f64), labels: &Labels, last: Option<f64>, time: f64) -> bool {
        let Some(last) = last else { return false };
        self.seen.iter().filter(|((name, _), _)| name == metric).any(|((_, of), seen)| {
            of.iter().all(|(name, value)| label(labels, name) == value)
                && seen.moves.iter().any(|(at, by)| *at > last && *at <= time && by > jitter)
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
            starts.sample("start", &labels(&[("instance", "a")]), time, value);
        }
        let of = labels(&[("db", "0"), ("instance", "a")]);
        let rule = ("start".to_owned(), 2.0);
        assert!(!starts.moved(&rule, &of, Some(0.0), 1.0), "jitter");
        assert!(starts.moved(&rule, &of, Some(1.0), 2.0));
        assert!(!starts.moved(&rule, &of, Some(2.0), 3.0));
        assert!(!starts.moved(&rule, &of, None, 2.0));
        assert!(!starts.moved(&rule, &labels(&[("instance", "b")]), Some(1.0), 2.0));
        assert!(!starts.moved(&("other".to_owned(), 2.0), &of, Some(1.0), 2.0));
    }

    #[test]
    fn statistics_that_were_reset_for_the_first_time_had_no_start_before() {
        let mut starts = Starts::default();
        let none = Labels::new();
        for (time, value) in [(0.0, f64::NAN), (1.0, f64::NAN), (2.0, 1500.0), (3.0, f64::NAN), (4.0, 1500.0)] {
            starts.sample("reset", &none, time, value);
        }
        let moved = |last, time| starts.moved(&("reset".to_owned(), 0.001), &none, Some(last), time);
        assert!(!moved(0.0, 1.0) && moved(1.0, 2.0) && !moved(2.0, 4.0));
    }
}
