//! What is found when a profile is loaded, where, and what is proposed instead.

use serde_json::json;

use super::Bench;
use crate::expr::{CompileError, Compiler, Extract, Names, is_reserved};

fn refused(text: &str) -> CompileError {
    let mut bench = Bench::new();
    bench.names.row("accounts", Some(["name", "password"].map(str::to_owned).into()));
    bench.compiler.expression(text, &bench.names).map(|_| ()).expect_err(text)
}

#[test]
fn names_that_do_not_exist() {
    for (text, part, message) in [
        ("usr + 1", "usr", "unknown name `usr`; did you mean `user`?"),
        ("response.statsu == 200", "statsu", "unknown attribute of `response`: `statsu`; did you mean `status`?"),
        ("response['statsu'] == 200", "statsu", "unknown attribute of `response`: `statsu`; did you mean `status`?"),
        ("accounts.pasword", "pasword", "unknown attribute of `accounts`: `pasword`; did you mean `password`?"),
        ("accounts.age", "age", "`accounts` has no `age`; it has name, password"),
        ("uid()", "uid", "unknown function `uid`; did you mean `uuid`?"),
        ("1 + uuid", "uuid", "`uuid` is a function; call it: uuid(…)"),
        ("user | uper", "uper", "unknown filter `uper`; did you mean `upper`?"),
        ("user is definde", "definde", "unknown test `definde`; did you mean `defined`?"),
        ("[1] | map('uper')", "'uper'", "unknown filter `uper`; did you mean `upper`?"),
        ("user()", "user", "`user` is a variable and can't be called"),
        ("index + 1", "index", "`index` is known inside of `repeat` and `for_each` only"),
        ("message.text", "message", "`message` is known inside of a session only"),
    ] {
        let error = refused(text);
        assert_eq!(&*error.message, message);
        assert!(text[error.range.clone()].contains(part.trim_matches('\'')), "{text}: {:?}", &text[error.range]);
    }
}

#[test]
fn calls_and_syntax() {
    for (text, part) in [
        ("random_int(1)", "random_int(1, 5)"),
        ("uuid(1)", "uuid()"),
        ("metric('x')", "verify"),
        ("'a'.upper()", "| upper"),
        ("pick(list=[1])", "no named arguments"),
        ("[1] | map(*[1])", "arguments"),
        ("{{ user }}", "without braces"),
        ("user = 1", "=="),
        ("user &&", "`and`"),
        ("user +", "unexpected end of input"),
        ("", "unexpected end"),
    ] {
        let error = refused(text);
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert!(error.range.end <= text.len());
    }
    let mut bench = Bench::new();
    for text in [
        "{{ user",
        "{% include 'x' %}",
        "{% macro x() %}{% endmacro %}",
        "{% set a.b = 1 %}",
        "{% with x = 1 %}{% endwith %}",
        "{{ }}",
    ] {
        assert!(bench.compiler.template(text, &bench.names).is_err(), "{text}");
    }
    let text = "first {{ user }} then {{ usr }}";
    let error = bench.compiler.template(text, &bench.names).unwrap_err();
    assert_eq!(&text[error.range], "usr");
    let error = bench.compiler.json(&json!({"k": [1, {"deep": "{{ usr }}"}]}), &bench.names).unwrap_err();
    assert!(error.message.ends_with("(at $.k[1].deep)"), "{}", error.message);
}

#[test]
fn names_grow_where_they_are_known() {
    let mut bench = Bench::new();
    bench.names = bench.names.with_index().with_message().with_totals(["votes_total".to_owned()], ["vote".to_owned()]);
    assert!(bench.compiler.expression("index + 1 if message.text is defined else metric('votes_total')", &bench.names).is_ok());
    let error = bench.compiler.expression("metric('vote_total')", &bench.names).unwrap_err();
    assert_eq!(&*error.message, "unknown metric `vote_total`; did you mean `votes_total`?");
    assert!(is_reserved("response") && is_reserved("loop") && !is_reserved("token"));
}

#[test]
fn extraction() {
    use crate::expr::Value;
    let bench = Bench::answered(200, r#"{"id": 7, "items": [{"id": "x"}, {"id": "y"}], "none": null, "t": "ticket=abc&x"}"#);
    let response = bench.scope.response().unwrap();
    let found = |extract: Result<Extract, CompileError>| extract.unwrap().from_response(response);
    assert_eq!(found(Extract::json("$.id", false, false)), Ok(Some(Value::from(7))));
    assert_eq!(found(Extract::json("$.items[*].id", false, false)), Ok(Some(Value::from("x"))));
    assert_eq!(found(Extract::json("$.items[*].id", true, false)), Ok(Some(Value::from(vec!["x", "y"]))));
    assert_eq!(found(Extract::json("$.items[?@.id == 'y'].id", false, false)), Ok(Some(Value::from("y"))));
    assert_eq!(found(Extract::json("$.none", false, true)), Ok(Some(Value::from(()))));
    assert_eq!(found(Extract::json("$.nope", false, false)), Ok(None));
    assert_eq!(found(Extract::json("$.nope", true, false)), Ok(None));
    assert_eq!(
        found(Extract::json("$.nope", false, true)).unwrap_err().to_string(),
        "nothing found at `$.nope`, which is required"
    );
    assert_eq!(found(Extract::header("X-Request-Id", true)), Ok(Some(Value::from("r-1"))));
    assert_eq!(found(Extract::header("absent", false)), Ok(None));
    assert_eq!(found(Extract::regex(r"ticket=(\w+)", true)), Ok(Some(Value::from("abc"))));
    assert_eq!(found(Extract::regex(r"ticket=\w+", true)), Ok(Some(Value::from("ticket=abc"))));
    assert_eq!(found(Extract::regex(r"(?:(nope)|ticket=(\w+))", true)), Ok(Some(Value::from("abc"))));
    assert!(found(Extract::regex("nope", true)).is_err());
    for bad in [Extract::json("id", false, false), Extract::header("a b", false), Extract::regex("(", false)] {
        assert!(!bad.unwrap_err().message.is_empty());
    }
}

#[test]
fn a_variable_of_the_environment_that_is_not_set_is_an_error_unless_it_is_asked_for() {
    let compiler = || Compiler::with_env(["BASE_URL", "TOKEN"].map(str::to_owned));
    let names = Names::new();
    for text in [
        "env.BASE_URL ~ env['TOKEN']",
        "env.OTHER | default('x')",
        "env['OTHER'] | d('x') | upper",
        "env.OTHER is defined",
        "env.OTHER if env.OTHER is defined else 1",
        "env[user] is defined",
        "env.OTHER is not defined or env.OTHER == 'x'",
        "env.OTHER is defined and env.BASE_URL is defined and env.OTHER",
        "1 if not (env.OTHER is defined) else env.OTHER",
        "1 if env.OTHER is undefined or env.BASE_URL == '' else env.OTHER",
    ] {
        assert!(compiler().expression(text, &names).is_ok(), "{text}");
        assert!(compiler().template(&format!("a {{{{ {text} }}}}"), &names).is_ok(), "{text}");
    }
    let wrong = |text: &str| compiler().template(text, &names).unwrap_err();
    assert_eq!(&*wrong("{{ env.COLOUR }}").message, "the variable COLOUR is not set; set it, or write ${COLOUR:-default}");
    assert!(
        wrong("{{ env.TOKNE }}").message.starts_with("the variable TOKNE is not set; did you mean `TOKEN`? If not, set it, "),
        "{:?}",
        wrong("{{ env.TOKNE }}")
    );
    for text in [
        "{{ env['NOPE'] }}",
        "{% if env.NOPE %}x{% endif %}",
        "{{ env.NOPE | upper }}",
        "{{ sha256(env.NOPE) }}",
        "{{ env.A | default(env.NOPE) }}",
        "{{ env.NOPE | default(env.NOPE) }}",
        "{{ env.NOPE }}-{{ env.NOPE | default('a') }}",
        "{{ env.NOPE if env.NOPE is not none else 'd' }}",
        "{{ env.NOPE }}-{{ env.NOPE is defined }}",
        "{{ env.NOPE is defined }}-{{ env.NOPE }}",
        "{{ env.NOPE is defined or env.NOPE }}",
        "{{ env.NOPE if env.NOPE is not defined else 1 }}",
        "{{ 1 if env.NOPE is defined else env.NOPE }}",
        "{{ env.NOPE if env.NOPE is defined or user else 1 }}",
        "{% if env.NOPE is defined %}{% else %}{{ env.NOPE }}{% endif %}",
        "{% if env.NOPE is defined %}{% endif %}{{ env.NOPE }}",
    ] {
        assert!(wrong(text).message.contains("the variable NOPE is not set"), "{text}");
    }
    let guarded = "{% if env.NOPE is defined %}{{ env.NOPE }}{% endif %}";
    assert!(compiler().template(guarded, &names).is_ok());
    let text = "a {{ user ~ env.NOPE }}";
    assert_eq!(&text[wrong(text).range], "env.NOPE");
    let json = serde_json::json!({"a": ["{{ env.NOPE }}"]});
    assert!(compiler().json(&json, &names).unwrap_err().message.ends_with("(at $.a[0])"));
}

#[test]
fn what_is_read_of_the_environment_is_known() {
    let mut bench = Bench::new();
    for text in ["env.BASE_URL ~ '/x'", "env['TOKEN'] | upper", "env.A if env.B is defined else 1"] {
        bench.compiler.expression(text, &bench.names).unwrap();
    }
    bench.compiler.template("{% if env.C %}{{ env.D }}{% endif %}", &bench.names).unwrap();
    let read = bench.compiler.env_read();
    assert_eq!(read.names.iter().map(String::as_str).collect::<Vec<_>>(), ["A", "B", "BASE_URL", "C", "D", "TOKEN"]);
    assert!(!read.any);
    for text in ["env[user]", "env | tojson", "env[env.A]"] {
        let mut bench = Bench::new();
        bench.compiler.expression(text, &bench.names).unwrap();
        assert!(bench.compiler.env_read().any, "{text}");
    }
}
