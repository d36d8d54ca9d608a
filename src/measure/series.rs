//! How many series a profile can have on `/metrics` at most: what `limits.series` bounds and `check` tells.

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

/// The upper bound for a layout.
pub(super) fn bound(layout: &Layout) -> u64 {
    let shapes = Shapes::new(layout);
    let active: u64 = layout.active.iter().map(|(_, scenario)| in_phase(layout, &shapes, *scenario)).sum();
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
    let scenarios: u64 = (0..layout.scenarios.len()).map(|i| 3 + layout.protocols(ScenarioId::at(i)).len() as u64).sum();
    // Judged, active, start and end of a phase; the run's start, the next one, saturation, two of reloading, the verdict.
    let run = 4 * layout.phases.len() as u64 + 5 + Verdict::COUNT as u64;
    active + own + scenarios + run + 5 * layout.slo_rows + 4 * layout.target_rows.min(TARGET_ROWS as u64)
}

/// What one scenario adds in one phase.
fn in_phase(layout: &Layout, shapes: &Shapes, scenario: ScenarioId) -> u64 {
    let steps: u64 = (layout.steps.iter().enumerate())
        .filter(|(_, step)| step.scenario == scenario)
        .map(|(i, step)| {
            let codes = if step.protocol == Protocol::Http { CODES as u64 + 1 } else { 0 };
            let durations = OUTCOMES * (histogram(&shapes.response[i]) + histogram(&shapes.service[i]));
            // Messages sent and received.
            let sessions = if step.session.is_some() { OUTCOMES * histogram(&shapes.session[i]) + 2 } else { 0 };
            let uploads = if step.uploads { histogram(&shapes.speed) + histogram(&shapes.plain) } else { 0 };
            let downloads = if step.downloads { histogram(&shapes.speed) } else { 0 };
            // Requests, bytes sent, bytes received.
            durations + REASONS + codes + sessions + uploads + downloads + 3
        })
        .sum();
    let messages: u64 = (layout.messages.iter().zip(&shapes.message))
        .filter(|(message, _)| layout.scenario_of(message) == scenario)
        .map(|(message, buckets)| {
            // With the latency the clocks' skew; of numbers those missed, repeated and reordered.
            let latency = if message.latency { histogram(buckets) + 1 } else { 0 };
            // Of silences the time of listening and that in silence.
            latency + if message.numbered { 3 } else { 0 } + if message.every { 2 } else { 0 }
        })
        .sum();
    let checks = 2 * layout.checks.iter().filter(|check| check.scenario == scenario).count() as u64;
    let groups: u64 = (layout.groups.iter().zip(&shapes.group))
        .filter(|(group, _)| group.scenario == scenario)
        .map(|(_, buckets)| OUTCOMES * histogram(buckets))
        .sum();
    let own: u64 = (layout.own.iter().zip(&shapes.own))
        .filter(|(own, _)| own.scenarios.contains(&scenario))
        .map(|(own, buckets)| match own.kind {
            OwnKind::Counter => 1,
            OwnKind::Histogram { .. } => histogram(buckets),
            OwnKind::Gauge | OwnKind::GaugeFrom { .. } => 0,
        })
        .sum();
    let connects = histogram(&shapes.connect[scenario.index()])
        + Layer::ALL.len() as u64 * histogram(&shapes.plain)
        // Attempts; failures and disconnects by reason.
        + 1
        + 2 * REASONS;
    // Due, started, cancelled, waiting; three counts of iterations; steps that could not be done.
    let arrivals = 4 + DropReason::COUNT as u64 + 3 + REASONS;
    let iterations = OUTCOMES * histogram(&shapes.iteration[scenario.index()]) + histogram(&shapes.plain);
    steps + messages + checks + groups + own + connects * layout.protocols(scenario).len() as u64 + arrivals + iterations
}
