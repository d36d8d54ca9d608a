//! Turns that several users take at the same time.

use super::*;

fn parallel(users: u32, repeat: Repeat) -> Step {
    step(StepKind::Repeat(Box::new(Repeat { users, ..repeat })))
}

fn sorted(book: &Book) -> Vec<u64> {
    let mut counts: Vec<u64> = book.counts().iter().map(|(_, by, _)| *by as u64).collect();
    counts.sort_unstable();
    counts
}

#[tokio::test]
async fn each_turn_is_taken_once_by_users_with_connections_of_their_own() {
    let server = Server::start().await;
    let mut make = Maker::new(&server.url);
    let steps = flow([http(make.get("/{{ a }}/{{ index }}")), make.count(0, "index")]);
    let book = Book::default();
    let (end, _) = run(vec![make.set(&[("a", "'x'")]), parallel(3, repeat(20, steps))], &book).await;
    assert_eq!(end, End::Completed);
    assert_eq!(sorted(&book), (0..20).collect::<Vec<_>>());
    assert_eq!(server.seen().len(), 20);
    let events = book.events.borrow();
    let count = |wanted: &Event| events.iter().filter(|event| *event == wanted).count();
    assert_eq!((count(&Event::Connected), count(&Event::Disconnected(None))), (3, 3));
}

#[tokio::test]
async fn turns_overlap_and_the_step_ends_with_the_last_of_them() {
    let second = Duration::from_secs(1);
    let book = Book::hasty();
    let mut make = Maker::new("http://127.0.0.1:1");
    let start = Instant::now();
    // Ten turns of a second by four users: three rounds.
    let steps = flow([parallel(4, repeat(10, flow([think(second)]))), make.count(0, "1")]);
    iterate(&steps, &mut user(), 0, start, &book).await;
    assert_eq!(book.counts(), [(0, 1.0, start + 3 * second)]);
}

#[tokio::test]
async fn what_a_turn_sets_is_its_own_and_its_choices_depend_on_its_index() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let a = make.symbol("a");
    let mut turns = |users| {
        let steps = flow([
            make.set(&[("a", "a + 1 + index")]),
            think(Duration::from_millis(1)),
            make.count(0, "a * 1000 + index"),
            make.count(1, "random_int(0, 1000000)"),
        ]);
        vec![make.set(&[("a", "5")]), parallel(users, repeat(12, steps))]
    };
    let (one, other) = (Book::hasty(), Book::hasty());
    let (_, user) = run(turns(2), &one).await;
    run(turns(5), &other).await;
    assert_eq!(text(&user, a), Some("5".into()));
    let of = |book: &Book, metric| {
        let mut of: Vec<u64> = book.counts().iter().filter(|(id, ..)| *id == metric).map(|(_, by, _)| *by as u64).collect();
        of.sort_unstable();
        of
    };
    assert_eq!(of(&one, 0), (0..12).map(|index| (6 + index) * 1000 + index).collect::<Vec<_>>());
    // However many users there are.
    assert_eq!(of(&one, 1), of(&other, 1));
}

#[tokio::test]
async fn the_first_failure_fails_the_step_after_the_others_have_ended() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let second = Duration::from_secs(1);
    let failing = Step { condition: Some(make.expression("index == 2")), ..make.set(&[("a", "never_set + 1")]) };
    let steps = flow([failing, think(second), make.count(0, "index")]);
    let book = Book::hasty();
    let (end, _) = run(vec![parallel(3, repeat(100, steps))], &book).await;
    assert_eq!(end, End::Failed);
    // Those that were under way.
    assert_eq!(sorted(&book), [0, 1]);
    assert_eq!(book.details().len(), 1);
}

#[tokio::test]
async fn a_list_and_a_pace_are_shared_too() {
    let mut make = Maker::new("http://127.0.0.1:1");
    let variable = make.symbol("id");
    let each = ForEach {
        list: make.expression("range(7)"),
        variable,
        users: 3,
        flow: flow([think(Duration::from_millis(2)), make.count(0, "id")]),
    };
    let paced = Repeat { every: Some(Duration::from_secs(1)), ..repeat(4, flow([make.count(1, "index")])) };
    let book = Book::hasty();
    let start = Instant::now();
    iterate(&flow([step(StepKind::ForEach(Box::new(each)))]), &mut user(), 0, start, &book).await;
    assert_eq!(sorted(&book), [0, 1, 2, 3, 4, 5, 6]);
    let book = Book::hasty();
    iterate(&flow([parallel(2, paced)]), &mut user(), 0, start, &book).await;
    let mut counts = book.counts();
    counts.sort_by_key(|(.., at)| *at);
    assert_eq!(counts, (0..4).map(|k| (1, f64::from(k), start + Duration::from_secs(1) * k)).collect::<Vec<_>>());
}
