//! Users that are held back while their scenario's target is away: now and then one of them probes it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Pool;
use crate::base::units::nanos;
use crate::engine::slot::Slot;

/// How often those who are held back for long are reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Who is held back.
#[derive(Default)]
pub(super) struct HeldBack(RefCell<State>);

#[derive(Default)]
struct State {
    /// By their number here, and whether they would iterate: others are at their start.
    users: BTreeMap<u64, (Rc<Slot>, bool)>,
    /// How many of them would iterate.
    iterating: u64,
    /// Until when those were reported.
    reported: Option<Instant>,
    /// Who probed last.
    last: u64,
}

impl Pool {
    /// Whether the scenario is only probed for now.
    pub fn is_held_back(&self) -> bool {
        self.ctx.shared.reach.holds_back(self.scenario)
    }

    /// Whether a user has to wait, with its next iteration or with its start, until it is woken: its target is away, and it isn't its turn
    /// to probe it.
    pub fn holds_back(&self, slot: &Rc<Slot>, iterates: bool) -> bool {
        self.lets_go(slot);
        if !self.is_held_back() || slot.probe.get() {
            return false;
        }
        self.report_held_back(Instant::now());
        let mut state = self.held_back.0.borrow_mut();
        if state.users.is_empty() {
            // The worker's loop comes to them from here on.
            self.ctx.nudge.notify_one();
        }
        slot.held_back.set(true);
        state.users.insert(slot.local, (slot.clone(), iterates));
        state.iterating += u64::from(iterates);
        true
    }

    /// A user isn't held back any more.
    pub fn lets_go(&self, slot: &Slot) {
        if slot.held_back.replace(false) {
            let now = Instant::now();
            slot.resumes_at(now);
            self.report_held_back(now);
            let mut state = self.held_back.0.borrow_mut();
            let iterated = state.users.remove(&slot.local).is_some_and(|(_, iterates)| iterates);
            state.iterating -= u64::from(iterated);
        }
    }

    /// Has one of those who are held back probe the target, if it is the scenario's turn; answers when to ask again.
    pub fn probe(&self, now: Instant) -> Option<Instant> {
        if self.held_back.0.borrow().users.is_empty() {
            return None;
        }
        self.report_held_back(now);
        let reach = &self.ctx.shared.reach;
        // Where the target is back, all have just been woken.
        if self.is_held_back() && !self.ctx.gate.is_closed() && reach.takes_turn(self.scenario, now) {
            let mut state = self.held_back.0.borrow_mut();
            let next = state.users.range((Excluded(state.last), Unbounded)).next().or_else(|| state.users.iter().next());
            if let Some((local, (slot, _))) = next {
                let local = *local;
                slot.probe.set(true);
                slot.changed.notify_one();
                state.last = local;
            }
        }
        Some(reach.next_turn(self.scenario).max(now + Duration::from_millis(1)).min(now + REPORT_EVERY))
    }

    /// Reports for how long users of a closed load have been held back by `at`.
    pub fn report_held_back(&self, at: Instant) {
        let mut state = self.held_back.0.borrow_mut();
        let reported = state.reported.unwrap_or(at);
        state.reported = Some(reported.max(at));
        let time = nanos(at.saturating_duration_since(reported)).saturating_mul(state.iterating);
        if time > 0
            && let Some(recorder) = self.newest()
        {
            recorder.set.held_back(self.id(), time);
        }
    }
}
