//! What goes wrong, under which reason, and what it leads to.

use super::*;

#[tokio::test]
async fn on_error() {
    let server = Server::start().await;
    for (on_error, end, requests) in [
        (OnError::EndIteration, End::Failed, 1),
        (OnError::Continue, End::Completed, 2),
        (OnError::EndUser, End::EndUser, 1),
        (OnError::AbortRun, End::Abort("step `/broken` failed (status): status 500".into()), 1),
    ] {
        let mut make = Maker::new(&server.url);
        let steps = vec![or_else(http(make.get("/broken")), on_error), http(make.get("/after"))];
        let book = Book::default();
        let (ended, _) = run(steps, &book).await;
        assert_eq!((ended, book.samples().len()), (end, requests), "{on_error:?}");
        assert_eq!(book.outcomes()[0], (Outcome::Error, Some(Reason::Status), 500));
        assert!(book.has(&Event::Failure(0, Reason::Status, 500, "status 500".into(), "oh no".into())));
    }
}

#[tokio::test]
async fn expectations() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let mut step_of = |path: &str, status: Vec<std::ops::RangeInclusive<u16>>, that: &[&str]| {
        let mut step = make.get(path);
        step.expect = Expect { status, that: that.iter().map(|text| make.expression(text)).collect() };
        or_else(http(step), OnError::Continue)
    };
    let steps = vec![
        step_of("/busy", vec![200..=201, 429..=429], &["response.headers['retry-after'] == '1'", "not response.ok"]),
        step_of("/vote", vec![200..=399], &["response.json.accepted", "response.json.id == 'other'"]),
        step_of("/vote", vec![200..=399], &["response.json.nope > 1"]),
        step_of("/vote", vec![200..=200], &["response.json.nope > 1"]),
        step_of("/missing", vec![400..=499], &[]),
    ];
    let book = Book::default();
    let (end, _) = run(steps, &book).await;
    assert_eq!(end, End::Completed);
    let error = |reason, status| (Outcome::Error, Some(reason), status);
    let expected = [
        (Outcome::Ok, None, 429),
        error(Reason::Expect, 201),
        error(Reason::Expect, 201),
        error(Reason::Status, 201),
        (Outcome::Ok, None, 404),
    ];
    assert_eq!(book.outcomes(), expected);
    let details = [
        "`response.json.id == 'other'` does not hold",
        "`response.json.nope` is undefined and can't be compared",
        "status 201 instead of 200",
    ];
    assert_eq!(book.details(), details);
}

/// Which steps' requests were reported as lost.
fn lost(book: &Book) -> Vec<u32> {
    book.events.borrow().iter().filter_map(|event| if let Event::Lost(step) = event { Some(*step) } else { None }).collect()
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_lost() {
    let server = Server::start().await;
    let closes = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (away, breaks) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), closes.local_addr().unwrap());
    let refused = away.local_addr().unwrap();
    drop(away);
    let closing = tokio::spawn(async move {
        let answers = ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"];
        for answer in answers {
            let (mut stream, _) = closes.accept().await.unwrap();
            request(&mut stream, &mut Vec::new()).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let mut make = Maker::new(&server.url);
    let mut late = make.get("/never");
    let mut spec = late.request.spec().clone();
    spec.timeout = Duration::from_millis(50);
    late.request = Request::new(spec).unwrap();
    let mut steps = vec![late, make.get("/vote"), make.get("/broken"), make.get("/read/{{ never_set }}")];
    make.url = format!("http://{refused}");
    steps.push(make.get("/"));
    make.url = format!("http://{breaks}");
    steps.extend([make.get("/nothing"), make.get("/half")]);
    let steps = steps.into_iter().map(|one| or_else(http(one), OnError::Continue)).collect();
    let book = Book::default();
    run(steps, &book).await;
    closing.await.unwrap();
    assert_eq!(book.samples().len(), 7);
    assert_eq!(lost(&book), [0, 5, 6], "{:?}", book.details());
    // What is cut off may have been sent.
    make.url = server.url.clone();
    let (book, mut user, steps) = (Book::default(), user(), flow([http(make.get("/never"))]));
    let arrived = async {
        while server.seen().iter().filter(|seen| *seen == "GET /never").count() < 2 {
            server.arrival().await;
        }
    };
    tokio::select! {
        _ = iterate(&steps, &mut user, 0, Instant::now(), &book) => panic!("it has no end"),
        () = arrived => {}
    }
    assert_eq!((lost(&book), book.outcomes()), (vec![7], vec![(Outcome::Interrupted, None, 0)]));
}

#[tokio::test]
async fn what_cannot_be_rendered_is_not_sent() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let request = make.get("/read/{{ never_set }}");
    let request = make.checking(request, &["response.status == 0 and response.error == 'template'", "response.json.id == 1"]);
    let steps = vec![
        http(make.get("/first")),
        or_else(http(request), OnError::Continue),
        or_else(make.set(&[("a", "never_set + 1")]), OnError::Continue),
        or_else(step(StepKind::Count(make.amounts(&[(0, "response.json.n")]))), OnError::Continue),
        http(make.get("/last/{{ response.status }}")),
    ];
    let book = Book::default();
    let (end, _) = run(steps, &book).await;
    assert_eq!((end, server.seen()), (End::Completed, vec!["GET /first".to_owned(), "GET /last/0".to_owned()]));
    let (step, _, sample) = book.samples()[1];
    assert_eq!((step, sample.outcome, sample.reason), (0, Outcome::Error, Some(Reason::Template)));
    assert_eq!((sample.service, sample.sent, sample.status), (0, 0, 0));
    assert_eq!(book.checks(), [(0, true), (1, false)]);
    let details = [
        "`never_set` is undefined and can't be sent",
        "set: `never_set` is undefined and can't be calculated with",
        "count: `response.json.n` is undefined, where a number is wanted",
    ];
    assert_eq!(book.details(), details);
}

#[tokio::test]
async fn a_required_value_that_is_missing_is_an_error() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let [a, b] = ["a", "b"].map(|name| make.symbol(name));
    let mut get = make.get("/vote");
    get.extract = vec![extract(a, Extract::json("$.nope", false, true)), extract(b, Extract::json("$.id", false, true))];
    let mut failed = make.get("/broken");
    failed.extract = vec![extract(b, Extract::json("$.id", false, true))];
    let steps = vec![or_else(http(get), OnError::Continue), http(failed)];
    let book = Book::default();
    let (end, user) = run(steps, &book).await;
    assert_eq!(end, End::Failed);
    // The status comes first; a value of before is not left standing.
    assert_eq!(book.outcomes(), [(Outcome::Error, Some(Reason::Data), 201), (Outcome::Error, Some(Reason::Status), 500)]);
    assert_eq!((text(&user, a), text(&user, b)), (None, None));
    assert_eq!(book.details()[0], "nothing found at `$.nope`, which is required");
}

#[tokio::test]
async fn without_a_target() {
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut make = Maker::new(&format!("http://127.0.0.1:{port}"));
    let get = make.get("/");
    let steps = vec![http(make.checking(get, &["response.error == 'refused' and response.status == 0 and not response.ok"]))];
    let book = Book::default();
    let (end, _) = run(steps, &book).await;
    assert_eq!((end, book.outcomes()), (End::Failed, vec![(Outcome::Error, Some(Reason::Refused), 0)]));
    assert_eq!(book.checks(), [(0, true)]);
    assert!(book.has(&Event::Unconnected(Some(Reason::Refused))) && !book.has(&Event::Connected));
}

#[tokio::test]
async fn time_limits() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let mut slow = make.get("/never");
    let mut spec = slow.request.spec().clone();
    spec.timeout = Duration::from_millis(20);
    slow.request = Request::new(spec).unwrap();
    let slow = make.checking(slow, &["response.status == 0 and response.error == 'timeout'"]);
    let book = Book::default();
    let (end, _) = run(vec![http(slow)], &book).await;
    assert_eq!(
        (end, book.outcomes(), book.checks()),
        (End::Failed, vec![(Outcome::Timeout, Some(Reason::Timeout), 0)], vec![(0, true)])
    );
    let (_, _, sample) = book.samples()[0];
    assert!(sample.response >= 20_000_000 && sample.service > 0);
}

#[tokio::test]
async fn what_was_given_up_at_a_time_limit_timed_out_with_all_that_it_stands_in() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let mut slow = |on_error| {
        let mut slow = make.get("/never");
        let mut spec = slow.request.spec().clone();
        spec.timeout = Duration::from_millis(20);
        slow.request = Request::new(spec).unwrap();
        or_else(http(slow), on_error)
    };
    let mut cases = vec![
        (slow(OnError::EndIteration), Outcome::Timeout),
        (slow(OnError::EndUser), Outcome::Timeout),
        (slow(OnError::AbortRun), Outcome::Timeout),
        (slow(OnError::Continue), Outcome::Ok),
    ];
    let (every, within) = (Duration::from_millis(5), Duration::from_millis(12));
    let never = Eventually { every, within, flow: flow([http(make.get("/broken"))]) };
    cases.push((step(StepKind::Eventually(Box::new(never))), Outcome::Timeout));
    cases.push((http(make.get("/broken")), Outcome::Error));
    cases.push((http(make.get("/after")), Outcome::Ok));
    for (number, (one, outcome)) in cases.into_iter().enumerate() {
        let group = step(StepKind::Group(Box::new(Group { id: GroupId(0), flow: flow([one]) })));
        let book = Book::default();
        let of_iteration = outcome_of(vec![group], &book).await;
        let of_groups: Vec<Outcome> = book.groups().into_iter().map(|(_, _, outcome)| outcome).collect();
        assert_eq!((of_iteration, of_groups), (outcome, vec![outcome]), "case {number}");
    }
}
