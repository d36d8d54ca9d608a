//! SLOs: names to indexes, phases to those that contain the subject, and the thresholds that histograms must count exactly.

use std::time::Duration;

use super::resolver::Resolver;
use super::types::Phase;
use crate::base::Protocol;
use crate::base::written::{Many, Node, Of as Written, Scalar};
use crate::counters::Observe;
use crate::expr::{Expression, Names};
use crate::measure::{CheckId, Layout, OwnId, OwnKind, PhaseId, ScenarioId, StepId, catalogue};
use crate::profile::written;
use crate::verdict::{Measure, Of, Over, Requirement, Slo, Subject, Traffic, Unit};

/// The SLOs, and the expressions that `value` SLOs judge by their texts.
pub(super) struct Slos {
    pub slos: Vec<Slo>,
    pub values: Vec<(String, Expression)>,
}

/// Resolves `slos`. The layout gets their thresholds.
pub(super) fn slos(resolver: &mut Resolver<'_>, layout: &mut Layout, phases: &[Phase], observe: &Observe) -> Slos {
    let mut found = Slos { slos: Vec::new(), values: Vec::new() };
    let written = &resolver.profile.written;
    for (index, slo) in written.slos.iter().flatten().enumerate() {
        let name = &slo.name.value.0;
        if written.slos.iter().flatten().take(index).any(|other| other.name.value.0 == *name) {
            resolver.error(slo.name.at, format!("two SLOs are named `{name}`; each wants a name of its own"));
        }
        let mut one = One { resolver, layout, phases, observe, slo };
        let Some(subject) = one.subject(&mut found.values) else { continue };
        let resolved = one.resolve(subject);
        for slo in &resolved {
            thresholds(layout, slo);
        }
        found.slos.extend(resolved);
    }
    layout.slo_rows = found
        .slos
        .iter()
        .map(|slo| {
            let phases = match &slo.over {
                Over::Phases(phases) => phases.len(),
                Over::Run => 1,
            };
            (phases * (slo.require.len() + slo.target.len())) as u64
        })
        .sum();
    found
}

/// One SLO as written.
struct One<'a, 'p> {
    resolver: &'a mut Resolver<'p>,
    layout: &'a Layout,
    phases: &'a [Phase],
    observe: &'a Observe,
    slo: &'a written::Slo,
}

impl One<'_, '_> {
    fn at(&self) -> Node {
        self.slo.name.at
    }

    /// What is judged.
    fn subject(&mut self, values: &mut Vec<(String, Expression)>) -> Option<Subject> {
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
        if let Some(query) = &slo.promql {
            self.narrowed_by_phase_only()?;
            let prometheus = self.observe.sources.iter().any(|source| source.kind == crate::counters::SourceKind::Prometheus);
            if !prometheus {
                self.resolver.error(query.at, "nobody can be asked this; add observe: {prometheus: {url: …}}");
                return None;
            }
            return Some(Subject::Promql(query.source.clone()));
        }
        if let Some(value) = &slo.value {
            self.narrowed_by_phase_only()?;
            let own = self.layout.own.iter().map(|own| own.name.clone());
            let program = catalogue::ALL.iter().map(|metric| metric.name.to_owned());
            let names = Names::new().with_metrics(own.chain(program));
            let expression = self.resolver.expression(value, &names)?;
            if !values.iter().any(|(text, _)| *text == value.source) {
                values.push((value.source.clone(), expression));
            }
            return Some(Subject::Value(value.source.clone()));
        }
        self.traffic().map(Subject::Traffic)
    }

    fn server(&mut self, server: &Scalar) -> Option<Subject> {
        self.narrowed_by_phase_only()?;
        let known = self.observe.value_names();
        if !known.contains(&server.source) {
            if known.is_empty() {
                self.resolver.error(server.at, "nothing of the target is observed; add observe: {counters: [{preset: redis}]}");
            } else {
                self.resolver.unknown(server.at, "value of the target", &server.source, known.iter().map(String::as_str));
            }
            return None;
        }
        if self.observe.sources.is_empty() {
            self.resolver
                .error(server.at, "there is no source to read this from; add observe: {prometheus: {url: …}} or exporters");
        }
        Some(Subject::Server(server.source.clone()))
    }

    /// A value of the target has no scenarios and no steps.
    fn narrowed_by_phase_only(&mut self) -> Option<()> {
        let narrowing = [(&self.slo.protocol, "protocol"), (&self.slo.scenario, "scenario"), (&self.slo.step, "step")];
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
    fn names(&mut self, list: Option<&Many<Scalar>>, what: &str, known: &[&str]) -> Option<Vec<String>> {
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
        let protocols = self.protocols();
        let of = self.of();
        let (Some(_), Some(wanted_steps), Some(protocols), Some(of)) = (&scenarios, wanted_steps, protocols, of) else {
            return None;
        };
        let steps: Vec<StepId> = layout
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| chosen(step.scenario))
            .filter(|(_, step)| slo.step.is_none() || wanted_steps.contains(&step.name))
            .filter(|(_, step)| protocols.is_empty() || protocols.contains(&step.protocol))
            .map(|(index, _)| StepId::at(index))
            .collect();
        if let (Some(step), Of::Iteration | Of::Connect | Of::Own(_) | Of::Gauge(_)) = (&slo.step, of) {
            let at = step.0.first().map_or(self.slo.name.at, |step| step.at);
            self.resolver
                .error(at, "`step` narrows requests; iterations, connections and metrics of one's own belong to a scenario");
        }
        // By steps or a protocol a scenario is in it if one of its steps is.
        let narrowed = slo.step.is_some() || slo.protocol.is_some();
        let scenarios: Vec<ScenarioId> = (0..layout.scenarios.len())
            .map(ScenarioId::at)
            .filter(|id| chosen(*id))
            .filter(|id| !narrowed || steps.iter().any(|step| layout.steps[step.index()].scenario == *id))
            .filter(|id| match of {
                Of::Own(own) | Of::Gauge(own) => layout.own[own.index()].scenarios.contains(id) || gauge_from(layout, own),
                _ => true,
            })
            .collect();
        let checks = self.checks(&scenarios, &steps);
        let protocols = if protocols.is_empty() { vec![Protocol::Http] } else { protocols };
        Some(Traffic { of, steps, groups: Vec::new(), scenarios, protocols, checks })
    }

    /// The checks of the steps; those outside of any step only if the SLO doesn't narrow to steps.
    fn checks(&self, scenarios: &[ScenarioId], steps: &[StepId]) -> Vec<CheckId> {
        let inside = |step: Option<StepId>| match step {
            Some(step) => steps.contains(&step),
            None => self.slo.step.is_none(),
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
                Some(Protocol::Http) => found.push(Protocol::Http),
                Some(_) => {
                    self.resolver.error(name.at, format!("`{}` is not supported yet", name.source));
                    return None;
                }
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
            "message_latency" | "session" | "group" => {
                self.resolver.error(of.at, format!("`of: {}` is not supported yet", of.source));
                None
            }
            name => match self.layout.own.iter().position(|own| own.name == name) {
                Some(index) => {
                    let gauge = matches!(self.layout.own[index].kind, OwnKind::Gauge | OwnKind::GaugeFrom { .. });
                    Some(if gauge { Of::Gauge(OwnId::at(index)) } else { Of::Own(OwnId::at(index)) })
                }
                None => {
                    let mut known = vec!["response", "service", "connect", "iteration"];
                    known.extend(self.layout.own.iter().map(|own| own.name.as_str()));
                    self.resolver.unknown(of.at, "measurement", name, known);
                    None
                }
            },
        }
    }

    /// Makes the SLO, or one for each.
    fn resolve(&mut self, subject: Subject) -> Vec<Slo> {
        let slo = self.slo;
        let require = requirements(slo.require.as_ref());
        let target = requirements(slo.target.as_ref());
        if require.is_empty() && target.is_empty() {
            self.resolver
                .error(self.at(), format!("the SLO `{}` requires nothing; add require: [p95 < 500ms]", slo.name.value.0));
        }
        let mut found = Vec::new();
        for (name, subject) in self.each(subject) {
            let Some(over) = self.over(&subject) else { continue };
            let one = Slo {
                name,
                subject,
                require: require.clone(),
                target: target.clone(),
                over,
                window: self.length(slo.window.as_ref()),
                abort_after: self.length(slo.abort_after.as_ref()),
            };
            if let Err(message) = one.fits(self.layout) {
                // At the requirement that it is about, which the message names first.
                let all = slo.require.iter().chain(&slo.target).flat_map(|list| &list.0);
                let at = all.into_iter().find(|r| message.contains(&r.value.text)).map_or(self.at(), |r| r.at);
                self.resolver.error(at, message);
                continue;
            }
            found.push(one);
        }
        found
    }

    fn length(&mut self, length: Option<&Written<Duration>>) -> Option<Duration> {
        let length = length?;
        if length.value < Duration::from_secs(1) {
            self.resolver.error(length.at, "a window is at least 1s long");
        }
        Some(length.value.max(Duration::from_secs(1)))
    }

    fn each(&self, subject: Subject) -> Vec<(String, Subject)> {
        let name = self.slo.name.value.0.clone();
        let (Some(each), Subject::Traffic(traffic)) = (self.slo.each, &subject) else { return vec![(name, subject)] };
        let layout = self.layout;
        match each.value {
            written::Each::Scenario => traffic
                .scenarios
                .iter()
                .map(|id| {
                    let steps: Vec<StepId> =
                        traffic.steps.iter().filter(|step| layout.steps[step.index()].scenario == *id).copied().collect();
                    let checks = self.checks(&[*id], &steps);
                    let part = Traffic { steps, checks, scenarios: vec![*id], ..traffic.clone() };
                    (format!("{name}/{}", layout.scenarios[id.index()].name), Subject::Traffic(part))
                })
                .collect(),
            written::Each::Step => traffic
                .steps
                .iter()
                .map(|id| {
                    let step = &layout.steps[id.index()];
                    let same = traffic.steps.iter().filter(|other| layout.steps[other.index()].name == step.name).count();
                    let label = match same {
                        1 => format!("{name}/{}", step.name),
                        _ => format!("{name}/{}/{}", layout.scenarios[step.scenario.index()].name, step.name),
                    };
                    let checks: Vec<CheckId> =
                        traffic.checks.iter().filter(|check| layout.checks[check.index()].step == Some(*id)).copied().collect();
                    let part = Traffic { steps: vec![*id], scenarios: vec![step.scenario], checks, ..traffic.clone() };
                    (label, Subject::Traffic(part))
                })
                .collect(),
        }
    }

    /// The phases that it applies to.
    fn over(&mut self, subject: &Subject) -> Option<Over> {
        let phase_names: Vec<&str> = self.phases.iter().map(|phase| phase.name.as_str()).collect();
        let named = self.names(self.slo.phase.as_ref(), "phase", &phase_names)?;
        if let Some(over) = self.slo.over {
            if self.slo.phase.is_some() {
                self.resolver.error(over.at, "`over: run` judges the run as a whole; leave `phase` out");
            }
            self.fed(subject, &self.judged());
            return Some(Over::Run);
        }
        for name in &named {
            if self.phases.iter().any(|phase| phase.name == *name && !phase.judge) {
                self.resolver.warn(
                    self.at(),
                    format!("the phase `{name}` isn't judged (`judge: false`), so this SLO says nothing about it"),
                );
            }
        }
        let within = |phase: &PhaseId| named.is_empty() || named.contains(&self.phases[phase.index()].name);
        let candidates: Vec<PhaseId> = self.judged().into_iter().filter(within).collect();
        let phases: Vec<PhaseId> =
            candidates.iter().copied().filter(|phase| contains(&self.phases[phase.index()], subject)).collect();
        self.fed(subject, &candidates);
        Some(Over::Phases(phases))
    }

    fn judged(&self) -> Vec<PhaseId> {
        self.phases.iter().filter(|phase| phase.judge && !phase.duration.is_zero()).map(|phase| phase.id).collect()
    }

    /// Warns of an SLO that nothing can feed.
    fn fed(&mut self, subject: &Subject, phases: &[PhaseId]) {
        let loaded = phases.iter().any(|phase| contains(&self.phases[phase.index()], subject));
        let measured = match subject {
            Subject::Traffic(Traffic { of: Of::Response | Of::Service, steps, .. }) => !steps.is_empty(),
            Subject::Traffic(Traffic { of: Of::Own(id) | Of::Gauge(id), scenarios, .. }) => {
                !scenarios.is_empty() || gauge_from(self.layout, *id)
            }
            Subject::Traffic(traffic) => !traffic.scenarios.is_empty(),
            _ => true,
        };
        if !measured {
            self.resolver.warn(self.at(), format!("no step can feed the SLO `{}`; it can't pass", self.slo.name.value.0));
        } else if !loaded {
            self.resolver.warn(
                self.at(),
                format!("no judged phase loads what the SLO `{}` is about; it can't pass", self.slo.name.value.0),
            );
        }
    }
}

fn gauge_from(layout: &Layout, own: OwnId) -> bool {
    layout.own.get(own.index()).is_some_and(|own| matches!(own.kind, OwnKind::GaugeFrom { .. }))
}

/// Whether the load of a phase contains what the SLO is about.
fn contains(phase: &Phase, subject: &Subject) -> bool {
    match subject {
        Subject::Traffic(traffic) => phase.loads.iter().any(|(scenario, _)| traffic.scenarios.contains(scenario)),
        _ => true,
    }
}

fn requirements(list: Option<&Many<Written<Requirement>>>) -> Vec<Requirement> {
    list.iter().flat_map(|list| &list.0).map(|requirement| requirement.value.clone()).collect()
}

/// Puts the SLO's thresholds into the layout, so that what lies below them is counted exactly.
fn thresholds(layout: &mut Layout, slo: &Slo) {
    let Subject::Traffic(traffic) = &slo.subject else { return };
    for requirement in slo.require.iter().chain(&slo.target) {
        let threshold = match requirement.measure {
            Measure::Within(seconds) => seconds,
            Measure::Quantile(_) if requirement.unit == Unit::Seconds => requirement.objective,
            _ => continue,
        };
        match traffic.of {
            Of::Response => {
                each_of(&mut layout.steps, traffic.steps.iter().map(|id| id.index()), |step| put(&mut step.thresholds, threshold))
            }
            Of::Service => {
                each_of(&mut layout.steps, traffic.steps.iter().map(|id| id.index()), |step| {
                    put(&mut step.service_thresholds, threshold)
                });
            }
            Of::Iteration => each_of(&mut layout.scenarios, traffic.scenarios.iter().map(|id| id.index()), |scenario| {
                put(&mut scenario.iteration_thresholds, threshold);
            }),
            Of::Connect => each_of(&mut layout.scenarios, traffic.scenarios.iter().map(|id| id.index()), |scenario| {
                put(&mut scenario.connect_thresholds, threshold);
            }),
            Of::Group | Of::Own(_) | Of::Gauge(_) => {}
        }
    }
}

fn each_of<T>(list: &mut [T], indexes: impl Iterator<Item = usize>, mut change: impl FnMut(&mut T)) {
    for index in indexes {
        if let Some(item) = list.get_mut(index) {
            change(item);
        }
    }
}

/// Puts a threshold in its place among the others, once.
fn put(thresholds: &mut Vec<f64>, threshold: f64) {
    if let Err(at) = thresholds.binary_search_by(|other| other.total_cmp(&threshold)) {
        thresholds.insert(at, threshold);
    }
}
