//! Phases that drain: when their records are whole, or no longer waited for.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Coordinator, DRAIN_GRACE, Turn};
use crate::engine::event::Event;
use crate::engine::phase_run::PhaseRun;
use crate::measure::{PhaseId, Set};
use crate::plan::Plan;

impl Coordinator {
    /// Reports every phase that has drained on all workers.
    pub(super) async fn report_drained(&mut self) {
        let workers = self.shared.handles.len();
        let ready: Vec<u64> = self
            .draining
            .iter()
            .filter(|(_, turn)| !turn.reported && turn.drained.len() == workers)
            // What was on its way to a worker that failed never comes in.
            .filter(|(_, turn)| !self.gone.is_empty() || turn.phase_run.in_transit.load(Ordering::Acquire) == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in ready {
            self.report_one_drained(number).await;
        }
        self.clean_up();
    }

    async fn report_one_drained(&mut self, number: u64) {
        let Some(turn) = self.draining.get_mut(&number) else { return };
        turn.reported = true;
        turn.phase_run.reported.store(true, Ordering::Release);
        let turn = &self.draining[&number];
        let phase_run = turn.phase_run.clone();
        let totals = Set::sum(&self.shared.plan.layout, &phase_run.sets);
        if let Some(repeat) = phase_run.gathers.get().copied()
            && !self.gathered(&phase_run, repeat, &totals).await
        {
            return;
        }
        let follows = |other: &PhaseRun| Some(other.number) <= self.newest || other.gathers.get().is_some();
        let others = self.draining.values().any(|other| !other.reported && follows(&other.phase_run));
        let ended = phase_run.end.get().copied().unwrap_or_else(Instant::now);
        let event = Event::PhaseDrained {
            phase_run: number,
            phase: PhaseId::at(phase_run.phase),
            started: self.view.wall(phase_run.start()),
            ended: self.view.wall(ended),
            elapsed: ended.saturating_duration_since(phase_run.start()),
            totals: Box::new(totals),
            last: self.over && self.newest == Some(number) && !others,
        };
        self.report(event).await;
    }

    /// Phases that should have drained by now: one connection that hangs can't hold the run.
    pub(super) async fn expire_drains(&mut self) {
        let now = Instant::now();
        let plan = self.shared.plan.clone();
        let late: Vec<u64> = self
            .draining
            .iter()
            .filter(|(_, turn)| turn.expiry(&plan, self.let_go).is_some_and(|at| at <= now))
            .map(|(n, _)| *n)
            .collect();
        for number in late {
            tracing::warn!(phase_run = number, "a phase has not drained in its time; it is judged as it stands");
            self.report_one_drained(number).await;
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.draining.values().filter_map(|turn| turn.expiry(&self.shared.plan, self.let_go)).min()
    }

    /// Forgets turns of which nothing is left.
    pub(super) fn clean_up(&mut self) {
        let (workers, store) = (self.shared.handles.len(), &self.shared.store);
        self.draining.retain(|_, turn| {
            let over = turn.reported && turn.released.len() == workers;
            if over {
                // All at once, for an arrival that was in transit to a worker that had released its set is counted in it.
                turn.phase_run.sets.iter().for_each(|set| store.retire(set.clone()));
            }
            !over
        });
        if let Some(oldest) = self.draining.keys().next().copied() {
            self.done.retain(|number, _| *number >= oldest);
        }
    }
}

impl Turn {
    /// When it is no longer waited for. What was let go of has the drain of the phase that it began in, in whichever record it ends.
    fn expiry(&self, plan: &Plan, let_go: Option<Instant>) -> Option<Instant> {
        let ended = *self.phase_run.end.get().filter(|_| !self.reported)?;
        let longest = || plan.phases.iter().map(|phase| phase.drain).max().unwrap_or_default();
        let own = ended + plan.phases[self.phase_run.phase].drain;
        Some(let_go.map_or(own, |at| own.max(at + longest())) + DRAIN_GRACE)
    }
}
