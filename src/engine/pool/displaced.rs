//! What a pause of the worker takes: the time of closed users, and the users that arrivals would have found free.

use std::time::{Duration, Instant};

use super::{Mode, Pool};
use crate::base::DropReason;
use crate::base::units::nanos;
use crate::engine::arrival::Arrival;
use crate::engine::backlog;
use crate::engine::phase_run::PhaseRecorder;

/// Who finds somebody free is on time, if it isn't later than that.
const LATE: Duration = Duration::from_millis(100);

impl Pool {
    /// The worker stood still, and with it the users of a closed load and the queue of an open one.
    pub fn held_up(&self, from: Instant, to: Instant) {
        match self.state.borrow().mode {
            Mode::Away => {}
            Mode::Open { .. } => self.ctx.shared.backlog(self.scenario).stood(from, to, self.room().len()),
            Mode::Closed { wanted, .. } => {
                let Some(recorder) = self.newest() else { return };
                let to = recorder.phase_run.end.get().map_or(to, |end| to.min(*end));
                let time = to.saturating_duration_since(from.max(recorder.phase_run.start()));
                recorder.set.held(self.id(), nanos(time).saturating_mul(wanted));
            }
        }
    }

    /// A pacer comes to an arrival.
    pub(super) fn looks_late(&self, arrival: &Arrival) {
        if arrival.lag >= backlog::LEAST && self.ctx.paused_within(arrival.due, arrival.handled) > 0 {
            self.ctx.shared.backlog(self.scenario).comes_late();
        }
    }

    /// Somebody was free for an arrival as it came.
    pub(super) fn was_free_for(&self, arrival: &Arrival) {
        if arrival.lag < LATE {
            self.calm.set(Some(arrival.due));
        }
    }

    /// Nobody is free for an arrival.
    pub(super) fn drop_one(&self, recorder: &PhaseRecorder) {
        let reason = self.why_nobody();
        recorder.set.dropped(self.id(), reason, 1);
        if reason == DropReason::Busy && self.ctx.shared.backlog(self.scenario).drops(self.calm.get()) {
            recorder.set.displaced(self.id());
        }
    }
}
