//! Makes a record of plain inputs: what was measured ([`Totals`]), what the target's counters did ([`Observed`]), what the
//! verdict came to.

mod measured;
mod observed;
mod sessions;
mod transfers;

use std::time::Duration;

use super::histograms::PhaseHistograms;
use super::run::{Check, ErrorSample, Generator, Hook, HookCheck, Phase};
use super::{Histograms, Run, VERSION};
use crate::counters::Observed;
use crate::load::Load;
use crate::measure::process::Process;
use crate::measure::{CheckId, Layout, OwnId, PhaseId, ScenarioId, StepId, Totals, index};
use crate::verdict::Judgement;

/// Everything that is known of a phase once it has drained and its counters are read.
#[derive(Debug, Clone, Copy)]
pub struct PhaseInput<'a> {
    /// The names behind the indexes.
    pub layout: &'a Layout,
    /// Which phase.
    pub phase: PhaseId,
    /// Which repeat, from 0.
    pub repeat: u64,
    /// When it began (Unix seconds).
    pub started: f64,
    /// When its time was over (Unix seconds).
    pub ended: f64,
    /// Its load by scenario.
    pub loads: &'a [(ScenarioId, Load)],
    /// What was recorded in this turn of the phase.
    pub totals: &'a Totals,
    /// What the profile's own gauges stood at.
    pub gauges: &'a [(OwnId, ScenarioId, f64)],
    /// Examples of errors.
    pub samples: &'a [(StepId, ErrorSample)],
    /// What the target's counters did, if any were observed.
    pub observed: Option<&'a Observed>,
    /// Whether the phase counts for the verdict.
    pub judged: bool,
    /// What the phase came to, and why.
    pub judgement: &'a Judgement,
    /// Whether the generator was the bottleneck.
    pub saturated: bool,
}

impl PhaseInput<'_> {
    /// How long its load lasted, in seconds.
    fn duration(&self) -> f64 {
        (self.ended - self.started).max(0.0)
    }

    /// A number by the phase's seconds; none for a phase that took no time.
    fn per_second(&self, count: u64) -> Option<f64> {
        let rate = count as f64 / self.duration();
        rate.is_finite().then_some(rate)
    }
}

/// The phase as `run.json` has it.
pub fn phase(input: &PhaseInput<'_>) -> Phase {
    let mut phase = Phase {
        name: input.layout.phases.get(input.phase.index()).cloned().unwrap_or_default(),
        repeat: input.repeat,
        started: input.started,
        ended: input.ended,
        verdict: input.judgement.verdict,
        judged: input.judged,
        reasons: input.judgement.reasons.clone(),
        saturated: input.saturated,
        scenarios: measured::scenarios(input),
        steps: measured::steps(input),
        groups: measured::groups(input),
        sessions: sessions::sessions(input),
        messages: sessions::messages(input),
        transfers: transfers::transfers(input),
        checks: measured::checks(input).map(|(_, check)| check).collect(),
        metrics: measured::metrics(input),
        counters: Vec::new(),
        values: Vec::new(),
        sources: Vec::new(),
        notes: Vec::new(),
        slos: input.judgement.slos.clone(),
    };
    if let Some(seen) = input.observed {
        observed::add(&mut phase, seen);
    }
    phase
}

/// What is known of a set-up, a verify or a teardown once it is over.
#[derive(Debug, Clone, Copy)]
pub struct HookInput<'a> {
    /// The names behind the indexes.
    pub layout: &'a Layout,
    /// Its label `phase`.
    pub phase: PhaseId,
    /// When it began (Unix seconds).
    pub started: f64,
    /// When it was over (Unix seconds).
    pub ended: f64,
    /// What it recorded.
    pub totals: &'a Totals,
    /// What the profile's own gauges stand at.
    pub gauges: &'a [(OwnId, ScenarioId, f64)],
    /// Examples of errors.
    pub samples: &'a [(StepId, ErrorSample)],
    /// How checks failed, each the first time that it did.
    pub unheld: &'a [(CheckId, String)],
    /// What went wrong first, if anything did.
    pub error: Option<&'a str>,
}

/// The hook as `run.json` has it.
pub fn hook(input: &HookInput<'_>) -> Hook {
    let measured = PhaseInput {
        layout: input.layout,
        phase: input.phase,
        repeat: 0,
        started: input.started,
        ended: input.ended,
        loads: &[],
        totals: input.totals,
        gauges: input.gauges,
        samples: input.samples,
        observed: None,
        judged: false,
        judgement: &Judgement::default(),
        saturated: false,
    };
    let check = |(id, check): (CheckId, Check)| HookCheck {
        name: check.check,
        step: check.step,
        passed: check.total.saturating_sub(check.failures),
        failed: check.failures,
        detail: input.unheld.iter().find(|(unheld, _)| *unheld == id).map(|(_, how)| how.clone()),
    };
    Hook {
        name: input.layout.phases.get(input.phase.index()).cloned().unwrap_or_default(),
        started: input.started,
        ended: input.ended,
        ok: input.error.is_none(),
        unsure: None,
        error: input.error.map(str::to_owned),
        checks: measured::checks(&measured).map(check).collect(),
        steps: measured::steps(&measured),
        sessions: sessions::sessions(&measured),
        messages: sessions::messages(&measured),
        transfers: transfers::transfers(&measured),
        groups: measured::groups(&measured),
        metrics: measured::metrics(&measured),
    }
}

/// The phase's distributions as `histograms.json` has them.
pub fn histograms(input: &PhaseInput<'_>) -> PhaseHistograms {
    let mut out = measured::histograms(input);
    sessions::histograms(input, &mut out);
    transfers::histograms(input, &mut out);
    out
}

/// The distributions of a run.
pub fn all_histograms(run: &Run, phases: Vec<PhaseHistograms>) -> Histograms {
    Histograms { version: VERSION, profile: run.profile.clone(), run: run.run.clone(), schema: index::SCHEMA, phases }
}

/// The generator's own figures over a run.
///
/// `cpu_before` is [`cpu_time`](crate::measure::process::cpu_time) at the run's start, `elapsed` the time since then.
pub fn generator(workers: u64, cpu_before: Duration, elapsed: Duration, saturated: bool) -> Generator {
    let now = Process::read();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let cpu = (now.cpu - cpu_before.as_secs_f64()).max(0.0);
    let ratio = cpu / elapsed.as_secs_f64() / processors as f64;
    Generator {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workers,
        processors,
        cpu_seconds: Some(cpu),
        cpu_ratio: ratio.is_finite().then_some(ratio),
        memory_bytes: now.resident_peak,
        saturated,
    }
}

#[cfg(test)]
mod tests;
