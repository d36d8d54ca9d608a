//! What is sent of headers and of `auth` where a value is empty.

use super::*;

#[test]
fn an_auth_that_the_environment_leaves_empty_is_not_there_and_a_header_is_left_out() {
    let plan = plan_with(
        "name: test
defaults: {http: {base_url: 'http://127.0.0.1:1', auth: {bearer: general}, headers: {x-a: general}}}
scenarios:
  a:
    flow:
      - http: {get: /0, auth: {bearer: '${NOPE:-}'}, headers: {x-a: '${NOPE:-}'}}
      - http: {get: /1, auth: {basic: {user: '${NOPE:-}', password: '${NOPE:-}'}}}
      - http: {get: /2, headers: {authorization: '${NOPE:-}'}}
      - http: {get: /3, headers: {authorization: 'Bearer ${NOPE:-}'}}
      - http: {get: /4, auth: {bearer: ''}, headers: {x-a: ''}}
      - http: {get: /5, headers: {authorization: ''}}
      - http: {get: /6, auth: {bearer: 'own${NOPE:-}'}}
      - http: {get: /7, auth: {basic: {user: ann, password: '${NOPE:-}'}}}
      - http: {get: /8, headers: {x-a: '${SCHEME}'}}
phases: [{name: p, duration: 1s, load: {a: {users: 1}}}]",
        &[("NOPE", ""), ("SCHEME", "Bearer")],
    );
    let sent = |step: usize| {
        let spec = http(&plan, 0, step).request.spec();
        let header = |name: &str| spec.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_static());
        (header("authorization").map(str::to_owned), header("x-a").map(str::to_owned), spec.basic.is_some())
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(sent(0), (text("Bearer general"), None, false));
    assert_eq!(sent(1), (text("Bearer general"), text("general"), false));
    for step in [2, 3] {
        assert_eq!(sent(step), (None, text("general"), false), "{step}");
    }
    assert_eq!(sent(4), (None, text(""), false));
    assert_eq!(sent(5), (None, text("general"), false));
    assert_eq!(sent(6), (text("Bearer own"), text("general"), false));
    assert_eq!(sent(7), (None, text("general"), true));
    assert_eq!(sent(8), (text("Bearer general"), text("Bearer"), false));
}

#[test]
fn before_the_sign_in_the_defaults_may_lack_what_a_step_leaves_to_them() {
    for defaults in [
        "auth: {bearer: '{{ token }}'}",
        "auth: {basic: {user: ann, password: '{{ token }}'}}",
        "headers: {authorization: 'Bearer {{ token }}'}",
    ] {
        let plan = plan_with(
            &format!(
                "name: test
defaults: {{http: {{base_url: 'http://127.0.0.1:1', {defaults}}}}}
scenarios:
  a:
    start:
      - http: {{get: /0, auth: {{bearer: '${{NOPE:-}}'}}}}
      - http: {{get: /1, headers: {{authorization: '${{NOPE:-}}'}}}}
      - http: {{get: /2, auth: {{bearer: '{{{{ own }}}}'}}}}
      - {{set: {{token: 1, own: 2}}}}
    flow: {{http: {{get: /}}}}
phases: [{{name: p, duration: 1s, load: {{a: {{users: 1}}}}}}]"
            ),
            &[("NOPE", "")],
        );
        let start = plan.scenarios[0].start.as_ref().unwrap();
        let each = |step: usize| match &start.steps[step].kind {
            StepKind::Http(http) => {
                let spec = http.request.spec();
                let sent = spec.basic.is_some() || spec.headers.iter().any(|(name, _)| name == "authorization");
                (sent, spec.may_lack.iter().any(|name| name == "authorization"))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!([0, 1, 2].map(each), [(true, true), (false, false), (true, false)], "{defaults}");
    }
}

#[test]
fn an_auth_that_says_nothing_is_an_error() {
    for (auth, wrong) in
        [("{}", true), ("{basic: {}}", true), ("{basic: {user: '${NOPE:-}'}}", false), ("{bearer: '${NOPE:-}'}", false)]
    {
        let text = format!(
            "name: test
scenarios: {{a: {{flow: {{http: {{get: 'http://127.0.0.1:1/', auth: {auth}}}}}}}}}
phases: [{{name: p, duration: 1s, load: {{a: {{users: 1}}}}}}]"
        );
        let env = Env::from_iter([("NOPE", "")]);
        let message = match load_text(Path::new("test.yml"), text, &env, &[], Options::default()) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        };
        assert_eq!(message.contains("`auth` is one of basic"), wrong, "{auth}: {message}");
    }
}
