//! What the generator measured, by name.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::histograms::{GroupHistograms, MetricHistogram, PhaseHistograms, ScenarioHistograms, StepHistograms};
use super::super::run::{Check, Connections, Group, Latency, Metric, Scenario, Step};
use super::PhaseInput;
use crate::base::{DropReason, Outcome, Protocol, Reason};
use crate::load::{Load, Spacing};
use crate::measure::outcomes::{ByOutcome, timed};
use crate::measure::{CheckId, ConnectTotals, GroupId, OwnId, OwnKind, ScenarioId, ScenarioTotals, Sparse, StepId, StepTotals};

/// Counts by label, without those that are 0.
fn counts<'a>(of: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    of.into_iter().filter(|(_, n)| *n > 0).map(|(label, n)| (label.to_owned(), n)).collect()
}

/// The distribution over every outcome.
fn all(by: &ByOutcome) -> Sparse {
    let mut sum = Sparse::default();
    by.iter().for_each(|one| sum.add(one));
    sum
}

pub(super) fn latency(of: &Sparse) -> Latency {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    Latency {
        count: of.count(),
        mean: finite(of.mean()),
        p50: finite(of.quantile(0.5)),
        p90: finite(of.quantile(0.9)),
        p95: finite(of.quantile(0.95)),
        p99: finite(of.quantile(0.99)),
        p999: finite(of.quantile(0.999)),
        max: finite(of.max()),
    }
}

pub(super) fn outcomes(by: &ByOutcome) -> BTreeMap<String, u64> {
    counts(Outcome::ALL.iter().map(|outcome| (outcome.label(), by[outcome.index()].count())))
}

fn reasons(by: &[u64; Reason::COUNT]) -> BTreeMap<String, u64> {
    counts(Reason::ALL.iter().map(|reason| (reason.label(), by[reason.index()])))
}

/// The name of a scenario; every index comes from the layout that made it.
pub(super) fn scenario_name(input: &PhaseInput<'_>, scenario: ScenarioId) -> String {
    input.layout.scenarios.get(scenario.index()).map(|scenario| scenario.name.clone()).unwrap_or_default()
}

pub(super) fn step_name(input: &PhaseInput<'_>, step: StepId) -> String {
    input.layout.steps.get(step.index()).map(|step| step.name.clone()).unwrap_or_default()
}

/// The scenarios that have load in the phase, and those of which it measured something all the same.
pub(super) fn scenarios(input: &PhaseInput<'_>) -> Vec<Scenario> {
    let each = input.totals.scenarios.iter().enumerate().map(|(index, totals)| (ScenarioId::at(index), totals));
    each.filter(|(id, totals)| input.layout.is_active(input.phase, *id) || **totals != ScenarioTotals::default())
        .map(|(id, totals)| scenario(input, id, totals))
        .collect()
}

fn scenario(input: &PhaseInput<'_>, id: ScenarioId, totals: &ScenarioTotals) -> Scenario {
    let load = input.loads.iter().find(|(scenario, _)| *scenario == id).map(|(_, load)| load);
    let iterations: u64 = totals.iterations.iter().map(Sparse::count).sum();
    let of = |outcome: Outcome| totals.iterations[outcome.index()].count();
    let protocols = Protocol::ALL.iter().map(|protocol| (*protocol, &totals.connects[protocol.index()]));
    Scenario {
        scenario: scenario_name(input, id),
        due: totals.due,
        started: totals.started,
        dropped: totals.dropped.iter().sum(),
        dropped_reasons: counts(DropReason::ALL.iter().map(|reason| (reason.label(), totals.dropped[reason.index()]))),
        cancelled: totals.cancelled,
        rate_wanted: load.and_then(|load| rate_wanted(load, input.duration())),
        rate_reached: input.per_second(if totals.started > 0 { totals.started } else { iterations }),
        users_wanted: match load {
            Some(Load::Closed { .. }) => load.map(Load::max_users),
            _ => None,
        },
        iterations,
        iterations_failed: of(Outcome::Error) + of(Outcome::Timeout),
        iterations_interrupted: of(Outcome::Interrupted),
        step_errors: reasons(&totals.step_errors),
        iteration: latency(&all(&totals.iterations)),
        start_lag: latency(&totals.start_lag),
        connections: protocols
            .filter(|(_, totals)| **totals != ConnectTotals::default())
            .map(|(protocol, totals)| Connections {
                protocol: protocol.label().to_owned(),
                carried: totals.carried,
                connects: totals.duration.count(),
                failures: reasons(&totals.failures),
                cut_off: totals.cut_off.count(),
                disconnects: reasons(&totals.disconnects),
                connect: latency(&totals.duration),
            })
            .collect(),
    }
}

/// Arrivals a second that were asked for over what there was of the phase, which may have been cut short.
fn rate_wanted(load: &Load, seconds: f64) -> Option<f64> {
    match load {
        Load::Closed { .. } => None,
        Load::Open { arrivals, .. } => {
            let elapsed = Duration::try_from_secs_f64(seconds).ok()?;
            let due = match arrivals.spacing {
                Spacing::Even => arrivals.due_by(elapsed) as f64,
                // Those of a day would have to be drawn one by one to be counted; what was asked for is the rate itself.
                Spacing::Poisson { .. } => {
                    let bursts = arrivals.bursts.iter().filter(|(when, _)| *when <= elapsed).map(|(_, count)| *count as f64);
                    arrivals.rate.area(elapsed) + bursts.sum::<f64>()
                }
            };
            // Beyond its time a phase is held at its last rate until the users of the next one are prepared.
            let held = (arrivals.rate.last() * elapsed.saturating_sub(arrivals.end()).as_secs_f64()).floor();
            let rate = (due + held) / seconds;
            rate.is_finite().then_some(rate)
        }
    }
}

/// The steps that something was measured of, and those of scenarios that have load in the phase.
pub(super) fn steps(input: &PhaseInput<'_>) -> Vec<Step> {
    shown_steps(input).map(|(id, totals)| step(input, id, totals)).collect()
}

fn shown_steps<'a>(input: &'a PhaseInput<'_>) -> impl Iterator<Item = (StepId, &'a StepTotals)> {
    let each = input.totals.steps.iter().enumerate().map(|(index, totals)| (StepId::at(index), totals));
    each.filter(|(id, totals)| {
        let layout = input.layout.steps.get(id.index());
        totals.requests() > 0 || layout.is_some_and(|step| input.layout.is_active(input.phase, step.scenario))
    })
}

fn step(input: &PhaseInput<'_>, id: StepId, totals: &StepTotals) -> Step {
    let layout = input.layout.steps.get(id.index());
    let code = |code: u16| if code == 0 { "other".to_owned() } else { code.to_string() };
    Step {
        scenario: layout.map(|step| scenario_name(input, step.scenario)).unwrap_or_default(),
        step: step_name(input, id),
        group: layout.and_then(|step| step.group.clone()),
        protocol: layout.map(|step| step.protocol.label().to_owned()).unwrap_or_default(),
        requests: totals.requests(),
        rate: input.per_second(input.totals.in_time(id)),
        outcomes: outcomes(&totals.response),
        errors: reasons(&totals.reasons),
        codes: totals.codes.iter().map(|(number, n)| (code(*number), *n)).collect(),
        response: latency(&timed(&totals.response)),
        service: latency(&timed(&totals.service)),
        sent_bytes: totals.sent,
        received_bytes: totals.received,
        lost: totals.lost,
        samples: input.samples.iter().filter(|(step, _)| *step == id).map(|(_, sample)| sample.clone()).collect(),
    }
}

/// The groups that ran.
pub(super) fn groups(input: &PhaseInput<'_>) -> Vec<Group> {
    let each = input.layout.groups.iter().enumerate().map(|(index, group)| (group, input.totals.group(GroupId::at(index))));
    each.filter(|(_, by)| by.iter().any(|one| !one.is_empty()))
        .map(|(group, by)| Group {
            scenario: scenario_name(input, group.scenario),
            group: group.name.clone(),
            outcomes: outcomes(by),
            duration: latency(&timed(by)),
        })
        .collect()
}

/// The checks of scenarios that have load in the phase, and those that were made.
pub(super) fn checks<'a>(input: &'a PhaseInput<'_>) -> impl Iterator<Item = (CheckId, Check)> + 'a {
    let each = input.layout.checks.iter().enumerate().map(|(index, check)| (CheckId::at(index), check));
    each.map(|(id, check)| (id, check, input.totals.check(id)))
        .filter(|(_, check, totals)| totals.total > 0 || input.layout.is_active(input.phase, check.scenario))
        .map(|(id, check, totals)| {
            let check = Check {
                scenario: scenario_name(input, check.scenario),
                step: check.step.map(|step| step_name(input, step)),
                check: check.name.clone(),
                total: totals.total,
                failures: totals.failed,
            };
            (id, check)
        })
}

/// The profile's own metrics, of the scenarios that fed them.
pub(super) fn metrics(input: &PhaseInput<'_>) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for (index, metric) in input.layout.own.iter().enumerate() {
        let id = OwnId::at(index);
        for (place, scenario) in input.layout.scenarios.iter().enumerate() {
            let by = ScenarioId::at(place);
            let totals = input.totals.own(id, by);
            let fed = input.layout.is_active(input.phase, by) && metric.scenarios.contains(&by);
            let (value, distribution) = match metric.kind {
                OwnKind::Counter => (Some(totals.counter), None),
                OwnKind::Histogram { .. } => (None, Some(latency(&totals.histogram))),
                OwnKind::Gauge | OwnKind::GaugeFrom { .. } => {
                    let set = input.gauges.iter().find(|(own, scenario, _)| *own == id && *scenario == by);
                    (set.map(|(_, _, value)| *value), None)
                }
            };
            let measured = totals.counter != 0.0 || !totals.histogram.is_empty();
            let shown = match metric.kind {
                OwnKind::Counter | OwnKind::Histogram { .. } => fed || measured,
                OwnKind::Gauge | OwnKind::GaugeFrom { .. } => value.is_some(),
            };
            if shown {
                metrics.push(Metric { name: metric.name.clone(), scenario: scenario.name.clone(), value, distribution });
            }
        }
    }
    metrics
}

pub(super) fn by_outcome(by: &ByOutcome) -> BTreeMap<String, Sparse> {
    let each = Outcome::ALL.iter().map(|outcome| (outcome.label().to_owned(), by[outcome.index()].clone()));
    each.filter(|(_, one)| !one.is_empty()).collect()
}

/// Every distribution that isn't empty, but for those of sessions and long bodies.
pub(super) fn histograms(input: &PhaseInput<'_>) -> PhaseHistograms {
    let mut out = PhaseHistograms {
        name: input.layout.phases.get(input.phase.index()).cloned().unwrap_or_default(),
        repeat: input.repeat,
        duration: input.duration(),
        ..PhaseHistograms::default()
    };
    for (id, totals) in shown_steps(input).filter(|(_, totals)| totals.requests() > 0) {
        let layout = input.layout.steps.get(id.index());
        out.steps.push(StepHistograms {
            scenario: layout.map(|step| scenario_name(input, step.scenario)).unwrap_or_default(),
            step: step_name(input, id),
            protocol: layout.map(|step| step.protocol.label().to_owned()).unwrap_or_default(),
            response: by_outcome(&totals.response),
            service: by_outcome(&totals.service),
        });
    }
    for (index, totals) in input.totals.scenarios.iter().enumerate() {
        let connects = Protocol::ALL.iter().map(|protocol| (protocol, &totals.connects[protocol.index()].duration));
        let of = ScenarioHistograms {
            scenario: scenario_name(input, ScenarioId::at(index)),
            iteration: by_outcome(&totals.iterations),
            start_lag: totals.start_lag.clone(),
            connect: connects
                .filter(|(_, one)| !one.is_empty())
                .map(|(protocol, one)| (protocol.label().to_owned(), one.clone()))
                .collect(),
        };
        if !of.iteration.is_empty() || !of.start_lag.is_empty() || !of.connect.is_empty() {
            out.scenarios.push(of);
        }
    }
    for (index, group) in input.layout.groups.iter().enumerate() {
        let duration = by_outcome(input.totals.group(GroupId::at(index)));
        if !duration.is_empty() {
            out.groups.push(GroupHistograms {
                scenario: scenario_name(input, group.scenario),
                group: group.name.clone(),
                duration,
            });
        }
    }
    for (index, metric) in input.layout.own.iter().enumerate() {
        for (place, scenario) in input.layout.scenarios.iter().enumerate() {
            let histogram = &input.totals.own(OwnId::at(index), ScenarioId::at(place)).histogram;
            if !histogram.is_empty() {
                let (name, scenario) = (metric.name.clone(), scenario.name.clone());
                out.metrics.push(MetricHistogram { name, scenario, histogram: histogram.clone() });
            }
        }
    }
    out
}
