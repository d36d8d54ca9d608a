//! What the workers report to the coordinator: edges and news, never samples.

/// From a worker.
pub(super) enum Report {
    /// Every user that is prepared for the phase run here has started, or isn't waited for any more.
    Prepared { phase_run: u64 },
    /// Nothing of the phase run is under way here any more.
    Drained { worker: usize, phase_run: u64 },
    /// An arrival that was in transit has come in.
    Landed,
    /// Every iteration that the phase asks of this worker is done.
    IterationsDone { phase_run: u64 },
    /// Nothing will be recorded into the phase run's set any more.
    Released { worker: usize, phase_run: u64 },
    /// A step with `on_error: abort_run` failed.
    Abort(String),
    /// A worker can't go on, or one of its users broke.
    Failed { worker: Option<usize>, reason: String },
}
