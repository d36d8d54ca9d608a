//! Flows: steps as written into steps as they are run, and the labels that they bring along.

use std::time::Duration;

use super::http::{self, Above, StepNames};
use super::loads::Pace;
use super::resolver::Resolver;
use crate::base::Protocol;
use crate::base::written::{At, Expr, Form, Node};
use crate::expr::{Extract, Names, Symbol, is_reserved};
use crate::flow::{self, Flow, SetValue, StepKind, Think};
use crate::measure::{CheckId, CheckLayout, Layout, OwnId, OwnKind, ScenarioId, StepId, StepLayout};
use crate::profile::written::{OnError, Scenario, Spread, Step};
use crate::protocol::http::written::{Extraction, HttpStep};

/// A scenario's flow, and what its loads need to know of it.
pub(super) struct Resolved {
    pub flow: Flow,
    pub pace: Pace,
}

/// Resolves one scenario's steps and adds their labels to the layout.
pub(super) fn flow(
    resolver: &mut Resolver<'_>,
    layout: &mut Layout,
    id: ScenarioId,
    scenario: &Scenario,
    names: &Names,
) -> Resolved {
    let profile = &resolver.profile.written;
    let own = scenario.defaults.as_ref();
    let general = profile.defaults.as_ref();
    let above = [own.and_then(|defaults| defaults.http.as_ref()), general.and_then(|defaults| defaults.http.as_ref())];
    let on_error = [own, general].into_iter().flatten().find_map(|defaults| defaults.on_error).map(|on_error| on_error.value);
    let mut names = names.clone();
    for step in &scenario.flow.0 {
        for name in sets(&step.value) {
            if is_reserved(&name.value) {
                resolver.error(name.at, format!("`{}` is a name of the program's own; choose another", name.value));
            }
            names.variable(&name.value);
        }
    }
    let mut builder = Builder {
        resolver,
        layout,
        id,
        above,
        on_error: on_error.unwrap_or_default(),
        names,
        given: StepNames::default(),
        pace: Pace { longest: Duration::ZERO, pauses: Duration::ZERO },
    };
    let steps = scenario.flow.0.iter().filter_map(|step| builder.step(step)).collect();
    Resolved { flow: Flow { steps }, pace: builder.pace }
}

/// The variables that a step sets.
fn sets(step: &Step) -> Vec<At<String>> {
    let mut names = Vec::new();
    if let Some(set) = &step.set {
        names.extend(set.value.iter().map(|(name, _)| name.clone()));
    }
    if let Some(http) = &step.http {
        names.extend(http.value.extract.iter().flat_map(|entries| entries.iter()).map(|(name, _)| name.clone()));
    }
    names
}

struct Builder<'a, 'p> {
    resolver: &'a mut Resolver<'p>,
    layout: &'a mut Layout,
    id: ScenarioId,
    above: Above<'a>,
    on_error: OnError,
    names: Names,
    given: StepNames,
    pace: Pace,
}

impl Builder<'_, '_> {
    fn step(&mut self, written: &At<Step>) -> Option<flow::Step> {
        let step = &written.value;
        let kinds = [
            step.http.as_ref().map(|step| step.at),
            step.think.as_ref().map(|step| step.at),
            step.set.as_ref().map(|step| step.at),
            step.count.as_ref().map(|step| step.at),
            step.record.as_ref().map(|step| step.at),
        ];
        let given: Vec<Node> = kinds.into_iter().flatten().collect();
        if let [_, second, ..] = given[..] {
            self.resolver.error(second, "a step does one thing; write the second as a step of its own");
            return None;
        }
        let condition = step.condition.as_ref().map(|expr| self.expression(expr));
        let on_error = step.on_error.map_or(self.on_error, |on_error| on_error.value);
        let kind = if let Some(http) = &step.http {
            self.http(http)
        } else if let Some(think) = &step.think {
            Some(self.think(&think.value))
        } else if let Some(set) = &step.set {
            let values: Vec<_> = set.value.iter().map(|(name, expr)| (self.symbol(name), self.expression(expr))).collect();
            let values: Option<Vec<_>> =
                values.into_iter().map(|(name, expr)| expr.map(|expr| (name, SetValue::Expression(expr)))).collect();
            values.map(StepKind::Set)
        } else if let Some(count) = &step.count {
            self.amounts(count.value.iter(), true).map(StepKind::Count)
        } else if let Some(record) = &step.record {
            self.amounts(record.value.iter(), false).map(StepKind::Record)
        } else {
            self.resolver.lacking(written.at, "this step says not what it does; it wants one of http, think, set, count, record");
            None
        };
        let condition = match condition {
            Some(None) => return None,
            Some(condition) => condition,
            None => None,
        };
        Some(flow::Step { kind: kind?, condition, on_error: resolved(on_error) })
    }

    fn symbol(&mut self, name: &At<String>) -> Symbol {
        self.resolver.compiler.symbol(&name.value)
    }

    fn expression(&mut self, expr: &Expr) -> Option<crate::expr::Expression> {
        self.resolver.expression(expr, &self.names)
    }

    fn think(&mut self, think: &crate::profile::written::Think) -> StepKind {
        let (resolved, mean, longest) = match think {
            Form::Short(span) => {
                let (from, to) = (span.value.from, span.value.to);
                let think = if from == to { Think::Constant(from) } else { Think::Range(from, to) };
                (think, (from + to) / 2, to)
            }
            Form::Long(spread) => {
                let mean = spread.mean.value;
                let think = match spread.distribution.map_or(Spread::Exponential, |spread| spread.value) {
                    Spread::Exponential => Think::Exponential(mean),
                    Spread::Normal => Think::Normal(mean),
                };
                (think, mean, mean * 3)
            }
        };
        self.pace.pauses += mean;
        self.pace.longest += longest;
        StepKind::Think(resolved)
    }

    /// Metrics of the profile's own, and by how much.
    fn amounts<'w>(
        &mut self,
        entries: impl Iterator<Item = &'w (At<String>, Expr)>,
        count: bool,
    ) -> Option<Vec<(OwnId, crate::expr::Expression)>> {
        let mut amounts = Vec::new();
        let mut wrong = false;
        for (name, expr) in entries {
            let expression = self.expression(expr);
            let Some(index) = self.layout.own.iter().position(|own| own.name == name.value) else {
                let known: Vec<&str> = self.layout.own.iter().map(|own| own.name.as_str()).collect();
                self.resolver.unknown(name.at, "metric", &name.value, known);
                wrong = true;
                continue;
            };
            let own = &mut self.layout.own[index];
            let mistake = match (&own.kind, count) {
                (OwnKind::Counter, true) | (OwnKind::Gauge | OwnKind::Histogram { .. }, false) => None,
                (OwnKind::GaugeFrom { metric, .. }, _) => Some(format!("`{}` shows {metric}; it can't be set", own.name)),
                (OwnKind::Counter, false) => Some(format!("`{}` is a counter; write count: {{{}: …}}", own.name, own.name)),
                (_, true) => Some(format!("`{}` is no counter; write record: {{{}: …}}", own.name, own.name)),
            };
            if let Some(message) = mistake {
                self.resolver.error(name.at, message);
                wrong = true;
                continue;
            }
            if !own.scenarios.contains(&self.id) {
                own.scenarios.push(self.id);
            }
            match expression {
                Some(expression) => amounts.push((OwnId::at(index), expression)),
                None => wrong = true,
            }
        }
        (!wrong).then_some(amounts)
    }

    fn http(&mut self, step: &At<HttpStep>) -> Option<StepKind> {
        let (at, step) = (step.at, &step.value);
        let target = http::target(self.resolver, at, step);
        let id = target.as_ref().map(|(method, url)| {
            let name = match &step.name {
                Some(name) => {
                    let text = name.source.trim().to_owned();
                    if text.is_empty() || text.len() > 200 || text.contains("{{") {
                        self.resolver.error(name.at, "the name of a step is a label: a short text that doesn't vary");
                    }
                    self.given.give(self.resolver, &text, name.at);
                    text
                }
                None => http::default_name(self.resolver, method, url),
            };
            self.step_id(name)
        });
        let request = target.and_then(|target| http::request(self.resolver, target, step, self.above, &self.names));
        self.pace.longest += http::timeout(step, self.above);
        let expect = self.expect(step);
        let extract = self.extract(step);
        let checks = self.checks(step, id);
        let id = id?;
        Some(StepKind::Http(Box::new(flow::HttpStep {
            id,
            name: self.layout.steps[id.index()].name.clone(),
            request: request?,
            expect: expect?,
            extract: extract?,
            checks: checks?,
        })))
    }

    /// The step with this name; steps of the same scenario and name are one.
    fn step_id(&mut self, name: String) -> StepId {
        let same = |step: &StepLayout| step.scenario == self.id && step.name == name;
        if let Some(index) = self.layout.steps.iter().position(same) {
            return StepId::at(index);
        }
        self.layout.steps.push(StepLayout::new(self.id, name, Protocol::Http));
        StepId::at(self.layout.steps.len() - 1)
    }

    fn expect(&mut self, step: &HttpStep) -> Option<flow::Expect> {
        let mut expect = flow::Expect::default();
        let Some(written) = &step.expect else { return Some(expect) };
        if let Some(status) = &written.status {
            expect.status = status.0.iter().map(|range| range.value.first..=range.value.last).collect();
        }
        let that: Vec<_> = written.that.iter().flat_map(|that| &that.0).map(|expr| self.expression(expr)).collect();
        expect.that = that.into_iter().collect::<Option<_>>()?;
        Some(expect)
    }

    fn extract(&mut self, step: &HttpStep) -> Option<Vec<(Symbol, Extract)>> {
        let mut extracts = Vec::new();
        let mut wrong = false;
        let discard = std::iter::once(step.settings()).chain(self.above.iter().flatten().map(|defaults| defaults.settings()));
        let discard = discard.into_iter().find_map(|layer| layer.discard_body).filter(|discard| discard.value);
        for (name, form) in step.extract.iter().flat_map(|entries| entries.iter()) {
            let short;
            let extraction = match form {
                Form::Short(path) => {
                    short = Extraction { json: Some(path.clone()), ..Extraction::default() };
                    &short
                }
                Form::Long(extraction) => extraction,
            };
            if discard.is_some() && extraction.header.is_none() {
                self.resolver.error(name.at, "there is no body to take this from: `discard_body` throws it away");
                wrong = true;
                continue;
            }
            match self.extraction(name, extraction) {
                Some(extract) => extracts.push((self.symbol(name), extract)),
                None => wrong = true,
            }
        }
        (!wrong).then_some(extracts)
    }

    fn extraction(&mut self, name: &At<String>, extraction: &Extraction) -> Option<Extract> {
        let required = extraction.required.is_some_and(|required| required.value);
        let all = extraction.all.filter(|all| all.value);
        if let (Some(all), None) = (all, &extraction.json) {
            self.resolver.error(all.at, "`all` goes with `json`");
        }
        let (source, made) = match (&extraction.json, &extraction.header, &extraction.regex) {
            (Some(path), None, None) => (path, Extract::json(&path.source, all.is_some(), required)),
            (None, Some(header), None) => (header, Extract::header(&header.source, required)),
            (None, None, Some(regex)) => (regex, Extract::regex(&regex.source, required)),
            (None, None, None) => {
                self.resolver
                    .lacking(name.at, "this says not what to take; write $.id, {header: x-request-id} or {regex: 'id=(\\w+)'}");
                return None;
            }
            _ => {
                self.resolver.error(name.at, "a variable comes from one place: `json`, `header` or `regex`");
                return None;
            }
        };
        match made {
            Ok(extract) => Some(extract),
            Err(error) => {
                self.resolver.compile_error(source.at, &error);
                None
            }
        }
    }

    fn checks(&mut self, step: &HttpStep, id: Option<StepId>) -> Option<Vec<(CheckId, crate::expr::Expression)>> {
        let mut checks = Vec::new();
        let mut wrong = false;
        for (name, expr) in step.check.iter().flat_map(|entries| entries.iter()) {
            let Some(expression) = self.expression(expr) else {
                wrong = true;
                continue;
            };
            let same = |check: &CheckLayout| check.scenario == self.id && check.step == id && check.name == name.value;
            let index = self.layout.checks.iter().position(same).unwrap_or_else(|| {
                self.layout.checks.push(CheckLayout { scenario: self.id, step: id, name: name.value.clone() });
                self.layout.checks.len() - 1
            });
            checks.push((CheckId::at(index), expression));
        }
        (!wrong).then_some(checks)
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
