//! What each kind of step does.

use super::*;

#[tokio::test]
async fn answers_are_taken_apart_checked_and_read_by_later_steps() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let [id, limit, ticket, never] = ["id", "limit", "ticket", "never_set"].map(|name| make.symbol(name));
    let mut vote = make.get("/vote");
    vote.extract = vec![
        extract(id, Extract::json("$.id", false, true)),
        extract(limit, Extract::header("X-RateLimit-Remaining", false)),
        extract(ticket, Extract::regex(r"ticket=(\w+)", false)),
        extract(never, Extract::json("$.nope", false, false)),
    ];
    let vote = make.checking(
        vote,
        &[
            "response.status == 201 and response.json.accepted",
            "limit | int == 9 and ticket == 'abc'",
            "response.duration >= response.service and response.service > 0 and response.bytes > 0",
            "response.json.total == 5",
            "response.status == '201'",
            "never_set is undefined and phase == 'steady' and user == 4",
        ],
    );
    let steps =
        vec![make.set(&[("never_set", "'left over'")]), http(vote), http(make.get("/read/{{ id }}?of={{ response.status }}"))];
    let book = Book::default();
    let (end, user) = run(steps, &book).await;
    assert_eq!(end, End::Completed);
    assert_eq!(server.seen(), ["GET /vote", "GET /read/v7?of=201"]);
    // A check that fails or can't be evaluated has failed, and is no error.
    assert_eq!(book.checks(), [(0, true), (1, true), (2, true), (3, false), (4, false), (5, true)]);
    assert_eq!(book.outcomes(), [(Outcome::Ok, None, 201), (Outcome::Ok, None, 200)]);
    assert_eq!(
        [id, limit, ticket, never].map(|name| text(&user, name)),
        [Some("v7".into()), Some("9".into()), Some("abc".into()), None]
    );
    assert_eq!(book.events.borrow().iter().filter(|event| **event == Event::Connected).count(), 1);
    let (_, due, sample) = book.samples()[0];
    assert!(sample.sent > 0 && sample.received > 0 && sample.service > 0 && sample.response >= sample.service);
    assert!(book.events.borrow().iter().all(|event| !matches!(event, Event::Check(_, at, _) if *at != due)));
}

#[tokio::test]
async fn variables_are_set_in_order_and_iterations_begin_without_them() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let [a, b] = ["a", "b"].map(|name| make.symbol(name));
    let flow = Flow {
        steps: vec![
            step(StepKind::Set(vec![(a, SetValue::Constant(Value::from(2)))])),
            make.set(&[("b", "a + 1"), ("a", "b * 10")]),
            make.set(&[("b", "response.json")]),
        ],
    };
    let (book, mut user) = (Book::default(), user());
    assert_eq!(iterate(&flow, &mut user, 0, Instant::now(), &book).await, End::Completed);
    assert_eq!((text(&user, a), text(&user, b)), (Some("30".into()), None));
    assert_eq!(iterate(&Flow::default(), &mut user, 1, Instant::now(), &book).await, End::Completed);
    assert_eq!(text(&user, a), None);
    assert_eq!(user.scope().iteration(), 1);
}

#[tokio::test]
async fn own_metrics() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let steps = vec![
        http(make.get("/vote")),
        step(StepKind::Count(make.amounts(&[(0, "1"), (1, "response.status / 2")]))),
        step(StepKind::Record(make.amounts(&[(2, "-0.5")]))),
        step(StepKind::Count(make.amounts(&[(0, "0 - 1")]))),
    ];
    let book = Book::default();
    let (end, _) = run(steps, &book).await;
    assert_eq!(end, End::Failed);
    let (_, due, _) = book.samples()[0];
    assert!(book.has(&Event::Count(0, 1.0, due)) && book.has(&Event::Count(1, 100.5, due)), "they belong with the request");
    assert!(book.has(&Event::Observe(2, -0.5)));
    assert_eq!(book.details(), ["count: `0 - 1` is negative, and counters only go up"]);
}

#[tokio::test]
async fn what_is_remembered_keeps_its_type() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let values = [serde_json::json!("{{ 40 + 2 }}"), serde_json::json!({"id": "x{{ user }}", "n": [1, "{{ user }}", null]})];
    let values = values.iter().map(|value| (ListId(7), make.json(value))).collect();
    let undefined = vec![(ListId(8), make.json(&serde_json::json!("{{ never_set }}")))];
    let steps = vec![step(StepKind::Remember(values)), step(StepKind::Remember(undefined))];
    let book = Book::default();
    let (end, _) = run(steps, &book).await;
    assert_eq!(end, End::Failed);
    assert!(book.has(&Event::Remember(7, "42".into())), "{:?}", book.events);
    assert!(book.has(&Event::Remember(7, "{'id': 'x4', 'n': [1, 4, None]}".into())), "{:?}", book.events);
    assert_eq!(book.details(), ["remember: `{{ never_set }}` is undefined and can't be sent"]);
}

#[tokio::test]
async fn who_is_to_end_begins_no_request_but_remembers_what_came() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let first = make.get("/first");
    let remember = vec![(ListId(0), make.json(&serde_json::json!("{{ response.status }}")))];
    let book = Book::default();
    book.over.set(true);
    let mut user = user();
    let cut = once(&Flow { steps: vec![http(first)] }, &mut user, &book).await;
    assert_eq!((cut, server.seen().len()), (Err(Halt { end: End::CutShort, why: String::new(), unheld: false }), 0));
    let rest = vec![step(StepKind::Remember(remember)), make.set(&[("a", "1")])];
    assert_eq!(once(&Flow { steps: rest }, &mut user, &book).await, Ok(()));
    assert!(book.has(&Event::Remember(0, "0".into())));
    assert_eq!(user.take_variables().len(), 1);
}

#[tokio::test]
async fn conditions() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let mut steps = Vec::new();
    for (path, condition) in
        [("/a", "1 == 1"), ("/b", "1 == 2"), ("/c", "never_set == 1"), ("/d", "never_set"), ("/e", "'12' > 5")]
    {
        let mut step = http(make.get(path));
        step.condition = Some(make.expression(condition));
        steps.push(step);
    }
    let book = Book::default();
    let (end, _) = run(steps, &book).await;
    assert_eq!((end, server.seen()), (End::Completed, vec!["GET /a".to_owned()]));
}

#[test]
fn pauses_are_as_long_as_they_say() {
    use crate::base::random::Stream;
    use proptest::prelude::*;
    proptest!(|(seed: u64, from in 0u64..10_000, more in 0u64..10_000)| {
        let (from, to) = (Duration::from_millis(from), Duration::from_millis(from + more));
        let mut stream = Stream::keyed(&[seed]);
        prop_assert_eq!(Think::Constant(to).draw(&mut stream), to);
        let drawn = Think::Range(from, to).draw(&mut stream);
        prop_assert!(from <= drawn && drawn <= to);
    });
    let mut stream = Stream::keyed(&[7]);
    for think in [
        Think::Exponential(Duration::from_secs(2)),
        Think::Normal(Duration::from_secs(2)),
        Think::Range(Duration::ZERO, Duration::from_secs(4)),
    ] {
        let mean = (0..20_000).map(|_| think.draw(&mut stream).as_secs_f64()).sum::<f64>() / 20_000.0;
        assert!((mean - 2.0).abs() < 0.06, "{think:?}: {mean}");
    }
}
