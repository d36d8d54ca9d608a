//! What can be known: cases of an everyday.

mod iterations;
mod limits;
mod properties;

use std::sync::Arc;

use super::super::figures::Extent;
use super::super::slo::tests::traffic;
use super::super::slo::{Of, Traffic};
use super::*;
use crate::base::{DropReason, Outcome, Protocol};
use crate::measure::{
    CheckId, CheckLayout, ConnectTimes, Layout, OwnId, OwnKind, OwnMetric, PhaseId, Sample, ScenarioId, ScenarioLayout, Set,
    StepId, StepLayout, Store,
};

const MS: u64 = 1_000_000;
const USERS: ScenarioId = ScenarioId(0);

/// A recorder of one step whose requests take `timeout` seconds at most.
struct Recorder {
    store: Arc<Store>,
    set: Arc<Set>,
    subject: Traffic,
}

impl Recorder {
    fn new(timeout: f64) -> Self {
        let own = |name: &str, kind| OwnMetric { name: name.into(), help: String::new(), kind, scenarios: vec![USERS] };
        let thresholds = vec![0.1, 0.15, 0.3, 0.5, 2.0, 10.0];
        let step = StepLayout { thresholds, ..StepLayout::new(USERS, "get", Protocol::Http) };
        let store = Store::new(Arc::new(Layout {
            phases: vec!["steady".into()],
            scenarios: vec![ScenarioLayout::new("users")],
            steps: vec![step],
            checks: vec![CheckLayout { scenario: USERS, step: Some(StepId(0)), name: "quick".into(), ..CheckLayout::default() }],
            own: vec![
                own("votes_total", OwnKind::Counter),
                own("wait_seconds", OwnKind::Histogram { unit: "seconds".into(), bounds: None }),
            ],
            ..Layout::default()
        }));
        let set = store.open(PhaseId(0));
        Self { store, set, subject: Traffic { timeout, ..traffic(Of::Response) } }
    }

    fn request(&self, ms: u64, outcome: Outcome, reason: Option<Reason>) {
        self.delayed(ms, 0, outcome, reason);
    }

    /// A request of `ms` that the generator delayed by `delay` of them.
    fn delayed(&self, ms: u64, delay: u64, outcome: Outcome, reason: Option<Reason>) {
        let status = if outcome == Outcome::Ok { 200 } else { 0 };
        let sample = Sample { response: ms * MS, service: ms * MS, outcome, reason, status, sent: 0, received: 0 };
        self.set.sample(StepId(0), &sample);
        self.set.delayed_sample(StepId(0), &sample, delay * MS, delay * MS);
    }

    fn good(&self, n: u64, ms: u64) {
        (0..n).for_each(|_| self.request(ms, Outcome::Ok, None));
    }

    fn timed_out(&self, n: u64, ms: u64) {
        (0..n).for_each(|_| self.request(ms, Outcome::Timeout, Some(Reason::Timeout)));
    }

    fn cut_off(&self, n: u64, ms: u64) {
        (0..n).for_each(|_| self.request(ms, Outcome::Interrupted, None));
    }

    /// Arrivals, each of which was an iteration of one request, and those that were dropped.
    fn arrivals(&self, started: u64, dropped: u64) {
        self.set.due(USERS, started + dropped);
        self.set.started(USERS, started);
        self.set.dropped(USERS, DropReason::Busy, dropped);
        (0..started).for_each(|_| self.set.iteration(USERS, 10 * MS, Outcome::Ok));
    }

    fn figures(&self, subject: &Traffic, covered: &[ScenarioId]) -> Figures {
        Figures::of(
            subject,
            &self.store.totals(PhaseId(0)),
            Extent { layout: self.store.layout(), covered, run: false, over: true },
        )
    }

    /// Of the subject, while the load goes on.
    fn so_far(&self) -> Figures {
        let extent = Extent { layout: self.store.layout(), covered: &[], run: false, over: false };
        Figures::of(&self.subject, &self.store.totals(PhaseId(0)), extent).minus(&Figures::default())
    }

    fn known(&self, text: &str) -> Known {
        let requirement = Requirement::parse(text).unwrap();
        self.figures(&self.subject, &[]).known(&requirement, PACE).unwrap_or_else(|| panic!("{text} has no data"))
    }

    fn met(&self, text: &str) -> Option<bool> {
        self.known(text).met
    }

    fn doubt(&self, text: &str) -> String {
        self.figures(&self.subject, &[]).doubt(&Requirement::parse(text).unwrap(), PACE)
    }
}

const PACE: Pace = Pace { seconds: 10.0, limited: false, stood: None };

#[test]
fn a_hung_target_proves_nothing() {
    let hung = Recorder::new(30.0);
    hung.cut_off(40, 6000);
    for text in ["p95 < 10s", "errors < 0.1%", "timeouts < 0.1%", "success > 99%", "mean < 10s", "max < 10s", "within(10s) > 99%"]
    {
        assert_eq!(hung.met(text), None, "{text}");
    }
    assert_eq!(hung.doubt("errors < 0.1%"), "40 of 40 had no answer when the drain ended");
    // What had lasted longer already is surely longer.
    for text in ["p95 < 2s", "mean < 2s", "max < 2s", "within(2s) > 99%"] {
        assert_eq!(hung.met(text), Some(false), "{text}");
    }
    assert_eq!(hung.doubt("p95 < 2s"), "");
}

#[test]
fn timeouts_below_the_objective_prove_nothing() {
    let censored = Recorder::new(0.3);
    censored.timed_out(20, 300);
    for text in ["p95 < 500ms", "p99 < 2s", "mean < 500ms", "max < 2s", "within(2s) > 50%"] {
        assert_eq!(censored.met(text), None, "{text}");
    }
    assert_eq!(censored.doubt("p95 < 500ms"), "20 of 20 were given up at their time limit");
    for text in ["errors < 1%", "timeouts < 1%", "p95 < 100ms", "within(100ms) > 1%"] {
        assert_eq!(censored.met(text), Some(false), "{text}");
    }
}

/// 60,000 requests with 30 timeouts of 5 s and 3 interrupted: what is required comes out the same either way.
#[test]
fn an_everyday_day_has_a_verdict() {
    let day = Recorder::new(5.0);
    day.good(59_967, 80);
    day.timed_out(30, 5000);
    day.cut_off(3, 1200);
    day.arrivals(60_000, 0);
    for text in
        ["p95 < 150ms", "p99 < 300ms", "errors < 0.1%", "timeouts < 0.1%", "success > 99.9%", "mean < 100ms", "within(10s) > 99%"]
    {
        assert_eq!(day.met(text), Some(true), "{text}");
    }
    for text in ["errors < 0.05%", "max < 2s", "p99.99 < 500ms", "count(timeouts) < 30"] {
        assert_eq!(day.met(text), Some(false), "{text}");
    }
    // 30 of 60,000 are 0.05 %, and 3 more could be.
    assert_eq!(day.met("errors <= 0.05%"), None);
    let known = day.known("errors <= 0.05%");
    assert!((known.value - 30.0 / 60_000.0).abs() < 1e-12 && (known.most - 33.0 / 60_000.0).abs() < 1e-12, "{known:?}");
    assert_eq!(day.met("max < 10s"), None, "whoever was given up after 5s may have taken longer than 10s");
}

#[test]
fn delays_of_the_generator_are_taken_off_in_the_good_case() {
    let delayed = Recorder::new(1.0);
    delayed.good(90, 50);
    for _ in 0..10 {
        delayed.delayed(250, 200, Outcome::Ok, None);
    }
    assert_eq!(delayed.met("p95 < 100ms"), None);
    assert_eq!(delayed.doubt("p95 < 100ms"), "10 were delayed by the generator itself");
    assert_eq!((delayed.met("p95 < 300ms"), delayed.met("p85 < 100ms")), (Some(true), Some(true)));
    assert_eq!(
        (delayed.met("mean < 60ms"), delayed.met("mean < 100ms"), delayed.met("mean < 40ms")),
        (None, Some(true), Some(false))
    );
    assert_eq!(
        (delayed.met("max < 100ms"), delayed.met("max < 300ms"), delayed.met("max < 40ms")),
        (None, Some(true), Some(false))
    );
    assert_eq!((delayed.met("within(100ms) > 95%"), delayed.met("within(300ms) > 99%")), (None, Some(true)));
    // An answer that came is an answer.
    for text in ["errors == 0%", "success >= 100%", "status(200) >= 100%"] {
        assert_eq!(delayed.met(text), Some(true), "{text}");
    }
    // A time limit that ran out meanwhile is the generator's, perhaps.
    delayed.delayed(1200, 1100, Outcome::Timeout, Some(Reason::Timeout));
    for text in ["errors == 0%", "timeouts < 0.1%", "errors(timeout) < 0.1%"] {
        assert_eq!(delayed.met(text), None, "{text}");
    }
    assert_eq!(delayed.doubt("errors == 0%"), "1 reached its time limit while the generator delayed it");
}

#[test]
fn what_broke_on_this_machines_limits_says_nothing_of_the_target() {
    let limits = Recorder::new(1.0);
    limits.good(50, 50);
    (0..50).for_each(|_| limits.request(1, Outcome::Error, Some(Reason::Local)));
    assert_eq!((limits.met("errors < 1%"), limits.known("errors < 1%").value), (None, 0.0));
    assert_eq!((limits.met("p95 < 100ms"), limits.met("success > 99%"), limits.met("errors < 60%")), (None, None, Some(true)));
    assert_eq!(limits.met("errors(local) < 1%"), Some(false), "how many they are is known");
    assert_eq!(limits.doubt("errors < 1%"), "50 broke on this machine's own limits");
    assert_eq!(limits.met("status(200) > 99%"), None);
    let nothing_else = Recorder::new(1.0);
    nothing_else.request(1, Outcome::Error, Some(Reason::Local));
    let requirement = Requirement::parse("errors < 1%").unwrap();
    assert_eq!(nothing_else.figures(&nothing_else.subject, &[]).known(&requirement, PACE), None);
}

#[test]
fn iterations_that_failed_for_the_generators_sake_are_not_the_targets() {
    let recorder = Recorder::new(1.0);
    recorder.good(90, 50);
    (0..90).for_each(|_| recorder.set.iteration(USERS, 50 * MS, Outcome::Ok));
    (0..6).for_each(|_| recorder.request(1, Outcome::Error, Some(Reason::Local)));
    (0..4).for_each(|_| recorder.delayed(1200, 1100, Outcome::Timeout, Some(Reason::Timeout)));
    (0..6).for_each(|_| recorder.set.iteration(USERS, 50 * MS, Outcome::Error));
    (0..4).for_each(|_| recorder.set.iteration(USERS, 50 * MS, Outcome::Timeout));
    let met = |text: &str| {
        let figures = recorder.figures(&Traffic { of: Of::Iteration, ..recorder.subject.clone() }, &[]);
        figures.known(&Requirement::parse(text).unwrap(), PACE).unwrap().met
    };
    assert_eq!((met("errors < 1%"), met("success > 95%"), met("errors < 11%")), (None, None, Some(true)));
    // Nor are the checks that failed with them.
    (0..90).for_each(|_| recorder.set.check(CheckId(0), true));
    (0..10).for_each(|_| recorder.set.check(CheckId(0), false));
    assert_eq!((recorder.met("checks > 95%"), recorder.met("checks > 89%")), (None, Some(true)));
    // One more failed by itself.
    recorder.set.iteration(USERS, 50 * MS, Outcome::Error);
    assert_eq!(
        recorder
            .figures(&Traffic { of: Of::Iteration, ..recorder.subject.clone() }, &[])
            .known(&Requirement::parse("errors == 0%").unwrap(), PACE)
            .unwrap()
            .met,
        Some(false)
    );
}

#[test]
fn arrivals_that_were_never_made_count_as_what_they_would_have_done() {
    let drops = Recorder::new(5.0);
    drops.good(50, 100);
    drops.arrivals(50, 450);
    for text in
        ["errors < 1%", "p95 < 2s", "rate > 40/s", "mean < 2s", "success > 99%", "count(errors) < 100", "within(2s) > 50%"]
    {
        assert_eq!(drops.met(text), None, "{text}");
    }
    assert_eq!(drops.doubt("errors < 1%"), "450 arrivals were dropped or cancelled, or sent nothing");
    let one = Recorder::new(5.0);
    one.arrivals(1, 1);
    assert_eq!(one.doubt("errors < 1%"), "1 arrival was dropped or cancelled, or sent nothing");
    let known = drops.known("errors < 1%");
    assert_eq!((known.value, known.least, known.most), (0.0, 0.0, 0.9));
    assert_eq!(
        (drops.met("dropped < 1%"), drops.met("rate > 60/s"), drops.met("rate > 4/s")),
        (Some(false), Some(false), Some(true))
    );
    // Where an SLO of their own judges them, they are no doubt elsewhere.
    let covered = drops.figures(&drops.subject, &[USERS]);
    let met = |text: &str| covered.known(&Requirement::parse(text).unwrap(), PACE).unwrap().met;
    assert_eq!((met("errors < 1%"), met("p95 < 2s"), met("rate > 40/s")), (Some(true), Some(true), Some(false)));
    // But for those that a pause of the generator displaced.
    (0..400).for_each(|_| drops.set.displaced(USERS));
    let covered = drops.figures(&drops.subject, &[USERS]);
    let met = |text: &str| covered.known(&Requirement::parse(text).unwrap(), PACE).unwrap().met;
    assert_eq!((met("errors < 1%"), met("rate > 40/s"), met("rate > 46/s")), (None, None, Some(false)));
    // One of many changes nothing.
    let few = Recorder::new(5.0);
    few.good(10_000, 100);
    few.arrivals(10_000, 5);
    assert_eq!((few.met("errors < 1%"), few.met("p95 < 2s"), few.met("p99 < 150ms")), (Some(true), Some(true), Some(true)));
    assert_eq!(few.met("errors == 0%"), None);
}

#[test]
fn users_that_are_gone_count_as_the_iterations_that_are_missing() {
    let gone = Recorder::new(5.0);
    gone.good(100, 10);
    (0..100).for_each(|_| gone.set.iteration(USERS, 30 * MS, Outcome::Ok));
    gone.set.wanted(USERS, 30_000 * MS);
    gone.set.absent(USERS, 27_000 * MS, 0);
    let known = gone.known("errors < 5%");
    assert_eq!((known.met, gone.met("p95 < 100ms")), (None, None));
    assert!((known.most - 0.9).abs() < 0.01, "900 requests are missing: {known:?}");
    assert_eq!(gone.doubt("errors < 5%"), "users were missing for 27.0s together");
    assert_eq!((gone.met("rate > 20/s"), gone.met("rate > 200/s")), (None, Some(false)));
}

#[test]
fn where_nothing_of_the_kind_was_done_what_is_missing_may_be_anything() {
    // Nobody got in; a second scenario did well.
    let nobody = Recorder::new(5.0);
    nobody.set.wanted(USERS, 30_000 * MS);
    nobody.set.absent(USERS, 30_000 * MS, 0);
    nobody.good(100, 10);
    for text in ["errors < 5%", "p95 < 100ms", "within(100ms) > 1%", "mean < 1s", "success > 1%", "count(errors) < 100"] {
        assert_eq!(nobody.met(text), None, "{text}");
    }
    assert_eq!((nobody.met("rate > 5/s"), nobody.met("rate > 50/s")), (Some(true), None));
    // All arrivals were dropped; what was done was begun before.
    let dropped = Recorder::new(5.0);
    dropped.good(100, 10);
    dropped.set.due(USERS, 20);
    dropped.set.dropped(USERS, DropReason::Busy, 20);
    assert_eq!((dropped.met("errors < 5%"), dropped.met("p95 < 100ms")), (None, None));
}

#[test]
fn a_late_start_takes_nothing_of_a_time_limit() {
    let late = Recorder::new(1.0);
    late.good(98, 10);
    for _ in 0..2 {
        let sample = Sample {
            response: 1001 * MS,
            service: 1000 * MS,
            outcome: Outcome::Timeout,
            reason: Some(Reason::Timeout),
            status: 0,
            sent: 1,
            received: 0,
        };
        late.set.sample(StepId(0), &sample);
        late.set.delayed_sample(StepId(0), &sample, MS, 0);
    }
    assert_eq!(
        (late.met("errors < 1%"), late.met("timeouts < 1%"), late.met("errors < 3%")),
        (Some(false), Some(false), Some(true))
    );
}

#[test]
fn requests_that_never_left_the_machine_reach_no_rate() {
    let local = Recorder::new(1.0);
    local.good(50, 10);
    (0..950).for_each(|_| local.request(1, Outcome::Error, Some(Reason::Local)));
    assert_eq!((local.met("rate > 50/s"), local.met("count(requests) > 500"), local.met("rate > 4/s")), (None, None, Some(true)));
}

#[test]
fn pauses_bound_what_a_closed_load_would_have_done() {
    let held = Recorder::new(1.0);
    held.good(500, 10);
    held.set.wanted(USERS, 100_000 * MS);
    held.set.held(USERS, 20_000 * MS);
    // A fifth of the time nobody could do anything: 625 in all at the most.
    assert_eq!((held.met("rate > 55/s"), held.met("rate > 70/s"), held.met("count(requests) > 600")), (None, Some(false), None));
    assert_eq!(held.met("errors == 0%"), Some(true));
}

#[test]
fn checks_that_nobody_could_evaluate_are_not_known() {
    let checks = Recorder::new(5.0);
    checks.good(50, 10);
    checks.cut_off(50, 1000);
    (0..50).for_each(|_| checks.set.check(CheckId(0), true));
    assert_eq!((checks.met("checks > 95%"), checks.met("checks > 40%")), (None, Some(true)));
    assert_eq!(checks.doubt("checks > 95%"), "50 checks had no answer to look at, or an `eventually` that was not over");
    (0..50).for_each(|_| checks.set.check(CheckId(0), false));
    assert_eq!(checks.met("checks > 95%"), Some(false));
}

#[test]
fn a_metric_of_ones_own_lacks_what_never_came_to_be() {
    let own = Recorder::new(5.0);
    (0..90).for_each(|_| own.set.observe(OwnId(1), USERS, 0.05));
    own.set.count(OwnId(0), USERS, 90.0);
    (0..90).for_each(|_| own.set.iteration(USERS, 10 * MS, Outcome::Ok));
    (0..10).for_each(|_| own.set.iteration(USERS, 10_000 * MS, Outcome::Interrupted));
    for metric in [OwnId(0), OwnId(1)] {
        (0..10).for_each(|_| own.set.unfinished(metric, USERS));
    }
    let met = |of: usize, text: &str| {
        let figures = own.figures(&Traffic { of: Of::Own(OwnId::at(of)), ..own.subject.clone() }, &[]);
        figures.known(&Requirement::parse(text).unwrap(), PACE).unwrap().met
    };
    assert_eq!((met(1, "p95 < 100ms"), met(1, "p50 < 100ms"), met(1, "max < 100ms")), (None, Some(true), None));
    assert_eq!((met(0, "value > 95"), met(0, "value > 80"), met(0, "value > 200")), (None, Some(true), Some(false)));
}

#[test]
fn connections_that_never_opened_nor_failed_are_not_known() {
    let recorder = Recorder::new(30.0);
    let connects = |n: u64, ms: u64, reason: Option<Reason>| {
        for _ in 0..n {
            recorder.set.unconnected(USERS, Protocol::Websocket, reason, ms * MS);
        }
    };
    for _ in 0..81 {
        recorder.set.connected(USERS, Protocol::Websocket, &ConnectTimes { total: 5 * MS, tcp: MS, ..ConnectTimes::default() });
    }
    connects(9, 400, None);
    let subject = Traffic { of: Of::Connect, protocols: vec![Protocol::Websocket], ..recorder.subject.clone() };
    let met = |text: &str| recorder.figures(&subject, &[]).known(&Requirement::parse(text).unwrap(), PACE).unwrap().met;
    for text in ["errors < 1%", "success > 99%", "timeouts < 1%", "p99 < 500ms", "mean < 60ms", "within(500ms) > 99%", "max < 1s"]
    {
        assert_eq!(met(text), None, "{text}");
    }
    // What had lasted longer already is surely longer.
    for text in ["p99 < 100ms", "within(100ms) > 99%"] {
        assert_eq!(met(text), Some(false), "{text}");
    }
    for text in ["errors < 20%", "p50 < 500ms"] {
        assert_eq!(met(text), Some(true), "{text}");
    }
    assert_eq!(
        recorder.figures(&subject, &[]).doubt(&Requirement::parse("errors < 1%").unwrap(), PACE),
        "9 of 90 were cut off when the drain ended"
    );
    // A time limit of a connection is a lower bound of its time.
    connects(10, 2000, Some(Reason::Timeout));
    assert_eq!((met("p95 < 1s"), met("p95 < 3s"), met("errors < 5%")), (Some(false), None, Some(false)));
}

#[test]
fn what_a_drain_was_enough_for_is_no_rate_of_the_phase() {
    let recorder = Recorder::new(30.0);
    recorder.good(50, 10);
    let sample =
        Sample { response: 10 * MS, service: 10 * MS, outcome: Outcome::Ok, reason: None, status: 200, sent: 0, received: 0 };
    (0..50).for_each(|_| recorder.set.late().sample(StepId(0), &sample));
    assert_eq!((recorder.known("rate > 4/s").value, recorder.met("rate > 6/s")), (5.0, Some(false)));
    assert_eq!(recorder.known("count(requests) > 1").value, 100.0);
}

#[test]
fn an_eventually_that_was_cut_off_is_neither_done_nor_not() {
    let recorder = Recorder::new(30.0);
    recorder.good(25, 10);
    (0..25).for_each(|_| recorder.set.undone(USERS, &[CheckId(0)]));
    assert_eq!(
        (recorder.met("errors < 1%"), recorder.met("success > 99%"), recorder.met("errors < 60%")),
        (None, None, Some(true))
    );
    assert_eq!(recorder.doubt("errors < 1%"), "25 `eventually` were cut off when the drain ended");
}

#[test]
fn iterations_that_went_on_without_what_this_machine_broke_may_have_taken_longer() {
    let recorder = Recorder::new(30.0);
    recorder.good(100, 100);
    (0..60).for_each(|_| recorder.request(0, Outcome::Error, Some(Reason::Local)));
    (0..100).for_each(|_| recorder.set.iteration(USERS, 100 * MS, Outcome::Ok));
    let subject = Traffic { of: Of::Iteration, ..recorder.subject.clone() };
    let met = |text: &str| recorder.figures(&subject, &[]).known(&Requirement::parse(text).unwrap(), PACE).unwrap().met;
    for text in ["p50 < 500ms", "mean < 500ms", "max < 2s", "within(500ms) > 50%"] {
        assert_eq!(met(text), None, "{text}");
    }
    assert_eq!((met("p20 < 500ms"), met("p50 > 10ms"), met("within(500ms) > 30%")), (Some(true), Some(true), Some(true)));
}

#[test]
fn arrivals_that_were_dropped_behind_a_pause_are_no_doing_of_the_target() {
    let recorder = Recorder::new(1.0);
    recorder.good(950, 10);
    recorder.arrivals(950, 50);
    assert_eq!(recorder.met("dropped < 1%"), Some(false));
    (0..45).for_each(|_| recorder.set.displaced(USERS));
    assert_eq!(recorder.met("dropped < 1%"), None);
    assert_eq!(recorder.doubt("dropped < 1%"), "45 arrivals were dropped behind a pause of the generator");
    for (text, met) in [("dropped < 0.4%", Some(false)), ("dropped < 6%", Some(true)), ("count(dropped) < 5", Some(false))] {
        assert_eq!(recorder.met(text), met, "{text}");
    }
}

#[test]
fn what_is_counted_of_a_closed_load_lacks_what_pauses_held_up() {
    let recorder = Recorder::new(1.0);
    recorder.good(900, 10);
    recorder.set.wanted(USERS, 10_000 * MS);
    recorder.set.held(USERS, 1_500 * MS);
    for (text, met) in [
        ("count(success) > 1000", None),
        ("count(requests) > 1000", None),
        ("count(status(200)) > 1000", None),
        ("rate > 100/s", None),
        ("count(success) > 1100", Some(false)),
        ("count(success) > 800", Some(true)),
        ("count(errors) < 1", Some(true)),
        ("rate < 95/s", Some(true)),
    ] {
        assert_eq!(recorder.met(text), met, "{text}");
    }
    assert!(recorder.doubt("count(success) > 1000").contains("held users up for"), "{}", recorder.doubt("count(success) > 1000"));
}
