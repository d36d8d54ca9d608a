//! What `/metrics` shows of one profile: what is measured, and the rows of the present or the last run.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counters::{CounterRow, SourceReport};
use crate::measure::series::TARGET_ROWS;
use crate::measure::{PhaseId, Store};
use crate::verdict::SloResult;

/// See the module.
#[derive(Debug)]
pub struct Shown {
    /// What is measured.
    pub store: Arc<Store>,
    rows: Mutex<Rows>,
}

/// Rows that others made.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Requirements, as far as they are known.
    pub slos: Vec<SloResult>,
    /// The target's own series around a phase, by the phase's name.
    pub targets: Vec<(String, CounterRow)>,
    /// Sources of counters, and whether each could be read last time.
    pub sources: Vec<(String, bool)>,
}

impl Deref for Shown {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Shown {
    /// Nothing but what the store has.
    pub fn new(store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { store, rows: Mutex::default() })
    }

    pub(super) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins (Unix seconds): what is left of the last one is cleared, but for the rows of SLOs that are asked for again.
    pub fn begin_run(&self, at: f64, asked: &[SloResult]) {
        let mut rows = self.rows();
        let slos = asked.iter().map(|row| rows.slos.iter().find(|old| is_same(old, row)).unwrap_or(row).clone()).collect();
        *rows = Rows { slos, ..Rows::default() };
        self.store.gauges.begin_run(at);
    }

    /// Sets rows of SLOs as they stand while their phase goes on: one that says nothing yet leaves what the last run came to.
    pub fn follow_slos<'a>(&self, results: impl IntoIterator<Item = &'a SloResult>) {
        let says = |row: &&SloResult| row.met.is_some() || [row.value, row.least, row.most].iter().any(Option::is_some);
        self.set_slos(results.into_iter().filter(says));
    }

    /// Sets rows of SLOs; those with the same SLO, phase and requirement are replaced.
    pub fn set_slos<'a>(&self, results: impl IntoIterator<Item = &'a SloResult>) {
        let slos = &mut self.rows().slos;
        for row in results {
            match slos.iter_mut().find(|old| is_same(old, row)) {
                Some(old) => old.clone_from(row),
                None => slos.push(row.clone()),
            }
        }
    }

    /// Sets the rows of the target's counters around a phase, in place of what that phase had. Answers how many were left out,
    /// since a profile shows [`TARGET_ROWS`] at most.
    pub fn set_targets(&self, phase: PhaseId, rows: &[CounterRow]) -> usize {
        let name = &self.store.layout().phases[phase.index()];
        let targets = &mut self.rows().targets;
        targets.retain(|(of, _)| of != name);
        let there = || rows.iter().filter(|row| !row.source.is_empty());
        let room = TARGET_ROWS.saturating_sub(targets.len());
        targets.extend(there().take(room).map(|row| (name.clone(), row.clone())));
        there().count().saturating_sub(room)
    }

    /// Sets whether the sources of counters could be read last time.
    pub fn set_sources(&self, reports: &[SourceReport]) {
        let sources = &mut self.rows().sources;
        for report in reports {
            let success = report.error.is_none();
            match sources.iter_mut().find(|(name, _)| *name == report.name) {
                Some(known) => known.1 = success,
                None => sources.push((report.name.clone(), success)),
            }
        }
    }
}

/// Whether two rows are of the same SLO, phase and requirement.
fn is_same(one: &SloResult, other: &SloResult) -> bool {
    (&one.name, &one.phase, &one.requirement) == (&other.name, &other.phase, &other.requirement)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{counter_row, slo_result};
    use super::*;
    use crate::measure::Layout;

    fn shown() -> Arc<Shown> {
        Shown::new(Store::new(Arc::new(Layout { phases: vec!["steady".into(), "spike".into()], ..Layout::default() })))
    }

    #[test]
    fn rows_are_replaced_and_bounded() {
        let shown = shown();
        let row = |requirement: &str, value| SloResult { requirement: requirement.into(), value, ..slo_result() };
        shown.set_slos(&[row("p95 < 150ms", None), row("p99 < 350ms", None)]);
        shown.set_slos(&[row("p95 < 150ms", Some(0.1))]);
        assert_eq!(shown.rows().slos.iter().map(|row| row.value).collect::<Vec<_>>(), [Some(0.1), None]);
        let nowhere = CounterRow { source: String::new(), ..counter_row() };
        assert_eq!(shown.set_targets(PhaseId(0), &[vec![counter_row(); 700], vec![nowhere]].concat()), 0);
        assert_eq!(shown.set_targets(PhaseId(1), &vec![counter_row(); 700]), 400);
        assert_eq!(shown.rows().targets.len(), TARGET_ROWS);
        assert_eq!(shown.set_targets(PhaseId(0), &[counter_row()]), 0);
        assert_eq!(shown.rows().targets.len(), 301);
        shown.begin_run(1.0, &[]);
        assert!(shown.rows().slos.is_empty() && shown.rows().targets.is_empty());
    }

    #[test]
    fn what_the_last_run_came_to_stands_until_it_is_judged_anew() {
        let shown = shown();
        let row = |requirement: &str, value, met| SloResult { requirement: requirement.into(), value, met, ..slo_result() };
        let unknown = |requirement| SloResult { least: None, most: None, ..row(requirement, None, None) };
        let rows = || shown.rows().slos.iter().map(|row| (row.requirement.clone(), row.value, row.met)).collect::<Vec<_>>();
        let is = |requirement: &str, value, met| (requirement.to_owned(), value, met);
        shown.set_slos(&[row("hits > 1%", Some(0.0), Some(false)), row("gone < 1s", Some(2.0), Some(false))]);
        // The next run asks for something else beside it.
        shown.begin_run(1.0, &[unknown("hits > 1%"), unknown("p95 < 1s")]);
        assert_eq!(rows(), [is("hits > 1%", Some(0.0), Some(false)), is("p95 < 1s", None, None)]);
        // Only its end can show the one.
        shown.follow_slos(&[unknown("hits > 1%"), row("p95 < 1s", Some(0.5), Some(true))]);
        assert_eq!(rows(), [is("hits > 1%", Some(0.0), Some(false)), is("p95 < 1s", Some(0.5), Some(true))]);
        // The end of the phase replaces it, also where it isn't known what it came to.
        shown.set_slos(&[unknown("hits > 1%")]);
        assert_eq!(rows()[0], is("hits > 1%", None, None));
    }
}
