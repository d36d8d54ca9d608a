//! How many series a profile can have on `/metrics` at most: what `limits.series` bounds and `check` reports.

use std::collections::BTreeSet;

use super::hist::Buckets;
use super::layout::{Layout, OwnKind, ScenarioId};
use super::sample::Layer;
use super::shapes::Shapes;
use super::store::CODES;
use crate::base::{DropReason, Outcome, Protocol, Reason, Verdict};

const OUTCOMES: u64 = Outcome::COUNT as u64;
const REASONS: u64 = Reason::COUNT as u64;

/// How many rows of the target's counters a profile shows at most, over all phases.
pub const TARGET_ROWS: usize = 1000;

/// The series of a classic histogram: its buckets, the infinite one, the sum and the count.
fn histogram(buckets: &Buckets) -> u64 {
    buckets.bounds().len() as u64 + 3
}

impl Layout {
    /// The upper bound of the number of series that this profile can have on `/metrics`, in the classic formats.
    pub fn series(&self) -> u64 {
        bound(self)
    }
}

/// The upper bound for a layout.
fn bound(layout: &Layout) -> u64 {
    let shapes = Shapes::new(layout);
    let protocols = protocols(layout);
    let in_phase = in_phase(layout, &shapes, &protocols);
    let active: u64 = layout.active.iter().filter_map(|(_, scenario)| in_phase.get(scenario.index())).sum();
    let own: u64 = layout
        .own
        .iter()
        .map(|own| match own.kind {
            OwnKind::Gauge => own.scenarios.len() as u64,
            OwnKind::GaugeFrom { .. } => 1,
            OwnKind::Counter | OwnKind::Histogram { .. } => 0,
        })
        .sum();
    // Users, users wanted, rate wanted; connections.
    let scenarios: u64 = protocols.iter().map(|protocols| 3 + protocols.len() as u64).sum();
    // Judged, active, start and end of a phase; the run's start, the next one, the last end, the period, saturation, two of reloading,
    // the verdict.
    let run = 4 * layout.phases.len() as u64 + 7 + 2 * Verdict::COUNT as u64;
    // Value, its bounds, objective, met; whether it is required, for each of its scenarios.
    let requirements: u64 = layout.requirements.iter().map(|row| 5 + row.scenarios.len().max(1) as u64).sum();
    active + own + scenarios + run + requirements + 4 * layout.target_rows.min(TARGET_ROWS as u64)
}

/// The protocols that each scenario's steps speak, each once.
fn protocols(layout: &Layout) -> Vec<BTreeSet<Protocol>> {
    let mut protocols = vec![BTreeSet::new(); layout.scenarios.len()];
    for step in &layout.steps {
        if let Some(of) = protocols.get_mut(step.scenario.index()) {
            of.insert(step.protocol);
        }
    }
    protocols
}

/// What each scenario adds in one phase. Each member of the layout is looked at once, however many scenarios there are.
fn in_phase(layout: &Layout, shapes: &Shapes, protocols: &[BTreeSet<Protocol>]) -> Vec<u64> {
    let mut series: Vec<u64> = protocols
        .iter()
        .enumerate()
        .map(|(scenario, protocols)| {
            let connects = histogram(&shapes.connect[scenario])
                + Layer::ALL.len() as u64 * histogram(&shapes.plain)
                // Attempts; failures and disconnects by reason.
                + 1
                + 2 * REASONS;
            // Due, started, cancelled, waiting; three counts of iterations; steps that could not be done.
            let arrivals = 4 + DropReason::COUNT as u64 + 3 + REASONS;
            let iterations = OUTCOMES * histogram(&shapes.iteration[scenario]) + histogram(&shapes.plain);
            connects * protocols.len() as u64 + arrivals + iterations
        })
        .collect();
    let mut add = |scenario: ScenarioId, count: u64| {
        if let Some(series) = series.get_mut(scenario.index()) {
            *series += count;
        }
    };
    for (i, step) in layout.steps.iter().enumerate() {
        let codes = if step.protocol == Protocol::Http { CODES as u64 + 1 } else { 0 };
        let durations = OUTCOMES * (histogram(&shapes.response[i]) + histogram(&shapes.service[i]));
        // Messages sent, received and not parsed.
        let sessions = if step.session.is_some() { OUTCOMES * histogram(&shapes.session[i]) + 3 } else { 0 };
        let uploads = if step.uploads { histogram(&shapes.speed) + histogram(&shapes.plain) } else { 0 };
        let downloads = if step.downloads { histogram(&shapes.speed) } else { 0 };
        // Requests, bytes sent, bytes received.
        add(step.scenario, durations + REASONS + codes + sessions + uploads + downloads + 3);
    }
    for (message, buckets) in layout.messages.iter().zip(&shapes.message) {
        // With the latency the clocks' skew; of numbers those that came, those missed, repeated and reordered.
        let latency = if message.latency { histogram(buckets) + 1 } else { 0 };
        // Of silences the time of listening and that in silence.
        let count = latency + if message.numbered { 4 } else { 0 } + if message.every { 2 } else { 0 };
        add(layout.scenario_of(message), count);
    }
    layout.checks.iter().for_each(|check| add(check.scenario, 2));
    for (group, buckets) in layout.groups.iter().zip(&shapes.group) {
        add(group.scenario, OUTCOMES * histogram(buckets));
    }
    for (own, buckets) in layout.own.iter().zip(&shapes.own) {
        let count = match own.kind {
            OwnKind::Counter => 1,
            OwnKind::Histogram { .. } => histogram(buckets),
            OwnKind::Gauge | OwnKind::GaugeFrom { .. } => 0,
        };
        own.scenarios.iter().for_each(|scenario| add(*scenario, count));
    }
    series
}
