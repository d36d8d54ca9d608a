//! Exemplars: for each step, phase and outcome a few single requests with the trace that they were sent with, so that a
//! histogram's outliers can be followed into the target.
//!
//! One for each power of two that a response time can lie between, the newest, at most one a second: the slow ones, which are
//! few, stay while the quick ones come and go. The table is as large as the layout and no larger, and only there where the
//! profile sends traces.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::hist::CLASSIC;
use super::layout::{Layout, PhaseId, StepId};
use crate::base::Outcome;
use crate::base::trace::TraceId;

/// The classic buckets of durations: one for each of their bounds, and one for what lies above the last.
const SLOTS: usize = (*CLASSIC.end() - *CLASSIC.start() + 2) as usize;

/// One request that was measured, and its trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The trace that it was sent with.
    pub trace: TraceId,
    /// Its response time in seconds.
    pub value: f64,
    /// When it ended (Unix seconds).
    pub at: f64,
}

/// The exemplars of one profile.
#[derive(Debug)]
pub struct Exemplars {
    steps: usize,
    cells: Vec<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    /// The second in which each slot was written last, so that the lock is taken once a second at most.
    written: [AtomicU64; SLOTS],
    slots: Mutex<[Option<Exemplar>; SLOTS]>,
}

/// Which slot a response time in seconds belongs to.
fn slot(value: f64) -> usize {
    let exponent = value.max(f64::MIN_POSITIVE).log2().ceil() - f64::from(*CLASSIC.start());
    exponent.clamp(0.0, (SLOTS - 1) as f64) as usize
}

impl Exemplars {
    /// An empty table; without a cell where the profile sends no traces.
    pub fn new(layout: &Layout) -> Self {
        let cells = if layout.trace { layout.phases.len() * layout.steps.len() * Outcome::COUNT } else { 0 };
        Self { steps: layout.steps.len(), cells: std::iter::repeat_with(Cell::default).take(cells).collect() }
    }

    fn cell(&self, phase: PhaseId, step: StepId, outcome: Outcome) -> Option<&Cell> {
        self.cells.get((phase.index() * self.steps + step.index()) * Outcome::COUNT + outcome.index())
    }

    /// Offers a request; it is kept if none of about its length was in the same second.
    pub fn offer(&self, phase: PhaseId, step: StepId, outcome: Outcome, exemplar: Exemplar) {
        let Some(cell) = self.cell(phase, step, outcome) else { return };
        let slot = slot(exemplar.value);
        let second = exemplar.at as u64;
        if cell.written[slot].swap(second, Ordering::Relaxed) != second {
            cell.slots.lock().unwrap_or_else(PoisonError::into_inner)[slot] = Some(exemplar);
        }
    }

    /// The exemplars of a step in a phase, the shortest response time first.
    pub fn of(&self, phase: PhaseId, step: StepId, outcome: Outcome) -> Vec<Exemplar> {
        let Some(cell) = self.cell(phase, step, outcome) else { return Vec::new() };
        let slots = cell.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{ScenarioId, ScenarioLayout, StepLayout};
    use super::*;
    use crate::base::Protocol;

    fn layout(trace: bool) -> Layout {
        Layout {
            phases: vec!["a".into(), "b".into()],
            scenarios: vec![ScenarioLayout::new("s")],
            steps: vec![StepLayout::new(ScenarioId(0), "x", Protocol::Http), StepLayout::new(ScenarioId(0), "y", Protocol::Http)],
            trace,
            ..Layout::default()
        }
    }

    fn exemplar(value: f64, at: f64) -> Exemplar {
        Exemplar { trace: TraceId::of(7), value, at }
    }

    #[test]
    fn slots_end_at_powers_of_two() {
        assert_eq!((slot(0.0), slot(1.0 / 4096.0), slot(1.0 / 4095.0)), (0, 0, 1));
        assert_eq!((slot(1.0), slot(1.001), slot(128.0), slot(129.0), slot(1e9)), (12, 13, 19, 20, 20));
    }

    #[test]
    fn the_slow_ones_stay_while_quick_ones_come_and_go() {
        let exemplars = Exemplars::new(&layout(true));
        let offer = |value, at| exemplars.offer(PhaseId(1), StepId(1), Outcome::Ok, exemplar(value, at));
        offer(3.0, 100.0);
        for second in 101..200 {
            offer(0.01, f64::from(second));
            offer(0.011, f64::from(second) + 0.5);
        }
        let kept = exemplars.of(PhaseId(1), StepId(1), Outcome::Ok);
        assert_eq!(kept, [exemplar(0.01, 199.0), exemplar(3.0, 100.0)], "the first of a second, and the outlier");
        assert!(exemplars.of(PhaseId(0), StepId(1), Outcome::Ok).is_empty());
        assert!(exemplars.of(PhaseId(1), StepId(1), Outcome::Error).is_empty());
    }

    #[test]
    fn without_traces_there_is_nothing() {
        let exemplars = Exemplars::new(&layout(false));
        exemplars.offer(PhaseId(0), StepId(0), Outcome::Ok, exemplar(1.0, 1.0));
        assert!(exemplars.of(PhaseId(0), StepId(0), Outcome::Ok).is_empty());
    }
}
