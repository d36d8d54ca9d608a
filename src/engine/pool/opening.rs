//! Connections that a pool's users are opening. Each counts in the phase in which that began.

use std::rc::Rc;
use std::time::Instant;

use super::{Place, Pool};
use crate::base::Protocol;
use crate::engine::phase_run::PhaseRecorder;

impl Pool {
    /// Reports connections that are being opened.
    pub fn report_opening(&self, now: Instant) {
        let state = self.state.borrow();
        state
            .places
            .iter()
            .filter_map(Place::slot)
            .filter_map(|slot| slot.sink.get()?.upgrade())
            .for_each(|sink| sink.report_opening(now));
    }

    /// A connection was opened that began to be so before that: those phases carry it that began meanwhile.
    pub fn carries(&self, protocol: Protocol, began: Instant, opened: Instant) {
        let starts = |recorder: &&Rc<PhaseRecorder>| recorder.phase_run.start();
        let recorders = self.recorders.borrow();
        for recorder in recorders.iter().filter(|recorder| began < starts(recorder) && starts(recorder) <= opened) {
            recorder.set.carried(self.id(), protocol, 1);
        }
    }

    /// The record of a phase closes: it has what is still being opened.
    pub fn settle_opening(&self, recorder: &PhaseRecorder) {
        self.report_slow_listeners(Instant::now());
        let state = self.state.borrow();
        let sinks = state.places.iter().filter_map(Place::slot).filter_map(|slot| slot.sink.get()?.upgrade());
        sinks.for_each(|sink| sink.settle_opening(recorder));
    }
}
