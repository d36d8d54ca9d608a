//! Connections that a user is opening. Each counts in the phase in which it began to be opened, however long that takes.

use std::time::Instant;

use super::UserSink;
use crate::base::Protocol;
use crate::engine::phase_run::PhaseRecorder;
use crate::engine::place::Standing;
use crate::engine::slot::{Opening, Opens};
use crate::flow::report_connect;
use crate::measure::{Presence, StepId};
use crate::protocol::Knock;

/// A connection that is being opened, and where that is recorded.
pub(super) struct BeingOpened {
    protocol: Protocol,
    began: Instant,
    standing: Standing,
}

impl BeingOpened {
    pub fn began(&self) -> Instant {
        self.began
    }
}

impl Opens for UserSink {
    fn report_opening(&self, now: Instant) {
        let Some(knock) = self.knock.get() else { return };
        knock.unreported().iter().for_each(|connect| report_connect(self, connect));
        let Some((step, began)) = knock.under_way() else { return };
        let ctx = &self.pool.ctx;
        ctx.shared.reach.hangs(step, (began, now), |since| ctx.pulse.paused_within(since, now));
        let protocol = ctx.shared.plan.layout.steps[step.index()].protocol;
        let reported = self.opening.borrow().iter().any(|opening| opening.began == began);
        if let Some((recorder, place)) = self.place_of(began).filter(|_| !reported) {
            let since = ctx.pulse.clock(began);
            place.of(&recorder.set).connect_open(self.pool.id(), protocol, since, true);
            self.opening.borrow_mut().push(BeingOpened { protocol, began, standing: (recorder, place, since) });
        }
    }

    fn settle_opening(&self, recorder: &PhaseRecorder) {
        self.report_opening(Instant::now());
        let left = |opening: &Opening| {
            let of = opening.of_arrival && !opening.given_up;
            of && self.recorder_of(opening.due).is_some_and(|of_due| std::ptr::eq(&*of_due, recorder))
        };
        if let Some(opening) = self.slot.opening.get().filter(left) {
            recorder.set.listeners(opening.step, &Presence { refused: 1, ..Presence::default() });
            self.slot.opening.set(Some(Opening { given_up: true, ..opening }));
        }
    }
}

impl UserSink {
    /// The connection that the user opens is seen here.
    pub fn follow_knock(&self, knock: Knock) {
        // Once for each user.
        let _ = self.knock.set(knock);
    }

    /// It is known what came of a connection that began to be opened then.
    pub(super) fn no_longer_opens(&self, began: Instant) {
        let ended: Vec<BeingOpened> = self.opening.borrow_mut().extract_if(.., |opening| opening.began == began).collect();
        for BeingOpened { protocol, began, standing } in ended {
            let step = |set: &crate::measure::Set, since, begins| set.connect_open(self.pool.id(), protocol, since, begins);
            self.moves(began, Some(standing), step);
        }
    }

    /// A session that was due at `due` could not be opened.
    pub(super) fn refused(&self, step: StepId, due: Instant, at: Instant) {
        let given_up = self.slot.opening.take().is_some_and(|opening| opening.given_up);
        if self.arrival.get().is_none() {
            self.pool.listener_refused(step, due, at, &self.slot.away);
        } else if !given_up {
            self.record(due, |set| set.listeners(step, &Presence { refused: 1, ..Presence::default() }));
        }
    }
}
