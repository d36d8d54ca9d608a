//! `each`: one SLO for each scenario, step or group of a subject.

use super::subject::{One, is_within};
use crate::measure::{CheckId, GroupId, MessageId, ScenarioId, StepId};
use crate::profile::written::Each;
use crate::verdict::{Of, Subject, Traffic};

impl One<'_, '_> {
    /// The SLOs' names and subjects: one of each, or the subject as it is.
    pub(super) fn each(&self, subject: Subject) -> Vec<(String, Subject)> {
        let name = self.slo.name.value.0.clone();
        let (Some(each), Subject::Traffic(traffic)) = (self.slo.each, &subject) else { return vec![(name, subject)] };
        let parts: Vec<(String, ScenarioId, Traffic)> = match each.value {
            Each::Scenario => traffic.scenarios.iter().map(|id| self.of_scenario(traffic, *id)).collect(),
            Each::Step => traffic.steps.iter().map(|id| self.of_step(traffic, *id)).collect(),
            Each::Group => self.groups(traffic).into_iter().map(|id| self.of_group(traffic, id)).collect(),
        };
        let names: Vec<String> = parts.iter().map(|(label, ..)| label.clone()).collect();
        let labelled = parts.into_iter().map(|(label, scenario, part)| {
            let label = match names.iter().filter(|other| **other == label).count() {
                1 => format!("{name}/{label}"),
                _ => format!("{name}/{}/{label}", self.layout.scenarios[scenario.index()].name),
            };
            (label, Subject::Traffic(part))
        });
        labelled.collect()
    }

    fn of_scenario(&self, traffic: &Traffic, id: ScenarioId) -> (String, ScenarioId, Traffic) {
        let layout = self.layout;
        let steps: Vec<StepId> = traffic.steps.iter().filter(|step| layout.steps[step.index()].scenario == id).copied().collect();
        let groups = traffic.groups.iter().filter(|group| layout.groups[group.index()].scenario == id).copied().collect();
        let checks = self.checks(&[id], &steps);
        let messages = self.messages_of(traffic, |step| layout.steps[step.index()].scenario == id);
        let part = Traffic { steps, groups, checks, messages, scenarios: vec![id], ..traffic.clone() };
        (layout.scenarios[id.index()].name.clone(), id, part)
    }

    fn of_step(&self, traffic: &Traffic, id: StepId) -> (String, ScenarioId, Traffic) {
        let step = &self.layout.steps[id.index()];
        // A step that stands in several groups, or in one and outside of it, is distinguished by them.
        let twin = |other: &StepId| {
            let other = &self.layout.steps[other.index()];
            other.scenario == step.scenario && other.name == step.name
        };
        let label = match &step.group {
            Some(group) if traffic.steps.iter().filter(|other| twin(other)).count() > 1 => format!("{group}/{}", step.name),
            _ => step.name.clone(),
        };
        let (checks, messages) = (self.checks_of(traffic, &[id]), self.messages_of(traffic, |step| step == id));
        let scenarios = vec![step.scenario];
        let part = Traffic { steps: vec![id], scenarios, all_steps: false, checks, messages, ..traffic.clone() };
        (label, step.scenario, part)
    }

    fn of_group(&self, traffic: &Traffic, id: GroupId) -> (String, ScenarioId, Traffic) {
        let group = &self.layout.groups[id.index()];
        let steps: Vec<StepId> = traffic.steps.iter().copied().filter(|step| self.stands_in(*step, id)).collect();
        let groups = if traffic.of == Of::Group { vec![id] } else { Vec::new() };
        let checks = self.checks_of(traffic, &steps);
        let messages = self.messages_of(traffic, |step| self.stands_in(step, id));
        let scenarios = vec![group.scenario];
        let part = Traffic { steps, groups, checks, messages, scenarios, all_steps: false, ..traffic.clone() };
        (group.name.clone(), group.scenario, part)
    }

    /// The groups of a subject: those that it is about, or those that its steps stand in.
    fn groups(&self, traffic: &Traffic) -> Vec<GroupId> {
        if traffic.of == Of::Group {
            return traffic.groups.clone();
        }
        let all = (0..self.layout.groups.len()).map(GroupId::at);
        all.filter(|group| traffic.steps.iter().any(|step| self.stands_in(*step, *group))).collect()
    }

    fn stands_in(&self, step: StepId, group: GroupId) -> bool {
        let (step, group) = (&self.layout.steps[step.index()], &self.layout.groups[group.index()]);
        let within = |name: &String| is_within(name, std::slice::from_ref(&group.name));
        step.scenario == group.scenario && step.group.as_ref().is_some_and(within)
    }

    /// Those of the subject's messages that sessions of some steps receive.
    fn messages_of(&self, traffic: &Traffic, within: impl Fn(StepId) -> bool) -> Vec<MessageId> {
        traffic.messages.iter().filter(|id| within(self.layout.messages[id.index()].step)).copied().collect()
    }

    fn checks_of(&self, traffic: &Traffic, steps: &[StepId]) -> Vec<CheckId> {
        let inside = |check: &&CheckId| self.layout.checks[check.index()].step.is_some_and(|step| steps.contains(&step));
        traffic.checks.iter().filter(inside).copied().collect()
    }
}
