//! What shows the present or the last run: users, phases, the verdict.
//!
//! Workers own a [`WorkerGauges`] each, whose values the exposition adds up; when a worker is gone, so is its share. All else is
//! set by the coordinator of a run, seldom, behind a lock or as a single atomic.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::atoms::Cell;
use super::layout::{Layout, OwnId, PhaseId, ScenarioId};
use crate::base::{Protocol, Verdict};

/// When and whether a phase of the present or last run took place (Unix seconds).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PhaseGauges {
    /// Whether it is going on, its drain not included.
    pub active: bool,
    /// When it began.
    pub start: Option<f64>,
    /// When its time was over.
    pub end: Option<f64>,
}

#[derive(Debug, Default)]
struct Tables {
    phases: Vec<PhaseGauges>,
    verdict: Option<Verdict>,
    last_verdict: Option<Verdict>,
    workers: Vec<Weak<WorkerGauges>>,
}

/// A profile's gauges.
#[derive(Debug)]
pub struct Gauges {
    layout: Arc<Layout>,
    users_wanted: Vec<Cell>,
    rate_wanted: Vec<Cell>,
    own: Vec<Cell>,
    run_start: Cell,
    run_next: Cell,
    run_completed: Cell,
    run_period: Cell,
    saturated: Cell,
    reload_successful: Cell,
    reload_time: Cell,
    faults: AtomicU64,
    tables: Mutex<Tables>,
}

/// One worker's share of the gauges; only that worker sets it.
#[derive(Debug)]
pub struct WorkerGauges {
    users: Vec<AtomicI64>,
    connections: Vec<[AtomicI64; Protocol::COUNT]>,
}

impl WorkerGauges {
    /// Sets how many users of a scenario are alive here.
    pub fn set_users(&self, scenario: ScenarioId, users: u64) {
        self.users[scenario.index()].store(i64::try_from(users).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// How many connections of a scenario are open here.
    pub fn connections(&self, scenario: ScenarioId, protocol: Protocol) -> u64 {
        u64::try_from(self.connections[scenario.index()][protocol.index()].load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Adds open connections (or takes away, if negative).
    #[inline]
    pub fn add_connections(&self, scenario: ScenarioId, protocol: Protocol, n: i64) {
        let cell = &self.connections[scenario.index()][protocol.index()];
        cell.store(cell.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }
}

fn cells(n: usize) -> Vec<Cell> {
    std::iter::repeat_with(Cell::default).take(n).collect()
}

impl Gauges {
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        let phases = vec![PhaseGauges::default(); layout.phases.len()];
        Self {
            users_wanted: cells(layout.scenarios.len()),
            rate_wanted: cells(layout.scenarios.len()),
            own: cells(layout.own.len() * layout.scenarios.len()),
            run_start: Cell::default(),
            run_next: Cell::default(),
            run_completed: Cell::default(),
            run_period: Cell::default(),
            saturated: Cell::default(),
            reload_successful: Cell::default(),
            reload_time: Cell::default(),
            faults: AtomicU64::new(0),
            tables: Mutex::new(Tables { phases, ..Tables::default() }),
            layout,
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins (Unix seconds): what is left of the last one is cleared.
    pub fn begin_run(&self, at: f64) {
        let mut tables = self.tables();
        tables.phases.fill(PhaseGauges::default());
        tables.verdict = None;
        self.run_start.set(at);
        self.saturated.set(0.0);
        for cell in self.users_wanted.iter().chain(&self.rate_wanted).chain(&self.own) {
            cell.clear();
        }
    }

    /// When the present or last run began (Unix seconds).
    pub fn run_start(&self) -> Option<f64> {
        self.run_start.get()
    }

    /// Sets when the next run is due by the schedule (Unix seconds); none where none is planned.
    pub fn set_run_next(&self, at: Option<f64>) {
        match at {
            Some(at) => self.run_next.set(at),
            None => self.run_next.clear(),
        }
    }

    /// When the next run is due by the schedule (Unix seconds).
    pub fn run_next(&self) -> Option<f64> {
        self.run_next.get()
    }

    /// A run ended that nothing cut short (Unix seconds).
    pub fn set_run_completed(&self, at: f64) {
        self.run_completed.set(at);
    }

    /// When the last run ended that nothing cut short (Unix seconds).
    pub fn run_completed(&self) -> Option<f64> {
        self.run_completed.get()
    }

    /// Sets the longest time between the ends of two runs; none where no end is planned.
    pub fn set_run_period(&self, period: Option<Duration>) {
        match period {
            Some(period) => self.run_period.set(period.as_secs_f64()),
            None => self.run_period.clear(),
        }
    }

    /// The longest time between the ends of two runs (seconds).
    pub fn run_period(&self) -> Option<f64> {
        self.run_period.get()
    }

    /// A share of the gauges for one worker; it ends when the worker drops it.
    pub fn worker(&self) -> Arc<WorkerGauges> {
        let scenarios = self.layout.scenarios.len();
        let worker = Arc::new(WorkerGauges {
            users: std::iter::repeat_with(AtomicI64::default).take(scenarios).collect(),
            connections: std::iter::repeat_with(Default::default).take(scenarios).collect(),
        });
        let mut tables = self.tables();
        tables.workers.retain(|worker| worker.strong_count() > 0);
        tables.workers.push(Arc::downgrade(&worker));
        worker
    }

    fn over_workers(&self, value: impl Fn(&WorkerGauges) -> i64) -> i64 {
        let workers: Vec<_> = self.tables().workers.iter().filter_map(Weak::upgrade).collect();
        workers.iter().map(|worker| value(worker)).sum()
    }

    /// How many users of a scenario are alive.
    pub fn users(&self, scenario: ScenarioId) -> i64 {
        self.over_workers(|worker| worker.users[scenario.index()].load(Ordering::Relaxed))
    }

    /// How many connections of a scenario are open.
    pub fn connections(&self, scenario: ScenarioId, protocol: Protocol) -> i64 {
        self.over_workers(|worker| worker.connections[scenario.index()][protocol.index()].load(Ordering::Relaxed))
    }

    /// Sets how many users a scenario should have just now.
    pub fn set_users_wanted(&self, scenario: ScenarioId, users: f64) {
        self.users_wanted[scenario.index()].set(users);
    }

    /// How many users a scenario should have just now; 0 before anyone said.
    pub fn users_wanted(&self, scenario: ScenarioId) -> f64 {
        self.users_wanted[scenario.index()].get().unwrap_or(0.0)
    }

    /// Sets how many arrivals a second a scenario should have just now.
    pub fn set_rate_wanted(&self, scenario: ScenarioId, rate: f64) {
        self.rate_wanted[scenario.index()].set(rate);
    }

    /// How many arrivals a second a scenario should have just now; 0 before anyone said.
    pub fn rate_wanted(&self, scenario: ScenarioId) -> f64 {
        self.rate_wanted[scenario.index()].get().unwrap_or(0.0)
    }

    /// Sets a gauge of the profile's own.
    pub fn set_own(&self, metric: OwnId, scenario: ScenarioId, value: f64) {
        self.own[metric.index() * self.layout.scenarios.len() + scenario.index()].set(value);
    }

    /// A gauge of the profile's own, once it was set.
    pub fn own(&self, metric: OwnId, scenario: ScenarioId) -> Option<f64> {
        self.own[metric.index() * self.layout.scenarios.len() + scenario.index()].get()
    }

    /// A phase begins (Unix seconds).
    pub fn begin_phase(&self, phase: PhaseId, at: f64) {
        self.tables().phases[phase.index()] = PhaseGauges { active: true, start: Some(at), end: None };
    }

    /// A phase's time is over (Unix seconds).
    pub fn end_phase(&self, phase: PhaseId, at: f64) {
        let gauges = &mut self.tables().phases[phase.index()];
        gauges.active = false;
        gauges.end = Some(at);
    }

    /// Whether and when a phase took place.
    pub fn phase(&self, phase: PhaseId) -> PhaseGauges {
        self.tables().phases[phase.index()]
    }

    /// Sets what the run came to.
    pub fn set_verdict(&self, verdict: Verdict) {
        let mut tables = self.tables();
        (tables.verdict, tables.last_verdict) = (Some(verdict), Some(verdict));
    }

    /// What the last run came to; none before or while it runs.
    pub fn verdict(&self) -> Option<Verdict> {
        self.tables().verdict
    }

    /// What the last run that ended came to, also while the next one goes on.
    pub fn last_verdict(&self) -> Option<Verdict> {
        self.tables().last_verdict
    }

    /// Sets whether the generator is its own bottleneck just now.
    pub fn set_saturated(&self, saturated: bool) {
        self.saturated.set(f64::from(u8::from(saturated)));
    }

    /// Whether the generator is its own bottleneck just now.
    pub fn saturated(&self) -> bool {
        self.saturated.get() == Some(1.0)
    }

    /// Notes that the profile was loaded (Unix seconds), or that it could not be.
    pub fn set_reload(&self, success: bool, at: f64) {
        self.reload_successful.set(f64::from(u8::from(success)));
        if success {
            self.reload_time.set(at);
        }
    }

    /// A fault of the program ended the profile's runs.
    pub fn add_fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// How many did so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Whether the profile could be loaded last time, and when it was loaded (Unix seconds).
    pub fn reload(&self) -> (Option<bool>, Option<f64>) {
        (self.reload_successful.get().map(|value| value == 1.0), self.reload_time.get())
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::ScenarioLayout;
    use super::*;

    fn gauges() -> Gauges {
        Gauges::new(Arc::new(Layout {
            phases: vec!["steady".into(), "spike".into()],
            scenarios: vec![ScenarioLayout::new("voters")],
            ..Layout::default()
        }))
    }

    #[test]
    fn workers_add_up_and_leave_with_their_share() {
        let (gauges, scenario) = (gauges(), ScenarioId(0));
        let (one, two) = (gauges.worker(), gauges.worker());
        one.set_users(scenario, 3);
        two.set_users(scenario, 4);
        two.add_connections(scenario, Protocol::Http, 2);
        two.add_connections(scenario, Protocol::Http, -1);
        assert_eq!((gauges.users(scenario), gauges.connections(scenario, Protocol::Http)), (7, 1));
        drop(two);
        assert_eq!((gauges.users(scenario), gauges.connections(scenario, Protocol::Http)), (3, 0));
    }

    #[test]
    fn a_run_clears_what_is_left_of_the_last_one() {
        let gauges = gauges();
        gauges.begin_run(100.0);
        gauges.begin_phase(PhaseId(0), 101.0);
        assert_eq!(gauges.phase(PhaseId(0)), PhaseGauges { active: true, start: Some(101.0), end: None });
        gauges.end_phase(PhaseId(0), 102.0);
        assert_eq!(gauges.phase(PhaseId(0)), PhaseGauges { active: false, start: Some(101.0), end: Some(102.0) });
        gauges.set_saturated(true);
        gauges.set_verdict(Verdict::Fail);
        assert!(gauges.saturated() && gauges.verdict() == Some(Verdict::Fail));
        gauges.begin_run(200.0);
        assert!(!gauges.saturated() && gauges.verdict().is_none());
        assert_eq!(gauges.last_verdict(), Some(Verdict::Fail), "it stands until the next one ends");
        assert_eq!((gauges.phase(PhaseId(0)), gauges.run_start()), (PhaseGauges::default(), Some(200.0)));
    }
}
