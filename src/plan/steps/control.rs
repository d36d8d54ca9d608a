//! `choose`, `maybe`, `group`, `call`, `eventually`: flows within flows.

use std::time::Duration;

use super::Builder;
use crate::base::written::{At, Expr, Node, Scalar};
use crate::expr::Expression;
use crate::flow::{Choose, Deck, Eventually, Flow, Group, Maybe, StepKind};
use crate::measure::{GroupId, GroupLayout};
use crate::plan::calls::{DEEPEST, MOST_CALLS};
use crate::plan::loads::{LONGEST, Pace};
use crate::profile::written::{self, OnError, Steps};

impl<'a, 'p: 'a> Builder<'a, 'p> {
    /// A nested flow, and what it takes.
    pub(super) fn within(&mut self, at: Node, steps: &'a Steps) -> (Flow, Pace) {
        if steps.0.is_empty() {
            self.resolver.lacking(at, "this flow does nothing; write at least one step into it");
        }
        self.inside(steps)
    }

    /// The same, where nothing to do will do.
    fn inside(&mut self, steps: &'a Steps) -> (Flow, Pace) {
        let around = std::mem::take(&mut self.pace);
        let flow = self.flow(steps);
        (flow, std::mem::replace(&mut self.pace, around))
    }

    /// An expression that may be absent; nothing if it is wrong.
    pub(super) fn optional(&mut self, expr: Option<&Expr>) -> Option<Option<Expression>> {
        match expr {
            None => Some(None),
            Some(expr) => self.expression(expr).map(Some),
        }
    }

    pub(super) fn choose(&mut self, choose: &'a At<Vec<written::Branch>>) -> Option<StepKind> {
        let weights: Vec<f64> = choose.value.iter().map(|branch| branch.weight.map_or(1.0, |weight| weight.value.0)).collect();
        let number = self.choices;
        self.choices += 1;
        let (flows, paces): (Vec<_>, Vec<_>) = choose.value.iter().map(|branch| self.inside(&branch.flow)).unzip();
        let deck = Deck::new(&weights);
        if deck.is_none() {
            let message = "there is nothing to choose from; write at least one branch whose weight is above 0";
            self.resolver.lacking(choose.at, message);
        }
        let sum: f64 = weights.iter().sum();
        if sum > 0.0 {
            self.pace.then(Pace::either(weights.iter().map(|weight| weight / sum).zip(paces)));
        }
        Some(StepKind::Choose(Choose { number, deck: deck?, flows }))
    }

    pub(super) fn maybe(&mut self, maybe: &'a At<written::Maybe>) -> Option<StepKind> {
        let (at, maybe) = (maybe.at, &maybe.value);
        let chance = maybe.chance.value.0;
        if chance > 1.0 {
            self.resolver.error(maybe.chance.at, "nothing happens more often than always; write a chance of at most 100%");
        }
        let condition = self.optional(maybe.condition.as_ref());
        let (flow, pace) = self.within(at, &maybe.flow);
        self.pace.then(Pace::either([(chance.clamp(0.0, 1.0), pace)]));
        Some(StepKind::Maybe(Box::new(Maybe { chance, condition: condition?, flow })))
    }

    pub(super) fn group(&mut self, group: &'a At<written::Group>) -> Option<StepKind> {
        let (at, group) = (group.at, &group.value);
        let label = self.label(&group.name, "group");
        let name = match &self.group {
            Some(outer) => format!("{outer}/{label}"),
            None => label,
        };
        let same = |other: &GroupLayout| other.scenario == self.id && other.name == name;
        let first = self.first_of(&self.layout.groups, |group| group.scenario);
        let index = self.layout.groups[first..].iter().position(same).map_or_else(
            || {
                self.layout.groups.push(GroupLayout { scenario: self.id, name: name.clone(), thresholds: Vec::new() });
                self.layout.groups.len() - 1
            },
            |index| first + index,
        );
        let outer = self.group.replace(name);
        let (flow, pace) = self.within(at, &group.flow);
        self.group = outer;
        self.pace.then(pace);
        Some(StepKind::Group(Box::new(Group { id: GroupId::at(index), flow })))
    }

    /// The called scenario's steps with its defaults, under the labels of the one that calls.
    pub(super) fn call(&mut self, call: &'a Scalar) -> Option<StepKind> {
        let scenarios = &self.resolver.profile.written.scenarios;
        let name = call.source.trim();
        let Some(index) = self.resolver.calls.of(call) else {
            let known: Vec<&str> = scenarios.iter().map(|(name, _)| name.value.as_str()).collect();
            self.resolver.unknown(call.at, "scenario", name, known);
            return None;
        };
        self.resolver.called.insert(index);
        if let Some(from) = self.calling.iter().position(|caller| *caller == index) {
            let names = self.calling[from..].iter().filter_map(|index| scenarios.0.0.get(*index));
            let cycle: Vec<&str> = names.map(|(name, _)| name.value.as_str()).chain([name]).collect();
            let message = format!("this would never end: {}; a scenario can't call itself", cycle.join(" calls "));
            self.resolver.error(call.at, message);
            return None;
        }
        let cost = self.resolver.calls.cost(index);
        self.calls += 1;
        if self.calls + cost.calls > MOST_CALLS || self.calling.len() as u64 + cost.depth >= DEEPEST {
            let message = format!("the calls of a scenario come to {MOST_CALLS} at most, and to {DEEPEST} within each other");
            self.resolver.error(call.at, message);
            return None;
        }
        let scenario = &scenarios.0.0.get(index)?.1;
        let (above, on_error) = self.defaults(scenario.defaults.as_ref());
        let (above, on_error) = (std::mem::replace(&mut self.above, above), std::mem::replace(&mut self.on_error, on_error));
        let layers = [scenario.defaults.as_ref(), self.layers[1]];
        let layers = std::mem::replace(&mut self.layers, layers);
        self.calling.push(index);
        let caller = &self.layout.scenarios[self.id.index()].name;
        let place = self.resolver.calls.only_called.contains(&index).then(|| format!("where `{caller}` calls `{name}`"));
        let around = std::mem::replace(&mut self.resolver.call, place);
        let (flow, pace) = self.inside(&scenario.flow);
        self.resolver.call = around;
        self.calling.pop();
        (self.above, self.on_error, self.layers) = (above, on_error, layers);
        self.pace.then(pace);
        Some(StepKind::Call(flow))
    }

    pub(super) fn eventually(&mut self, eventually: &'a At<written::Eventually>) -> Option<StepKind> {
        let (at, eventually) = (eventually.at, &eventually.value);
        let within = eventually.within.value;
        if within.is_zero() {
            self.resolver.error(eventually.within.at, "there is no time for a second attempt; write a longer one");
        }
        let every = eventually.every.map_or(Duration::from_secs(1), |every| every.value);
        if let Some(written) = eventually.every.filter(|every| every.value < Duration::from_millis(1)) {
            self.resolver.error(written.at, "attempts are at least 1ms apart; write a longer time");
        }
        // What fails in an attempt ends the attempt, unless the step itself says otherwise.
        let around = std::mem::replace(&mut self.on_error, OnError::EndIteration);
        let nested = std::mem::replace(&mut self.in_eventually, true);
        let (flow, mut pace) = self.within(at, &eventually.flow);
        (self.on_error, self.in_eventually) = (around, nested);
        pace.longest = pace.longest.saturating_add(within).min(LONGEST);
        self.pace.then(pace);
        Some(StepKind::Eventually(Box::new(Eventually { within: within.min(LONGEST), every, flow })))
    }
}
