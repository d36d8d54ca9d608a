//! A phase whose users do their start before its clock begins.

use std::sync::Arc;
use std::time::Instant;

use super::{Coordinator, LEAD, Until, Woken};
use crate::engine::command::Command;
use crate::engine::event::Event;
use crate::engine::phase_run::PhaseRun;
use crate::load::Share;
use crate::measure::PhaseId;

impl Coordinator {
    /// How many of the first `users` are on this machine.
    pub(super) fn here(&self, users: u64) -> u64 {
        let workers = 0..self.shared.handles.len() as u64;
        workers.map(|worker| Share { worker, ..self.share }.users(users)).sum()
    }

    /// Waits until the users of a phase are prepared, who begin their start at `from`. Answers when its clock begins; where the run
    /// ends meanwhile no worker is informed.
    pub(super) async fn prepare(&mut self, phase_run: &Arc<PhaseRun>, from: Instant) -> Instant {
        self.report(Event::PhasePrepares { phase: PhaseId::at(phase_run.phase), users: phase_run.to_prepare }).await;
        let last = phase_run.latest.checked_sub(LEAD).unwrap_or(from);
        let ends = self.wait(Until::Prepared(last, phase_run.number)).await == Woken::Ending;
        let start = if ends { Instant::now() } else { (Instant::now() + LEAD).max(from) };
        let start = *phase_run.begins.get_or_init(|| start.min(phase_run.latest));
        if !ends {
            self.broadcast(|| Command::Begin(phase_run.clone()));
        }
        start
    }

    /// A phase has begun.
    pub(super) async fn begun(&mut self, phase_run: &PhaseRun, repeat: u64, start: Instant) {
        self.newest = Some(phase_run.number);
        let phase = PhaseId::at(phase_run.phase);
        let at = self.view.wall(start);
        let ends = self.view.wall(start + self.shared.plan.phases[phase_run.phase].duration);
        self.report(Event::PhaseStarted { phase_run: phase_run.number, phase, repeat, at, ends }).await;
    }
}
