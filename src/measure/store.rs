//! What has been recorded of one loaded profile, for the process' life.
//!
//! Each phase has its sets that are live and the totals of those that have retired. A set moves from the one to the other under
//! the phase's lock, which readers hold too: whoever reads sees it in exactly one of them, so that no counter ever goes back.
//! Workers don't take the lock when they record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::gauges::Gauges;
use super::layout::{Layout, PhaseId, StepId};
use super::set::{Set, Shapes};
use super::totals::Totals;

/// How many different status codes a step may show in one phase; what comes after them is `other`. A server that answers with
/// every code there is must not become 500 series.
pub const CODES: usize = 20;

/// One profile's recorders, totals and gauges.
#[derive(Debug)]
pub struct Store {
    layout: Arc<Layout>,
    shapes: Arc<Shapes>,
    phases: Vec<Mutex<Phase>>,
    /// What shows the present or the last run.
    pub gauges: Arc<Gauges>,
}

#[derive(Debug)]
struct Phase {
    retired: Totals,
    live: Vec<Arc<Set>>,
    /// The status codes that have a series of their own, by step, in the order of their first being seen.
    codes: Vec<Vec<u16>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// An empty store for a profile that was loaded.
    pub fn new(layout: Arc<Layout>) -> Arc<Self> {
        let phase = || {
            let codes = vec![Vec::new(); layout.steps.len()];
            Mutex::new(Phase { retired: Totals::empty(&layout), live: Vec::new(), codes })
        };
        Arc::new(Self {
            shapes: Arc::new(Shapes::new(&layout)),
            phases: layout.phases.iter().map(|_| phase()).collect(),
            gauges: Arc::new(Gauges::new(layout.clone())),
            layout,
        })
    }

    /// The label sets.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The buckets of the histograms.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// A set for one worker to record a phase in. It counts from now on, and until the end if it is never retired.
    pub fn open(&self, phase: PhaseId) -> Arc<Set> {
        let set = Arc::new(Set::new(phase, self.layout.clone(), self.shapes.clone(), self.gauges.clone()));
        lock(&self.phases[phase.index()]).live.push(set.clone());
        set
    }

    /// Takes a set back after drain: its counts stay, its memory goes. What is recorded in it afterwards is lost.
    pub fn retire(&self, set: Arc<Set>) {
        let mut phase = lock(&self.phases[set.phase().index()]);
        if let Some(i) = phase.live.iter().position(|live| Arc::ptr_eq(live, &set)) {
            let totals = set.totals();
            phase.retired.add(&totals);
            phase.live.swap_remove(i);
        }
    }

    /// Everything recorded in a phase so far, over all runs since the profile was loaded.
    pub fn totals(&self, phase: PhaseId) -> Totals {
        let phase = lock(&self.phases[phase.index()]);
        let mut totals = phase.retired.clone();
        for set in &phase.live {
            totals.add(&set.totals());
        }
        totals
    }

    /// Which of a step's status codes have series of their own in a phase: the first [`CODES`] that came, for good, so that no
    /// series ever goes back. `codes` are those seen by now.
    pub fn admit_codes(&self, phase: PhaseId, step: StepId, codes: impl Iterator<Item = u16>) -> Vec<u16> {
        let mut phase = lock(&self.phases[phase.index()]);
        let admitted = &mut phase.codes[step.index()];
        for code in codes {
            if code != 0 && admitted.len() < CODES && !admitted.contains(&code) {
                admitted.push(code);
            }
        }
        admitted.clone()
    }
}
