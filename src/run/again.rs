//! What a stored run left is shown again after the daemon came back.

use crate::exposition::Shown;
use crate::record::Run;
use crate::verdict::SloResult;

use super::phase_book;
use crate::plan::Plan;

/// Shows the verdict of a run that was stored before, and the rows of those of its SLOs that the profile still has.
pub fn show_again(plan: &Plan, store: &Shown, run: &Run) {
    let asked = phase_book::objectives(plan);
    let same = |row: &&SloResult| {
        asked.iter().any(|asked| (&asked.name, &asked.phase, &asked.requirement) == (&row.name, &row.phase, &row.requirement))
    };
    let rows = run.phases.iter().flat_map(|phase| &phase.slos).chain(&run.slos);
    store.set_slos(rows.filter(same));
    store.gauges.set_verdict(run.verdict);
}
