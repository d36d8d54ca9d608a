//! Carries out a plan: workers, their virtual users, and the coordinator that leads them from phase to phase.
//!
//! - [`start`] makes the workers (a thread each) and the coordinator (a task), and hands back a [`Run`].
//! - A worker's loop is its pacer: it comes to each edge, level and arrival when it is due (`worker`), and gives the work
//!   to the users of a pool (`pool`), each a task of its own (`user`). They record into the worker's set of the phase
//!   through `sink`, without a lock.
//! - The coordinator publishes the edges ahead and gathers what is drained (`coordinator`). Workers and coordinator
//!   exchange edges and news only (`command`, `report`).
//!
//! Set-up, verify and teardown are done by one user on a thread of its own ([`hook`]).
//!
//! At any moment, for each phase and scenario: arrivals due = started + dropped + cancelled + waiting; at the end of a
//! phase's drain nothing waits.

mod allocator;
mod arrival;
mod aside;
mod backlog;
mod carried;
mod command;
mod context;
mod coordinator;
mod event;
mod examples;
mod gaps;
mod gate;
mod hook;
mod overheard;
mod phase_run;
mod picker;
mod place;
mod pool;
mod pulse;
mod reach;
mod report;
mod shared;
mod sink;
mod slot;
mod timer;
mod user;
mod view;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::load::Share;
use crate::measure::Store;
use crate::plan::Plan;

pub use carried::{Carried, Options};
pub use event::{Control, Ending, Event};
pub use examples::ErrorExample;
pub use hook::{HookEnd, HookHow, HookOrder, HookRun, hook};
pub use view::{PhaseNow, Preparing, RunView, ScenarioNow};

use coordinator::Coordinator;
use shared::RunShared;

/// How many events may wait for their reader; phases are slower than that.
const EVENTS: usize = 64;

/// A run under way.
pub struct Run {
    /// Its news, in order; [`Event::Finished`] is the last.
    pub events: mpsc::Receiver<Event>,
    /// Takes requests. Once all senders are gone it stops gracefully.
    pub control: mpsc::Sender<Control>,
    /// What can be seen of it.
    pub view: RunView,
}

/// Starts a run on the current runtime, recording into `store`.
///
/// # Errors
/// A worker's thread or runtime can't be had.
pub fn start(plan: Arc<Plan>, store: Arc<Store>, options: Options, carried: &Carried) -> io::Result<Run> {
    let workers = options.workers.max(1);
    let (shared, (receivers, reports)) = RunShared::new(plan, store, options, carried);
    let share = |worker: usize| Share {
        shard: options.shard,
        shards: options.shards.max(1),
        worker: worker as u64,
        workers: workers as u64,
    };
    let (control, orders) = mpsc::channel(EVENTS);
    let (event, events) = mpsc::channel(EVENTS);
    let view = RunView::new(shared.clone(), carried.clock);
    let mut coordinator = Coordinator {
        shared: shared.clone(),
        view: view.clone(),
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
        held: false,
        ahead: None,
        let_go: None,
        cut: false,
    };
    for (worker, inbox) in receivers.into_iter().enumerate() {
        // If one can't be had, those before it end with the coordinator.
        coordinator.threads.push(worker::spawn(worker, share(worker), shared.clone(), inbox)?);
    }
    tokio::spawn(coordinator.run());
    Ok(Run { events, control, view })
}
