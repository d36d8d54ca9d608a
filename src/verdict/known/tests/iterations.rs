//! What is known of iterations that were given up, cut off, or came too late to do anything.

use super::*;

#[test]
fn iterations_and_groups_that_were_given_up_are_surely_longer() {
    let recorder = Recorder::new(0.0);
    recorder.good(90, 2);
    (0..10).for_each(|_| recorder.request(2000, Outcome::Timeout, Some(Reason::Timeout)));
    (0..90).for_each(|_| recorder.set.iteration(USERS, 2 * MS, Outcome::Ok));
    (0..10).for_each(|_| recorder.set.iteration(USERS, 2000 * MS, Outcome::Timeout));
    let subject = Traffic { of: Of::Iteration, ..recorder.subject.clone() };
    let met = |text: &str| recorder.figures(&subject, &[]).known(&Requirement::parse(text).unwrap(), PACE).unwrap().met;
    for (text, wanted) in [
        ("p95 < 500ms", Some(false)),
        ("within(500ms) > 95%", Some(false)),
        ("p85 < 500ms", Some(true)),
        ("max < 500ms", Some(false)),
        ("mean < 100ms", Some(false)),
        // They would have taken longer than 2 s; nobody knows how long.
        ("p95 < 5s", None),
        ("max < 5s", None),
        ("mean < 5s", None),
        ("errors < 5%", Some(false)),
        ("timeouts < 5%", Some(false)),
        ("errors < 11%", Some(true)),
    ] {
        assert_eq!(met(text), wanted, "{text}");
    }
}

#[test]
fn arrivals_that_started_too_late_to_send_anything_count_like_those_that_never_started() {
    let recorder = Recorder::new(10.0);
    recorder.good(37, 5);
    recorder.arrivals(37, 0);
    recorder.set.due(USERS, 23);
    recorder.set.started(USERS, 23);
    // Ten were cut off as soon as they began; of thirteen there is no record, for that was closed.
    (0..10).for_each(|_| recorder.set.iteration(USERS, 0, Outcome::Interrupted));
    (0..10).for_each(|_| recorder.set.unsent(USERS));
    for text in ["errors < 15%", "within(100ms) > 85%", "p95 < 100ms", "count(requests) > 50", "rate > 5/s"] {
        assert_eq!(recorder.met(text), None, "{text}");
    }
    assert_eq!((recorder.met("p50 < 100ms"), recorder.met("errors < 40%")), (Some(true), Some(true)));
    assert_eq!(recorder.doubt("errors < 15%"), "23 arrivals were dropped or cancelled, or sent nothing");
    // Ten of them are interrupted iterations; the others would have been iterations, too.
    let of_iterations = |text: &str| {
        let subject = Traffic { of: Of::Iteration, ..recorder.subject.clone() };
        recorder.figures(&subject, &[]).known(&Requirement::parse(text).unwrap(), PACE).unwrap()
    };
    assert_eq!((of_iterations("errors < 15%").met, of_iterations("errors < 40%").met), (None, Some(true)));
    // What came too late for a phase before hides none of this one's.
    (0..13).for_each(|_| recorder.set.early().iteration(USERS, 0, Outcome::Interrupted));
    (0..13).for_each(|_| recorder.set.early().unsent(USERS));
    assert_eq!(recorder.met("errors < 15%"), None);
    assert_eq!(recorder.doubt("errors < 15%"), "23 arrivals were dropped or cancelled, or sent nothing");
}

#[test]
fn a_distribution_lacks_what_a_time_limit_ended() {
    let recorder = Recorder::new(1.0);
    (0..40).for_each(|_| recorder.set.observe(OwnId(1), USERS, 0.01));
    (0..40).for_each(|_| recorder.set.iteration(USERS, 10 * MS, Outcome::Ok));
    let met = |text: &str| {
        let subject = Traffic { of: Of::Own(OwnId(1)), ..recorder.subject.clone() };
        recorder.figures(&subject, &[]).known(&Requirement::parse(text).unwrap(), PACE).unwrap().met
    };
    assert_eq!(met("p95 < 500ms"), Some(true));
    (0..40).for_each(|_| recorder.set.iteration(USERS, 1000 * MS, Outcome::Timeout));
    assert_eq!((met("p95 < 500ms"), met("max < 500ms"), met("p40 < 500ms")), (None, None, Some(true)));
}

#[test]
fn an_iteration_that_was_cut_off_may_have_counted_as_much_as_one_that_came_to_a_good_end() {
    // Ten counted one each, five broke before, five were cut off.
    let recorder = Recorder::new(0.0);
    for (n, outcome) in [(10, Outcome::Ok), (5, Outcome::Error), (5, Outcome::Interrupted)] {
        (0..n).for_each(|_| recorder.set.iteration(USERS, MS, outcome));
    }
    recorder.set.count(OwnId(0), USERS, 10.0);
    let subject = Traffic { of: Of::Own(OwnId(0)), ..recorder.subject.clone() };
    let known = |text: &str| recorder.figures(&subject, &[]).known(&Requirement::parse(text).unwrap(), PACE).unwrap();
    // Behind the last step that counts they leave nothing out.
    assert_eq!((known("value < 13").least, known("value < 13").most), (10.0, 10.0));
    (0..5).for_each(|_| recorder.set.unfinished(OwnId(0), USERS));
    assert_eq!((known("value < 13").least, known("value < 13").most), (10.0, 15.0));
    for (text, met) in [("value < 13", None), ("value >= 13", None), ("value < 16", Some(true)), ("value >= 16", Some(false))] {
        assert_eq!(known(text).met, met, "{text}");
    }
}

#[test]
fn an_arrival_that_was_dropped_may_have_counted_as_much_as_a_good_one() {
    let recorder = Recorder::new(20.0);
    recorder.good(11, 10);
    recorder.cut_off(4, 1000);
    recorder.arrivals(11, 5);
    recorder.set.due(USERS, 4);
    recorder.set.started(USERS, 4);
    for _ in 0..4 {
        recorder.set.iteration(USERS, 1000 * MS, Outcome::Interrupted);
        recorder.set.unfinished(OwnId(0), USERS);
    }
    recorder.set.count(OwnId(0), USERS, 11.0);
    (0..11).for_each(|_| recorder.set.check(CheckId(0), true));
    let subject = Traffic { of: Of::Own(OwnId(0)), ..recorder.subject.clone() };
    let known = recorder.figures(&subject, &[]).known(&Requirement::parse("value < 19").unwrap(), PACE).unwrap();
    assert_eq!((known.value, known.most.round(), known.met), (11.0, 20.0, None));
    let checks = recorder.known("count(checks) < 19");
    assert_eq!((checks.value, checks.most.round(), checks.met), (11.0, 20.0, None));
}

#[test]
fn where_nothing_was_checked_or_counted_what_is_missing_may_be_any_number() {
    let recorder = Recorder::new(20.0);
    recorder.cut_off(4, 1000);
    recorder.set.wanted(USERS, 10_000 * MS);
    recorder.set.absent(USERS, 5_000 * MS, 0);
    let unmade = |of: Of| recorder.figures(&Traffic { of, ..recorder.subject.clone() }, &[]).unmade();
    // Half of the time is missing, and four that were there might have been checked.
    assert_eq!(unmade(Of::Response).checks, 4.0);
    let dropped = Recorder::new(20.0);
    dropped.set.due(USERS, 5);
    dropped.set.dropped(USERS, DropReason::Busy, 5);
    assert_eq!(dropped.figures(&dropped.subject, &[]).unmade().checks, f64::INFINITY);
    // All that ended failed before it could count.
    (0..4).for_each(|_| recorder.set.iteration(USERS, MS, Outcome::Error));
    (0..4).for_each(|_| recorder.set.iteration(USERS, MS, Outcome::Interrupted));
    (0..4).for_each(|_| recorder.set.unfinished(OwnId(0), USERS));
    assert_eq!(unmade(Of::Own(OwnId(0))).counter, f64::INFINITY);
}

#[test]
fn a_saturated_generator_is_named_where_more_is_counted() {
    let recorder = Recorder::new(20.0);
    recorder.good(100, 10);
    let pace = Pace { limited: true, ..PACE };
    let requirement = Requirement::parse("count(requests) > 200").unwrap();
    let figures = recorder.figures(&recorder.subject, &[]);
    assert_eq!(figures.known(&requirement, pace).unwrap().met, None);
    assert_eq!(figures.doubt(&requirement, pace), "the generator itself was the bottleneck");
}

#[test]
fn users_that_wait_over_an_edge_are_missing_in_a_phase_and_not_in_the_run() {
    let recorder = Recorder::new(10.0);
    (0..100).for_each(|_| recorder.request(10, Outcome::Ok, None));
    recorder.set.wanted(USERS, 10_000 * MS);
    recorder.set.absent(USERS, 4_000 * MS, 3_000 * MS);
    let totals = recorder.store.totals(PhaseId(0));
    let known = |run: bool, text: &str| {
        let extent = Extent { layout: recorder.store.layout(), covered: &[], run, over: true };
        Figures::of(&recorder.subject, &totals, extent).known(&Requirement::parse(text).unwrap(), PACE).unwrap().met
    };
    // 4 of 10 seconds lack 67 requests, 1 of them 11.
    for (text, of_phase, of_run) in
        [("errors < 35%", None, Some(true)), ("errors < 45%", Some(true), Some(true)), ("errors < 5%", None, None)]
    {
        assert_eq!((known(false, text), known(true, text)), (of_phase, of_run), "{text}");
    }
}

#[test]
fn connections_that_were_held_back_have_failed_where_others_did() {
    let recorder = Recorder::new(30.0);
    (0..10)
        .for_each(|_| recorder.set.connected(USERS, Protocol::Http, &ConnectTimes { total: 5 * MS, ..ConnectTimes::default() }));
    (0..10).for_each(|_| recorder.set.iteration(USERS, 10 * MS, Outcome::Ok));
    recorder.set.due(USERS, 15);
    recorder.set.started(USERS, 10);
    recorder.set.dropped(USERS, DropReason::DeadTarget, 5);
    let subject = Traffic { of: Of::Connect, ..recorder.subject.clone() };
    let figures = || recorder.figures(&subject, &[]);
    let known = |text: &str| {
        let requirement = Requirement::parse(text).unwrap();
        let known = figures().known(&requirement, PACE).unwrap();
        (known.met, figures().doubt(&requirement, PACE))
    };
    let doubt = "5 were held back while the target was away".to_owned();
    assert_eq!(known("errors < 1%"), (None, doubt.clone()));
    assert_eq!(known("success > 60%"), (Some(true), doubt.clone()));
    assert_eq!((known("within(1s) > 99%").0, known("errors < 40%").0), (None, Some(true)));
    recorder.set.unconnected(USERS, Protocol::Http, Some(Reason::Refused), MS);
    for text in ["errors < 10%", "success > 90%", "within(1s) > 90%"] {
        assert_eq!(known(text).0, Some(false), "{text}");
    }
}
