//! A run that is asked to end while its load stands still between two phases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Coordinator;
use crate::engine::command::Command;
use crate::engine::phase_run::PhaseRun;
use crate::measure::{PhaseId, Set, Totals};

impl Coordinator {
    /// Sets for a phase, one for each worker.
    pub(super) fn open(&self, phase: usize) -> Vec<Arc<Set>> {
        self.shared.handles.iter().map(|_| self.shared.store.open(PhaseId::at(phase))).collect()
    }

    /// The load stands still until the phase with this number begins. What ends meanwhile, too late for the phase before, is in its record.
    pub(super) fn goes_ahead(&mut self, next: usize, number: u64) {
        let sets = self.open(next);
        self.ahead = Some(sets.clone());
        let phase_run = Arc::new(PhaseRun::ahead(number, next, sets));
        self.broadcast(|| Command::Ahead(phase_run.clone()));
    }

    /// Lets go of what is held: it may end within the drain. Where the record of the phase that it began in is closed, which each worker
    /// knows for itself, the next phase has it, with a length of 0. [`Coordinator::gathered`] reports that once it is known whether there is
    /// anything.
    pub(super) async fn let_go(&mut self, next: usize, repeat: u64, number: u64) {
        let at = Instant::now();
        self.over = true;
        let plan = self.shared.plan.clone();
        let phase_run = self.announce(&plan, next, at, number, Vec::new(), Some(repeat));
        // Ended once only: here.
        let _ = phase_run.end.set(at);
        // After its beginning, so that every worker comes to that.
        self.broadcast(|| Command::Edge { at: at + Duration::from_nanos(1), stay: Vec::new(), pause: false });
        self.lets_go(at);
    }

    /// What was held may end now.
    pub(super) fn lets_go(&mut self, at: Instant) {
        self.held = false;
        self.let_go = Some(at);
        if self.cut {
            self.broadcast(|| Command::Interrupt);
        }
    }

    /// What was held has ended. Answers whether anything was: that is then reported as a phase.
    pub(super) async fn gathered(&mut self, phase_run: &PhaseRun, repeat: u64, totals: &Totals) -> bool {
        if *totals == Totals::empty(&self.shared.plan.layout) {
            return false;
        }
        self.begun(phase_run, repeat, phase_run.start()).await;
        self.over(phase_run, phase_run.start()).await;
        true
    }
}
