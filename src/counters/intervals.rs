//! How far apart samples are, as it is learned from them: each job has a scrape interval of its own, and what a rule records or an
//! exporter stamps itself has another.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::api::Series;
use super::labels::label;

/// How often an exporter is scraped between edges, and a source of another kind looked at.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// The spacing of samples by job and metric, in seconds.
#[derive(Debug, Default)]
pub(super) struct Intervals(Mutex<HashMap<(String, String), f64>>);

impl Intervals {
    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), f64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from samples: of a job's series the longest of their medians.
    pub(super) fn learn(&self, series: &[Series]) {
        let mut found: HashMap<(String, String), f64> = HashMap::new();
        for series in series {
            if let Some(spacing) = spacing(&series.samples) {
                let longest = found.entry(key(series)).or_insert(spacing);
                *longest = longest.max(spacing);
            }
        }
        self.known().extend(found);
    }

    /// That of a series, if it is known.
    pub(super) fn of(&self, series: &Series) -> Option<f64> {
        self.known().get(&key(series)).copied()
    }

    /// The longest of a metric's, if it is known.
    pub(super) fn of_metric(&self, metric: &str) -> Option<f64> {
        self.known().iter().filter(|((_, name), _)| name == metric).map(|(_, interval)| *interval).max_by(f64::total_cmp)
    }

    /// Whether it is known of a metric: of all series that an answer has of it, or of some where it has none.
    pub(super) fn knows(&self, metric: &str, answer: &[Series]) -> bool {
        let mut series = answer.iter().filter(|series| series.metric == metric).peekable();
        if series.peek().is_none() { self.of_metric(metric).is_some() } else { series.all(|series| self.of(series).is_some()) }
    }

    /// The longest of all.
    pub(super) fn longest(&self) -> Option<f64> {
        self.known().values().copied().max_by(f64::total_cmp)
    }

    /// The shortest of all.
    pub(super) fn shortest(&self) -> Option<f64> {
        self.known().values().copied().min_by(f64::total_cmp)
    }

    /// The longest of each job.
    pub(super) fn by_job(&self) -> BTreeMap<String, f64> {
        let mut jobs = BTreeMap::new();
        for ((job, _), interval) in self.known().iter() {
            let longest = jobs.entry(job.clone()).or_insert(*interval);
            *longest = interval.max(*longest);
        }
        jobs
    }
}

fn key(series: &Series) -> (String, String) {
    (label(&series.labels, "job").to_owned(), series.metric.clone())
}

/// The median distance of samples, in seconds.
pub(super) fn spacing(samples: &[(f64, f64)]) -> Option<f64> {
    let mut gaps: Vec<f64> = samples.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|gap| *gap > 0.0).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(job: &str, metric: &str, times: &[f64]) -> Series {
        let labels = vec![("job".to_owned(), job.to_owned())];
        let samples = times.iter().map(|time| (*time, 1.0)).collect();
        Series { metric: metric.to_owned(), labels, samples, histogram: false }
    }

    #[test]
    fn the_interval_is_the_median_of_the_spacing() {
        assert_eq!(spacing(&[(0.0, 1.0)]), None);
        // One scrape was missed.
        assert_eq!(spacing(&[(0.0, 1.0), (5.0, 1.0), (10.0, 1.0), (20.0, 1.0), (25.0, 1.0)]), Some(5.0));
    }

    #[test]
    fn each_job_and_each_metric_has_its_own() {
        let intervals = Intervals::default();
        let (fast, slow) = (series("redis", "hits", &[0.0, 5.0, 10.0]), series("postgres", "commits", &[7.0]));
        intervals.learn(&[fast.clone(), slow.clone()]);
        assert_eq!((intervals.of(&fast), intervals.of(&slow)), (Some(5.0), None));
        assert!(
            intervals.knows("hits", &[])
                && !intervals.knows("commits", &[])
                && !intervals.knows("hits", &[series("b", "hits", &[1.0])])
        );
        let slow = series("postgres", "commits", &[7.0, 67.0, 127.0]);
        intervals.learn(std::slice::from_ref(&slow));
        assert_eq!((intervals.of(&fast), intervals.of(&slow)), (Some(5.0), Some(60.0)));
        assert_eq!((intervals.shortest(), intervals.longest(), intervals.of_metric("hits")), (Some(5.0), Some(60.0), Some(5.0)));
        assert_eq!(intervals.by_job().into_iter().collect::<Vec<_>>(), [("postgres".into(), 60.0), ("redis".into(), 5.0)]);
    }
}
