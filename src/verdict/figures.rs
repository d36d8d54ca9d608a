//! What of the totals an SLO needs: a small extract that adds up, subtracts and answers each measure.

use super::requirement::{Comparison, Measure, Requirement, Tally, Unit};
use super::slo::{Of, Traffic};
use crate::base::{Outcome, Reason};
use crate::measure::{Sparse, Totals};
use std::collections::BTreeMap;

/// The extract: of requests, connections, iterations, groups or values, whatever the subject is about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// What ended well: its times, or the values observed.
    good: Sparse,
    /// What timed out or was interrupted, at the time elapsed: a lower bound.
    late: Sparse,
    /// All of them, however they ended.
    all: u64,
    /// What failed or timed out.
    errors: u64,
    timeouts: u64,
    interrupted: u64,
    reasons: [u64; Reason::COUNT],
    /// Steps without a request that could not be done.
    step_errors: u64,
    codes: BTreeMap<u16, u64>,
    /// Checks evaluated, and those that failed.
    checks: (u64, u64),
    /// Arrivals due, and those dropped.
    arrivals: (u64, u64),
    /// Connections opened, and those that ended unasked.
    connections: (u64, u64),
    /// Connections that were open when the phase began.
    carried: u64,
    /// Messages that were owed, and those that never came.
    messages: (u64, u64),
    /// The sum of a counter of the profile's own; `None` for other subjects.
    counter: Option<f64>,
}

impl Figures {
    /// The subject's extract of some totals.
    pub fn of(subject: &Traffic, totals: &Totals) -> Self {
        let mut figures = Self::default();
        match subject.of {
            Of::Response | Of::Service => {
                for step in subject.steps.iter().map(|id| totals.step(*id)) {
                    // What was never sent has no service time, so the counts come from response times.
                    figures.count(&step.response);
                    figures.time(if subject.of == Of::Service { &step.service } else { &step.response });
                    add(&mut figures.reasons, &step.reasons);
                    for (code, n) in &step.codes {
                        *figures.codes.entry(*code).or_default() += n;
                    }
                }
                for scenario in subject.scenarios.iter().filter(|_| subject.all_steps).map(|id| totals.scenario(*id)) {
                    figures.step_errors += scenario.step_errors.iter().sum::<u64>();
                    add(&mut figures.reasons, &scenario.step_errors);
                }
            }
            Of::Connect => {
                let connects = subject.scenarios.iter().flat_map(|id| {
                    let scenario = totals.scenario(*id);
                    subject.protocols.iter().map(|protocol| &scenario.connects[protocol.index()])
                });
                for connects in connects {
                    let failed: u64 = connects.failures.iter().sum();
                    figures.good.add(&connects.duration);
                    figures.all += connects.duration.count() + failed;
                    figures.errors += failed;
                    figures.timeouts += connects.failures[Reason::Timeout.index()];
                    add(&mut figures.reasons, &connects.failures);
                }
            }
            Of::Iteration => {
                for id in &subject.scenarios {
                    let iterations = &totals.scenario(*id).iterations;
                    figures.count(iterations);
                    figures.time(iterations);
                }
            }
            Of::Group => {
                for id in &subject.groups {
                    figures.count(totals.group(*id));
                    figures.time(totals.group(*id));
                }
            }
            Of::Own(metric) => {
                let mut sum = 0.0;
                for id in &subject.scenarios {
                    let own = totals.own(metric, *id);
                    sum += own.counter;
                    figures.good.add(&own.histogram);
                }
                figures.all = figures.good.count();
                figures.counter = Some(sum);
            }
            Of::Session => {
                for id in &subject.steps {
                    figures.count(&totals.session(*id).durations);
                    figures.time(&totals.session(*id).durations);
                }
            }
            Of::MessageLatency => {
                for message in subject.messages.iter().map(|id| totals.message(*id)) {
                    figures.good.add(&message.latency);
                    // One that never came, or that told no time, came within no time.
                    figures.all += message.latency.count().max(message.received) + message.missed;
                }
            }
            // Nothing adds up to a gauge.
            Of::Gauge(_) => {}
        }
        for message in subject.messages.iter().map(|id| totals.message(*id)) {
            figures.messages.0 += message.received + message.missed;
            figures.messages.1 += message.missed;
        }
        for check in subject.checks.iter().map(|id| totals.check(*id)) {
            figures.checks.0 += check.total;
            figures.checks.1 += check.failed;
        }
        for scenario in subject.scenarios.iter().map(|id| totals.scenario(*id)) {
            figures.arrivals.0 += scenario.due;
            figures.arrivals.1 += scenario.dropped.iter().sum::<u64>();
            for connects in subject.protocols.iter().map(|protocol| &scenario.connects[protocol.index()]) {
                figures.carried += connects.carried;
                figures.connections.0 += connects.duration.count();
                figures.connections.1 += connects.disconnects.iter().sum::<u64>();
            }
        }
        figures
    }

    fn count(&mut self, by_outcome: &[Sparse; Outcome::COUNT]) {
        self.all += by_outcome.iter().map(Sparse::count).sum::<u64>();
        self.timeouts += by_outcome[Outcome::Timeout.index()].count();
        self.interrupted += by_outcome[Outcome::Interrupted.index()].count();
        self.errors += by_outcome[Outcome::Error.index()].count() + by_outcome[Outcome::Timeout.index()].count();
    }

    fn time(&mut self, by_outcome: &[Sparse; Outcome::COUNT]) {
        for outcome in Outcome::TIMED {
            let times = if outcome == Outcome::Ok { &mut self.good } else { &mut self.late };
            times.add(&by_outcome[outcome.index()]);
        }
    }

    /// What has come since `earlier`, an extract of the same subject. What was open when the phase began counts as open since then, too.
    pub fn minus(&self, earlier: &Self) -> Self {
        let mut rest = self.clone();
        rest.good = self.good.minus(&earlier.good);
        rest.late = self.late.minus(&earlier.late);
        rest.all = rest.all.saturating_sub(earlier.all);
        rest.errors = rest.errors.saturating_sub(earlier.errors);
        rest.timeouts = rest.timeouts.saturating_sub(earlier.timeouts);
        rest.interrupted = rest.interrupted.saturating_sub(earlier.interrupted);
        rest.step_errors = rest.step_errors.saturating_sub(earlier.step_errors);
        for (mine, theirs) in rest.reasons.iter_mut().zip(&earlier.reasons) {
            *mine = mine.saturating_sub(*theirs);
        }
        for (code, n) in &mut rest.codes {
            *n = n.saturating_sub(earlier.codes.get(code).copied().unwrap_or(0));
        }
        for (mine, theirs) in [
            (&mut rest.checks, earlier.checks),
            (&mut rest.arrivals, earlier.arrivals),
            (&mut rest.connections, earlier.connections),
            (&mut rest.messages, earlier.messages),
        ] {
            mine.0 = mine.0.saturating_sub(theirs.0);
            mine.1 = mine.1.saturating_sub(theirs.1);
        }
        rest.counter = self.counter.map(|sum| sum - earlier.counter.unwrap_or(0.0));
        rest
    }

    /// The times (or values) that quantiles are of: answers, timeouts and interrupted; other errors are left to `errors`.
    pub fn times(&self) -> Sparse {
        let mut times = self.good.clone();
        times.add(&self.late);
        times
    }

    /// How many there are, and of how many.
    fn tally(&self, tally: Tally) -> (u64, u64) {
        // A step that sends nothing is only noticed where it fails.
        let tried = self.all + self.step_errors;
        match tally {
            Tally::Requests => (self.all, self.all),
            Tally::Errors => (self.errors + self.step_errors, tried),
            // What was interrupted has not succeeded, though it isn't an error either.
            Tally::Success => (self.good_count(), tried),
            Tally::Timeouts => (self.timeouts, self.all),
            Tally::Checks => (self.checks.0.saturating_sub(self.checks.1), self.checks.0),
            Tally::Dropped => (self.arrivals.1, self.arrivals.0),
            Tally::Disconnects => (self.connections.1, self.connections.0 + self.carried),
            Tally::Missed => (self.messages.1, self.messages.0),
            Tally::Because(reason) => (self.reasons[reason.index()], tried),
            Tally::Status(from, to) => (self.codes.range(from..=to).map(|code| code.1).sum(), self.all),
        }
    }

    /// How many ended well, by the counts of response times.
    fn good_count(&self) -> u64 {
        self.all.saturating_sub(self.errors + self.interrupted)
    }

    /// How many samples stand behind a measure: of few a quantile or a share says little.
    pub fn samples(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Ratio(tally) => self.tally(tally).1,
            Measure::Quantile(_) | Measure::Mean | Measure::Max | Measure::Min | Measure::Drift => {
                self.good.count() + self.late.count()
            }
            // A number and a rate say as much where they are small.
            Measure::Value | Measure::Count(_) | Measure::Rate => u64::MAX,
            Measure::Within(_) => self.all,
        }
    }

    /// A measure's value over `seconds`, in base units; `None` without data. Drift is no matter of one extract: see `Drift`.
    pub fn value(&self, measure: Measure, seconds: f64) -> Option<f64> {
        let some = |of: u64| (of > 0).then_some(of as f64);
        match measure {
            Measure::Quantile(q) => self.times().quantile(q),
            Measure::Mean => self.times().mean(),
            Measure::Max => self.times().max(),
            Measure::Min => self.times().min(),
            Measure::Value => self.counter,
            // Only what ended well within the time counts, of all there was.
            Measure::Within(bound) => Some(self.good.within(bound) / some(self.all)?),
            Measure::Ratio(tally) => {
                let (n, of) = self.tally(tally);
                Some(n as f64 / some(of)?)
            }
            Measure::Count(tally) => {
                let (n, of) = self.tally(tally);
                some(of).map(|_| n as f64)
            }
            Measure::Rate if seconds > 0.0 => {
                let sum = if self.all > 0 { self.all as f64 } else { self.counter? };
                (sum > 0.0).then(|| sum / seconds)
            }
            Measure::Rate | Measure::Drift => None,
        }
    }

    /// A requirement's value over `seconds`, and whether it is met; `None` without data.
    ///
    /// Of a quantile the buckets know the value to half a per cent, but how many lie within a threshold is counted exactly: at most q of
    /// all do if and only if the quantile is above it. Where the count is known it decides, and the value follows it.
    pub fn judge(&self, requirement: &Requirement, seconds: f64) -> Option<(f64, bool)> {
        let value = self.value(requirement.measure, seconds)?;
        let objective = requirement.objective;
        let Measure::Quantile(q) = requirement.measure else { return Some((value, requirement.met(value))) };
        // Times don't fall on a threshold to the nanosecond; other values do, and then only these two comparisons are exact.
        let exact = requirement.unit == Unit::Seconds || matches!(requirement.comparison, Comparison::AtMost | Comparison::Above);
        let times = self.times();
        let within = times.within_exactly(objective).filter(|_| exact && requirement.comparison != Comparison::Equal);
        let Some(within) = within else { return Some((value, requirement.met(value))) };
        let reached = within as f64 >= q * times.count() as f64;
        let below = matches!(requirement.comparison, Comparison::Below | Comparison::AtMost);
        let value = if reached { value.min(objective) } else { value.max(objective) };
        Some((value, reached == below))
    }
}

fn add(mine: &mut [u64; Reason::COUNT], theirs: &[u64; Reason::COUNT]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

#[cfg(test)]
mod tests;
