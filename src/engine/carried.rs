//! What a run brings along: how this machine carries it out, and what it keeps from its set-up to its teardown.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use crate::expr::{self, Lists, Shortfall, Symbol, Value};
use crate::flow::{Sequences, UserParts};
use crate::measure::Clock;
use crate::plan::Plan;

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
    /// The clock of its edges, its readings and its record; what happened to a single request has the wall clock's time.
    pub clock: Clock,
    /// What steps remember. Each worker has a part of its own, and so has what is done once for the run.
    pub lists: Arc<Lists>,
    /// The variables that set-up left.
    pub setup: Vec<(Symbol, Value)>,
    /// This run's totals, for `metric(name)`, once they are final.
    pub metrics: Option<BTreeMap<String, f64>>,
    /// This run's totals, for `lost(step)`, once they are final.
    pub lost: Option<BTreeMap<String, u64>>,
    /// By how much these may be off.
    pub shortfall: Arc<Shortfall>,
}

impl Carried {
    /// What a run begins with: empty lists.
    pub fn new(plan: &Plan, options: Options) -> Self {
        Self { lists: Lists::new(plan.lists.clone(), options.workers.max(1) + 1), ..Self::default() }
    }

    /// What all users of a scenario (or of a hook) share.
    pub(super) fn shared(&self, plan: &Plan, options: Options, scenario: usize) -> UserParts {
        UserParts {
            shared: Arc::new(expr::ScenarioValues {
                seed: plan.seed,
                scenario: scenario as u64,
                shard: options.shard,
                env: plan.env.clone(),
                vars: plan.vars.clone(),
                setup: self.setup.clone(),
                lists: self.lists.clone(),
                metrics: self.metrics.clone(),
                lost: self.lost.clone(),
                shortfall: self.shortfall.clone(),
            }),
            sequences: Arc::new(Sequences::new(plan.layout.messages.len())),
        }
    }
}
