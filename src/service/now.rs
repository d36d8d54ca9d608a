//! How a run stands, for programs that ask: what GET `/api/v1/status` answers of it.

use std::sync::Arc;

use serde::Serialize;

use crate::engine::ErrorExample;
use crate::measure::process::unix_time;
use crate::plan::Plan;
use crate::record::{ErrorSample, Phase, Progress, Run, Stage};
use crate::verdict::SloResult;

use super::conduct::{Conduct, Update};
use super::judging::sample;

/// How many examples of errors are shown; `run.json` has more.
const EXAMPLES_SHOWN: usize = 100;

/// A run as it stands, or as it ended. Durations are seconds, times Unix times; what isn't known is `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunNow {
    /// Its identifier, which is the name of its directory.
    pub run: String,
    /// When it began.
    pub started: f64,
    /// How the load stands.
    #[serde(flatten)]
    pub progress: Progress,
    /// Set-up, verify and teardown, as far as they are over.
    pub stages: Vec<StageNow>,
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
pub struct StageNow {
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
    /// The run is over.
    pub(super) fn ends(&mut self, run: &Run) {
        let (elapsed, duration) = (unix_seconds_since(self.started), self.progress.duration);
        let Progress { requests, errors, p95, .. } = self.progress;
        self.progress = Progress { elapsed, duration, requests, errors, p95, ..Progress::default() };
        self.verdict = Some(run.verdict.label().to_owned());
        self.reasons.clone_from(&run.reasons);
    }
}

fn unix_seconds_since(at: f64) -> f64 {
    (unix_time(std::time::SystemTime::now()) - at).max(0.0)
}

impl Conduct {
    /// Tells how the run stands.
    pub(super) fn show(&self, update: &mut (dyn FnMut(Update<'_>) + Send)) {
        update(Update::Status(Arc::new(self.now())));
    }

    /// How the run stands.
    pub(super) fn now(&self) -> RunNow {
        let redact = |text: &str| self.plan.secrets.redact_own(text).into_owned();
        let mut all: Vec<&ErrorExample> = self.examples.0.iter().chain(&self.examples.1).collect();
        all.sort_by_key(|example| example.at);
        all.drain(..all.len().saturating_sub(EXAMPLES_SHOWN));
        let examples = all.into_iter().map(|example| example_now(&self.plan, example));
        RunNow {
            run: self.run.clone(),
            started: unix_time(self.started),
            progress: Progress {
                elapsed: self.cpu.0.elapsed().as_secs_f64(),
                away: self.away.present.clone(),
                note: self.progress.note.clone().or_else(|| self.note.clone()),
                ..self.progress.clone()
            },
            stages: self.stages.iter().map(stage).collect(),
            phases: self.judged.iter().map(|(_, phase, _)| came(phase)).collect(),
            slos: self.results.values().flatten().cloned().collect(),
            examples: examples.collect(),
            verdict: None,
            reasons: self.reasons.iter().map(|reason| redact(reason)).collect(),
        }
    }
}

fn stage(stage: &Stage) -> StageNow {
    StageNow { name: stage.name.clone(), ok: stage.ok, error: stage.error.clone() }
}

fn came(phase: &Phase) -> PhaseCame {
    let (name, verdict) = (phase.name.clone(), phase.verdict.label().to_owned());
    PhaseCame { name, repeat: phase.repeat, judged: phase.judged, verdict }
}

/// An example with its labels.
fn example_now(plan: &Plan, example: &ErrorExample) -> ExampleNow {
    let layout = &plan.layout;
    let step = layout.steps.get(example.step.index());
    let scenario = step.and_then(|step| layout.scenarios.get(step.scenario.index()));
    ExampleNow {
        scenario: scenario.map(|scenario| scenario.name.clone()).unwrap_or_default(),
        phase: layout.phases.get(example.phase.index()).cloned().unwrap_or_default(),
        step: step.map(|step| step.name.clone()).unwrap_or_default(),
        error: sample(plan, example),
    }
}
