//! Attempts: how many there are, when, and whose checks count.

use proptest::prelude::*;

use super::*;

fn eventually(within: Duration, every: Duration, flow: Flow) -> Step {
    step(StepKind::Eventually(Box::new(Eventually { within, every, flow })))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn attempts_begin_by_their_pace_until_one_succeeds_or_the_time_is_over(
        needed in 1u64..12, every in 1u64..20, length in 0u64..30, within in 1u64..150,
    ) {
        let mut make = Maker::new("http://127.0.0.1:1");
        let failing = make.set(&[("b", "1 if a >= id else never_set + 1")]);
        let first = make.set(&[("a", "0"), ("id", &needed.to_string())]);
        let attempt = flow([make.set(&[("a", "a + 1")]), make.count(0, "a"), think(Duration::from_millis(length)), failing]);
        let ms = Duration::from_millis;
        let steps = Flow { steps: vec![first, eventually(ms(within), ms(every), attempt), make.count(1, "1")] };
        let (book, mut user) = (Book::hasty(), user());
        let start = Instant::now();
        let end = at_once(iterate(&steps, &mut user, 0, start, &book));
        let (mut wanted, mut due, mut succeeded) = (Vec::new(), 0, false);
        for attempt in 1.. {
            wanted.push((0, attempt as f64, start + ms(due)));
            succeeded = attempt == needed && due + length <= within;
            let next = (every * attempt).max(due + length);
            if succeeded || next > within {
                break;
            }
            due = next;
        }
        if succeeded {
            wanted.push((1, 1.0, start + ms(due + length)));
        }
        prop_assert_eq!(book.counts(), wanted);
        prop_assert_eq!(end, if succeeded { End::Completed } else { End::Failed });
    }
}

/// A request whose check wants `a` to be at least `least`; before it `a` grows by 1.
fn attempt(make: &mut Maker, least: u32) -> Flow {
    let request = make.get("/a");
    let request = make.checking(request, &[&format!("a >= {least}"), "response.ok"]);
    flow([make.set(&[("a", "a | default(0) + 1")]), http(request)])
}

#[tokio::test]
async fn checks_of_attempts_that_failed_are_no_failed_checks() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let flow = attempt(&mut make, 3);
    let book = Book::default();
    let (end, _) = run(vec![eventually(Duration::from_secs(60), Duration::from_millis(1), flow)], &book).await;
    assert_eq!(end, End::Completed);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(book.checks(), [(0, true), (1, true)]);
}

#[tokio::test]
async fn one_that_is_cut_off_leaves_its_checks_unclear() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let flow = Flow { steps: vec![eventually(Duration::from_secs(60), Duration::from_millis(1), attempt(&mut make, 1_000_000))] };
    let (book, mut user) = (Book::default(), user());
    tokio::select! {
        end = iterate(&flow, &mut user, 0, Instant::now(), &book) => panic!("it ended: {end:?}"),
        () = async {
            server.arrival().await;
            server.arrival().await;
        } => {}
    }
    assert!(book.has(&Event::Undone(vec![0, 1])), "those of the first attempt");
    assert!(book.checks().is_empty());
}

#[tokio::test]
async fn the_last_attempt_counts_and_says_what_did_not_hold() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let flow = attempt(&mut make, 1_000_000);
    let book = Book::default();
    let limit = eventually(Duration::from_millis(40), Duration::from_millis(15), flow);
    let (end, _) = run(vec![or_else(limit, OnError::AbortRun)], &book).await;
    let End::Abort(why) = end else { panic!("{end:?}") };
    assert_eq!(why, "eventually: 40ms were not enough: `a >= 1000000` did not hold");
    assert_eq!(book.details(), [why]);
    assert!(!server.seen().is_empty());
    assert_eq!(book.checks(), [(0, false), (1, true)]);
}

#[tokio::test]
async fn a_step_that_failed_fails_the_attempt_even_where_the_flow_goes_on() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let broken = or_else(http(make.get("/broken")), OnError::Continue);
    let fine = Step { condition: Some(make.expression("a > 2")), ..http(make.get("/a")) };
    let broken = Step { condition: Some(make.expression("a <= 2")), ..broken };
    let flow = flow([make.set(&[("a", "a | default(0) + 1")]), broken, fine]);
    let book = Book::default();
    let (end, _) = run(vec![eventually(Duration::from_secs(60), Duration::from_millis(1), flow)], &book).await;
    assert_eq!(end, End::Completed);
    assert_eq!(server.seen(), ["GET /broken", "GET /broken", "GET /a"]);
}

#[tokio::test]
async fn within_an_attempt_another_attempt_is_part_of_it() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let inner = eventually(Duration::from_secs(60), Duration::from_millis(1), attempt(&mut make, 2));
    let request = make.get("/b");
    let last = make.checking(request, &["a >= 3"]);
    let outer = eventually(Duration::from_secs(60), Duration::from_millis(1), flow([inner, http(last)]));
    let book = Book::default();
    assert_eq!(run(vec![outer], &book).await.0, End::Completed);
    assert_eq!(server.seen(), ["GET /a", "GET /a", "GET /b", "GET /a", "GET /b"]);
    // Of the first round nothing is reported, though its inner attempt had succeeded.
    assert_eq!(book.checks(), [(0, true), (1, true), (0, true)]);
}

#[tokio::test]
async fn the_end_of_the_user_ends_attempts_too() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let request = make.get("/broken");
    let request = make.checking(request, &["response.status == 500"]);
    let flow = flow([or_else(http(request), OnError::EndUser)]);
    let book = Book::default();
    let steps = vec![eventually(Duration::from_secs(60), Duration::from_millis(1), flow)];
    assert_eq!(run(steps, &book).await.0, End::EndUser);
    assert_eq!((server.seen().len(), book.checks()), (1, vec![(0, true)]));
}

#[tokio::test]
async fn how_the_last_attempts_checks_failed_is_reported() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let flow = flow([step(StepKind::Http(Box::new({
        let request = make.get("/broken");
        make.checking(request, &["response.status == 200", "response.json.nope > 1", "response.status == 500"])
    })))]);
    let book = Book::default();
    // The second would come too late.
    let mut steps = vec![eventually(Duration::from_millis(1), Duration::from_secs(60), flow)];
    steps[0].on_error = OnError::Continue;
    let (end, _) = run(steps, &book).await;
    assert_eq!((end, book.checks()), (End::Completed, vec![(0, false), (1, false), (2, true)]));
    assert!(book.has(&Event::Unheld(0, "response.status == 200 was 500 == 200".into())), "{:?}", book.events);
    let unclear = "response.json.nope > 1 could not be evaluated: `response.json.nope` is undefined and can't be compared";
    assert!(book.has(&Event::Unheld(1, unclear.into())), "{:?}", book.events);
}
