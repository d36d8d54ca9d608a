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
