//! What can be seen of a run from outside while it goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::base::Away;
use crate::base::units::nanos;
use crate::load::Load;
use crate::measure::{Clock, PhaseId, ScenarioId, Set, Totals};

use super::examples::ErrorExample;
use super::phase_run::PhaseRun;
use super::shared::{RunShared, WorkerHandle};

/// A view of a run; cheap to clone, readable from any thread.
#[derive(Clone)]
pub struct RunView {
    pub(super) shared: Arc<RunShared>,
    posted: Arc<Mutex<Vec<Arc<PhaseRun>>>>,
    clock: Clock,
    /// When the workers began.
    began: Instant,
}

/// How a scenario stands at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScenarioNow {
    /// The scenario.
    pub scenario: ScenarioId,
    /// Users that are alive, on this machine.
    pub users: u64,
    /// Users that the load asks for: its level, or the most that it allows for arrivals, over all shards.
    pub users_wanted: u64,
    /// Arrivals a second that the load asks for, over all shards; 0 for a closed load.
    pub rate_wanted: f64,
}

/// A phase that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseNow {
    /// Counts the turns of phases over the run.
    pub phase_run: u64,
    /// Which phase.
    pub phase: PhaseId,
    /// How long it has been going on.
    pub elapsed: Duration,
    /// Whether its time is over and it drains.
    pub draining: bool,
}

/// Users that do their start before their phase begins, on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparing {
    /// The phase that is to begin.
    pub phase: PhaseId,
    /// Who is through, or won't be.
    pub started: u64,
    /// All of them.
    pub users: u64,
}

impl RunView {
    pub(super) fn new(shared: Arc<RunShared>, clock: Clock) -> Self {
        Self { shared, posted: Arc::default(), clock, began: Instant::now() }
    }

    pub(super) fn post(&self, phase_run: Arc<PhaseRun>) {
        self.lock().push(phase_run);
    }

    /// Forgets a phase that has drained, whose totals the caller has: until then it is readable here, so that a sum over those
    /// and these misses nothing.
    pub fn take_over(&self, phase_run: u64) {
        self.lock().retain(|posted| posted.number != phase_run);
    }

    /// The wall clock's time of an instant of this run; steady over the run whatever happens to the wall clock.
    pub fn wall(&self, at: Instant) -> SystemTime {
        self.clock.wall(at)
    }

    /// The phases that have begun and weren't taken over, oldest first.
    pub fn phases(&self) -> Vec<PhaseNow> {
        let now = Instant::now();
        let posted = self.lock();
        let begun = posted.iter().filter(|phase_run| phase_run.start() <= now && phase_run.gathers.get().is_none());
        begun
            .map(|phase_run| PhaseNow {
                phase_run: phase_run.number,
                phase: PhaseId::at(phase_run.phase),
                elapsed: now - phase_run.start(),
                draining: phase_run.end.get().is_some_and(|end| *end <= now),
            })
            .collect()
    }

    /// What a phase has recorded so far; none once it was taken over.
    pub fn totals(&self, phase_run: u64) -> Option<Totals> {
        let sets: Vec<Arc<Set>> = self.lock().iter().find(|posted| posted.number == phase_run)?.sets.clone();
        Some(Set::sum(&self.shared.plan.layout, &sets))
    }

    /// How each scenario stands.
    pub fn scenarios(&self) -> Vec<ScenarioNow> {
        let now = Instant::now();
        let begun = |phase_run: &&Arc<PhaseRun>| phase_run.start() <= now && phase_run.gathers.get().is_none();
        let present = self.lock().iter().rev().find(begun).cloned();
        let plan = &self.shared.plan;
        plan.scenarios
            .iter()
            .enumerate()
            .map(|(index, _)| {
                let load = present.as_ref().and_then(|phase_run| {
                    let loads = &plan.phases[phase_run.phase].loads;
                    let (_, load) = loads.iter().find(|(id, _)| id.index() == index)?;
                    // What is held beyond its time stays at its last level.
                    let held = phase_run.end.get().is_none().then(|| last_moment(plan.phases[phase_run.phase].duration));
                    let at = now - phase_run.start();
                    Some((load, held.map_or(at, |last| at.min(last))))
                });
                let (users_wanted, rate_wanted) = load
                    .map_or((0, 0.0), |(load, at): (&Load, _)| (load.users_wanted(at), load.rate_wanted(at).unwrap_or_default()));
                let scenario = ScenarioId::at(index);
                let users = self.shared.store.gauges.users(scenario).max(0) as u64;
                ScenarioNow { scenario, users, users_wanted, rate_wanted }
            })
            .collect()
    }

    /// The users that do their start before their phase begins, if there are such.
    pub fn preparing(&self) -> Option<Preparing> {
        let posted = self.lock();
        let phase_run = posted.iter().rev().find(|phase_run| phase_run.is_preparing())?;
        Some(Preparing {
            phase: PhaseId::at(phase_run.phase),
            started: phase_run.prepared.load(Ordering::Relaxed),
            users: phase_run.to_prepare,
        })
    }

    /// The data of which no row was left in this turn of a phase, or in an earlier one, though somebody wanted one; by its
    /// index in the plan.
    pub fn ran_out(&self, phase_run: u64) -> Vec<usize> {
        (0..self.shared.plan.data.len()).filter(|data| self.shared.allocator.ran_out_by(*data, phase_run)).collect()
    }

    /// Processor time of each worker's thread since it began, where the system says so.
    pub fn worker_cpu(&self) -> Vec<Option<Duration>> {
        self.shared.handles.iter().map(WorkerHandle::cpu).collect()
    }

    /// How long each worker has stood still since it began; with the moment that it takes to report that it goes on.
    pub fn stood(&self) -> Vec<Duration> {
        let since = nanos(self.began.elapsed());
        let behind = self.shared.handles.iter().map(|handle| since.saturating_sub(handle.shows.load(Ordering::Acquire)));
        behind.map(Duration::from_nanos).collect()
    }

    /// The targets that are away, and those that have come back since this was asked last.
    pub fn away(&self) -> Vec<Away> {
        self.shared.reach.take()
    }

    /// Examples of the errors so far.
    pub fn examples(&self) -> Vec<ErrorExample> {
        self.shared.examples.all()
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<PhaseRun>>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last moment of a phase's time.
fn last_moment(duration: Duration) -> Duration {
    duration.saturating_sub(Duration::from_nanos(1))
}
