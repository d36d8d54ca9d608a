//! A worker's users of one scenario: who is alive, who is free, and what each does next.
//!
//! A closed load says how many users are alive; each iterates on its own. An open load has arrivals; each is given to
//! a user that is free ([`idle`] says to which), or to a new one up to the most that the load allows. The same users go on when
//! a scenario crosses from one phase into the next, whatever the kinds of load.

mod absence;
mod arrivals;
mod decision;
mod displaced;
mod held_back;
mod idle;
mod late;
mod listeners;
mod needs;
mod opening;
mod prepare;
mod unsure;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::{Outcome, Protocol};
use crate::load::OnBusy;
use crate::measure::ScenarioId;
use crate::protocol::http;

pub(super) use decision::Decision;
pub(super) use needs::shared_connections;

use absence::Absence;
use held_back::HeldBack;
use idle::Idle;
use late::{Busy, Spread};
use prepare::Preparing;
use unsure::Unsure;

use self::listeners::Listeners;
use super::arrival::Arrival;
use super::context::Context;
use super::phase_run::{Budget, PhaseRecorder};
use super::picker::Claim;
use super::place::Place as Within;
use super::slot::Slot;
use super::user;

/// See the module.
pub(super) struct Pool {
    pub ctx: Rc<Context>,
    /// Index into the plan's scenarios.
    pub scenario: usize,
    /// The connections that this worker's users share, where the profile asks for that.
    pub connections: Option<Rc<http::Pool>>,
    state: RefCell<State>,
    /// Phase runs in which the scenario takes part, oldest first.
    recorders: RefCell<Vec<Rc<PhaseRecorder>>>,
    /// How the arrivals stand that the worker came to late.
    late: RefCell<Option<Spread>>,
    /// How many users arrivals find busy.
    busy: Busy,
    /// An arrival waits for a user to become free.
    holds: Cell<bool>,
    /// When the last arrival was due that found somebody free at once.
    calm: Cell<Option<Instant>>,
    /// Who does its start for a phase that is to begin.
    preparing: RefCell<Option<Preparing>>,
    /// Who listens, and who can't.
    listeners: Listeners,
    /// Who waits for a target that is away.
    held_back: HeldBack,
    /// Of whom it isn't known yet whether they were missing.
    unsure: Unsure,
    /// When the phase before has drained.
    drained: Cell<Option<Instant>>,
    /// Iterations that were given out and haven't ended.
    running: Cell<u32>,
    /// Users that are at their start or at their stop.
    aside: Cell<u32>,
    /// Its users have something to do before they are free.
    starts: bool,
    /// Its users have something to do before they are gone.
    stops: bool,
    /// Its iterations need rows that can run out.
    can_run_out: bool,
    /// A user could not start, since no row was left for it.
    short: Cell<bool>,
}

struct State {
    mode: Mode,
    places: Vec<Place>,
    /// Free users.
    idle: Idle,
    present: u64,
    /// Places whose users ended themselves.
    ended: u64,
    /// Who is wanted and missing, where users are wanted.
    absence: Option<Absence>,
}

/// A local user's place; the index is its local number.
enum Place {
    Vacant,
    Present(Rc<Slot>),
    /// Ended itself (`on_error: end_user`), and stays away for the rest of the phase.
    Ended,
}

/// What the present phase asks of the pool.
pub(super) enum Mode {
    /// Nothing: whoever is still here drains.
    Away,
    /// `wanted` users iterate on their own.
    Closed {
        wanted: u64,
        /// The most that are ever wanted in this phase.
        most: u64,
        pacing: Option<Duration>,
        each: Option<u64>,
        total: Option<Arc<Budget>>,
        /// Claimed from the budget and not given out yet.
        claimed: u64,
        /// Counts as a holder of some of the budget.
        holds: bool,
        /// Users that have done all of `each`.
        finished: u64,
    },
    /// Up to `most` users serve arrivals, of whom the first `in_turn` take turns.
    Open { most: u64, in_turn: u64, on_busy: OnBusy },
}

impl Pool {
    pub fn new(ctx: Rc<Context>, scenario: usize) -> Rc<Self> {
        let state = State { mode: Mode::Away, places: Vec::new(), idle: Idle::default(), present: 0, ended: 0, absence: None };
        let described = &ctx.shared.plan.scenarios[scenario];
        let connections = described.flows().filter_map(shared_connections).max();
        let connections = connections.map(|all| Rc::new(http::Pool::new(ctx.share.part(all as u64) as usize)));
        let (starts, stops) = (described.start.is_some(), described.stop.is_some());
        let can_run_out = ctx.picker.can_run_out(&described.rows.flow);
        Rc::new(Self {
            ctx,
            scenario,
            connections,
            state: RefCell::new(state),
            recorders: RefCell::default(),
            late: RefCell::default(),
            busy: Busy::default(),
            holds: Cell::new(false),
            calm: Cell::new(None),
            preparing: RefCell::default(),
            listeners: Listeners::default(),
            held_back: HeldBack::default(),
            unsure: Unsure::default(),
            drained: Cell::new(None),
            running: Cell::new(0),
            aside: Cell::new(0),
            starts,
            stops,
            can_run_out,
            short: Cell::new(false),
        })
    }

    /// A phase begins in which the scenario has load; `prepared` users are there from its start. Users of the phase
    /// before that are not wanted any more have `drain` to end their iteration.
    pub fn begin(self: &Rc<Self>, recorder: &Rc<PhaseRecorder>, mode: Mode, prepared: u64, drain: Duration) {
        self.prepared();
        self.recorders.borrow_mut().push(recorder.clone());
        {
            let mut state = self.state.borrow_mut();
            state.mode = mode;
            state.ended = 0;
            for place in &mut state.places {
                if matches!(place, Place::Ended) {
                    *place = Place::Vacant;
                }
            }
            self.begin_absence(&mut state, recorder.phase_run.start());
        }
        self.short.set(false);
        for local in 0..prepared {
            self.create(local, recorder.phase_run.start(), None);
        }
        self.offer();
        for slot in self.ask_all() {
            if self.is_unwanted(&slot) {
                self.ctx.interrupt_later(recorder.phase_run.start() + drain, self.scenario, &slot);
            }
        }
    }

    /// The present phase is over and the scenario doesn't go on: every user ends its iteration, within `drain`.
    pub fn leave(&self, at: Instant, drain: Duration) {
        if matches!(std::mem::replace(&mut self.state.borrow_mut().mode, Mode::Away), Mode::Away) {
            return;
        }
        self.offer();
        for slot in self.ask_all() {
            self.ctx.interrupt_later(at + drain, self.scenario, &slot);
        }
    }

    /// Idle users are free for the arrivals of the present phase from its first moment on. Outside of such a phase nobody is free.
    fn offer(&self) {
        let mut state = self.state.borrow_mut();
        let State { mode, places, idle, .. } = &mut *state;
        idle.begin(if let Mode::Open { in_turn, .. } = mode { *in_turn } else { 0 });
        let mut free = 0;
        if let Mode::Open { most, in_turn, .. } = mode {
            let mut present: Vec<_> = places.iter().take(*most as usize).filter_map(Place::slot).collect();
            // Of those who have done nothing yet the lowest number comes first, in either order.
            let place = |slot: &Slot| if slot.local < *in_turn { slot.local } else { u64::MAX - slot.local };
            present.sort_by_key(|slot| (slot.last_end(), place(slot)));
            present.iter().filter(|slot| !slot.busy.get()).for_each(|slot| idle.add(Rc::clone(slot)));
            // Who is yet to be made can begin at once, unless it has to start first.
            let vacant = if self.starts { 0 } else { most.saturating_sub(present.len() as u64) };
            free = vacant + idle.len() as u64;
        }
        self.ctx.handle(self.scenario).reset_free(free);
    }

    /// The run ends, and what is still done here is recorded in this phase run, unless there is another that isn't closed.
    pub fn gathers(&self, recorder: &Rc<PhaseRecorder>) {
        if self.state.borrow().present > 0 && self.recorders.borrow().is_empty() {
            self.recorders.borrow_mut().push(recorder.clone());
        }
    }

    /// From `at` on so many of this worker's users are alive.
    pub fn set_alive(self: &Rc<Self>, alive: u64, at: Instant, drain: Duration) {
        let before = {
            let mut state = self.state.borrow_mut();
            let Mode::Closed { wanted, .. } = &mut state.mode else { return };
            let before = std::mem::replace(wanted, alive);
            self.level_changes(&mut state, at, before, alive);
            if let Some(absence) = &state.absence {
                self.leaves_unsure(&state, absence, (at, at + drain), alive..before);
            }
            before
        };
        for local in before..alive {
            self.create(local, at, None);
        }
        if alive < before {
            let leaving: Vec<Rc<Slot>> = {
                let state = self.state.borrow();
                state.places.iter().skip(alive as usize).filter_map(Place::slot).cloned().collect()
            };
            for slot in leaving.iter().rev() {
                slot.changed.notify_one();
                self.ctx.interrupt_later(at + drain, self.scenario, slot);
            }
        }
    }

    /// An iteration has ended, or was cut off.
    pub fn ended(&self, slot: &Slot) {
        slot.busy.set(false);
        self.running.set(self.running.get() - 1);
        self.settle_budget(&mut self.state.borrow_mut());
    }

    /// Once nobody here is at an iteration of the budget, and none is left to give out or nobody to do it, others may have
    /// what was claimed.
    fn settle_budget(&self, state: &mut State) {
        let Mode::Closed { total: Some(budget), claimed, holds, .. } = &mut state.mode else { return };
        if *holds && self.running.get() == 0 && (*claimed == 0 || state.present == 0) {
            let back = std::mem::take(claimed);
            *holds = false;
            budget.release(back);
            if back > 0 || budget.is_done() {
                self.ctx.have_others_look(self.scenario);
            }
        }
    }

    /// A user is gone: it left, ended itself, or was cut off.
    pub fn gone(&self, slot: &Slot, ended_itself: bool) {
        self.lets_go(slot);
        self.was_missing(slot);
        let mut state = self.state.borrow_mut();
        let was_idle = state.idle.remove(slot);
        if ended_itself && slot.is_starting() {
            self.came_through(slot);
        }
        if let Some(place) = state.places.get(slot.local as usize)
            && matches!(place, Place::Present(present) if std::ptr::eq(present.as_ref(), slot))
        {
            self.leaves(&mut state, slot, ended_itself);
            let place = &mut state.places[slot.local as usize];
            *place = if ended_itself { Place::Ended } else { Place::Vacant };
            state.present -= 1;
            state.ended += u64::from(ended_itself);
            self.ctx.gauges.set_users(self.id(), state.present);
            self.settle_budget(&mut state);
        }
        let state = &mut *state;
        match &mut state.mode {
            Mode::Open { most, .. } if slot.local < *most => {
                // Its place can be taken by a new user.
                state.places[slot.local as usize] = Place::Vacant;
                if self.starts {
                    // Whoever comes after it isn't free before it has started.
                    if was_idle {
                        self.ctx.handle(self.scenario).claim();
                    }
                } else if !was_idle {
                    self.ctx.handle(self.scenario).add_free();
                }
            }
            Mode::Closed { finished, wanted, most, each, .. } => {
                // One of the phase before that has no place in this one is none of those that are waited for.
                if ended_itself && slot.local < *most && each.is_some() && !slot.finished.replace(true) {
                    *finished += 1;
                }
                if !ended_itself && slot.local < *wanted {
                    // Wanted again while it was on its way out.
                    self.ctx.nudge.notify_one();
                }
            }
            _ => {}
        }
    }

    /// Users that are wanted but not here (they left while the level rose again).
    pub fn fill_up(self: &Rc<Self>, now: Instant) {
        let missing: Vec<u64> = {
            let state = self.state.borrow();
            let Mode::Closed { wanted, .. } = state.mode else { return };
            if state.present + state.ended >= wanted {
                return;
            }
            let vacant = |local: &u64| matches!(state.places.get(*local as usize), None | Some(Place::Vacant));
            (0..wanted).filter(vacant).collect()
        };
        for local in missing {
            self.create(local, now, None);
        }
    }

    /// Whether every iteration that the phase asks of this pool is done; none if it asks for no number of them.
    pub fn iterations_done(&self) -> Option<bool> {
        match &self.state.borrow().mode {
            Mode::Closed { each: Some(_), finished, most, .. } => Some(finished >= most),
            Mode::Closed { total: Some(budget), most, .. } => Some(*most == 0 || budget.is_done()),
            _ => None,
        }
    }

    /// Others have given iterations back: whoever waits for one may go on.
    pub fn look(&self) {
        self.slots().iter().for_each(|slot| slot.changed.notify_one());
    }

    /// The phase run that something due at `due` belongs to; the newest if its own is forgotten, and the one that is to begin if there is no
    /// other.
    pub fn live_at(&self, due: Instant) -> Option<Rc<PhaseRecorder>> {
        let recorders = self.recorders.borrow();
        let of_due = recorders.iter().rev().find(|recorder| recorder.phase_run.start() <= due).or_else(|| recorders.last());
        of_due.cloned().or_else(|| self.coming())
    }

    /// Where an iteration that began in `recorder` is recorded as it ends: there, or if that record is closed already in the newest one, so that
    /// everything is in one record.
    pub fn record_of(&self, recorder: Rc<PhaseRecorder>) -> (Rc<PhaseRecorder>, Within) {
        if recorder.is_closed() { self.early(recorder) } else { (recorder, Within::InTime) }
    }

    /// An arrival has its user, and its phase run is over: it is in the newest record, as one of a phase before.
    pub fn came_too_late(&self) {
        if let Some(recorder) = self.present() {
            recorder.set.early().iteration(self.id(), 0, Outcome::Interrupted);
            recorder.set.early().unsent(self.id());
        }
    }

    /// Where something of `recorder` is recorded that is reported too late for its record.
    pub fn early(&self, recorder: Rc<PhaseRecorder>) -> (Rc<PhaseRecorder>, Within) {
        (if recorder.is_closed() { self.present().unwrap_or(recorder) } else { recorder }, Within::Early)
    }

    /// The newest phase run in which the scenario takes part.
    pub fn newest(&self) -> Option<Rc<PhaseRecorder>> {
        self.recorders.borrow().last().cloned()
    }

    /// The newest one, or the one that its users are prepared for if there is no other.
    pub fn present(&self) -> Option<Rc<PhaseRecorder>> {
        self.newest().or_else(|| self.coming())
    }

    /// The scenario's phase run with this number.
    pub fn recorder(&self, phase_run: u64) -> Option<Rc<PhaseRecorder>> {
        self.recorders.borrow().iter().find(|recorder| recorder.phase_run.number == phase_run).cloned()
    }

    /// A phase run is drained: nothing is looked up in it any more.
    pub fn forget(&self, phase_run: u64) {
        self.recorders.borrow_mut().retain(|recorder| recorder.phase_run.number != phase_run);
    }

    /// Whether users that should be gone still do something for this phase_run. They left with the newest one in which the
    /// scenario takes part; what they have brought from earlier ones was waited for by their own drains.
    pub fn is_draining(&self, recorder: &PhaseRecorder) -> bool {
        let state = self.state.borrow();
        let busy = self.running.get() > 0 || self.aside.get() > 0 || (self.stops && state.present > 0);
        let of_newest = || self.newest().is_some_and(|newest| newest.phase_run.number == recorder.phase_run.number);
        busy && matches!(state.mode, Mode::Away) && of_newest()
    }

    /// Whether this user's iteration has no place in the present phase.
    pub fn is_unwanted(&self, slot: &Slot) -> bool {
        !self.is_kept(slot) && self.has_no_place(slot)
    }

    fn has_no_place(&self, slot: &Slot) -> bool {
        match &self.state.borrow().mode {
            Mode::Away => true,
            Mode::Closed { wanted, .. } => slot.local >= *wanted,
            Mode::Open { most, .. } => slot.local >= *most,
        }
    }

    /// Cuts off everything under way.
    pub fn interrupt(&self) {
        let now = Instant::now();
        self.end_absence(now, now);
        self.state.borrow_mut().mode = Mode::Away;
        self.offer();
        for slot in self.slots() {
            self.was_missing(&slot);
            slot.abort();
        }
    }

    /// The index of the scenario as a label.
    pub fn id(&self) -> ScenarioId {
        ScenarioId::at(self.scenario)
    }

    fn slots(&self) -> Vec<Rc<Slot>> {
        self.state.borrow().places.iter().filter_map(Place::slot).cloned().collect()
    }

    /// Everyone asks anew what to do.
    fn ask_all(&self) -> Vec<Rc<Slot>> {
        let slots = self.slots();
        for slot in &slots {
            slot.finished.set(false);
            slot.changed.notify_one();
        }
        slots
    }

    /// Brings a user to life, unless it is here.
    fn create(self: &Rc<Self>, local: u64, since: Instant, mail: Option<(Arrival, Claim)>) {
        let mut state = self.state.borrow_mut();
        let index = local as usize;
        while state.places.len() <= index {
            state.places.push(Place::Vacant);
        }
        if !matches!(state.places[index], Place::Vacant) {
            return;
        }
        let slot = Slot::new(local, self.ctx.share.user(local), since);
        self.begin_start(&slot, since);
        // Who has to start isn't free.
        slot.busy.set(mail.is_some() || self.starts);
        if let Some((arrival, rows)) = mail {
            slot.probe.set(arrival.probe);
            slot.mail.set(Some(arrival));
            slot.rows.set(rows);
        }
        state.places[index] = Place::Present(slot.clone());
        state.present += 1;
        self.ctx.gauges.set_users(self.id(), state.present);
        drop(state);
        user::spawn(self.clone(), slot);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(connections) = &self.connections {
            self.ctx.gauges.add_connections(self.id(), Protocol::Http, -(connections.close() as i64));
        }
    }
}

impl Place {
    fn slot(&self) -> Option<&Rc<Slot>> {
        match self {
            Place::Present(slot) => Some(slot),
            _ => None,
        }
    }
}
