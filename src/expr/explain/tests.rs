//! Why checks fail, as a reader meets it.

use super::super::tests::Bench;
use super::super::{Layer, Missing, ScenarioValues, Scope, Shortfall};
use super::Cause;
use crate::base::Secrets;
use serde_json::json;
use std::sync::Arc;

fn why(bench: &mut Bench, text: &str) -> String {
    let expression = bench.compiler.expression(text, &bench.names).unwrap();
    assert_ne!(expression.truth(&bench.scope), Ok(true), "{text}");
    expression.explain(&bench.scope).show(&Secrets::default())
}

#[test]
fn both_sides_of_what_decided_have_their_values() {
    let mut bench = Bench::answered(201, r#"{"total": 98, "name": "ann", "list": [1, 2], "none": null, "on": false}"#);
    bench.set("a", 100);
    bench.set("b", "bob");
    for (text, explained) in [
        ("response.json.total == a", "response.json.total == a was 98 == 100"),
        ("response.json.total + 1 >= a", "response.json.total + 1 >= a was 99 >= 100"),
        ("response.json.name == b", r#"response.json.name == b was "ann" == "bob""#),
        ("3 in response.json.list", "3 in response.json.list was 3 in [1,2]"),
        ("1 not in response.json.list", "1 not in response.json.list was 1 in [1,2]"),
        ("1 < response.json.total < a - 5", "… did not hold: response.json.total < a - 5 was 98 < 95"),
        (
            "response.ok and (response.json.total + 2) * 2 == a",
            "… did not hold: (response.json.total + 2) * 2 == a was 200 == 100",
        ),
        ("response.ok and (a == (response.json.total + 1))", "… did not hold: a == (response.json.total + 1) was 100 == 99"),
        ("response.ok and b | length == 4", "… did not hold: b | length == 4 was 3 == 4"),
        ("response.ok and -a > 0", "… did not hold: -a > 0 was -100 > 0"),
        // Of `and` the first that doesn't hold, of `or` both.
        ("response.status == 201 and response.json.total == a", "… did not hold: response.json.total == a was 98 == 100"),
        ("response.json.total == a and response.status == 0", "… did not hold: response.json.total == a was 98 == 100"),
        (
            "response.json.total == a or response.status == 200",
            "… did not hold: response.json.total == a was 98 == 100, and response.status == 200 was 201 == 200",
        ),
        (
            "not (response.json.total < a and response.status == 201)",
            "… did not hold: response.json.total < a was 98 < 100, and response.status == 201 was 201 == 201",
        ),
        ("not (response.status == 0 or response.ok)", "… did not hold: response.ok was true"),
        ("response.json.total == a if response.ok else true", "… did not hold: response.json.total == a was 98 == 100"),
        ("response.json.on", "response.json.on was false"),
        ("response.json.none", "response.json.none was null"),
        ("response.json.gone is defined", "… did not hold: response.json.gone was undefined"),
        ("response.json.total is divisibleby(3)", "… did not hold: response.json.total was 98"),
    ] {
        assert_eq!(why(&mut bench, text), explained.replace('…', text), "{text}");
    }
}

#[test]
fn what_cant_be_evaluated_says_the_cause() {
    let mut bench = Bench::answered(200, "{}");
    assert_eq!(
        why(&mut bench, "response.headers['x-count'] > 5"),
        "response.headers['x-count'] > 5 could not be evaluated: `response.headers['x-count']` is undefined and can't be compared"
    );
    let expression = bench.compiler.expression("nothing", &bench.names).unwrap();
    assert!(expression.explain(&bench.scope).is_unclear());
    let expression = bench.compiler.expression("false", &bench.names).unwrap();
    assert!(!expression.explain(&bench.scope).is_unclear());
}

#[test]
fn long_values_are_cut_once_they_are_redacted() {
    let mut bench = Bench::new();
    bench.set("a", "é".repeat(1_000_000));
    let explained = why(&mut bench, "a == 'x'");
    assert_eq!(explained, format!("a == 'x' was \"{}…\" == \"x\"", "é".repeat(100)));
    // A secret across the cut goes as a whole.
    bench.set("a", format!("{}s3cr3t-of-many-letters", "-".repeat(95)));
    let expression = bench.compiler.expression("a == 'x'", &bench.names).unwrap();
    let explained = expression.explain(&bench.scope).show(&Secrets::new(["s3cr3t-of-many-letters".to_owned()]));
    assert!(explained.contains("-***\"") && !explained.contains("s3c"), "{explained}");
    let mut explanation = expression.explain(&bench.scope);
    explanation.redact(|text| text.replace("s3cr3t-of-many-letters", "***"));
    assert!(!explanation.show(&Secrets::default()).contains("s3c"));
}

#[test]
fn what_is_named_like_a_secret_is_never_shown() {
    let mut bench = Bench::answered(200, r#"{"token": "t-12345", "pin": {"password": 4711}, "tokens": 3}"#);
    for name in ["api_token", "account"] {
        bench.names.variable(name);
    }
    bench.set("api_token", "a-67890");
    bench.set_json("account", json!({"name": "ann", "password": "pw-1"}));
    bench.set("a", "t-12345");
    for (text, explained) in [
        ("response.json.token == api_token", "was *** == ***"),
        // What equals it would give it away.
        ("response.json.token != a", "was *** != ***"),
        ("response.json['pin'].password == 1", "was *** == ***"),
        ("api_token | upper == 'X'", "was *** == ***"),
        ("account == 1", r#"was {"name":"ann","password":"***"} == 1"#),
        ("response.json.tokens == 4", "was 3 == 4"),
        ("api_token | length == 4", "was 7 == 4"),
    ] {
        let why = why(&mut bench, text);
        assert!(why.ends_with(explained) && !why.contains("67890") && !why.contains("pw-1"), "{why}");
    }
}

#[test]
fn what_it_read_under_names_of_secrets_is_reported() {
    let mut bench = Bench::answered(200, r#"{"token": "t-12345", "state": "open-1", "pin": {"password": 471147}}"#);
    for (text, secrets) in [
        ("response.json.token == 1", &["t-12345"][..]),
        ("response.json.token == 'constant'", &["t-12345"]),
        ("response.json.state == 'x' or response.json.pin == 1", &["471147"]),
        ("response.json.state == 'x'", &[]),
        ("response.json.token is number", &["t-12345"]),
    ] {
        let expression = bench.compiler.expression(text, &bench.names).unwrap();
        assert_eq!(expression.explain(&bench.scope).secrets(), secrets, "{text}");
    }
}

#[test]
fn it_changes_no_choice_that_follows() {
    let mut bench = Bench::new();
    bench.scope.begin_iteration(3);
    let expected: Vec<String> = (0..3).map(|_| bench.text("{{ random_int(0, 1000000) }}").unwrap()).collect();
    bench.scope.begin_iteration(3);
    assert_eq!(bench.text("{{ random_int(0, 1000000) }}").unwrap(), expected[0]);
    let expression = bench.compiler.expression("random_int(0, 9) > 10", &bench.names).unwrap();
    assert!(expression.explain(&bench.scope).show(&Secrets::default()).contains("> 10 was "));
    let rest: Vec<String> = (0..2).map(|_| bench.text("{{ random_int(0, 1000000) }}").unwrap()).collect();
    assert_eq!(rest, expected[1..]);
}

/// What accounts for an expression that doesn't hold, where this is missing.
fn cause(bench: &mut Bench, text: &str, shortfall: Shortfall) -> Cause {
    let metrics = [("votes_total", 100.0), ("visits_total", 100.0), ("load_request_errors_total", 100.0)]
        .map(|(name, value)| (name.to_owned(), value));
    let lost = [("vote".to_owned(), 3)];
    let variables = ["b", "given"].map(|name| bench.compiler.symbol(name));
    let values = ScenarioValues {
        vars: vec![(variables[1], 105.into())],
        metrics: Some(metrics.into()),
        lost: Some(lost.into()),
        shortfall: Arc::new(shortfall),
        ..ScenarioValues::default()
    };
    let response = bench.scope.response().map(|of| of.response().clone()).unwrap();
    bench.scope = Scope::new(Arc::new(values), 0);
    bench.scope.set(Layer::Start, bench.compiler.symbol("a"), 100.into());
    bench.scope.set(Layer::Start, variables[0], 105.into());
    bench.scope.set_response(response);
    let expression = bench.compiler.expression(text, &bench.names).unwrap();
    assert_ne!(expression.truth(&bench.scope), Ok(true), "{text}");
    expression.explain(&bench.scope).cause()
}

fn counting(json: &'static str) -> Bench {
    let mut bench = Bench::answered(503, json);
    bench.names.variable("given");
    let metrics = ["votes_total", "visits_total", "load_request_errors_total"].map(str::to_owned);
    bench.names = bench.names.with_totals(metrics, ["vote".to_owned()]);
    bench
}

#[test]
fn what_is_missing_accounts_for_numbers_that_are_no_further_apart() {
    let mut bench = counting(r#"{"total": 98, "errors": 40, "status_count": 97, "name": "ann"}"#);
    let kept = |kept| Shortfall { all: Missing { kept, ..Missing::default() }, ..Shortfall::default() };
    let cut = |cut| Shortfall { all: Missing { kept: 1.0, unread: 1.0, cut, ..Missing::default() }, ..Shortfall::default() };
    for (text, gap) in [
        ("response.json.total >= a", Some(2.0)),
        ("response.json.total > 97 + 2", Some(1.0)),
        ("not (response.json.total < a)", Some(2.0)),
        // All that failed has to come out otherwise, or one of two that would do.
        ("response.json.total >= a and response.json.errors == 0", Some(40.0)),
        ("response.json.total >= a and response.status == 503", Some(2.0)),
        ("response.json.total >= a or response.json.name == 'bob'", Some(2.0)),
        ("response.json.total >= a and response.json.name == 'bob'", None),
        // A status is the name of an answer, and an answer takes its time; a number of answers is a number.
        ("response.status == 200", None),
        ("response.json.status_count >= a", Some(3.0)),
        ("response.json.name == 'bob'", None),
        ("response.duration > 5", None),
        ("response.json.total < response.service * 10", None),
    ] {
        assert_eq!(cause(&mut bench, text, kept(0.0)), Cause::Target, "{text}");
        let Some(gap) = gap else {
            assert_eq!(cause(&mut bench, text, cut(1e300)), Cause::Target, "{text}");
            continue;
        };
        assert_eq!(cause(&mut bench, text, kept(gap)), Cause::KeptBack, "{text}");
        assert_eq!(cause(&mut bench, text, kept(gap - 0.5)), Cause::Target, "{text}");
        if gap > 1.0 {
            assert_eq!(cause(&mut bench, text, cut(gap - 1.0)), Cause::CutOff, "{text}");
            assert_eq!(cause(&mut bench, text, cut(gap - 1.5)), Cause::Target, "{text}");
        }
    }
}

#[test]
fn it_is_missing_where_it_would_have_been_counted() {
    let mut bench = counting(r#"{"total": 98}"#);
    let shortfall = || Shortfall {
        metrics: [
            ("votes_total".to_owned(), Missing { kept: 5.0, unread: 2.0, ..Missing::default() }),
            ("visits_total".to_owned(), Missing { cut: 5.0, ..Missing::default() }),
        ]
        .into(),
        lost: [("vote".to_owned(), Missing { less: 3.0, ..Missing::default() })].into(),
        shared: [].into(),
        all: Missing { kept: 5.0, unread: 2.0, cut: 20.0, ..Missing::default() },
    };
    for (text, expected) in [
        // What was never sent is in neither of two counts.
        ("response.json.total == metric('votes_total')", Cause::KeptBack),
        ("metric('votes_total') - 1 <= response.json.total", Cause::KeptBack),
        ("metric('votes_total') + 1 == response.json.total", Cause::Target),
        ("metric('votes_total') >= 105", Cause::KeptBack),
        ("metric('votes_total') >= 106", Cause::Target),
        ("response.json.total == metric('votes_total') and response.json.total >= 99", Cause::KeptBack),
        ("response.json.total + 9 == metric('votes_total') and response.json.total >= 99", Cause::Target),
        ("response.json.total + 9 == metric('votes_total') or response.json.total >= 99", Cause::KeptBack),
        // Iterations that were cut off would have counted more, never less.
        ("response.json.total + 5 == metric('visits_total')", Cause::CutOff),
        ("response.json.total == metric('visits_total')", Cause::Target),
        ("response.json.total >= metric('visits_total')", Cause::Target),
        ("metric('visits_total') == 99", Cause::Target),
        ("metric('visits_total') >= 105", Cause::CutOff),
        ("metric('visits_total') >= given", Cause::CutOff),
        ("metric('visits_total') >= 106", Cause::Target),
        ("metric('visits_total') + metric('votes_total') >= 210", Cause::CutOff),
        ("lost('vote') == 0", Cause::CutOff),
        ("lost('vote') + 4 <= 0", Cause::Target),
        ("metric('visits_total') + lost('vote') == 101", Cause::CutOff),
        ("metric('votes_total') + lost('vote') == 111", Cause::Target),
        // Nobody knows what these are made of.
        ("response.json.total >= 120", Cause::CutOff),
        ("metric('votes_total') + 6 <= b - 15", Cause::CutOff),
        ("response.json.total + 12 == metric('votes_total') + b - 100", Cause::CutOff),
        ("response.json.total >= 124", Cause::Target),
    ] {
        assert_eq!(cause(&mut bench, text, shortfall()), expected, "{text}");
    }
}

#[test]
fn a_request_that_is_lost_and_would_be_counted_moves_both_at_once() {
    let mut bench = counting(r#"{"total": 104, "less": 95}"#);
    let with = |missing: Missing| Shortfall {
        metrics: [("votes_total".to_owned(), missing)].into(),
        lost: [("vote".to_owned(), Missing { less: 3.0, ..Missing::default() })].into(),
        shared: [(("votes_total".to_owned(), "vote".to_owned()), 3.0)].into(),
        all: Missing { cut: 20.0, ahead: 3.0, ..Missing::default() },
    };
    // Three were cut off in the request, as far as is known, or one more behind it.
    let (within, behind) = (Missing { cut: 3.0, ..Missing::default() }, Missing { cut: 4.0, ..Missing::default() });
    let before = Missing { ahead: 3.0, ..Missing::default() };
    for (text, missing, expected) in [
        ("response.json.total <= metric('votes_total') + lost('vote')", within, Cause::Target),
        ("response.json.total <= metric('votes_total') + lost('vote')", behind, Cause::CutOff),
        ("response.json.total - 1 < metric('votes_total') + lost('vote')", within, Cause::Target),
        ("response.json.total + 1 <= metric('votes_total') + lost('vote')", behind, Cause::Target),
        ("response.json.total <= metric('votes_total')", within, Cause::Target),
        ("response.json.total <= metric('votes_total')", behind, Cause::CutOff),
        ("response.json.total - 3 == metric('votes_total') + lost('vote')", within, Cause::CutOff),
        ("response.json.less >= metric('votes_total') - lost('vote')", within, Cause::Target),
        ("response.json.less >= metric('votes_total') - lost('vote')", before, Cause::Target),
        ("response.json.less >= metric('votes_total')", within, Cause::Target),
        // It was counted before it was answered, if it was.
        ("response.json.less + 2 == metric('votes_total')", before, Cause::CutOff),
        ("response.json.less + 1 == metric('votes_total')", before, Cause::Target),
        ("metric('votes_total') == 98", before, Cause::Target),
        ("metric('load_request_errors_total') == 0", within, Cause::Target),
        ("response.json.less + 2 == metric('load_request_errors_total')", within, Cause::CutOff),
    ] {
        assert_eq!(cause(&mut bench, text, with(missing)), expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_may_come_of_all_that_is_missing_in_it() {
    let mut bench = counting(r#"{"total": 98, "name": "ann", "on": false, "list": [1, 2]}"#);
    let shortfall = |cut| Shortfall {
        metrics: [("votes_total".to_owned(), Missing { cut, ..Missing::default() })].into(),
        all: Missing { cut, ..Missing::default() },
        ..Shortfall::default()
    };
    for (text, expected) in [
        ("response.json.total * 10 == metric('votes_total') * 10 - 40", Cause::CutOff),
        ("response.json.total * 10 == metric('votes_total') * 10", Cause::Target),
        ("response.json.total == (metric('votes_total') - 20) / 2 + 56", Cause::CutOff),
        ("response.json.total == (metric('votes_total') - 20) / 2 + 55", Cause::Target),
        ("response.json.total ** 2 == metric('votes_total') ** 2", Cause::CutOff),
        ("response.json.total in [metric('votes_total')]", Cause::CutOff),
        ("[response.json.total] == [metric('votes_total')]", Cause::CutOff),
        ("{'a': response.json.total} == {'a': metric('votes_total')}", Cause::CutOff),
        ("(response.json.total == metric('votes_total')) == true", Cause::CutOff),
        ("(response.json.total + 4 == metric('votes_total')) if true else false", Cause::CutOff),
        ("false if metric('votes_total') == 100 else true", Cause::CutOff),
        ("response.json.total is eq(metric('votes_total'))", Cause::CutOff),
        ("metric('votes_total') is le(response.json.total)", Cause::CutOff),
        ("response.json.total | string == metric('votes_total') | string", Cause::CutOff),
        ("response.json.total ~ '' == metric('votes_total') ~ ''", Cause::CutOff),
        ("(response.json.total - metric('votes_total')) | abs == 0", Cause::CutOff),
        ("metric('votes_total') < response.json.total < 200", Cause::Target),
        ("response.json.total + 4 < metric('votes_total') < 200", Cause::CutOff),
        ("response.json.list | sum == 4", Cause::CutOff),
        ("3 in response.json.list", Cause::CutOff),
        ("b == 106", Cause::CutOff),
        ("b == 110", Cause::Target),
        ("b is eq(1)", Cause::CutOff),
    ] {
        assert_eq!(cause(&mut bench, text, shortfall(4.0)), expected, "{text}");
        assert_eq!(cause(&mut bench, text, Shortfall::default()), Cause::Target, "{text}");
    }
    for text in ["response.json.name == 'bob'", "response.json.on", "response.status in [200]", "response.json.gone is defined"] {
        assert_eq!(cause(&mut bench, text, shortfall(4.0)), Cause::Target, "{text}");
    }
}
