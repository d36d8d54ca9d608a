//! Flows within flows: which are done, how often, when each turn is due, and what a failure in them leads to.

use proptest::prelude::*;

use super::*;

fn choose(number: u32, branches: Vec<(f64, Flow)>) -> Step {
    let weights: Vec<f64> = branches.iter().map(|(weight, _)| *weight).collect();
    let flows = branches.into_iter().map(|(_, flow)| flow).collect();
    step(StepKind::Choose(Choose { number, deck: Deck::new(&weights).unwrap(), flows }))
}

fn repeated(repeat: Repeat) -> Step {
    step(StepKind::Repeat(Box::new(repeat)))
}

fn group(id: u32, flow: Flow) -> Step {
    step(StepKind::Group(Box::new(Group { id: GroupId(id), flow })))
}

/// What each count came to, by metric.
fn sums(book: &Book, metrics: usize) -> Vec<f64> {
    let mut sums = vec![0.0; metrics];
    book.counts().iter().for_each(|(metric, by, _)| sums[*metric as usize] += by);
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn branches_are_taken_by_their_shares(weights in prop::collection::vec(0u32..30, 1..5), decks in 1u64..4) {
        let sum: u32 = weights.iter().sum();
        prop_assume!(sum > 0);
        let mut make = Maker::new("http://127.0.0.1:1");
        let branches = weights.iter().zip(0..).map(|(weight, metric)| (f64::from(*weight), flow([make.count(metric, "1")])));
        let branches: Vec<_> = branches.collect();
        let turns = u64::from(sum) * decks;
        let book = Book::hasty();
        let steps = vec![repeated(repeat(turns, flow([choose(0, branches)])))];
        prop_assert_eq!(at_once(run(steps, &book)).0, End::Completed);
        let taken = sums(&book, weights.len());
        for (taken, weight) in taken.iter().zip(&weights) {
            // With a divisor in common, or more than 100 cards, decks are others; the shares are the same.
            let exact = f64::from(*weight) * decks as f64;
            prop_assert!((taken - exact).abs() <= if sum <= 100 { 0.0 } else { 8.0 }, "{taken} for {exact}");
        }
    }

    #[test]
    fn turns_are_due_by_the_pace_or_when_the_last_one_ended(lengths in prop::collection::vec(0u64..40, 1..12), every in 1u64..30) {
        let mut make = Maker::new("http://127.0.0.1:1");
        // Turn k takes the k-th length.
        let pauses: Vec<Step> = lengths.iter().enumerate().map(|(k, length)| Step {
            condition: Some(make.expression(&format!("index == {k}"))),
            ..think(Duration::from_millis(*length))
        }).collect();
        let steps = std::iter::once(make.count(0, "index")).chain(pauses).collect();
        let every = Duration::from_millis(every);
        let paced = Repeat { every: Some(every), ..repeat(lengths.len() as u64, Flow { steps }) };
        let (book, mut user) = (Book::hasty(), user());
        let start = Instant::now();
        at_once(iterate(&flow([repeated(paced)]), &mut user, 0, start, &book));
        let mut end = start;
        let wanted: Vec<_> = lengths.iter().enumerate().map(|(k, length)| {
            let due = end.max(start + every * k as u32);
            end = due + Duration::from_millis(*length);
            (0, k as f64, due)
        }).collect();
        prop_assert_eq!(book.counts(), wanted);
    }

    #[test]
    fn index_is_that_of_the_innermost_repetition(outer in 0u64..5, inner in 0u64..5) {
        let mut make = Maker::new("http://127.0.0.1:1");
        let within = repeated(repeat(inner, flow([make.count(1, "index")])));
        let steps = flow([make.count(0, "index"), within, make.count(2, "index")]);
        let after = make.count(3, "1 if index is undefined else 0");
        let book = Book::hasty();
        at_once(run(vec![repeated(repeat(outer, steps)), after], &book));
        let mut wanted = Vec::new();
        for turn in 0..outer {
            wanted.push((0, turn as f64));
            wanted.extend((0..inner).map(|turn| (1, turn as f64)));
            wanted.push((2, turn as f64));
        }
        wanted.push((3, 1.0));
        prop_assert_eq!(book.counts().into_iter().map(|(metric, by, _)| (metric, by)).collect::<Vec<_>>(), wanted);
    }
}

#[tokio::test]
async fn a_chance_is_taken_where_its_condition_holds() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let mut maybe = |metric, chance, condition: Option<&str>| {
        let condition = condition.map(|text| make.expression(text));
        step(StepKind::Maybe(Box::new(Maybe { chance, condition, flow: flow([make.count(metric, "1")]) })))
    };
    let steps = flow([
        maybe(0, 1.0, None),
        maybe(1, 0.0, None),
        maybe(2, 1.0, Some("index % 2 == 0")),
        maybe(3, 1.0, Some("never_set > 1")),
        maybe(4, 0.3, None),
    ]);
    let book = Book::hasty();
    run(vec![repeated(repeat(1000, steps))], &book).await;
    let sums = sums(&book, 5);
    assert_eq!(sums[..4], [1000.0, 0.0, 500.0, 0.0]);
    assert!((250.0..350.0).contains(&sums[4]), "{sums:?}");
}

#[tokio::test]
async fn a_repetition_ends_at_the_first_of_its_ends() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let second = Duration::from_secs(1);
    let forever = |flow| Repeat { times: None, ..repeat(0, flow) };
    let turn = |make: &mut Maker, metric| flow([make.count(metric, "1"), think(second)]);
    let drawn = |make: &mut Maker, text: &str| Some(Times::Drawn(make.compiler.template(text, &make.names).unwrap()));
    let steps = vec![
        make.set(&[("a", "4"), ("b", "0")]),
        repeated(Repeat { times: drawn(&mut make, "{{ a }}"), ..repeat(0, turn(&mut make, 0)) }),
        repeated(Repeat {
            condition: Some(make.expression("b < 3")),
            ..forever(flow([make.count(1, "1"), make.set(&[("b", "b + 1")])]))
        }),
        // At 0 s, 1 s and 2 s; the one at 3 s would begin when the time is over.
        repeated(Repeat { lasting: Some(3 * second), ..forever(turn(&mut make, 2)) }),
        repeated(Repeat { lasting: Some(second * 5 / 2), every: Some(second), ..forever(flow([make.count(3, "1")])) }),
        repeated(Repeat { lasting: Some(9 * second), ..repeat(2, turn(&mut make, 4)) }),
        repeated(Repeat { condition: Some(make.expression("never_set > 1")), ..repeat(2, turn(&mut make, 5)) }),
    ];
    let book = Book::hasty();
    assert_eq!(run(steps, &book).await.0, End::Completed);
    assert_eq!(sums(&book, 6), [4.0, 3.0, 3.0, 3.0, 2.0, 0.0]);
    // What can't be a number of turns fails the step.
    for text in ["{{ 'many' }}", "{{ -1 }}", "{{ 1.5 }}", "{{ never_set }}"] {
        let book = Book::hasty();
        let wrong = repeated(Repeat { times: drawn(&mut make, text), ..repeat(0, flow([make.count(0, "1")])) });
        assert_eq!(run(vec![wrong], &book).await.0, End::Failed, "{text}");
        assert_eq!(book.counts(), []);
        assert!(book.details()[0].starts_with("repeat: "), "{:?}", book.details());
    }
}

#[tokio::test]
async fn what_never_takes_time_and_never_ends_is_an_error() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let endless = Repeat {
        times: None,
        condition: Some(make.expression("true")),
        ..repeat(0, flow([repeated(repeat(2, flow([make.set(&[("a", "index")])])))]))
    };
    let book = Book::hasty();
    assert_eq!(run(vec![repeated(endless)], &book).await.0, End::Failed);
    assert!(book.details()[0].contains("took no time at all; give it a number of `times`"), "{:?}", book.details());
}

#[tokio::test]
async fn each_element_of_a_list_has_a_turn() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let variable = make.symbol("id");
    let mut each = |list: &str, steps: Flow| {
        step(StepKind::ForEach(Box::new(ForEach { list: make.expression(list), variable, users: 1, flow: steps })))
    };
    let whole = each("[5, 7, 9]", Flow::default());
    let empty = each("[]", Flow::default());
    let wrong = each("'abc'", Flow::default());
    let missing = each("never_set", Flow::default());
    let turn = make.count(0, "id * 10 + index");
    let last = make.count(1, "id");
    let mut whole = whole;
    if let StepKind::ForEach(each) = &mut whole.kind {
        each.flow = flow([turn]);
    }
    let book = Book::hasty();
    assert_eq!(run(vec![whole, empty, last], &book).await.0, End::Completed);
    let counts: Vec<_> = book.counts().into_iter().map(|(metric, by, _)| (metric, by)).collect();
    assert_eq!(counts, [(0, 50.0), (0, 71.0), (0, 92.0), (1, 9.0)]);
    for (step, message) in [(wrong, "`'abc'` is not a list"), (missing, "`never_set` is not a list")] {
        let book = Book::hasty();
        assert_eq!(run(vec![step], &book).await.0, End::Failed);
        assert_eq!(book.details(), [format!("for_each: {message}")]);
    }
}

#[tokio::test]
async fn groups_are_timed_from_when_they_were_due_to_their_last_end() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let second = Duration::from_secs(1);
    let inner = group(1, flow([think(2 * second)]));
    let failing = or_else(group(2, flow([think(second), make.set(&[("a", "never_set + 1")]), think(second)])), OnError::Continue);
    let book = Book::hasty();
    let steps = vec![think(second), group(0, flow([think(second), inner])), failing, make.count(0, "1")];
    assert_eq!(run(steps, &book).await.0, End::Completed);
    assert_eq!(book.groups(), [(1, 2 * second, Outcome::Ok), (0, 3 * second, Outcome::Ok), (2, second, Outcome::Error)]);
    assert_eq!(book.counts().len(), 1);
}

#[tokio::test]
async fn a_group_that_is_cut_off_says_so_and_a_pause_of_the_run_is_none_of_its_time() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let cut = flow([group(3, flow([http(make.get("/never"))]))]);
    let (book, mut other) = (Book::default(), user());
    tokio::select! {
        end = iterate(&cut, &mut other, 0, Instant::now(), &book) => panic!("{end:?}"),
        () = server.arrival() => {}
    }
    let [(3, length, Outcome::Interrupted)] = book.groups()[..] else { panic!("{:?}", book.groups()) };
    assert!(length > Duration::ZERO);

    let paused = flow([group(0, flow([make.set(&[("a", "1")]), http(make.get("/a"))]))]);
    let (book, mut other) = (Book::default(), user());
    let pause = Duration::from_millis(300);
    let began = Instant::now();
    // Shut once the group has begun: its first step is let through, and then the gate closes.
    book.shut.set(true);
    let open = async {
        book.waiting.notified().await;
        book.shut.set(false);
        book.opened.notify_one();
        // The group's own gate has let it through; what follows is held.
        book.shut.set(true);
        book.waiting.notified().await;
        tokio::time::sleep(pause).await;
        book.shut.set(false);
        book.opened.notify_one();
    };
    let (end, ()) = tokio::join!(iterate(&paused, &mut other, 0, began, &book), open);
    assert_eq!(end, End::Completed);
    let [(0, length, Outcome::Ok)] = book.groups()[..] else { panic!("{:?}", book.groups()) };
    assert!(length + pause <= began.elapsed(), "{length:?}");
}

#[tokio::test]
async fn what_fails_within_a_flow_fails_the_step_around_it() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let mut around = |inner: OnError, outer: OnError| {
        let failing = or_else(make.set(&[("a", "never_set + 1")]), inner);
        let inside = flow([failing, make.count(0, "1")]);
        vec![or_else(step(StepKind::Call(inside)), outer), make.count(1, "1")]
    };
    use OnError::{AbortRun, Continue, EndIteration, EndUser};
    let counted = |book: &Book| book.counts().iter().map(|(metric, ..)| *metric).collect::<Vec<_>>();
    for (inner, outer, wanted, counts) in [
        (EndIteration, EndIteration, "Failed", &[][..]),
        (EndIteration, Continue, "Completed", &[1]),
        (Continue, EndIteration, "Completed", &[0, 1]),
        (EndIteration, EndUser, "EndUser", &[]),
        (EndUser, Continue, "EndUser", &[]),
        (EndIteration, AbortRun, "Abort", &[]),
        (AbortRun, Continue, "Abort", &[]),
    ] {
        let book = Book::hasty();
        let (end, _) = run(around(inner, outer), &book).await;
        assert!(format!("{end:?}").starts_with(wanted), "{inner:?} in {outer:?}: {end:?}");
        assert_eq!(counted(&book), counts, "{inner:?} in {outer:?}");
    }
}

#[tokio::test]
async fn conditions_hold_for_steps_with_flows_too_and_each_looks_at_all_steps() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let left_out = |make: &mut Maker, kind| Step { condition: Some(make.expression("1 > 2")), ..step(kind) };
    let deep = flow([group(0, flow([repeated(repeat(1, flow([make.count(0, "1")])))]))]);
    let book = Book::hasty();
    let call = left_out(&mut make, StepKind::Call(deep));
    let around = Flow { steps: vec![call, make.count(1, "1")] };
    let mut kinds = 0;
    around.each(&mut |_| kinds += 1);
    assert_eq!(kinds, 5);
    assert_eq!(run(around.steps, &book).await.0, End::Completed);
    assert_eq!(book.counts().len(), 1);
}
