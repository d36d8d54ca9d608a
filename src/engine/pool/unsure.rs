//! Closed users of whom it isn't known as the load ends whether they were missing: those that are at their `start`, and those that all the time
//! waited for what they had asked for in an earlier phase. Who comes through that within the drain wasn't. Who is cut off, or still at it
//! when the drain is over, was missing from its beginning.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Pool;
use super::absence::Missed;
use crate::engine::phase_run::PhaseRecorder;
use crate::engine::slot::Slot;

/// What has come by then is read, and who is through by that has gone on.
const READING: Duration = Duration::from_millis(100);

/// See the module; by their number here.
#[derive(Default)]
pub(super) struct Unsure(RefCell<HashMap<u64, Vec<Stretch>>>);

/// For so long of a phase its user was perhaps missing.
struct Stretch {
    recorder: Rc<PhaseRecorder>,
    missed: Missed,
    /// When that came up, and when it is known: who still isn't through then was missing.
    since: Instant,
    until: Instant,
}

impl Pool {
    /// Whether a user was missing for so long in the present phase is known at `until` at the latest. The phase's record waits for that.
    pub(super) fn is_unsure(&self, slot: &Slot, missed: Missed, until: Instant) {
        let Some(recorder) = self.newest() else { return };
        let since = Instant::now();
        let until = until.max(since + READING);
        recorder.iteration_begins();
        slot.unsure.set(true);
        self.unsure.0.borrow_mut().entry(slot.local).or_default().push(Stretch { recorder, missed, since, until });
    }

    /// It wasn't.
    pub fn was_there(&self, slot: &Slot) {
        if let Some(stretches) = self.unsure.0.borrow_mut().remove(&slot.local) {
            stretches.iter().for_each(|stretch| stretch.recorder.iteration_ends());
        }
    }

    /// It was.
    pub fn was_missing(&self, slot: &Slot) {
        if let Some(stretches) = self.unsure.0.borrow_mut().remove(&slot.local) {
            stretches.into_iter().for_each(|stretch| self.report_missing(stretch));
        }
    }

    /// Users that aren't through by `now`, when it had to be known, were missing; answers when to ask again.
    pub fn settle_unsure(&self, now: Instant) -> Option<Instant> {
        // Behind a pause what has come is read first.
        let known = |stretch: &Stretch| stretch.until + Duration::from_nanos(self.ctx.pulse.paused_within(stretch.since, now));
        self.settle_where(|stretch| known(stretch) <= now);
        self.unsure.0.borrow().values().flatten().map(known).min()
    }

    /// A record is closed: nothing more will be known for it.
    pub fn settle_record(&self, recorder: &Rc<PhaseRecorder>) {
        self.settle_where(|stretch| Rc::ptr_eq(&stretch.recorder, recorder));
    }

    fn settle_where(&self, mut is_known: impl FnMut(&Stretch) -> bool) {
        let mut known = Vec::new();
        self.unsure.0.borrow_mut().retain(|_, stretches| {
            known.extend(stretches.extract_if(.., |stretch| is_known(stretch)));
            !stretches.is_empty()
        });
        known.into_iter().for_each(|stretch| self.report_missing(stretch));
    }

    fn report_missing(&self, Stretch { recorder, missed, .. }: Stretch) {
        recorder.iteration_ends();
        let goes_on = self.newest().is_some_and(|newest| Rc::ptr_eq(&newest, &recorder));
        if goes_on {
            self.missed(&mut self.state.borrow_mut(), missed);
        } else if !recorder.is_closed() {
            recorder.set.absent(self.id(), missed.time, missed.hung);
        }
    }
}
