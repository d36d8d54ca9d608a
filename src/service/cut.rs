//! The end of a run whose threads don't end: what they have measured is taken over, and the run goes on without them.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::Sender;

use crate::engine::{Board, Control};
use crate::measure::PhaseId;
use crate::measure::process::unix_time;

use super::conduct::Conduct;

/// How long threads that generate load have to end once they are told to end at once. The record is then written without them.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// Waits until a moment has passed; for ever if there is none.
pub(super) async fn passed(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Conduct {
    /// Takes over what the phases have measured so far, from threads that don't end.
    pub(super) fn cut_off(&mut self, board: &Board, control: &Sender<Control>) {
        self.doubt("The generator's threads did not end when they were told to: what was under way is missing here.".to_owned());
        let now = SystemTime::now();
        let begun: Vec<(u64, PhaseId, SystemTime)> =
            self.turns.iter().map(|(activation, turn)| (*activation, turn.phase, turn.started)).collect();
        for (activation, phase, started) in begun {
            let Some(totals) = board.totals(activation) else { continue };
            self.store.gauges.end_phase(phase, unix_time(now));
            let elapsed = now.duration_since(started).unwrap_or_default();
            self.phase_drained(activation, (phase, started, now, elapsed), totals, true, board, control);
        }
    }
}
