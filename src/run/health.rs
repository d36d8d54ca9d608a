//! Whether the generator kept up in a phase: gathers the figures that `verdict::saturation` judges.

use std::time::{Duration, Instant};

use crate::base::DropReason;
use crate::engine::RunView;
use crate::load::Load;
use crate::measure::outcomes::timed;
use crate::measure::process::cpu_time;
use crate::measure::{ScenarioId, Sparse, Totals};
use crate::plan::{Phase, Plan};
use crate::verdict::{self, Effort, LAGS, Starts, busy_share};

/// The processor time at a phase's start.
pub(super) struct Baseline {
    at: Instant,
    process: Duration,
    workers: Vec<Option<Duration>>,
}

/// The processor time used from a phase's start to its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub share: Option<f64>,
    pub busiest_worker: Option<f64>,
}

impl Baseline {
    /// Now.
    pub fn take(view: &RunView) -> Self {
        Self { at: Instant::now(), process: cpu_time(), workers: view.worker_cpu() }
    }

    /// What was used since.
    pub fn used(&self, view: &RunView) -> Used {
        let wall = self.at.elapsed();
        let processors = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        let worker = |(now, before): (Option<Duration>, &Option<Duration>)| {
            busy_share(now?.saturating_sub(before.unwrap_or_default()), wall, 1.0)
        };
        Used {
            share: busy_share(cpu_time().saturating_sub(self.process), wall, processors),
            busiest_worker: view.worker_cpu().into_iter().zip(&self.workers).filter_map(worker).reduce(f64::max),
        }
    }
}

/// The generator's effort in one phase.
pub(super) fn effort(plan: &Plan, phase: &Phase, totals: &Totals, used: Used) -> Effort {
    let scenarios = phase.loads.iter().filter_map(|(id, load)| starts(plan, *id, load, totals)).collect();
    Effort { scenarios, cpu: used.share, busiest_worker: used.busiest_worker }
}

/// Whether the generator is the bottleneck of a phase as it stands.
pub(super) fn is_saturated(plan: &Plan, phase: &Phase, totals: &Totals, used: Used) -> bool {
    verdict::saturation(&effort(plan, phase, totals, used)).is_some()
}

fn starts(plan: &Plan, id: ScenarioId, load: &Load, totals: &Totals) -> Option<Starts> {
    let scenario = totals.scenario(id);
    let quantiles = |of: &Sparse| Some([of.quantile(LAGS[0].0)?, of.quantile(LAGS[1].0)?]);
    let mut responses = Sparse::default();
    for (step, layout) in totals.steps.iter().zip(&plan.layout.steps) {
        if layout.scenario == id {
            responses.add(&timed(&step.response));
        }
    }
    let mut iterations = Sparse::default();
    scenario.iterations.iter().for_each(|by_outcome| iterations.add(by_outcome));
    let (peak_rate, bursts) = match load {
        Load::Open { arrivals, .. } => (arrivals.rate.max(), arrivals.bursts.iter().map(|(_, count)| count).sum()),
        Load::Closed { .. } => (0.0, 0),
    };
    Some(Starts {
        scenario: plan.layout.scenarios.get(id.index())?.name.clone(),
        started: scenario.start_lag.count(),
        lags: quantiles(&scenario.start_lag),
        responses: quantiles(&responses),
        due: scenario.due,
        dropped_busy: scenario.dropped[DropReason::Busy.index()],
        // Where users have something to do before they are free, those that there may be are not all there.
        iteration: iterations.quantile(0.99).filter(|_| plan.scenarios[id.index()].start.is_none()),
        peak_rate,
        bursts,
        max_users: load.max_users(),
    })
}
