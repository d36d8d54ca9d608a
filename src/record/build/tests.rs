//! A record against what was put into the recorder.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::{DropReason, Outcome, Protocol, Reason, Verdict};
use crate::counters::{CounterRow, MetricKind};
use crate::load::{Arrivals, OnBusy, Shape, Spacing};
use crate::measure::{CheckId, CheckLayout, OwnKind, OwnMetric, Sample, ScenarioLayout, StepLayout, Store};
use crate::verdict::{SloResult, Unit};

const PHASE: PhaseId = PhaseId(0);
const VOTERS: ScenarioId = ScenarioId(0);

fn layout() -> Layout {
    let own = |name: &str, kind| OwnMetric { name: name.into(), help: "Its help.".into(), kind, scenarios: vec![VOTERS] };
    Layout {
        profile: "votes".into(),
        phases: vec!["steady".into(), "spike".into()],
        scenarios: vec![ScenarioLayout::new("voters"), ScenarioLayout::new("watchers")],
        steps: vec![
            StepLayout::new(VOTERS, "vote", Protocol::Http),
            StepLayout::new(VOTERS, "never", Protocol::Http),
            StepLayout::new(ScenarioId(1), "watch", Protocol::Http),
        ],
        checks: vec![CheckLayout { scenario: VOTERS, step: Some(StepId(0)), name: "quick".into(), ..CheckLayout::default() }],
        own: vec![
            own("votes_total", OwnKind::Counter),
            own("relevance", OwnKind::Histogram { unit: "ratio".into(), bounds: None }),
            own("depth", OwnKind::Gauge),
        ],
        active: vec![(PHASE, VOTERS)],
        ..Layout::default()
    }
}

fn sample(response: u64, outcome: Outcome, reason: Option<Reason>, status: u16) -> Sample {
    Sample { response, service: response / 2, outcome, reason, status, sent: 10, received: 100 }
}

fn totals() -> Totals {
    let store = Store::new(Arc::new(layout()));
    let set = store.open(PHASE);
    for _ in 0..90 {
        set.sample(StepId(0), &sample(10_000_000, Outcome::Ok, None, 200));
    }
    for _ in 0..10 {
        set.sample(StepId(0), &sample(1_000_000_000, Outcome::Timeout, Some(Reason::Timeout), 0));
    }
    for _ in 0..900 {
        set.sample(StepId(0), &sample(1_000, Outcome::Error, Some(Reason::Refused), 0));
    }
    set.due(VOTERS, 1010);
    set.started(VOTERS, 1000);
    set.dropped(VOTERS, DropReason::Busy, 7);
    set.cancelled(VOTERS, 3);
    for _ in 0..90 {
        set.iteration(VOTERS, 10_000_000, Outcome::Ok);
    }
    set.iteration(VOTERS, 10_000_000, Outcome::Error);
    set.iteration(VOTERS, 10_000_000, Outcome::Interrupted);
    set.check(CheckId(0), true);
    set.check(CheckId(0), false);
    set.count(OwnId(0), VOTERS, 90.0);
    set.observe(OwnId(1), VOTERS, 0.75);
    store.retire(set);
    store.totals(PHASE)
}

fn row() -> CounterRow {
    CounterRow {
        source: "redis".into(),
        metric: "redis_commands_processed_total".into(),
        labels: [("instance".to_owned(), "a".to_owned())].into(),
        kind: MetricKind::Counter,
        before: Some(1.0),
        after: Some(2001.0),
        delta: Some(2000.0),
        per_request: Some(2.0),
        uncertainty: Some(0.0),
        ..CounterRow::default()
    }
}

fn loads() -> Vec<(ScenarioId, Load)> {
    let rate = Shape::flat(Duration::from_secs(10), 101.0);
    let arrivals = Arrivals { rate, bursts: vec![], spacing: Spacing::Even };
    vec![(VOTERS, Load::Open { arrivals, users: 10, max_users: 10, in_turn: 10, on_busy: OnBusy::Drop })]
}

fn judgement() -> Judgement {
    let slo = SloResult {
        name: "api".into(),
        phase: "steady".into(),
        requirement: "drift < 5%/h".into(),
        unit: Unit::RatioPerHour,
        value: Some(0.01),
        least: None,
        most: Some(0.07),
        objective: 0.05,
        met: None,
        verdict: Verdict::Inconclusive,
        reason: Some("it takes a longer run".into()),
        target: false,
    };
    Judgement { verdict: Verdict::Inconclusive, reasons: vec!["for a reason".into()], slos: vec![slo] }
}

/// Calls `f` with an input about ten seconds of the first phase.
fn with_input<T>(f: impl FnOnce(&PhaseInput<'_>) -> T) -> T {
    let observed = Observed { rows: vec![row()], notes: vec!["scrapes are commands, too".into()], ..Observed::default() };
    let error = ErrorSample { reason: "refused".into(), detail: "nobody listens".into(), ..ErrorSample::default() };
    f(&PhaseInput {
        layout: &layout(),
        phase: PHASE,
        repeat: 2,
        started: 100.0,
        ended: 110.0,
        loads: &loads(),
        totals: &totals(),
        gauges: &[(OwnId(2), VOTERS, 4.5)],
        samples: &[(StepId(0), error)],
        observed: Some(&observed),
        judged: true,
        judgement: &judgement(),
        saturated: true,
    })
}

#[test]
fn counts_and_rates_are_those_recorded() {
    let phase = with_input(phase);
    assert_eq!((phase.name.as_str(), phase.repeat, phase.saturated), ("steady", 2, true));
    let [voters] = &phase.scenarios[..] else { panic!("{:?}", phase.scenarios) };
    assert_eq!((voters.due, voters.started, voters.dropped, voters.cancelled, voters.waiting()), (1010, 1000, 7, 3, 0));
    assert_eq!((voters.rate_wanted, voters.rate_reached, voters.users_wanted), (Some(101.0), Some(100.0), None));
    assert_eq!((voters.iterations, voters.iterations_failed, voters.iterations_interrupted), (92, 1, 1));
    let [vote, never] = &phase.steps[..] else { panic!("{:?}", phase.steps) };
    assert_eq!((vote.requests, vote.rate, vote.sent_bytes, vote.received_bytes), (1000, Some(100.0), 10_000, 100_000));
    assert_eq!(vote.outcomes, [("error".to_owned(), 900), ("ok".to_owned(), 90), ("timeout".to_owned(), 10)].into());
    assert_eq!(vote.errors, [("refused".to_owned(), 900), ("timeout".to_owned(), 10)].into());
    assert_eq!(vote.samples[0].detail, "nobody listens");
    assert_eq!((never.requests, never.response), (0, Default::default()));
    assert_eq!((phase.checks[0].total, phase.checks[0].failures), (2, 1));
}

#[test]
fn fast_failures_flatter_no_quantile_and_timeouts_count() {
    let phase = with_input(phase);
    let response = phase.steps[0].response;
    assert_eq!(response.count, 100);
    let near = |value: Option<f64>, wanted: f64| value.is_some_and(|value| (value / wanted - 1.0).abs() < 0.012);
    assert!(near(response.p50, 0.01) && near(response.p95, 1.0) && near(response.max, 1.0), "{response:?}");
    assert!(near(response.mean, 0.109) && near(phase.steps[0].service.p50, 0.005));
}

#[test]
fn own_metrics_and_counters_are_there() {
    let phase = with_input(phase);
    assert_eq!(
        phase.metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(),
        ["votes_total", "relevance", "depth"]
    );
    assert_eq!((phase.metrics[0].value, phase.metrics[2].value), (Some(90.0), Some(4.5)));
    assert_eq!(phase.metrics[1].distribution.map(|of| of.count), Some(1));
    assert_eq!(phase.counters[0].labels["instance"], "a");
    assert_eq!((phase.counters[0].delta, phase.counters[0].kind), (Some(2000.0), MetricKind::Counter));
    assert_eq!(phase.notes, ["scrapes are commands, too"]);
}

#[test]
fn a_judgement_is_reported_with_its_reasons() {
    let phase = with_input(phase);
    assert_eq!((phase.verdict, &phase.reasons[..]), (Verdict::Inconclusive, &["for a reason".to_owned()][..]));
    let slo = &phase.slos[0];
    assert_eq!((slo.met, slo.verdict, slo.value, slo.objective), (None, Verdict::Inconclusive, Some(0.01), 0.05));
    assert_eq!(serde_json::to_value(slo.unit).unwrap(), "ratio_per_hour");
}

#[test]
fn histograms_hold_what_is_needed_to_merge() {
    let one = with_input(histograms);
    let text = serde_json::to_string(&one).unwrap();
    let read: PhaseHistograms = serde_json::from_str(&text).unwrap();
    assert_eq!(read, one);
    let mut twice = read.steps[0].response["ok"].clone();
    twice.add(&one.steps[0].response["ok"]);
    assert_eq!(twice.count(), 180);
    assert!((twice.sum() - 1.8).abs() < 1e-9);
    assert_eq!(one.steps.len(), 1, "a step without a request has no histogram");
    assert_eq!((one.scenarios.len(), one.metrics.len(), one.duration), (1, 1, 10.0));
}

#[test]
fn a_phase_that_took_no_time_has_no_rates() {
    let phase = with_input(|input| phase(&PhaseInput { ended: input.started, ..*input }));
    assert_eq!((phase.steps[0].rate, phase.scenarios[0].rate_wanted, phase.scenarios[0].rate_reached), (None, None, None));
}

#[test]
fn the_generator_knows_itself() {
    let generator = generator(2, Duration::ZERO, Duration::from_secs(3600), true);
    assert!(generator.cpu_seconds.is_some_and(|cpu| cpu > 0.0) && generator.processors > 0 && generator.saturated);
    assert!(generator.cpu_ratio.is_some_and(|ratio| ratio < 1.0));
}
