//! How long scrapes took. A Prometheus server stamps samples with the time at which their scrape began: what they say is of any moment from
//! there until the scrape was over.

use std::collections::{BTreeSet, HashMap};

use super::api::Series;
use super::labels::{Labels, target};
use super::select::{TARGETS, selector_of_targets};

/// What a server stores of each scrape, under the time stamp of the scrape's samples.
const DURATION: &str = "scrape_duration_seconds";

/// By job and instance: by time stamp in milliseconds how long the scrape took, in seconds.
#[derive(Debug, Default)]
pub(super) struct Durations(HashMap<(String, String), HashMap<i64, f64>>);

impl Durations {
    /// Takes in what a server stored.
    pub(super) fn add(&mut self, series: &[Series]) {
        // A server that isn't a Prometheus may answer with anything.
        for series in series.iter().filter(|series| series.metric == DURATION) {
            let (job, instance) = target(&series.labels);
            let of_target = self.0.entry((job.to_owned(), instance.to_owned())).or_default();
            for (time, took) in series.samples.iter().filter(|(_, took)| took.is_finite()) {
                // Targets of one job and instance that another label distinguishes: the slowest.
                let slowest = of_target.entry(milliseconds(*time)).or_default();
                *slowest = slowest.max(*took);
            }
        }
    }

    /// Those of a series' target.
    pub(super) fn of(&self, labels: &Labels) -> OfTarget<'_> {
        let (job, instance) = target(labels);
        OfTarget(self.0.get(&(job.to_owned(), instance.to_owned())))
    }
}

/// How long the scrapes of one target took.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfTarget<'a>(Option<&'a HashMap<i64, f64>>);

impl OfTarget<'_> {
    /// The scrape of this time stamp. One that nothing is known of took no time: its samples bear a time of their own, or the server doesn't
    /// store how long scrapes take.
    pub(super) fn at(self, time: f64) -> f64 {
        self.0.and_then(|took| took.get(&milliseconds(time))).copied().unwrap_or_default()
    }
}

fn milliseconds(time: f64) -> i64 {
    (time * 1e3).round() as i64
}

/// Selectors of what is stored of the scrapes that these series are of.
pub(super) fn duration_selectors(series: &[Series]) -> Vec<String> {
    let targets: BTreeSet<(&str, &str)> = series.iter().map(|series| target(&series.labels)).collect();
    // What has no instance was not scraped.
    let targets: Vec<_> = targets.into_iter().filter(|(_, instance)| !instance.is_empty()).collect();
    let names = [DURATION.to_owned()];
    targets.chunks(TARGETS).map(|targets| selector_of_targets(&names, &[], targets.iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(metric: &str, instance: &str, samples: &[(f64, f64)]) -> Series {
        let labels = vec![("instance".to_owned(), instance.to_owned()), ("job".to_owned(), "a".to_owned())];
        Series { metric: metric.into(), labels, samples: samples.to_vec(), histogram: false }
    }

    #[test]
    fn a_scrape_is_found_by_its_target_and_its_time_stamp() {
        let mut durations = Durations::default();
        let other = series("hits_total", "a:1", &[(3.0, 9.0)]);
        durations.add(&[series(DURATION, "a:1", &[(1.001, 0.8), (2.0, f64::NAN)]), other.clone()]);
        durations.add(&[series(DURATION, "a:1", &[(1.001, 0.3)]), series(DURATION, "b:1", &[(1.001, 0.1)])]);
        let at = |instance: &str, time| durations.of(&series("", instance, &[]).labels).at(time);
        assert_eq!((at("a:1", 1.001), at("b:1", 1.001)), (0.8, 0.1));
        assert_eq!((at("a:1", 1.002), at("a:1", 2.0), at("a:1", 3.0), at("c:1", 1.001)), (0.0, 0.0, 0.0, 0.0));
        assert_eq!(
            duration_selectors(&[other.clone(), other]),
            [r#"{__name__=~"scrape_duration_seconds",job=~"a",instance=~"a\\:1"}"#]
        );
        assert!(duration_selectors(&[series("recorded", "", &[])]).is_empty());
    }
}
