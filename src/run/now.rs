//! How a run stands, for programs that ask: what GET `/api/v1/status` answers of it.

use serde::Serialize;

use crate::base::Outcome;
use crate::measure::{StepTotals, Totals};
use crate::record::{ErrorSample, Hook, Phase, Progress, Run};
use crate::verdict::SloResult;

/// How many examples of errors are shown; `run.json` has more.
pub(super) const EXAMPLES_SHOWN: usize = 100;

/// A run as it stands, or as it ended. Durations are seconds, times Unix times; what isn't known is `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunNow {
    /// Its identifier, which is the name of its directory; `null` if it could not be begun.
    pub run: Option<String>,
    /// When it began; `null` before a profile's first run.
    pub started: Option<f64>,
    /// How the load stands.
    #[serde(flatten)]
    pub progress: Progress,
    /// Set-up, verify and teardown, as far as they are over.
    #[serde(rename = "stages")]
    pub hooks: Vec<HookNow>,
    /// The phases that are judged.
    pub phases: Vec<PhaseCame>,
    /// The requirements as they stand.
    pub slos: Vec<SloResult>,
    /// Examples of errors, the newest last.
    pub examples: Vec<ExampleNow>,
    /// What the run came to; `null` while it goes on.
    pub verdict: Option<String>,
    /// Why, as far as it is known.
    pub reasons: Vec<String>,
}

/// A set-up, a verify or a teardown that is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HookNow {
    /// Which.
    pub name: String,
    /// Whether all went well.
    pub ok: bool,
    /// What went wrong first.
    pub error: Option<String>,
}

/// What a phase came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PhaseCame {
    /// The label `phase`.
    pub name: String,
    /// Which repeat of the profile's phases, from 0.
    pub repeat: u64,
    /// Whether it counts for the verdict.
    pub judged: bool,
    /// `pass`, `fail` or `inconclusive`.
    pub verdict: String,
}

/// One error as it happened, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExampleNow {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `phase`.
    pub phase: String,
    /// The label `step`.
    pub step: String,
    /// What happened.
    #[serde(flatten)]
    pub error: ErrorSample,
}

impl RunNow {
    /// A run as its record shows it. How long its phases were to take isn't known any more, nor how fast it was in the end.
    pub fn of_record(run: &Run) -> Self {
        let steps = || run.phases.iter().flat_map(|phase| &phase.steps);
        let outcomes = |wanted: &str| -> u64 { steps().filter_map(|step| step.outcomes.get(wanted)).sum() };
        let mut slos: Vec<SloResult> = Vec::new();
        for row in run.phases.iter().flat_map(|phase| &phase.slos).chain(&run.slos) {
            // Of a phase that was repeated the last one.
            let same =
                |other: &SloResult| (&other.name, &other.phase, &other.requirement) == (&row.name, &row.phase, &row.requirement);
            slos.retain(|other| !same(other));
            slos.push(row.clone());
        }
        let mut examples: Vec<ExampleNow> = Vec::new();
        for phase in &run.phases {
            for step in &phase.steps {
                let (scenario, step_name) = (&step.scenario, &step.step);
                examples.extend(step.samples.iter().map(|error| ExampleNow {
                    scenario: scenario.clone(),
                    phase: phase.name.clone(),
                    step: step_name.clone(),
                    error: error.clone(),
                }));
            }
        }
        examples.sort_by(|a, b| a.error.at.total_cmp(&b.error.at));
        examples.drain(..examples.len().saturating_sub(EXAMPLES_SHOWN));
        Self {
            run: Some(run.run.clone()),
            started: Some(run.started),
            progress: Progress {
                elapsed: run.duration(),
                requests: steps().map(|step| step.requests).sum(),
                errors: outcomes("error") + outcomes("timeout"),
                ..Progress::default()
            },
            hooks: run.hooks.iter().map(hook).collect(),
            phases: run.phases.iter().map(came).collect(),
            slos,
            examples,
            verdict: Some(run.verdict.label().to_owned()),
            reasons: run.reasons.clone(),
        }
    }

    /// The run is over.
    pub(super) fn ends(&mut self, run: &Run, totals: &Totals) {
        // Of many repeats the record has the last ones alone.
        let requests = totals.steps.iter().map(StepTotals::requests).sum();
        let errors = totals.steps.iter().map(|step| step.count(Outcome::Error) + step.count(Outcome::Timeout)).sum();
        let elapsed = self.started.map_or(0.0, |started| (run.ended - started).max(0.0));
        let Progress { duration, p95, .. } = self.progress;
        self.progress = Progress { elapsed, duration, requests, errors, p95, ..Progress::default() };
        self.verdict = Some(run.verdict.label().to_owned());
        self.reasons.clone_from(&run.reasons);
    }
}

pub(super) fn hook(hook: &Hook) -> HookNow {
    HookNow { name: hook.name.clone(), ok: hook.ok, error: hook.error.clone() }
}

pub(super) fn came(phase: &Phase) -> PhaseCame {
    let (name, verdict) = (phase.name.clone(), phase.verdict.label().to_owned());
    PhaseCame { name, repeat: phase.repeat, judged: phase.judged, verdict }
}
