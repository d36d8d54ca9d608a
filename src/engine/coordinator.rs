//! The coordinator: publishes the edges ahead of time, gathers what the workers report, and tells of it. It sees no
//! request.

mod leftover;
mod prepare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver};

use crate::load::{Iterations, Load, Share};
use crate::measure::{PhaseId, ScenarioId, Set};
use crate::plan::{Phase, Plan, Preparation, Repeat};

use super::activation::{Activation, Budget};
use super::board::Board;
use super::event::{Control, Ending, Event};
use super::report::{Command, Report};
use super::shared::Shared;

/// Edges are published so long ahead, so that every worker has them in time.
const LEAD: Duration = Duration::from_millis(100);
/// Beyond its `drain` a phase is waited for so long: what is cut off has to be noticed.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Coordinator {
    pub shared: Arc<Shared>,
    pub board: Board,
    pub share: Share,
    pub threads: Vec<JoinHandle<()>>,
    pub reports: UnboundedReceiver<Report>,
    pub control: Receiver<Control>,
    pub events: Sender<Event>,
    pub draining: BTreeMap<u64, Turn>,
    /// Why the run ends before its time.
    pub ending: Option<Ending>,
    /// Activations for which a worker has all its iterations done.
    pub done: BTreeMap<u64, usize>,
    /// Activations whose sources are settled.
    pub settled: Option<u64>,
    /// Workers whose users are prepared for an activation.
    pub prepared: (u64, usize),
    /// Workers that failed.
    pub gone: BTreeSet<usize>,
    /// The last activation that began.
    pub newest: Option<u64>,
    /// No phase begins any more.
    pub over: bool,
    /// Iterations that are under way, by the records that were told.
    pub open: i64,
    /// The load stands still between two phases, and what is under way is held.
    pub held: bool,
    /// What is under way is to be cut off.
    pub cut: bool,
}

/// An activation on its way from its start to having drained.
pub(super) struct Turn {
    activation: Arc<Activation>,
    /// Workers on which nothing of it is under way any more.
    drained: BTreeSet<usize>,
    /// Workers that will record nothing into it any more.
    released: BTreeSet<usize>,
    /// It was told that it has drained.
    told: bool,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Until {
    /// A time.
    Time(Instant),
    /// A time, or that all iterations of an activation are done.
    Iterations(Instant, u64),
    /// A time, or that all users are prepared for an activation.
    Prepared(Instant, u64),
    /// That an activation has drained and its sources are settled.
    Settled(u64),
}

impl Until {
    fn deadline(self) -> Option<Instant> {
        match self {
            Until::Time(at) | Until::Iterations(at, _) | Until::Prepared(at, _) => Some(at),
            Until::Settled(_) => None,
        }
    }
}

/// Why a wait was over.
#[derive(PartialEq)]
enum Woken {
    Deadline,
    Done,
    Ending,
}

impl Coordinator {
    /// Carries the run out.
    pub async fn run(mut self) {
        let plan = self.shared.plan.clone();
        let mut start = Instant::now() + LEAD;
        let mut number = 0;
        let mut repeat = 0;
        let mut before: Option<&Phase> = None;
        // The phase before, where it goes on until users are prepared for the next one.
        let mut held: Option<Arc<Activation>> = None;
        let repeats = match plan.repeat {
            Repeat::Times(times) => times,
            Repeat::Forever => u64::MAX,
        };
        'run: while repeat < repeats {
            for index in 0..plan.phases.len() {
                let phase = &plan.phases[index];
                let preparations = plan.preparations(phase, before);
                let (from, prepares) = (start, !preparations.is_empty());
                let activation = self.announce(&plan, index, start, number, preparations, false);
                number += 1;
                if prepares {
                    start = self.prepare(&activation, from).await;
                    if let Some(held) = held.take() {
                        self.over(&held, start).await;
                    }
                }
                if self.wait(Until::Time(start)).await == Woken::Ending {
                    self.over = true;
                    if prepares && from < start {
                        // What its users did at their start is in its record.
                        self.begun(&activation, repeat, start).await;
                    }
                    // A worker that hasn't begun it doesn't begin it; the phase before ends there all the same.
                    self.end(&activation, start, Vec::new(), false).await;
                    break 'run;
                }
                self.shared.lists.publish();
                self.shared.reach.phase_begins(|scenario| has_load(phase, scenario));
                self.begun(&activation, repeat, start).await;
                let full = start + phase.duration;
                let woken = self.wait(Until::Iterations(full - LEAD.min(phase.duration), activation.number)).await;
                if woken == Woken::Done {
                    // Nobody remembers any more, and the next phase begins before it can be seen that it has.
                    self.shared.lists.publish();
                }
                let now = Instant::now();
                let end = match woken {
                    Woken::Deadline => full,
                    Woken::Done | Woken::Ending => now.max(start).min(full),
                };
                before = Some(phase);
                let last = repeat + 1 == repeats && index + 1 == plan.phases.len();
                let next = &plan.phases[(index + 1) % plan.phases.len()];
                let stay: Vec<bool> = (0..plan.scenarios.len()).map(|scenario| has_load(next, scenario)).collect();
                let goes_on = || (0..plan.scenarios.len()).any(|scenario| stay[scenario] && has_load(phase, scenario));
                if last || woken == Woken::Ending {
                    self.over = true;
                    self.end(&activation, end, Vec::new(), false).await;
                    break 'run;
                } else if plan.observe.settle {
                    self.end(&activation, end, stay, true).await;
                    self.held = true;
                    if self.wait(Until::Settled(activation.number)).await == Woken::Ending {
                        let wraps = index + 1 == plan.phases.len();
                        self.let_go((index + 1) % plan.phases.len(), repeat + u64::from(wraps), number).await;
                        break 'run;
                    }
                    self.held = false;
                    start = Instant::now() + LEAD;
                } else if plan.preparations(next, before).is_empty() {
                    self.over(&activation, end).await;
                    start = end;
                } else {
                    if woken == Woken::Deadline && goes_on() {
                        held = Some(activation);
                    } else {
                        self.end(&activation, end, stay, false).await;
                    }
                    start = end;
                }
            }
            repeat += 1;
        }
        self.finish().await;
    }

    /// Publishes a phase's turn to every worker.
    fn announce(
        &mut self,
        plan: &Plan,
        index: usize,
        start: Instant,
        number: u64,
        preparations: Vec<(ScenarioId, Preparation)>,
        gathers: bool,
    ) -> Arc<Activation> {
        let phase = &plan.phases[index];
        let workers = self.shared.ports.len();
        let budget = |load: &Load| match load {
            Load::Closed { iterations: Some(Iterations::Total(total)), .. } => {
                Some(Arc::new(Budget::new(self.share.shard_part(*total), workers as u64)))
            }
            _ => None,
        };
        let prepares = !preparations.is_empty();
        let activation = Arc::new(Activation {
            number,
            phase: index,
            begins: if prepares { OnceLock::new() } else { OnceLock::from(start) },
            latest: start + preparations.iter().map(|(_, one)| one.within).max().unwrap_or_default(),
            to_prepare: preparations.iter().map(|(_, one)| self.here(one.to) - self.here(one.from)).sum(),
            preparations,
            prepared: AtomicU64::new(0),
            end: OnceLock::new(),
            sets: (0..workers).map(|_| self.shared.store.open(PhaseId::at(index))).collect(),
            budgets: phase.loads.iter().map(|(_, load)| budget(load)).collect(),
            gathers,
            counts_iterations: !phase.loads.is_empty()
                && phase.loads.iter().all(|(_, load)| matches!(load, Load::Closed { iterations: Some(_), .. })),
            in_transit: AtomicU64::new(0),
            told: AtomicBool::new(false),
        });
        let turn = Turn { activation: activation.clone(), drained: BTreeSet::new(), released: BTreeSet::new(), told: false };
        self.draining.insert(number, turn);
        self.board.post(activation.clone());
        if prepares {
            self.broadcast(|| Command::Prepare { activation: activation.clone(), at: start });
        } else {
            self.broadcast(|| Command::Begin(activation.clone()));
        }
        activation
    }

    /// Ends a phase by an edge of its own, where no next phase begins at once.
    async fn end(&mut self, activation: &Activation, at: Instant, stay: Vec<bool>, pause: bool) {
        self.broadcast(|| Command::Edge { at, stay: stay.clone(), pause });
        self.over(activation, at).await;
    }

    async fn over(&mut self, activation: &Activation, at: Instant) {
        // Ended once only: here.
        let _ = activation.end.set(at);
        self.tell(Event::PhaseEnded { activation: activation.number, at: self.board.wall(at) }).await;
    }

    fn is_draining(&self, number: u64) -> bool {
        self.draining.get(&number).is_some_and(|turn| !turn.told)
    }

    fn is_done(&self, until: Until) -> bool {
        match until {
            Until::Time(_) => false,
            Until::Iterations(_, number) => self.done.get(&number) == Some(&self.shared.ports.len()),
            Until::Prepared(_, number) => self.prepared == (number, self.shared.ports.len()),
            Until::Settled(number) => self.settled == Some(number) && !self.is_draining(number),
        }
    }

    /// Takes in reports and commands until what is waited for is there, or until the run is to end.
    async fn wait(&mut self, until: Until) -> Woken {
        loop {
            if self.ending.is_some() {
                return Woken::Ending;
            }
            self.expire_drains().await;
            if self.is_done(until) {
                return Woken::Done;
            }
            let wake = until.deadline().into_iter().chain(self.next_expiry()).min();
            let alarm = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = alarm => {
                    if until.deadline().is_some_and(|deadline| Instant::now() >= deadline) {
                        return Woken::Deadline;
                    }
                }
                Some(report) = self.reports.recv() => self.take_in(report).await,
                control = self.control.recv() => self.obey(control),
            }
        }
    }

    async fn take_in(&mut self, report: Report) {
        match report {
            Report::Drained { worker, activation } => {
                if let Some(turn) = self.draining.get_mut(&activation) {
                    turn.drained.insert(worker);
                }
                self.tell_drained().await;
            }
            Report::Landed => self.tell_drained().await,
            Report::Prepared { activation } => {
                let before = if self.prepared.0 == activation { self.prepared.1 } else { 0 };
                self.prepared = (activation, before + 1);
            }
            Report::IterationsDone { activation } => *self.done.entry(activation).or_default() += 1,
            Report::Released { worker, activation } => {
                if let Some(turn) = self.draining.get_mut(&activation) {
                    turn.released.insert(worker);
                }
                self.clean_up();
            }
            Report::Abort(reason) => {
                self.ending.get_or_insert(Ending::Aborted(reason));
            }
            Report::Failed { worker, reason } => {
                tracing::error!(%reason, "a worker failed");
                self.ending.get_or_insert(Ending::Failed(reason));
                if let Some(worker) = worker {
                    // It will report nothing any more.
                    self.gone.insert(worker);
                    for turn in self.draining.values_mut() {
                        turn.drained.insert(worker);
                        turn.released.insert(worker);
                    }
                    self.tell_drained().await;
                }
            }
        }
    }

    fn obey(&mut self, control: Option<Control>) {
        match control {
            Some(Control::Settled { activation }) => self.settled = Some(activation),
            Some(Control::Abort(reason)) => {
                self.ending.get_or_insert(Ending::Aborted(reason));
            }
            Some(Control::Stop) | None => {
                self.ending.get_or_insert(Ending::Stopped);
            }
            Some(Control::Interrupt) => {
                self.ending.get_or_insert(Ending::Stopped);
                self.cut = true;
                if !self.held {
                    self.broadcast(|| Command::Interrupt);
                }
            }
        }
    }

    /// Tells of every phase that has drained on all workers.
    async fn tell_drained(&mut self) {
        let workers = self.shared.ports.len();
        let ready: Vec<u64> = self
            .draining
            .iter()
            .filter(|(_, turn)| !turn.told && turn.drained.len() == workers)
            // What was on its way to a worker that failed never comes in.
            .filter(|(_, turn)| !self.gone.is_empty() || turn.activation.in_transit.load(Ordering::Acquire) == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in ready {
            self.tell_one_drained(number).await;
        }
        self.clean_up();
    }

    async fn tell_one_drained(&mut self, number: u64) {
        let Some(turn) = self.draining.get_mut(&number) else { return };
        turn.told = true;
        turn.activation.told.store(true, Ordering::Release);
        let turn = &self.draining[&number];
        let others = self.draining.values().any(|other| !other.told && Some(other.activation.number) <= self.newest);
        let ended = turn.activation.end.get().copied().unwrap_or_else(Instant::now);
        let totals = Set::sum(&self.shared.plan.layout, &turn.activation.sets);
        self.open += leftover::open(&totals);
        let event = Event::PhaseDrained {
            activation: number,
            phase: PhaseId::at(turn.activation.phase),
            started: self.board.wall(turn.activation.start()),
            ended: self.board.wall(ended),
            elapsed: ended.saturating_duration_since(turn.activation.start()),
            totals: Box::new(totals),
            last: self.over && self.newest == Some(number) && !others,
        };
        self.tell(event).await;
    }

    /// Phases that should have drained by now: one connection that hangs can't hold the run.
    async fn expire_drains(&mut self) {
        let now = Instant::now();
        let plan = self.shared.plan.clone();
        let late: Vec<u64> =
            self.draining.iter().filter(|(_, turn)| turn.expiry(&plan).is_some_and(|at| at <= now)).map(|(n, _)| *n).collect();
        for number in late {
            tracing::warn!(activation = number, "a phase has not drained in its time; it is judged as it stands");
            self.tell_one_drained(number).await;
        }
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.draining.values().filter_map(|turn| turn.expiry(&self.shared.plan)).min()
    }

    /// Forgets turns of which nothing is left.
    fn clean_up(&mut self) {
        let (workers, store) = (self.shared.ports.len(), &self.shared.store);
        self.draining.retain(|_, turn| {
            let over = turn.told && turn.released.len() == workers;
            if over {
                // All at once, for an arrival that was in transit to a worker that had released its set is counted in it.
                turn.activation.sets.iter().for_each(|set| store.retire(set.clone()));
            }
            !over
        });
        if let Some(oldest) = self.draining.keys().next().copied() {
            self.done.retain(|number, _| *number >= oldest);
        }
    }

    /// Waits for what drains, ends the workers, tells how it ended.
    async fn finish(mut self) {
        let mut reports_open = true;
        while self.draining.values().any(|turn| !turn.told) && reports_open {
            let Some(wake) = self.next_expiry() else { break };
            tokio::select! {
                report = self.reports.recv() => match report {
                    Some(report) => self.take_in(report).await,
                    None => reports_open = false,
                },
                control = self.control.recv() => match control {
                    Some(control) => self.obey(Some(control)),
                    // Nobody is left who could ask for more: no need to wait for what drains.
                    None => self.broadcast(|| Command::Interrupt),
                },
                () = tokio::time::sleep_until(wake.into()) => self.expire_drains().await,
            }
        }
        self.broadcast(|| Command::Exit);
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok())).await;
        if !matches!(joined, Ok(true)) {
            tracing::error!("a worker's thread could not be joined");
        }
        for turn in self.draining.values() {
            turn.activation.sets.iter().for_each(|set| self.shared.store.retire(set.clone()));
        }
        let ending = self.ending.take().unwrap_or(Ending::Completed);
        self.tell(Event::Finished(ending)).await;
    }

    fn broadcast(&self, command: impl Fn() -> Command) {
        for port in &self.shared.ports {
            // A worker that is gone has reported why.
            let _ = port.inbox.send(command());
        }
    }

    async fn tell(&self, event: Event) {
        // Whoever no longer listens doesn't want to know.
        let _ = self.events.send(event).await;
    }
}

impl Turn {
    /// When it is no longer waited for.
    fn expiry(&self, plan: &Plan) -> Option<Instant> {
        let drain = plan.phases[self.activation.phase].drain;
        self.activation.end.get().filter(|_| !self.told).map(|ended| *ended + drain + DRAIN_GRACE)
    }
}

/// However it ends, even by a panic or before its start: the workers end with it.
impl Drop for Coordinator {
    fn drop(&mut self) {
        self.broadcast(|| Command::Exit);
    }
}

fn has_load(phase: &Phase, scenario: usize) -> bool {
    phase.loads.iter().any(|(id, _)| id.index() == scenario)
}
