//! What a run reports while it goes on, and what it can be asked to do.

use std::time::{Duration, SystemTime};

use crate::measure::{PhaseId, Totals};

/// News of a run: edges, never samples.
#[derive(Debug)]
pub enum Event {
    /// Users do their start for a phase, whose clock begins when they have.
    PhasePrepares {
        /// Which phase.
        phase: PhaseId,
        /// How many users, on this machine.
        users: u64,
    },
    /// A phase has begun.
    PhaseStarted {
        /// Counts the turns of phases over the run.
        phase_run: u64,
        /// Which phase.
        phase: PhaseId,
        /// Which repeat of the profile's phases, from 0.
        repeat: u64,
        /// When.
        at: SystemTime,
        /// When its time will be over, unless its iterations are done before.
        ends: SystemTime,
    },
    /// A phase's time is over; what is under way drains. With `settle` the run waits for [`Control::Settled`].
    PhaseEnded {
        /// The turn.
        phase_run: u64,
        /// When.
        at: SystemTime,
    },
    /// Nothing of a phase is under way any more.
    PhaseDrained {
        /// The turn.
        phase_run: u64,
        /// Which phase.
        phase: PhaseId,
        /// When it began.
        started: SystemTime,
        /// When its time was over.
        ended: SystemTime,
        /// How long its load lasted.
        elapsed: Duration,
        /// All that it recorded. The view has it until [`super::RunView::take_over`].
        totals: Box<Totals>,
        /// No phase follows, and no other is under way: the load stands still from here on.
        last: bool,
    },
    /// The run is over; nothing follows.
    Finished(Ending),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All phases were carried out.
    Completed,
    /// It was asked to stop.
    Stopped,
    /// A step with `on_error: abort_run` failed, or an SLO with `abort_after` was breached.
    Aborted(String),
    /// It could not be carried out.
    Failed(String),
}

/// What a run can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Stop gracefully: no new work, what is under way drains.
    Stop,
    /// Stop at once: what is under way is cut off.
    Interrupt,
    /// Stop gracefully, for this reason.
    Abort(String),
    /// Every source has what it needs past the edge at the end of this turn.
    Settled {
        /// The turn.
        phase_run: u64,
    },
}
