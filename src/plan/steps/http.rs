//! `http`: the request with its labels, and what is made of its answer.

use std::time::Duration;

use super::{Builder, Place};
use crate::base::Protocol;
use crate::base::written::{At, Expr, Form, Named, Node, Scalar};
use crate::expr::{Expression, Extract, Symbol};
use crate::flow::{self, StepKind};
use crate::measure::{CheckId, CheckLayout, ScenarioId, StepId, StepLayout};
use crate::plan::http as requests;
use crate::protocol::http::written::{Extraction, HttpStep};

impl Builder<'_, '_> {
    pub(super) fn http(&mut self, step: &At<HttpStep>) -> Option<StepKind> {
        let (at, step) = (step.at, &step.value);
        let target = requests::target(self.resolver, at, step);
        let id = target.as_ref().map(|(method, url)| {
            let name = match &step.name {
                Some(name) => self.label(name, "step"),
                None => requests::default_name(self.resolver, method, url),
            };
            self.step_id(name, Protocol::Http)
        });
        let signs_in = matches!(self.place, Place::Start | Place::Setup);
        let request =
            target.and_then(|target| requests::request(self.resolver, at, target, step, self.above, &self.names, signs_in));
        if let Some(id) = id {
            self.limited(id, requests::timeout(step, self.above));
        }
        let expect = self.expect(step);
        let discards = self.discards(step);
        let extract = self.extracts(step.extract.as_ref(), |name, extraction| {
            let why = "there is no body to take this from: `discard_body` throws it away";
            (discards && extraction.header.is_none()).then_some((name.at, why))
        });
        let checks = self.checks(step.check.as_ref(), id);
        if let Some(id) = id {
            let layout = &mut self.layout.steps[id.index()];
            layout.uploads |= step.multipart.is_some();
            layout.downloads |= discards;
        }
        let digests = step.digests().map(|name| self.symbol(&name.into())).collect();
        let id = id?;
        Some(StepKind::Http(Box::new(flow::HttpStep {
            id,
            name: self.layout.steps[id.index()].name.clone(),
            request: request?,
            trace: self.layout.trace,
            expect: expect?,
            digests,
            extract: extract?,
            checks: checks?,
        })))
    }

    /// A request of a step takes at most so long.
    pub(super) fn limited(&mut self, id: StepId, timeout: Duration) {
        self.pace.request(id, timeout);
        let longest = self.resolver.timeouts.entry(id).or_default();
        *longest = timeout.max(*longest);
    }

    /// Where the layout's members of this scenario begin: the scenarios are looked at in their order.
    pub(super) fn first_of<T>(&self, all: &[T], scenario: impl Fn(&T) -> ScenarioId) -> usize {
        all.partition_point(|one| scenario(one) < self.id)
    }

    /// The step with this name; steps of the same scenario, group, name and protocol are one.
    pub(super) fn step_id(&mut self, name: String, protocol: Protocol) -> StepId {
        let same = |step: &StepLayout| {
            step.scenario == self.id && step.group == self.group && step.name == name && step.protocol == protocol
        };
        let first = self.first_of(&self.layout.steps, |step| step.scenario);
        if let Some(index) = self.layout.steps[first..].iter().position(same) {
            return StepId::at(first + index);
        }
        let within = self.in_session.map(|session| session.id);
        let step = StepLayout { group: self.group.clone(), within, ..StepLayout::new(self.id, name, protocol) };
        self.layout.steps.push(step);
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

    /// Whether the body of an answer is thrown away.
    fn discards(&self, step: &HttpStep) -> bool {
        let layers = std::iter::once(step.settings()).chain(self.above.iter().flatten().map(|defaults| defaults.settings()));
        layers.into_iter().find_map(|layer| layer.discard_body).is_some_and(|discard| discard.value)
    }

    /// What is taken out of an answer or of a message. Where an entry can't be had here, `refused` says where that is and why.
    pub(super) fn extracts(
        &mut self,
        entries: Option<&Named<Form<Scalar, Extraction>>>,
        refused: impl Fn(&At<String>, &Extraction) -> Option<(Node, &'static str)>,
    ) -> Option<Vec<(Symbol, Extract)>> {
        let mut extracts = Vec::new();
        let mut wrong = false;
        for (name, form) in entries.iter().flat_map(|entries| entries.iter()) {
            let short;
            let extraction = match form {
                Form::Short(path) => {
                    short = Extraction { json: Some(path.clone()), ..Extraction::default() };
                    &short
                }
                Form::Long(extraction) => extraction,
            };
            if let Some((at, why)) = refused(name, extraction) {
                self.resolver.error(at, why);
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

    pub(super) fn checks(&mut self, entries: Option<&Named<Expr>>, id: Option<StepId>) -> Option<Vec<(CheckId, Expression)>> {
        let mut checks = Vec::new();
        let mut wrong = false;
        for (name, expr) in entries.iter().flat_map(|entries| entries.iter()) {
            let Some(expression) = self.expression(expr) else {
                wrong = true;
                continue;
            };
            let same = |check: &CheckLayout| check.scenario == self.id && check.step == id && check.name == name.value;
            let first = self.first_of(&self.layout.checks, |check| check.scenario);
            let index = self.layout.checks[first..].iter().position(same).map_or_else(
                || {
                    let (name, eventually) = (name.value.clone(), self.in_eventually);
                    self.layout.checks.push(CheckLayout { scenario: self.id, step: id, eventually, name });
                    self.layout.checks.len() - 1
                },
                |index| first + index,
            );
            checks.push((CheckId::at(index), expression));
        }
        (!wrong).then_some(checks)
    }
}
