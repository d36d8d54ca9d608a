//! Connections that don't open, break off, come back, or are cut off.

use super::*;

#[tokio::test]
async fn a_close_that_nobody_asked_for_is_one_error_at_that_moment() {
    let close = |_, mut socket: Socket| async move {
        socket.next().await;
        socket.close(None).await.unwrap();
        socket
    };
    let mut make = Maker::new("");
    let think = || step(StepKind::Think(Think::Constant(Duration::from_secs(60))));
    let whiles: [Vec<Step>; 3] = [
        vec![make.say("x"), hold()],
        vec![make.say("x"), think()],
        vec![make.say("x"), or_else(hold(), OnError::Continue), make.set(&[("a", "1")])],
    ];
    for steps in whiles {
        let server = Scripted::start(close).await;
        let book = Book::default();
        let (end, _) = run(vec![connected(session(&server.url, vec![], steps))], &book).await;
        assert_eq!(end, End::Failed);
        assert_eq!(book.samples_in_short(), [(9, Outcome::Ok, None), (9, Outcome::Error, Some(Reason::Closed))]);
        assert!(book.has(&Event::Disconnected(Some(Reason::Closed))) && book.has(&Event::Session(9, Outcome::Error)));
    }
    let server = Scripted::start(close).await;
    let book = Book::default();
    let steps = vec![make.say("x"), make.receive("")];
    let (end, _) = run(vec![connected(session(&server.url, vec![], steps))], &book).await;
    assert_eq!(end, End::Failed);
    assert_eq!(book.samples_in_short(), [(9, Outcome::Ok, None), (0, Outcome::Error, Some(Reason::Closed))], "of what waited");
}

#[tokio::test]
async fn what_is_gone_for_good_ends_the_session_whatever_a_step_says() {
    let server = Scripted::start(|_, mut socket: Socket| async move {
        socket.next().await;
        let _ = socket.close(None).await; // the client's own may be under way
        socket
    })
    .await;
    let looping = |make: &mut Maker, first: Step| {
        let steps = [first, make.receive(""), make.count(3, "1")].map(|step| or_else(step, OnError::Continue));
        let forever = Repeat { times: None, ..repeat(0, Flow { steps: steps.into() }) };
        or_else(step(StepKind::Repeat(Box::new(forever))), OnError::Continue)
    };
    let mut make = Maker::new("");
    let first = make.say("x");
    let lost = looping(&mut make, first);
    let closed = looping(&mut make, message(MessageStep::Close(CloseStep::Both)));
    // The receive that waited has its own `on_error`; what stands behind needs a connection.
    for (flow, turns) in [(lost, 1), (closed, 0)] {
        let book = Book::default();
        let (end, _) = run(vec![connected(session(&server.url, vec![], vec![flow]))], &book).await;
        assert_eq!(end, End::Failed);
        assert_eq!(book.samples_in_short()[1..], [(0, Outcome::Error, Some(Reason::Closed))], "one error");
        assert_eq!(book.counts().len(), turns);
    }
}

#[tokio::test]
async fn a_connection_is_brought_back_and_its_numbers_go_on() {
    let mut server = Scripted::start(|number, mut socket: Socket| async move {
        match number {
            0 => {
                publish(&mut socket, 1).await;
                socket.close(None).await.unwrap();
            }
            1 => return drop_unread(socket),
            _ => publish(&mut socket, 3).await,
        }
        socket
    })
    .await;
    let mut make = Maker::new("");
    let follows = make.follows();
    let after = Think::Constant(Duration::from_millis(1));
    let step =
        SessionStep { reconnect: Some(Reconnect { after, times: 2 }), ..session(&server.url, vec![follows], vec![hold()]) };
    let book = Book::default();
    let (ended, ()) = tokio::join!(run(vec![connected(step)], &book), async {
        book.heard(2).await;
        book.ask_to_end();
    });
    assert_eq!(ended.0, End::Completed);
    assert_eq!(book.numbered(), Numbered { received: 2, missed: 1, repeated: 0, reordered: 0 });
    let outcomes: Vec<_> = book.samples_in_short().into_iter().map(|(_, outcome, _)| outcome).collect();
    use Outcome::{Error, Ok};
    assert_eq!(outcomes, [Ok, Error, Ok, Error, Ok], "each loss is reported, and each attempt");
    assert!(book.has(&Event::Session(9, Ok)));
    for _ in 0..2 {
        server.end().await;
    }
    assert_eq!(server.end().await, "a goodbye");
}

/// Closes without a word.
fn drop_unread(mut socket: Socket) -> Socket {
    use std::os::fd::AsFd;
    let stream: std::net::TcpStream = socket.get_mut().as_fd().try_clone_to_owned().unwrap().into();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    socket
}

#[tokio::test]
async fn where_it_does_not_come_back_the_session_fails() {
    let server = Scripted::start(|number, mut socket: Socket| async move {
        assert_eq!(number, 0);
        socket.close(None).await.unwrap();
        socket
    })
    .await;
    let after = Think::Constant(Duration::from_millis(50));
    let step = SessionStep { reconnect: Some(Reconnect { after, times: 3 }), ..session(&server.url, vec![], vec![hold()]) };
    let book = Book::default();
    let (ended, ()) = tokio::join!(run(vec![connected(step)], &book), async {
        while !book.has(&Event::Disconnected(Some(Reason::Closed))) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.task.abort();
    });
    assert_eq!(ended.0, End::Failed);
    let events = book.events.borrow();
    assert_eq!(events.iter().filter(|event| **event == Event::Unconnected(Some(Reason::Refused))).count(), 3);
    assert!(events.contains(&Event::Session(9, Outcome::Error)));
}

#[tokio::test]
async fn whoever_cannot_connect_has_no_session() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    let book = Book::default();
    let (end, _) = run(vec![connected(session(&url, vec![], vec![hold()]))], &book).await;
    assert_eq!(end, End::Failed);
    assert_eq!(book.samples_in_short(), [(9, Outcome::Error, Some(Reason::Refused))]);
    assert!(book.has(&Event::Unconnected(Some(Reason::Refused))) && !book.has(&Event::Session(9, Outcome::Error)));
    let book = Book::default();
    let mut make = Maker::new("");
    let mut step = session("", vec![], vec![]);
    let url = make.compiler.template("ws://{{ never_set }}/", &make.names).unwrap();
    step.connector = Connector::WebSocket(Box::new(websocket::Connector::new(url)));
    run(vec![connected(step)], &book).await;
    assert_eq!(book.samples_in_short(), [(9, Outcome::Error, Some(Reason::Template))]);
    assert!(!book.details()[0].is_empty() && make.steps_so_far() == 0);
}

#[tokio::test]
async fn a_session_that_is_cut_off_was_interrupted() {
    let mut server = Scripted::start(|_, socket| async { socket }).await;
    let mut make = Maker::new("");
    for steps in [vec![hold()], vec![make.receive("")]] {
        let book = Book::default();
        let receives = matches!(&steps[0].kind, StepKind::Message(message) if matches!(**message, MessageStep::Receive(_)));
        let flow = vec![connected(session(&server.url, vec![], steps))];
        tokio::select! {
            _ = run(flow, &book) => panic!("it lasts"),
            () = async {
                while !book.has(&Event::Connected) {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        assert!(book.has(&Event::Disconnected(None)) && book.has(&Event::Session(9, Outcome::Interrupted)));
        let cut: Vec<_> = book.samples_in_short().into_iter().filter(|(_, o, _)| *o == Outcome::Interrupted).collect();
        assert!(cut.len() <= usize::from(receives), "{cut:?}");
        assert_eq!(server.end().await, "a goodbye", "as far as that takes no waiting");
    }
}
