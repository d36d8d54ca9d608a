//! What the coordinator sends to the workers: edges and news, never samples.

use std::sync::Arc;
use std::time::Instant;

use super::arrival::Arrival;
use super::phase_run::PhaseRun;

/// To a worker.
pub(super) enum Command {
    /// A phase begins at its start; the one before is over then.
    Begin(Arc<PhaseRun>),
    /// From `at` on users do their start for a phase. The present one goes on until it begins, unless it is over before.
    Prepare { phase_run: Arc<PhaseRun>, at: Instant },
    /// The present phase is over at `at`. Scenarios that don't `stay` drain; with `pause` the others stop before their
    /// next step, until the next phase begins.
    Edge { at: Instant, stay: Vec<bool>, pause: bool },
    /// The load stands still from the next edge on, until the phase that this one stands for begins.
    Ahead(Arc<PhaseRun>),
    /// An arrival for which a free user here was claimed.
    Handed { arrival: Arrival, phase_run: Arc<PhaseRun> },
    /// A scenario's users and what is counted of them are to be looked at again: iterations were given back, or all are done.
    Look { scenario: usize },
    /// What is still under way is cut off now.
    Interrupt,
    /// The worker stands still, as it does when the process is stopped.
    #[cfg(test)]
    Stall(std::time::Duration),
    /// The worker ends; nothing is under way any more.
    Exit,
}
