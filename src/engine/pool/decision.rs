//! What a user does next: iterate, wait, or go.

use std::rc::Rc;
use std::time::Instant;

use super::super::arrival::Arrival;
use super::super::picker::RanOut;
use super::super::slot::Slot;
use super::{Mode, Pool};

/// What a user does next.
pub(in crate::engine) enum Decision {
    /// Iterate, due at that instant; for an arrival it says which.
    Iterate { due: Instant, arrival: Option<Arrival> },
    /// Ask again at that instant, or when woken.
    At(Instant),
    /// Ask again when woken.
    Wait,
    /// Ask again when the run goes on.
    Paused,
    /// End, wanted or not: what it needs has run out.
    End,
    /// End.
    Leave,
}

impl Pool {
    /// What this user does next.
    pub fn decide(self: &Rc<Self>, slot: &Rc<Slot>) -> Decision {
        if let Some(arrival) = slot.mail.take() {
            return Decision::Iterate { due: arrival.due, arrival: Some(arrival) };
        }
        if self.has_no_place(slot) {
            // Who is kept for a phase that is to begin is woken when it does.
            return if self.is_kept(slot) { Decision::Wait } else { Decision::Leave };
        }
        let Some(recorder) = self.newest() else {
            // Its phase has drained and the next one hasn't begun: who takes part in that waits for it.
            let stays = !matches!(self.state.borrow().mode, Mode::Away);
            return if stays && self.ctx.gate.is_closed() { Decision::Paused } else { Decision::Leave };
        };
        self.lets_go(slot);
        let mut state = self.state.borrow_mut();
        match &mut state.mode {
            Mode::Away => Decision::Leave,
            Mode::Open { .. } => {
                if slot.idle.get() {
                    return Decision::Wait;
                }
                state.idle.add(slot.clone());
                drop(state);
                self.ctx.handle(self.scenario).add_free();
                self.frees();
                self.serve_waiting();
                match slot.mail.take() {
                    Some(arrival) => Decision::Iterate { due: arrival.due, arrival: Some(arrival) },
                    None => Decision::Wait,
                }
            }
            Mode::Closed { .. } if self.ctx.gate.is_closed() => Decision::Paused,
            Mode::Closed { pacing, each, total, claimed, holds, finished, .. } => {
                let done = slot.done_in(recorder.phase_run.number);
                if each.is_some_and(|each| done >= each) {
                    if !slot.finished.replace(true) {
                        *finished += 1;
                    }
                    return Decision::Wait;
                }
                let floor = recorder.phase_run.start().max(self.ctx.gate.opened_at());
                let due = slot.next_due(*pacing).max(floor);
                // Mostly it is due when the last one ended, and no clock has to be asked.
                if due > slot.last_end() && due > Instant::now() {
                    return Decision::At(due);
                }
                if self.holds_back(slot, true) {
                    return Decision::Wait;
                }
                if let Some(budget) = total {
                    if *claimed == 0 {
                        *claimed = budget.claim(*holds);
                    }
                    if *claimed == 0 {
                        return Decision::Wait;
                    }
                    *holds = true;
                }
                match self.claim_rows(&recorder) {
                    Ok(rows) => slot.rows.set(rows),
                    Err(RanOut) => return Decision::End,
                }
                if total.is_some() {
                    *claimed -= 1;
                }
                slot.busy.set(true);
                self.running.set(self.running.get() + 1);
                Decision::Iterate { due, arrival: None }
            }
        }
    }
}
