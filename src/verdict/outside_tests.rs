//! Values of several systems, of which some may be unknown.

use super::super::slo::tests::slo;
use super::super::{Inputs, Of, SloResult, Watches, judge};
use super::*;
use crate::base::Verdict;
use crate::counters::{Absence, Answered, Matcher};
use crate::measure::{Layout, PhaseId, Totals};
use std::sync::Arc;
use std::time::Duration;

const VALUE: &str = "redis.hit_ratio";

fn system(instance: &str, value: f64) -> ValueSeries {
    ValueSeries::exact(vec![("instance".into(), instance.into())], value)
}

fn unsure(instance: &str, value: f64, least: f64, most: f64) -> ValueSeries {
    ValueSeries { least, most, ..system(instance, value) }
}

fn away(source: &str) -> Unknown {
    Unknown {
        labels: vec![("source".into(), source.into())],
        direct: true,
        why: format!("{source} can't be read: refused"),
        left_out: false,
    }
}

fn hiding(unknown: Vec<Unknown>, known: Vec<ValueSeries>) -> Systems {
    let mut systems = Systems::of(known);
    systems.unknown = unknown;
    systems
}

fn without(none: Absence) -> Systems {
    let mut systems = Systems::default();
    systems.none = Some(none);
    systems
}

fn row(outside: &Outside, slo: Slo) -> SloResult {
    let (layout, totals) = (Arc::new(Layout::default()), Totals::default());
    let inputs = Inputs {
        layout: &layout,
        phase: Some((PhaseId(0), "steady")),
        judged: true,
        loaded: false,
        totals: &totals,
        duration: Duration::from_secs(10),
        over: true,
        saturated: false,
        outside,
    };
    let slos = [slo];
    judge(&slos, &inputs, Watches::of_phase(&slos, &layout, PhaseId(0), inputs.duration)).slos.remove(0)
}

fn of_server(systems: Several, matchers: &[(&str, &str)], optional: bool) -> Slo {
    let matchers = matchers.iter().map(|(label, value)| Matcher::new(*label, *value)).collect();
    let subject = Subject::Server(Server { value: VALUE.into(), matchers, systems });
    Slo { subject, optional, ..slo(Of::Response, &["value > 80%"]) }
}

fn comes_to(systems: &Systems, several: Several) -> (Verdict, String) {
    let outside = Outside { values: [(VALUE.to_owned(), systems.clone())].into_iter().collect(), ..Outside::default() };
    let row = row(&outside, of_server(several, &[], false));
    (row.verdict, row.reason.unwrap_or_default())
}

#[test]
fn each_system_has_to_meet_it_and_one_that_surely_fails_is_enough() {
    let good = || system("a:1", 0.9);
    let bad = || system("b:1", 0.1);
    let cases = [
        (vec![good(), system("c:1", 0.85)], vec![], Verdict::Pass, ""),
        (vec![good(), bad()], vec![], Verdict::Fail, "of 2 systems, instance=b:1"),
        (vec![bad(), good()], vec![], Verdict::Fail, "of 2 systems, instance=b:1"),
        (vec![bad()], vec![away("redis-c")], Verdict::Fail, "of 1 systems, instance=b:1"),
        (vec![good()], vec![away("redis-c")], Verdict::Inconclusive, "redis-c can't be read: refused"),
        (vec![], vec![away("redis-c")], Verdict::Inconclusive, "redis-c can't be read: refused"),
        (
            vec![good(), unsure("b:1", 0.79, 0.7, 0.9)],
            vec![],
            Verdict::Inconclusive,
            "between 70% and 90%; of 2 systems, instance=b:1",
        ),
        (vec![unsure("b:1", 0.7, 0.7, 0.75)], vec![], Verdict::Fail, ""),
    ];
    for (known, unknown, verdict, reason) in cases {
        let systems = hiding(unknown, known);
        assert_eq!(comes_to(&systems, Several::Each), (verdict, reason.to_owned()), "{systems:?}");
    }
}

#[test]
fn systems_that_nobody_chose_must_agree() {
    let systems = Systems::of(vec![system("a:1", 0.9), system("b:1", 0.1)]);
    let (verdict, reason) = comes_to(&systems, Several::Agree);
    assert_eq!(verdict, Verdict::Inconclusive);
    let expected = "the systems disagree: instance=a:1 has 90%; instance=b:1 has 10%; say which are meant by `match: {instance: b:1}`, \
                    `over: each` or `over: sum`";
    assert_eq!(reason, expected);
    // All the same, whichever is meant.
    assert_eq!(comes_to(&Systems::of(vec![system("a:1", 0.2), system("b:1", 0.1)]), Several::Agree).0, Verdict::Fail);
    assert_eq!(comes_to(&Systems::of(vec![system("a:1", 0.9), system("b:1", 0.95)]), Several::Agree).0, Verdict::Pass);
    // What nobody knows contradicts nothing.
    let hidden = hiding(vec![away("redis-a")], vec![system("b:1", 0.1)]);
    assert_eq!(comes_to(&hidden, Several::Agree).0, Verdict::Fail);
}

#[test]
fn a_system_is_picked_by_its_labels() {
    let systems = hiding(vec![away("redis-c")], vec![system("a:1", 0.9), system("b:1", 0.1)]);
    let outside = Outside { values: [(VALUE.to_owned(), systems)].into_iter().collect(), ..Outside::default() };
    let of = |label: &str, value: &str| row(&outside, of_server(Several::Each, &[(label, value)], false));
    assert_eq!((of("instance", "b:1").verdict, of("source", "redis-a").verdict), (Verdict::Fail, Verdict::Inconclusive));
    // An exporter that is read directly has no instance, but may have any label of its own.
    assert!(of("instance", "z:1").reason.unwrap().contains("no system has instance=z:1"));
    assert!(of("shard", "x").reason.unwrap().contains("redis-c can't be read"));
    assert!(of("source", "redis-d").reason.unwrap().contains("no system has source=redis-d"));
}

#[test]
fn a_part_of_an_answer_decides_nothing() {
    for value in [0.9, 0.1] {
        let systems = Systems::of(vec![system("a:1", value)]).partly(Some("a store is away".to_owned()));
        assert_eq!(
            comes_to(&systems, Several::Each),
            (Verdict::Inconclusive, "the answer is partial: a store is away".to_owned())
        );
    }
    let query = Query::parse("sum(up)").unwrap();
    let answer = Answered {
        series: vec![ValueSeries::exact(vec![], 1.0)],
        partial: Some("a store is away".into()),
        note: Some("evaluated once, at the end".into()),
        ..Answered::default()
    };
    let outside = |partial: Option<String>| Outside {
        promql: [(query.text.clone(), Ok(Answered { partial, ..answer.clone() }))].into_iter().collect(),
        ..Outside::default()
    };
    let slo = || Slo { subject: Subject::Promql(query.clone()), ..slo(Of::Response, &["value < 80%"]) };
    let row_of = |partial| row(&outside(partial), slo());
    let part = row_of(answer.partial.clone());
    assert_eq!((part.verdict, part.value), (Verdict::Inconclusive, Some(1.0)));
    assert_eq!(part.reason.unwrap(), "the answer is partial: a store is away; evaluated once, at the end");
    // How it was evaluated is said in any case.
    let whole = row_of(None);
    assert_eq!((whole.verdict, whole.reason.as_deref()), (Verdict::Fail, Some("evaluated once, at the end")));
}

#[test]
fn what_has_no_number_or_no_sample_passes_nothing() {
    let query = Query::parse("redis_connected_clients").unwrap();
    let comes_to = |require: &str, series: ValueSeries, unknown: Vec<Unknown>| {
        let answer = Answered { series: vec![series], unknown, ..Answered::default() };
        let promql = [(query.text.clone(), Ok(answer))].into_iter().collect();
        let outside = Outside { promql, ..Outside::default() };
        let row = row(&outside, Slo { subject: Subject::Promql(query.clone()), ..slo(Of::Response, &[require]) });
        (row.verdict, row.reason.unwrap_or_default())
    };
    let level = |value, blank| ValueSeries { min: 0.2, max: 0.7, avg: 0.5, blank, ..ValueSeries::exact(vec![], value) };
    assert_eq!(comes_to("max < 80%", level(0.5, 0), vec![]).0, Verdict::Pass);
    let (verdict, why) = comes_to("max < 80%", level(0.5, 3), vec![]);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(why.contains("3 of its samples are no number"), "{why}");
    // What was seen is seen, and the end is known.
    assert_eq!(comes_to("max < 60%", level(0.5, 3), vec![]).0, Verdict::Fail);
    assert_eq!(comes_to("min > 30%", level(0.5, 3), vec![]).0, Verdict::Fail);
    assert_eq!(comes_to("avg < 60%", level(0.5, 3), vec![]).0, Verdict::Inconclusive);
    assert_eq!(comes_to("value < 60%", level(0.5, 3), vec![]).0, Verdict::Pass);
    assert_eq!(comes_to("value < 60%", level(f64::NAN, 3), vec![]).0, Verdict::Inconclusive);
    // One that died has no value at the end, and its peak is at least what was seen.
    let died = || ValueSeries { hole: 32.0, ended: 32.0, samples: 7, ..level(0.5, 0) };
    let (verdict, why) = comes_to("value < 80%", died(), vec![]);
    assert_eq!(
        (verdict, &*why),
        (Verdict::Inconclusive, "it has no value at the end; the last one, 50%, is from 32.0s before it")
    );
    let (verdict, why) = comes_to("max < 80%", died(), vec![]);
    assert_eq!((verdict, &*why), (Verdict::Inconclusive, "70% or more; it wasn't there for 32.0s; it was seen 7 times"));
    assert_eq!(
        (comes_to("min > 10%", died(), vec![]).0, comes_to("avg > 10%", died(), vec![]).0),
        (Verdict::Inconclusive, Verdict::Inconclusive)
    );
    assert_eq!(
        (comes_to("max < 60%", died(), vec![]).0, comes_to("min > 30%", died(), vec![]).0),
        (Verdict::Fail, Verdict::Fail)
    );
    // The last scrape alone was lost.
    let late = || ValueSeries { ended: 2.0, samples: 7, ..ValueSeries::exact(vec![], 0.5) };
    assert_eq!(
        (comes_to("value < 80%", late(), vec![]).0, comes_to("max < 80%", late(), vec![]).0),
        (Verdict::Inconclusive, Verdict::Pass)
    );
    let unseen = Unknown {
        labels: vec![("instance".into(), "b".into())],
        why: "it has no sample in the phase".into(),
        ..Unknown::default()
    };
    let (verdict, why) = comes_to("max < 80%", level(0.5, 0), vec![unseen]);
    assert_eq!((verdict, why.as_str()), (Verdict::Inconclusive, "instance=b: it has no sample in the phase"));
    let expression = |value: f64| {
        let expressions = [("x".to_owned(), Ok(Worked::exactly(value)))].into_iter().collect();
        let outside = Outside { expressions, ..Outside::default() };
        row(&outside, Slo { subject: Subject::Value("x".into()), ..slo(Of::Response, &["value > 1"]) }).verdict
    };
    assert_eq!((expression(2.0), expression(f64::INFINITY)), (Verdict::Pass, Verdict::Inconclusive));
}

#[test]
fn a_level_that_was_seen_once_is_not_known_between_and_how_often_it_was_seen_is_said() {
    let comes_to = |require: &str, samples: u64, note: Option<&str>| {
        let series = ValueSeries { samples, ..ValueSeries::exact(vec![], 0.5) };
        let answer = Answered { series: vec![series], note: note.map(str::to_owned), ..Answered::default() };
        let query = Query::parse("redis_connected_clients").unwrap();
        let promql = [(query.text.clone(), Ok(answer))].into_iter().collect();
        let slo = Slo { subject: Subject::Promql(query), ..slo(Of::Response, &[require]) };
        let row = row(&Outside { promql, ..Outside::default() }, slo);
        (row.verdict, row.reason.unwrap_or_default())
    };
    for require in ["max < 80%", "min > 30%", "avg < 60%"] {
        let (verdict, why) = comes_to(require, 1, None);
        assert_eq!(verdict, Verdict::Inconclusive, "{require}");
        assert!(why.contains("it was seen once, which says nothing of what it was between"), "{why}");
        assert_eq!(comes_to(require, 2, None), (Verdict::Pass, "it was seen 2 times".to_owned()));
        // Its row says so already.
        assert_eq!(comes_to(require, 1, Some("evaluated once")), (Verdict::Pass, "evaluated once".to_owned()));
    }
    // The peak is at least what was seen, and at the end that is the value.
    assert_eq!((comes_to("max < 40%", 1, None).0, comes_to("min > 60%", 1, None).0), (Verdict::Fail, Verdict::Fail));
    assert_eq!(comes_to("value < 80%", 1, None), (Verdict::Pass, String::new()));
}

#[test]
fn what_a_reset_may_have_hidden_is_reported_with_its_size() {
    let hidden_by =
        |lost: f64| comes_to(&Systems::of(vec![ValueSeries { lost, ..unsure("a:1", 0.9, 0.5, 1.0) }]), Several::Agree);
    assert!(hidden_by(f64::INFINITY).1.contains(
        "it started again, went away or was not read in time, and nothing that was seen just before that bounds what was lost"
    ));
    let (verdict, why) = hidden_by(1200.0);
    assert!(verdict == Verdict::Inconclusive && why.contains("up to 1200 that it counted before is lost"), "{why}");
}

#[test]
fn what_is_optional_and_left_out_is_not_judged() {
    let nowhere = without(Absence::Nowhere("no source has it".into()));
    let idle = without(Absence::Idle("nothing was counted".into()));
    let of = |systems: Systems, optional| {
        let outside = Outside { values: [(VALUE.to_owned(), systems)].into_iter().collect(), ..Outside::default() };
        row(&outside, of_server(Several::Agree, &[], optional))
    };
    assert_eq!(of(nowhere.clone(), true).verdict, Verdict::None);
    assert!(of(nowhere.clone(), true).reason.unwrap().starts_with("not observed"));
    assert_eq!(of(nowhere, false).verdict, Verdict::Inconclusive);
    assert_eq!(of(idle, true).verdict, Verdict::Inconclusive);
    assert_eq!(of(hiding(vec![away("redis")], vec![]), true).verdict, Verdict::Inconclusive);
    assert_eq!(of(Systems::of(vec![system("a:1", 0.1)]), true).verdict, Verdict::Fail);
    // Another source has systems of it, and none that `match` picks.
    let picked = |systems: Systems, optional| {
        let outside = Outside { values: [(VALUE.to_owned(), systems)].into_iter().collect(), ..Outside::default() };
        row(&outside, of_server(Several::Agree, &[("source", "redis-a")], optional)).verdict
    };
    let other = |name: &str, value| ValueSeries::exact(vec![("source".into(), name.into())], value);
    let incomplete = |mut systems: Systems| {
        systems.incomplete = true;
        systems
    };
    for value in [0.1, 0.9] {
        assert_eq!(picked(incomplete(Systems::of(vec![other("redis-b", value)])), true), Verdict::None);
        // No source is left out, so that `match` is mistaken.
        assert_eq!(picked(Systems::of(vec![other("redis-b", value)]), true), Verdict::Inconclusive);
        assert_eq!(picked(Systems::of(vec![other("redis-b", value)]), false), Verdict::Inconclusive);
    }
    assert_eq!(picked(Systems::of(vec![other("redis-a", 0.1)]), true), Verdict::Fail);
    assert_eq!(picked(incomplete(hiding(vec![away("redis-b")], vec![])), true), Verdict::None);
    assert_eq!(picked(hiding(vec![away("redis-a")], vec![]), true), Verdict::Inconclusive);
    // What may be of a source that is left out isn't missed beside others.
    let left_out = || Unknown { why: "no metric has the label".into(), left_out: true, ..Unknown::default() };
    assert_eq!(of(hiding(vec![left_out()], vec![]), true).verdict, Verdict::None);
    for (optional, verdict) in [(true, Verdict::Pass), (false, Verdict::Inconclusive)] {
        assert_eq!(of(hiding(vec![left_out()], vec![system("a:1", 0.9)]), optional).verdict, verdict);
        assert_eq!(of(hiding(vec![left_out(), away("redis")], vec![]), optional).verdict, Verdict::Inconclusive);
    }
    // Nothing at all is observed.
    assert_eq!(row(&Outside::default(), of_server(Several::Agree, &[], true)).verdict, Verdict::None);
    assert_eq!(row(&Outside::default(), of_server(Several::Agree, &[], false)).verdict, Verdict::Inconclusive);
    let query =
        Slo { subject: Subject::Promql(Query::parse("up").unwrap()), optional: true, ..of_server(Several::Agree, &[], true) };
    assert_eq!(row(&Outside::default(), query).verdict, Verdict::None);
}
