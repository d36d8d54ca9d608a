//! What a pool's users need besides their turn: rows of data, time for their start and stop, shared connections.

use super::Pool;
use crate::engine::phase_run::PhaseRecorder;
use crate::engine::picker::{Claim, RanOut, Who};
use crate::engine::slot::Slot;
use crate::expr::Layer;
use crate::flow::{Flow, StepKind, User};
use crate::plan::Scenario;
use crate::protocol::http::Connections;

impl Pool {
    /// The rows that an iteration needs and that can run out.
    pub(super) fn claim_rows(&self, recorder: &PhaseRecorder) -> Result<Claim, RanOut> {
        if self.can_run_out { self.ctx.picker.claim(&self.described().rows.flow, recorder.phase_run.number) } else { Ok(None) }
    }

    /// The rows that a user needs for its life and that can run out. A user without them can't start.
    pub fn claim_for_life(&self) -> Result<Claim, RanOut> {
        let phase_run = self.present().map_or(0, |recorder| recorder.phase_run.number);
        let claimed = self.ctx.picker.claim(&self.described().rows.start, phase_run);
        if claimed.is_err() {
            self.short.set(true);
        }
        claimed
    }

    /// What its users do.
    pub fn described(&self) -> &Scenario {
        &self.ctx.shared.plan.scenarios[self.scenario]
    }

    /// A user is at its start or at its stop from here on, until [`Pool::back`].
    pub fn aside(&self) {
        self.aside.set(self.aside.get() + 1);
    }

    /// A user is through with its start or its stop.
    pub fn back(&self) {
        self.aside.set(self.aside.get() - 1);
    }

    /// The rows of a user's next iteration become its variables.
    pub fn put_rows(&self, slot: &Slot, user: &mut User) {
        let who = Who { scenario: self.scenario as u64, user: slot.number, iteration: slot.iteration() };
        let needs = &self.described().rows.flow;
        self.ctx.picker.put(needs, slot.rows.take(), who, Layer::Iteration, user.scope_mut());
    }
}

/// The most connections that any of the steps wants shared.
pub(in crate::engine) fn shared_connections(flow: &Flow) -> Option<usize> {
    let mut most = None;
    flow.each(&mut |step| {
        if let StepKind::Http(http) = &step.kind
            && let Connections::Shared(connections) = http.request.connections()
        {
            most = most.max(Some(connections));
        }
    });
    most
}
