//! Truth over leniency: what is undefined, null or of another type is never taken for something else.

use proptest::prelude::*;
use serde_json::json;

use super::Bench;
use crate::expr::{Value, from_json};

const ORDERINGS: [&str; 4] = ["<", "<=", ">", ">="];
const OPERATORS: [&str; 13] = ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "//", "%", "**"];

#[test]
fn undefined_and_null_are_not_compared_calculated_with_or_sent() {
    let mut bench = Bench::new();
    bench.set_json("a", json!(null));
    bench.set("b", 5);
    bench.set_json("list", json!([1, 2]));
    for missing in ["nothing", "nothing.deeper.still", "a", "list[9]", "none", "response.json.id", "env.NOPE"] {
        for op in OPERATORS {
            for text in [format!("{missing} {op} b"), format!("b {op} {missing}"), format!("{missing} {op} {missing}")] {
                assert!(bench.value(&text).is_err(), "{text}");
            }
        }
        for form in [
            "{} ~ 'x'",
            "'x' ~ {}",
            "-{}",
            "{} in list",
            "'x' in {}",
            "{} not in list",
            "1 < {} < 9",
            "{}|upper",
            "{}|int",
            "{}|length",
            "{}|string",
            "'x'|replace('x', {})",
            "{} is eq(1)",
            "{} is gt(1)",
            "b is gt({})",
            "{} is odd",
            "list|select('gt', {})|list",
            "sha256({})",
            "pick([1])[{}]",
            "list[{}]",
            "[{}, 1]|max",
            "[1, {}]|sort",
            "[{}, 1]|join(',')",
            "random_int({}, 5)",
            "b if {} == 1 else b",
            "{}[1:]",
        ] {
            let text = form.replace("{}", missing);
            assert!(bench.value(&text).is_err(), "{text}");
        }
        let text = format!("{{{{ {missing} }}}}");
        assert!(bench.text(&text).is_err(), "{text}");
        assert!(bench.text(&format!("x{text}")).is_err(), "{text}");
        assert!(bench.json(json!({"k": text})).is_err(), "{text}");
    }
}

#[test]
fn asking_whether_something_is_there_is_allowed() {
    let mut bench = Bench::new();
    bench.set_json("a", json!(null));
    for holds in [
        "nothing is undefined",
        "nothing is not defined",
        "nothing.deeper is not defined",
        "a is defined",
        "a is none",
        "nothing is not none",
        "nothing | default(3) == 3",
        "nothing.x.y | default('z') == 'z'",
        "[nothing | default(1), 2] == [1, 2]",
        "(a | default(1)) is none",
        "a | default(1, true) == 1",
        "not a",
        "{'k': a} == {'k': a}",
        "response.json is undefined or response.json.x == 1",
    ] {
        assert_eq!(bench.truth(holds), Ok(true), "{holds}");
    }
    for unsayable in ["nothing", "not nothing", "nothing and true", "nothing or true", "1 if nothing else 2"] {
        assert!(bench.truth(unsayable).is_err(), "{unsayable}");
    }
    assert!(bench.value("nothing").unwrap().is_undefined());
    assert!(bench.value("a").unwrap().is_none());
    assert!(bench.value("[nothing]").is_err());
}

#[test]
fn unlike_types_have_no_order() {
    let mut bench = Bench::new();
    // Constants too, which a compiler might have folded.
    for op in ORDERINGS {
        for text in [
            format!("'12' {op} 5"),
            format!("5 {op} '12'"),
            format!("true {op} 1"),
            format!("[1] {op} 1"),
            format!("[1, 'a'] {op} [1, 2]"),
            format!("{{'a': 1}} {op} {{'a': 2}}"),
        ] {
            assert!(bench.value(&text).is_err(), "{text}");
        }
    }
    for text in [
        "[1, '2'] | max",
        "[1, '2'] | sort",
        "['2', 1] | min",
        "[{'n': 1}, {'n': 'x'}] | sort(attribute='n') | list",
        "[[2, '1']] | map('sort') | list | string",
        "[1, '2'] | select('gt', 1) | list | string",
        "[{'n': '2'}] | selectattr('n', 'lessthan', 5) | list | string",
        "{'a': 1, 'b': 'x'} | dictsort(by='value')",
        "'a' is gt(5)",
        "5 in '155'",
    ] {
        assert!(bench.value(text).is_err(), "{text}");
    }
    for holds in [
        "'12' != 5",
        "'12' | int > 5",
        "1 < 1.5 < 2",
        "not (3 < 2 < 'x')",
        "[1, 2] < [1, 3]",
        "[1] < [1, 0]",
        "'a' < 'b'",
        "[3, 1, 2] | max == 3",
        "[3, 1, 2] | sort == [1, 2, 3]",
        "[1, 2, 3] | select('gt', 1) | list == [2, 3]",
        "[{'n': 3}, {'n': 1}] | map(attribute='n') | list == [3, 1]",
        "3 in [{'n': 3}, {'n': 1}] | map(attribute='n')",
        "[{'n': 3}, {}] | map(attribute='n', default=0) | sum == 3",
        "([{'n': 3}, {'n': 1}] | sort(attribute='n') | first).n == 1",
        "([{'n': 3}, {'n': 1}] | max(attribute='n')).n == 3",
        "[3, 1, 2] | sort(reverse=true) == [3, 2, 1]",
        "({'a': 2, 'b': 1} | dictsort(by='value') | first)[0] == 'b'",
        "9007199254740993 > 9007199254740992.0",
        "'b' in 'abc' and 2 in [1, 2] and 'k' in {'k': none} and 3 not in [1]",
    ] {
        assert_eq!(bench.truth(holds), Ok(true), "{holds}");
    }
}

#[test]
fn calculating() {
    let mut bench = Bench::new();
    for holds in [
        "1 + 2 * 3 == 7",
        "7 // 2 == 3 and -7 // 2 == -4 and -7 % 3 == 2 and 7 % -3 == -2",
        "7 / 2 == 3.5",
        "2 ** 10 == 1024 and 2 ** -1 == 0.5",
        "'a' + 'b' == 'ab' and 'ab' * 2 == 'abab'",
        "[1] + [2] == [1, 2]",
        "-(3) == 0 - 3",
        "'abcdef'[1:3] == 'bc' and 'abc'[::-1] == 'cba' and [1, 2, 3][-2:] == [2, 3] and 'abc'[5:] == ''",
        "1 ~ 'x' ~ true ~ [1, 'y'] == '1xtrue[1,\"y\"]'",
    ] {
        assert_eq!(bench.truth(holds), Ok(true), "{holds}");
    }
    for fails in [
        "1 / 0",
        "1 // 0",
        "1 % 0",
        "1.5 % 0",
        "0 ** -1",
        "1 + 'a'",
        "'a' - 'b'",
        "'a' * 1.5",
        "10 ** 100",
        "'x' * 99999999999",
        "[1] - [1]",
        "{'a': 1} + 1",
    ] {
        assert!(bench.value(fails).is_err(), "{fails}");
    }
    assert!(bench.text("{{ 1e308 * 10 }}").is_err());
    assert_eq!(bench.truth("'inf' | float > 1 and not ('nan' | float < 1) and not ('nan' | float >= 1)"), Ok(true));
}

/// Values of every kind, as JSON; lists and mappings hold more of them.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        (-1e9..1e9).prop_map(|number| json!(number)),
        "[a-z0-9]{0,4}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec(("[a-z]{1,3}", inner), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

fn class(value: &serde_json::Value) -> u8 {
    match value {
        serde_json::Value::Null => 0,
        serde_json::Value::Bool(_) => 1,
        serde_json::Value::Number(_) => 2,
        serde_json::Value::String(_) => 3,
        serde_json::Value::Array(_) => 4,
        serde_json::Value::Object(_) => 5,
    }
}

proptest! {
    #[test]
    fn no_two_values_escape_the_rules(x in any_json(), y in any_json()) {
        let mut bench = Bench::new();
        bench.set_json("a", x.clone());
        bench.set_json("b", y.clone());
        let any_null = x.is_null() || y.is_null();
        for op in ["==", "!="] {
            let text = format!("a {op} b");
            prop_assert_eq!(bench.truth(&text).is_err(), any_null);
        }
        for op in OPERATORS {
            let text = format!("a {op} b");
            prop_assert!(!any_null || bench.value(&text).is_err(), "{}", text);
        }
        let unlike = class(&x) != class(&y);
        for op in ORDERINGS {
            let result = bench.truth(&format!("a {op} b"));
            prop_assert!(result.is_err() || !(any_null || unlike || class(&x) == 5), "{} {} {}", x, op, y);
            prop_assert!(result.is_ok() || any_null || unlike || class(&x) >= 4, "{} {} {}", x, op, y);
        }
        for sorting in ["[a, b] | sort | list", "[a, b] | max", "[a, b] | min"] {
            prop_assert!(bench.value(sorting).is_ok() || any_null || unlike || class(&x) >= 4);
            prop_assert!(bench.value(sorting).is_err() || !(any_null || unlike));
        }
        if !any_null && !unlike && class(&x) < 4 {
            let [lt, eq, gt] = ["<", "==", ">"].map(|op| bench.truth(&format!("a {op} b")).unwrap());
            prop_assert_eq!([lt, eq, gt].iter().filter(|holds| **holds).count(), 1);
        }
    }

    #[test]
    fn json_survives_the_way_through_a_template(x in any_json()) {
        let mut bench = Bench::new();
        bench.set_json("a", x.clone());
        match bench.json(json!({"k": "{{ a }}"})) {
            Ok(text) => prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json!({"k": x})),
            Err(_) => prop_assert!(x.is_null()),
        }
    }

    #[test]
    fn texts_are_escaped_as_json_wants(text in any::<String>()) {
        let mut bench = Bench::new();
        bench.set("a", Value::from(text.as_str()));
        let sent = bench.json(json!({"k": "<{{ a }}>"})).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&sent).unwrap(), json!({"k": format!("<{text}>")}));
        prop_assert_eq!(bench.text("{{ a }}").unwrap(), text);
    }

    #[test]
    fn slices_are_those_of_python(list in prop::collection::vec(any::<u8>(), 0..6), start in -8i64..8, stop in -8i64..8, step in -3i64..4) {
        prop_assume!(step != 0);
        let mut bench = Bench::new();
        bench.set_json("list", json!(list));
        let found = bench.value(&format!("list[{start}:{stop}:{step}]")).unwrap();
        // The definition: walk from start by step, keep places that exist, stop at or past stop.
        let length = list.len() as i64;
        let place = |i: i64, low: i64, high: i64| (if i < 0 { i + length } else { i }).clamp(low, high);
        let mut expected = Vec::new();
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let (mut at, end) = (place(start, low, high), place(stop, low, high));
        while (step > 0 && at < end) || (step < 0 && at > end) {
            expected.push(list[at as usize]);
            at += step;
        }
        prop_assert_eq!(found, from_json(&json!(expected)));
    }

    #[test]
    fn nothing_panics(text in "[a-c0-9 .+*/%<>=!~|()\\[\\]{}'\",:_-]{0,24}") {
        let mut bench = Bench::new();
        bench.set("a", 5);
        bench.set("b", "text");
        bench.set_json("c", json!([1, {"k": null}]));
        if let Ok(expression) = bench.compiler.expression(&text, &bench.names) {
            let _ = expression.value(&bench.scope);
        }
        let braced = format!("{{{{ {text} }}}}");
        if let Err(error) = bench.compiler.template(&braced, &bench.names) {
            prop_assert!(error.range.end <= braced.len() && error.range.start <= error.range.end);
        }
    }
}

#[test]
fn what_is_not_there_yet_is_distinguished_from_what_is_wrong() {
    let mut bench = Bench::new();
    bench.set("a", 1);
    for text in ["{{ nothing }}", "x={{ nothing }}", "{{ nothing + 1 }}", "{{ nothing | upper }}", "{{ [nothing] }}"] {
        assert!(bench.text(text).unwrap_err().is_of_undefined(), "{text}");
    }
    for text in ["{{ a - 'x' }}", "{{ [a] | int }}"] {
        assert!(!bench.text(text).unwrap_err().is_of_undefined(), "{text}");
    }
}
