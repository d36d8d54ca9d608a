//! What is seen only when all is together: limits that are exceeded, and what is probably not meant.

use std::collections::BTreeSet;
use std::time::Duration;

use super::calls::loaded;
use super::loads::{Pace, show_rate};
use super::resolver::Resolver;
use super::types::{DataSource, Phase, Pick, Plan, Repeat, Scenario};
use crate::base::units::show_seconds;
use crate::base::written::{Flat, Node};
use crate::flow::StepKind;
use crate::load::{Iterations, Load, whole};
use crate::measure::{ScenarioId, StepId};
use crate::profile::{Severity, written};
use crate::verdict::{LEAST_TIME, Measure, Over, Slo};

/// Looks at the plan as a whole.
pub(super) fn look(resolver: &mut Resolver<'_>, plan: &Plan, paces: &[Pace]) {
    unloaded(resolver, plan);
    unjudged(resolver, plan);
    moved(resolver, plan);
    pools(resolver, plan, paces);
    limits(resolver, plan);
    series(resolver, plan);
    data(resolver, plan);
    drifts(resolver, plan);
}

/// A profile that requires nothing: its runs have no verdict.
fn unjudged(resolver: &mut Resolver<'_>, plan: &Plan) {
    let wrong = resolver.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    if !wrong && plan.hooks.verify.is_none() && !plan.slos.iter().any(|slo| !slo.require.is_empty()) {
        let at = resolver.profile.written.name.at;
        let message = "nothing is required of a run, so its verdict is `none` however it goes; add slos: [{name: api, require: [errors < 1%, p95 < 500ms]}]";
        resolver.warn(at, message);
    }
}

/// Hosts of `connect_to` to which no step goes: probably they are misspelt. Where a step goes isn't known of all of them.
fn moved(resolver: &mut Resolver<'_>, plan: &Plan) {
    let (mut used, mut anywhere): (BTreeSet<(String, u16)>, bool) = (BTreeSet::new(), false);
    for flow in plan.scenarios.iter().flat_map(Scenario::flows).chain(plan.hooks.iter().map(|hook| &hook.flow)) {
        flow.each(&mut |step| {
            let endpoint = match &step.kind {
                StepKind::Http(http) if http.request.spec().redirects == 0 => http.request.endpoint().cloned(),
                StepKind::Session(session) => session.connector.endpoint(),
                StepKind::Http(_) => None,
                _ => return,
            };
            match endpoint {
                Some(to) => drop(used.insert((to.host, to.port))),
                None => anywhere = true,
            }
        });
    }
    for (host, at) in std::mem::take(&mut resolver.moved) {
        if !anywhere && !used.iter().any(|(name, port)| host.covers(name, *port)) {
            resolver.warn(at, format!("no step goes to `{host}`, so this does nothing; write the host as it stands in the URLs"));
        }
    }
}

fn unloaded(resolver: &mut Resolver<'_>, plan: &Plan) {
    let profile = &resolver.profile.written;
    let named = loaded(profile);
    let active: BTreeSet<usize> = plan.phases.iter().flat_map(|phase| &phase.loads).map(|(id, _)| id.index()).collect();
    for (index, (name, scenario)) in profile.scenarios.iter().enumerate() {
        if scenario.flow.0.is_empty() {
            resolver
                .lacking(name.at, format!("the scenario `{}` does nothing; write at least one step into its flow", name.value));
        }
        if !named.contains(&index) && !resolver.called.contains(&index) && !active.contains(&index) {
            resolver.warn(name.at, format!("no phase loads the scenario `{}`", name.value));
        }
    }
}

/// Pools that are too small by Little's law: users busy at once = arrivals per second × seconds of an iteration. An iteration
/// takes its pauses, and for each request as long as its strictest SLO lets it.
fn pools(resolver: &mut Resolver<'_>, plan: &Plan, paces: &[Pace]) {
    for phase in &plan.phases {
        for (id, load) in &phase.loads {
            let (Load::Open { arrivals, max_users, .. }, Some(pace)) = (load, paces.get(id.index())) else { continue };
            let strictest = |step: StepId| plan.layout.steps.get(step.index())?.thresholds.first().copied();
            let answers: f64 = pace.requests.iter().filter_map(|(step, times)| Some(strictest(*step)? * times)).sum();
            let pauses = pace.pauses.as_secs_f64();
            let wanted = arrivals.rate.max() * (pauses + answers);
            let Some(source) = resolver.profile.written.phases.get(phase.id.index()) else { continue };
            if wanted <= *max_users as f64 * (1.0 + 1e-9) {
                continue;
            }
            let name = plan.scenarios.get(id.index()).map_or("", |scenario| scenario.name.as_str());
            let message = format!(
                "{max_users} users are too few for `{name}` in the phase `{}`: at {} an iteration may take {}, and its pauses take {} and its answers as much as the SLOs allow {}; allow {} users, or arrivals will be dropped",
                phase.name,
                show_rate(arrivals.rate.max()),
                show_seconds(*max_users as f64 / arrivals.rate.max()),
                show_seconds(pauses),
                show_seconds(answers),
                wanted.ceil(),
            );
            let at = max_users_written(source, name).unwrap_or(source.name.at);
            resolver.warn(at, message);
        }
    }
}

/// Where a phase says how many users a scenario may have.
fn max_users_written(phase: &written::Phase, scenario: &str) -> Option<Node> {
    let stages = phase.stages.iter().flatten().map(|stage| stage.load.as_ref());
    std::iter::once(phase.load.as_ref()).chain(stages).flatten().find_map(|load| match load {
        Flat::One(load) => load.value.max_users.map(|max| max.at),
        Flat::Each(each) => each.get(scenario)?.value.max_users.map(|max| max.at),
    })
}

/// Moments of a phase at which its levels can be highest: the ends of all pieces, from both sides.
pub(super) fn moments(phase: &Phase) -> BTreeSet<Duration> {
    let mut moments = BTreeSet::from([Duration::ZERO]);
    for (_, load) in &phase.loads {
        let mut at = Duration::ZERO;
        for piece in load.shape().pieces() {
            at += piece.duration;
            moments.insert(at);
            moments.insert(at.saturating_sub(Duration::from_nanos(1)));
        }
    }
    moments
}

/// The most of something that a phase has at one moment.
fn peak(phase: &Phase, of: impl Fn(&Load, Duration) -> f64) -> f64 {
    let sums = moments(phase).into_iter().map(|t| phase.loads.iter().map(|(_, load)| of(load, t)).sum::<f64>());
    sums.fold(0.0, f64::max)
}

/// The most users that a phase can have at one moment.
fn peak_users(phase: &Phase) -> u64 {
    let users = |load: &Load, t: Duration| match load {
        Load::Closed { level, .. } => level.level(t),
        Load::Open { max_users, .. } => *max_users as f64,
    };
    // A ramp is looked at a nanosecond before its end.
    peak(phase, users).round() as u64
}

/// The most arrivals that a phase has in one second: its rate, and what comes at once.
fn peak_rate(phase: &Phase) -> f64 {
    let bursts: Vec<(Duration, u64)> = phase
        .loads
        .iter()
        .flat_map(|(_, load)| match load {
            Load::Open { arrivals, .. } => arrivals.bursts.as_slice(),
            Load::Closed { .. } => &[],
        })
        .copied()
        .collect();
    let second = Duration::from_secs(1);
    let at_once = |from: Duration| -> f64 {
        let within = bursts.iter().filter(|(at, _)| *at >= from && *at < from + second);
        within.map(|(_, count)| *count as f64).sum()
    };
    let rate = |t: Duration| phase.loads.iter().filter_map(|(_, load)| load.rate_wanted(t)).sum::<f64>();
    let of_bursts = bursts.iter().map(|(at, _)| at_once(*at) + rate(*at));
    of_bursts.fold(peak(phase, |load, t| load.rate_wanted(t).unwrap_or(0.0)), f64::max)
}

fn limits(resolver: &mut Resolver<'_>, plan: &Plan) {
    let Some(limits) = resolver.profile.written.limits.clone() else { return };
    for (phase, source) in plan.phases.iter().zip(&resolver.profile.written.phases) {
        if let Some(limit) = limits.rate {
            let rate = peak_rate(phase);
            if rate > limit.value.0 * (1.0 + 1e-9) {
                resolver.error(
                    source.name.at,
                    format!(
                        "the phase `{}` reaches {}, and `limits` allows {}",
                        phase.name,
                        show_rate(rate),
                        show_rate(limit.value.0)
                    ),
                );
            }
        }
        if let Some(limit) = limits.users {
            let users = peak_users(phase);
            if users > limit.value {
                resolver.error(
                    source.name.at,
                    format!("the phase `{}` can have {users} users at once, and `limits` allows {}", phase.name, limit.value),
                );
            }
        }
    }
}

fn series(resolver: &mut Resolver<'_>, plan: &Plan) {
    let series = plan.layout.series();
    let limit = plan.layout.series_limit;
    if series > limit {
        let profile = &resolver.profile.written;
        let each = "about 220 for each step in each phase";
        match profile.limits.as_ref().and_then(|limits| limits.series) {
            Some(written) => resolver.error(
                written.at,
                format!(
                    "this profile can have {series} series on /metrics, {each}, and `limits` allows {limit}; raise the limit, or have \
                     fewer steps or phases"
                ),
            ),
            None => resolver.warn(
                profile.name.at,
                format!(
                    "this profile can have {series} series on /metrics, {each}, and {limit} are usual at most; all of them are shown: \
                     have fewer steps or phases, or write `limits: {{series}}` if your Prometheus bears them"
                ),
            ),
        }
    }
}

/// Requirements on a drift over less time than a drift takes.
fn drifts(resolver: &mut Resolver<'_>, plan: &Plan) {
    for written in resolver.profile.written.slos.iter().flatten() {
        let all = written.require.iter().chain(&written.target).flat_map(|list| &list.0);
        let Some(drift) = all.into_iter().find(|requirement| requirement.value.measure == Measure::Drift) else { continue };
        // Those of an SLO with `each` have its name and what they are about.
        let name = &written.name.value.0;
        let made = |slo: &&Slo| slo.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let all: Vec<&Over> = plan.slos.iter().filter(made).map(|slo| &slo.over).collect();
        let judged = || plan.phases.iter().filter(|phase| phase.judge);
        let run = match plan.repeat {
            Repeat::Times(times) => judged().map(|phase| phase.duration.as_secs_f64()).sum::<f64>() * times as f64,
            Repeat::Forever => f64::INFINITY,
        };
        if all.contains(&&Over::Run) && run < LEAST_TIME.as_secs_f64() {
            let message = format!("the judged phases last {}{SHORT}", show_seconds(run));
            resolver.warn(drift.at, message);
        }
        for phase in judged().filter(|phase| phase.duration < LEAST_TIME) {
            if all.iter().any(|over| matches!(over, Over::Phases(phases) if phases.contains(&phase.id))) {
                let took = show_seconds(phase.duration.as_secs_f64());
                resolver.warn(drift.at, format!("the phase `{}` lasts {took}{SHORT}", phase.name));
            }
        }
    }
}

/// What becomes of a drift over too short a time.
const SHORT: &str = ", and a drift takes at least 20min: it will not be judged there";

/// Data that nobody uses, or that is not enough.
fn data(resolver: &mut Resolver<'_>, plan: &Plan) {
    for (index, data) in plan.data.iter().enumerate() {
        let written = resolver.profile.written.data.iter().flat_map(|data| data.iter());
        let Some(at) = written.map(|(name, _)| name).find(|name| name.value == data.name).map(|name| name.at) else { continue };
        let name = &data.name;
        let for_life = plan.scenarios.iter().filter(|scenario| scenario.rows.start.contains(&index));
        let for_iterations = plan.scenarios.iter().filter(|scenario| scenario.rows.flow.contains(&index));
        let for_stops = plan.scenarios.iter().filter(|scenario| scenario.rows.stop.contains(&index));
        let in_hooks = plan.hooks.iter().any(|hook| hook.rows.contains(&index));
        if !in_hooks && for_life.clone().chain(for_iterations.clone()).chain(for_stops).next().is_none() {
            resolver.warn(at, format!("nothing uses the data `{name}`"));
        }
        let DataSource::Table(table) = &data.source else { continue };
        let rows = table.rows();
        match data.pick {
            Pick::PerUser if data.users > rows => {
                let message = format!("{} users share the {rows} rows of `{name}`: user {rows} has that of user 0", data.users);
                resolver.warn(at, message);
            }
            Pick::Unique => {
                let users: u64 = for_life.map(|scenario| scenario.max_users).sum();
                let iterations: u64 = for_iterations.map(|scenario| iterations(plan, scenario.id)).sum();
                if users.saturating_add(iterations) > rows {
                    let wanted = match (users, iterations) {
                        (0, iterations) => format!("{iterations} iterations"),
                        (users, 0) => format!("{users} users"),
                        (users, iterations) => format!("{users} users and {iterations} iterations"),
                    };
                    resolver.warn(
                        at,
                        format!("the {rows} rows of `{name}` are too few for {wanted}, and none is used twice: it will run out"),
                    );
                }
            }
            _ => {}
        }
    }
}

/// How many iterations a scenario has over the run, as far as its loads say so.
fn iterations(plan: &Plan, id: ScenarioId) -> u64 {
    let of = |load: &Load| match load {
        // Those of a Poisson process would have to be drawn to be counted.
        Load::Open { arrivals, .. } => whole(arrivals.expected()),
        Load::Closed { level, iterations: Some(Iterations::Each(each)), .. } => whole(level.max()).saturating_mul(*each),
        Load::Closed { iterations: Some(Iterations::Total(total)), .. } => *total,
        Load::Closed { iterations: None, .. } => 0,
    };
    let once = plan.phases.iter().filter_map(|phase| phase.load(id)).map(of).fold(0, u64::saturating_add);
    match plan.repeat {
        Repeat::Times(times) => once.saturating_mul(times),
        Repeat::Forever => once,
    }
}
