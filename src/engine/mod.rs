//! Carries out a plan: workers, their virtual users, and the coordinator that leads them from phase to phase.
//!
//! - [`start`] makes the workers (a thread each) and the coordinator (a task), and hands back a [`Run`].
//! - A worker's loop is its pacer: it comes to each edge, level and arrival when it is due (`worker`), and gives the work
//!   to the users of a pool (`pool`), each a task of its own (`user`). They record into the worker's set of the phase
//!   through `sink`, without a lock.
//! - The coordinator publishes the edges ahead and gathers what is drained (`coordinator`). Workers and coordinator
//!   exchange edges and news only (`report`).
//!
//! Set-up, verify and teardown are done by one user on a thread of its own ([`stage`]).
//!
//! At any moment, for each phase and scenario: arrivals due = started + dropped + cancelled + waiting; at the end of a
//! phase's drain nothing waits.

mod activation;
mod arrival;
mod aside;
mod backlog;
mod board;
mod context;
mod coordinator;
mod event;
mod examples;
mod gaps;
mod gate;
mod picker;
mod place;
mod pool;
mod pulse;
mod reach;
mod report;
mod shared;
mod sink;
mod stage;
mod stock;
mod timer;
mod user;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::expr::{self, Lists, Symbol, Value};
use crate::flow::{Sequences, UserParts};
use crate::load::Share;
use crate::measure::Store;
use crate::plan::Plan;

pub use board::{Board, PhaseNow, Preparing, ScenarioNow};
pub use event::{Control, Ending, Event};
pub use examples::ErrorExample;
pub use stage::{StageEnd, StageHow, StageOrder, StageRun, stage};

use coordinator::Coordinator;
use shared::Shared;

/// How many events may wait for their reader; phases are slower than that.
const EVENTS: usize = 64;

/// How a run is carried out on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads that generate load; the same number on every shard.
    pub workers: usize,
    /// This generator's place among those that share the run, from 0.
    pub shard: u64,
    /// How many generators share the run.
    pub shards: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: std::thread::available_parallelism().map_or(1, NonZero::get), shard: 0, shards: 1 }
    }
}

/// What a run shares from its set-up to its teardown.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// What steps remember. Each worker has a part of its own, and so has what is done once for the run.
    pub lists: Arc<Lists>,
    /// The variables that set-up left.
    pub setup: Vec<(Symbol, Value)>,
    /// This run's totals, for `metric(name)`, once they are final.
    pub metrics: Option<BTreeMap<String, f64>>,
    /// This run's totals, for `lost(step)`, once they are final.
    pub lost: Option<BTreeMap<String, u64>>,
}

impl Carried {
    /// What a run begins with: empty lists.
    pub fn new(plan: &Plan, options: Options) -> Self {
        Self { lists: Lists::new(plan.lists.clone(), options.workers.max(1) + 1), ..Self::default() }
    }

    /// What all users of a scenario (or of a stage) share.
    fn shared(&self, plan: &Plan, options: Options, scenario: usize) -> UserParts {
        UserParts {
            shared: Arc::new(expr::Shared {
                seed: plan.seed,
                scenario: scenario as u64,
                shard: options.shard,
                env: plan.env.clone(),
                vars: plan.vars.clone(),
                setup: self.setup.clone(),
                lists: self.lists.clone(),
                metrics: self.metrics.clone(),
                lost: self.lost.clone(),
            }),
            sequences: Arc::new(Sequences::new(plan.layout.messages.len())),
        }
    }
}

/// A run under way.
pub struct Run {
    /// Its news, in order; [`Event::Finished`] is the last.
    pub events: mpsc::Receiver<Event>,
    /// Tells it what to do. Once all senders are gone it stops gracefully.
    pub control: mpsc::Sender<Control>,
    /// What can be seen of it.
    pub board: Board,
}

/// Starts a run on the current runtime, recording into `store`.
///
/// # Errors
/// A worker's thread or runtime can't be had.
pub fn start(plan: Arc<Plan>, store: Arc<Store>, options: Options, carried: &Carried) -> io::Result<Run> {
    let workers = options.workers.max(1);
    let (shared, (receivers, reports)) = Shared::new(plan, store, options, carried);
    let share = |worker: usize| Share {
        shard: options.shard,
        shards: options.shards.max(1),
        worker: worker as u64,
        workers: workers as u64,
    };
    let (control, orders) = mpsc::channel(EVENTS);
    let (event, events) = mpsc::channel(EVENTS);
    let board = Board::new(shared.clone());
    let mut coordinator = Coordinator {
        shared: shared.clone(),
        board: board.clone(),
        share: share(0),
        threads: Vec::new(),
        reports,
        control: orders,
        events: event,
        draining: BTreeMap::new(),
        ending: None,
        done: BTreeMap::new(),
        settled: None,
        prepared: (0, 0),
        gone: BTreeSet::new(),
        newest: None,
        over: false,
    };
    for (worker, inbox) in receivers.into_iter().enumerate() {
        // If one can't be had, those before it end with the coordinator.
        coordinator.threads.push(worker::spawn(worker, share(worker), shared.clone(), inbox)?);
    }
    tokio::spawn(coordinator.run());
    Ok(Run { events, control, board })
}
