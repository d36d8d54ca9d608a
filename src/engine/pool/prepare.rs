//! Users of an open load that do their start before the phase's clock begins.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Pool;
use crate::engine::phase_run::PhaseRecorder;
use crate::engine::slot::Slot;
use crate::plan::Preparation;

/// Those of one worker for one phase. They stay until it begins, whatever the load asks for until then.
pub(super) struct Preparing {
    recorder: Rc<PhaseRecorder>,
    plan: Preparation,
    /// When the first of all begins.
    at: Instant,
    /// The next one to begin, by its number here, and the end of them.
    next: u64,
    end: u64,
    /// How many have not come through their start.
    left: u64,
}

impl Pool {
    /// From `at` on users do their start for a phase that begins once they have.
    pub fn prepare(&self, recorder: &Rc<PhaseRecorder>, plan: Preparation, at: Instant) {
        let (from, end) = (self.ctx.share.users(plan.from), self.ctx.share.users(plan.to));
        let there =
            self.slots().into_iter().filter(|slot| (from..end).contains(&slot.local) && !slot.is_starting()).count() as u64;
        recorder.phase_run.prepared.fetch_add(there, Ordering::Relaxed);
        let left = end.saturating_sub(from) - there;
        *self.preparing.borrow_mut() = Some(Preparing { recorder: recorder.clone(), plan, at, next: from, end, left });
    }

    /// Users begin their start in their turn; answers when to ask again.
    pub fn prepare_due(self: &Rc<Self>, now: Instant) -> Option<Instant> {
        loop {
            let (local, due) = {
                let mut preparing = self.preparing.borrow_mut();
                let preparing = preparing.as_mut()?;
                if preparing.next == preparing.end {
                    return Some(preparing.deadline()).filter(|deadline| *deadline > now);
                }
                let due = preparing.at + preparing.plan.begins(self.ctx.share.user(preparing.next));
                if due > now {
                    return Some(due);
                }
                preparing.next += 1;
                (preparing.next - 1, due)
            };
            self.create(local, due, None);
        }
    }

    /// Whether nobody is waited for any more.
    pub fn is_prepared(&self, now: Instant) -> bool {
        self.preparing.borrow().as_ref().is_none_or(|preparing| preparing.left == 0 || preparing.deadline() <= now)
    }

    /// Whether a user stays for a phase that is to begin.
    pub fn is_kept(&self, slot: &Slot) -> bool {
        self.preparing.borrow().as_ref().is_some_and(|preparing| slot.local < preparing.end)
    }

    /// A user has its start behind it, or will never have.
    pub(super) fn came_through(&self, slot: &Slot) {
        if let Some(preparing) = &mut *self.preparing.borrow_mut()
            && (self.ctx.share.users(preparing.plan.from)..preparing.end).contains(&slot.local)
        {
            preparing.left = preparing.left.saturating_sub(1);
            preparing.recorder.phase_run.prepared.fetch_add(1, Ordering::Relaxed);
            // The worker's loop reports it.
            self.ctx.nudge.notify_one();
        }
    }

    /// The phase that its users are prepared for, or that comes next after the load has stood still.
    pub(super) fn coming(&self) -> Option<Rc<PhaseRecorder>> {
        let prepared = self.preparing.borrow().as_ref().map(|preparing| preparing.recorder.clone());
        prepared.or_else(|| self.ctx.ahead.borrow().clone())
    }

    /// The phase begins.
    pub(super) fn prepared(&self) {
        *self.preparing.borrow_mut() = None;
    }

    /// The phase never begins: who is at its start is cut off, and the others end within `drain`.
    pub fn unprepare(&self, at: Instant, drain: Duration) {
        let Some(preparing) = self.preparing.borrow_mut().take() else { return };
        // What they still do is recorded there.
        self.recorders.borrow_mut().push(preparing.recorder);
        for slot in self.ask_all() {
            if slot.is_starting() {
                slot.abort();
            } else if self.is_unwanted(&slot) {
                self.ctx.interrupt_later(at + drain, self.scenario, &slot);
            }
        }
    }
}

impl Preparing {
    fn deadline(&self) -> Instant {
        self.at + self.plan.within
    }
}
