//! A requirement's error budget: what part of all may be bad, and the PromQL for the part that is.

use std::time::Duration;

use super::promql::Selection;
use super::windows::Pair;
use crate::base::Protocol;
use crate::measure::{Layout, catalogue};
use crate::verdict::{Comparison, Measure, Of, Requirement, Tally, Traffic, Unit};

/// Below so many events in the long window a ratio says nothing.
const LEAST: f64 = 100.0;

const CONNECTS: &str = catalogue::CONNECTS.name;
const CONNECT_FAILURES: &str = catalogue::CONNECT_FAILURES.name;
/// The histogram of connections that came up; it has no outcomes.
const OF_CONNECT: &str = catalogue::CONNECT_DURATION.name;
const ANSWERED: &str = "outcome!=\"error\"";
const GOOD: &str = "outcome=\"ok\"";

/// An error budget.
pub(super) struct Burn {
    /// The part of all that may be bad, from 0 to 1.
    pub budget: f64,
    /// What is counted, in the plural.
    pub of: &'static str,
    /// What the bad ones are or do.
    pub bad_are: String,
    selection: Selection,
    bad: Bad,
}

/// What is bad.
enum Bad {
    /// Observations of a histogram above a bound; those that failed are not among them.
    Above { metric: &'static str, bound: f64 },
    /// All but the good observations at most so large.
    NotWithin { metric: &'static str, bound: f64 },
    /// All but the good observations of a histogram.
    NotOk { metric: &'static str },
    /// The first counter, of the second.
    Part { metric: &'static str, matcher: Option<String>, all: &'static str },
    /// All but the first counter, of the second.
    NotPart { metric: &'static str, matcher: String, all: &'static str },
    /// Connections that ended unasked, of those that were opened.
    Disconnects,
}

impl Burn {
    /// The budget of a requirement; none where it has none, as a mean or a rate.
    pub fn new(layout: &Layout, profile: &str, traffic: &Traffic, requirement: &Requirement, phases: &str) -> Option<Self> {
        let common = format!("profile={},{phases}", super::quoted(profile));
        let scenario = |index: usize| layout.scenarios[index].name.as_str();
        let scenarios: Vec<&str> = traffic.scenarios.iter().map(|id| scenario(id.index())).collect();
        let by_step = || {
            let steps = traffic.steps.iter().map(|id| &layout.steps[id.index()]);
            let pairs: Vec<(&str, &str)> = steps.map(|step| (scenario(step.scenario.index()), step.name.as_str())).collect();
            (!pairs.is_empty()).then(|| Selection::of_pairs(&common, "step", &pairs))
        };
        let by_check = || {
            let checks = traffic.checks.iter().map(|id| &layout.checks[id.index()]);
            let pairs: Vec<(&str, &str)> = checks.map(|check| (scenario(check.scenario.index()), check.name.as_str())).collect();
            (!pairs.is_empty()).then(|| Selection::of_pairs(&common, "check", &pairs))
        };
        let by_scenario = || (!scenarios.is_empty()).then(|| Selection::of_scenarios(&common, &scenarios));
        let by_protocol = || {
            let protocols: Vec<&str> = traffic.protocols.iter().map(|protocol: &Protocol| protocol.label()).collect();
            Some(by_scenario()?.with(&super::any_of("protocol", &protocols)))
        };
        let (own, histogram, of) = match traffic.of {
            Of::Response => (by_step()?, catalogue::RESPONSE_DURATION.name, "requests"),
            Of::Service => (by_step()?, catalogue::SERVICE_DURATION.name, "requests"),
            Of::Connect => (by_protocol()?, OF_CONNECT, "connects"),
            Of::Iteration => (by_scenario()?, catalogue::ITERATION_DURATION.name, "iterations"),
            // Their histograms have no exact bound at an SLO's threshold.
            _ => return None,
        };
        let budget = Self::budget(requirement)?;
        let at_most = matches!(requirement.comparison, Comparison::Below | Comparison::AtMost);
        let (selection, bad, bad_are) = match requirement.measure {
            Measure::Quantile(_) if at_most && requirement.unit == Unit::Seconds => {
                let bound = requirement.objective;
                (own, Bad::Above { metric: histogram, bound }, format!("take longer than {bound}s"))
            }
            Measure::Within(bound) if !at_most => {
                let bad = Bad::NotWithin { metric: histogram, bound };
                (own, bad, format!("are not answered well within {bound}s"))
            }
            Measure::Ratio(tally) => Self::tally(tally, at_most, traffic.of, own, by_check, by_scenario, by_protocol)?,
            _ => return None,
        };
        let of = match requirement.measure {
            Measure::Ratio(Tally::Checks) => "checks",
            Measure::Ratio(Tally::Dropped) => "arrivals",
            Measure::Ratio(Tally::Disconnects) => "connections",
            _ => of,
        };
        Some(Self { budget, of, bad_are, selection, bad })
    }

    fn budget(requirement: &Requirement) -> Option<f64> {
        let at_most = match requirement.comparison {
            Comparison::Below | Comparison::AtMost => true,
            Comparison::Above | Comparison::AtLeast => false,
            Comparison::Equal => return None,
        };
        let share = match requirement.measure {
            Measure::Quantile(q) => return Some(rounded(1.0 - q)),
            Measure::Within(_) | Measure::Ratio(_) => requirement.objective,
            _ => return None,
        };
        (0.0..=1.0).contains(&share).then(|| rounded(if at_most { share } else { 1.0 - share }))
    }

    /// What is bad where a share is required: to be small, or (`at_most` is false) to be large.
    fn tally(
        tally: Tally,
        at_most: bool,
        of: Of,
        own: Selection,
        by_check: impl Fn() -> Option<Selection>,
        by_scenario: impl Fn() -> Option<Selection>,
        by_protocol: impl Fn() -> Option<Selection>,
    ) -> Option<(Selection, Bad, String)> {
        let requests = matches!(of, Of::Response | Of::Service);
        let (all, failed) = match of {
            Of::Connect => (CONNECTS, CONNECT_FAILURES),
            Of::Iteration => (catalogue::ITERATIONS.name, catalogue::ITERATIONS_FAILED.name),
            _ => (catalogue::REQUESTS.name, catalogue::REQUEST_ERRORS.name),
        };
        let part = |metric, matcher: Option<String>, all| Bad::Part { metric, matcher, all };
        let by_reason = |reason: &str| Some(format!("reason={}", super::quoted(reason)));
        let (selection, bad, words) = match (tally, at_most) {
            (Tally::Errors, true) => (own, part(failed, None, all), "fail".to_owned()),
            (Tally::Success, false) if of == Of::Connect => (own, part(failed, None, all), "fail".to_owned()),
            (Tally::Success, false) => {
                let metric = if requests { catalogue::RESPONSE_DURATION.name } else { catalogue::ITERATION_DURATION.name };
                (own, Bad::NotOk { metric }, "do not succeed".to_owned())
            }
            (Tally::Timeouts, true) if of != Of::Iteration => {
                (own, part(failed, by_reason("timeout"), all), "time out".to_owned())
            }
            (Tally::Because(reason), true) if of != Of::Iteration => {
                (own, part(failed, by_reason(reason.label()), all), format!("fail ({})", reason.label()))
            }
            (Tally::Status(first, last), true) if requests => {
                let words = format!("are answered {}", range(first, last));
                (own, part(catalogue::HTTP_RESPONSES.name, Some(codes(first, last)), all), words)
            }
            (Tally::Status(first, last), false) if requests => {
                let bad = Bad::NotPart { metric: catalogue::HTTP_RESPONSES.name, matcher: codes(first, last), all };
                (own, bad, format!("are not answered {}", range(first, last)))
            }
            (Tally::Checks, false) => {
                (by_check()?, part(catalogue::CHECK_FAILURES.name, None, catalogue::CHECKS.name), "do not hold".to_owned())
            }
            (Tally::Dropped, true) => (
                by_scenario()?,
                part(catalogue::ARRIVALS_DROPPED.name, None, catalogue::ARRIVALS_DUE.name),
                "are dropped".to_owned(),
            ),
            (Tally::Disconnects, true) => (by_protocol()?, Bad::Disconnects, "end unasked".to_owned()),
            _ => return None,
        };
        Some((selection, bad, words))
    }

    /// What part of all is bad, over a window; all is what [`Burn::volume`] counts.
    pub fn ratio(&self, window: Duration) -> String {
        let series = &self.selection;
        let all = format!("({} > 0)", self.volume(window));
        match &self.bad {
            Bad::Above { metric, bound } | Bad::NotWithin { metric, bound } if *metric == OF_CONNECT => {
                format!("1 - {} / {all}", series.below(metric, *bound, window))
            }
            Bad::Above { metric, bound } => format!("1 - {} / {all}", series.with(ANSWERED).below(metric, *bound, window)),
            Bad::NotWithin { metric, bound } => format!("1 - {} / {all}", series.with(GOOD).below(metric, *bound, window)),
            Bad::NotOk { metric } => format!("1 - {} / {all}", series.with(GOOD).count(metric, window)),
            Bad::Part { metric, matcher, .. } => {
                let part = matcher.as_ref().map_or_else(|| series.clone(), |matcher| series.with(matcher));
                format!("{} / {all}", part.rate(metric, window))
            }
            Bad::NotPart { metric, matcher, .. } => format!("1 - {} / {all}", series.with(matcher).rate(metric, window)),
            Bad::Disconnects => format!("{} / {all}", series.rate(catalogue::DISCONNECTS.name, window)),
        }
    }

    /// How many of all there are, a second: of those that can be bad, and of no others.
    pub fn volume(&self, window: Duration) -> String {
        let series = &self.selection;
        match &self.bad {
            // A connection that didn't come up isn't within any time.
            Bad::NotWithin { metric, .. } if *metric == OF_CONNECT => series.rate(CONNECTS, window),
            Bad::Above { metric, .. } if *metric != OF_CONNECT => series.with(ANSWERED).count(metric, window),
            Bad::Above { metric, .. } | Bad::NotWithin { metric, .. } | Bad::NotOk { metric } => series.count(metric, window),
            Bad::Part { all, .. } | Bad::NotPart { all, .. } => series.rate(all, window),
            Bad::Disconnects => format!("({} - {})", series.rate(CONNECTS, window), series.rate(CONNECT_FAILURES, window)),
        }
    }

    /// The condition of one pair of windows, out of the two ratios and the volume over the long window.
    pub fn burning(&self, pair: &Pair, long: &str, short: &str, volume: &str) -> String {
        let level = rounded(pair.factor * self.budget);
        let enough = rounded(LEAST / pair.long.as_secs_f64());
        format!("({long} > {level} and {short} > {level} and {volume} > {enough})")
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// Status codes in words.
fn range(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// A matcher for status codes from the first to the last.
fn codes(first: u16, last: u16) -> String {
    if first.is_multiple_of(100) && last == first + 99 {
        return format!("code=~\"{}..\"", first / 100);
    }
    let codes: Vec<String> = (first..=last).map(|code| code.to_string()).collect();
    super::any_of("code", &codes.iter().map(String::as_str).collect::<Vec<_>>())
}
