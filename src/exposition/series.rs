//! The series of each metric of the catalogue: one arm for each of them.

use std::borrow::Cow;

use prometheus::proto::Metric as Series;

use super::family::{Labels, counter, gauge, histogram, traced};
use super::gather::View;
use crate::base::names::is_label_name;
use crate::base::{DropReason, Outcome, Protocol, Reason, Verdict};
use crate::counters::CounterRow;
use crate::measure::catalogue::*;
use crate::measure::gauges::PhaseGauges;
use crate::measure::outcomes::ByOutcome;
use crate::measure::process::Process;
use crate::measure::{
    Buckets, CheckTotals, ConnectTotals, Direction, GroupId, Layer, MessageTotals, ScenarioTotals, Sparse, StepTotals,
};
use crate::verdict::SloResult;

/// Adds the series that a metric has for the process as a whole.
pub(super) fn of_process(metric: &Metric, process: &Process, out: &mut Vec<Series>) {
    let none = Labels::default;
    let mut maybe = |value: Option<u64>| out.extend(value.map(|value| gauge(none(), value as f64)));
    match *metric {
        BUILD_INFO => {
            let labels = none()
                .with("version", env!("CARGO_PKG_VERSION"))
                .with("os", std::env::consts::OS)
                .with("arch", std::env::consts::ARCH);
            out.push(gauge(labels, 1.0));
        }
        PROCESS_CPU => out.push(counter(none(), process.cpu)),
        PROCESS_RESIDENT => maybe(process.resident),
        PROCESS_VIRTUAL => maybe(process.virtual_memory),
        PROCESS_OPEN_FDS => maybe(process.open_fds),
        PROCESS_MAX_FDS => maybe(process.max_fds),
        PROCESS_THREADS => maybe(process.threads),
        PROCESS_START => out.push(gauge(none(), process.start)),
        _ => {}
    }
}

/// Adds the series that a metric has for one profile.
pub(super) fn of_profile(metric: &Metric, view: &View, out: &mut Vec<Series>) {
    let shapes = view.store.shapes();
    match *metric {
        RESPONSE_DURATION => {
            view.each_request(|labels, cell, phase, step| {
                for outcome in Outcome::ALL {
                    let (labels, buckets) = (labels.with("outcome", outcome.label()), &shapes.response[step.index()]);
                    let exemplars = view.store.exemplars.of(phase, step, *outcome);
                    out.push(traced(labels, &cell.response[outcome.index()], buckets, &exemplars));
                }
            });
        }
        SERVICE_DURATION => {
            view.each_request(|labels, cell, _, step| by_outcome(&labels, &cell.service, &shapes.service[step.index()], out));
        }
        ITERATION_DURATION => view.each_scenario(|labels, cell, scenario| {
            by_outcome(&labels, &cell.iterations, &shapes.iteration[scenario.index()], out);
        }),
        START_LAG => view.each_scenario(|labels, cell, _| out.push(histogram(labels, &cell.start_lag, &shapes.plain))),
        GROUP_DURATION => groups(view, out),
        REQUESTS => requests(view, out, StepTotals::requests),
        SENT_BYTES => bytes(view, out, Direction::Sent),
        RECEIVED_BYTES => bytes(view, out, Direction::Received),
        SESSION_DURATION => sessions(view, out),
        UPLOAD_SPEED => {
            view.each_transfer(|step| step.uploads, |labels, cell| out.push(histogram(labels, &cell.upload, &shapes.speed)));
        }
        DOWNLOAD_SPEED => {
            view.each_transfer(|step| step.downloads, |labels, cell| out.push(histogram(labels, &cell.download, &shapes.speed)));
        }
        PROCESSING_DURATION => {
            view.each_transfer(|step| step.uploads, |labels, cell| out.push(histogram(labels, &cell.processing, &shapes.plain)));
        }
        MESSAGES => messages(view, out),
        MESSAGES_UNPARSED => view.each_session(|labels, cell, step| {
            let labels = labels.with("protocol", view.layout().steps[step.index()].protocol.label());
            out.push(counter(labels, cell.unparsed as f64));
        }),
        MESSAGE_LATENCY => view.each_message(|labels, cell, message, id| {
            if message.latency {
                out.push(histogram(labels, &cell.latency, &shapes.message[id.index()]));
            }
        }),
        MESSAGE_CLOCK_SKEW => view.each_message(|labels, cell, message, _| {
            if message.latency {
                out.push(counter(labels, cell.skewed as f64));
            }
        }),
        MESSAGE_LISTENING => listening(view, out, |cell| cell.listening),
        MESSAGE_SILENT => listening(view, out, |cell| cell.silent),
        MESSAGES_MISSED => numbered(view, out, |cell| cell.missed),
        MESSAGES_NUMBERED => numbered(view, out, |cell| cell.received),
        MESSAGES_REPEATED => numbered(view, out, |cell| cell.repeated),
        MESSAGES_REORDERED => numbered(view, out, |cell| cell.reordered),
        REQUEST_ERRORS => view.each_request(|labels, cell, _, _| by_reason(&labels, &cell.reasons, out)),
        STEP_ERRORS => view.each_scenario(|labels, cell, _| by_reason(&labels, &cell.step_errors, out)),
        HTTP_RESPONSES => responses(view, out),
        CHECKS => checks(view, out, |check| check.total),
        CHECK_FAILURES => checks(view, out, |check| check.failed),
        ARRIVALS_DUE => scenarios(view, out, |cell| cell.due),
        ARRIVALS_STARTED => scenarios(view, out, |cell| cell.started),
        ARRIVALS_CANCELLED => scenarios(view, out, |cell| cell.cancelled),
        ARRIVALS_DROPPED => view.each_scenario(|labels, cell, _| {
            for reason in DropReason::ALL {
                out.push(counter(labels.with("reason", reason.label()), cell.dropped[reason.index()] as f64));
            }
        }),
        ARRIVALS_WAITING => view.each_scenario(|labels, cell, _| out.push(gauge(labels, cell.waiting() as f64))),
        ITERATIONS => scenarios(view, out, |cell| cell.iterations.iter().map(Sparse::count).sum()),
        ITERATIONS_FAILED => scenarios(view, out, |cell| {
            cell.iterations[Outcome::Error.index()].count() + cell.iterations[Outcome::Timeout.index()].count()
        }),
        ITERATIONS_INTERRUPTED => scenarios(view, out, |cell| cell.iterations[Outcome::Interrupted.index()].count()),
        CONNECTS => view.each_connect(|labels, cell, _| out.push(counter(labels, cell.attempts() as f64))),
        CONNECT_FAILURES => view.each_connect(|labels, cell, _| by_reason(&labels, &cell.failures, out)),
        DISCONNECTS => view.each_connect(|labels, cell, _| by_reason(&labels, &cell.disconnects, out)),
        CONNECT_DURATION => view.each_connect(|labels, cell, scenario| {
            out.push(histogram(labels, &cell.duration, &shapes.connect[scenario.index()]));
        }),
        CONNECT_LAYER_DURATION => view.each_connect(|labels, cell, _| layers(&labels, cell, &shapes.plain, out)),
        _ => of_gauges(metric, view, out),
    }
}

/// Adds the series of the metrics that show the present or the last run.
fn of_gauges(metric: &Metric, view: &View, out: &mut Vec<Series>) {
    let (gauges, base) = (&view.store.gauges, &view.base);
    match *metric {
        USERS => out.extend(view.scenarios().map(|(id, labels)| gauge(labels, gauges.users(id) as f64))),
        USERS_WANTED => out.extend(view.scenarios().map(|(id, labels)| gauge(labels, gauges.users_wanted(id)))),
        RATE_WANTED => out.extend(view.scenarios().map(|(id, labels)| gauge(labels, gauges.rate_wanted(id)))),
        CONNECTIONS => {
            for (id, labels) in view.scenarios() {
                for protocol in view.layout().protocols(id) {
                    out.push(gauge(labels.with("protocol", protocol.label()), gauges.connections(id, protocol) as f64));
                }
            }
        }
        PHASE_ACTIVE => phases(view, out, |phase| Some(flag(phase.active))),
        PHASE_START => phases(view, out, |phase| phase.start),
        PHASE_END => phases(view, out, |phase| phase.end),
        PHASE_JUDGED => {
            for (id, name, _) in view.phases() {
                out.push(gauge(base.with("phase", name), flag(view.layout().judged.contains(&id))));
            }
        }
        RUN_NEXT => out.extend(gauges.run_next().map(|at| gauge(base.clone(), at))),
        RUN_COMPLETED => out.extend(gauges.run_completed().map(|at| gauge(base.clone(), at))),
        RUN_PERIOD => out.extend(gauges.run_period().map(|seconds| gauge(base.clone(), seconds))),
        RUN_START => out.extend(gauges.run_start().map(|at| gauge(base.clone(), at))),
        TARGET_BEFORE => targets(view, out, |row| row.before),
        TARGET_AFTER => targets(view, out, |row| row.after),
        TARGET_DELTA => targets(view, out, |row| row.delta),
        TARGET_PER_REQUEST => targets(view, out, |row| row.per_request),
        TARGET_SCRAPE_SUCCESS => {
            out.extend(view.rows.sources.iter().map(|(source, ok)| gauge(base.with("source", source), flag(*ok))));
        }
        SLO_VALUE => slos(view, out, |row| row.value),
        SLO_LEAST => slos(view, out, |row| row.least.or(row.value)),
        SLO_MOST => slos(view, out, |row| row.most.or(row.value)),
        SLO_OBJECTIVE => slos(view, out, |row| Some(row.objective)),
        SLO_MET => slos(view, out, |row| row.met.map(flag)),
        SLO_REQUIRED => required(view, out),
        VERDICT => out.extend(verdicts(base, gauges.verdict())),
        RUN_LAST_VERDICT => out.extend(verdicts(base, gauges.last_verdict())),
        GENERATOR_SATURATED => out.push(gauge(base.clone(), flag(gauges.saturated()))),
        RELOAD_SUCCESSFUL => out.extend(gauges.reload().0.map(|ok| gauge(base.clone(), flag(ok)))),
        PROFILE_FAULTS => out.push(counter(base.clone(), gauges.faults() as f64)),
        RELOAD_TIME => out.extend(gauges.reload().1.map(|at| gauge(base.clone(), at))),
        _ => {}
    }
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn verdicts(base: &Labels, verdict: Option<Verdict>) -> impl Iterator<Item = Series> {
    Verdict::ALL.iter().map(move |v| gauge(base.with("verdict", v.label()), flag(verdict == Some(*v))))
}

fn by_outcome(labels: &Labels, cells: &ByOutcome, buckets: &Buckets, out: &mut Vec<Series>) {
    for outcome in Outcome::ALL {
        out.push(histogram(labels.with("outcome", outcome.label()), &cells[outcome.index()], buckets));
    }
}

fn by_reason(labels: &Labels, counts: &[u64; Reason::COUNT], out: &mut Vec<Series>) {
    for reason in Reason::ALL {
        out.push(counter(labels.with("reason", reason.label()), counts[reason.index()] as f64));
    }
}

fn requests(view: &View, out: &mut Vec<Series>, value: impl Fn(&StepTotals) -> u64) {
    view.each_request(|labels, cell, _, _| out.push(counter(labels, value(cell) as f64)));
}

/// Bytes of requests and of what sessions exchanged after their handshake.
fn bytes(view: &View, out: &mut Vec<Series>, direction: Direction) {
    view.each_request(|labels, cell, phase, step| {
        let of_requests = match direction {
            Direction::Sent => cell.sent,
            Direction::Received => cell.received,
        };
        let of_sessions = view.session(phase, step).bytes[direction as usize];
        out.push(counter(labels, (of_requests + of_sessions) as f64));
    });
}

fn sessions(view: &View, out: &mut Vec<Series>) {
    view.each_session(|labels, cell, step| {
        let group = view.layout().steps[step.index()].group.as_deref().unwrap_or_default();
        by_outcome(&labels.with("group", group), &cell.durations, &view.store.shapes().session[step.index()], out);
    });
}

fn messages(view: &View, out: &mut Vec<Series>) {
    view.each_session(|labels, cell, step| {
        let labels = labels.with("protocol", view.layout().steps[step.index()].protocol.label());
        for direction in Direction::ALL {
            out.push(counter(labels.with("direction", direction.label()), cell.messages[direction as usize] as f64));
        }
    });
}

fn numbered(view: &View, out: &mut Vec<Series>, value: impl Fn(&MessageTotals) -> u64) {
    view.each_message(|labels, cell, message, _| {
        if message.numbered {
            out.push(counter(labels, value(cell) as f64));
        }
    });
}

fn listening(view: &View, out: &mut Vec<Series>, nanoseconds: impl Fn(&MessageTotals) -> u64) {
    view.each_message(|labels, cell, message, _| {
        if message.every {
            out.push(counter(labels, nanoseconds(cell) as f64 / 1e9));
        }
    });
}

fn scenarios(view: &View, out: &mut Vec<Series>, value: impl Fn(&ScenarioTotals) -> u64) {
    view.each_scenario(|labels, cell, _| out.push(counter(labels, value(cell) as f64)));
}

fn layers(labels: &Labels, cell: &ConnectTotals, buckets: &Buckets, out: &mut Vec<Series>) {
    for layer in Layer::ALL {
        out.push(histogram(labels.with("layer", layer.label()), &cell.layers[layer as usize], buckets));
    }
}

fn responses(view: &View, out: &mut Vec<Series>) {
    view.each_step(|labels, cell, phase, step| {
        if view.layout().steps[step.index()].protocol != Protocol::Http {
            return;
        }
        let shown = view.store.admit_codes(phase, step, cell.codes.keys().copied());
        for code in &shown {
            let n = cell.codes.get(code).copied().unwrap_or(0);
            out.push(counter(labels.with("code", &code.to_string()), n as f64));
        }
        let other: u64 = cell.codes.iter().filter(|(code, _)| !shown.contains(code)).map(|(_, n)| n).sum();
        if other > 0 {
            out.push(counter(labels.with("code", "other"), other as f64));
        }
    });
}

fn checks(view: &View, out: &mut Vec<Series>, value: impl Fn(CheckTotals) -> u64) {
    for (phase, name, totals) in view.phases() {
        for (check, cell) in view.layout().checks.iter().zip(&totals.checks) {
            if view.layout().is_active(phase, check.scenario) || cell.total > 0 {
                let step = check.step.map_or("", |step| &view.layout().steps[step.index()].name);
                let labels = view.in_phase(check.scenario, name).with("step", step).with("check", &check.name);
                out.push(counter(labels, value(*cell) as f64));
            }
        }
    }
}

fn groups(view: &View, out: &mut Vec<Series>) {
    for (phase, name, totals) in view.phases() {
        for (i, group) in view.layout().groups.iter().enumerate() {
            let cells = totals.group(GroupId::at(i));
            if view.layout().is_active(phase, group.scenario) || !cells.iter().all(Sparse::is_empty) {
                let labels = view.in_phase(group.scenario, name).with("group", &group.name);
                by_outcome(&labels, cells, &view.store.shapes().group[i], out);
            }
        }
    }
}

fn phases(view: &View, out: &mut Vec<Series>, value: impl Fn(PhaseGauges) -> Option<f64>) {
    for (id, name, _) in view.phases() {
        out.extend(value(view.store.gauges.phase(id)).map(|value| gauge(view.base.with("phase", name), value)));
    }
}

fn slos(view: &View, out: &mut Vec<Series>, value: impl Fn(&SloResult) -> Option<f64>) {
    for row in &view.rows.slos {
        let labels = view.base.with("slo", &row.name).with("phase", &row.phase).with("requirement", &row.requirement);
        out.extend(value(row).map(|value| gauge(labels, value)));
    }
}

fn required(view: &View, out: &mut Vec<Series>) {
    for row in &view.layout().requirements {
        let labels = view.base.with("slo", &row.slo).with("phase", &row.phase).with("requirement", &row.requirement);
        let names = row.scenarios.iter().map(|id| view.layout().scenarios[id.index()].name.as_str());
        let names: Vec<&str> = if row.scenarios.is_empty() { vec![""] } else { names.collect() };
        out.extend(names.into_iter().map(|name| gauge(labels.with("scenario", name), flag(row.required))));
    }
}

/// A name of a label, as every scraper takes it. Others than the usual ones are written as Prometheus escapes them, so that no two
/// series look the same.
fn shown(name: &str) -> Cow<'_, str> {
    if is_label_name(name) {
        return name.into();
    }
    let escape = |c: char| match c {
        '_' => "__".to_owned(),
        c if c.is_ascii_alphanumeric() => c.to_string(),
        c => format!("_{:x}_", u32::from(c)),
    };
    format!("U__{}", name.chars().map(escape).collect::<String>()).into()
}

fn targets(view: &View, out: &mut Vec<Series>, value: impl Fn(&CounterRow) -> Option<f64>) {
    for (phase, row) in &view.rows.targets {
        let mut labels = view.base.with("phase", phase).with("source", &row.source).with("metric", &row.metric);
        for (name, text) in &row.labels {
            labels = labels.with(&format!("target_{}", shown(name)), text);
        }
        out.extend(value(row).map(|value| gauge(labels, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_other_names_stay_apart() {
        assert_eq!(shown("cmd"), "cmd");
        assert_eq!(shown("http.route"), "U__http_2e_route");
        assert_ne!(shown("http.route"), shown("http route"));
        assert!(is_label_name(&shown("größe")));
    }
}
