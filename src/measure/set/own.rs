//! What a set records of the profile's own metrics.

use std::time::SystemTime;

use super::Set;
use crate::measure::layout::{OwnId, OwnKind, ScenarioId};
use crate::measure::own::OwnCell;
use crate::measure::process::unix_time;

impl Set {
    /// Adds to a counter of the profile's own. Counters only grow: what is negative or no number is left out.
    pub fn count(&self, metric: OwnId, scenario: ScenarioId, n: f64) {
        if n > 0.0 && n.is_finite() {
            self.own(metric, scenario).counter.add(n);
        }
    }

    /// Observes a value: a histogram of the profile's own takes it up, a gauge becomes it. NaN is left out.
    pub fn observe(&self, metric: OwnId, scenario: ScenarioId, value: f64) {
        if matches!(self.layout.own[metric.index()].kind, OwnKind::Gauge) {
            self.gauges.set_own(metric, scenario, value);
            let own = self.own(metric, scenario);
            own.gauge.set(value);
            own.set_at.set(unix_time(SystemTime::now()));
        } else {
            let buckets = &self.shapes.own[metric.index()];
            self.own(metric, scenario).histogram.get(buckets).record(buckets, value);
        }
    }

    /// An iteration was cut off that might still have put something into a metric of the profile's own.
    pub fn unfinished(&self, metric: OwnId, scenario: ScenarioId) {
        self.own(metric, scenario).unfinished.add(1);
    }

    /// A user's `start` or `stop` was cut off that might still have put something into a metric of the profile's own.
    pub fn unfinished_aside(&self, metric: OwnId, scenario: ScenarioId) {
        self.own(metric, scenario).aside.add(1);
    }

    fn own(&self, metric: OwnId, scenario: ScenarioId) -> &OwnCell {
        self.own[metric.index() * self.layout.scenarios.len() + scenario.index()].get_or_init(Box::default)
    }
}
