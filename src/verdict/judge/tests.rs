//! What a phase comes to: the rules of combination, shown on made-up totals.

use super::super::requirement::Unit;
use super::super::slo::tests::{server, slo};
use super::super::worked::Worked;
use super::*;
use crate::base::{Outcome, Protocol, Reason};
use crate::counters::{Answered, Query, ValueSeries};
use crate::measure::{CheckLayout, OwnId, OwnTotals, Sample, ScenarioId, ScenarioLayout, StepId, StepLayout, Store};
use std::sync::Arc;

/// `good` answers of 10 ms and `bad` errors.
fn totals(good: u64, bad: u64) -> (Arc<Layout>, Totals) {
    let layout = Arc::new(Layout {
        phases: vec!["steady".into()],
        scenarios: vec![ScenarioLayout::new("users")],
        steps: vec![StepLayout::new(ScenarioId(0), "get", Protocol::Http)],
        checks: vec![CheckLayout::default()],
        ..Layout::default()
    });
    let store = Store::new(layout.clone());
    let set = store.open(PhaseId(0));
    let sample =
        Sample { response: 10_000_000, service: 1, outcome: Outcome::Ok, reason: None, status: 200, sent: 0, received: 0 };
    for i in 0..good + bad {
        let outcome = if i < good { Outcome::Ok } else { Outcome::Error };
        let reason = (i >= good).then_some(Reason::Reset);
        set.sample(StepId(0), &Sample { outcome, reason, ..sample });
    }
    (layout, store.totals(PhaseId(0)))
}

struct Case {
    layout: Arc<Layout>,
    totals: Totals,
    judged: bool,
    saturated: bool,
    outside: Outside,
}

impl Case {
    fn new(good: u64, bad: u64) -> Self {
        let (layout, totals) = totals(good, bad);
        Self { layout, totals, judged: true, saturated: false, outside: Outside::default() }
    }

    fn judge(&self, slos: &[Slo]) -> Judgement {
        let inputs = Inputs {
            layout: &self.layout,
            phase: Some((PhaseId(0), "steady")),
            judged: self.judged,
            loaded: true,
            totals: &self.totals,
            duration: Duration::from_secs(10),
            over: true,
            saturated: self.saturated,
            outside: &self.outside,
        };
        judge(slos, &inputs, Watches::of_phase(slos, &self.layout, PhaseId(0), inputs.duration))
    }
}

fn on(subject: Subject, require: &[&str]) -> Slo {
    Slo { subject, ..slo(Of::Response, require) }
}

fn answer(series: Vec<ValueSeries>) -> Result<Answered, String> {
    Ok(Answered { series, ..Answered::default() })
}

fn series(name: &str, value: f64) -> ValueSeries {
    let labels = vec![("instance".into(), name.into())];
    ValueSeries { min: value / 2.0, max: value * 2.0, ..ValueSeries::exact(labels, value) }
}

#[test]
fn all_met_is_a_pass() {
    let judgement = Case::new(100, 0).judge(&[slo(Of::Response, &["p95 < 100ms", "errors < 1%", "rate > 5/s"])]);
    assert_eq!((judgement.verdict, judgement.reasons.len(), judgement.slos.len()), (Verdict::Pass, 0, 3));
    let first = &judgement.slos[0];
    assert_eq!((first.met, first.objective, first.phase.as_str(), first.unit), (Some(true), 0.1, "steady", Unit::Seconds));
}

#[test]
fn a_breach_is_a_failure_and_says_the_value() {
    let judgement = Case::new(90, 10).judge(&[slo(Of::Response, &["p95 < 100ms", "errors < 1%"])]);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.reasons, ["api: errors < 1% was not met: 10%."]);
}

#[test]
fn no_data_never_passes() {
    let judgement =
        Case::new(0, 0).judge(&[slo(Of::Response, &["p95 < 100ms", "errors < 1%", "count(errors) == 0", "checks > 95%"])]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.slos.iter().all(|slo| slo.met.is_none() && slo.verdict == Verdict::Inconclusive));
    assert_eq!(judgement.reasons[0], "Nothing was measured.");
    assert_eq!(judgement.reasons[4], "api: checks > 95% is inconclusive: no check was evaluated.");
}

#[test]
fn a_target_is_reported_and_never_fails() {
    let aim = Slo { target: vec![Requirement::parse("p95 < 1ms").unwrap()], ..slo(Of::Response, &["p95 < 100ms"]) };
    let judgement = Case::new(100, 0).judge(&[aim]);
    assert_eq!(judgement.verdict, Verdict::Pass);
    assert_eq!((judgement.slos[1].target, judgement.slos[1].met), (true, Some(false)));
    assert!(judgement.reasons.is_empty());
}

#[test]
fn a_saturated_generator_decides_nothing_but_what_rate_a_closed_load_missed() {
    let closed = Slo {
        arrivals: vec![],
        users: vec![PhaseId(0)],
        ..slo(Of::Response, &["p95 < 100ms", "errors < 1%", "rate > 5/s", "rate > 50/s", "rate < 20/s"])
    };
    let case = Case { saturated: true, ..Case::new(100, 0) };
    let met: Vec<_> = case.judge(std::slice::from_ref(&closed)).slos.iter().map(|slo| slo.met).collect();
    assert_eq!(met, [Some(true), Some(true), Some(true), None, Some(true)]);
    let reason = &case.judge(std::slice::from_ref(&closed)).reasons[0];
    assert_eq!(reason, "api: rate > 50/s is inconclusive: 10/s (10/s or more: the generator itself was the bottleneck).");
    let both = Slo { arrivals: vec![PhaseId(0)], ..closed.clone() };
    assert_eq!(case.judge(&[both]).slos[3].met, None, "users of its own are among them");
    let open = Slo { arrivals: vec![PhaseId(0)], users: vec![], ..closed };
    assert_eq!(case.judge(&[open]).slos[3].met, Some(false), "what arrives is not the generator's to say");
}

#[test]
fn nothing_required_nothing_claimed() {
    let case = Case::new(0, 100);
    let aims = Slo { require: vec![], target: vec![Requirement::parse("errors < 1%").unwrap()], ..slo(Of::Response, &[]) };
    assert_eq!(case.judge(&[]), Judgement::default());
    assert_eq!(case.judge(std::slice::from_ref(&aims)).verdict, Verdict::None);
    assert_eq!(case.judge(&[aims]).slos[0].met, Some(false));
    let case = Case { judged: false, ..case };
    assert_eq!(case.judge(&[slo(Of::Response, &["errors < 1%"])]), Judgement::default());
}

#[test]
fn slos_of_other_phases_and_of_the_run_are_left_out() {
    let other = Slo { over: Over::Phases(vec![PhaseId(3)]), ..slo(Of::Response, &["errors < 1%"]) };
    let run = Slo { over: Over::Run, ..slo(Of::Response, &["errors < 1%"]) };
    assert_eq!(Case::new(0, 100).judge(&[other, run]).slos.len(), 0);
}

#[test]
fn every_series_must_meet_it_and_the_worst_is_reported() {
    let query = "sum by (instance) (up)";
    let mut case = Case::new(100, 0);
    case.outside.promql.insert(query.into(), answer(vec![series("a", 0.4), series("b", 0.6), series("c", 0.5)]));
    let subject = Subject::Promql(Query::parse(query).unwrap());
    let judgement = case.judge(&[on(subject.clone(), &["value < 55%", "min < 55%", "max < 70%", "avg < 70%"])]);
    let met: Vec<_> = judgement.slos.iter().map(|slo| (slo.met, slo.value)).collect();
    assert_eq!(met, [(Some(false), Some(0.6)), (Some(true), Some(0.3)), (Some(false), Some(1.2)), (Some(true), Some(0.6))]);
    assert_eq!(judgement.reasons[0], "api: value < 55% was not met: 60% (of 3 series, instance=b).");
    for (answer, reason) in [
        (answer(vec![]), "no series was returned"),
        (Err("Prometheus answered 503".into()), "Prometheus answered 503"),
        (answer(vec![series("a", f64::NAN)]), "the value is no finite number for instance=a"),
    ] {
        case.outside.promql.insert(query.into(), answer);
        let judgement = case.judge(&[on(subject.clone(), &["value < 55%"])]);
        assert_eq!((judgement.verdict, judgement.slos[0].reason.as_deref()), (Verdict::Inconclusive, Some(reason)));
    }
}

#[test]
fn values_that_nobody_found_are_inconclusive() {
    let own = |of| Subject::Traffic(Traffic { steps: vec![], checks: vec![], ..super::super::slo::tests::traffic(of) });
    let mut case = Case::new(100, 0);
    case.totals.own = vec![OwnTotals::default()];
    let slos = [
        on(server("redis.hit_ratio"), &["value > 80%"]),
        on(Subject::Value("metric('a') / metric('b')".into()), &["value > 1"]),
        on(own(Of::Gauge(OwnId(0))), &["value < 5"]),
    ];
    let judgement = case.judge(&slos);
    assert!(judgement.slos.iter().all(|slo| slo.verdict == Verdict::Inconclusive && slo.reason.is_some()));
    case.outside.expressions.insert("metric('a') / metric('b')".into(), Ok(Worked::exactly(2.0)));
    case.totals.own = vec![OwnTotals { gauge: Some((1.0, 7.0)), ..OwnTotals::default() }];
    let verdicts: Vec<_> = case.judge(&slos[1..]).slos.iter().map(|slo| slo.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
}

#[test]
fn a_drift_over_a_short_phase_changes_nothing() {
    let drift = Slo { name: "steady".into(), ..slo(Of::Response, &["drift < 5%/h"]) };
    let verdict_with = |good, bad| Case::new(good, bad).judge(&[drift.clone(), slo(Of::Response, &["errors < 1%"])]).verdict;
    assert_eq!((verdict_with(100, 0), verdict_with(0, 100)), (Verdict::Pass, Verdict::Fail));
    let alone = Case::new(100, 0).judge(std::slice::from_ref(&drift));
    assert_eq!((alone.verdict, alone.slos[0].met, alone.reasons.len()), (Verdict::None, None, 0));
}

#[test]
fn windows_without_samples_are_no_data() {
    let windowed = Slo { window: Some(Duration::from_secs(5)), ..slo(Of::Response, &["p95 < 100ms"]) };
    let judgement = Case::new(50, 0).judge(std::slice::from_ref(&windowed));
    assert_eq!(judgement.slos[0].reason.as_deref(), Some("no window of 5.00s held 100 samples"));
    let judgement = Case::new(500, 0).judge(&[windowed]);
    assert_eq!(judgement.verdict, Verdict::Pass);
}
