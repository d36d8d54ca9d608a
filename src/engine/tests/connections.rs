//! The gauge of open connections: what the server sees is what it says, and nothing is left after a run.

use crate::base::Protocol;

use super::*;

fn open(store: &Store) -> i64 {
    store.gauges.connections(ScenarioId(0), Protocol::Http)
}

fn with(server: &Server, http: &str, path: &str, phases: &str) -> Plan {
    plan(server, &format!("scenarios: {{s: {{flow: {{http: {{get: \"{path}\", name: get{http}}}}}}}}}\nphases: {phases}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gauge_says_what_is_open() {
    for (http, expected) in [("", 6), (", connections: {shared: 4}", 4), (", reuse: false", 0)] {
        let server = Server::start();
        let plan = plan(
            &server,
            &format!(
                "scenarios: {{s: {{flow: [{{http: {{get: /a, name: a{http}}}}}, {{http: {{get: /wait/30, name: b{http}}}}}, {{if: iteration == 1, think: 60s}}]}}}}\n\
                 phases: [{{name: a, duration: 60s, load: {{s: {{users: 6}}}}}}]"
            ),
        );
        let mut going = Going::start(plan, workers(2));
        going.until_started(0).await;
        until("all think", || server.count("/wait") == 12).await;
        until("what is open is shown", || open(&going.store) == expected && server.open() == expected as u64).await;
        going.send(Control::Interrupt).await;
        let done = going.finish().await;
        done.check();
        until("the server sees them closed", || server.open() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_that_leave_close_their_own_and_leave_the_shared_ones() {
    for (http, expected) in [("", 1), (", connections: {shared: 3}", 3)] {
        let server = Server::start();
        let plan = with(
            &server,
            http,
            "/wait/5",
            "[{name: a, stages: [{duration: 300ms, load: {s: {users: 5}}}, {duration: 60s, load: {s: {users: 1}}}]}]",
        );
        let mut going = Going::start(plan, workers(1));
        going.until_started(0).await;
        until("four have left", || going.store.gauges.users(ScenarioId(0)) == 1).await;
        until("the gauge follows", || open(&going.store) == expected && server.open() == expected as u64).await;
        going.send(Control::Stop).await;
        going.finish().await.check();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_requests_leave_nothing_open() {
    for http in ["", ", connections: {shared: 3}", ", reuse: false"] {
        for path in ["/hold", "/wait/3"] {
            let server = Server::start();
            let phases = "[{name: a, duration: 100ms, drain: 20ms, load: {s: {users: 7}}}, {name: b, duration: 100ms, load: {}}, \
                          {name: c, duration: 100ms, drain: 0s, load: {s: {rate: 200/s, max_users: 5}}}]";
            let mut going = Going::start(with(&server, http, path, phases), workers(2));
            let mut least = 0;
            let ending = loop {
                let store = going.store.clone();
                let ending = going.next().await;
                least = least.min(open(&store));
                if let Some(ending) = ending {
                    break ending;
                }
            };
            assert_eq!((ending, least), (Ending::Completed, 0), "never below nothing{http}");
            let Going { drained, started, store, plan, .. } = going;
            Done { ending: Ending::Completed, drained, started, store, plan }.check();
            until("the server sees them closed", || server.open() == 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_limits_and_a_user_that_goes_on_after_them_are_counted_once() {
    for http in [", timeout: 20ms", ", timeout: 20ms, connections: {shared: 2}", ", timeout: 20ms, reuse: false"] {
        let server = Server::start();
        let plan = with(&server, http, "/hold", "[{name: a, duration: 20s, load: {s: {users: 2, iterations: 6}}}]");
        let mut going = Going::start(plan, workers(1));
        let store = going.store.clone();
        going.until_started(0).await;
        let done = going.finish().await;
        done.check();
        assert_eq!((done.drained[0].totals.steps[0].count(Outcome::Timeout), open(&store)), (12, 0));
        let connects = &done.drained[0].s().connects[Protocol::Http.index()];
        assert_eq!((connects.attempts(), server.connections()), (12, 12), "{http}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_late_opens_no_more_connections_than_the_load_needs() {
    const RATE: u64 = 400;
    for count in [1, 2] {
        let server = Server::start();
        // No edge comes near: what is due by an edge is given out before it, with a user for each.
        let phases = format!("[{{name: a, duration: 60s, load: {{s: {{rate: {RATE}/s, max_users: 4000}}}}}}]");
        let mut going = Going::start(simple(&server, "/", &phases), workers(count));
        going.until_started(0).await;
        for _ in 0..3 {
            // So many arrivals at once as there are in that time, a user for each of which would be as many connections.
            let before = server.seen().len() as u64;
            (0..count).for_each(|worker| going.stall(worker, Duration::from_millis(500)));
            until("what was due meanwhile is asked for", || server.seen().len() as u64 > before + RATE / 2).await;
        }
        let connections = server.connections();
        assert!(connections < 100, "{connections} connections, {count} workers");
        going.send(Control::Stop).await;
        let done = going.finish().await;
        done.check();
        let s = done.drained[0].s();
        assert_eq!(s.due, s.started + s.cancelled);
        assert!(s.started > 3 * RATE / 2, "{} started", s.started);
        // They began late, and it is reported that the generator was.
        assert!(s.start_lag.quantile(1.0).unwrap() > 0.4, "{:?}", s.start_lag);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_comes_to_late_does_not_wait_behind_requests_that_hang() {
    let server = Server::start();
    let phases = "[{name: a, duration: 60s, load: {s: {at_once: 3, rate: 200/s -> 0/s, max_users: 4000}}}]";
    let mut going = Going::start(simple(&server, "/hold", phases), workers(1));
    going.until_started(0).await;
    until("some hang", || server.count("/hold") >= 5).await;
    going.stall(0, Duration::from_millis(600));
    until("all that were due meanwhile hang too", || server.count("/hold") >= 150).await;
    assert!(server.open() >= 150, "each has a connection of its own");
    going.send(Control::Stop).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let s = done.drained[0].s();
    assert_eq!(s.due, s.started + s.cancelled);
}
