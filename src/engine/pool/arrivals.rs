//! The arrivals of an open load: each is given to a user here or on another worker, waits, or is dropped.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Mode, Pool};
use crate::base::DropReason;
use crate::engine::arrival::{Arrival, WaitingRoom};
use crate::engine::phase_run::{PhaseRecorder, PhaseRun};
use crate::engine::picker::RanOut;
use crate::engine::report::Report;
use crate::load::OnBusy;

impl Pool {
    /// Arrivals of a phase run that is over and that nobody took.
    pub fn cancel_waiting(&self, recorder: &PhaseRecorder) {
        let gone = self.ctx.shared.waiting[self.scenario].clear(recorder.phase_run.number);
        recorder.set.cancelled(self.id(), gone.len() as u64);
    }

    /// An arrival is due here.
    pub fn arrive(self: &Rc<Self>, arrival: Arrival) {
        let Some(recorder) = self.recorder(arrival.phase_run) else { return };
        recorder.set.due(self.id(), 1);
        if self.can_run_out && self.ctx.picker.is_out(&self.described().rows.flow) {
            recorder.set.dropped(self.id(), DropReason::Data, 1);
            return;
        }
        self.busy.see(self.running.get());
        self.looks_late(&arrival);
        let mut arrival = arrival;
        if self.is_held_back() {
            arrival.probe = self.ctx.shared.reach.takes_turn(self.scenario, arrival.handled);
            if !arrival.probe {
                recorder.set.dropped(self.id(), DropReason::DeadTarget, 1);
                return;
            }
        }
        if self.ctx.handle(self.scenario).claim() {
            self.was_free_for(&arrival);
            self.give(arrival, &recorder);
        } else {
            self.find_another(arrival, &recorder);
        }
    }

    /// Nobody here is free for an arrival: a sibling's user, else it waits or is dropped.
    fn find_another(self: &Rc<Self>, arrival: Arrival, recorder: &PhaseRecorder) {
        if recorder.is_over() {
            recorder.set.cancelled(self.id(), 1);
            return;
        }
        if self.ctx.hand_over(arrival, recorder) {
            return;
        }
        self.prepare_one_more(arrival.due);
        let Mode::Open { on_busy: OnBusy::Wait(limit), .. } = self.state.borrow().mode else {
            self.drop_one(recorder);
            return;
        };
        if !self.room().enter(arrival, arrival.due + limit) {
            self.drop_one(recorder);
            return;
        }
        // Somebody may have become free before it could be seen that one waits.
        self.serve_waiting();
        while !self.room().is_empty()
            && let Some(handle) = self.ctx.claim_elsewhere(self.scenario)
        {
            let next = self.next_waiting();
            let handed = next.as_ref().is_some_and(|(arrival, recorder)| self.ctx.hand_to(handle, *arrival, recorder));
            match next {
                Some((arrival, recorder)) if !handed => {
                    if !self.room().enter(arrival, arrival.due + limit) {
                        self.drop_one(&recorder);
                    }
                }
                Some(_) => {}
                None => {
                    handle.scenario(self.scenario).add_free();
                    break;
                }
            }
        }
    }

    /// Gives those who wait to users of ours that are free.
    pub(super) fn serve_waiting(self: &Rc<Self>) {
        while !self.room().is_empty() && self.ctx.handle(self.scenario).claim() {
            let Some((arrival, recorder)) = self.next_waiting() else {
                self.ctx.handle(self.scenario).add_free();
                return;
            };
            // It waited for a user, not for us.
            let handled = arrival.due.max(Instant::now());
            self.give(Arrival { handled, lag: Duration::ZERO, ..arrival }, &recorder);
        }
    }

    pub(super) fn room(&self) -> &WaitingRoom {
        &self.ctx.shared.waiting[self.scenario]
    }

    /// The one that has waited longest. One of a phase that is over here is left to the worker that let it wait, which will
    /// cancel it.
    fn next_waiting(&self) -> Option<(Arrival, Rc<PhaseRecorder>)> {
        let of = |arrival: &Arrival| self.recorder(arrival.phase_run).filter(|recorder| !recorder.is_over());
        let arrival = self.room().next(|arrival| of(arrival).is_some())?;
        Some((arrival, of(&arrival)?))
    }

    /// Another worker claimed a free user of ours.
    pub fn take_over(self: &Rc<Self>, arrival: Arrival, phase_run: &PhaseRun) {
        let open = matches!(self.state.borrow().mode, Mode::Open { .. });
        match self.recorder(arrival.phase_run).filter(|_| open) {
            Some(recorder) => self.give(arrival, &recorder),
            None => phase_run.sets[self.ctx.worker].cancelled(self.id(), 1),
        }
        let before = phase_run.in_transit.fetch_sub(1, Ordering::AcqRel);
        if before == 1 {
            self.ctx.report(Report::Landed);
        }
    }

    /// Gives a claimed user the arrival.
    fn give(self: &Rc<Self>, arrival: Arrival, recorder: &PhaseRecorder) {
        let idle = self.state.borrow_mut().idle.take();
        let vacant = if idle.is_none() && !self.starts { self.vacant_place() } else { None };
        if idle.is_none() && vacant.is_none() {
            // The claim was older than the present phase.
            self.find_another(arrival, recorder);
            return;
        }
        // It may have waited since before the target was away.
        let rows = match self.is_held_back() && !arrival.probe {
            true => Err(DropReason::DeadTarget),
            false => self.claim_rows(recorder).map_err(|RanOut| DropReason::Data),
        };
        let Ok(rows) = rows.inspect_err(|reason| recorder.set.dropped(self.id(), *reason, 1)) else {
            if let Some(slot) = idle {
                self.state.borrow_mut().idle.put_back(slot);
            }
            self.ctx.handle(self.scenario).add_free();
            return;
        };
        if let Some(slot) = idle {
            slot.busy.set(true);
            slot.rows.set(rows);
            slot.probe.set(arrival.probe);
            slot.mail.set(Some(arrival));
            slot.changed.notify_one();
        } else if let Some(local) = vacant {
            self.create(local, arrival.due, Some((arrival, rows)));
        }
        self.started(recorder);
    }

    /// Where users have to start before they are free, another one does so for the arrivals to come.
    fn prepare_one_more(self: &Rc<Self>, at: Instant) {
        if self.starts
            && !self.short.get()
            && let Some(local) = self.vacant_place()
        {
            self.create(local, at, None);
        }
    }

    /// Why no user is free for an arrival.
    pub(super) fn why_nobody(&self) -> DropReason {
        match self.short.get() {
            true => DropReason::Data,
            false if self.is_held_back() => DropReason::DeadTarget,
            false => DropReason::Busy,
        }
    }

    /// An arrival has its user. It keeps its phase run from being drained until that user takes it up.
    fn started(&self, recorder: &PhaseRecorder) {
        recorder.set.started(self.id(), 1);
        recorder.attach();
        self.running.set(self.running.get() + 1);
    }

    /// Arrivals that have waited as long as they may; and when that will be so for the next one.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        let (expired, next) = self.room().expire(now, |arrival| self.recorder(arrival.phase_run).is_some());
        for arrival in expired {
            if let Some(recorder) = self.recorder(arrival.phase_run) {
                self.drop_one(&recorder);
            }
        }
        next
    }

    fn vacant_place(&self) -> Option<u64> {
        let state = self.state.borrow();
        let Mode::Open { most, .. } = state.mode else { return None };
        let within = state.places.iter().take(most as usize).position(|place| place.slot().is_none());
        within.map(|local| local as u64).or_else(|| Some(state.places.len() as u64).filter(|next| *next < most))
    }
}
