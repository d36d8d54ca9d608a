//! What everything on one worker shares: its timer, its gate, its live phase runs, its links to the siblings.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::load::Share;
use crate::measure::WorkerGauges;

use super::arrival::Arrival;
use super::command::Command;
use super::gate::Gate;
use super::overheard::Overheard;
use super::phase_run::{PhaseRecorder, PhaseRun, Unsettled};
use super::picker::Picker;
use super::pool::Pool;
use super::pulse::Pulse;
use super::report::Report;
use super::shared::{FreeUsers, RunShared, WorkerHandle};
use super::slot::Slot;
use super::timer::Timer;

/// How long after they were asked listeners are asked again what they missed before an edge.
const AGAIN: Duration = Duration::from_millis(250);

/// One for each worker; it doesn't leave its thread.
pub(super) struct Context {
    pub worker: usize,
    pub share: Share,
    pub shared: Arc<RunShared>,
    pub timer: Timer,
    pub gate: Gate,
    pub pulse: Pulse,
    pub gauges: Arc<WorkerGauges>,
    pub picker: Picker,
    pub overheard: Overheard,
    /// The worker's loop should look again.
    pub nudge: Notify,
    recorders: RefCell<Vec<Rc<PhaseRecorder>>>,
    /// While the load stands still: where that is recorded which ends too late for the phase before.
    pub ahead: RefCell<Option<Rc<PhaseRecorder>>>,
    pools: RefCell<Vec<Weak<Pool>>>,
    interrupts: RefCell<BinaryHeap<Reverse<Interrupt>>>,
}

/// An iteration that is cut off at `at` if it is still under way, and still unwanted, then.
struct Interrupt {
    at: Instant,
    scenario: usize,
    slot: Weak<Slot>,
    iteration: u64,
}

impl Context {
    pub fn new(worker: usize, share: Share, shared: Arc<RunShared>, timer: Timer) -> Rc<Self> {
        let gauges = shared.store.gauges.worker();
        let plan = &shared.plan;
        let picker = Picker::new(&plan.data, plan.seed, shared.allocator.clone(), shared.lists.clone(), share);
        Rc::new(Self {
            worker,
            share,
            shared,
            timer,
            gate: Gate::new(),
            pulse: Pulse::new(Instant::now()),
            gauges,
            picker,
            overheard: Overheard::default(),
            nudge: Notify::new(),
            recorders: RefCell::default(),
            ahead: RefCell::default(),
            pools: RefCell::default(),
            interrupts: RefCell::default(),
        })
    }

    /// Makes the worker's pools, one for each scenario.
    pub fn make_pools(self: &Rc<Self>) -> Vec<Rc<Pool>> {
        let pools: Vec<_> = (0..self.shared.plan.scenarios.len()).map(|scenario| Pool::new(self.clone(), scenario)).collect();
        *self.pools.borrow_mut() = pools.iter().map(Rc::downgrade).collect();
        pools
    }

    /// Our users of a scenario, as others see them.
    pub fn handle(&self, scenario: usize) -> &FreeUsers {
        self.shared.handles[self.worker].scenario(scenario)
    }

    pub fn report(&self, report: Report) {
        // Nobody listens any more once the run is over.
        let _ = self.shared.reports.send(report);
    }

    /// The worker is at work at `now`. If it stood still before, its pools learn of the pause.
    #[inline]
    pub fn beat(&self, now: Instant) {
        if let Some(since) = self.pulse.beat(now) {
            let pools: Vec<_> = self.pools.borrow().iter().filter_map(Weak::upgrade).collect();
            pools.iter().for_each(|pool| pool.held_up(since, now));
        }
    }

    /// Publishes the worker's clock, by which readers know how long the work under way has lasted.
    pub fn report_clock(&self, now: Instant) {
        let clock = self.pulse.clock(now);
        self.shared.handles[self.worker].shows.store(clock, atomic::Ordering::Release);
        self.recorders.borrow().iter().for_each(|recorder| recorder.set.beats(clock));
    }

    /// How long the worker stood still between two moments of which the second has come, in nanoseconds. Whoever asks first after
    /// a pause finds it here: asking is a beat.
    #[inline]
    pub fn paused_within(&self, from: Instant, to: Instant) -> u64 {
        self.beat(to);
        self.pulse.paused_within(from, to)
    }

    /// A phase run begins here.
    pub fn open(&self, phase_run: Arc<PhaseRun>) -> Rc<PhaseRecorder> {
        let recorder = Rc::new(PhaseRecorder::new(phase_run, self.worker, Some(self.shared.reports.clone())));
        self.recorders.borrow_mut().push(recorder.clone());
        recorder
    }

    /// A phase run that never begins here.
    pub fn skip(&self, phase_run: &PhaseRun) {
        let (worker, phase_run) = (self.worker, phase_run.number);
        self.report(Report::Drained { worker, phase_run });
        self.report(Report::Released { worker, phase_run });
    }

    /// What a phase is called.
    pub fn phase_name(&self, recorder: &PhaseRecorder) -> &str {
        &self.shared.plan.phases[recorder.phase_run.phase].name
    }

    /// Claims a free user of a sibling.
    pub fn claim_elsewhere(&self, scenario: usize) -> Option<&WorkerHandle> {
        let handles = &self.shared.handles;
        let mut siblings = (1..handles.len()).map(|step| &handles[(self.worker + step) % handles.len()]);
        siblings.find(|handle| handle.scenario(scenario).claim())
    }

    /// Hands an arrival to a sibling that has a free user for it.
    pub fn hand_over(&self, arrival: Arrival, recorder: &PhaseRecorder) -> bool {
        while let Some(handle) = self.claim_elsewhere(arrival.scenario) {
            if self.hand_to(handle, arrival, recorder) {
                return true;
            }
        }
        false
    }

    /// Hands an arrival to a sibling, of which a free user was claimed. False if the sibling has failed.
    pub fn hand_to(&self, handle: &WorkerHandle, arrival: Arrival, recorder: &PhaseRecorder) -> bool {
        recorder.phase_run.in_transit.fetch_add(1, atomic::Ordering::AcqRel);
        let handed = Command::Handed { arrival, phase_run: recorder.phase_run.clone() };
        let sent = handle.inbox.send(handed).is_ok();
        if !sent {
            recorder.phase_run.in_transit.fetch_sub(1, atomic::Ordering::AcqRel);
        }
        sent
    }

    /// The target of a scenario is back: whoever is held back for it goes on, on every worker.
    pub fn target_is_back(&self, scenario: usize) {
        for handle in &self.shared.handles {
            // One that is gone has reported why.
            let _ = handle.inbox.send(Command::Look { scenario });
        }
    }

    /// Has the siblings look at a scenario again.
    pub fn have_others_look(&self, scenario: usize) {
        for (worker, handle) in self.shared.handles.iter().enumerate() {
            if worker != self.worker {
                // One that is gone has reported why.
                let _ = handle.inbox.send(Command::Look { scenario });
            }
        }
    }

    /// Cuts the user's present iteration off at `at`, unless it is over or wanted again by then.
    pub fn interrupt_later(&self, at: Instant, scenario: usize, slot: &Rc<Slot>) {
        slot.cut_at.set(Some(at));
        let interrupt = Interrupt { at, scenario, slot: Rc::downgrade(slot), iteration: slot.iteration() };
        self.interrupts.borrow_mut().push(Reverse(interrupt));
    }

    /// Cuts off what has had its time; answers when to look again.
    pub fn interrupt_due(&self, now: Instant) -> Option<Instant> {
        loop {
            let due = {
                let mut interrupts = self.interrupts.borrow_mut();
                match interrupts.peek() {
                    Some(Reverse(first)) if first.at <= now => interrupts.pop(),
                    first => return first.map(|Reverse(first)| first.at),
                }
            };
            let Reverse(interrupt) = due?;
            if let Some(slot) = interrupt.slot.upgrade()
                && slot.iteration() == interrupt.iteration
                && slot.cut_at.get() == Some(interrupt.at)
                && let Some(pool) = self.pools.borrow()[interrupt.scenario].upgrade()
                && pool.is_unwanted(&slot)
            {
                pool.was_missing(&slot);
                slot.abort();
            }
        }
    }

    /// When to look again, after `since`, whether a phase that is over is no longer waited for.
    pub fn next_look(&self, since: Instant) -> Option<Instant> {
        self.recorders.borrow().iter().filter_map(|recorder| recorder.next_look(since)).min()
    }

    /// Asks those that listen over an edge what they missed before it, once that is known; answers when to ask again.
    pub fn settle_due(&self, now: Instant) -> Option<Instant> {
        let mut asked = false;
        for recorder in self.recorders.borrow().iter() {
            if let Some(unsettled) = recorder.unsettled().filter(|unsettled| unsettled.next <= now) {
                let pools = self.pools.borrow();
                let mut all = true;
                pools.iter().filter_map(Weak::upgrade).for_each(|pool| all &= pool.settle_ears(unsettled.edge, now));
                let again = Unsettled { next: (now + AGAIN).min(unsettled.last), ..unsettled };
                recorder.wait_for_listeners((!all && now < unsettled.last).then_some(again));
                asked = true;
            }
        }
        if asked {
            self.check();
        }
        self.recorders.borrow().iter().filter_map(|recorder| recorder.unsettled().map(|unsettled| unsettled.next)).min()
    }

    /// Looks which phase runs are drained, and whether the phase's iterations are done; reports each once.
    pub fn check(&self) {
        let pools = self.pools.borrow();
        let pools = || pools.iter().filter_map(Weak::upgrade);
        let mut drained = Vec::new();
        for recorder in self.recorders.borrow().iter() {
            if !recorder.is_over() {
                if recorder.counts_iterations
                    && !recorder.done.get()
                    && !pools().any(|pool| pool.iterations_done() == Some(false))
                {
                    recorder.done.set(true);
                    self.report(Report::IterationsDone { phase_run: recorder.phase_run.number });
                }
            } else if recorder.is_quiet()
                && (recorder.unsettled().is_none() || !pools().any(|pool| pool.has_ears()))
                && !pools().any(|pool| pool.is_draining(recorder))
            {
                pools().for_each(|pool| pool.settle_record(recorder));
                pools().for_each(|pool| pool.settle_opening(recorder));
                recorder.drained.set(true);
                drained.push(recorder.phase_run.number);
            }
        }
        for phase_run in drained {
            self.recorders.borrow_mut().retain(|recorder| recorder.phase_run.number != phase_run);
            pools().for_each(|pool| pool.forget(phase_run));
            self.report(Report::Drained { worker: self.worker, phase_run });
        }
    }
}

impl PartialEq for Interrupt {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Interrupt {}

impl PartialOrd for Interrupt {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interrupt {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}
