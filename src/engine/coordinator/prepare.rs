//! A phase whose users do their start before its clock begins.

use std::sync::Arc;
use std::time::Instant;

use super::{Coordinator, LEAD, Until, Woken};
use crate::engine::activation::Activation;
use crate::engine::event::Event;
use crate::engine::report::Command;
use crate::load::Share;
use crate::measure::PhaseId;

impl Coordinator {
    /// How many of the first `users` are on this machine.
    pub(super) fn here(&self, users: u64) -> u64 {
        let workers = 0..self.shared.ports.len() as u64;
        workers.map(|worker| Share { worker, ..self.share }.users(users)).sum()
    }

    /// Waits until the users of a phase are prepared, who begin their start at `from`. Answers when its clock begins; where the run
    /// ends meanwhile no worker is told of that.
    pub(super) async fn prepare(&mut self, activation: &Arc<Activation>, from: Instant) -> Instant {
        self.tell(Event::PhasePrepares { phase: PhaseId::at(activation.phase), users: activation.to_prepare }).await;
        let last = activation.latest.checked_sub(LEAD).unwrap_or(from);
        let ends = self.wait(Until::Prepared(last, activation.number)).await == Woken::Ending;
        let start = if ends { Instant::now() } else { (Instant::now() + LEAD).max(from) };
        let start = *activation.begins.get_or_init(|| start.min(activation.latest));
        if !ends {
            self.broadcast(|| Command::Begin(activation.clone()));
        }
        start
    }

    /// A phase has begun.
    pub(super) async fn begun(&mut self, activation: &Activation, repeat: u64, start: Instant) {
        self.newest = Some(activation.number);
        let phase = PhaseId::at(activation.phase);
        let at = self.board.wall(start);
        let ends = self.board.wall(start + self.shared.plan.phases[activation.phase].duration);
        self.tell(Event::PhaseStarted { activation: activation.number, phase, repeat, at, ends }).await;
    }
}
