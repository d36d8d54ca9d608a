//! What passes between the coordinator and the workers: edges and news, never samples.

use std::sync::Arc;
use std::time::Instant;

use super::activation::Activation;
use super::arrival::Arrival;

/// To a worker.
pub(super) enum Command {
    /// A phase begins at its start; the one before is over then.
    Begin(Arc<Activation>),
    /// From `at` on users do their start for a phase. The present one goes on until it begins, unless it is over before.
    Prepare { activation: Arc<Activation>, at: Instant },
    /// The present phase is over at `at`. Scenarios that don't `stay` drain; with `pause` the others stop before their
    /// next step, until the next phase begins.
    Edge { at: Instant, stay: Vec<bool>, pause: bool },
    /// An arrival for which a free user here was claimed.
    Handed { arrival: Arrival, activation: Arc<Activation> },
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

/// From a worker.
pub(super) enum Report {
    /// Every user that is prepared for the activation here has started, or isn't waited for any more.
    Prepared { activation: u64 },
    /// Nothing of the activation is under way here any more.
    Drained { worker: usize, activation: u64 },
    /// An arrival that was in transit has come in.
    Landed,
    /// Every iteration that the phase asks of this worker is done.
    IterationsDone { activation: u64 },
    /// Nothing will be recorded into the activation's set any more.
    Released { worker: usize, activation: u64 },
    /// A step with `on_error: abort_run` failed.
    Abort(String),
    /// A worker can't go on, or one of its users broke.
    Failed { worker: Option<usize>, reason: String },
}
