//! By how much the run's own numbers, and what a target says of the run, may be off when it is over.

use super::result::own_doing_of;
use std::collections::BTreeSet;

use crate::base::{Outcome, Reason};
use crate::expr::{Missing, Shortfall};
use crate::flow::{Flow, MessageStep, StepKind};
use crate::measure::{Layout, OwnId, OwnKind, OwnMetric, OwnTotals, ScenarioId, Sparse, StepId, StepTotals, Totals};
use crate::plan::Plan;

/// What was cut off when its drain ended, in words.
pub(super) fn cut_off(totals: &Totals) -> String {
    let cut: u64 = totals.scenarios.iter().map(|scenario| scenario.iterations[Outcome::Interrupted.index()].count()).sum();
    match cut {
        0 => "users were cut off in their `start` or `stop` when the drain ended".to_owned(),
        1 => "1 iteration was cut off when their drain ended".to_owned(),
        cut => format!("{cut} iterations were cut off when their drain ended"),
    }
}

/// What is missing, by the names of what it is missing in.
pub(super) fn of(totals: &Totals, plan: &Plan) -> Shortfall {
    let layout: &Layout = &plan.layout;
    let scenarios: Vec<Part> = (0..layout.scenarios.len()).map(|at| Part::of(ScenarioId::at(at), totals, layout)).collect();
    let ahead = ahead(totals, plan);
    let mut shortfall = Shortfall::default();
    for (at, metric) in layout.own.iter().enumerate() {
        let own = OwnId::at(at);
        let parts = metric.scenarios.iter().map(|id| {
            let ahead = ahead.iter().filter(|(of, ..)| *of == (own, *id)).map(|(_, cut)| cut).sum::<u64>();
            scenarios[id.index()].own(own, metric, *id, totals, ahead)
        });
        let missing = sum(parts);
        for suffix in ["", "_sum", "_count"] {
            let name = format!("{}{suffix}", metric.name);
            // A sum falls by what is below 0.
            let less = if suffix == "_sum" { missing.less.max(missing.cut) } else { missing.less };
            for (step, totals) in layout.steps.iter().zip(&totals.steps) {
                if metric.scenarios.contains(&step.scenario) && totals.count(Outcome::Interrupted) > 0 {
                    let shared = shortfall.shared.entry((name.clone(), step.name.clone())).or_default();
                    *shared += totals.count(Outcome::Interrupted) as f64;
                }
            }
            shortfall.metrics.insert(name, Missing { less, ..missing });
        }
    }
    for (step, layout) in totals.steps.iter().zip(&layout.steps) {
        // What was under way might have been answered.
        let (own, less) = (own_doing_of(step) as f64, step.count(Outcome::Interrupted) as f64);
        let missing: &mut Missing = shortfall.lost.entry(layout.name.clone()).or_default();
        *missing = missing.plus(Missing { kept: own, unread: own, less, ..Missing::default() });
    }
    let interrupted: u64 = totals.steps.iter().map(|step| step.count(Outcome::Interrupted)).sum();
    let all = scenarios.iter().enumerate().map(|(at, part)| {
        let own = layout.own.iter().enumerate().map(|(own, _)| {
            let (own, id) = (OwnId::at(own), ScenarioId::at(at));
            (part.each_of(own, id, totals), part.of_aside(own, id, totals))
        });
        let (each, aside) = own.fold((part.each, 0.0_f64), |most, own| (most.0.max(own.0), most.1.max(own.1)));
        Missing { cut: part.cut * each + aside, ..part.missing }
    });
    // The run counts what was cut off as well, and the target may not.
    shortfall.all = sum(all).plus(Missing { ahead: interrupted as f64, ..Missing::default() });
    shortfall
}

/// Requests that were cut off behind what had counted them already, by what did. What stands before the first request counts that one.
/// Behind an answer it is that which was counted; then only a request that may change something is open.
fn ahead(totals: &Totals, plan: &Plan) -> Vec<((OwnId, ScenarioId), u64)> {
    let mut found = Vec::new();
    for scenario in &plan.scenarios {
        for flow in scenario.flows() {
            ahead_in(flow, &mut |step, own| {
                let cut = totals.steps.get(step.index()).map_or(0, |step| step.count(Outcome::Interrupted));
                found.push(((own, scenario.id), cut));
            });
        }
    }
    found
}

fn ahead_in(flow: &Flow, open: &mut dyn FnMut(StepId, OwnId)) {
    let (mut counted, mut first) = (BTreeSet::new(), true);
    flow.each(&mut |step| {
        let request = match &step.kind {
            StepKind::Count(amounts) | StepKind::Record(amounts) => {
                counted.extend(amounts.iter().map(|(own, _)| *own));
                None
            }
            StepKind::Http(http) => Some((http.id, http.request.spec().method.is_safe())),
            StepKind::Message(message) => match &**message {
                MessageStep::Receive(awaited) => Some((awaited.id, false)),
                MessageStep::Emit(emit) => emit.ack.as_ref().map(|awaited| (awaited.id, false)),
                _ => None,
            },
            _ => None,
        };
        if let Some((id, safe)) = request {
            if first || !safe {
                counted.iter().for_each(|own| open(id, *own));
            }
            first = false;
        }
    });
}

fn sum(all: impl Iterator<Item = Missing>) -> Missing {
    all.fold(Missing::default(), Missing::plus)
}

/// What a scenario put into a metric of the profile's own.
fn added(own: &OwnTotals) -> f64 {
    own.counter.max(own.histogram.count() as f64).max(own.histogram.sum())
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
            missing: Missing { kept: unread + never_sent, unread, ..Missing::default() },
            cut: count(Outcome::Interrupted) as f64,
            whole: count(Outcome::Ok).max(1) as f64,
            each: (requests / ended).max(1.0),
        }
    }

    /// What an iteration puts into a metric of the profile's own, or in how many requests it may do so.
    fn each_of(&self, own: OwnId, id: ScenarioId, totals: &Totals) -> f64 {
        let own = totals.own(own, id);
        self.each.max(added(own) / self.whole)
    }

    /// What a `start` or a `stop` that was cut off may have left out of it: no more each than all of them together put into it.
    fn of_aside(&self, own: OwnId, id: ScenarioId, totals: &Totals) -> f64 {
        let own = totals.own(own, id);
        own.aside as f64 * added(own).max(1.0)
    }

    /// What is missing in a metric of the profile's own: only iterations that had still to come to it left anything out, and the target may
    /// lack what was counted `ahead` of its answer.
    fn own(&self, own: OwnId, metric: &OwnMetric, id: ScenarioId, totals: &Totals, ahead: u64) -> Missing {
        let each = self.each_of(own, id, totals);
        let cut = totals.own(own, id).unfinished as f64 * each + self.of_aside(own, id, totals);
        // Iterations that were cut off had counted it, too.
        let counted = (added(totals.own(own, id)) / (self.whole + self.cut)).max(1.0);
        let missing = Missing { cut, ahead: ahead as f64 * counted, ..self.missing };
        // A gauge is what it was set to last, whatever that is.
        let whatever = |amount: f64| if amount > 0.0 { f64::INFINITY } else { 0.0 };
        match metric.kind {
            OwnKind::Gauge => Missing {
                kept: whatever(missing.kept),
                unread: whatever(missing.unread),
                cut: whatever(cut),
                less: whatever(cut),
                ahead: whatever(missing.ahead),
            },
            _ => missing,
        }
    }
}
