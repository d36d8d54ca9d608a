//! What is built once, what is rendered, and what is refused.

use std::sync::Arc;

use http::Method;

use super::*;
use crate::expr::{Compiler, JsonTemplate, Layer, Names, ScenarioValues, Value};
use crate::net::HostPort;

fn lit(text: &str) -> Template {
    Template::literal(text)
}

fn request(change: impl FnOnce(&mut Spec)) -> Result<Request, BuildError> {
    let mut spec = Spec::new(Method::POST, lit("/votes"));
    spec.base_url = Some(lit("http://h.test:8080/api"));
    change(&mut spec);
    Request::new(spec)
}

fn scope(variables: &[(crate::expr::Symbol, Value)]) -> Scope {
    let mut scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
    for (symbol, value) in variables {
        scope.set(Layer::Iteration, *symbol, value.clone());
    }
    scope
}

#[test]
fn what_is_static_is_built_once() {
    let request = request(|spec| {
        spec.query.push(("a b".into(), lit("c&d")));
        spec.headers.push((USER_AGENT, lit("me")));
        spec.headers.push((HeaderName::from_static("x-a"), lit("1")));
        spec.body = Body::Json(JsonTemplate::Static(Bytes::from_static(b"{}")));
    })
    .unwrap();
    let prepared = request.prepare(&scope(&[])).unwrap();
    let (Rendered::Once(address), Rendered::Once(headers)) = (&prepared.address, &prepared.headers) else {
        panic!("rendered again: {prepared:?}");
    };
    assert_eq!(address.path, "/api/votes?a%20b=c%26d");
    assert_eq!(headers[HOST], "h.test:8080");
    assert_eq!(headers[USER_AGENT], "me");
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(headers[ACCEPT_ENCODING], "gzip, deflate");
    assert!(matches!(&prepared.body, Payload::Once(body) if body == "{}"), "{:?}", prepared.body);
}

#[test]
fn what_varies_is_rendered_for_the_user() {
    let mut compiler = Compiler::new();
    let mut names = Names::new();
    names.variable("x");
    let symbol = compiler.symbol("x");
    let mut template = |text: &str| compiler.template(text, &names).unwrap();
    let (url, token, field) = (template("/votes/{{ x }}"), template("Bearer {{ x }}"), template("{{ x }}"));
    let request = request(|spec| {
        spec.url = url;
        spec.query.push(("q".into(), field.clone()));
        spec.headers.push((http::header::AUTHORIZATION, token));
        spec.body = Body::Form(vec![("f g".into(), field)]);
        spec.connections = Connections::Fresh;
    })
    .unwrap();
    let prepared = request.prepare(&scope(&[(symbol, Value::from("a/é&"))])).unwrap();
    assert!(matches!(&prepared.body, Payload::Once(body) if body == "f+g=a%2F%C3%A9%26"), "{:?}", prepared.body);
    assert_eq!(prepared.address.into_owned().path, "/api/votes/a/%C3%A9&?q=a%2F%C3%A9%26");
    let headers = prepared.headers.into_owned();
    assert_eq!(headers[http::header::AUTHORIZATION].as_bytes(), "Bearer a/é&".as_bytes());
    assert_eq!(headers[CONNECTION], "close");
    assert_eq!(headers[HOST], "h.test:8080");
    let error = request.prepare(&scope(&[(symbol, Value::from("secret\n"))])).unwrap_err().to_string();
    assert!(error.contains("authorization") && !error.contains("secret"), "{error}");
}

#[test]
fn what_cannot_be_sent_is_refused_with_what_to_change() {
    let message = |change: fn(&mut Spec)| request(change).unwrap_err().to_string();
    assert_eq!(
        message(|spec| spec.base_url = None),
        "`/votes` is a path, and there is no `base_url` to put before it; \
         set `defaults: {http: {base_url: …}}` or write the whole URL"
    );
    assert_eq!(message(|spec| spec.base_url = Some(lit("ftp://h"))), "`ftp://h` must begin with http:// or https://");
    assert_eq!(
        message(|spec| spec.headers.push((CONTENT_LENGTH, lit("3")))),
        "the header `content-length` follows from the body and how it is sent; leave it out"
    );
    assert!(message(|spec| spec.headers.push((HOST, lit("a\nb")))).contains("`host`"));
    assert_eq!(
        message(|spec| spec.hosts = Some(Arc::new([HostPort::parse("127.0.0.1").unwrap()]))),
        "`/votes` goes to `h.test`, which is not among `limits: {hosts: …}`"
    );
}

#[test]
fn what_is_rendered_under_names_of_secrets_is_reported() {
    use crate::protocol::http::upload::{BodyPart, Content, Multipart};
    let mut compiler = Compiler::new();
    let mut names = Names::new();
    names.variable("v");
    let symbol = compiler.symbol("v");
    let mut template = |text: &str| compiler.template(text, &names).unwrap();
    let (value, path) = (template("{{ v }}"), template("/p?a=1&token={{ v }}"));
    let json = compiler.json(&serde_json::json!({"user": {"password": "{{ v }}", "name": "{{ v }}"}}), &names).unwrap();
    let open = compiler.json(&serde_json::json!({"name": "{{ v }}", "password": "known"}), &names).unwrap();
    assert!(json.may_hold_secrets());
    let field = |name: &str| vec![(name.to_owned(), value.clone())];
    let part = |name: &str| {
        let content = Content::Value(value.clone());
        BodyPart { name: lit(name), content, filename: None, content_type: None, digest: false }
    };
    let parts = |name| Body::Multipart(Multipart { parts: vec![part(name)] });
    let credentials = |change: &dyn Fn(&mut Spec)| {
        let request = request(change).unwrap();
        let prepared = request.prepare(&scope(&[(symbol, Value::from("s3/cret +1"))])).unwrap();
        request.credentials(&prepared).secrets().collect::<Vec<_>>()
    };
    let secret: [&dyn Fn(&mut Spec); 5] = [
        &|spec| spec.query = field("access_token"),
        &|spec| spec.url = path.clone(),
        &|spec| spec.body = Body::Form(field("password")),
        &|spec| spec.body = Body::Json(json.clone()),
        &|spec| spec.body = parts("password"),
    ];
    for (at, change) in secret.iter().enumerate() {
        assert!(credentials(change).contains(&"s3/cret +1".to_owned()), "{at}: {:?}", credentials(change));
    }
    let others: [&dyn Fn(&mut Spec); 4] = [
        &|spec| spec.query = field("page"),
        &|spec| spec.body = Body::Form(field("name")),
        &|spec| spec.body = Body::Json(open.clone()),
        &|spec| spec.body = parts("name"),
    ];
    for (at, change) in others.iter().enumerate() {
        assert!(!credentials(change).contains(&"s3/cret +1".to_owned()), "{at}: {:?}", credentials(change));
    }
    let constant = request(|spec| spec.url = lit("/p?token=s3cret")).unwrap();
    assert_eq!(constant.constant_credentials().secrets().collect::<Vec<_>>(), ["s3cret"]);
}
