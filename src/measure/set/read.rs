//! A set as it is read, while its worker may be writing: what was written first is read last.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::{ScenarioCell, Set, StepCell};
use crate::measure::atoms::Count;
use crate::measure::layout::Layout;
use crate::measure::messages::{MessageTotals, SessionTotals};
use crate::measure::own::OwnTotals;
use crate::measure::shapes::Shapes;
use crate::measure::totals::{CheckTotals, ConnectTotals, ScenarioTotals, StepTotals, Totals};
use crate::measure::transfer::TransferTotals;

/// So often a set is read again whose worker records delays meanwhile.
const TRIES: usize = 8;

impl Set {
    /// What several workers have recorded of one phase so far. Workers pass arrivals on, so that what was due on one may have
    /// started on another: what was due is read once more when all else has been.
    pub fn sum(layout: &Layout, sets: &[Arc<Set>]) -> Totals {
        let mut sum = Totals::empty(layout);
        for set in sets {
            sum.add(&set.totals());
        }
        for (i, scenario) in sum.scenarios.iter_mut().enumerate() {
            scenario.due = sets.iter().map(|set| set.scenarios[i].due.get()).sum();
        }
        sum
    }

    /// What has been recorded so far.
    pub fn totals(&self) -> Totals {
        let now = Some(self.now.load(Ordering::Acquire));
        let mut totals = self.own_totals(now);
        let apart = |set: &OnceLock<Box<Set>>, now| set.get().map(|set| Box::new(set.own_totals(now)));
        // What was due in a phase before is none of what this one waits for.
        let (late, early) = (apart(&self.late, now), apart(&self.early, None));
        for part in late.iter().chain(&early) {
            totals.add(part);
        }
        (totals.late, totals.early) = (late, early);
        totals
    }

    /// A delay is written a moment after the sample that it belongs to. A sample without it would seem to be the target's doing: where any
    /// was written meanwhile, all is read again.
    fn own_totals(&self, now: Option<u64>) -> Totals {
        let mut tries = 0;
        loop {
            let before = self.delays.get();
            let totals = self.read(now);
            tries += 1;
            if tries == TRIES || self.delays.get() == before {
                return totals;
            }
        }
    }

    fn read(&self, now: Option<u64>) -> Totals {
        let shapes = &self.shapes;
        Totals {
            steps: self.steps.iter().enumerate().map(|(i, cell)| step(cell.get().map(|cell| &**cell), shapes, i, now)).collect(),
            scenarios: self.scenarios.iter().enumerate().map(|(i, cell)| scenario(cell, shapes, i, now)).collect(),
            delayed_groups: self.delayed_groups.iter().zip(&shapes.group).map(|(cell, buckets)| cell.totals(buckets)).collect(),
            groups: self.groups.iter().zip(&shapes.group).map(|(cell, buckets)| cell.totals(buckets)).collect(),
            checks: self
                .checks
                .iter()
                .map(|cell| {
                    let failed = cell.failed.get();
                    CheckTotals { total: cell.total.get(), failed, unclear: cell.unclear.get() }
                })
                .collect(),
            sessions: self
                .sessions
                .iter()
                .zip(&shapes.session)
                .map(|(cell, buckets)| cell.get().map_or_else(SessionTotals::default, |cell| cell.totals(buckets)))
                .collect(),
            messages: self
                .messages
                .iter()
                .zip(&shapes.message)
                .zip(&self.layout.messages)
                .map(|((cell, buckets), message)| MessageTotals {
                    listeners: self.sessions[message.step.index()].get().map(|cell| cell.presence()).unwrap_or_default(),
                    ..cell.get().map_or_else(MessageTotals::default, |cell| cell.totals(buckets))
                })
                .collect(),
            transfers: self
                .transfers
                .iter()
                .map(|cell| cell.get().map_or_else(TransferTotals::default, |cell| cell.totals(&shapes.speed, &shapes.plain)))
                .collect(),
            own: self
                .own
                .iter()
                .enumerate()
                .map(|(i, cell)| match cell.get() {
                    Some(cell) => OwnTotals {
                        counter: cell.counter.get(),
                        histogram: cell.histogram.totals(&shapes.own[i / self.layout.scenarios.len()]),
                        gauge: cell.set_at.get().zip(cell.gauge.get()),
                        unfinished: cell.unfinished.get(),
                        aside: cell.aside.get(),
                    },
                    None => OwnTotals::default(),
                })
                .collect(),
            open_groups: self.open_groups.iter().map(|cell| cell.totals(now)).collect(),
            early: None,
            late: None,
        }
    }
}

fn read<const N: usize>(counts: &[Count; N]) -> [u64; N] {
    std::array::from_fn(|i| counts[i].get())
}

fn step(cell: Option<&StepCell>, shapes: &Shapes, i: usize, now: Option<u64>) -> StepTotals {
    let Some(cell) = cell else { return StepTotals::default() };
    // Read against the order of writing, so that neither errors nor answers nor service times exceed the requests.
    let stalled = cell.stalled.get();
    let delayed_service = cell.delayed_service.totals(&shapes.service[i]);
    let delayed_response = cell.delayed_response.totals(&shapes.response[i]);
    let open = cell.open.totals(now);
    let cut = cell.cut.totals();
    let (lost, received, sent) = (cell.lost.get(), cell.received.get(), cell.sent.get());
    let mut codes = BTreeMap::new();
    for (class, counts) in cell.codes.iter().enumerate() {
        for (rest, count) in counts.get().into_iter().flat_map(|counts| counts.iter().enumerate()) {
            codes.insert((class as u16 + 1) * 100 + rest as u16, count.get());
        }
    }
    codes.insert(0, cell.other_codes.get());
    codes.retain(|_, n| *n > 0);
    let reasons = read(&cell.reasons);
    let service = cell.service.totals(&shapes.service[i]);
    let response = cell.response.totals(&shapes.response[i]);
    StepTotals { response, service, reasons, codes, sent, received, lost, cut, stalled, delayed_response, delayed_service, open }
}

fn scenario(cell: &ScenarioCell, shapes: &Shapes, i: usize, now: Option<u64>) -> ScenarioTotals {
    let displaced = cell.displaced.get();
    let (started, dropped, cancelled) = (cell.started.get(), read(&cell.dropped), cell.cancelled.get());
    let due = cell.due.get();
    let delayed_iterations = cell.delayed_iterations.totals(&shapes.iteration[i]);
    ScenarioTotals {
        delayed_iterations,
        open: cell.open.totals(now),
        hung: cell.hung.get(),
        absent: cell.absent.get(),
        wanted: cell.wanted.get(),
        held: cell.held.get(),
        held_back: cell.held_back.get(),
        unsent: cell.unsent.get(),
        due,
        started,
        dropped,
        displaced,
        cancelled,
        iterations: cell.iterations.totals(&shapes.iteration[i]),
        step_errors: read(&cell.step_errors),
        undone: cell.undone.get(),
        judged: 0,
        open_eventually: cell.open_eventually.totals(now),
        start_lag: cell.start_lag.totals(&shapes.plain),
        connects: std::array::from_fn(|protocol| match cell.connects[protocol].get() {
            None => ConnectTotals::default(),
            Some(cell) => ConnectTotals {
                open: cell.open.totals(now),
                delayed: cell.delayed.totals(&shapes.connect[i]),
                carried: cell.carried.get(),
                duration: cell.duration.totals(&shapes.connect[i]),
                timed_out: cell.timed_out.totals(&shapes.connect[i]),
                cut_off: cell.cut_off.totals(&shapes.connect[i]),
                layers: std::array::from_fn(|layer| cell.layers[layer].totals(&shapes.plain)),
                failures: read(&cell.failures),
                disconnects: read(&cell.disconnects),
            },
        }),
    }
}
