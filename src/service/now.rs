//! How a run stands, for programs that ask: what GET `/api/v1/status` answers of it.

use std::sync::Arc;

use serde::Serialize;

use crate::engine::ErrorExample;
use crate::measure::Layout;
use crate::measure::process::unix_time;
use crate::record::{Phase, Run, Stage};
use crate::verdict::SloResult;

use super::conduct::{Conduct, Update};

/// How many examples of errors are shown; `run.json` has more.
const EXAMPLES_SHOWN: usize = 100;

/// A run as it stands, or as it ended. Durations are seconds, times Unix times; what isn't known is `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunNow {
    /// Its identifier, which is the name of its directory.
    pub run: String,
    /// When it began.
    pub started: f64,
    /// How long it has been going on, or took.
    pub elapsed: f64,
    /// How long its phases take; `null` if it has no end.
    pub duration: Option<f64>,
    /// The present phase or stage; empty before and after.
    pub phase: String,
    /// How much of that is over.
    pub phase_elapsed: f64,
    /// How long that takes; of a stage, at most.
    pub phase_duration: f64,
    /// Virtual users at work.
    pub users: u64,
    /// Virtual users that are wanted; 0 where arrivals are.
    pub users_wanted: u64,
    /// Requests (or iterations, where a rate is wanted) a second lately.
    pub rate: Option<f64>,
    /// Arrivals a second that are wanted; 0 where users are.
    pub rate_wanted: f64,
    /// Requests so far.
    pub requests: u64,
    /// Errors and timeouts among them.
    pub errors: u64,
    /// The 95th percentile of response times lately.
    pub p95: Option<f64>,
    /// What is going on beside the load, if anything is: draining, waiting.
    pub note: Option<String>,
    /// Set-up, verify and teardown, as far as they are over.
    pub stages: Vec<StageNow>,
    /// The phases that are judged.
    pub phases: Vec<PhaseCame>,
    /// The requirements as they stand.
    pub slos: Vec<SloNow>,
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

/// A requirement as it stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SloNow {
    /// The SLO's name.
    pub name: String,
    /// The phase; empty for the run as a whole.
    pub phase: String,
    /// As written.
    pub requirement: String,
    /// What was measured, in the base unit.
    pub value: Option<f64>,
    /// What is asked for.
    pub objective: f64,
    /// Whether it is met; `null` if that can't be told.
    pub met: Option<bool>,
}

/// One error as it happened, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExampleNow {
    /// When it was noticed.
    pub at: f64,
    /// The label `scenario`.
    pub scenario: String,
    /// The label `phase`.
    pub phase: String,
    /// The label `step`.
    pub step: String,
    /// The reason that it was counted under.
    pub reason: String,
    /// The status code, if an answer came.
    pub status: Option<u16>,
    /// What happened, in words.
    pub detail: String,
    /// The beginning of the answer's body.
    pub body: String,
}

impl RunNow {
    /// The run is over.
    pub(super) fn ends(&mut self, run: &Run) {
        self.elapsed = unix_seconds_since(self.started);
        self.verdict = Some(run.verdict.label().to_owned());
        self.reasons.clone_from(&run.reasons);
        self.note = None;
        (self.phase, self.phase_elapsed, self.phase_duration) = (String::new(), 0.0, 0.0);
        (self.users, self.users_wanted, self.rate_wanted, self.rate) = (0, 0, 0.0, None);
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
        let progress = &self.progress;
        let layout = &self.plan.layout;
        let redact = |text: &str| self.plan.secrets.redact(text).into_owned();
        let mut all: Vec<&ErrorExample> = self.examples.0.iter().chain(&self.examples.1).collect();
        all.sort_by_key(|example| example.at);
        all.drain(..all.len().saturating_sub(EXAMPLES_SHOWN));
        let examples = all.into_iter().map(|example| ExampleNow {
            detail: redact(&example.detail),
            body: redact(&example.body),
            ..named(layout, example)
        });
        RunNow {
            run: self.run.clone(),
            started: unix_time(self.started),
            elapsed: self.cpu.0.elapsed().as_secs_f64(),
            duration: progress.run_duration.map(|duration| duration.as_secs_f64()),
            phase: progress.phase.clone(),
            phase_elapsed: progress.phase_elapsed.as_secs_f64(),
            phase_duration: progress.phase_duration.as_secs_f64(),
            users: progress.users,
            users_wanted: progress.users_wanted,
            rate: progress.rate_reached,
            rate_wanted: progress.rate_wanted,
            requests: progress.requests,
            errors: progress.errors,
            p95: progress.p95,
            note: progress.note.clone(),
            stages: self.stages.iter().map(stage).collect(),
            phases: self.judged.iter().map(|(_, phase, _)| came(phase)).collect(),
            slos: self.results.values().flatten().map(slo).collect(),
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

fn slo(result: &SloResult) -> SloNow {
    SloNow {
        name: result.name.clone(),
        phase: result.phase.clone(),
        requirement: result.requirement.clone(),
        value: result.value,
        objective: result.objective,
        met: result.met,
    }
}

/// An example with its labels, but without its words.
fn named(layout: &Layout, example: &ErrorExample) -> ExampleNow {
    let step = layout.steps.get(example.step.index());
    let scenario = step.and_then(|step| layout.scenarios.get(step.scenario.index()));
    ExampleNow {
        at: unix_time(example.at),
        scenario: scenario.map(|scenario| scenario.name.clone()).unwrap_or_default(),
        phase: layout.phases.get(example.phase.index()).cloned().unwrap_or_default(),
        step: step.map(|step| step.name.clone()).unwrap_or_default(),
        reason: example.reason.label().to_owned(),
        status: (example.status > 0).then_some(example.status),
        ..ExampleNow::default()
    }
}
