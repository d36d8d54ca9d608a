//! A run that is told to end while its load stands still between two phases.

use std::time::{Duration, Instant};

use super::Coordinator;
use crate::engine::report::Command;
use crate::measure::{Set, Totals};

impl Coordinator {
    /// Lets go of what is held: it may end within the drain. The record of the phase that it began in is closed, so the next phase has it,
    /// with a length of 0; there is none where nothing is left.
    pub(super) async fn let_go(&mut self, next: usize, repeat: u64, number: u64) {
        let at = Instant::now();
        self.over = true;
        let closed = self.draining.values().all(|turn| turn.told || !turn.drained.is_empty());
        if closed && self.under_way() > 0 {
            let plan = self.shared.plan.clone();
            let activation = self.announce(&plan, next, at, number, Vec::new(), true);
            self.begun(&activation, repeat, at).await;
            // After its beginning, so that every worker comes to that.
            self.broadcast(|| Command::Edge { at: at + Duration::from_nanos(1), stay: Vec::new(), pause: false });
            self.over(&activation, at).await;
        } else {
            self.broadcast(|| Command::Edge { at, stay: Vec::new(), pause: false });
        }
        self.held = false;
        if self.cut {
            self.broadcast(|| Command::Interrupt);
        }
    }

    /// Iterations that have begun and not ended.
    fn under_way(&self) -> i64 {
        let untold = self.draining.values().filter(|turn| !turn.told);
        let untold = untold.map(|turn| open(&Set::sum(&self.shared.plan.layout, &turn.activation.sets)));
        self.open + untold.sum::<i64>()
    }
}

/// Iterations that began in a record, less those that ended in it.
pub(super) fn open(totals: &Totals) -> i64 {
    totals.scenarios.iter().map(|scenario| scenario.open.under_way()).sum()
}
