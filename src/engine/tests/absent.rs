//! Closed users that are gone before their time.

use super::*;

fn absent(scenario: &ScenarioTotals) -> Duration {
    Duration::from_nanos(scenario.absent)
}

/// A plan whose users end themselves in their third iteration, each time with this after their requests.
fn ending(server: &Server, phases: &str) -> Plan {
    plan(
        server,
        &format!(
            "scenarios: {{s: {{flow: [{{if: iteration == 2, http: {{get: /refuse, name: get}}, on_error: end_user}}, {{think: 5ms}}]}}}}\nphases: {phases}"
        ),
    )
}

/// The phase's totals, and how long it took from its start until nobody was left.
async fn until_all_are_gone(plan: Plan, count: usize) -> (Done, Duration) {
    let mut going = Going::start(plan, workers(count));
    let began = Instant::now();
    going.until_started(0).await;
    let (store, scenario) = (going.store.clone(), ScenarioId(0));
    until("users come and go", || store.gauges.users(scenario) == 0 && store.totals(PhaseId(0)).steps[0].requests() > 0).await;
    let gone = began.elapsed();
    let done = going.finish().await;
    done.check();
    (done, gone)
}

/// Whether the time is what it would be if all were gone from the beginning, or less by what it took until they were.
fn is_about(time: Duration, most: Duration, users: u32, gone: Duration) {
    assert!(time <= most && time + gone * users >= most, "{time:?} of {most:?}, all gone after {gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ended_itself_is_absent_to_the_end_of_the_phase() {
    for count in [1, 2] {
        let server = Server::start();
        let phases = "[{name: a, duration: 2500ms, load: {s: {users: 3}}}, {name: b, duration: 100ms, load: {s: {rate: 10/s}}}]";
        let (done, gone) = until_all_are_gone(ending(&server, phases), count).await;
        is_about(absent(done.drained[0].s()), Duration::from_millis(7500), 3, gone);
        assert_eq!(done.drained[1].s().absent, 0, "arrivals want nobody");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_says_who_is_absent() {
    let server = Server::start();
    let phases = "[{name: a, stages: [{duration: 800ms, load: {s: {users: 4}}}, {duration: 600ms, load: {s: {users: 1}}}, {duration: 500ms, load: {s: {users: 3}}}]}]";
    let (done, gone) = until_all_are_gone(ending(&server, phases), 2).await;
    is_about(absent(done.drained[0].s()), Duration::from_millis(4 * 800 + 600 + 3 * 500), 4, gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_row_is_absent() {
    let server = Server::start();
    let plan = plan(
        &server,
        "data: {row: {list: [1, 2, 3, 4, 5, 6, 7], pick: unique}}\nscenarios: {s: {flow: {http: {get: '/r/{{ row }}', name: get}}}}\n\
         phases: [{name: a, duration: 1s, load: {s: {users: 4}}}]",
    );
    let (done, gone) = until_all_are_gone(plan, 3).await;
    is_about(absent(done.drained[0].s()), Duration::from_secs(4), 4, gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_in_its_start_is_absent_once_that_takes_too_long() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {start: {http: {get: /hold, name: start}}, start_within: 300ms, flow: {http: {get: /, name: get}}}}\n\
         phases: [{name: a, duration: 700ms, load: {s: {users: 2}}}, {name: b, duration: 500ms, drain: 0s, load: {s: {users: 3 -> 3}}}]",
    );
    let done = carry_out(plan, workers(2)).await;
    assert_eq!(absent(done.drained[0].s()), Duration::from_millis(2 * 400));
    // The third one begins its start here.
    assert_eq!(absent(done.drained[1].s()), Duration::from_millis(2 * 500 + 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_late_and_comes_at_last_was_absent_until_then() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {start: {http: {get: /wait/600, name: start}}, start_within: 300ms, flow: [{http: {get: /, name: get}}, {think: 10ms}]}}\n\
         phases: [{name: a, duration: 3s, load: {s: {users: 2}}}]",
    );
    let done = carry_out(plan, workers(1)).await;
    let s = done.drained[0].s();
    assert!(ended(s, Outcome::Ok) > 0);
    assert!(absent(s) >= Duration::from_millis(600) && absent(s) < Duration::from_millis(5400), "{:?}", absent(s));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_absent_who_has_done_all_or_is_not_wanted() {
    let server = Server::start();
    let scenarios = "scenarios: {s: {start: {http: {get: /, name: start}}, flow: {http: {get: /wait/5, name: get}}}, other: {flow: {http: {get: /wait/5, name: more}}}}";
    for load in ["users: 3, iterations: 2", "users: 3, total_iterations: 5", "users: 4 -> 0", "users: 3", "rate: 50/s"] {
        let phases = format!("phases: [{{name: a, duration: 700ms, load: {{s: {{{load}}}, other: {{users: 1}}}}}}]");
        let done = carry_out(plan(&server, &format!("{scenarios}\n{phases}")), workers(2)).await;
        assert!(iterations(done.drained[0].s()) > 0);
        assert_eq!(done.drained[0].s().absent, 0, "{load}");
    }
    // Who ends itself with the last of its iterations has done them all.
    let phases = "[{name: a, duration: 30s, load: {s: {users: 2, iterations: 3}}}]";
    let done = carry_out(ending(&server, phases), workers(1)).await;
    assert_eq!((iterations(done.drained[0].s()), done.drained[0].s().absent), (6, 0));
}
