//! One profile's totals at the moment of a scrape, and walks over its label sets.
//!
//! A label set appears where the layout says that it has load, at 0 from the start, and wherever something was recorded.

use super::family::Labels;
use super::shown::{Rows, Shown};
use crate::base::Protocol;
use crate::measure::{
    ConnectTotals, Layout, MessageId, MessageLayout, MessageTotals, PhaseId, ScenarioId, ScenarioTotals, SessionTotals, StepId,
    StepLayout, StepTotals, Store, Totals, TransferTotals,
};

/// A profile's state at the moment of a scrape.
pub(super) struct View<'a> {
    /// Where it comes from.
    pub(super) store: &'a Store,
    /// Rows that others made.
    pub(super) rows: Rows,
    /// By phase.
    pub(super) totals: Vec<Totals>,
    /// `profile` alone.
    pub(super) base: Labels,
}

impl<'a> View<'a> {
    /// Takes the totals of every phase.
    pub(super) fn new(shown: &'a Shown) -> Self {
        let store = &*shown.store;
        let phases = 0..store.layout().phases.len();
        Self {
            totals: phases.map(|i| store.totals(PhaseId::at(i))).collect(),
            base: Labels::default().with("profile", &store.layout().profile),
            rows: shown.rows().clone(),
            store,
        }
    }

    /// The label sets.
    pub(super) fn layout(&self) -> &'a Layout {
        self.store.layout()
    }

    /// Each phase with its totals.
    pub(super) fn phases(&self) -> impl Iterator<Item = (PhaseId, &str, &Totals)> {
        let names = self.layout().phases.iter().map(String::as_str);
        names.zip(&self.totals).enumerate().map(|(i, (name, totals))| (PhaseId::at(i), name, totals))
    }

    /// Each scenario with its label.
    pub(super) fn scenarios(&self) -> impl Iterator<Item = (ScenarioId, Labels)> {
        self.layout()
            .scenarios
            .iter()
            .enumerate()
            .map(|(i, scenario)| (ScenarioId::at(i), self.base.with("scenario", &scenario.name)))
    }

    /// The labels of a scenario in a phase.
    pub(super) fn in_phase(&self, scenario: ScenarioId, phase: &str) -> Labels {
        self.base.with("scenario", &self.layout().scenarios[scenario.index()].name).with("phase", phase)
    }

    /// Visits each scenario in each of its phases.
    pub(super) fn each_scenario(&self, mut visit: impl FnMut(Labels, &ScenarioTotals, ScenarioId)) {
        for (phase, name, totals) in self.phases() {
            for (i, cell) in totals.scenarios.iter().enumerate() {
                let scenario = ScenarioId::at(i);
                if self.layout().is_active(phase, scenario) || *cell != ScenarioTotals::default() {
                    visit(self.in_phase(scenario, name), cell, scenario);
                }
            }
        }
    }

    /// Visits each protocol of each scenario in each of its phases.
    pub(super) fn each_connect(&self, mut visit: impl FnMut(Labels, &ConnectTotals, ScenarioId)) {
        self.each_scenario(|labels, cell, scenario| {
            let spoken = self.layout().protocols(scenario);
            for protocol in Protocol::ALL {
                let connects = &cell.connects[protocol.index()];
                if spoken.contains(protocol) || *connects != ConnectTotals::default() {
                    visit(labels.with("protocol", protocol.label()), connects, scenario);
                }
            }
        });
    }

    /// Visits each step in each of its phases.
    pub(super) fn each_step(&self, mut visit: impl FnMut(Labels, &StepTotals, PhaseId, StepId)) {
        for (phase, name, totals) in self.phases() {
            for (i, (step, cell)) in self.layout().steps.iter().zip(&totals.steps).enumerate() {
                if self.layout().is_active(phase, step.scenario) || cell.requests() > 0 {
                    let group = step.group.as_deref().unwrap_or_default();
                    let labels = self.in_phase(step.scenario, name).with("step", &step.name).with("group", group);
                    visit(labels, cell, phase, StepId::at(i));
                }
            }
        }
    }

    /// Visits the sessions of each step that opens some, in each of its phases; `group` is left to who wants it.
    pub(super) fn each_session(&self, mut visit: impl FnMut(Labels, &SessionTotals, StepId)) {
        for (phase, name, totals) in self.phases() {
            for (i, (step, cell)) in self.layout().steps.iter().zip(&totals.sessions).enumerate() {
                let shown = self.layout().is_active(phase, step.scenario) || *cell != SessionTotals::default();
                if step.session.is_some() && shown {
                    visit(self.in_phase(step.scenario, name).with("step", &step.name), cell, StepId::at(i));
                }
            }
        }
    }

    /// Visits the long bodies of the steps that are wanted, in each of their phases.
    pub(super) fn each_transfer(&self, want: impl Fn(&StepLayout) -> bool, mut visit: impl FnMut(Labels, &TransferTotals)) {
        self.each_step(|labels, _, phase, step| {
            if want(&self.layout().steps[step.index()]) {
                visit(labels, self.totals[phase.index()].transfer(step));
            }
        });
    }

    /// Visits each kind of message in each of its phases.
    pub(super) fn each_message(&self, mut visit: impl FnMut(Labels, &MessageTotals, &MessageLayout, MessageId)) {
        for (phase, name, totals) in self.phases() {
            for (i, (message, cell)) in self.layout().messages.iter().zip(&totals.messages).enumerate() {
                let Some(step) = self.layout().steps.get(message.step.index()) else { continue };
                if self.layout().is_active(phase, step.scenario) || *cell != MessageTotals::default() {
                    let labels = self.in_phase(step.scenario, name).with("step", &step.name).with("message", &message.name);
                    visit(labels, cell, message, MessageId::at(i));
                }
            }
        }
    }

    /// Visits each step in each of its phases, with its protocol as a label.
    pub(super) fn each_request(&self, mut visit: impl FnMut(Labels, &StepTotals, PhaseId, StepId)) {
        self.each_step(|labels, cell, phase, step| {
            let protocol = self.layout().steps[step.index()].protocol.label();
            visit(labels.with("protocol", protocol), cell, phase, step);
        });
    }

    /// The sessions that a step opened in a phase.
    pub(super) fn session(&self, phase: PhaseId, step: StepId) -> &SessionTotals {
        self.totals[phase.index()].session(step)
    }
}
