//! By how much the run's own numbers, and what a target says of the run, may be off when it is over.

use super::result::own_doing_of;
use crate::base::{Outcome, Reason};
use crate::expr::{Missing, Shortfall};
use crate::measure::{Layout, OwnId, OwnKind, OwnMetric, ScenarioId, Sparse, StepTotals, Totals};

/// How many iterations were cut off when their drain ended.
pub(super) fn cut_off(totals: &Totals) -> u64 {
    totals.scenarios.iter().map(|scenario| scenario.iterations[Outcome::Interrupted.index()].count()).sum()
}

/// What is missing, by the names of what it is missing in.
pub(super) fn of(totals: &Totals, layout: &Layout) -> Shortfall {
    let scenarios: Vec<Part> = (0..layout.scenarios.len()).map(|at| Part::of(ScenarioId::at(at), totals, layout)).collect();
    let mut shortfall = Shortfall::default();
    for (at, metric) in layout.own.iter().enumerate() {
        let missing = sum(metric.scenarios.iter().map(|id| scenarios[id.index()].own(OwnId::at(at), metric, *id, totals)));
        for suffix in ["", "_sum", "_count"] {
            shortfall.metrics.insert(format!("{}{suffix}", metric.name), missing);
        }
    }
    for (step, layout) in totals.steps.iter().zip(&layout.steps) {
        // What was under way might have been answered.
        let (own, cut) = (own_doing_of(step) as f64, step.count(Outcome::Interrupted) as f64);
        let missing: &mut Missing = shortfall.lost.entry(layout.name.clone()).or_default();
        *missing = missing.plus(Missing { kept: own, unread: own, cut });
    }
    let all = scenarios.iter().enumerate().map(|(at, part)| {
        let own = layout.own.iter().enumerate().map(|(own, _)| part.each_of(OwnId::at(own), ScenarioId::at(at), totals));
        Missing { cut: part.cut * own.fold(part.each, f64::max), ..part.missing }
    });
    shortfall.all = sum(all);
    shortfall
}

fn sum(all: impl Iterator<Item = Missing>) -> Missing {
    all.fold(Missing::default(), Missing::plus)
}

/// What one scenario left out.
struct Part {
    missing: Missing,
    /// Iterations that were cut off, and those that came to a good end.
    cut: f64,
    whole: f64,
    /// Requests of an iteration.
    each: f64,
}

impl Part {
    fn of(id: ScenarioId, totals: &Totals, layout: &Layout) -> Self {
        let scenario = totals.scenario(id);
        let steps = || totals.steps.iter().zip(&layout.steps).filter(|(_, step)| step.scenario == id).map(|(step, _)| step);
        let requests = steps().map(StepTotals::requests).sum::<u64>() as f64;
        let of_arrival = if scenario.started > 0 { (requests / scenario.started as f64).max(1.0) } else { 1.0 };
        let at_work = scenario.wanted.saturating_sub(scenario.absent + scenario.held + scenario.held_back);
        let held = if scenario.held > 0 { scenario.held as f64 / at_work.max(1) as f64 } else { 0.0 };
        let unread = steps().map(own_doing_of).sum::<u64>() as f64;
        let never_sent = (scenario.displaced + scenario.unsent) as f64 * of_arrival
            + requests * held
            + scenario.step_errors[Reason::Local.index()] as f64;
        let count = |outcome: Outcome| scenario.iterations[outcome.index()].count();
        let ended = scenario.iterations.iter().map(Sparse::count).sum::<u64>().max(1) as f64;
        Self {
            missing: Missing { kept: unread + never_sent, unread, cut: 0.0 },
            cut: count(Outcome::Interrupted) as f64,
            whole: count(Outcome::Ok).max(1) as f64,
            each: (requests / ended).max(1.0),
        }
    }

    /// What an iteration puts into a metric of the profile's own, or in how many requests it may do so.
    fn each_of(&self, own: OwnId, id: ScenarioId, totals: &Totals) -> f64 {
        let own = totals.own(own, id);
        let added = own.counter.max(own.histogram.count() as f64).max(own.histogram.sum());
        self.each.max(added / self.whole)
    }

    /// What is missing in a metric of the profile's own: only iterations that had still to come to it left anything out.
    fn own(&self, own: OwnId, metric: &OwnMetric, id: ScenarioId, totals: &Totals) -> Missing {
        let cut = totals.own(own, id).unfinished as f64 * self.each_of(own, id, totals);
        let missing = Missing { cut, ..self.missing };
        // A gauge is what it was set to last, whatever that is.
        let whatever = |amount: f64| if amount > 0.0 { f64::INFINITY } else { 0.0 };
        match metric.kind {
            OwnKind::Gauge => Missing { kept: whatever(missing.kept), unread: whatever(missing.unread), cut: whatever(cut) },
            _ => missing,
        }
    }
}
