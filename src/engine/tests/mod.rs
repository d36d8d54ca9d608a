//! Runs of whole plans, with workers of their own, against a server that writes down what it sees.

mod absent;
mod accounting;
mod arrivals;
mod books;
mod busy;
mod connections;
mod data;
mod dead;
mod delays;
mod drains;
mod edges;
mod ends;
mod listeners;
mod preparing;
mod rhythm;
mod server;
mod sink;
mod starts;
mod users;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::base::{DropReason, Outcome};
use crate::load::Load;
use crate::measure::{Layout, PhaseId, ScenarioId, ScenarioTotals, Totals};
use crate::plan;
use crate::profile::Env;
use server::Server;

/// Longer than anything here takes, on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plan whose requests go to `server`. `rest` begins with `scenarios:`, or with any other key but `name` and `defaults`.
fn plan(server: &Server, rest: &str) -> Plan {
    let text = format!("name: test\ndefaults: {{http: {{base_url: \"{}\", timeout: 20s}}}}\n{rest}\n", server.url);
    let options = plan::Options::default();
    match plan::load_text(Path::new("test.yml"), text, &Env::default(), &[], options) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems}\n{rest}"),
    }
}

/// A plan of one scenario `s` of one request to `path`, with these phases.
fn simple(server: &Server, path: &str, phases: &str) -> Plan {
    plan(server, &format!("scenarios: {{s: {{flow: {{http: {{get: \"{path}\", name: get}}}}}}}}\nphases: {phases}"))
}

fn workers(workers: usize) -> Options {
    Options { workers, shard: 0, shards: 1 }
}

/// A phase that has drained.
#[derive(Debug)]
struct Drained {
    phase_run: u64,
    phase: usize,
    elapsed: Duration,
    totals: Totals,
    last: bool,
}

impl Drained {
    /// The first scenario's arrivals and iterations.
    fn s(&self) -> &ScenarioTotals {
        &self.totals.scenarios[0]
    }
}

/// A run that goes on.
struct Going {
    run: Run,
    plan: Arc<Plan>,
    store: Arc<Store>,
    drained: Vec<Drained>,
    /// Phases that have started, by phase run.
    started: Vec<u64>,
    /// When the time of phases is over, by phase run, as far as that is known.
    ended: Vec<(u64, std::time::SystemTime)>,
    settles: bool,
}

/// A run that is over.
#[derive(Debug)]
struct Done {
    ending: Ending,
    drained: Vec<Drained>,
    started: Vec<u64>,
    store: Arc<Store>,
    plan: Arc<Plan>,
}

impl Going {
    fn start(plan: Plan, options: Options) -> Self {
        let plan = Arc::new(plan);
        let store = Store::new(plan.layout.clone());
        Self::on(plan, store, options)
    }

    fn on(plan: Arc<Plan>, store: Arc<Store>, options: Options) -> Self {
        let run = start(plan.clone(), store.clone(), options, &Carried::new(&plan, options)).unwrap();
        let settles = plan.observe.settle;
        Self { run, plan, store, drained: Vec::new(), started: Vec::new(), ended: Vec::new(), settles }
    }

    /// Takes in the next event. The ending, if that was it.
    async fn next(&mut self) -> Option<Ending> {
        let event = tokio::time::timeout(PATIENCE, self.run.events.recv()).await.expect("an event in time");
        match event.expect("an event before the end") {
            Event::PhasePrepares { .. } => {}
            Event::PhaseStarted { phase_run, .. } => self.started.push(phase_run),
            Event::PhaseEnded { phase_run, at } => self.ended.push((phase_run, at)),
            Event::PhaseDrained { phase_run, phase, elapsed, totals, last, .. } => {
                self.drained.push(Drained { phase_run, phase: phase.index(), elapsed, totals: *totals, last });
                if self.settles {
                    self.send(Control::Settled { phase_run }).await;
                }
            }
            Event::Finished(ending) => return Some(ending),
        }
        None
    }

    /// The worker stands still for a while.
    fn stall(&self, worker: usize, time: Duration) {
        let port = &self.run.view.shared.handles[worker];
        port.inbox.send(super::command::Command::Stall(time)).unwrap();
    }

    async fn send(&self, control: Control) {
        let _ = self.run.control.send(control).await;
    }

    async fn until_started(&mut self, phase_run: u64) {
        while !self.started.contains(&phase_run) {
            assert_eq!(self.next().await, None);
        }
    }

    /// Waits until it is known when a phase's time is over.
    async fn until_ended(&mut self, phase_run: u64) -> Instant {
        while !self.ended.iter().any(|(number, _)| *number == phase_run) {
            assert_eq!(self.next().await, None);
        }
        let at = self.ended.iter().find(|(number, _)| *number == phase_run).unwrap().1;
        Instant::now() + at.duration_since(std::time::SystemTime::now()).unwrap_or_default()
    }

    async fn finish(mut self) -> Done {
        let ending = loop {
            if let Some(ending) = self.next().await {
                break ending;
            }
        };
        let Self { mut drained, started, store, plan, .. } = self;
        drained.sort_by_key(|drained| drained.phase_run);
        Done { ending, drained, started, store, plan }
    }
}

impl Done {
    /// What must hold of every run that is over, however it went, where no iteration goes on in the phase after its own.
    fn check(&self) {
        self.check_arrivals(true);
        self.check_sums();
    }

    /// Every arrival has an outcome; where no iteration is held into a later phase, every start has its end in the same one.
    fn check_arrivals(&self, ends: bool) {
        for drained in &self.drained {
            for (index, scenario) in drained.totals.scenarios.iter().enumerate() {
                let phase = &self.plan.phases[drained.phase];
                let about = format!("{} of {}: {scenario:?}", self.plan.scenarios[index].name, phase.name);
                assert_eq!(scenario.due, settled(scenario), "every arrival has one outcome: {about}");
                if let Some(Load::Open { .. }) = phase.load(ScenarioId::at(index)).filter(|_| ends) {
                    assert_eq!(iterations(scenario), scenario.started, "every start has one end: {about}");
                }
            }
        }
    }

    /// What is shown is what was reported.
    fn check_sums(&self) {
        let newest = self.started.iter().max();
        let last: Vec<u64> = self.drained.iter().filter(|drained| drained.last).map(|drained| drained.phase_run).collect();
        assert!(last.is_empty() || newest == Some(&last[0]) && last.len() == 1, "nothing follows the last: {last:?}");
        let mut sum = Totals::empty(&self.plan.layout);
        for drained in &self.drained {
            // Since when what outlasts it is under way, is kept nowhere.
            sum.add(&drained.totals.clone().drained());
        }
        let mut stored = Totals::empty(&self.plan.layout);
        (0..self.plan.phases.len()).for_each(|phase| stored.add(&self.store.totals(PhaseId::at(phase))));
        assert_eq!(stored.scenarios, sum.scenarios, "what is shown adds up to what was reported");
        assert_eq!(stored.steps, sum.steps);
        assert!(idle(&self.store, &self.plan.layout), "nothing is left open");
    }

    fn sum(&self, of: impl Fn(&ScenarioTotals) -> u64) -> u64 {
        self.drained.iter().map(|drained| of(drained.s())).sum()
    }
}

/// Runs it to its end.
async fn carry_out(plan: Plan, options: Options) -> Done {
    let done = Going::start(plan, options).finish().await;
    done.check();
    done
}

fn settled(scenario: &ScenarioTotals) -> u64 {
    scenario.started + scenario.dropped.iter().sum::<u64>() + scenario.cancelled
}

fn busy(scenario: &ScenarioTotals) -> u64 {
    scenario.dropped[DropReason::Busy.index()]
}

fn iterations(scenario: &ScenarioTotals) -> u64 {
    scenario.iterations.iter().map(crate::measure::Sparse::count).sum()
}

fn ended(scenario: &ScenarioTotals, outcome: Outcome) -> u64 {
    scenario.iterations[outcome.index()].count()
}

/// Whether no user and no connection is left by the gauges.
fn idle(store: &Store, layout: &Layout) -> bool {
    (0..layout.scenarios.len()).map(ScenarioId::at).all(|scenario| {
        store.gauges.users(scenario) == 0
            && crate::base::Protocol::ALL.iter().all(|protocol| store.gauges.connections(scenario, *protocol) == 0)
    })
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
