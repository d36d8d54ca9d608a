//! When something is away, and what is reported of it.

use std::path::Path;

use super::*;
use crate::plan::{Options, load_text};
use crate::profile::Env;

const SECOND: u64 = 1_000_000_000;

fn reach(text: &str) -> Reach {
    let env = Env::from_iter([("HOST", "three.test")]);
    match load_text(Path::new("t.yml"), format!("name: t\n{text}"), &env, &[], Options::default()) {
        Ok((plan, _)) => Reach::new(&plan, 2),
        Err(problems) => panic!("{problems}"),
    }
}

const TWO: &str = "on_dead_target: {after: 10s, do: back_off}
scenarios:
  a:
    flow:
      - http: {get: \"http://one.test/x\", name: x}
      - http: {get: \"http://two.test:81/y\", name: y}
      - http: {get: \"http://{{ env.HOST }}/z\", name: z}
  b: {flow: [{websocket: {connect: \"ws://one.test/ws\", name: ws, session: [{receive: {within: 1s, name: got}}]}}]}
phases: [{name: p, duration: 1s, load: {a: {users: 1}, b: {users: 1}}}]
";

/// What has begun and what has ended, each once.
fn reported(reach: &Reach) -> Vec<String> {
    reach.take().iter().map(|away| format!("{} {}", away.what, if away.until.is_some() { "back" } else { "away" })).collect()
}

fn fails(reach: &Reach, step: usize, scenario: usize, second: u64) -> Option<String> {
    let at = reach.origin.0 + Duration::from_secs(second);
    reach.fails((scenario, StepId::at(step)), (at, at), |_| 0, || "refused".into())
}

fn answers(reach: &Reach, step: usize, scenario: usize, second: u64) -> bool {
    reach.answers(0, scenario, StepId::at(step), reach.origin.0 + Duration::from_secs(second))
}

#[test]
fn all_has_to_fail_for_a_while() {
    let track = || Track::new("x".into(), Duration::from_secs(10), None, 2);
    let one = track();
    assert_eq!([1, 5, 10].map(|at| one.fails(at * SECOND, at * SECOND, |_| 0)), [None; 3]);
    assert_eq!(one.fails(11 * SECOND, 11 * SECOND, |_| 0), Some(SECOND));
    assert_eq!(one.fails(12 * SECOND, 12 * SECOND, |_| 0), None, "it is away already");
    assert!(one.is_away() && one.answers(1, 13 * SECOND) && !one.is_away() && !one.answers(0, 14 * SECOND));
    // A request that was given up after 20 s says that nobody answered meanwhile, if that is so.
    let one = track();
    one.answers(1, 6 * SECOND);
    assert_eq!(one.fails(SECOND, 15 * SECOND, |_| 0), None, "an answer came after it was due");
    assert_eq!(one.fails(SECOND, 21 * SECOND, |_| 0), Some(6 * SECOND));
    let one = track();
    assert_eq!(one.fails(SECOND, 21 * SECOND, |_| 0), Some(SECOND));
}

#[test]
fn time_in_which_the_generator_stood_still_is_none_of_the_targets() {
    let one = Track::new("x".into(), Duration::from_secs(10), None, 1);
    // It stood still from the 5th second to the 60th.
    let paused = |since: u64| 55 * SECOND - since.saturating_sub(5 * SECOND).min(55 * SECOND);
    assert_eq!(one.fails(SECOND, 61 * SECOND, paused), None);
    assert_eq!(one.fails(65 * SECOND, 65 * SECOND, paused), None);
    assert_eq!(one.fails(66 * SECOND, 66 * SECOND, paused), Some(SECOND));
}

#[test]
fn each_place_and_each_scenarios_target_is_looked_at_by_itself() {
    let reach = reach(TWO);
    let whats: Vec<&str> = reach.places.iter().map(|place| place.what.as_str()).collect();
    assert_eq!(whats, ["http://one.test:80", "http://two.test:81", "what `z` of `a` goes to", "ws://one.test:80"]);
    let places: Vec<Option<usize>> = reach.place_of.to_vec();
    assert_eq!(places, [Some(0), Some(1), Some(2), Some(3), Some(3)], "a message is waited for where its session is");

    for second in 1..=4 {
        assert_eq!(fails(&reach, 0, 0, second), None);
        answers(&reach, 1, 0, second);
    }
    assert_eq!(reported(&reach), [] as [&str; 0]);
    fails(&reach, 0, 0, 5);
    assert_eq!(reported(&reach), ["http://one.test:80 away"], "though the scenario's other place answers");
    for second in 6..=17 {
        fails(&reach, 0, 0, second);
    }
    assert_eq!(reported(&reach), ["http://one.test:80 away", "the target of `a` away"]);
    assert!(reach.holds_back(0) && !reach.holds_back(1));
    assert!(answers(&reach, 1, 0, 18), "who was held back goes on");
    assert!(!reach.holds_back(0) && !answers(&reach, 1, 0, 19));
    assert_eq!(reported(&reach), ["http://one.test:80 away", "the target of `a` back"]);
    assert_eq!(reported(&reach), ["http://one.test:80 away"]);
    reach.phase_begins(|scenario| scenario == 1);
    assert_eq!(reported(&reach), ["http://one.test:80 back"], "nobody asks it any more");
}

#[test]
fn scenarios_of_one_place_are_reported_once() {
    let of = |after: &str| {
        reach(&format!(
            "on_dead_target: {{after: {after}, do: back_off}}\n\
             scenarios: {{a: {{flow: {{http: {{get: \"http://one.test/a\", name: a}}}}}}, b: {{flow: {{http: {{get: \"http://one.test/b\", name: b}}}}}}}}\n\
             phases: [{{name: p, duration: 1s, load: {{a: {{users: 1}}, b: {{users: 1}}}}}}]\n"
        ))
    };
    let actions = |reach: &Reach| reach.take().into_iter().map(|away| (away.what, away.action)).collect::<Vec<_>>();
    let place = |action: Option<&str>| vec![("http://one.test:80".to_owned(), action.map(str::to_owned))];
    for (after, last) in [("10s", 12), ("1s", 3)] {
        let reach = of(after);
        for second in 1..=last {
            fails(&reach, 0, 0, second);
            fails(&reach, 1, 1, second);
        }
        assert!(reach.holds_back(0) && reach.holds_back(1));
        assert_eq!(actions(&reach), place(Some("back_off")), "after {after}");
        for second in last..=20 {
            fails(&reach, 0, 0, second);
        }
        assert_eq!(actions(&reach), place(Some("back_off")));
        // One answer, and all of it is back.
        answers(&reach, 1, 1, 21);
        answers(&reach, 0, 0, 21);
        assert_eq!(reported(&reach), ["http://one.test:80 back"]);
        assert!(!reach.holds_back(0) && !reach.holds_back(1) && reported(&reach).is_empty());
    }
    // One of them is answered, and the other isn't.
    let reach = of("10s");
    (1..=12).for_each(|second| [0, 1].into_iter().for_each(|one| drop(fails(&reach, one, one, second))));
    answers(&reach, 1, 1, 13);
    fails(&reach, 0, 0, 14);
    assert_eq!(reported(&reach), ["http://one.test:80 back", "the target of `a` away"]);
    answers(&reach, 0, 0, 15);
    assert_eq!(reported(&reach), ["the target of `a` back"]);
    let reach = of("10s");
    (1..=6).for_each(|second| drop(fails(&reach, 0, 0, second)));
    assert_eq!(actions(&reach), place(None), "what is done about it comes later");
}

#[test]
fn what_answered_badly_answered() {
    let reach = reach(TWO);
    let sample = |outcome, reason, status| Sample { response: 1, service: 1, outcome, reason, status, sent: 0, received: 0 };
    let at = reach.origin.0 + Duration::from_secs(20);
    for (outcome, reason, status, answered) in [
        (Outcome::Ok, None, 200, true),
        (Outcome::Error, Some(Reason::Status), 503, true),
        (Outcome::Error, Some(Reason::Expect), 200, true),
        (Outcome::Error, Some(Reason::Protocol), 0, true),
        (Outcome::Error, Some(Reason::Data), 200, true),
        (Outcome::Error, Some(Reason::Data), 0, false),
        (Outcome::Error, Some(Reason::Template), 0, false),
        (Outcome::Error, Some(Reason::Local), 0, false),
        (Outcome::Error, Some(Reason::Refused), 0, false),
        (Outcome::Timeout, Some(Reason::Timeout), 0, false),
        (Outcome::Interrupted, None, 0, false),
        (Outcome::Interrupted, None, 200, true),
    ] {
        fails(&reach, 0, 0, 1);
        fails(&reach, 0, 0, 11);
        assert!(reach.holds_back(0));
        assert_eq!(reach.sampled(0, 0, StepId::at(0), at, &sample(outcome, reason, status)), answered, "{outcome} {reason:?}");
        answers(&reach, 0, 0, 0);
    }
}

#[test]
fn one_turn_a_second_whoever_asks() {
    let reach = reach(TWO);
    fails(&reach, 0, 0, 1);
    fails(&reach, 0, 0, 11);
    let at = |ms: u64| reach.origin.0 + Duration::from_millis(ms);
    assert!(!reach.takes_turn(0, at(11_900)), "the request that failed was one");
    assert_eq!(reach.next_turn(0), at(12_000));
    let turns: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (12_000..22_000).filter(|ms| reach.takes_turn(0, at(*ms))).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(turns, 10);
}

#[test]
fn a_run_may_be_ended_for_it_and_goes_on_by_default() {
    let abort = reach(&TWO.replace("back_off", "abort"));
    assert_eq!(fails(&abort, 0, 0, 1), None);
    let reason = fails(&abort, 0, 0, 12).unwrap();
    assert_eq!(reason, "the target of `a` has not answered for 11.0s: refused (on_dead_target: {do: abort})");
    assert_eq!(fails(&abort, 0, 0, 13), None, "said once");
    assert!(!abort.holds_back(0));
    let goes_on = reach(TWO.split_once('\n').unwrap().1);
    assert!(fails(&goes_on, 0, 0, 1).is_none() && fails(&goes_on, 0, 0, 99).is_none() && !goes_on.holds_back(0));
    assert_eq!(reported(&goes_on), ["http://one.test:80 away"]);
}

#[test]
fn a_connection_that_hangs_reports_its_place_before_it_is_given_up() {
    let reach = reach(TWO);
    let at = |second| reach.origin.0 + Duration::from_secs(second);
    let hangs = |since, now, paused: u64| reach.hangs(StepId::at(0), (at(since), at(now)), |_| paused * SECOND);
    hangs(1, 5, 0);
    hangs(1, 9, 4);
    assert_eq!(reported(&reach), [""; 0], "not yet, and not while the generator stood still");
    answers(&reach, 0, 0, 3);
    hangs(2, 9, 0);
    assert_eq!(reported(&reach), [""; 0], "another connection was answered meanwhile");
    hangs(4, 9, 0);
    hangs(4, 10, 0);
    let away = reach.take();
    assert_eq!(
        (away.len(), away[0].what.as_str(), away[0].cause.as_str()),
        (1, "http://one.test:80", "a connection to it has been opening for 5.00s")
    );
    fails(&reach, 0, 0, 11);
    assert_eq!(reported(&reach), ["http://one.test:80 away"]);
    answers(&reach, 0, 0, 12);
    assert_eq!(reported(&reach), ["http://one.test:80 back"]);
    hangs(11, 16, 0);
    assert_eq!(reported(&reach), [""; 0], "that was answered, too");
}
