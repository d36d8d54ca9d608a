//! What the load was and what was measured of it.

use std::collections::BTreeMap;

use super::super::style::{Style, clean, cut};
use super::super::table::{Align, Cell, Table, Tone, line};
use crate::base::Outcome;
use crate::base::figures::{NONE, count, optional, rate, ratio, seconds};
use crate::record::{Connections, Phase, Scenario, Step, Unit};

/// How many examples of errors a step shows; `run.json` has the others.
const SAMPLES_SHOWN: usize = 3;
/// How much of an example's words, and of its body, is shown.
const SAMPLE_WIDTH: usize = 120;

/// Counts by label: `12 × status, 3 × timeout`; nothing if all are 0.
fn counts(of: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> =
        of.iter().filter(|(_, n)| **n > 0).map(|(label, n)| format!("{} × {}", count(*n), clean(label))).collect();
    parts.join(", ")
}

/// A count that is bad if it isn't 0.
fn bad_count(value: u64) -> Cell {
    if value == 0 { "0".into() } else { Cell::toned(count(value), Tone::Bad) }
}

/// The load by scenario, and the accounting of arrivals.
pub(super) fn scenarios(out: &mut String, phase: &Phase, style: Style) {
    let mut table = Table::new(vec![
        ("scenario", Align::Left),
        ("wanted", Align::Right),
        ("reached", Align::Right),
        ("iterations", Align::Right),
        ("failed", Align::Right),
        ("interrupted", Align::Right),
        ("iteration p50", Align::Right),
        ("p95", Align::Right),
        ("start lag p99", Align::Right),
    ]);
    for scenario in &phase.scenarios {
        let wanted = match (scenario.rate_wanted, scenario.users_wanted) {
            (Some(wanted), _) => rate(Some(wanted)),
            (None, Some(1)) => "1 user".to_owned(),
            (None, Some(users)) => format!("{} users", count(users)),
            (None, None) => NONE.to_owned(),
        };
        table.row(vec![
            clean(&scenario.scenario).into(),
            wanted.into(),
            rate(scenario.rate_reached).into(),
            count(scenario.iterations).into(),
            bad_count(scenario.iterations_failed),
            count(scenario.iterations_interrupted).into(),
            seconds(scenario.iteration.p50).into(),
            seconds(scenario.iteration.p95).into(),
            seconds(scenario.start_lag.p99).into(),
        ]);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
    for scenario in &phase.scenarios {
        line(out, "arrivals", &arrivals(scenario), style);
    }
    for scenario in &phase.scenarios {
        line(out, "steps", &not_done(scenario), style);
    }
    for scenario in &phase.scenarios {
        for connections in &scenario.connections {
            line(out, "connections", &connected(scenario, connections), style);
        }
    }
}

/// `voters: 12 that send nothing could not be done (template: 12)`.
fn not_done(scenario: &Scenario) -> String {
    let all: u64 = scenario.step_errors.values().sum();
    if all == 0 {
        return String::new();
    }
    let reasons: Vec<String> =
        scenario.step_errors.iter().map(|(reason, n)| format!("{}: {}", clean(reason), count(*n))).collect();
    format!("{}: {} that send nothing could not be done ({})", clean(&scenario.scenario), count(all), reasons.join(", "))
}

/// `voters: 12,000 due = 11,990 started + 7 dropped (7 × busy) + 3 cancelled`.
fn arrivals(scenario: &Scenario) -> String {
    if scenario.due == 0 {
        return String::new();
    }
    let reasons = counts(&scenario.dropped_reasons);
    let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
    let waiting = match scenario.waiting() {
        0 => String::new(),
        waiting => format!(" + {} waiting", count(waiting)),
    };
    format!(
        "{}: {} due = {} started + {} dropped{reasons} + {} cancelled{waiting}",
        clean(&scenario.scenario),
        count(scenario.due),
        count(scenario.started),
        count(scenario.dropped),
        count(scenario.cancelled),
    )
}

/// `voters http: 52 opened, p95 2.40ms; failed: 2 × refused; cut off: 1; broken off: 1 × reset`.
fn connected(scenario: &Scenario, connections: &Connections) -> String {
    let failures = counts(&connections.failures);
    let disconnects = counts(&connections.disconnects);
    if connections.connects + connections.cut_off == 0 && failures.is_empty() && disconnects.is_empty() {
        return String::new();
    }
    let mut text =
        format!("{} {}: {} opened", clean(&scenario.scenario), clean(&connections.protocol), count(connections.connects));
    if let Some(p95) = connections.connect.p95 {
        text.push_str(&format!(", p95 {}", seconds(Some(p95))));
    }
    let cut_off = if connections.cut_off > 0 { count(connections.cut_off) } else { String::new() };
    for (what, counted) in [("failed", failures), ("cut off", cut_off), ("broken off", disconnects)] {
        if !counted.is_empty() {
            text.push_str(&format!("; {what}: {counted}"));
        }
    }
    text
}

/// What was measured by step, and the errors.
pub(super) fn steps(out: &mut String, steps: &[Step], style: Style) {
    let mut table = Table::new(vec![
        ("step", Align::Left),
        ("requests", Align::Right),
        ("rate", Align::Right),
        ("response p50", Align::Right),
        ("p95", Align::Right),
        ("p99", Align::Right),
        ("max", Align::Right),
        ("service p95", Align::Right),
        ("errors", Align::Right),
        ("interrupted", Align::Right),
    ]);
    for step in steps {
        table.row(vec![
            name(step).into(),
            count(step.requests).into(),
            rate(step.rate).into(),
            seconds(step.response.p50).into(),
            seconds(step.response.p95).into(),
            seconds(step.response.p99).into(),
            seconds(step.response.max).into(),
            seconds(step.service.p95).into(),
            errors(step),
            interrupted(step),
        ]);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
    for step in steps {
        if step.codes.len() > 1 {
            line(out, "answers", &format!("{}: {}", name(step), counts(&step.codes)), style);
        }
        let reasons = counts(&step.errors);
        if !reasons.is_empty() {
            line(out, "errors", &format!("{}: {}", name(step), style.bad(&reasons)), style);
        }
        let mut shown: Vec<String> = Vec::new();
        for sample in &step.samples {
            let detail = cut(&clean(&sample.detail), SAMPLE_WIDTH);
            let body = cut(clean(&sample.body).trim(), SAMPLE_WIDTH);
            let reason = clean(&sample.reason);
            let reason = if detail.starts_with(&reason) { String::new() } else { format!("{reason}: ") };
            let text = format!("{reason}{detail}  {}", style.dim(&body));
            if shown.len() < SAMPLES_SHOWN && !shown.contains(&text) {
                line(out, "", text.trim_end(), style);
                shown.push(text);
            }
        }
    }
}

fn name(step: &Step) -> String {
    format!("{}/{}", clean(&step.scenario), clean(&step.step))
}

fn counted(step: &Step, outcome: Outcome) -> u64 {
    step.outcomes.get(outcome.label()).copied().unwrap_or(0)
}

/// Errors and timeouts of a step, with their share. Without an answer, that there are none says nothing.
fn errors(step: &Step) -> Cell {
    let errors = counted(step, Outcome::Error) + counted(step, Outcome::Timeout);
    if errors == 0 {
        let unanswered = step.requests > 0 && counted(step, Outcome::Ok) == 0;
        return Cell::toned("0", if unanswered { Tone::Unsure } else { Tone::Plain });
    }
    let share = errors as f64 / step.requests.max(1) as f64;
    Cell::toned(format!("{} ({})", count(errors), ratio(share)), Tone::Bad)
}

/// Requests of a step that had no answer when the drain ended; nothing where each had one.
fn interrupted(step: &Step) -> Cell {
    match counted(step, Outcome::Interrupted) {
        0 => "".into(),
        cut_off => Cell::toned(count(cut_off), Tone::Unsure),
    }
}

/// Groups of steps, timed as a whole.
pub(super) fn groups(out: &mut String, phase: &Phase, style: Style) {
    let mut table = Table::new(vec![
        ("group", Align::Left),
        ("times", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("p99", Align::Right),
        ("max", Align::Right),
    ]);
    for group in &phase.groups {
        table.row(vec![
            format!("{}/{}", clean(&group.scenario), clean(&group.group)).into(),
            count(group.outcomes.values().sum()).into(),
            seconds(group.duration.p50).into(),
            seconds(group.duration.p95).into(),
            seconds(group.duration.p99).into(),
            seconds(group.duration.max).into(),
        ]);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}

/// The checks: how often they held.
pub(super) fn checks(out: &mut String, phase: &Phase, style: Style) {
    let mut table =
        Table::new(vec![("", Align::Left), ("check", Align::Left), ("", Align::Left), ("held", Align::Right), ("", Align::Left)]);
    for check in &phase.checks {
        let place = match &check.step {
            Some(step) => format!("{}/{}", clean(&check.scenario), clean(step)),
            None => clean(&check.scenario),
        };
        let (met, held) = match check.total {
            0 => (None, NONE.to_owned()),
            total => (Some(check.failures == 0), ratio(total.saturating_sub(check.failures) as f64 / total as f64)),
        };
        let failures = match check.failures {
            0 => format!("of {}", count(check.total)),
            failures => format!("{} of {} failed", count(failures), count(check.total)),
        };
        table.row(vec![Cell::mark(met), clean(&check.check).into(), place.into(), held.into(), failures.into()]);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}

/// The profile's own metrics.
pub(super) fn metrics(out: &mut String, phase: &Phase, style: Style) {
    let mut table = Table::new(vec![
        ("metric", Align::Left),
        ("", Align::Left),
        ("value", Align::Right),
        ("observed", Align::Right),
        ("mean", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("p99", Align::Right),
    ]);
    for metric in &phase.metrics {
        let mut row: Vec<Cell> = vec![clean(&metric.name).into(), clean(&metric.scenario).into()];
        match &metric.distribution {
            None => row.push(optional(metric.value).into()),
            Some(of) => {
                row.push("".into());
                row.push(count(of.count).into());
                let unit = if metric.name.ends_with("_seconds") { Unit::Seconds } else { Unit::Number };
                row.extend([of.mean, of.p50, of.p95, of.p99].map(|value| Cell::from(unit.show_if_any(value))));
            }
        }
        table.row(row);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}
