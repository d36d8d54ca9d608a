//! Templates: types kept, text rules, statements, bounds, and messages that hold no values.

use serde_json::json;

use super::Bench;
use crate::expr::{JsonTemplate, Template};

#[test]
fn one_expression_alone_keeps_its_type() {
    let mut bench = Bench::new();
    bench.set_json("a", json!({"n": 1.5, "flag": true, "list": [1, null]}));
    let sent = bench.json(
        json!({"n": "{{ a.n }}", "flag": "{{a.flag}}", "list": "{{ a.list }}", "text": "{{ a.n }}!", "{{ a.flag }}": null}),
    );
    assert_eq!(sent.unwrap(), r#"{"n":1.5,"flag":true,"list":[1,null],"text":"1.5!","true":null}"#);
    let alone = bench.compiler.template("{{ a.flag }}", &bench.names).unwrap();
    assert_eq!(alone.value(&bench.scope).unwrap(), crate::expr::Value::from(true));
    let spaced = bench.compiler.template(" {{ a.flag }}", &bench.names).unwrap();
    assert_eq!(spaced.value(&bench.scope).unwrap().as_str(), Some(" true"));
}

#[test]
fn as_text() {
    let mut bench = Bench::new();
    bench.set_json("a", json!({"yes": true, "whole": 5, "part": 0.25, "five": 5.0, "big": 12345678901234567890u64, "list": [1, "x", {"y": null}]}));
    let text = bench.text("{{ a.yes }} {{ a.whole }} {{ a.part }} {{ a.five }} {{ a.big }} {{ a.list }}").unwrap();
    assert_eq!(text, r#"true 5 0.25 5.0 12345678901234567890 [1,"x",{"y":null}]"#);
    assert_eq!(bench.text("{{ [true, 1] | join('-') }}|{{ false | string }}").unwrap(), "true-1|false");
}

#[test]
fn what_holds_no_expression_is_ready_made() {
    let mut bench = Bench::new();
    for (text, expected) in
        [("a { b } $", "a { b } $"), ("{# said #}x\n", "x\n"), ("{% raw %}{{ x }}{% endraw %}\n", "{{ x }}\n")]
    {
        match bench.compiler.template(text, &bench.names) {
            Ok(Template::Static(found)) => assert_eq!(&*found, expected),
            other => panic!("{text}: {other:?}"),
        }
    }
    let json = bench.compiler.json(&json!({"b": [1, 2.5, null, "x\"\u{1}"], "a": {}}), &bench.names).unwrap();
    match json {
        JsonTemplate::Static(found) => assert_eq!(found, r#"{"b":[1,2.5,null,"x\"\u0001"],"a":{}}"#.as_bytes()),
        JsonTemplate::Dynamic(_) => panic!("not static"),
    }
    assert_eq!(Template::literal("{{ a }}").as_static(), Some("{{ a }}"));
}

#[test]
fn statements() {
    let mut bench = Bench::new();
    bench.set_json("list", json!([{"k": "x", "n": 1}, {"k": "y", "n": 2}, {"k": "z", "n": 3}]));
    bench.set_json("a", json!({"p": 1, "q": 2}));
    for (template, expected) in [
        (
            "{% for item in list if item.n != 2 %}{{ loop.index }}{{ item.k }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1x,2z",
        ),
        ("{% for k, v in a | items %}{{ k }}={{ v }};{% endfor %}", "p=1;q=2;"),
        ("{% for x in [] %}{{ x }}{% else %}none{% endfor %}", "none"),
        ("{% set b = 1 %}{% if false %}{% set b = 2 %}{% endif %}{{ b }}", "1"),
        ("{% set b = 1 %}{% for x in [1, 2] %}{% set b = b + x %}{{ b }}{% endfor %}{{ b }}", "231"),
        ("{% for x in range(3) %}{% if x == 1 %}{% set y = x %}{% endif %}{{ y is defined }} {% endfor %}", "false true false "),
        ("{% if a.p == 1 %}one{% elif true %}two{% else %}three{% endif %}\n", "one\n"),
    ] {
        assert_eq!(bench.text(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn nothing_runs_for_ever() {
    let mut bench = Bench::new();
    let long = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a * b }}{% endfor %}{% endfor %}";
    assert!(bench.text(long).unwrap_err().to_string().contains("100000 steps"));
    bench.set("a", "x".repeat(1 << 20));
    let wide = "{% for b in range(9999) %}{{ a }}{% endfor %}";
    assert!(bench.text(wide).unwrap_err().to_string().contains("16 MiB"));
    assert!(bench.value("range(100000)").is_err());
}

#[test]
fn little_makes_nothing_without_a_bound() {
    let mut bench = Bench::new();
    let mut refused = |text: &str| bench.value(text).err().map_or_else(String::new, |error| error.to_string());
    for text in
        ["('a' * 10000000) | replace('a', 'b' * 1000000)", "'a\nb' | indent(1000000000)", "'a\nb' | indent(width=1000000000)"]
    {
        assert!(refused(text).contains("16 MiB"), "{text}");
    }
    for text in ["('a' * 10000000) | list", "[1] | batch(1000000000, 0)", "[1] | slice(1000000000)"] {
        assert!(refused(text).contains("1048576 parts"), "{text}");
    }
    for text in ["['a' * 16000000, 'b' * 16000000] | tojson", "['a' * 16000000, 'b' * 16000000] | join(',')"] {
        assert!(refused(text).contains("16 MiB"), "{text}");
    }
}

#[test]
fn lists_of_the_same_lists_are_bounded_however_they_are_made() {
    for twice in [
        "[a, a, a, a]",
        "{'x': a, 'y': a, 'z': a}",
        "a + a",
        "a | zip(a, a)",
        "[a] | chain([a, a]) | list",
        "[a, a, a] | batch(2)",
    ] {
        let mut bench = Bench::new();
        bench.set_json("a", json!([1, 2, 3, 4]));
        let mut turns = 0;
        let error = loop {
            match bench.value(twice) {
                Ok(value) => bench.set("a", value),
                Err(error) => break error.to_string(),
            }
            turns += 1;
            assert!(turns < 30, "{twice}");
        };
        assert!(error.contains("1048576 parts"), "{twice}: {error}");
    }
}

#[test]
fn errors_name_the_expression_and_no_value() {
    let mut bench = Bench::new();
    bench.set("a", "hunter2");
    bench.set_json("list", json!(["hunter2", 2]));
    let mut message = |text: &str| bench.value(text).unwrap_err().to_string();
    assert_eq!(message("1 + nothing.id * 2"), "`nothing.id` is undefined and can't be calculated with");
    assert_eq!(message("5 < response.json.x.y and a"), "`response.json.x.y` is undefined and can't be compared");
    assert_eq!(message("nothing['x'] | upper == a"), "`nothing['x']` is undefined and can't be used here");
    assert_eq!(message("a > 5"), "`a > 5` orders a text and a number; convert one of them, with | int, | float or | string");
    for text in [
        "a | int",
        "a | float",
        "a - 1",
        "a | round",
        "a | sum",
        "list | sort",
        "list | sum",
        "a | batch(a)",
        "a | replace(a)",
        "a | nothing",
        "list | map('int') | list | length",
        "a | list | map(attribute=a, default=1, x=a)",
        "a | slice(a)",
        "pick(a)",
        "random_int(a, a)",
        "timestamp(a)",
        "a in 5",
        "a | selectattr(a, a, a) | list",
        "a | dictsort",
        "a | items",
        "list | groupby(attribute=a)",
        "a | indent(a)",
        "a | attr(5) | int",
        "a | bool | split(a) | first + 1",
    ] {
        if bench.compiler.expression(text, &bench.names).is_err() {
            continue;
        }
        if let Err(error) = bench.value(text).and_then(|value| {
            let mut out = String::new();
            crate::expr::text::write_text(&value, &mut out).map_err(|why| crate::expr::EvalError::new(text, why))
        }) {
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
    let long = format!("a > {}", "1 + ".repeat(200) + "1");
    assert!(bench.value(&long).unwrap_err().to_string().chars().count() < 250);
}

#[test]
fn a_hash_of_a_value_ends_no_url_unless_the_value_is_all_of_it() {
    let mut bench = Bench::new();
    bench.set("a", "http://x/y#frag");
    bench.set("b", "x#y#");
    for (template, sent) in [
        ("/1?next={{ a }}&sig=7", "/1?next=http://x/y%23frag&sig=7"),
        ("/2/{{ a }}/tail", "/2/http://x/y%23frag/tail"),
        ("{{ a }}?b={{ b }}", "http://x/y%23frag?b=x%23y%23"),
        ("{{ a }}{{ '/z' }}", "http://x/y%23frag/z"),
        ("{{ b }}", "x%23y%23"),
        ("/{{ b }}#own", "/x%23y%23#own"),
        ("{{ a }}", "http://x/y#frag"),
        ("{% if true %}{{ a }}{% endif %}", "http://x/y#frag"),
    ] {
        let template = bench.compiler.template(template, &bench.names).unwrap();
        let mut out = String::from("before ");
        template.url(&bench.scope, &mut out).unwrap();
        assert_eq!(out, format!("before {sent}"));
    }
}

#[test]
fn minus_zero_is_passed_on_as_it_is_and_is_zero_in_what_is_done_with_it() {
    use crate::expr::Extract;
    let mut bench = Bench::answered(200, r#"{"neg": -0, "list": [-0]}"#);
    let found = |path| Extract::json(path, false, true).unwrap().from_response(bench.scope.response().unwrap()).unwrap().unwrap();
    let (neg, list) = (found("$.neg"), found("$.list"));
    bench.set("a", neg);
    bench.set("b", list);
    assert_eq!(bench.json(json!({"n": "{{ a }}", "l": "{{ b }}"})).unwrap(), r#"{"n":-0,"l":[-0]}"#);
    assert_eq!(bench.text("/{{ a }}/{{ a - 1 }}/{{ a | abs }}/{{ -a }}/{{ 'y' if a else 'n' }}").unwrap(), "/-0/-1/0/0/n");
    for held in ["a == 0", "a < 1", "a is number", "not a", "a in [0]"] {
        assert_eq!(bench.truth(held), Ok(true), "{held}");
    }
}

#[test]
fn a_number_beyond_all_calculation_is_called_one() {
    let mut bench = Bench::answered(200, r#"{"big": 1427247692705959881058285969449495136382746624, "small": 1E-400}"#);
    let mut why = |text: &str| bench.value(text).unwrap_err().to_string();
    let message = why("response.json.big - 1");
    assert_eq!(message, "`response.json.big - 1` calculates with a number too large to calculate with and a number");
    assert!(why("response.json.small < 1").contains("a number too small to calculate with"));
}
