//! Values of several systems, of which some may be unknown.

use super::super::slo::tests::slo;
use super::super::{Inputs, Of, SloResult, Watches, judge};
use super::*;
use crate::base::Verdict;
use crate::counters::{Answered, Matcher};
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
    Unknown { labels: vec![("source".into(), source.into())], direct: true, why: format!("{source} can't be read: refused") }
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
    let unseen =
        Unknown { labels: vec![("instance".into(), "b".into())], direct: false, why: "it has no sample in the phase".into() };
    let (verdict, why) = comes_to("max < 80%", level(0.5, 0), vec![unseen]);
    assert_eq!((verdict, why.as_str()), (Verdict::Inconclusive, "instance=b: it has no sample in the phase"));
    let expression = |value: f64| {
        let expressions = [("x".to_owned(), Ok(value))].into_iter().collect();
        let outside = Outside { expressions, ..Outside::default() };
        row(&outside, Slo { subject: Subject::Value("x".into()), ..slo(Of::Response, &["value > 1"]) }).verdict
    };
    assert_eq!((expression(2.0), expression(f64::INFINITY)), (Verdict::Pass, Verdict::Inconclusive));
}

#[test]
fn what_a_reset_may_have_hidden_is_told_with_its_size() {
    let told = |lost: f64| comes_to(&Systems::of(vec![ValueSeries { lost, ..unsure("a:1", 0.9, 0.5, 1.0) }]), Several::Agree);
    assert!(told(f64::INFINITY).1.contains("it started again after it had stood still"));
    let (verdict, why) = told(1200.0);
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
    // Nothing at all is observed.
    assert_eq!(row(&Outside::default(), of_server(Several::Agree, &[], true)).verdict, Verdict::None);
    assert_eq!(row(&Outside::default(), of_server(Several::Agree, &[], false)).verdict, Verdict::Inconclusive);
    let query =
        Slo { subject: Subject::Promql(Query::parse("up").unwrap()), optional: true, ..of_server(Several::Agree, &[], true) };
    assert_eq!(row(&Outside::default(), query).verdict, Verdict::None);
}
