//! When steps are due, and what a sample says of a request that was cut off.

use super::*;

fn at_end((_, due, sample): &(u32, Instant, Sample)) -> Instant {
    *due + Duration::from_nanos(sample.response)
}

#[tokio::test]
async fn steps_are_due_when_the_step_before_ended() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let think = Duration::from_millis(15);
    let steps = vec![
        http(make.get("/a")),
        make.set(&[("a", "1")]),
        http(make.get("/b")),
        step(StepKind::Think(Think::Constant(think))),
        http(make.get("/c")),
        or_else(http(make.get("/{{ never_set }}")), OnError::Continue),
        http(make.get("/d")),
    ];
    let (book, mut user) = (Book::default(), user());
    // The user was busy: the arrival had been due for a while.
    let late = Duration::from_millis(250);
    let due = Instant::now().checked_sub(late).unwrap();
    assert_eq!(iterate(&Flow { steps }, &mut user, 0, due, &book).await, End::Completed);
    let samples = book.samples();
    assert_eq!(samples.len(), 5);
    assert_eq!(samples[0].1, due);
    assert!(samples[0].2.response >= 250_000_000);
    assert!(samples[0].2.response - samples[0].2.service >= 250_000_000);
    assert_eq!(samples[1].1, at_end(&samples[0]));
    assert_eq!(samples[2].1, at_end(&samples[1]) + think);
    assert_eq!(*book.slept_until.borrow(), [samples[2].1]);
    assert_eq!(samples[3].1, at_end(&samples[2]));
    assert_eq!(samples[4].1, at_end(&samples[3]));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn thinking_first_delays_what_is_due() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let think = Duration::from_millis(5);
    let steps = vec![step(StepKind::Think(Think::Constant(think))), http(make.get("/a"))];
    let (book, mut user) = (Book::default(), user());
    let due = Instant::now();
    iterate(&Flow { steps }, &mut user, 0, due, &book).await;
    assert_eq!(book.samples()[0].1, due + think);
}

#[tokio::test]
async fn choices_and_pauses_are_the_same_in_every_run() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let a = make.symbol("a");
    let flow = Flow {
        steps: vec![
            make.set(&[("a", "random_int(0, 1000000)")]),
            step(StepKind::Think(Think::Range(Duration::ZERO, Duration::from_millis(3)))),
        ],
    };
    let mut drawn = Vec::new();
    for iteration in [5, 5, 6] {
        let (book, mut user) = (Book::default(), user());
        let due = Instant::now();
        iterate(&flow, &mut user, iteration, due, &book).await;
        let slept = book.slept_until.borrow()[0] - due;
        drawn.push((text(&user, a), slept));
    }
    assert_eq!(drawn[0], drawn[1]);
    assert!(drawn[0].0 != drawn[2].0 && drawn[0].1 != drawn[2].1);
}

#[tokio::test]
async fn a_pause_of_the_run_is_nobodys_response_time() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let flow = Flow { steps: vec![http(make.get("/a"))] };
    let (book, mut user) = (Book::default(), user());
    book.shut.set(true);
    let due = Instant::now();
    let mut held = Duration::ZERO;
    let pause = async {
        book.waiting.notified().await;
        let since = Instant::now();
        tokio::time::sleep(Duration::from_millis(30)).await;
        book.shut.set(false);
        held = since.elapsed();
        book.opened.notify_one();
    };
    let (end, ()) = tokio::join!(iterate(&flow, &mut user, 0, due, &book), pause);
    assert_eq!(end, End::Completed);
    let samples = book.samples();
    assert!(samples[0].1 >= due + held);
    assert!(at_end(&samples[0]) <= Instant::now());
}

#[tokio::test]
async fn a_request_that_is_cut_off_says_so() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let never = make.get("/never");
    let flow = Flow { steps: vec![http(make.get("/a")), http(make.checking(never, &["true"]))] };
    let (book, mut user) = (Book::default(), user());
    {
        let iteration = iterate(&flow, &mut user, 0, Instant::now(), &book);
        let both_arrived = async {
            server.arrival().await;
            server.arrival().await;
        };
        tokio::select! {
            end = iteration => panic!("it ended: {end:?}"),
            () = both_arrived => {}
        }
    }
    let samples = book.samples();
    assert_eq!(book.outcomes(), [(Outcome::Ok, None, 200), (Outcome::Interrupted, None, 0)]);
    assert_eq!((samples[1].0, samples[1].1), (0, at_end(&samples[0])));
    assert!(samples[1].2.response >= samples[1].2.service && samples[1].2.service > 0);
    assert!(book.checks().is_empty() && book.details().is_empty());
    // Both connections are in the books: that of the first request, which the second one took over and broke.
    assert!(book.has(&Event::Connected) && book.has(&Event::Disconnected(None)));
    let open = || {
        book.events
            .borrow()
            .iter()
            .map(|event| i32::from(*event == Event::Connected) - i32::from(matches!(event, Event::Disconnected(_))))
            .sum::<i32>()
    };
    assert_eq!(open(), 0);
    let next = Flow { steps: vec![http(make.get("/b"))] };
    assert_eq!(iterate(&next, &mut user, 1, Instant::now(), &book).await, End::Completed);
    assert_eq!(open(), 1);
    user.close(&book);
    assert_eq!(open(), 0);
}

#[tokio::test]
async fn a_connection_that_is_cut_off_while_it_is_opened_says_so() {
    // Nobody ever answers the handshake of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut make = Maker::new(&format!("https://{}", listener.local_addr().unwrap()));
    let flow = Flow { steps: vec![http(make.get("/a"))] };
    let (book, mut user) = (Book::default(), user());
    tokio::select! {
        end = iterate(&flow, &mut user, 0, Instant::now(), &book) => panic!("it ended: {end:?}"),
        accepted = listener.accept() => drop(accepted),
    }
    assert_eq!(book.outcomes(), [(Outcome::Interrupted, None, 0)]);
    assert!(book.has(&Event::Unconnected(None)) && !book.has(&Event::Connected));
}

#[tokio::test]
async fn dropped_between_requests_nothing_was_interrupted() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let think = step(StepKind::Think(Think::Constant(Duration::from_secs(600))));
    let flow = Flow { steps: vec![http(make.get("/a")), think] };
    let (book, mut user) = (Book::default(), user());
    {
        let mut iteration = std::pin::pin!(iterate(&flow, &mut user, 0, Instant::now(), &book));
        std::future::poll_fn(|cx| {
            assert!(iteration.as_mut().poll(cx).is_pending());
            if book.slept_until.borrow().is_empty() { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
    }
    assert_eq!(book.outcomes(), [(Outcome::Ok, None, 200)]);
}
