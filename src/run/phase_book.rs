//! One turn of a phase as the service follows it, from its start until it is judged and written down.

use std::time::{Duration, SystemTime};

use crate::base::Verdict;
use crate::counters::Observed;
use crate::measure::process::unix_time;
use crate::measure::{PhaseId, Totals};
use crate::plan::Plan;
use crate::record::build::{self, PhaseInput};
use crate::record::{ErrorSample, Phase, PhaseHistograms};
use crate::verdict::{self, Inputs, Judgement, Outside, Over, Slo, SloResult, Watches};

use super::health::{Baseline, Used};
use super::observing::Pending;

/// While it goes on.
pub(super) struct PhaseBook {
    pub phase: PhaseId,
    pub repeat: u64,
    pub started: SystemTime,
    /// How long it took, once its time is over.
    pub length: Option<Duration>,
    pub watches: Watches,
    pub baseline: Baseline,
    pub used: Option<Used>,
    pub before: Option<Pending>,
    pub after: Option<Pending>,
}

/// Once it has drained.
pub(super) struct Drained {
    pub phase: PhaseId,
    pub repeat: u64,
    pub started: SystemTime,
    pub ended: SystemTime,
    pub elapsed: Duration,
    pub totals: Totals,
    pub watches: Watches,
    /// Whether the generator was the bottleneck.
    pub saturated: bool,
    /// Data of its scenarios that ran out.
    pub ran_out: Vec<String>,
}

/// Once it is judged.
pub(super) struct Judged {
    pub phase_run: u64,
    pub drained: Drained,
    pub judgement: Judgement,
    pub observed: Option<Observed>,
    pub record: Phase,
    pub histograms: PhaseHistograms,
}

/// Judges a drained phase and writes it down.
pub(super) fn judge(
    plan: &Plan,
    phase_run: u64,
    drained: Drained,
    observed: Option<Observed>,
    outside: &Outside,
    samples: Vec<(crate::measure::StepId, ErrorSample)>,
    gauges: &[(crate::measure::OwnId, crate::measure::ScenarioId, f64)],
) -> Judged {
    let phase = &plan.phases[drained.phase.index()];
    let inputs = Inputs {
        layout: &plan.layout,
        phase: Some((drained.phase, &phase.name)),
        judged: phase.judge,
        loaded: !phase.loads.is_empty(),
        totals: &drained.totals,
        duration: drained.elapsed,
        over: true,
        saturated: drained.saturated,
        outside,
    };
    let mut judgement = verdict::judge(&plan.slos, &inputs, drained.watches.clone());
    if judgement.verdict == Verdict::Inconclusive {
        judgement.reasons.extend(drained.ran_out.iter().cloned());
    }
    let input = PhaseInput {
        layout: &plan.layout,
        phase: drained.phase,
        repeat: drained.repeat,
        started: unix_time(drained.started),
        ended: unix_time(drained.ended),
        loads: &phase.loads,
        totals: &drained.totals,
        gauges,
        samples: &samples,
        observed: observed.as_ref(),
        judged: phase.judge,
        judgement: &judgement,
        saturated: drained.saturated,
    };
    let (record, histograms) = (build::phase(&input), build::histograms(&input));
    Judged { phase_run, drained, judgement, observed, record, histograms }
}

/// What the SLOs ask for, before anything is known of how they went.
pub(super) fn objectives(plan: &Plan) -> Vec<SloResult> {
    let phases = |slo: &Slo| match &slo.over {
        Over::Phases(phases) => phases.iter().copied().map(Some).collect(),
        Over::Run => vec![None],
    };
    let name = |phase: PhaseId| plan.layout.phases.get(phase.index()).cloned().unwrap_or_default();
    let rows = plan.slos.iter().flat_map(|slo| {
        phases(slo).into_iter().flat_map(move |phase| {
            let requirements = slo.require.iter().chain(&slo.target).filter(move |one| slo.judges(one, phase));
            requirements.map(move |requirement| SloResult::unknown(&slo.name, phase.map_or_else(String::new, name), requirement))
        })
    });
    rows.collect()
}

impl Judged {
    /// Whether the phase counts for the verdict.
    pub fn verdict(&self) -> Verdict {
        self.judgement.verdict
    }
}
