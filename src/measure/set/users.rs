//! The time of closed users: how long they were wanted, and how much of that is missing.

use super::Set;
use crate::measure::layout::ScenarioId;

impl Set {
    /// Closed users were wanted, together for so many nanoseconds. To be called before [`Set::absent`].
    pub fn wanted(&self, scenario: ScenarioId, nanoseconds: u64) {
        self.scenarios[scenario.index()].wanted.add(nanoseconds);
    }

    /// Closed users that the load wanted were missing, together for so many nanoseconds, and for so many of these since they waited for what
    /// they had asked for in an earlier phase.
    pub fn absent(&self, scenario: ScenarioId, nanoseconds: u64, hung: u64) {
        let cell = &self.scenarios[scenario.index()];
        cell.absent.add(nanoseconds);
        cell.hung.add(hung);
    }

    /// Of closed users that were absent nothing is missing after all, for so many nanoseconds: others have done what was theirs.
    pub fn made_up(&self, scenario: ScenarioId, nanoseconds: u64, hung: u64) {
        let cell = &self.scenarios[scenario.index()];
        cell.hung.take_back(hung);
        cell.absent.take_back(nanoseconds);
    }

    /// The worker stood still, and held closed users up for so many nanoseconds together.
    pub fn held(&self, scenario: ScenarioId, nanoseconds: u64) {
        self.scenarios[scenario.index()].held.add(nanoseconds);
    }

    /// Closed users were held back because their target was away, together for so many nanoseconds.
    pub fn held_back(&self, scenario: ScenarioId, nanoseconds: u64) {
        self.scenarios[scenario.index()].held_back.add(nanoseconds);
    }
}
