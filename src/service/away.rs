//! Targets and sources that are away while the load goes on: told once when they go and once when they are back, and kept for the record.

use crate::base::Away;
use crate::base::figures::seconds;
use crate::engine::Board;

use super::conduct::{Conduct, Update};

/// How many are kept for the record; more than that are only told.
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
}

impl Conduct {
    /// Looks at what has gone, and at what is back.
    pub(super) fn look_for_away(&mut self, board: &Board, update: &mut (dyn FnMut(Update<'_>) + Send)) {
        let sources = self.observer.as_ref().map(|observer| observer.away()).unwrap_or_default();
        for mut away in board.away().into_iter().chain(sources) {
            away.what = self.plan.secrets.redact_own(&away.what).into_owned();
            away.cause = self.plan.secrets.redact_own(&away.cause).into_owned();
            let present = &mut self.away.present;
            let known = present.iter().position(|other| (&other.what, other.since) == (&away.what, away.since));
            if known.is_none() {
                // What is done about a place is said of the scenarios that load it.
                match away.action.as_deref() {
                    Some(action) => tracing::warn!(profile = %self.plan.name, since = away.since, action, "{away}"),
                    None => tracing::warn!(profile = %self.plan.name, since = away.since, "{away}"),
                }
                update(Update::Say(format!("{away}")));
            }
            let Some(until) = away.until else {
                if known.is_none() {
                    present.push(away);
                }
                continue;
            };
            if let Some(known) = known {
                // As it was told: what is asked for now may have another cause.
                away.cause = present.remove(known).cause;
            }
            let took = seconds(Some(until - away.since));
            tracing::info!(profile = %self.plan.name, "{} was away for {took}: {}", away.what, away.cause);
            update(Update::Say(format!("{} was away for {took}", away.what)));
            if self.away.past.len() < KEPT {
                self.away.past.push(away);
            }
        }
    }
}
