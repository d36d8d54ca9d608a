//! What `check` prints of a profile that is right: its phases, its load over time, the series to expect.

use std::fmt::Write as _;
use std::time::Duration;

use super::loads::show_rate;
use super::types::{Hook, Phase, Plan, Repeat, Schedule};
use crate::base::units::show_seconds;
use crate::load::{Canvas, Iterations, Load, OnBusy, Piece, Shape, Spacing, sketch};
use crate::measure::ScenarioId;

/// How wide a drawing is, in columns.
const WIDTH: usize = 64;
/// How high.
const HEIGHT: usize = 6;

/// Describes a plan, over several lines, with a newline at the end.
pub fn describe(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = head(&mut out, plan);
    let _ = plan.hooks.setup.iter().try_for_each(|hook| one_hook(&mut out, hook));
    for (index, phase) in plan.phases.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| plan.phases.get(before));
        let _ = one_phase(&mut out, plan, phase, before);
    }
    let _ = [&plan.hooks.verify, &plan.hooks.teardown].into_iter().flatten().try_for_each(|hook| one_hook(&mut out, hook));
    for scenario in &plan.scenarios {
        let _ = drawings(&mut out, plan, scenario.id, &scenario.name);
    }
    let _ = writeln!(out, "\nseries on /metrics: at most {} of {}", plan.layout.series(), plan.layout.series_limit);
    out
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn head(out: &mut String, plan: &Plan) -> std::fmt::Result {
    let total: Duration = plan.phases.iter().map(|phase| phase.duration).sum();
    write!(
        out,
        "{}: {}, {}, {}, {}",
        plan.name,
        plural(plan.phases.len(), "phase"),
        show_seconds(total.as_secs_f64()),
        plural(plan.scenarios.len(), "scenario"),
        plural(plan.layout.steps.len(), "step"),
    )?;
    if !plan.slos.is_empty() {
        write!(out, ", {}", plural(plan.slos.len(), "SLO"))?;
    }
    match plan.repeat {
        Repeat::Times(1) => {}
        Repeat::Times(times) => write!(out, ", {times} times")?,
        Repeat::Forever => write!(out, ", again and again")?,
    }
    match &plan.schedule {
        Schedule::Once => {}
        Schedule::Continuous => write!(out, "; the daemon runs it continuously")?,
        Schedule::Every(every) => write!(out, "; the daemon runs it every {}", show_seconds(every.as_secs_f64()))?,
        Schedule::Cron(cron) => write!(out, "; the daemon runs it at `{}` ({})", cron.pattern(), cron.zone())?,
    }
    writeln!(out, "\n")
}

fn one_hook(out: &mut String, hook: &Hook) -> std::fmt::Result {
    writeln!(out, "{}  once, within {}", hook.kind.label(), show_seconds(hook.timeout.as_secs_f64()))
}

fn one_phase(out: &mut String, plan: &Plan, phase: &Phase, before: Option<&Phase>) -> std::fmt::Result {
    write!(out, "{}  {}", phase.name, show_seconds(phase.duration.as_secs_f64()))?;
    writeln!(out, "{}", if phase.judge { "" } else { "  (not judged)" })?;
    if phase.loads.is_empty() {
        writeln!(out, "    no load")?;
    }
    let name = |id: ScenarioId| plan.scenarios.get(id.index()).map_or("", |scenario| scenario.name.as_str());
    for (id, one) in plan.preparations(phase, before) {
        let (name, users) = (name(id), plural(one.users() as usize, "user"));
        let (over, within) = (show_seconds(one.over.as_secs_f64()), show_seconds(one.within.as_secs_f64()));
        writeln!(out, "    before it {users} of {name} start, over {over}, waited for {within} at most")?;
    }
    for (id, load) in &phase.loads {
        let name = name(*id);
        writeln!(out, "    {name}: {}", words(load))?;
    }
    Ok(())
}

/// A load in words.
fn words(load: &Load) -> String {
    match load {
        Load::Closed { level, iterations, pacing } => {
            let users = levels(level, |users| format!("{users:.0}"));
            let mut text = format!("{users} {}", if users == "1" { "user" } else { "users" });
            match iterations {
                Some(Iterations::Each(n)) => text += &format!(", {n} iterations each"),
                Some(Iterations::Total(n)) => text += &format!(", {n} iterations in all"),
                None => {}
            }
            if let Some(pacing) = pacing {
                text += &format!(", an iteration every {}", show_seconds(pacing.as_secs_f64()));
            }
            text
        }
        Load::Open { arrivals, users, max_users, in_turn, on_busy } => {
            let mut parts = Vec::new();
            if arrivals.rate.max() > 0.0 || arrivals.bursts.is_empty() {
                parts.push(levels(&arrivals.rate, show_rate));
            }
            for (when, count) in &arrivals.bursts {
                let when = if when.is_zero() { String::new() } else { format!(" after {}", show_seconds(when.as_secs_f64())) };
                parts.push(format!("{count} at once{when}"));
            }
            let waits = match on_busy {
                OnBusy::Drop => String::new(),
                OnBusy::Wait(wait) => format!(", waiting up to {} for one", show_seconds(wait.as_secs_f64())),
            };
            let users = if users == max_users { users.to_string() } else { format!("{users} to {max_users}") };
            let turns = match in_turn {
                0 => String::new(),
                all if all >= max_users => " in turn".to_owned(),
                some => format!(", {some} of them in turn"),
            };
            let count = match arrivals.spacing {
                Spacing::Even => arrivals.total().to_string(),
                // They would have to be drawn to be counted.
                Spacing::Poisson { .. } => format!("about {:.0}", arrivals.expected()),
            };
            format!("{}, {count} arrivals, {users} users{turns}{waits}", parts.join(" and "))
        }
    }
}

/// A shape in words: `50`, `0 -> 50`, `0 -> 50 -> 20`.
fn levels(shape: &Shape, show: impl Fn(f64) -> String) -> String {
    let mut points: Vec<String> = Vec::new();
    for piece in shape.pieces() {
        for level in [piece.from, piece.to] {
            let text = show(level);
            if points.last() != Some(&text) {
                points.push(text);
            }
        }
    }
    if points.len() > 9 {
        let left_out = points.len() - 8;
        points.splice(4..4 + left_out, [String::from("…")]);
    }
    points.join(" -> ")
}

/// Draws what a scenario does over the whole run: its users, its arrivals.
fn drawings(out: &mut String, plan: &Plan, id: ScenarioId, name: &str) -> std::fmt::Result {
    let mut users: Vec<Piece> = Vec::new();
    let mut rates: Vec<Piece> = Vec::new();
    let mut bursts = Vec::new();
    let mut start = Duration::ZERO;
    for phase in &plan.phases {
        let idle = [Piece::flat(phase.duration, 0.0)];
        match phase.load(id) {
            Some(Load::Closed { level, .. }) => {
                users.extend(level.pieces());
                rates.extend(idle);
            }
            Some(Load::Open { arrivals, .. }) => {
                users.extend(idle);
                rates.extend(arrivals.rate.pieces());
                bursts.extend(arrivals.bursts.iter().map(|(when, count)| (start + *when, *count)));
            }
            None => {
                users.extend(idle);
                rates.extend(idle);
            }
        }
        start += phase.duration;
    }
    let canvas = |unit| Canvas { width: WIDTH, height: HEIGHT, unit };
    let users = Shape::new(users);
    if users.max() > 0.0 {
        writeln!(out, "\nusers of {name}")?;
        out.push_str(&sketch(&users, &[], canvas(" users")));
    }
    let rates = Shape::new(rates);
    if rates.max() > 0.0 || !bursts.is_empty() {
        writeln!(out, "\narrivals of {name}")?;
        out.push_str(&sketch(&rates, &bursts, canvas("/s")));
    }
    Ok(())
}
