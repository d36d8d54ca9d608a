//! How a run stands in full, worked out of what its driver follows.

use std::sync::Arc;

use super::driver::RunDriver;
use super::judging::sample;
use super::now::{EXAMPLES_SHOWN, ExampleNow, RunNow, came, hook};
use super::update::Update;
use crate::engine::ErrorExample;
use crate::measure::process::unix_time;
use crate::plan::Plan;
use crate::record::Progress;

impl RunDriver {
    /// Says how the run stands.
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
            run: Some(self.run.clone()),
            started: Some(unix_time(self.started)),
            progress: Progress {
                elapsed: self.cpu.0.elapsed().as_secs_f64(),
                away: self.away.present.clone(),
                note: self.progress.note.clone().or_else(|| self.note.clone()),
                ..self.progress.clone()
            },
            hooks: self.hooks.iter().map(hook).collect(),
            phases: self.judged.iter().map(|(_, phase, _)| came(phase)).collect(),
            slos: self.results.values().flatten().cloned().collect(),
            examples: examples.collect(),
            verdict: None,
            reasons: self.reasons.iter().map(|reason| redact(reason)).collect(),
        }
    }
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
