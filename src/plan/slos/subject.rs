//! What an SLO judges: its names to indexes.

use crate::base::Protocol;
use crate::base::units::show_seconds;
use crate::base::written::{At, Many, Node, Scalar};
use crate::counters::{Observe, Query, SourceKind};
use crate::expr::{Expression, Names};
use crate::measure::{CheckId, GroupId, Layout, MessageId, OwnId, OwnKind, ScenarioId, StepId};
use crate::plan::metrics;
use crate::plan::observe::matchers;
use crate::plan::resolver::Resolver;
use crate::plan::types::Phase;
use crate::profile::written;
use crate::verdict::{Of, Server, Several, Subject, Traffic};

/// One SLO as written.
pub(super) struct One<'a, 'p> {
    pub resolver: &'a mut Resolver<'p>,
    pub layout: &'a Layout,
    pub phases: &'a [Phase],
    pub observe: &'a Observe,
    pub slo: &'a written::Slo,
}

impl One<'_, '_> {
    pub(super) fn at(&self) -> Node {
        self.slo.name.at
    }

    /// What is judged.
    pub(super) fn subject(&mut self, values: &mut Vec<(String, Expression)>) -> Option<Subject> {
        let slo = self.slo;
        let others: Vec<Node> = [
            slo.server.as_ref().map(|text| text.at),
            slo.promql.as_ref().map(|text| text.at),
            slo.value.as_ref().map(|text| text.at),
            slo.of.as_ref().map(|text| text.at),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let [_, second, ..] = others[..] {
            self.resolver.error(second, "an SLO has one subject: `of`, `server`, `promql` or `value`");
            return None;
        }
        if let Some(server) = &slo.server {
            return self.server(server);
        }
        self.of_systems_only()?;
        if let Some(query) = &slo.promql {
            self.narrowed_by_phase_only()?;
            if !self.has_prometheus() && !self.is_optional() {
                self.resolver.warn(
                    query.at,
                    "there is no Prometheus to ask, so this SLO can't be judged; add observe: {prometheus: {url: …}}",
                );
            }
            return self.promql(query).map(Subject::Promql);
        }
        if let Some(value) = &slo.value {
            self.narrowed_by_phase_only()?;
            let names = metrics::with_totals(self.resolver, self.layout, Names::new());
            let expression = self.resolver.expression(value, &names)?;
            if !values.iter().any(|(text, _)| *text == value.source) {
                values.push((value.source.clone(), expression));
            }
            return Some(Subject::Value(value.source.clone()));
        }
        self.traffic().map(Subject::Traffic)
    }

    fn promql(&mut self, written: &Scalar) -> Option<Query> {
        let query = match Query::parse(&written.source) {
            Ok(query) => query,
            Err(error) => {
                self.resolver.error(written.at, format!("this is no PromQL query: {error}"));
                return None;
            }
        };
        if let Some(unknown) = &query.unknown {
            self.resolver.warn(written.at, format!("{unknown}; only the server knows whether the query is right"));
        }
        let named =
            |phase: &&Phase| self.slo.phase.as_ref().is_none_or(|names| names.0.iter().any(|name| name.source == phase.name));
        let judged = || self.phases.iter().filter(|phase| phase.judge && !phase.duration.is_zero());
        let (what, length) = match self.slo.over {
            Some(_) => ("the judged phases last".to_owned(), judged().map(|phase| phase.duration).sum()),
            None => {
                let shortest = judged().filter(named).min_by_key(|phase| phase.duration);
                shortest.map_or_else(Default::default, |phase| (format!("the phase `{}` lasts", phase.name), phase.duration))
            }
        };
        if !what.is_empty() && query.reach >= length {
            let (reach, length) = (show_seconds(query.reach.as_secs_f64()), show_seconds(length.as_secs_f64()));
            self.resolver.warn(
                written.at,
                format!("the query's ranges reach back {reach}, and {what} {length}: it is evaluated once, at the end, and what was before is in the answer"),
            );
        }
        Some(query)
    }

    fn server(&mut self, server: &Scalar) -> Option<Subject> {
        self.narrowed_by_phase_only()?;
        let known = self.observe.value_names();
        if !known.contains(&server.source) {
            if known.is_empty() {
                self.resolver.lacking(server.at, "nothing of the target is observed; add observe: {counters: [{preset: redis}]}");
            } else {
                self.resolver.unknown(server.at, "value of the target", &server.source, known.iter().map(String::as_str));
            }
            return None;
        }
        if self.observe.sources.is_empty() && !self.is_optional() {
            self.resolver.warn(
                server.at,
                "there is no source to read this from, so this SLO can't be judged; add observe: {prometheus: {url: …}} or exporters",
            );
        }
        let matchers = matchers(self.resolver, self.slo.matching.as_ref());
        let of_systems = |over: &&At<written::Over>| over.value != written::Over::Run;
        let mut over = self.slo.over.iter().flat_map(|list| &list.0).filter(of_systems);
        let (first, second) = (over.next(), over.next());
        if let Some(second) = second {
            self.resolver.error(second.at, "several systems are judged either `over: each` or `over: sum`");
        }
        let systems = match first.map(|over| over.value) {
            Some(written::Over::Sum) => Several::Sum,
            Some(_) => Several::Each,
            None if !matchers.is_empty() || self.observe.is_picked(&server.source) => Several::Each,
            None => Several::Agree,
        };
        Some(Subject::Server(Server { value: server.source.clone(), matchers, systems }))
    }

    /// What distinguishes systems says nothing of anything else.
    fn of_systems_only(&mut self) -> Option<()> {
        let over = self.slo.over.iter().flat_map(|list| &list.0).find(|over| over.value != written::Over::Run);
        if let Some(over) = over {
            self.resolver.error(
                over.at,
                "`over: each` and `over: sum` are about the systems of a `server`; otherwise there is `over: run`",
            );
            return None;
        }
        if let Some((label, _)) = self.slo.matching.iter().flat_map(|matching| matching.iter()).next() {
            self.resolver.error(label.at, "`match` picks systems of a `server`; this SLO is about something else");
            return None;
        }
        if let Some(optional) = self.slo.optional.filter(|_| self.slo.promql.is_none()) {
            self.resolver.error(optional.at, "`optional` is about the source of a `server` or a `promql`; this SLO needs none");
            return None;
        }
        Some(())
    }

    fn has_prometheus(&self) -> bool {
        self.observe.sources.iter().any(|source| source.kind == SourceKind::Prometheus)
    }

    fn is_optional(&self) -> bool {
        self.slo.optional.is_some_and(|optional| optional.value)
    }

    /// Whether it isn't judged where no source has what it is about, since one is left out on purpose.
    pub(super) fn may_be_left_out(&self, subject: &Subject) -> bool {
        let left_out = match subject {
            Subject::Server(_) => self.observe.incomplete || self.observe.sources.is_empty(),
            Subject::Promql(_) => !self.has_prometheus(),
            Subject::Traffic(_) | Subject::Value(_) => false,
        };
        left_out && self.is_optional()
    }

    /// A value of the target has no scenarios and no steps.
    fn narrowed_by_phase_only(&mut self) -> Option<()> {
        let narrowing = [
            (&self.slo.protocol, "protocol"),
            (&self.slo.scenario, "scenario"),
            (&self.slo.step, "step"),
            (&self.slo.group, "group"),
        ];
        let found = narrowing.into_iter().find_map(|(list, key)| Some((list.as_ref()?.0.first()?.at, key)));
        if let Some((at, key)) = found {
            self.resolver.error(at, format!("`{key}` narrows what the generator measures; this SLO is about something else"));
            return None;
        }
        if let Some(each) = self.slo.each {
            self.resolver.error(each.at, "`each` makes one SLO of each scenario or step; this SLO is about something else");
            return None;
        }
        Some(())
    }

    /// The indexes of the names of a list; nothing if one is unknown.
    pub(super) fn names(&mut self, list: Option<&Many<Scalar>>, what: &str, known: &[&str]) -> Option<Vec<String>> {
        let mut found = Vec::new();
        let mut wrong = false;
        for name in list.iter().flat_map(|list| &list.0) {
            if known.contains(&name.source.as_str()) {
                found.push(name.source.clone());
            } else {
                self.resolver.unknown(name.at, what, &name.source, known.iter().copied());
                wrong = true;
            }
        }
        (!wrong).then_some(found)
    }

    fn traffic(&mut self) -> Option<Traffic> {
        let layout = self.layout;
        let slo = self.slo;
        let scenario_names: Vec<&str> = layout.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        let scenarios = self.names(slo.scenario.as_ref(), "scenario", &scenario_names);
        let chosen = |scenario: ScenarioId| match (&slo.scenario, &scenarios) {
            (Some(_), Some(names)) => names.contains(&layout.scenarios[scenario.index()].name),
            _ => true,
        };
        let step_names: Vec<&str> =
            layout.steps.iter().filter(|step| chosen(step.scenario)).map(|step| step.name.as_str()).collect();
        let wanted_steps = self.names(slo.step.as_ref(), "step", &step_names);
        let group_names: Vec<&str> =
            layout.groups.iter().filter(|group| chosen(group.scenario)).map(|group| group.name.as_str()).collect();
        let wanted_groups = self.names(slo.group.as_ref(), "group", &group_names);
        let protocols = self.protocols();
        let of = self.of();
        let (Some(_), Some(wanted_steps), Some(wanted_groups), Some(protocols), Some(of)) =
            (&scenarios, wanted_steps, wanted_groups, protocols, of)
        else {
            return None;
        };
        let in_groups = |group: Option<&str>| slo.group.is_none() || group.is_some_and(|name| is_within(name, &wanted_groups));
        let steps: Vec<StepId> = layout
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| chosen(step.scenario))
            .filter(|(_, step)| slo.step.is_none() || wanted_steps.contains(&step.name))
            .filter(|(_, step)| in_groups(step.group.as_deref()))
            .filter(|(_, step)| protocols.is_empty() || protocols.contains(&step.protocol))
            .filter(|(_, step)| of != Of::Session || step.session.is_some())
            .map(|(index, _)| StepId::at(index))
            .collect();
        let wider = matches!(of, Of::Iteration | Of::Connect | Of::Own(_) | Of::Gauge(_));
        let narrowing =
            [("step", slo.step.as_ref().filter(|_| wider || of == Of::Group)), ("group", slo.group.as_ref().filter(|_| wider))];
        if let Some((key, list)) = narrowing.into_iter().find_map(|(key, list)| Some((key, list?))) {
            let at = list.0.first().map_or(self.slo.name.at, |name| name.at);
            let message = match of {
                Of::Group => "`step` narrows requests; a group is timed as a whole".to_owned(),
                _ => format!("`{key}` narrows requests; iterations, connections and metrics of one's own belong to a scenario"),
            };
            self.resolver.error(at, message);
        }
        let groups: Vec<GroupId> = match of {
            Of::Group => (layout.groups.iter().enumerate())
                .filter(|(_, group)| chosen(group.scenario))
                .filter(|(_, group)| slo.group.is_none() || wanted_groups.contains(&group.name))
                .map(|(index, _)| GroupId::at(index))
                .collect(),
            _ => Vec::new(),
        };
        // By steps or a protocol a scenario is in it if one of its steps is.
        let narrowed = slo.step.is_some() || slo.protocol.is_some() || slo.group.is_some();
        let scenarios: Vec<ScenarioId> = (0..layout.scenarios.len())
            .map(ScenarioId::at)
            .filter(|id| chosen(*id))
            .filter(|id| !narrowed || steps.iter().any(|step| layout.steps[step.index()].scenario == *id))
            .filter(|id| match of {
                Of::Group => groups.iter().any(|group| layout.groups[group.index()].scenario == *id),
                Of::Own(own) | Of::Gauge(own) => layout.own[own.index()].scenarios.contains(id) || gauge_from(layout, own),
                // A scenario that opens no connection or session, or receives no message, has none of the subject.
                Of::Connect | Of::Session => steps.iter().any(|step| layout.steps[step.index()].scenario == *id),
                Of::MessageLatency => !self.messages(&[*id], &steps, of).is_empty(),
                Of::Response | Of::Service | Of::Iteration => true,
            })
            .collect();
        let checks = self.checks(&scenarios, &steps);
        let messages = self.messages(&scenarios, &steps, of);
        let protocols = if protocols.is_empty() { Protocol::ALL.to_vec() } else { protocols };
        Some(Traffic { of, steps, groups, scenarios, all_steps: !narrowed, protocols, checks, messages, timeout: 0.0 })
    }

    /// The messages that sessions of the steps receive; of their latency only those that say when they were published.
    fn messages(&self, scenarios: &[ScenarioId], steps: &[StepId], of: Of) -> Vec<MessageId> {
        let layout = self.layout;
        let inside = |step: StepId| steps.contains(&step) && scenarios.contains(&layout.steps[step.index()].scenario);
        let messages = layout.messages.iter().enumerate().filter(|(_, message)| inside(message.step));
        messages
            .filter(|(_, message)| of != Of::MessageLatency || message.latency || message.numbered)
            .map(|(index, _)| MessageId::at(index))
            .collect()
    }

    /// The checks of the steps; those outside of any step only if the SLO doesn't narrow to steps.
    pub(super) fn checks(&self, scenarios: &[ScenarioId], steps: &[StepId]) -> Vec<CheckId> {
        let inside = |step: Option<StepId>| match step {
            Some(step) => steps.contains(&step),
            None => self.slo.step.is_none() && self.slo.group.is_none(),
        };
        let checks = self.layout.checks.iter().enumerate();
        checks
            .filter(|(_, check)| scenarios.contains(&check.scenario) && inside(check.step))
            .map(|(index, _)| CheckId::at(index))
            .collect()
    }

    fn protocols(&mut self) -> Option<Vec<Protocol>> {
        let mut found = Vec::new();
        for name in self.slo.protocol.iter().flat_map(|list| &list.0) {
            match Protocol::from_label(&name.source) {
                Some(protocol) => found.push(protocol),
                None => {
                    let known = Protocol::ALL.iter().map(|protocol| protocol.label());
                    self.resolver.unknown(name.at, "protocol", &name.source, known.collect::<Vec<_>>());
                    return None;
                }
            }
        }
        Some(found)
    }

    fn of(&mut self) -> Option<Of> {
        let Some(of) = &self.slo.of else { return Some(Of::Response) };
        match of.source.as_str() {
            "response" => Some(Of::Response),
            "service" => Some(Of::Service),
            "connect" => Some(Of::Connect),
            "iteration" => Some(Of::Iteration),
            "session" => Some(Of::Session),
            "message_latency" => Some(Of::MessageLatency),
            "group" => Some(Of::Group),
            name => match self.layout.own.iter().position(|own| own.name == name) {
                Some(index) => {
                    let gauge = matches!(self.layout.own[index].kind, OwnKind::Gauge | OwnKind::GaugeFrom { .. });
                    Some(if gauge { Of::Gauge(OwnId::at(index)) } else { Of::Own(OwnId::at(index)) })
                }
                None => {
                    let mut known = vec!["response", "service", "connect", "iteration", "group", "session", "message_latency"];
                    known.extend(self.layout.own.iter().map(|own| own.name.as_str()));
                    self.resolver.unknown(of.at, "measurement", name, known);
                    None
                }
            },
        }
    }
}

/// Whether a group is one of these, or stands in one of them.
pub(super) fn is_within(name: &str, groups: &[String]) -> bool {
    groups.iter().any(|group| name.strip_prefix(group.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

pub(super) fn gauge_from(layout: &Layout, own: OwnId) -> bool {
    layout.own.get(own.index()).is_some_and(|own| matches!(own.kind, OwnKind::GaugeFrom { .. }))
}
