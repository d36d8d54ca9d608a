//! The coordinator: publishes the edges ahead of time, gathers what the workers report, and passes it on. It sees no
//! request.

mod drains;
mod leftover;
mod prepare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver};

use crate::load::{Iterations, Load, Share};
use crate::measure::{ScenarioId, Set};
use crate::plan::{Phase, Plan, Preparation, Repeat};

use super::command::Command;
use super::event::{Control, Ending, Event};
use super::phase_run::{Budget, PhaseRun};
use super::report::Report;
use super::shared::RunShared;
use super::view::RunView;

/// Edges are published so long ahead, so that every worker has them in time.
const LEAD: Duration = Duration::from_millis(100);
/// Beyond its `drain` a phase is waited for so long: what is cut off has to be noticed.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Coordinator {
    pub shared: Arc<RunShared>,
    pub view: RunView,
    pub share: Share,
    pub threads: Vec<JoinHandle<()>>,
    pub reports: UnboundedReceiver<Report>,
    pub control: Receiver<Control>,
    pub events: Sender<Event>,
    pub draining: BTreeMap<u64, Turn>,
    /// Why the run ends before its time.
    pub ending: Option<Ending>,
    /// Phase runs for which a worker has all its iterations done.
    pub done: BTreeMap<u64, usize>,
    /// Phase runs whose sources are settled.
    pub settled: Option<u64>,
    /// Workers whose users are prepared for a phase run.
    pub prepared: (u64, usize),
    /// Workers that failed.
    pub gone: BTreeSet<usize>,
    /// The last phase run that began.
    pub newest: Option<u64>,
    /// No phase begins any more.
    pub over: bool,
    /// The load stands still between two phases, until the next one begins, and what is under way is held.
    pub held: bool,
    /// The sets of the next phase, where the load stands still before it.
    pub ahead: Option<Vec<Arc<Set>>>,
    /// When what was held was let go of.
    pub let_go: Option<Instant>,
    /// What is under way is to be cut off.
    pub cut: bool,
}

/// A phase run on its way from its start to having drained.
pub(super) struct Turn {
    phase_run: Arc<PhaseRun>,
    /// Workers on which nothing of it is under way any more.
    drained: BTreeSet<usize>,
    /// Workers that will record nothing into it any more.
    released: BTreeSet<usize>,
    /// Whether it was reported that it has drained.
    reported: bool,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Until {
    /// A time.
    Time(Instant),
    /// A time, or that all iterations of a phase run are done.
    Iterations(Instant, u64),
    /// A time, or that all users are prepared for a phase run.
    Prepared(Instant, u64),
    /// That a phase run has drained and its sources are settled.
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
        let mut held: Option<Arc<PhaseRun>> = None;
        let repeats = match plan.repeat {
            Repeat::Times(times) => times,
            Repeat::Forever => u64::MAX,
        };
        'run: while repeat < repeats {
            for index in 0..plan.phases.len() {
                let phase = &plan.phases[index];
                let preparations = plan.preparations(phase, before);
                let (from, prepares) = (start, !preparations.is_empty());
                let phase_run = self.announce(&plan, index, start, number, preparations, None);
                number += 1;
                if prepares {
                    start = self.prepare(&phase_run, from).await;
                    if let Some(held) = held.take() {
                        self.over(&held, start).await;
                    }
                }
                if self.wait(Until::Time(start)).await == Woken::Ending {
                    self.over = true;
                    let prepared = prepares && from < start;
                    if self.held && !prepared {
                        // It never begins.
                        let _ = (phase_run.end.set(start), phase_run.gathers.set(repeat));
                        self.let_go(index, repeat, number).await;
                        break 'run;
                    }
                    if prepared {
                        // What its users did at their start is in its record, and what was held until then.
                        self.begun(&phase_run, repeat, start).await;
                    }
                    // A worker that hasn't begun it doesn't begin it; the phase before ends there all the same.
                    self.end(&phase_run, start, Vec::new(), false).await;
                    if self.held {
                        tokio::time::sleep_until(start.into()).await;
                        self.lets_go(start);
                    }
                    break 'run;
                }
                self.held = false;
                self.shared.lists.publish();
                self.shared.reach.phase_begins(|scenario| has_load(phase, scenario));
                self.begun(&phase_run, repeat, start).await;
                let full = start + phase.duration;
                let woken = self.wait(Until::Iterations(full - LEAD.min(phase.duration), phase_run.number)).await;
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
                    self.end(&phase_run, end, Vec::new(), false).await;
                    break 'run;
                } else if plan.observe.settle {
                    self.end(&phase_run, end, stay, true).await;
                    self.goes_ahead((index + 1) % plan.phases.len(), number);
                    self.held = true;
                    if self.wait(Until::Settled(phase_run.number)).await == Woken::Ending {
                        let wraps = index + 1 == plan.phases.len();
                        self.let_go((index + 1) % plan.phases.len(), repeat + u64::from(wraps), number).await;
                        break 'run;
                    }
                    start = Instant::now() + LEAD;
                } else if plan.preparations(next, before).is_empty() {
                    self.over(&phase_run, end).await;
                    start = end;
                } else {
                    if woken == Woken::Deadline && goes_on() {
                        held = Some(phase_run);
                    } else {
                        self.end(&phase_run, end, stay, false).await;
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
        gathers: Option<u64>,
    ) -> Arc<PhaseRun> {
        let phase = &plan.phases[index];
        let workers = self.shared.handles.len();
        let budget = |load: &Load| match load {
            Load::Closed { iterations: Some(Iterations::Total(total)), .. } => {
                Some(Arc::new(Budget::new(self.share.shard_part(*total), workers as u64)))
            }
            _ => None,
        };
        let prepares = !preparations.is_empty();
        let phase_run = Arc::new(PhaseRun {
            number,
            phase: index,
            begins: if prepares { OnceLock::new() } else { OnceLock::from(start) },
            latest: start + preparations.iter().map(|(_, one)| one.within).max().unwrap_or_default(),
            to_prepare: preparations.iter().map(|(_, one)| self.here(one.to) - self.here(one.from)).sum(),
            preparations,
            prepared: AtomicU64::new(0),
            end: OnceLock::new(),
            sets: self.ahead.take().unwrap_or_else(|| self.open(index)),
            budgets: phase.loads.iter().map(|(_, load)| budget(load)).collect(),
            gathers: gathers.map_or_else(OnceLock::new, OnceLock::from),
            counts_iterations: !phase.loads.is_empty()
                && phase.loads.iter().all(|(_, load)| matches!(load, Load::Closed { iterations: Some(_), .. })),
            in_transit: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        });
        let turn = Turn { phase_run: phase_run.clone(), drained: BTreeSet::new(), released: BTreeSet::new(), reported: false };
        self.draining.insert(number, turn);
        self.view.post(phase_run.clone());
        if prepares {
            self.broadcast(|| Command::Prepare { phase_run: phase_run.clone(), at: start });
        } else {
            self.broadcast(|| Command::Begin(phase_run.clone()));
        }
        phase_run
    }

    /// Ends a phase by an edge of its own, where no next phase begins at once.
    async fn end(&mut self, phase_run: &PhaseRun, at: Instant, stay: Vec<bool>, pause: bool) {
        self.broadcast(|| Command::Edge { at, stay: stay.clone(), pause });
        self.over(phase_run, at).await;
    }

    async fn over(&mut self, phase_run: &PhaseRun, at: Instant) {
        // Ended once only: here.
        let _ = phase_run.end.set(at);
        self.report(Event::PhaseEnded { phase_run: phase_run.number, at: self.view.wall(at) }).await;
    }

    fn is_draining(&self, number: u64) -> bool {
        self.draining.get(&number).is_some_and(|turn| !turn.reported)
    }

    fn is_done(&self, until: Until) -> bool {
        match until {
            Until::Time(_) => false,
            Until::Iterations(_, number) => self.done.get(&number) == Some(&self.shared.handles.len()),
            Until::Prepared(_, number) => self.prepared == (number, self.shared.handles.len()),
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
            Report::Drained { worker, phase_run } => {
                if let Some(turn) = self.draining.get_mut(&phase_run) {
                    turn.drained.insert(worker);
                }
                self.report_drained().await;
            }
            Report::Landed => self.report_drained().await,
            Report::Prepared { phase_run } => {
                let before = if self.prepared.0 == phase_run { self.prepared.1 } else { 0 };
                self.prepared = (phase_run, before + 1);
            }
            Report::IterationsDone { phase_run } => *self.done.entry(phase_run).or_default() += 1,
            Report::Released { worker, phase_run } => {
                if let Some(turn) = self.draining.get_mut(&phase_run) {
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
                    self.report_drained().await;
                }
            }
        }
    }

    fn obey(&mut self, control: Option<Control>) {
        match control {
            Some(Control::Settled { phase_run }) => self.settled = Some(phase_run),
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

    /// Waits for what drains, ends the workers, reports how it ended.
    async fn finish(mut self) {
        let mut reports_open = true;
        while self.draining.values().any(|turn| !turn.reported) && reports_open {
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
            turn.phase_run.sets.iter().for_each(|set| self.shared.store.retire(set.clone()));
        }
        let ending = self.ending.take().unwrap_or(Ending::Completed);
        self.report(Event::Finished(ending)).await;
    }

    fn broadcast(&self, command: impl Fn() -> Command) {
        for handle in &self.shared.handles {
            // A worker that is gone has reported why.
            let _ = handle.inbox.send(command());
        }
    }

    async fn report(&self, event: Event) {
        // Whoever no longer listens doesn't want to know.
        let _ = self.events.send(event).await;
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
