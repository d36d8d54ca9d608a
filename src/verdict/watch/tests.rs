//! Windows, aborts and drifts over made-up totals.

use super::super::slo::tests::slo;
use super::super::slo::{Of, Slo};
use super::*;
use crate::base::Outcome;
use crate::measure::{Layout, Sample, ScenarioId, ScenarioLayout, Set, StepId, StepLayout, Store};
use proptest::prelude::*;
use std::sync::Arc;

const S: Duration = Duration::from_secs(1);

/// A store with one step, and its set.
pub(super) fn recorder() -> (Arc<Store>, Arc<Set>) {
    let store = Store::new(Arc::new(Layout {
        phases: vec!["steady".into()],
        scenarios: vec![ScenarioLayout::new("users")],
        steps: vec![StepLayout::new(ScenarioId(0), "get", crate::base::Protocol::Http)],
        checks: vec![crate::measure::CheckLayout::default()],
        ..Layout::default()
    }));
    let set = store.open(PhaseId(0));
    (store, set)
}

pub(super) fn record(set: &Set, n: u64, response: Duration, outcome: Outcome) {
    for _ in 0..n {
        let sample =
            Sample { response: response.as_nanos() as u64, service: 1, outcome, reason: None, status: 200, sent: 0, received: 0 };
        set.sample(StepId(0), &sample);
    }
}

/// Records each second what `second` says (how many, how many ms), ticks whenever a tick is wanted, and finishes.
fn play(slo: Slo, seconds: u64, second: impl Fn(u64) -> (u64, u64)) -> (Watches, Option<(u64, Breach)>) {
    let (store, set) = recorder();
    let mut watches = Watches::of_phase(&[slo], store.layout(), PhaseId(0), S * seconds as u32);
    let mut breach = None;
    for at in 1..=seconds {
        let (n, ms) = second(at);
        record(&set, n, Duration::from_millis(ms), Outcome::Ok);
        if watches.next().is_some_and(|next| next <= S * at as u32) {
            let new = watches.tick(S * at as u32, &store.totals(PhaseId(0)), &|| false);
            breach = breach.or(new.map(|breach| (at, breach)));
        }
    }
    watches.finish(S * seconds as u32, &store.totals(PhaseId(0)));
    (watches, breach)
}

fn windowed(seconds: u32) -> Slo {
    Slo { window: Some(S * seconds), ..slo(Of::Response, &["p95 < 100ms"]) }
}

#[test]
fn a_late_failure_isnt_hidden_by_a_good_history() {
    let (watches, _) = play(windowed(10), 100, |at| if at > 95 { (50, 400) } else { (50, 10) });
    let mark = watches.mark(0, 0).unwrap();
    assert!(mark.breached >= 1 && !mark.recovered, "{mark:?}");
    assert!((mark.worst.unwrap().value / 0.4 - 1.0).abs() < 0.02, "{mark:?}");
    assert_eq!(mark.last, S * 100);
}

#[test]
fn a_breach_that_recovers_is_told_as_such() {
    let (watches, _) = play(windowed(10), 100, |at| if (40..45).contains(&at) { (50, 400) } else { (50, 10) });
    let mark = watches.mark(0, 0).unwrap();
    assert!(mark.recovered && mark.breached > 5 && mark.judged > 80, "{mark:?}");
    assert!(mark.first >= S * 40 && mark.last < S * 60, "{mark:?}");
}

#[test]
fn a_window_of_few_samples_isnt_judged() {
    let (watches, _) = play(windowed(10), 60, |_| (9, 400));
    let small = watches.mark(0, 0).unwrap().small;
    assert_eq!((small > 40, watches.mark(0, 0)), (true, Some(&Mark { small, ..Mark::default() })));
    let (watches, _) = play(windowed(10), 60, |_| (10, 400));
    assert!(watches.mark(0, 0).unwrap().breached > 40);
}

#[test]
fn a_time_shorter_than_the_window_is_one_window() {
    let (watches, _) = play(windowed(300), 60, |_| (50, 400));
    assert_eq!((watches.mark(0, 0).unwrap().judged, watches.mark(0, 0).unwrap().breached), (1, 1));
}

#[test]
fn the_run_ends_once_the_last_so_long_breach_as_a_whole() {
    let slo = Slo { abort_after: Some(S * 30), ..slo(Of::Response, &["p50 < 100ms"]) };
    let (watches, breach) = play(slo.clone(), 120, |at| if at > 60 { (5, 400) } else { (5, 10) });
    let (at, breach) = breach.unwrap();
    // The median of the last 30s is over once half of them are.
    assert!((76..=81).contains(&at), "{at}");
    assert!(breach.reason.starts_with("p50 < 100ms was ") && breach.reason.ends_with("which ended the run"), "{breach:?}");
    assert_eq!(watches.aborted(0, 0).map(|aborted| aborted.0), Some(breach.reason.as_str()));
    assert_eq!(watches.aborted(0, 1), None);
    let (_, breach) = play(slo, 120, |at| if (60..70).contains(&at) { (5, 400) } else { (5, 10) });
    assert_eq!(breach, None, "a third of the time is not the whole");
}

#[test]
fn a_rate_that_the_generator_itself_keeps_down_ends_no_run() {
    let (store, set) = recorder();
    let open = Slo { abort_after: Some(S * 10), ..slo(Of::Response, &["rate > 50/s"]) };
    let closed = Slo { users: vec![PhaseId(0)], ..open.clone() };
    record(&set, 100, Duration::from_millis(10), Outcome::Ok);
    let ends = |slo: &Slo, saturated: bool| {
        let mut watches = Watches::of_phase(std::slice::from_ref(slo), store.layout(), PhaseId(0), S * 60);
        watches.tick(S * 10, &store.totals(PhaseId(0)), &|| saturated).is_some()
    };
    assert_eq!([ends(&open, true), ends(&closed, true), ends(&closed, false)], [true, false, true]);
}

#[test]
fn windows_with_few_samples_are_counted() {
    let (watches, _) = play(windowed(10), 100, |at| if at > 50 { (5, 10) } else { (50, 10) });
    let mark = watches.mark(0, 0).unwrap();
    assert!(mark.small >= 40 && mark.judged >= 40 && mark.breached == 0, "{mark:?}");
}

#[test]
fn a_drift_is_followed() {
    let (watches, _) = play(slo(Of::Response, &["drift < 5%/h"]), 1200, |at| (20, 100 + at / 12));
    let growth = watches.drift(0).unwrap().value().unwrap();
    // From 100 ms to 200 ms in a third of an hour.
    assert!((growth.value - 3.0).abs() < 0.1 && growth.give_or_take.unwrap() < 0.1, "{growth:?}");
}

#[test]
fn what_needs_no_watch_is_not_followed() {
    let layout = recorder().0.layout().clone();
    let watches = Watches::of_phase(&[slo(Of::Response, &["p95 < 1s"])], &layout, PhaseId(0), S);
    assert_eq!(watches.next(), None);
    assert_eq!(Watches::of_phase(&[windowed(10)], &layout, PhaseId(7), S).next(), None);
    assert_eq!(Watches::of_run(&[Slo { over: Over::Run, ..windowed(10) }], &layout, S).next(), Some(S));
}

proptest! {
    #[test]
    fn a_ring_is_bounded_and_its_windows_are_as_long_as_they_should_be(span_ms in 1u64..100_000, late in prop::collection::vec(0.0..2.0f64, 1..80)) {
        let span = Duration::from_millis(span_ms);
        let mut ring = Ring::new(span);
        let mut t = Duration::ZERO;
        for late in late {
            let step = ring.step();
            t = ring.next + step.mul_f64(late);
            let start = ring.snapshots.iter().map(|snapshot| snapshot.0).rfind(|start| *start + span <= t);
            let window = ring.push(t, Figures::default());
            prop_assert!(ring.snapshots.len() <= SLIDES + 1);
            prop_assert_eq!(window.map(|window| window.0), start.map(|start| t - start));
            prop_assert!(ring.next >= t + span / SLIDES as u32);
        }
        prop_assert!(t > Duration::ZERO);
    }
}
