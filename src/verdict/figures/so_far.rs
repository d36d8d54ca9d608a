//! What is under way at the end of a part of a phase: nobody waits for it there, and the load goes on.
//!
//! It counts where it ends. But what has lasted as long as the objective is surely longer, and counts at each end of a part that it
//! comes to; what is younger may yet end in time.

use super::Figures;
use crate::measure::{Open, Sparse};
use crate::verdict::requirement::{Measure, Requirement};

impl Figures {
    /// Takes up what is under way.
    pub(super) fn goes_on(&mut self, open: &Open) {
        self.open += open.under_way();
        self.lasting.extend(&open.lasting);
    }

    /// Forgets since when things are under way.
    pub(in crate::verdict) fn forget_lasting(&mut self) {
        self.lasting = Vec::new();
    }

    /// The same as a requirement sees it that is judged while the load goes on.
    pub(in crate::verdict) fn so_far(&self, requirement: &Requirement) -> Self {
        let mut so_far = self.clone();
        so_far.partial = true;
        let bound = match requirement.measure {
            Measure::Within(bound) => bound,
            Measure::Quantile(_) | Measure::Mean | Measure::Max => requirement.objective,
            _ => return so_far,
        };
        let times = [&self.good, &self.timed_out, &self.cut_off].map(|times| &times.most);
        let mut longer = times.into_iter().find(|times| !times.is_empty()).map(Sparse::emptied).unwrap_or_default();
        for (nanoseconds, count) in &self.lasting {
            if (*nanoseconds as f64 / 1e9) < bound {
                so_far.young += count;
                continue;
            }
            so_far.all += count;
            so_far.interrupted += count;
            if !self.of_service {
                longer.put(*nanoseconds, *count);
            }
        }
        so_far.cut_off.most.add(&longer);
        so_far
    }

    /// Whether the target is why there is so little in a part of so many seconds: at least half of it has no answer, and has waited for
    /// one as long as that together.
    pub(in crate::verdict) fn is_kept_waiting(&self, seconds: f64) -> bool {
        let given_up = [&self.timed_out, &self.cut_off].map(|times| times.least());
        let going_on: u64 = self.lasting.iter().map(|(_, count)| count).sum();
        let unanswered = given_up.iter().map(Sparse::count).sum::<u64>() + going_on;
        let waited = given_up.iter().map(Sparse::sum).sum::<f64>()
            + self.lasting.iter().map(|(nanoseconds, count)| *nanoseconds as f64 / 1e9 * *count as f64).sum::<f64>();
        unanswered > 0 && 2 * unanswered >= self.all + going_on && waited >= seconds
    }
}
