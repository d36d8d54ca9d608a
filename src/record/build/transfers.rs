//! Long bodies, by name.

use super::super::histograms::{PhaseHistograms, TransferHistograms};
use super::super::run::{Speed, Transfer};
use super::PhaseInput;
use super::measured::{latency, scenario_name, step_name};
use crate::measure::{Sparse, StepId, StepLayout, TransferTotals};

fn each<'a>(input: &'a PhaseInput<'_>) -> impl Iterator<Item = (StepId, &'a StepLayout, &'a TransferTotals)> {
    let each = input.layout.steps.iter().enumerate().filter(|(_, step)| step.uploads || step.downloads);
    each.map(|(index, step)| (StepId::at(index), step, input.totals.transfer(StepId::at(index))))
        .filter(|(_, _, totals)| **totals != TransferTotals::default())
}

/// The steps that uploaded or downloaded something.
pub(super) fn transfers(input: &PhaseInput<'_>) -> Vec<Transfer> {
    each(input)
        .map(|(id, step, totals)| Transfer {
            scenario: scenario_name(input, step.scenario),
            step: step_name(input, id),
            upload: speed(&totals.upload),
            download: speed(&totals.download),
            processing: latency(&totals.processing),
        })
        .collect()
}

fn speed(of: &Sparse) -> Speed {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    Speed {
        count: of.count(),
        mean: finite(of.mean()),
        p5: finite(of.quantile(0.05)),
        p50: finite(of.quantile(0.5)),
        p95: finite(of.quantile(0.95)),
    }
}

/// Every distribution of long bodies.
pub(super) fn histograms(input: &PhaseInput<'_>, out: &mut PhaseHistograms) {
    out.transfers.extend(each(input).map(|(id, step, totals)| TransferHistograms {
        scenario: scenario_name(input, step.scenario),
        step: step_name(input, id),
        upload: totals.upload.clone(),
        download: totals.download.clone(),
        processing: totals.processing.clone(),
    }));
}
