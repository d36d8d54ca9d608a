//! Which phase run a user's present step holds open.

use std::rc::Rc;
use std::time::Instant;

use super::UserSink;
use crate::engine::phase_run::PhaseRecorder;

impl UserSink {
    /// The user does nothing for now.
    pub fn detach(&self) {
        if let Some(recorder) = self.attached.borrow_mut().take() {
            recorder.detach();
            if recorder.is_over() {
                self.pool.ctx.check();
            }
        }
    }

    /// The user goes on in the present phase run of its scenario.
    pub(super) fn attach(&self) {
        self.attach_to(self.pool.live_at(Instant::now()));
    }

    /// It goes on with what was due at `due`: the record of that phase waits for it, though the phase may be over by now.
    pub(super) fn attach_at(&self, due: Instant) {
        let of_due = if self.is_of_arrival(due) { self.home.borrow().clone() } else { self.pool.live_at(due) };
        let open = of_due.filter(|recorder| !recorder.is_closed());
        self.attach_to(open.or_else(|| self.pool.live_at(Instant::now())));
    }

    fn attach_to(&self, recorder: Option<Rc<PhaseRecorder>>) {
        if self.open_ended.take()
            && let Some(home) = &*self.home.borrow()
        {
            home.iteration_begins();
        }
        let mut attached = self.attached.borrow_mut();
        if attached.as_ref().zip(recorder.as_ref()).is_some_and(|(held, recorder)| Rc::ptr_eq(held, recorder)) {
            return;
        }
        if let Some(recorder) = &recorder {
            recorder.attach();
        }
        let before = std::mem::replace(&mut *attached, recorder);
        drop(attached);
        if let Some(before) = before {
            before.detach();
            if before.is_over() {
                self.pool.ctx.check();
            }
        }
    }
}
