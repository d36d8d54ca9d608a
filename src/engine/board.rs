//! What can be seen of a run from outside while it goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::base::Away;
use crate::load::Load;
use crate::measure::{PhaseId, ScenarioId, Set, Totals};

use super::activation::Activation;
use super::examples::ErrorExample;
use super::shared::{Port, Shared};

/// A view of a run; cheap to clone, readable from any thread.
#[derive(Clone)]
pub struct Board {
    pub(super) shared: Arc<Shared>,
    posted: Arc<Mutex<Vec<Arc<Activation>>>>,
    origin: (Instant, SystemTime),
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
    pub activation: u64,
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

impl Board {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, posted: Arc::default(), origin: (Instant::now(), SystemTime::now()) }
    }

    pub(super) fn post(&self, activation: Arc<Activation>) {
        self.lock().push(activation);
    }

    /// Forgets a phase that has drained, whose totals the caller has: until then it is readable here, so that a sum over those
    /// and these misses nothing.
    pub fn take_over(&self, activation: u64) {
        self.lock().retain(|posted| posted.number != activation);
    }

    /// The wall clock's time of an instant of this run; steady over the run whatever happens to the wall clock.
    pub fn wall(&self, at: Instant) -> SystemTime {
        let (instant, wall) = self.origin;
        match at.checked_duration_since(instant) {
            Some(after) => wall + after,
            None => wall - instant.duration_since(at),
        }
    }

    /// The phases that have begun and weren't taken over, oldest first.
    pub fn phases(&self) -> Vec<PhaseNow> {
        let now = Instant::now();
        let posted = self.lock();
        let begun = posted.iter().filter(|activation| activation.start() <= now);
        begun
            .map(|activation| PhaseNow {
                activation: activation.number,
                phase: PhaseId::at(activation.phase),
                elapsed: now - activation.start(),
                draining: activation.end.get().is_some_and(|end| *end <= now),
            })
            .collect()
    }

    /// What a phase has recorded so far; none once it was taken over.
    pub fn totals(&self, activation: u64) -> Option<Totals> {
        let sets: Vec<Arc<Set>> = self.lock().iter().find(|posted| posted.number == activation)?.sets.clone();
        Some(Set::sum(&self.shared.plan.layout, &sets))
    }

    /// How each scenario stands.
    pub fn scenarios(&self) -> Vec<ScenarioNow> {
        let now = Instant::now();
        let present = self.lock().iter().rev().find(|activation| activation.start() <= now).cloned();
        let plan = &self.shared.plan;
        plan.scenarios
            .iter()
            .enumerate()
            .map(|(index, _)| {
                let load = present.as_ref().and_then(|activation| {
                    let loads = &plan.phases[activation.phase].loads;
                    let (_, load) = loads.iter().find(|(id, _)| id.index() == index)?;
                    // What is held beyond its time stays at its last level.
                    let held = activation.end.get().is_none().then(|| last_moment(plan.phases[activation.phase].duration));
                    let at = now - activation.start();
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
        let activation = posted.iter().rev().find(|activation| activation.is_preparing())?;
        Some(Preparing {
            phase: PhaseId::at(activation.phase),
            started: activation.prepared.load(Ordering::Relaxed),
            users: activation.to_prepare,
        })
    }

    /// The data of which no row was left in this turn of a phase, or in an earlier one, though somebody wanted one; by its
    /// index in the plan.
    pub fn ran_out(&self, activation: u64) -> Vec<usize> {
        (0..self.shared.plan.data.len()).filter(|data| self.shared.stock.ran_out_by(*data, activation)).collect()
    }

    /// Processor time of each worker's thread since it began, where the system tells it.
    pub fn worker_cpu(&self) -> Vec<Option<Duration>> {
        self.shared.ports.iter().map(Port::cpu).collect()
    }

    /// The targets that are away, and those that have come back since this was asked last.
    pub fn away(&self) -> Vec<Away> {
        self.shared.reach.take()
    }

    /// Examples of the errors so far.
    pub fn examples(&self) -> Vec<ErrorExample> {
        self.shared.examples.all()
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Activation>>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last moment of a phase's time.
fn last_moment(duration: Duration) -> Duration {
    duration.saturating_sub(Duration::from_nanos(1))
}
