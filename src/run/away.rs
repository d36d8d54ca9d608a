//! Targets and sources that are away while the load goes on: reported once when they go and once when they are back, and kept for the record.

use crate::base::Away;
use crate::base::figures::seconds;
use crate::plan::Plan;

use super::update::{SAID, Update};

/// How many are kept for the record; more than that are only reported.
const KEPT: usize = 1000;

/// What is away, and what was.
#[derive(Default)]
pub(super) struct AwayNow {
    /// What is away.
    pub present: Vec<Away>,
    /// What is back.
    past: Vec<Away>,
}

impl AwayNow {
    /// All of it, in the order of its times.
    pub fn all(&mut self) -> Vec<Away> {
        let mut all = std::mem::take(&mut self.past);
        all.append(&mut self.present);
        all.sort_by(|a, b| a.since.total_cmp(&b.since));
        all
    }

    /// Looks at what has gone, and at what is back.
    pub fn look(&mut self, plan: &Plan, found: impl Iterator<Item = Away>, update: &mut (dyn FnMut(Update<'_>) + Send)) {
        for mut away in found {
            away.what = plan.secrets.redact_own(&away.what).into_owned();
            away.cause = plan.secrets.redact_own(&away.cause).into_owned();
            let present = &mut self.present;
            let known = present.iter().position(|other| (&other.what, other.since) == (&away.what, away.since));
            // Reported once more where the run begins to do something about it.
            if known.is_none_or(|known| present[known].action != away.action) {
                // What is done about a place is said of the scenarios that load it.
                match away.action.as_deref() {
                    Some(action) => tracing::warn!(target: SAID, profile = %plan.name, since = away.since, action, "{away}"),
                    None => tracing::warn!(target: SAID, profile = %plan.name, since = away.since, "{away}"),
                }
                update(Update::Say(format!("{away}")));
            }
            let Some(until) = away.until else {
                match known {
                    Some(known) => present[known].action = away.action,
                    None => present.push(away),
                }
                continue;
            };
            if let Some(known) = known {
                // As it was reported: what is asked for now may have another cause.
                away.cause = present.remove(known).cause;
            }
            let took = seconds(Some(until - away.since));
            tracing::info!(target: SAID, profile = %plan.name, "{} was away for {took}: {}", away.what, away.cause);
            update(Update::Say(format!("{} was away for {took}", away.what)));
            if self.past.len() < KEPT {
                self.past.push(away);
            }
        }
    }
}
