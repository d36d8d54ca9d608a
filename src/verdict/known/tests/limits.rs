//! What is known in part: a time by its limit, an answer by its status, a session that could not be opened.

use super::*;
use crate::measure::{MessageId, MessageLayout, Passed, Presence};

#[test]
fn an_unknown_time_counts_in_a_mean_as_its_limit_or_the_objective_if_that_is_longer() {
    // 90 of 100 ms; ten were cut off after 50 ms.
    let of = |timeout: f64| {
        let recorder = Recorder::new(timeout);
        recorder.good(90, 100);
        recorder.cut_off(10, 50);
        recorder
    };
    let near = |value: f64, wanted: f64| assert!((value / wanted - 1.0).abs() < 0.01, "{value}, not {wanted}");
    let known = of(5.0).known("mean < 500ms");
    near(known.least, (90.0 * 0.1 + 10.0 * 0.05) / 100.0);
    near(known.most, (90.0 * 0.1 + 10.0 * 5.0) / 100.0);
    assert_eq!((known.met, of(5.0).met("mean < 600ms")), (None, Some(true)));
    // Its limit is shorter than the objective: it counts as long as that.
    near(of(0.2).known("mean < 500ms").most, (90.0 * 0.1 + 10.0 * 0.5) / 100.0);
    assert_eq!((of(0.2).met("mean < 500ms"), of(0.2).met("mean < 98ms")), (Some(true), None));
    // What has no limit has no bound.
    let unbounded = of(0.0).known("mean < 500ms");
    assert_eq!((unbounded.met, unbounded.most), (None, f64::INFINITY));
    assert_eq!(of(0.0).met("mean < 50ms"), Some(false));
    // So do arrivals that never came, and what broke on this machine's own limits.
    let drops = Recorder::new(1.0);
    drops.good(40, 100);
    drops.arrivals(40, 760);
    assert_eq!((drops.met("mean < 900ms"), drops.met("mean < 1s")), (None, Some(true)));
    let local = Recorder::new(2.0);
    local.good(50, 100);
    (0..50).for_each(|_| local.request(1, Outcome::Error, Some(Reason::Local)));
    assert_eq!((local.met("mean < 1s"), local.met("mean < 1100ms")), (None, Some(true)));
}

#[test]
fn where_nothing_was_answered_no_mean_holds() {
    let hung = Recorder::new(0.3);
    hung.timed_out(20, 300);
    for text in ["mean < 500ms", "mean <= 500ms", "mean <= 300ms"] {
        assert_eq!(hung.met(text), None, "{text}");
    }
    assert_eq!(hung.met("mean < 200ms"), Some(false));
}

#[test]
fn of_an_answer_that_was_cut_off_its_status_is_known() {
    let recorder = Recorder::new(30.0);
    recorder.good(60, 10);
    let cut_off = |n: u64, status: u16, wrong: bool| {
        let reason = wrong.then_some(Reason::Status);
        let sample =
            Sample { response: 400 * MS, service: 400 * MS, outcome: Outcome::Interrupted, reason, status, sent: 0, received: 0 };
        (0..n).for_each(|_| recorder.set.sample(StepId(0), &sample));
    };
    cut_off(20, 200, false);
    assert_eq!((recorder.met("status(200) >= 100%"), recorder.met("status(5xx) == 0%")), (Some(true), Some(true)));
    assert_eq!(recorder.known("status(200) > 1%"), Known { value: 1.0, least: 1.0, most: 1.0, met: Some(true) });
    // Whether it would have come to its end isn't.
    for text in ["errors < 1%", "success > 99%", "p95 < 2s", "errors(status) < 1%", "timeouts < 1%"] {
        assert_eq!(recorder.met(text), None, "{text}");
    }
    assert_eq!(recorder.doubt("errors < 1%"), "20 of 80 had no answer when the drain ended");
    cut_off(20, 503, true);
    assert_eq!((recorder.met("status(503) <= 20%"), recorder.met("status(200) > 81%")), (Some(true), Some(false)));
    // An error by its status is one however it ends; at most 40 of 100 are.
    for (text, met) in [
        ("errors < 20%", Some(false)),
        ("errors < 30%", None),
        ("errors <= 40%", Some(true)),
        ("success > 80%", Some(false)),
        ("success > 70%", None),
        ("count(errors) < 20", Some(false)),
        ("count(errors) <= 40", Some(true)),
    ] {
        assert_eq!(recorder.met(text), met, "{text}");
    }
    assert_eq!(recorder.known("errors < 30%").value, 0.2);
    assert_eq!(recorder.doubt("errors < 30%"), "20 of 100 had no answer when the drain ended");
    assert_eq!(recorder.doubt("status(200) > 81%"), "");
    // A request without any status is no answer.
    recorder.cut_off(1, 400);
    assert_eq!(
        (recorder.met("status(200) >= 80%"), recorder.doubt("status(200) >= 80%").as_str()),
        (None, "1 of 101 had no answer when the drain ended")
    );
    let totals = recorder.store.totals(PhaseId(0));
    assert_eq!(totals.steps[0].errors(), 0, "none of them counts among the reasons");
}

#[test]
fn what_went_on_beyond_the_drain_was_not_given_up_at_a_time_limit() {
    let recorder = Recorder::new(30.0);
    recorder.good(50, 10);
    (0..50).for_each(|_| recorder.set.request_open(StepId(0), 0, true));
    for text in ["p95 < 2s", "within(2s) > 90%", "mean < 2s", "max < 2s", "errors < 1%"] {
        assert_eq!(
            (recorder.met(text), recorder.doubt(text).as_str()),
            (None, "50 of 100 had no answer when the drain ended"),
            "{text}"
        );
    }
}

/// A recorder of sessions, some of which could not be opened for this machine's own limits.
fn sessions(opened: u64, local: u64, received: u64) -> (Arc<Store>, Traffic) {
    let store = Store::new(Arc::new(Layout {
        phases: vec!["steady".into()],
        scenarios: vec![ScenarioLayout::new("users")],
        steps: vec![StepLayout::new(USERS, "room", Protocol::Websocket)],
        messages: vec![MessageLayout::new(StepId(0), "update")],
        ..Layout::default()
    }));
    let set = store.open(PhaseId(0));
    for _ in 0..opened {
        set.connected(USERS, Protocol::Websocket, &ConnectTimes { total: MS, tcp: MS, ..ConnectTimes::default() });
        set.session(StepId(0), 1000 * MS, Outcome::Ok);
        set.listeners(StepId(0), &Presence { present: 1000 * MS, there: 1, ended: 1, ..Presence::default() });
    }
    for _ in 0..local {
        set.unconnected(USERS, Protocol::Websocket, Some(Reason::Local), MS);
        set.listeners(StepId(0), &Presence { refused: 1, ..Presence::default() });
    }
    for _ in 0..received {
        set.passed(StepId(0), &Passed { received: 1, ..Passed::default() });
        set.numbered(MessageId(0), &crate::measure::Numbered { received: 1, ..crate::measure::Numbered::default() });
        set.latency(MessageId(0), MS, false);
    }
    let subject = Traffic { protocols: vec![Protocol::Websocket], messages: vec![MessageId(0)], ..traffic(Of::MessageLatency) };
    (store, Traffic { checks: vec![], ..subject })
}

#[test]
fn who_could_not_connect_for_this_machines_own_limits_is_named_wherever_that_is_a_doubt() {
    let ask = |store: &Store, subject: &Traffic, text: &str| {
        let extent = Extent { layout: store.layout(), covered: &[], run: false, over: true };
        let figures = Figures::of(subject, &store.totals(PhaseId(0)), extent);
        let requirement = Requirement::parse(text).unwrap();
        (figures.known(&requirement, PACE).map(|known| known.met), figures.doubt(&requirement, PACE))
    };
    let broke = "5 connections broke on this machine's own limits";
    let (store, messages) = sessions(5, 5, 100);
    for text in ["within(1s) > 90%", "rate > 15/s", "count(requests) > 150"] {
        assert_eq!(ask(&store, &messages, text), (Some(None), broke.to_owned()), "{text}");
    }
    assert_eq!(ask(&store, &messages, "rate > 25/s").0, Some(Some(false)));
    let of_sessions = Traffic { of: Of::Session, ..messages.clone() };
    assert_eq!(ask(&store, &of_sessions, "rate > 0.8/s"), (Some(None), broke.to_owned()));
    assert_eq!(ask(&store, &of_sessions, "rate > 1.5/s").0, Some(Some(false)));
    let (store, _) = sessions(0, 5, 0);
    assert_eq!(ask(&store, &of_sessions, "p50 > 30s"), (None, broke.to_owned()), "no data, and why");
}
