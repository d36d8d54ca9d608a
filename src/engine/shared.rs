//! What the workers and the coordinator of a run share. A request touches none of it, unless it had to wait in a queue.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::expr::Lists;
use crate::flow::UserParts;
use crate::measure::Store;
use crate::measure::process::ThreadClock;
use crate::plan::Plan;

use super::allocator::RowAllocator;
use super::arrival::WaitingRoom;
use super::backlog::Backlog;
use super::carried::{Carried, Options};
use super::command::Command;
use super::examples::Examples;
use super::reach::Reach;
use super::report::Report;

/// One for each run.
pub(super) struct RunShared {
    pub plan: Arc<Plan>,
    pub store: Arc<Store>,
    /// What the users of each scenario are made of.
    pub users: Vec<Arc<UserParts>>,
    /// The workers, by index.
    pub handles: Vec<WorkerHandle>,
    /// Arrivals that wait for a user, by scenario.
    pub waiting: Vec<WaitingRoom>,
    /// What pauses of the workers left behind, by scenario.
    backlogs: Vec<Mutex<Backlog>>,
    pub reports: UnboundedSender<Report>,
    pub examples: Examples,
    /// Which targets are away.
    pub reach: Reach,
    /// What users remember; each worker writes its own part.
    pub lists: Arc<Lists>,
    /// Which rows of data are left.
    pub allocator: Arc<RowAllocator>,
}

/// What comes to each worker, and what they report.
pub(super) type Inboxes = (Vec<UnboundedReceiver<Command>>, UnboundedReceiver<Report>);

impl RunShared {
    /// For a run that begins, with the other ends of its channels.
    pub fn new(plan: Arc<Plan>, store: Arc<Store>, options: Options, carried: &Carried) -> (Arc<Self>, Inboxes) {
        let workers = options.workers.max(1);
        let scenarios = plan.scenarios.len();
        let (report, reports) = unbounded_channel();
        let (inboxes, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded_channel()).unzip();
        let shared = Self {
            handles: inboxes.into_iter().map(|inbox| WorkerHandle::new(inbox, scenarios)).collect(),
            waiting: (0..scenarios).map(|_| WaitingRoom::default()).collect(),
            backlogs: (0..scenarios).map(|_| Mutex::default()).collect(),
            users: (0..scenarios).map(|scenario| Arc::new(carried.shared(&plan, options, scenario))).collect(),
            reports: report,
            examples: Examples::default(),
            reach: Reach::new(&plan, workers),
            lists: carried.lists.clone(),
            allocator: Arc::new(RowAllocator::new(&plan.data, workers)),
            plan,
            store,
        };
        (Arc::new(shared), (receivers, reports))
    }

    /// The queue of a scenario.
    pub fn backlog(&self, scenario: usize) -> MutexGuard<'_, Backlog> {
        // A panic while it was held can't have left it half changed.
        self.backlogs[scenario].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker as others see it.
pub(super) struct WorkerHandle {
    pub inbox: UnboundedSender<Command>,
    scenarios: Box<[FreeUsers]>,
    /// What the worker's clock shows, which stands still where the worker does; in nanoseconds.
    pub shows: AtomicU64,
    /// The clock of its thread, where there is one; the worker sets it as it begins.
    pub clock: OnceLock<ThreadClock>,
}

impl WorkerHandle {
    pub fn new(inbox: UnboundedSender<Command>, scenarios: usize) -> Self {
        Self {
            inbox,
            scenarios: (0..scenarios).map(|_| FreeUsers::default()).collect(),
            shows: AtomicU64::new(0),
            clock: OnceLock::new(),
        }
    }

    /// The processor time that the worker's thread has used.
    pub fn cpu(&self) -> Option<Duration> {
        self.clock.get().map(|clock| clock.read())
    }

    /// The worker's users of a scenario, as others see them.
    pub fn scenario(&self, scenario: usize) -> &FreeUsers {
        &self.scenarios[scenario]
    }
}

/// A worker's users of one scenario, as others see them; on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct FreeUsers {
    /// Users that are free or could be created, less those that were claimed.
    free: AtomicI64,
}

impl FreeUsers {
    /// Claims a free user, for this worker or by a sibling.
    ///
    /// A user that becomes free says so before it looks who waits, and who begins to wait says so before looking for a free
    /// user: of two that do so at once at least one sees the other, which takes sequential consistency.
    pub fn claim(&self) -> bool {
        let mut free = self.free.load(Ordering::SeqCst);
        while free > 0 {
            match self.free.compare_exchange_weak(free, free - 1, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return true,
                Err(now) => free = now,
            }
        }
        false
    }

    /// A user became free.
    pub fn add_free(&self) {
        self.free.fetch_add(1, Ordering::SeqCst);
    }

    /// Starts counting anew with a phase.
    pub fn reset_free(&self, free: u64) {
        self.free.store(free as i64, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_claims_succeed_as_users_are_free() {
        let berth = FreeUsers::default();
        berth.reset_free(1000);
        let claims: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..400).filter(|_| berth.claim()).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(claims, 1000);
        berth.add_free();
        assert!(berth.claim() && !berth.claim());
    }
}
