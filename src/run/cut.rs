//! The end of a run whose threads don't end: what they have measured is taken over, and the run goes on without them.

use std::time::SystemTime;

use tokio::sync::mpsc::Sender;

use crate::engine::{Control, RunView};
use crate::measure::PhaseId;
use crate::measure::process::unix_time;

use super::driver::RunDriver;

impl RunDriver {
    /// Takes over what the phases have measured so far, from threads that don't end.
    pub(super) fn cut_off(&mut self, view: &RunView, control: &Sender<Control>) {
        self.doubt("The generator's threads did not end when they were asked to: what was under way is missing here.".to_owned());
        let now = self.carried.clock.now();
        let begun: Vec<(u64, PhaseId, SystemTime)> =
            self.turns.iter().map(|(phase_run, turn)| (*phase_run, turn.phase, turn.started)).collect();
        for (phase_run, phase, started) in begun {
            let Some(totals) = view.totals(phase_run) else { continue };
            self.store.gauges.end_phase(phase, unix_time(now));
            let elapsed = now.duration_since(started).unwrap_or_default();
            self.phase_drained(phase_run, (phase, started, now, elapsed), totals, true, view, control);
        }
    }
}
