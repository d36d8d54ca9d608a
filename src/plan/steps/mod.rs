//! Flows: steps as written into steps as they are run, and the labels that they bring along. A family of kinds has a file.

mod control;
mod http;
mod names;
mod own;
mod pause;
mod remember;
mod session;
mod turns;

use std::collections::BTreeMap;
use std::time::Duration;

use super::http::Above;
use super::loads::Pace;
use super::preparation;
use super::resolver::Resolver;
use super::types::ScenarioRows;
use crate::base::written::{At, Expr, Many, Scalar};
use crate::expr::{Expression, Names, Symbol};
use crate::flow::{self, Flow, StepKind};
use crate::measure::{Layout, OwnId, ScenarioId};
use crate::profile::written::{Block, Defaults, Doing, OnError, Scenario, Step};

/// A scenario's flows, and what its loads need to know of them.
pub(super) struct Resolved {
    pub start: Option<Flow>,
    pub start_within: Duration,
    pub flow: Flow,
    pub stop: Option<Flow>,
    pub rows: ScenarioRows,
    pub amounts: BTreeMap<OwnId, u32>,
    pub aside: [BTreeMap<OwnId, u32>; 2],
    pub pace: Pace,
}

/// Resolves one scenario's steps and adds their labels to the layout.
pub(super) fn flow<'a, 'p: 'a>(
    resolver: &'a mut Resolver<'p>,
    layout: &'a mut Layout,
    id: ScenarioId,
    scenario: &'a Scenario,
    names: &Names,
) -> Resolved {
    let start_within = preparation::start_within(resolver, scenario);
    let mut builder = Builder::new(resolver, layout, id, scenario.defaults.as_ref(), names);
    // What was read outside of scenarios is no business of theirs.
    builder.rows(&[]);
    let mut rows = ScenarioRows::default();
    let start = scenario.start.as_ref().map(|start| builder.start(start));
    rows.start = builder.rows(&[]);
    let starts = last_of(&std::mem::take(&mut builder.amounts));
    let of_start = builder.names.clone();
    builder.know(&scenario.flow);
    // A scenario that is only called is looked at where it is called: it is no flow of its own.
    let only_called = builder.resolver.calls.only_called.contains(&id.index());
    let flow = if only_called { Flow::default() } else { builder.flow(&scenario.flow) };
    rows.flow = builder.rows(&rows.start);
    let pace = std::mem::take(&mut builder.pace);
    // What an iteration set is gone by then.
    builder.names = of_start;
    let of_flow = builder.amounts.len();
    let stop = scenario.stop.as_ref().map(|stop| {
        builder.place = Place::Stop;
        builder.know(stop);
        builder.flow(stop)
    });
    rows.stop = builder.rows(&rows.start);
    let stops = last_of(&builder.amounts[of_flow..]);
    // Whose iteration is cut off has no stop.
    builder.amounts[of_flow..].iter_mut().for_each(|(_, last)| *last = u32::MAX);
    let amounts = last_of(&builder.amounts);
    Resolved { start, start_within, flow, stop, rows, amounts, aside: [starts, stops], pace }
}

/// The last step of each metric.
fn last_of(amounts: &[(OwnId, u32)]) -> BTreeMap<OwnId, u32> {
    let mut last = BTreeMap::new();
    for (own, step) in amounts {
        last.entry(*own).and_modify(|before: &mut u32| *before = *step.max(before)).or_insert(*step);
    }
    last
}

/// Resolves the steps of a block that is done once for the whole run.
pub(super) fn block(
    resolver: &mut Resolver<'_>,
    layout: &mut Layout,
    id: ScenarioId,
    place: Place,
    block: &Block,
    names: &Names,
) -> Flow {
    let mut builder = Builder::new(resolver, layout, id, block.defaults.as_ref(), names);
    builder.place = place;
    let general = builder.resolver.profile.written.defaults.as_ref();
    let written = [block.defaults.as_ref(), general].into_iter().flatten().any(|defaults| defaults.on_error.is_some());
    if place == Place::Teardown && !written {
        // One thing that can't be removed keeps none of the others.
        builder.on_error = OnError::Continue;
    }
    builder.know(&block.flow);
    builder.flow(&block.flow)
}

/// What a flow is for; some steps belong to some only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A scenario's flow.
    Scenario,
    /// Once for each user, before its first iteration.
    Start,
    /// Once for each user, after its last iteration.
    Stop,
    /// Once, before the first phase.
    Setup,
    /// Once, after the last phase.
    Verify,
    /// Once, at the very end.
    Teardown,
}

impl Place {
    /// Whether it is done once for the whole run.
    const fn is_once(self) -> bool {
        matches!(self, Self::Setup | Self::Verify | Self::Teardown)
    }
}

/// Makes the steps of one scenario, or of one block like it.
pub(super) struct Builder<'a, 'p> {
    resolver: &'a mut Resolver<'p>,
    layout: &'a mut Layout,
    id: ScenarioId,
    above: Above<'a>,
    /// The scenario's defaults, then the profile's.
    layers: [Option<&'a Defaults>; 2],
    on_error: OnError,
    names: Names,
    pace: Pace,
    /// The scenarios whose flows stand around, the called ones too.
    calling: Vec<usize>,
    /// How many calls there were so far.
    calls: u64,
    /// How many choices there were so far.
    choices: u32,
    /// How many steps there were so far.
    steps: u32,
    /// The metrics of the profile's own that these put something into, each with the number of the last step in which that may be.
    amounts: Vec<(OwnId, u32)>,
    /// The label `group` of what stands in a group.
    group: Option<String>,
    /// What the flow is for.
    place: Place,
    /// The session that the steps stand in.
    in_session: Option<session::Within>,
    /// Whether they stand in an `eventually`.
    in_eventually: bool,
    /// The turns that the steps stand in.
    turns: turns::Around,
}

impl<'a, 'p: 'a> Builder<'a, 'p> {
    /// For the flows of a scenario, whose `own` defaults lie over the profile's.
    pub(super) fn new(
        resolver: &'a mut Resolver<'p>,
        layout: &'a mut Layout,
        id: ScenarioId,
        own: Option<&'a Defaults>,
        names: &Names,
    ) -> Self {
        let mut builder = Self {
            resolver,
            layout,
            id,
            above: [None, None],
            layers: [None, None],
            on_error: OnError::default(),
            names: names.clone(),
            pace: Pace::default(),
            calling: vec![id.index()],
            calls: 0,
            choices: 0,
            steps: 0,
            amounts: Vec::new(),
            group: None,
            place: Place::Scenario,
            in_session: None,
            in_eventually: false,
            turns: turns::Around::default(),
        };
        (builder.above, builder.on_error) = builder.defaults(own);
        builder.layers = [own, builder.resolver.profile.written.defaults.as_ref()];
        builder
    }

    /// What steps have in common, where these defaults lie over the profile's.
    fn defaults(&self, own: Option<&'a Defaults>) -> (Above<'a>, OnError) {
        let general = self.resolver.profile.written.defaults.as_ref();
        let above = [own, general].map(|defaults| defaults.and_then(|defaults| defaults.http.as_ref()));
        let on_error = [own, general].into_iter().flatten().find_map(|defaults| defaults.on_error);
        (above, on_error.map(|on_error| on_error.value).unwrap_or_default())
    }

    /// The steps of a scenario's `start`. They are done until they succeed, so where they stand in a scenario that goes on after
    /// errors they don't, unless they say so themselves.
    fn start(&mut self, steps: &'a Many<At<Step>>) -> Flow {
        self.know(steps);
        let on_error = self.on_error;
        self.place = Place::Start;
        if on_error == OnError::Continue {
            self.on_error = OnError::EndIteration;
        }
        let flow = self.flow(steps);
        // What it takes is not of an iteration.
        self.pace = Pace::default();
        (self.on_error, self.place) = (on_error, Place::Scenario);
        flow
    }

    /// The data that was named since this was asked last, without those that are `had`.
    fn rows(&mut self, had: &[usize]) -> Vec<usize> {
        self.resolver.named_data().into_iter().filter(|index| !had.contains(index)).collect()
    }

    /// The steps of a flow, without those that can't be made.
    pub(super) fn flow(&mut self, steps: &'a Many<At<Step>>) -> Flow {
        Flow { steps: steps.0.iter().filter_map(|step| self.step(step)).collect() }
    }

    fn step(&mut self, written: &'a At<Step>) -> Option<flow::Step> {
        let step = &written.value;
        let mut doings = step.doings();
        if let [_, second, ..] = doings[..] {
            self.resolver.error(second.at(), "a step does one thing; write the second as a step of its own");
            return None;
        }
        let condition = step.condition.as_ref().map(|expr| self.expression(expr));
        let on_error = step.on_error.map_or(self.on_error, |on_error| on_error.value);
        self.steps += 1;
        let (number, before) = (self.steps, self.amounts.len());
        let kind = match doings.pop() {
            Some(doing) => self.kind(doing),
            None => {
                let kinds = Doing::KEYS.join(", ");
                self.resolver.lacking(written.at, format!("this step says not what it does; it wants one of {kinds}"));
                None
            }
        };
        if matches!(kind, Some(StepKind::Repeat(_) | StepKind::ForEach(_) | StepKind::Eventually(_))) {
            self.last_until_here(before);
        }
        let condition = match condition {
            Some(None) => return None,
            Some(condition) => condition,
            None => None,
        };
        Some(flow::Step { number, kind: kind?, condition, on_error: resolved(on_error) })
    }

    /// What was put into metrics since `before` may be so once more until here.
    fn last_until_here(&mut self, before: usize) {
        self.amounts[before..].iter_mut().for_each(|(_, last)| *last = self.steps);
    }

    fn kind(&mut self, doing: Doing<'a>) -> Option<StepKind> {
        match doing {
            Doing::Http(http) => self.http(http),
            Doing::Think(think) => Some(self.think(&think.value)),
            Doing::Set(set) => self.set(set.value.iter()),
            Doing::Count(count) => self.amounts(count.value.iter(), true).map(StepKind::Count),
            Doing::Record(record) => self.amounts(record.value.iter(), false).map(StepKind::Record),
            Doing::Remember(remember) => self.remember(remember.value.iter()),
            Doing::Choose(choose) => self.choose(choose),
            Doing::Maybe(maybe) => self.maybe(maybe),
            Doing::Repeat(repeat) => self.repeat(repeat),
            Doing::ForEach(each) => self.for_each(each),
            Doing::Group(group) => self.group(group),
            Doing::Call(call) => self.call(call),
            Doing::Eventually(eventually) => self.eventually(eventually),
            Doing::Websocket(websocket) => self.websocket(websocket),
            Doing::Socketio(socketio) => self.socketio(socketio),
            Doing::Tcp(tcp) => self.tcp(tcp),
            Doing::OnConnection(on) => self.message(on),
        }
    }

    /// A name as a label, `of` what it is.
    fn label(&mut self, name: &Scalar, of: &str) -> String {
        let text = name.source.trim();
        if text.is_empty() || text.len() > 200 || text.contains("{{") {
            self.resolver.error(name.at, format!("the name of a {of} is a label: a short text that doesn't vary"));
        }
        text.to_owned()
    }

    fn symbol(&mut self, name: &At<String>) -> Symbol {
        self.resolver.compiler.symbol(&name.value)
    }

    fn expression(&mut self, expr: &Expr) -> Option<Expression> {
        self.resolver.expression(expr, &self.names)
    }
}

fn resolved(on_error: OnError) -> flow::OnError {
    match on_error {
        OnError::EndIteration => flow::OnError::EndIteration,
        OnError::Continue => flow::OnError::Continue,
        OnError::EndUser => flow::OnError::EndUser,
        OnError::AbortRun => flow::OnError::AbortRun,
    }
}

#[cfg(test)]
mod tests;
