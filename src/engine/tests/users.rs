//! Users: who is alive, who is taken, and what they keep.

use std::collections::{BTreeMap, BTreeSet};

use super::server::Seen;
use super::*;

/// The user that a path `/u/3/…` names.
fn user(seen: &Seen) -> u64 {
    seen.path.split('/').nth(2).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_cross_edges_with_their_number_cookies_and_connection() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: [{http: {get: '/u/{{ user }}/{{ iteration }}/{{ phase }}', name: get}}, {think: 20ms}]}}\n\
         phases: [{name: closed, duration: 300ms, load: {s: {users: 4}}},\n  \
         {name: open, duration: 400ms, load: {s: {rate: 100/s, max_users: 4}}},\n  \
         {name: closed-again, duration: 300ms, load: {s: {users: 4, pacing: 5ms}}}]",
    );
    let done = carry_out(plan, workers(2)).await;
    assert_eq!(done.ending, Ending::Completed);
    let seen = server.seen();
    let mut of: BTreeMap<u64, Vec<&Seen>> = BTreeMap::new();
    seen.iter().for_each(|seen| of.entry(user(seen)).or_default().push(seen));
    assert_eq!(of.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(server.connections(), 4, "each kept its connection");
    for (user, requests) in of {
        let connections: BTreeSet<_> = requests.iter().map(|seen| seen.connection).collect();
        assert_eq!(connections.len(), 1);
        assert_eq!(requests[0].cookie, None);
        let jar = format!("first=u-{user}-0-closed");
        assert!(requests[1..].iter().all(|seen| seen.cookie.as_deref() == Some(jar.as_str())), "{requests:?}");
        let iterations: Vec<u64> = requests.iter().map(|seen| seen.path.split('/').nth(3).unwrap().parse().unwrap()).collect();
        assert_eq!(iterations, (0..requests.len() as u64).collect::<Vec<_>>(), "iterations are counted on");
        for phase in ["closed", "open", "closed-again"] {
            assert!(requests.iter().any(|seen| seen.path.ends_with(&format!("/{phase}"))), "user {user} in {phase}");
        }
    }
    for drained in &done.drained {
        let s = drained.s();
        assert_eq!(ended(s, Outcome::Interrupted), 0);
        assert!(ended(s, Outcome::Ok) > 0);
    }
    let connects: u64 = done.drained.iter().map(|drained| drained.s().connects[0].attempts()).sum();
    assert_eq!(connects, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_user_leaves_first_and_is_taken_back() {
    let server = Server::start();
    // Users 2 and 3 are held in their first iteration while the level falls; it rises again before they are let go.
    let plan = plan(
        &server,
        "scenarios: {s: {flow: [{http: {get: '/u/{{ user }}', name: get}}, {if: user >= 2 and iteration == 0, http: {get: /hold, name: hold}}, {think: 5ms}]}}\n\
         phases: [{name: a, stages: [{duration: 200ms, load: {s: {users: 4}}}, {duration: 300ms, load: {s: {users: 2}}}, {duration: 1s, load: {s: {users: 3}}}]}]",
    );
    let mut going = Going::start(plan, workers(2));
    going.until_started(0).await;
    let start = Instant::now();
    until("two are held", || server.count("/hold") == 2).await;
    tokio::time::sleep(Duration::from_millis(700).saturating_sub(start.elapsed())).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let seen = server.seen();
    let rounds = |number: u64| seen.iter().filter(|seen| seen.path == format!("/u/{number}")).count();
    assert_eq!(rounds(3), 1, "the latest left when it could");
    assert!(rounds(2) > 1, "this one was taken back");
    assert_eq!(server.connections(), 4, "as the same user, with the connection that it had");
    assert_eq!(ended(done.drained[0].s(), Outcome::Interrupted), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_left_comes_back_as_a_new_one() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: [{http: {get: '/u/{{ user }}/{{ iteration }}', name: get}}, {think: 5ms}]}}\n\
         phases: [{name: a, stages: [{duration: 200ms, load: {s: {users: 2}}}, {duration: 300ms, load: {s: {users: 1}}}, {duration: 300ms, load: {s: {users: 2}}}]}]",
    );
    let done = carry_out(plan, workers(2)).await;
    let first = server.seen().iter().filter(|seen| seen.path == "/u/1/0").count();
    assert_eq!((first, server.connections()), (2, 3));
    assert_eq!(ended(done.drained[0].s(), Outcome::Interrupted), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pacing_holds_from_due_to_due() {
    let server = Server::start();
    let phases = "[{name: a, duration: 40s, load: {s: {users: 3, iterations: 6, pacing: 40ms}}}]";
    let done = carry_out(simple(&server, "/", phases), workers(2)).await;
    let elapsed = done.drained[0].elapsed;
    // Five times the pacing lie between the first and the last.
    assert!(elapsed >= Duration::from_millis(200), "{elapsed:?}");
    // An iteration that takes longer is followed at once: the last one's end is what the next is due at.
    let slow = carry_out(simple(&server, "/wait/60", &phases.replace("iterations: 6", "iterations: 3")), workers(2)).await;
    let s = slow.drained[0].s();
    assert_eq!(ended(s, Outcome::Ok), 9);
    assert!(slow.drained[0].elapsed >= Duration::from_millis(180));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arrival_takes_the_user_idle_longest() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: {http: {get: '/u/{{ user }}', name: get}}}}\n\
         phases: [{name: a, duration: 1s, load: {s: {rate: 40/s, users: 4, max_users: 4}}}]",
    );
    let done = carry_out(plan, workers(1)).await;
    assert_eq!(done.drained[0].s().due, 40);
    let users: Vec<u64> = server.seen().iter().map(user).collect();
    // The user that has just served is the last to be taken again. The machine may stall some; newest first would stall all.
    let again = users.windows(3).filter(|w| w[0] == w[1] || w[0] == w[2] || w[1] == w[2]).count();
    assert!(again < 10, "{again} of {users:?}");
    let all: BTreeSet<u64> = users.into_iter().collect();
    assert_eq!(all.len(), 4);
}

/// A load of fast requests: how many users asked, and over how many connections.
async fn used(load: &str) -> (usize, u64) {
    let server = Server::start();
    let rest = format!(
        "scenarios: {{s: {{flow: {{http: {{get: '/u/{{{{ user }}}}', name: get}}}}}}}}\nphases: [{{name: a, duration: 1500ms, load: {{s: {{{load}}}}}}}]"
    );
    let done = carry_out(plan(&server, &rest), workers(2)).await;
    assert_eq!(done.drained[0].s().due, settled(done.drained[0].s()));
    let users: BTreeSet<u64> = server.seen().iter().map(user).collect();
    (users.len(), server.connections())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn written_users_take_turns_and_of_others_there_are_no_more_than_the_load_needs() {
    for (load, turns) in [
        ("rate: 200/s, max_users: 3000", None),
        ("rate: 200/s", None),
        ("rate: 200/s, users: 300, max_users: 3000, users_order: latest", None),
        ("rate: 200/s, users: 2, max_users: 3000", Some(2)),
        ("rate: 100/s, users: 50, max_users: 50", Some(50)),
        ("rate: 100/s, users: 50, max_users: 3000", Some(50)),
        ("rate: 100/s, max_users: 50, users_order: in_turn", Some(50)),
    ] {
        let (users, connections) = used(load).await;
        assert_eq!(users as u64, connections, "each has a connection of its own");
        // A machine that stalls lets some arrivals come together, and each takes a user of its own.
        assert!(connections <= turns.unwrap_or(0) + 64, "{connections} connections for {load}");
        assert!(turns.is_none_or(|turns| connections >= turns), "{connections} connections for {load}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_users_are_there_before_the_first_arrival_and_more_come_as_needed() {
    let server = Server::start();
    let phases = "[{name: a, duration: 30s, load: {s: {at_once: 3, users: 2, max_users: 5}}}]";
    let mut going = Going::start(simple(&server, "/hold", phases), workers(2));
    going.until_started(0).await;
    let scenario = ScenarioId(0);
    until("three are busy", || server.count("/hold") == 3).await;
    assert!((3..=4).contains(&going.store.gauges.users(scenario)));
    server.release();
    going.send(Control::Stop).await;
    let done = going.finish().await;
    done.check();
    assert_eq!((done.ending, done.drained[0].totals.scenarios[0].started), (Ending::Stopped, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_rise_and_fall_with_the_level_however_many_divide_them() {
    for (count, shards) in [(1, 1), (2, 1), (3, 1), (5, 1), (2, 2)] {
        let mut all = Vec::new();
        for shard in 0..shards {
            let server = Server::start();
            let plan = plan(
                &server,
                "scenarios: {s: {flow: [{http: {get: '/u/{{ user }}', name: get}}, {think: 4ms}]}}\n\
                 phases: [{name: a, stages: [{duration: 300ms, load: {s: {users: 0 -> 7}}}, {duration: 200ms, load: {s: {users: 7 -> 0}}}, {duration: 30s, load: {}}]}]",
            );
            let mut going = Going::start(plan, Options { workers: count, shard, shards });
            going.until_started(0).await;
            let scenario = ScenarioId(0);
            until("users come", || going.store.gauges.users(scenario) > 0).await;
            until("all have gone while the phase goes on", || going.store.gauges.users(scenario) == 0).await;
            assert!(going.ended.is_empty());
            going.send(Control::Stop).await;
            let done = going.finish().await;
            done.check();
            assert_eq!(ended(done.drained[0].s(), Outcome::Interrupted), 0);
            let seen = server.seen();
            let users: BTreeSet<u64> = seen.iter().map(user).collect();
            // Who came first stayed longest.
            let last = seen.iter().rposition(|seen| user(seen) == *users.first().unwrap()).unwrap();
            let first = seen.iter().position(|seen| user(seen) == *users.last().unwrap()).unwrap();
            assert!(first < last);
            all.extend(users);
        }
        all.sort_unstable();
        // In a ramp user n starts when the line reaches n + 1; the seventh may be there for an instant only.
        assert!(all == (0..7).collect::<Vec<u64>>() || all == (0..6).collect::<Vec<u64>>(), "{all:?} with {count} workers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_between_two_iterations_outlast_a_settled_edge() {
    let server = Server::start();
    for load in ["{users: 4, pacing: 60ms}", "{rate: 40/s, users: 4, max_users: 4}"] {
        let logins = server.count("/login");
        let phase = |name: &str| format!("{{name: {name}, duration: 250ms, load: {{s: {load}}}}}");
        let plan = plan(
            &server,
            &format!(
                "scenarios: {{s: {{start: [{{http: {{get: /login, name: l}}}}], flow: [{{http: {{get: /do, name: r}}}}]}}}}\n\
                 phases: [{}, {}, {}]\nobserve: {{settle: true}}",
                phase("a"),
                phase("b"),
                phase("c")
            ),
        );
        let done = carry_out(plan, workers(2)).await;
        done.check();
        assert_eq!(server.count("/login") - logins, 4, "{load}: who is there goes on");
        assert!(done.drained.iter().all(|drained| iterations(drained.s()) > 0), "{load}");
    }
}
