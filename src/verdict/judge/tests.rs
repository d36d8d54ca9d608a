//! What a phase comes to: the rules of combination, told over made-up totals.

use super::super::slo::tests::slo;
use super::*;
use crate::base::{Outcome, Protocol};
use crate::measure::{CheckLayout, Layout, Sample, ScenarioId, ScenarioLayout, StepId, StepLayout, Store};
use std::sync::Arc;

const SATURATED: &str = "The generator was the bottleneck: it used 97% of the processors.";

/// `good` answers of 10 ms and `bad` errors.
fn totals(good: u64, bad: u64) -> Totals {
    let store = Store::new(Arc::new(Layout {
        phases: vec!["steady".into()],
        scenarios: vec![ScenarioLayout::new("users")],
        steps: vec![StepLayout::new(ScenarioId(0), "get", Protocol::Http)],
        checks: vec![CheckLayout::default()],
        ..Layout::default()
    }));
    let set = store.open(PhaseId(0));
    let sample =
        Sample { response: 10_000_000, service: 1, outcome: Outcome::Ok, reason: None, status: 200, sent: 0, received: 0 };
    for i in 0..good + bad {
        let outcome = if i < good { Outcome::Ok } else { Outcome::Error };
        let reason = (i >= good).then_some(Reason::Reset);
        set.sample(StepId(0), &Sample { outcome, reason, ..sample });
    }
    store.totals(PhaseId(0))
}

struct Case {
    totals: Totals,
    judged: bool,
    saturated: Option<&'static str>,
    doubts: Vec<String>,
    outside: Outside,
}

impl Case {
    fn new(good: u64, bad: u64) -> Self {
        Self { totals: totals(good, bad), judged: true, saturated: None, doubts: vec![], outside: Outside::default() }
    }

    fn judge(&self, slos: &[Slo]) -> Judgement {
        let inputs = Inputs {
            phase: Some((PhaseId(0), "steady")),
            judged: self.judged,
            loaded: true,
            totals: &self.totals,
            duration: Duration::from_secs(10),
            saturated: self.saturated,
            doubts: &self.doubts,
            outside: &self.outside,
        };
        judge(slos, &inputs, Watches::of_phase(slos, PhaseId(0), inputs.duration))
    }
}

fn on(subject: Subject, require: &[&str]) -> Slo {
    Slo { subject, ..slo(Of::Response, require) }
}

fn series(name: &str, value: f64) -> ValueSeries {
    ValueSeries { labels: vec![("instance".into(), name.into())], value, min: value / 2.0, max: value * 2.0, avg: value }
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
    assert_eq!(judgement.reasons[4], "api: checks > 95% can't be told: no check was evaluated.");
    assert_eq!(Case::new(0, 0).judge(&[]).verdict, Verdict::Inconclusive, "not without SLOs either");
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
fn a_saturated_generator_makes_it_inconclusive_and_says_why_once() {
    let case = Case { saturated: Some(SATURATED), ..Case::new(100, 0) };
    let judgement = case.judge(&[slo(Of::Response, &["p95 < 100ms", "p95 < 1ms", "errors < 1%"])]);
    assert_eq!((judgement.verdict, judgement.reasons), (Verdict::Inconclusive, vec![SATURATED.to_owned()]));
    assert!(judgement.slos.iter().all(|slo| slo.met.is_none() && slo.value.is_some()));
}

#[test]
fn a_failure_that_no_generator_causes_beats_inconclusive() {
    let case = Case { saturated: Some(SATURATED), ..Case::new(90, 10) };
    let judgement = case.judge(&[slo(Of::Response, &["p95 < 1ms", "errors < 1%"])]);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.reasons, ["api: errors < 1% was not met: 10%.", SATURATED]);
}

#[test]
fn a_doubt_makes_a_pass_inconclusive_and_leaves_a_failure() {
    let doubts = vec!["The list `channels` overflowed.".to_owned()];
    let case = Case { doubts: doubts.clone(), ..Case::new(100, 0) };
    let judgement = case.judge(&[slo(Of::Response, &["p95 < 100ms"])]);
    assert_eq!((judgement.verdict, judgement.reasons), (Verdict::Inconclusive, doubts));
    assert_eq!(case.judge(&[slo(Of::Response, &["p95 < 1ms"])]).verdict, Verdict::Fail);
}

#[test]
fn a_phase_that_isnt_judged_passes_and_reports_no_slo() {
    let case = Case { judged: false, saturated: Some(SATURATED), ..Case::new(0, 100) };
    let judgement = case.judge(&[slo(Of::Response, &["errors < 1%"])]);
    assert_eq!((judgement.verdict, judgement.slos.len()), (Verdict::Pass, 0));
}

#[test]
fn slos_of_other_phases_and_of_the_run_are_left_out() {
    let other = Slo { over: Over::Phases(vec![PhaseId(3)]), ..slo(Of::Response, &["errors < 1%"]) };
    let run = Slo { over: Over::Run, ..slo(Of::Response, &["errors < 1%"]) };
    assert_eq!(Case::new(0, 100).judge(&[other, run]).slos.len(), 0);
}

#[test]
fn every_series_must_meet_it_and_the_worst_is_told() {
    let query = "sum by (instance) (up)";
    let mut case = Case::new(100, 0);
    case.outside.promql.insert(query.into(), Ok(vec![series("a", 0.4), series("b", 0.6), series("c", 0.5)]));
    let subject = Subject::Promql(query.into());
    let judgement = case.judge(&[on(subject.clone(), &["value < 55%", "min < 55%", "max < 70%", "avg < 70%"])]);
    let met: Vec<_> = judgement.slos.iter().map(|slo| (slo.met, slo.value)).collect();
    assert_eq!(met, [(Some(false), Some(0.6)), (Some(true), Some(0.3)), (Some(false), Some(1.2)), (Some(true), Some(0.6))]);
    assert_eq!(judgement.reasons[0], "api: value < 55% was not met: 60% (of 3 series, instance=b).");
    for (answer, reason) in [
        (Ok(vec![]), "no series was returned"),
        (Err("Prometheus answered 503".into()), "Prometheus answered 503"),
        (Ok(vec![series("a", f64::NAN)]), "the value is not a number for instance=a"),
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
    let slos = [
        on(Subject::Server("redis.hit_ratio".into()), &["value > 80%"]),
        on(Subject::Value("metric('a') / metric('b')".into()), &["value > 1"]),
        on(own(Of::Gauge(OwnId(0))), &["value < 5"]),
    ];
    let judgement = case.judge(&slos);
    assert!(judgement.slos.iter().all(|slo| slo.verdict == Verdict::Inconclusive && slo.reason.is_some()));
    case.outside.expressions.insert("metric('a') / metric('b')".into(), Ok(2.0));
    case.outside.gauges.insert(OwnId(0), 7.0);
    let verdicts: Vec<_> = case.judge(&slos[1..]).slos.iter().map(|slo| slo.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
}

#[test]
fn windows_without_samples_are_no_data() {
    let windowed = Slo { window: Some(Duration::from_secs(5)), ..slo(Of::Response, &["p95 < 100ms"]) };
    let judgement = Case::new(50, 0).judge(std::slice::from_ref(&windowed));
    assert_eq!(judgement.slos[0].reason.as_deref(), Some("no window of 5.00s held 100 samples"));
    let judgement = Case::new(500, 0).judge(&[windowed]);
    assert_eq!(judgement.verdict, Verdict::Pass);
}
