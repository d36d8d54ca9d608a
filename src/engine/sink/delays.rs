//! By how much the generator itself made longer what its users did.

use std::time::{Duration, Instant};

use super::UserSink;
use crate::base::units::nanos;
use crate::engine::backlog;

/// A lag of so few nanoseconds is none: what lies between two iterations of a closed user takes up to that, and no histogram shows it
/// in a time above 2 ms.
const LEAST_LAG: u64 = 10_000;
/// Longer than anything lasts.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

impl UserSink {
    /// What was due at `since` began only at `began`, and the generator is to blame for `lag` of that. What was due with it is longer
    /// by that.
    pub fn lagged(&self, since: Instant, began: Instant, lag: Duration) {
        let own = nanos(lag).saturating_sub(self.delay(since, began));
        if own > LEAST_LAG {
            self.lags.borrow_mut().add(since, began, own);
        }
    }

    /// What was due then waited in a queue, for a user or a shared connection, until `until`. Answers how much of that a pause of the
    /// generator left behind.
    pub fn queued(&self, due: Instant, until: Instant) -> Duration {
        let ctx = &self.pool.ctx;
        if until.saturating_duration_since(due) < backlog::LEAST {
            return Duration::ZERO;
        }
        // Before the lock: whoever learns of a pause informs this queue, too.
        ctx.beat(Instant::now());
        ctx.shared.backlog(self.pool.scenario).waited(due, until, |from, to| ctx.pulse.paused_within(from, to))
    }

    /// By how much the generator may have made longer what lasted from `from` to `to`, in nanoseconds: it began late, or the worker
    /// stood still.
    pub fn delay(&self, from: Instant, to: Instant) -> u64 {
        self.pool.ctx.paused_within(from, to) + self.lags.borrow().within(from, to)
    }

    /// Since when what was due at `due` counts as under way, by the worker's clock: what the generator held it up is none of its time.
    pub fn counts_since(&self, due: Instant) -> u64 {
        self.pool.ctx.pulse.clock(due) + self.lags.borrow().within(due, due + FOR_EVER)
    }
}
