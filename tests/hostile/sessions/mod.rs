//! Servers of WebSocket, Socket.IO and TCP that misbehave, through the whole program: each misbehaviour is counted under its reason, as a
//! connection that failed or as one that was lost, the books hold together, and the run ends in its time.

mod case;
mod socketio;
mod tcp;
mod websocket;

use crate::support::books::Books;
use crate::support::hostile::{Hostile, Then};
use crate::support::program::{Bench, count};
use crate::support::websocket::{accept, goodbye};
use case::Case;
use case::Fate::{Fails, Lasts, Lost};

/// How often each server is met.
const TIMES: u64 = 2;

#[test]
fn each_misbehaviour_has_its_reason_and_the_books_hold() {
    let kinds = [("websocket", "ws://", websocket::cases()), ("socketio", "ws://", socketio::cases()), ("tcp", "", tcp::cases())];
    let all = kinds.iter().flat_map(|(protocol, scheme, cases)| cases.iter().map(move |case| (*protocol, *scheme, case)));
    let mut left: Vec<_> = all.collect();
    // Where this machine stood still for a second meanwhile, nobody knows who is to blame: whoever met that is met again.
    for _ in 0..6 {
        let books = met(&left);
        left.retain(|(protocol, _, case)| {
            let connections = books.connections(case.name);
            let reasons = [&books.step(case.step)["errors"], &connections["failures"], &connections["disconnects"]];
            let blames_itself = reasons.iter().any(|reasons| !reasons["local"].is_null());
            if !blames_itself {
                has_its_reason(&books, protocol, case);
            }
            blames_itself
        });
        if left.is_empty() {
            return;
        }
    }
    panic!("this machine stood still each time: {:?}", left.iter().map(|(.., case)| case.name).collect::<Vec<_>>());
}

/// What came of these servers.
fn met(cases: &[(&str, &str, &Case)]) -> Books {
    let (mut scenarios, mut loads) = (String::new(), String::new());
    for (protocol, scheme, Case { name, keys, server, .. }) in cases {
        let connect = format!("{scheme}127.0.0.1:{}", server.port);
        scenarios += &format!("  {name}: {{flow: [{{{protocol}: {{connect: '{connect}', name: {name}, {keys}}}}}]}}\n");
        loads += &format!("      {name}: {{users: 1, iterations: {TIMES}}}\n");
    }
    let profile = format!("name: hostile\nscenarios:\n{scenarios}phases:\n  - name: all\n    duration: 80s\n    load:\n{loads}");
    let books = Books::of(&Bench::new(), &profile, &[]);
    assert!(books.lasted() < 80.0, "it ends once all have done what they were to do");
    books
}

fn has_its_reason(books: &Books, protocol: &str, Case { name, reason, step, fate, says, .. }: &Case) {
    assert_eq!(Books::reasons(&books.step(step)["errors"]), [(*reason, TIMES)], "{protocol} {name}");
    assert!(books.samples(step).iter().all(|sample| sample.contains(says)), "{name}: {:?}", books.samples(step));
    let scenario = books.scenario(name);
    assert_eq!((count(&scenario["iterations"]), count(&scenario["iterations_failed"])), (TIMES, TIMES), "{name}");
    let connections = books.connections(name);
    let (mut failures, mut disconnects) = (vec![], vec![]);
    match fate {
        Fails => failures.push((*reason, TIMES)),
        Lost => disconnects.push((*reason, TIMES)),
        Lasts => {}
    }
    assert_eq!(Books::reasons(&connections["failures"]), failures, "{name}");
    assert_eq!(Books::reasons(&connections["disconnects"]), disconnects, "{name}");
    let opened = if *fate == Fails { 0 } else { TIMES };
    assert_eq!(count(&connections["connects"]), opened, "{name}");
    let sessions = books.sessions(name)["outcomes"].as_object().unwrap();
    let failed = if *reason == "timeout" { "timeout" } else { "error" };
    assert_eq!(sessions.get(failed).map_or(0, count), opened, "a session that fails: {name} {sessions:?}");
    assert_eq!(sessions.values().map(count).sum::<u64>(), opened, "{name}");
}

#[test]
fn nobody_holds_a_run_up_beyond_its_drain() {
    let silent = Hostile::scripted(|_| Then::Stall);
    let mute = Hostile::scripted(|stream| {
        accept(stream);
        // Not even its goodbye is answered.
        goodbye(stream);
        Then::Stall
    });
    let profile = "name: held
scenarios:
  shaking: {flow: [{websocket: {connect: 'ws://127.0.0.1:${SILENT}', timeout: 10m, name: shaking, session: []}}]}
  awaiting: {flow: [{websocket: {connect: 'ws://127.0.0.1:${MUTE}', name: awaiting, session: [{receive: {within: 10m, name: reply}}]}}]}
  staying: {flow: [{websocket: {connect: 'ws://127.0.0.1:${MUTE}', name: staying, session: [{hold: 10m}]}}]}
  asked: {flow: [{websocket: {connect: 'ws://127.0.0.1:${MUTE}', name: asked, session: [{hold: }]}}]}
phases: [{name: short, duration: 1s, drain: 1s, load: {shaking: {users: 2}, awaiting: {users: 2}, staying: {users: 2}, asked: {users: 2}}}]
";
    let books = Books::of(&Bench::new(), profile, &[("SILENT", &silent.port), ("MUTE", &mute.port)]);
    // A second of load, a second of drain, and what a busy machine takes for itself.
    assert!((1.9..30.0).contains(&books.lasted()), "{}", books.lasted());
    for name in ["shaking", "awaiting", "staying", "asked"] {
        let scenario = books.scenario(name);
        assert_eq!((count(&scenario["iterations"]), count(&scenario["iterations_interrupted"])), (2, 2), "{name}\n{}", books.log);
        assert!(books.step(name)["errors"].as_object().unwrap().is_empty(), "{name}: whose fault it is isn't known");
        if name != "shaking" {
            assert_eq!(count(&books.sessions(name)["outcomes"]["interrupted"]), 2, "{name}");
            assert!(Books::reasons(&books.connections(name)["disconnects"]).is_empty(), "{name}");
        }
    }
    for name in ["shaking", "reply"] {
        assert_eq!(count(&books.step(name)["outcomes"]["interrupted"]), 2, "{name}");
    }
}
