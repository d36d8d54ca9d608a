//! In which of its sets a phase's record counts what was due: in its time, in its drain, or in a phase before.

use std::rc::Rc;

use super::phase_run::PhaseRecorder;
use crate::flow::Work;
use crate::measure::{ScenarioId, Set};

/// Where work that is under way was recorded as it began, and since when it counts by the worker's clock.
pub(super) type Standing = (Rc<PhaseRecorder>, Place, u64);

/// When something was due, by the phase in whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a phase before, whose record is closed.
    Early,
    InTime,
    /// In its drain.
    Late,
}

impl Place {
    /// The set that it counts in.
    pub fn of(self, set: &Set) -> &Set {
        match self {
            Place::Early => set.early(),
            Place::InTime => set,
            Place::Late => set.late(),
        }
    }
}

/// Work begins that counts since `since` by the worker's clock, or is over.
pub(super) fn open(set: &Set, scenario: ScenarioId, work: Work, since: u64, begins: bool) {
    match work {
        Work::Eventually => set.eventually_open(scenario, since, begins),
        Work::Request(step) => set.request_open(step, since, begins),
        Work::Group(group) => set.group_open(group, since, begins),
    }
}
