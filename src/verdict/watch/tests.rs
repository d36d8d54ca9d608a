//! Windows, aborts and drifts over made-up totals.

use super::super::slo::tests::slo;
use super::super::slo::{Of, Over, Slo};
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
    watches.finish(S * seconds as u32, &store.totals(PhaseId(0)), true);
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
fn a_breach_that_recovers_is_reported_as_such() {
    let (watches, _) = play(windowed(10), 100, |at| if (40..45).contains(&at) { (50, 400) } else { (50, 10) });
    let mark = watches.mark(0, 0).unwrap();
    assert!(mark.recovered && mark.breached > 5 && mark.judged > 80, "{mark:?}");
    assert!(mark.first >= S * 40 && mark.last < S * 60, "{mark:?}");
}

#[test]
fn what_the_drain_brings_is_no_recovery() {
    let slo = |text: &str| Slo { window: Some(S * 10), ..slo(Of::Response, &[text]) };
    // A target that keeps up with half of what is asked: the rest is answered once the load is over.
    let drained = |text: &str| {
        let (store, set) = recorder();
        let mut watches = Watches::of_phase(&[slo(text)], store.layout(), PhaseId(0), S * 60);
        for at in 1..=60 {
            record(&set, 50, S / 100, Outcome::Ok);
            watches.tick(S * at, &store.totals(PhaseId(0)), &|| false);
        }
        record(&set, 3000, S / 100, Outcome::Ok);
        watches.finish(S * 60, &store.totals(PhaseId(0)), true);
        watches.mark(0, 0).unwrap().clone()
    };
    let mark = drained("rate > 80/s");
    assert!(mark.breached > 40 && mark.breached < mark.judged && !mark.recovered, "{mark:?}");
    // Nor is a window of which nobody can say whether it is met.
    let (store, set) = recorder();
    let mut watches = Watches::of_phase(&[slo("p95 < 100ms")], store.layout(), PhaseId(0), S * 60);
    for at in 1..=60 {
        let (ms, outcome) = if at < 40 { (400, Outcome::Ok) } else { (10, Outcome::Interrupted) };
        record(&set, 50, Duration::from_millis(ms), outcome);
        watches.tick(S * at, &store.totals(PhaseId(0)), &|| false);
    }
    let mark = watches.mark(0, 0).unwrap();
    assert!(mark.breached > 0 && mark.unsure.is_some() && !mark.recovered, "{mark:?}");
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

/// A window of 2 s of a load that answers 50 requests a second within 10 ms, until `hangs` requests get no answer from the end of the first
/// second on. Every user waits then.
fn hangs(slo: Slo, seconds: u64, hangs: u64) -> (Watches, Option<(u64, Breach)>) {
    let (store, set) = recorder();
    let mut watches = Watches::of_phase(&[slo], store.layout(), PhaseId(0), S * seconds as u32);
    let mut breach = None;
    for tenth in 1..=seconds * 10 {
        let t = S * tenth as u32 / 10;
        if tenth <= 10 {
            record(&set, 5, S / 100, Outcome::Ok);
        }
        if tenth == 10 {
            (0..hangs).for_each(|_| set.request_open(StepId(0), t.as_nanos() as u64, true));
        }
        set.beats(t.as_nanos() as u64);
        if watches.next().is_some_and(|next| next <= t) {
            let new = watches.tick(t, &store.totals(PhaseId(0)), &|| false);
            breach = breach.or(new.map(|breach| (tenth, breach)));
        }
    }
    watches.finish(S * seconds as u32, &store.totals(PhaseId(0)), false);
    (watches, breach)
}

#[test]
fn a_target_that_hangs_is_seen_before_anything_times_out() {
    for requirement in ["p95 < 100ms", "within(100ms) > 95%", "max < 100ms", "mean < 100ms"] {
        let windowed = Slo { window: Some(S * 2), ..slo(Of::Response, &[requirement]) };
        for users in [1, 5, 200] {
            let (watches, _) = hangs(windowed.clone(), 8, users);
            let mark = watches.mark(0, 0).unwrap();
            assert!(mark.breached > 10 && !mark.recovered, "{requirement} with {users}: {mark:?}");
            let abort = Slo { abort_after: Some(S * 2), ..slo(Of::Response, &[requirement]) };
            let (_, breach) = hangs(abort, 20, users);
            // Once nothing else was answered in the last 2 s, or before that where it is enough.
            assert!(breach.is_some_and(|(tenth, _)| tenth <= 34), "{requirement} with {users}");
        }
    }
    // Whether they will fail nobody knows yet.
    let (watches, breach) =
        hangs(Slo { abort_after: Some(S * 2), window: Some(S * 2), ..slo(Of::Response, &["errors < 1%"]) }, 8, 5);
    assert_eq!((watches.mark(0, 0).unwrap().breached, breach), (0, None));
}

#[test]
fn what_is_under_way_since_a_moment_ago_spoils_no_window() {
    let (store, set) = recorder();
    let mut watches = Watches::of_phase(&[windowed(1)], store.layout(), PhaseId(0), S * 10);
    for tenth in 1..=100u64 {
        // 50 users, each of whom waits for 50 ms: half as many as are answered in a tenth of a second are under way.
        let now = tenth * 100_000_000;
        record(&set, 100, S / 20, Outcome::Ok);
        (0..50).for_each(|_| set.request_open(StepId(0), now - 25_000_000, true));
        set.beats(now);
        let t = Duration::from_nanos(now);
        assert_eq!(watches.tick(t, &store.totals(PhaseId(0)), &|| false), None);
        (0..50).for_each(|_| set.request_open(StepId(0), now - 25_000_000, false));
    }
    let mark = watches.mark(0, 0).unwrap();
    assert!(mark.judged > 80 && mark.breached == 0 && mark.unsure.is_none(), "{mark:?}");
}

#[test]
fn a_breach_that_what_is_under_way_may_mend_is_unsure() {
    let (store, set) = recorder();
    record(&set, 100, S / 2, Outcome::Ok);
    let judge = |watches: &mut Watches| {
        watches.tick(S, &store.totals(PhaseId(0)), &|| false);
        let mark = watches.mark(0, 0).unwrap();
        (mark.breached, mark.unsure.clone().map(|unsure| unsure.1))
    };
    let watches = || Watches::of_phase(&[windowed(1)], store.layout(), PhaseId(0), S * 10);
    assert_eq!(judge(&mut watches()), (1, None));
    (0..5000).for_each(|_| set.request_open(StepId(0), 1_000_000_000, true));
    let (breached, doubt) = judge(&mut watches());
    assert!(breached == 0 && doubt.as_ref().is_some_and(|doubt| doubt.ends_with("5,000 were still under way")), "{doubt:?}");
}

#[test]
fn one_time_limit_makes_no_window_of_a_low_load() {
    // One request each 10 s, and one of them reached its limit of half a second.
    let timeout = |limit: Duration| {
        let (store, set) = recorder();
        let mut watches = Watches::of_phase(
            &[Slo { require: vec![Requirement::parse("errors < 1%").unwrap()], ..windowed(10) }],
            store.layout(),
            PhaseId(0),
            S * 60,
        );
        record(&set, 1, limit, Outcome::Timeout);
        watches.tick(S * 10, &store.totals(PhaseId(0)), &|| false);
        let mark = watches.mark(0, 0).unwrap();
        (mark.small, mark.breached)
    };
    assert_eq!(timeout(S / 2), (1, 0));
    // But where the only user waited all the time, the target is why there is no more.
    assert_eq!(timeout(S * 10), (0, 1));
}

#[test]
fn arrivals_that_were_dropped_while_all_users_wait_count_as_those_before() {
    for (dropped, breaks) in [(50, true), (50_000, false)] {
        let (store, set) = recorder();
        let slo = Slo { abort_after: Some(S * 2), ..slo(Of::Response, &["p95 < 100ms"]) };
        let mut watches = Watches::of_phase(&[slo], store.layout(), PhaseId(0), S * 10);
        // From the beginning nothing was answered.
        set.due(ScenarioId(0), 50);
        set.started(ScenarioId(0), 50);
        (0..50).for_each(|_| set.request_open(StepId(0), 0, true));
        let mut breach = None;
        for fifth in 1..=20u64 {
            set.due(ScenarioId(0), dropped / 10);
            set.dropped(ScenarioId(0), crate::base::DropReason::Busy, dropped / 10);
            set.beats(fifth * 200_000_000);
            breach = breach.or(watches.tick(S * fifth as u32 / 5, &store.totals(PhaseId(0)), &|| false));
        }
        assert_eq!(breach.is_some(), breaks, "{dropped}");
    }
}

#[test]
fn a_pause_of_the_generator_is_no_lack_of_load() {
    let run = |requirement: &str, n: u64, stood: Duration| {
        let (store, set) = recorder();
        let subject = Slo { window: Some(S * 2), abort_after: Some(S * 2), ..slo(Of::Response, &[requirement]) };
        let mut watches = Watches::of_phase(&[subject], store.layout(), PhaseId(0), S * 60);
        // What it had stood before is none of this window.
        watches.stands(&[S * 7]);
        watches.stands(&[S * 7 + stood]);
        record(&set, n, S / 100, Outcome::Ok);
        let ends = watches.tick(S * 2, &store.totals(PhaseId(0)), &|| false).is_some();
        let mark = watches.mark(0, 0).unwrap();
        (ends, mark.breached, mark.unsure.as_ref().map(|unsure| unsure.1.contains("stood still for")))
    };
    for requirement in ["rate > 90/s", "count(requests) > 180", "count(success) > 180"] {
        assert_eq!(run(requirement, 200, Duration::ZERO), (false, 0, None), "{requirement}");
        assert_eq!(run(requirement, 100, Duration::ZERO), (true, 1, None), "{requirement}");
        assert_eq!(run(requirement, 100, S * 3 / 2).2, Some(true), "{requirement}");
        assert_eq!(run(requirement, 0, S * 2).1, 0, "{requirement}");
        // A tenth of a second is no excuse for half of the load, and what is shorter is none at all.
        assert_eq!((run(requirement, 100, S / 5).1, run(requirement, 175, S / 10).1), (1, 1), "{requirement}");
    }
    assert_eq!(run("rate > 90/s", 100, S * 3 / 2), (false, 0, Some(true)));
    assert_eq!(run("rate < 90/s", 100, S * 3 / 2), (false, 0, None));
}

#[test]
fn the_pause_of_one_worker_is_one_and_what_is_not_followed_has_none() {
    // 178 of 200: one of two workers stood still for 250 ms of 2 s, one of sixteen for all of it, or for as long before.
    let run = |workers: u32, within: Duration, skipped: Duration| {
        let (store, set) = recorder();
        let subject = Slo { window: Some(S * 2), ..slo(Of::Response, &["rate > 90/s"]) };
        let mut watches = Watches::of_run(&[Slo { over: Over::Run, ..subject }], store.layout(), S * 60);
        let all = |first| [first].into_iter().chain((1..workers).map(|_| Duration::ZERO)).collect::<Vec<_>>();
        watches.stands(&all(S));
        watches.skips(&all(S + skipped));
        watches.stands(&all(S + skipped + within));
        record(&set, 178, S / 100, Outcome::Ok);
        watches.tick(S * 2, &store.totals(PhaseId(0)), &|| false);
        watches.mark(0, 0).unwrap().breached
    };
    assert_eq!(run(2, Duration::ZERO, Duration::ZERO), 1);
    assert_eq!(run(2, S / 4, Duration::ZERO), 0, "an eighth of a half");
    assert_eq!(run(16, S * 2, Duration::ZERO), 0);
    assert_eq!(run(2, Duration::ZERO, S), 1, "none of its time");
    assert_eq!(run(2, S / 8, S), 1, "too short to be one");
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
            let start = ring.snapshots.iter().map(|snapshot| snapshot.at).rfind(|start| *start + span <= t);
            let window = ring.push(Snapshot { at: t, ..Snapshot::default() });
            prop_assert!(ring.snapshots.len() <= SLIDES + 1);
            prop_assert_eq!(window.map(|window| window.length), start.map(|start| t - start));
            prop_assert!(ring.next >= t + span / SLIDES as u32);
        }
        prop_assert!(t > Duration::ZERO);
    }
}
