//! What extracts of made-up totals answer.

use super::super::known::{Known, Pace};
use super::super::requirement::Requirement;
use super::super::slo::tests::traffic;
use super::*;
use crate::base::{DropReason, Protocol};
use crate::measure::{
    CheckId, CheckLayout, ConnectTimes, Layout, MessageId, MessageLayout, Numbered, OwnId, OwnKind, OwnMetric, PhaseId, Presence,
    Sample, ScenarioId, ScenarioLayout, StepId, StepLayout, Store,
};
use std::sync::Arc;

fn store() -> Arc<Store> {
    let own = |name: &str, kind| OwnMetric { name: name.into(), help: String::new(), kind, scenarios: vec![ScenarioId(0)] };
    let step = StepLayout { thresholds: vec![0.15], ..StepLayout::new(ScenarioId(0), "get", Protocol::Http) };
    Store::new(Arc::new(Layout {
        phases: vec!["steady".into()],
        scenarios: vec![ScenarioLayout::new("users")],
        steps: vec![step],
        checks: vec![CheckLayout { scenario: ScenarioId(0), name: "quick".into(), ..CheckLayout::default() }],
        own: vec![
            own("votes_total", OwnKind::Counter),
            own("relevance_ratio", OwnKind::Histogram { unit: "ratio".into(), bounds: Some(vec![0.8]) }),
        ],
        ..Layout::default()
    }))
}

fn sample(ms: u64, outcome: Outcome, reason: Option<Reason>, status: u16) -> Sample {
    Sample { response: ms * 1_000_000, service: ms * 500_000, outcome, reason, status, sent: 1, received: 1 }
}

/// 80 good ones of 1 to 80 ms, 15 fast errors (500), 4 timeouts of 1 s, 1 interrupted after 2 s.
fn requests() -> Arc<Store> {
    let store = store();
    let set = store.open(PhaseId(0));
    for ms in 1..=80 {
        set.sample(StepId(0), &sample(ms, Outcome::Ok, None, 200));
    }
    for _ in 0..15 {
        set.sample(StepId(0), &sample(1, Outcome::Error, Some(Reason::Status), 500));
    }
    for _ in 0..4 {
        set.sample(StepId(0), &sample(1000, Outcome::Timeout, Some(Reason::Timeout), 0));
    }
    set.sample(StepId(0), &sample(2000, Outcome::Interrupted, None, 0));
    store
}

fn value(figures: &Figures, text: &str) -> Option<f64> {
    known(figures, text, 10.0).map(|known| known.value)
}

fn known(figures: &Figures, text: &str, seconds: f64) -> Option<Known> {
    figures.known(&Requirement::parse(text).unwrap(), Pace { seconds, limited: false, stood: None })
}

/// The extract of what a store has.
fn figures(subject: &Traffic, store: &Store) -> Figures {
    Figures::of(subject, &store.totals(PhaseId(0)), Extent { layout: store.layout(), covered: &[], run: false, over: true })
}

#[test]
fn errors_flatter_no_quantile_and_within_divides_by_all() {
    let figures = figures(&traffic(Of::Response), &requests());
    let near = |text: &str, wanted: f64| {
        let value = value(&figures, text).unwrap();
        assert!((value / wanted - 1.0).abs() < 0.012, "{text}: {value}, not {wanted}");
    };
    near("p50 < 1s", 0.043);
    near("p95 < 1s", 1.0);
    near("max < 1s", 2.0);
    near("min < 1s", 0.001);
    near("mean < 1s", (0.0405 * 80.0 + 6.0) / 85.0);
    near("within(64s) > 1%", 0.80);
    near("within(15.625ms) > 1%", 0.15);
    near("rate > 1/s", 10.0);
}

#[test]
fn shares_and_counts() {
    let figures = figures(&traffic(Of::Response), &requests());
    let cases = [
        ("errors < 1%", 0.19),
        ("success > 1%", 0.80),
        ("timeouts < 1%", 0.04),
        ("errors(status) < 1%", 0.15),
        ("errors(refused) < 1%", 0.0),
        ("status(500) < 1%", 0.15),
        ("status(5xx) < 1%", 0.15),
        ("status(2xx) > 1%", 0.80),
        ("count(errors) < 1", 19.0),
        ("count(requests) > 1", 100.0),
    ];
    for (text, wanted) in cases {
        assert_eq!(value(&figures, text), Some(wanted), "{text}");
    }
    for text in ["checks > 1%", "dropped < 1%", "disconnects < 1%", "value > 1"] {
        assert_eq!(value(&figures, text), None, "{text}: nothing of the sort was seen");
    }
    let nothing = Figures::default();
    for text in ["p95 < 1s", "errors < 1%", "count(errors) < 1", "rate < 1/s", "within(1s) > 1%"] {
        assert_eq!(value(&nothing, text), None, "{text}");
    }
}

#[test]
fn a_threshold_is_judged_by_its_exact_count() {
    let store = store();
    let set = store.open(PhaseId(0));
    // Both sides of 150 ms fall into one bucket; 95 of 100 lie below.
    for i in 0..100u64 {
        let response = if i < 95 { 149_900_000 } else { 150_100_000 };
        set.sample(StepId(0), &Sample { response, ..sample(1, Outcome::Ok, None, 200) });
    }
    let requests = figures(&traffic(Of::Response), &store);
    let judge = |text: &str| known(&requests, text, 1.0).unwrap();
    let judged = judge("p95 < 150ms");
    assert!(judged.met == Some(true) && judged.value <= 0.15, "{judged:?}");
    let judged = judge("p96 < 150ms");
    assert!(judged.met == Some(false) && judged.value >= 0.15, "{judged:?}");
}

#[test]
fn connections_arrivals_checks_and_own_metrics() {
    let store = store();
    let set = store.open(PhaseId(0));
    let scenario = ScenarioId(0);
    for n in 0..4 {
        set.due(scenario, n);
    }
    set.started(scenario, 3);
    (0..3).for_each(|_| set.iteration(scenario, 5_000_000, Outcome::Ok));
    set.dropped(scenario, DropReason::Busy, 1);
    set.check(CheckId(0), true);
    set.check(CheckId(0), false);
    for _ in 0..3 {
        set.connected(scenario, Protocol::Http, &ConnectTimes { total: 2_000_000, tcp: 1_000_000, ..ConnectTimes::default() });
    }
    set.unconnected(scenario, Protocol::Http, Some(Reason::Refused), 0);
    set.disconnected(scenario, Protocol::Http, Reason::Closed);
    set.count(OwnId(0), scenario, 30.0);
    set.observe(OwnId(1), scenario, 0.8);
    set.observe(OwnId(1), scenario, 0.9);
    let connect = figures(&traffic(Of::Connect), &store);
    // The arrival that was dropped would have counted and observed, too: an SLO of its own judges it.
    let covered = |of| {
        Figures::of(
            &traffic(of),
            &store.totals(PhaseId(0)),
            Extent { layout: store.layout(), covered: &[scenario], run: false, over: true },
        )
    };
    let (counter, own) = (covered(Of::Own(OwnId(0))), covered(Of::Own(OwnId(1))));
    assert_eq!(value(&connect, "success > 1%"), Some(0.75));
    assert_eq!(value(&connect, "errors(refused) < 1%"), Some(0.25));
    assert_eq!(value(&connect, "disconnects < 1%"), Some(1.0 / 3.0));
    set.carried(scenario, Protocol::Http, 7);
    let held = figures(&traffic(Of::Connect), &store);
    assert_eq!(value(&held, "disconnects < 1%"), Some(0.1), "of all that were open");
    assert_eq!(value(&held.minus(&connect), "count(disconnects) < 1"), Some(0.0), "those that were open still are");
    assert_eq!(value(&connect, "checks > 1%"), Some(0.5));
    assert!((value(&connect, "p50 < 1s").unwrap() / 0.002 - 1.0).abs() < 0.011);
    assert_eq!((value(&counter, "value > 1"), value(&counter, "rate > 1/s")), (Some(30.0), Some(3.0)));
    assert_eq!(known(&own, "p50 <= 80%", 1.0).unwrap().met, Some(true));
    assert_eq!(known(&own, "p60 > 80%", 1.0).unwrap().met, Some(true));
}

#[test]
fn a_difference_is_what_came_between() {
    let store = store();
    let set = store.open(PhaseId(0));
    set.sample(StepId(0), &sample(5, Outcome::Ok, None, 200));
    let subject = traffic(Of::Response);
    let before = figures(&subject, &store);
    set.sample(StepId(0), &sample(50, Outcome::Error, Some(Reason::Reset), 0));
    set.sample(StepId(0), &sample(50, Outcome::Ok, None, 201));
    let after = figures(&subject, &store);
    let between = after.minus(&before);
    assert_eq!(value(&between, "errors < 1%"), Some(0.5));
    assert_eq!(value(&between, "status(200) < 1%"), Some(0.0));
    assert!(value(&between, "min < 1s").unwrap() > 0.04);
    assert_eq!(after.minus(&Figures::default()), after);
}

#[test]
fn messages_that_never_came_came_within_no_time() {
    let step = StepLayout { session: Some(vec![]), ..StepLayout::new(ScenarioId(0), "watch", Protocol::Websocket) };
    let layout = Layout {
        phases: vec!["held".into()],
        scenarios: vec![ScenarioLayout::new("watchers")],
        steps: vec![step],
        messages: vec![MessageLayout { thresholds: vec![1.0], ..MessageLayout::new(StepId(0), "update") }],
        ..Layout::default()
    };
    let store = Store::new(Arc::new(layout));
    let set = store.open(PhaseId(0));
    for i in 0..990u64 {
        set.latency(MessageId(0), if i < 980 { 10_000_000 } else { 2_000_000_000 }, false);
        set.numbered(MessageId(0), &Numbered { received: 1, ..Numbered::default() });
    }
    set.numbered(MessageId(0), &Numbered { missed: 10, ..Numbered::default() });
    set.session(StepId(0), 5_000_000_000, Outcome::Ok);
    set.session(StepId(0), 1_000_000_000, Outcome::Error);
    let of = |of| Traffic { checks: vec![], messages: vec![MessageId(0)], ..traffic(of) };
    let messages = figures(&of(Of::MessageLatency), &store);
    let judged = |text: &str| known(&messages, text, 10.0).map(|known| (known.value, known.met == Some(true)));
    assert_eq!(judged("within(1s) >= 98%"), Some((0.98, true)));
    assert_eq!(judged("missed < 1%"), Some((0.01, false)));
    assert_eq!(judged("count(missed) <= 10"), Some((10.0, true)));
    assert_eq!(judged("rate > 99/s"), Some((100.0, true)));
    assert!(judged("p95 < 20ms").unwrap().1 && !judged("p99.9 < 1s").unwrap().1);
    assert_eq!(value(&messages.minus(&messages), "missed < 1%"), None);
    let sessions = figures(&of(Of::Session), &store);
    assert_eq!(known(&sessions, "errors < 50%", 10.0).map(|known| (known.value, known.met)), Some((0.5, Some(false))));
    assert_eq!(sessions.times().count(), 1, "a session that broke off says nothing of how long others last");
    assert_eq!(known(&figures(&of(Of::Response), &store), "missed < 0.5%", 10.0).unwrap().met, Some(false));
}

fn listening() -> Arc<Store> {
    let step = |name| StepLayout { session: Some(vec![]), ..StepLayout::new(ScenarioId(0), name, Protocol::Websocket) };
    let message = |step| MessageLayout { thresholds: vec![1.0], every: true, ..MessageLayout::new(StepId(step), "update") };
    Store::new(Arc::new(Layout {
        phases: vec!["held".into()],
        scenarios: vec![ScenarioLayout::new("watchers")],
        steps: vec![step("watch"), step("follow")],
        messages: vec![message(0), message(1)],
        ..Layout::default()
    }))
}

/// A subject of both kinds of messages.
fn messages(of: Of) -> Traffic {
    Traffic { checks: vec![], messages: vec![MessageId(0), MessageId(1)], ..traffic(of) }
}

#[test]
fn who_could_not_connect_missed_what_the_others_of_its_step_received() {
    let store = listening();
    let set = store.open(PhaseId(0));
    for message in [MessageId(0), MessageId(1)] {
        for _ in 0..60 {
            set.latency(message, 10_000_000, false);
        }
        set.numbered(message, &Numbered { received: 60, ..Numbered::default() });
    }
    // Of the first step half of the time nobody could connect, of the other one of two sessions was refused.
    let half = Presence { present: 10, away: 10, there: 1, ..Presence::default() };
    set.listeners(StepId(0), &half);
    let first = figures(&messages(Of::MessageLatency), &store);
    set.listeners(StepId(1), &Presence { present: 10, there: 1, refused: 1, ..Presence::default() });
    let all = figures(&messages(Of::MessageLatency), &store);
    assert_eq!(value(&all, "missed < 1%"), Some(0.5));
    assert_eq!(value(&all, "count(missed) < 1"), Some(120.0));
    assert_eq!(value(&all, "within(1s) > 99%"), Some(0.5));
    assert_eq!(value(&figures(&messages(Of::Response), &store), "missed < 1%"), Some(0.5), "whatever else it is about");
    assert_eq!(value(&first, "missed < 1%"), Some(60.0 / 180.0));
    assert_eq!(value(&all.minus(&first), "missed < 1%"), None, "no message came in between");
}

#[test]
fn where_nobody_could_connect_to_a_step_nothing_is_met() {
    let store = listening();
    let set = store.open(PhaseId(0));
    set.numbered(MessageId(0), &Numbered { received: 60, ..Numbered::default() });
    set.latency(MessageId(0), 10_000_000, false);
    set.listeners(StepId(0), &Presence { present: 10, there: 1, ..Presence::default() });
    set.listeners(StepId(1), &Presence { refused: 1, ..Presence::default() });
    let both = figures(&messages(Of::MessageLatency), &store);
    for text in ["missed < 1%", "count(missed) < 1", "within(1s) > 1%"] {
        assert_eq!(known(&both, text, 1.0).unwrap().met, None, "{text}");
    }
    let one = Traffic { messages: vec![MessageId(0)], ..messages(Of::MessageLatency) };
    assert_eq!(value(&figures(&one, &store), "missed < 1%"), Some(0.0));
}

#[test]
fn silence_is_a_share_of_the_time_that_was_listened() {
    let store = listening();
    let set = store.open(PhaseId(0));
    let subject = messages(Of::Response);
    assert_eq!(value(&figures(&subject, &store), "silent < 1%"), None);
    set.listened(MessageId(0), 3_000_000_000, false);
    set.listened(MessageId(0), 1_000_000_000, true);
    let before = figures(&subject, &store);
    assert_eq!(value(&before, "silent < 1%"), Some(0.25));
    set.listened(MessageId(1), 4_000_000_000, true);
    let after = figures(&subject, &store);
    assert_eq!(value(&after, "silent < 1%"), Some(0.625));
    assert_eq!(value(&after.minus(&before), "silent < 1%"), Some(1.0));
    set.listeners(StepId(0), &Presence { away: 8_000_000_000, ..Presence::default() });
    assert_eq!(value(&figures(&subject, &store), "silent < 1%"), Some(13.0 / 16.0));
}

#[test]
fn a_silence_in_which_the_generator_stood_still_may_be_none() {
    let store = listening();
    let set = store.open(PhaseId(0));
    set.listened(MessageId(0), 16_000_000_000, false);
    set.listened(MessageId(0), 4_000_000_000, true);
    let met = |text: &str| known(&figures(&messages(Of::Response), &store), text, 10.0).unwrap().met;
    assert_eq!((met("silent < 5%"), met("silent < 30%")), (Some(false), Some(true)));
    set.stood(MessageId(0), 1_500_000_000);
    // It needs no load that wants users: arrivals listen as well.
    assert_eq!((met("silent < 5%"), met("silent < 10%"), met("silent < 30%")), (Some(false), None, Some(true)));
}

#[test]
fn what_was_not_sent_to_a_target_that_was_away_failed_and_only_how_is_unknown() {
    // 1,000 requests of 500 arrivals were answered; 50 probes failed; 450 arrivals were dropped.
    let (store, subject) = (store(), traffic(Of::Response));
    let set = store.open(PhaseId(0));
    for _ in 0..1000 {
        set.sample(StepId(0), &sample(10, Outcome::Ok, None, 200));
    }
    for _ in 0..50 {
        set.sample(StepId(0), &sample(1, Outcome::Error, Some(Reason::Refused), 0));
    }
    set.due(ScenarioId(0), 1000);
    set.started(ScenarioId(0), 525);
    (0..525).for_each(|_| set.iteration(ScenarioId(0), 10_000_000, Outcome::Ok));
    let before = figures(&subject, &store);
    set.dropped(ScenarioId(0), DropReason::DeadTarget, 475);
    let dead = figures(&subject, &store);
    // 1,050 requests of 525 arrivals make 950 of the dropped ones.
    for (text, wanted) in [
        ("errors < 1%", 0.5),
        ("success > 1%", 0.5),
        ("within(1s) > 1%", 0.5),
        ("count(errors) < 1", 1000.0),
        ("dropped < 1%", 0.475),
    ] {
        let known = known(&dead, text, 10.0).unwrap();
        assert!((known.value - wanted).abs() < 1e-9, "{text}: {known:?}");
        assert!(known.met.is_some() && (known.most - known.least).abs() < 1e-9, "{text}: {known:?}");
    }
    for (text, least, most, met) in [
        ("errors(refused) < 1%", 50.0 / 2000.0, 0.5, Some(false)),
        ("errors(timeout) < 1%", 0.0, 950.0 / 2000.0, None),
        ("timeouts < 1%", 0.0, 950.0 / 2000.0, None),
        ("timeouts < 50%", 0.0, 950.0 / 2000.0, Some(true)),
        ("status(5xx) < 1%", 0.0, 950.0 / 2000.0, None),
        ("count(requests) > 1", 1050.0, 2000.0, Some(true)),
        ("rate < 150/s", 105.0, 200.0, None),
    ] {
        let known = known(&dead, text, 10.0).unwrap();
        assert!((known.least - least).abs() < 1e-9 && (known.most - most).abs() < 1e-9, "{text}: {known:?}");
        assert_eq!(known.met, met, "{text}");
    }
    let met = |figures: &Figures, text: &str| known(figures, text, 10.0).unwrap().met;
    assert_eq!((met(&before, "p95 < 1s"), met(&dead, "p95 < 1s"), met(&dead, "p50 < 1s")), (Some(true), None, Some(true)));
    assert_eq!((met(&dead, "max < 1s"), met(&dead, "mean < 1s")), (None, None));
    let doubt = dead.doubt(&Requirement::parse("timeouts < 1%").unwrap(), Pace::default());
    assert_eq!(doubt, "950 were held back while the target was away");
    // Who judges what is dropped by itself is content.
    let covered = [ScenarioId(0)];
    let extent = Extent { layout: store.layout(), covered: &covered, run: false, over: true };
    let judged = Figures::of(&subject, &store.totals(PhaseId(0)), extent);
    assert_eq!((met(&judged, "timeouts < 1%"), met(&judged, "errors < 1%")), (Some(true), Some(false)));
    assert_eq!(dead.doubt(&Requirement::parse("errors < 1%").unwrap(), Pace::default()), "");
    assert_eq!(value(&dead.minus(&before), "errors < 1%"), Some(1.0), "in a window of its own they are all there is");
}

#[test]
fn users_that_were_held_back_would_have_failed_as_often() {
    let (store, subject) = (store(), traffic(Of::Response));
    let set = store.open(PhaseId(0));
    for _ in 0..900 {
        set.sample(StepId(0), &sample(10, Outcome::Ok, None, 200));
    }
    // 10 users for 100 s, of which they were held back for 25.
    set.wanted(ScenarioId(0), 1_000_000_000_000);
    set.held_back(ScenarioId(0), 250_000_000_000);
    let figures = figures(&subject, &store);
    assert_eq!(value(&figures, "errors < 1%"), Some(0.25));
    assert_eq!(known(&figures, "errors < 30%", 100.0).unwrap().met, Some(true));
    assert_eq!(value(&figures, "rate > 1/s"), Some(90.0));
}
