//! SLOs: names to indexes, phases to those that contain the subject, and the thresholds that histograms must count exactly.

mod each;
mod subject;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::metrics;
use super::resolver::Resolver;
use super::types::Phase;
use crate::base::units::show_seconds;
use crate::base::written::{Many, Of as Written, Ratio};
use crate::counters::Observe;
use crate::expr::Expression;
use crate::load::Load;
use crate::measure::{Layout, OwnKind, PhaseId, RequirementLayout, ScenarioId, StepId};
use crate::verdict::{Measure, Of, Over, Requirement, Slo, Subject, Tally, Traffic, Unit};

use subject::{One, gauge_from};

/// The shortest window that is judged.
const LEAST_WINDOW: Duration = Duration::from_secs(1);

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
    layout.requirements = rows(&found.slos, layout);
    found
}

/// What `/metrics` shows of the SLOs, each set of labels once: what is required comes before what is aimed at.
fn rows(slos: &[Slo], layout: &Layout) -> Vec<RequirementLayout> {
    let mut rows: Vec<RequirementLayout> = Vec::new();
    for slo in slos {
        let phases = match &slo.over {
            Over::Phases(phases) => phases.iter().copied().map(Some).collect(),
            Over::Run => vec![None],
        };
        let mut scenarios = match &slo.subject {
            Subject::Traffic(traffic) => traffic.scenarios.clone(),
            _ => Vec::new(),
        };
        scenarios.sort_unstable();
        scenarios.dedup();
        let all = slo.require.iter().map(|one| (one, true)).chain(slo.target.iter().map(|one| (one, false)));
        for (requirement, required) in all {
            for phase in phases.iter().filter(|phase| slo.judges(requirement, **phase)) {
                let phase = phase.and_then(|phase| layout.phases.get(phase.index())).cloned().unwrap_or_default();
                let (slo, requirement) = (slo.name.clone(), requirement.text.clone());
                let same = |row: &RequirementLayout| (&row.slo, &row.phase, &row.requirement) == (&slo, &phase, &requirement);
                if !rows.iter().rev().take_while(|row| row.slo == slo).any(same) {
                    rows.push(RequirementLayout { slo, phase, requirement, required, scenarios: scenarios.clone() });
                }
            }
        }
    }
    rows
}

impl One<'_, '_> {
    /// Makes the SLO, or one for each.
    fn resolve(&mut self, subject: Subject) -> Vec<Slo> {
        let slo = self.slo;
        let require = self.requirements(&subject, slo.require.as_ref());
        let target = self.requirements(&subject, slo.target.as_ref());
        if require.is_empty() && target.is_empty() {
            self.resolver
                .lacking(self.at(), format!("the SLO `{}` requires nothing; add require: [p95 < 500ms]", slo.name.value.0));
        }
        let mut found = Vec::new();
        for (name, mut subject) in self.loaded(self.each(subject)) {
            // What holds several requests isn't limited by the time limit of one.
            if let Subject::Traffic(traffic) = &mut subject
                && matches!(traffic.of, Of::Response | Of::Service | Of::Connect)
            {
                let limits = traffic.steps.iter().filter_map(|step| self.resolver.timeouts.get(step));
                traffic.timeout = limits.max().map_or(0.0, Duration::as_secs_f64);
            }
            let Some(over) = self.over(&subject) else { continue };
            let optional = self.may_be_left_out(&subject);
            let phases =
                |open| self.phases.iter().filter(|phase| has_load(phase, &subject, open)).map(|phase| phase.id).collect();
            let (arrivals, users) = (phases(true), phases(false));
            let one = Slo {
                name,
                subject,
                arrivals,
                users,
                require: require.clone(),
                target: target.clone(),
                over,
                window: self.length(slo.window.as_ref()).map(|window| self.scaled_window(window)),
                abort_after: self.length(slo.abort_after.as_ref()),
                optional,
            };
            if let Err(misfit) = one.fits(self.layout) {
                let mut all = slo.require.iter().chain(&slo.target).flat_map(|list| &list.0);
                let at = all.find(|r| misfit.requirement.as_ref() == Some(&r.value.text)).map_or(self.at(), |r| r.at);
                if misfit.lacking {
                    self.resolver.lacking(at, misfit.message);
                } else {
                    self.resolver.error(at, misfit.message);
                }
                continue;
            }
            self.wider_than_its_steps(&one);
            self.given_up_before(&one);
            found.push(one);
        }
        found
    }

    /// The requirements of a list, for a load that `scale` makes smaller or larger.
    fn requirements(&self, subject: &Subject, list: Option<&Many<Written<Requirement>>>) -> Vec<Requirement> {
        let scale = self.resolver.profile.written.scale.clone().unwrap_or_default();
        let by = |ratio: Option<Written<Ratio>>| ratio.map_or(1.0, |ratio| ratio.value.0);
        let (load, time) = (by(scale.load), by(scale.time));
        let counts = match subject {
            Subject::Traffic(Traffic { of: Of::Own(id), .. }) => {
                self.layout.own.get(id.index()).is_some_and(|own| own.kind == OwnKind::Counter)
            }
            Subject::Value(expression) => metrics::is_count_alone(expression, self.layout),
            _ => false,
        };
        let scaled = |requirement: &Requirement| {
            let by = match requirement.measure {
                Measure::Count(_) => load * time,
                Measure::Value if counts => load * time,
                Measure::Rate => load,
                _ => 1.0,
            };
            Requirement { objective: requirement.objective * by, ..requirement.clone() }
        };
        list.iter().flat_map(|list| &list.0).map(|requirement| scaled(&requirement.value)).collect()
    }

    /// Requests that are given up before the objective's time: whether they would have been in time nobody knows.
    fn given_up_before(&mut self, slo: &Slo) {
        let Subject::Traffic(traffic) = &slo.subject else { return };
        let written = || self.slo.require.iter().chain(&self.slo.target).flat_map(|list| &list.0);
        let too_long = |requirement: &Requirement| {
            let objective = match requirement.measure {
                Measure::Within(seconds) => seconds,
                Measure::Quantile(_) | Measure::Mean | Measure::Max => requirement.objective,
                _ => return false,
            };
            matches!(traffic.of, Of::Response | Of::Service) && traffic.timeout > 0.0 && objective > traffic.timeout
        };
        let found = written().find(|written| too_long(&written.value)).map(|written| (written.at, written.value.text.clone()));
        if let Some((at, text)) = found {
            let limit = show_seconds(traffic.timeout);
            let message = format!(
                "requests are given up after {limit}, their `timeout`, so that one that isn't answered can't show whether `{text}` holds; give it a longer `timeout`"
            );
            self.resolver.warn(at, message);
        }
    }

    /// A connection serves all steps of its scenario, so what ended can't be counted by step.
    fn wider_than_its_steps(&mut self, slo: &Slo) {
        let (Some(step), Subject::Traffic(traffic)) = (self.slo.step.as_ref().and_then(|steps| steps.0.first()), &slo.subject)
        else {
            return;
        };
        let of_connections =
            |of: &Requirement| matches!(of.measure, Measure::Ratio(Tally::Disconnects) | Measure::Count(Tally::Disconnects));
        let others = self.layout.steps.iter().enumerate().any(|(index, step)| {
            traffic.scenarios.contains(&step.scenario)
                && traffic.protocols.contains(&step.protocol)
                && !traffic.steps.contains(&StepId::at(index))
        });
        if others && slo.require.iter().chain(&slo.target).any(of_connections) {
            let message = "`disconnects` are those of the scenario's connections, whichever step used them; narrow it by `scenario` and `protocol` instead";
            self.resolver.warn(step.at, message);
        }
    }

    /// Of `each`, those that a judged phase loads: what set-up does, or what is only called, isn't asked about.
    fn loaded(&self, parts: Vec<(String, Subject)>) -> Vec<(String, Subject)> {
        if self.slo.each.is_none() {
            return parts;
        }
        let judged = self.judged();
        let (loaded, others): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(_, subject)| judged.iter().any(|phase| contains(&self.phases[phase.index()], subject)));
        if loaded.is_empty() { others } else { loaded }
    }

    fn length(&mut self, length: Option<&Written<Duration>>) -> Option<Duration> {
        let length = length?;
        if length.value < LEAST_WINDOW {
            self.resolver.error(length.at, "a window is at least 1s long");
        }
        Some(length.value.max(LEAST_WINDOW))
    }

    /// A window, where `scale` makes the phases shorter or longer.
    fn scaled_window(&self, window: Duration) -> Duration {
        let time = self.resolver.profile.written.scale.as_ref().and_then(|scale| scale.time);
        let by = time.map_or(1.0, |time| time.value.0);
        let scaled = Duration::try_from_secs_f64(window.as_secs_f64() * by).unwrap_or(window);
        if by == 1.0 { window } else { scaled.max(LEAST_WINDOW) }
    }

    /// The phases that it applies to.
    fn over(&mut self, subject: &Subject) -> Option<Over> {
        let phase_names: Vec<&str> = self.phases.iter().map(|phase| phase.name.as_str()).collect();
        let named = self.names(self.slo.phase.as_ref(), "phase", &phase_names)?;
        let over = self.slo.over.iter().flat_map(|list| &list.0).find(|over| over.value == crate::profile::written::Over::Run);
        if let Some(over) = over {
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
            Subject::Traffic(Traffic { of: Of::Response | Of::Service | Of::Session, steps, .. }) => !steps.is_empty(),
            Subject::Traffic(Traffic { of: Of::MessageLatency, messages, .. }) => !messages.is_empty(),
            Subject::Traffic(Traffic { of: Of::Group, groups, .. }) => !groups.is_empty(),
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

/// Whether the load of a phase contains what the SLO is about.
fn contains(phase: &Phase, subject: &Subject) -> bool {
    match subject {
        Subject::Traffic(traffic) => phase.loads.iter().any(|(scenario, _)| traffic.scenarios.contains(scenario)),
        _ => true,
    }
}

/// Whether the load of a phase has arrivals (`open`), or users of its own, for what the SLO is about.
fn has_load(phase: &Phase, subject: &Subject, open: bool) -> bool {
    let is_about = |scenario: &ScenarioId| match subject {
        Subject::Traffic(traffic) => traffic.scenarios.contains(scenario),
        // Totals are of all that the load does, and nothing of `dropped`.
        Subject::Value(_) => !open,
        _ => false,
    };
    let is_open = |load: &Load| matches!(load, Load::Open { .. });
    phase.loads.iter().any(|(scenario, load)| is_about(scenario) && is_open(load) == open)
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
            Of::Session => each_of(&mut layout.steps, traffic.steps.iter().map(|id| id.index()), |step| {
                if let Some(thresholds) = &mut step.session {
                    put(thresholds, threshold);
                }
            }),
            Of::MessageLatency => each_of(&mut layout.messages, traffic.messages.iter().map(|id| id.index()), |message| {
                put(&mut message.thresholds, threshold);
            }),
            Of::Group => each_of(&mut layout.groups, traffic.groups.iter().map(|id| id.index()), |group| {
                put(&mut group.thresholds, threshold);
            }),
            Of::Own(_) | Of::Gauge(_) => {}
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
