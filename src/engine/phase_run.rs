//! One turn of a phase: its place on the clock, the sets it records into, and what is left to do in it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::measure::{ScenarioId, Set};
use crate::plan::Preparation;

use super::examples::Seen;
use super::report::Report;

/// So long beyond the drain it is waited for what was cut off at its end to be noticed, and for what is under way in a scenario that goes on.
const NOTICED: Duration = Duration::from_secs(1);
/// Nobody waits for so long.
const FAR: Duration = Duration::from_secs(1 << 32);

/// One turn of a phase within a run (a phase that is repeated is activated anew each time). The coordinator publishes
/// it to every worker ahead of its start.
pub(super) struct PhaseRun {
    /// Counts up over the run.
    pub number: u64,
    /// Index into the plan's phases.
    pub phase: usize,
    /// When it starts, once that is known; also the edge at which the one before ends.
    pub begins: OnceLock<Instant>,
    /// When it starts at the latest: its users are prepared until then.
    pub latest: Instant,
    /// The users that are prepared for it, over all generators.
    pub preparations: Vec<(ScenarioId, Preparation)>,
    /// How many of them are here.
    pub to_prepare: u64,
    /// Those of them that have started, or won't.
    pub prepared: AtomicU64,
    /// When its time was over or will be, once that is known for certain.
    pub end: OnceLock<Instant>,
    /// One set for each worker.
    pub sets: Vec<Arc<Set>>,
    /// For each of the phase's loads: what is left of its `total_iterations`.
    pub budgets: Vec<Option<Arc<Budget>>>,
    /// The run ended before it began: it has no load, and takes up what was held until then. Which repeat of the phases it would have been
    /// in.
    pub gathers: OnceLock<u64>,
    /// Every load of the phase is a number of iterations: the phase is over when all are done.
    pub counts_iterations: bool,
    /// Arrivals on their way from one worker to another.
    pub in_transit: AtomicU64,
    /// Its record was taken as it stood: what ends from here on is too late for it.
    pub reported: AtomicBool,
}

impl PhaseRun {
    /// Stands for the phase with this number from when the one before stands still until this one is announced, with the sets that it will
    /// have.
    pub fn ahead(number: u64, phase: usize, sets: Vec<Arc<Set>>) -> Self {
        Self {
            number,
            phase,
            begins: OnceLock::new(),
            latest: Instant::now() + FAR,
            preparations: Vec::new(),
            to_prepare: 0,
            prepared: AtomicU64::new(0),
            end: OnceLock::new(),
            sets,
            budgets: Vec::new(),
            gathers: OnceLock::new(),
            counts_iterations: false,
            in_transit: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        }
    }

    /// When it starts; while that isn't known, at the latest.
    pub fn start(&self) -> Instant {
        self.begins.get().copied().unwrap_or(self.latest)
    }

    /// Whether it isn't known yet when it starts.
    pub fn is_preparing(&self) -> bool {
        self.begins.get().is_none()
    }
}

/// Iterations that many users share.
pub(super) struct Budget {
    /// How many are left to claim, and above [`HOLDER`] how many pools hold some or are at some.
    state: AtomicU64,
    workers: u64,
}

/// One pool that holds iterations; what is below counts those that are left.
const HOLDER: u64 = 1 << 48;

impl Budget {
    /// `total` iterations over `workers` workers.
    pub fn new(total: u64, workers: u64) -> Self {
        Self { state: AtomicU64::new(total.min(HOLDER - 1)), workers: workers.max(1) }
    }

    /// Whether all are done: none is left to claim, and nobody holds any.
    pub fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == 0
    }

    /// A pool that held iterations holds none any more. `back` of them were not done and can be claimed again.
    pub fn release(&self, back: u64) {
        self.state.fetch_sub(HOLDER - back, Ordering::AcqRel);
    }

    /// Takes a block: large while there is much, single ones at the end, so that no worker sits on the last ones.
    /// 0 if none is left. Who didn't hold any does so from here on.
    pub fn claim(&self, holds: bool) -> u64 {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let left = state % HOLDER;
            let block = (left / (8 * self.workers)).clamp(1, 64).min(left);
            if block == 0 {
                return 0;
            }
            let claimed = state - block + if holds { 0 } else { HOLDER };
            match self.state.compare_exchange_weak(state, claimed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return block,
                Err(now) => state = now,
            }
        }
    }
}

/// A phase is over, and some who were listening go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsettled {
    /// Its end.
    pub edge: Instant,
    /// When to ask them next what they missed before that.
    pub next: Instant,
    /// When they are asked for the last time.
    pub last: Instant,
}

/// A worker's side of a phase run. It lives as long as anything may still record into it, and says so when it ends.
pub(super) struct PhaseRecorder {
    pub phase_run: Arc<PhaseRun>,
    pub set: Arc<Set>,
    /// Users whose present step began in it and isn't over.
    attached: Cell<u32>,
    /// Iterations that began in it and haven't ended.
    iterations: Cell<u32>,
    /// Its time is over; and so long it may be waited for the iterations of scenarios that go on.
    over: Cell<Option<Instant>>,
    /// What those that listen over its edge missed before that isn't known yet.
    unsettled: Cell<Option<Unsettled>>,
    /// It was reported as drained: what ends now is too late for its record.
    pub drained: Cell<bool>,
    /// When it was noticed first that its record is closed.
    closed: Cell<Option<Instant>>,
    /// Every load of the phase is a number of iterations, so that they may end it.
    pub counts_iterations: bool,
    /// `IterationsDone` was reported.
    pub done: Cell<bool>,
    /// The errors that were seen of it here.
    pub errors: Seen,
    worker: usize,
    /// None: it stands for another one, which will be reported.
    reports: Option<UnboundedSender<Report>>,
}

impl PhaseRecorder {
    pub fn new(phase_run: Arc<PhaseRun>, worker: usize, reports: Option<UnboundedSender<Report>>) -> Self {
        let set = phase_run.sets[worker].clone();
        Self {
            counts_iterations: phase_run.counts_iterations,
            phase_run,
            set,
            attached: Cell::new(0),
            iterations: Cell::new(0),
            over: Cell::new(None),
            unsettled: Cell::new(None),
            drained: Cell::new(false),
            closed: Cell::new(None),
            done: Cell::new(false),
            errors: Seen::default(),
            worker,
            reports,
        }
    }

    pub fn attach(&self) {
        self.attached.set(self.attached.get() + 1);
    }

    pub fn detach(&self) {
        self.attached.set(self.attached.get() - 1);
    }

    pub fn iteration_begins(&self) {
        self.iterations.set(self.iterations.get() + 1);
    }

    pub fn iteration_ends(&self) {
        self.iterations.set(self.iterations.get() - 1);
    }

    /// Its time is over. Iterations that cross the edge are waited for until `patience` is out.
    pub fn end(&self, patience: Instant) {
        self.over.set(Some(patience));
    }

    /// Its record stays open until it is known what those that listen over its edge missed before that; nothing if it is known.
    pub fn wait_for_listeners(&self, unsettled: Option<Unsettled>) {
        self.unsettled.set(unsettled);
    }

    /// What isn't known yet.
    pub fn unsettled(&self) -> Option<Unsettled> {
        self.unsettled.get()
    }

    pub fn is_over(&self) -> bool {
        self.over.get().is_some()
    }

    /// Whether what ends now is too late for its record.
    pub fn is_closed(&self) -> bool {
        self.drained.get() || self.phase_run.reported.load(Ordering::Acquire)
    }

    /// Whether its record was closed by then, as far as was noticed.
    pub fn was_closed_by(&self, at: Instant) -> bool {
        if self.is_closed() && self.closed.get().is_none() {
            self.closed.set(Some(Instant::now()));
        }
        self.closed.get().is_some_and(|closed| closed <= at)
    }

    /// When time alone may have made it quiet, once it is over: the moments after `since`, the next one first.
    pub fn next_look(&self, since: Instant) -> Option<Instant> {
        let patience = self.over.get()?;
        [patience, patience + NOTICED].into_iter().find(|at| *at > since)
    }

    /// Whether it is over, and nothing that belongs to it is under way that is still waited for.
    pub fn is_quiet(&self) -> bool {
        self.over.get().is_some_and(|patience| {
            let now = Instant::now();
            let steps = self.attached.get() == 0 || now >= patience + NOTICED;
            steps && (self.iterations.get() == 0 || now >= patience)
        })
    }
}

impl Drop for PhaseRecorder {
    fn drop(&mut self) {
        if let Some(reports) = &self.reports {
            // Nobody listens any more once the run is over.
            let _ = reports.send(Report::Released { worker: self.worker, phase_run: self.phase_run.number });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_claimed_to_the_last_one_and_ends_in_single_ones() {
        let budget = Budget::new(1000, 4);
        let mut blocks = Vec::new();
        loop {
            match budget.claim(!blocks.is_empty()) {
                0 => break,
                block => blocks.push(block),
            }
        }
        assert!(!budget.is_done());
        budget.release(2);
        assert_eq!((budget.claim(false), budget.claim(true), budget.claim(true)), (1, 1, 0));
        budget.release(0);
        assert!(budget.is_done());
        assert_eq!(blocks.iter().sum::<u64>(), 1000);
        assert!(blocks[0] > 1 && blocks.ends_with(&[1, 1, 1, 1]));
        assert_eq!(Budget::new(0, 4).claim(false), 0);
        assert!(Budget::new(0, 4).is_done());
    }

    #[test]
    fn threads_claim_every_iteration_once() {
        let budget = Budget::new(100_000, 4);
        let claimed: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut sum = 0;
                        loop {
                            match budget.claim(sum > 0) {
                                0 => return sum,
                                block => sum += block,
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(claimed, 100_000);
    }
}
