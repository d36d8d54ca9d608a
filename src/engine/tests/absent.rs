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
        assert_eq!(done.drained[0].s().hung, 0);
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
    assert_eq!(absent(done.drained[0].s()), Duration::from_millis(2 * 700), "they never came through");
    // The third one begins its start here.
    assert_eq!(absent(done.drained[1].s()), Duration::from_millis(3 * 500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_never_through_its_start_is_absent_from_the_beginning_of_it() {
    let server = Server::start();
    // The time that a start may take is far from out.
    let held = "scenarios: {s: {start: {http: {get: /hold, name: start}}, flow: {http: {get: /, name: get}}}}";
    let cut = carry_out(
        plan(&server, &format!("{held}\nphases: [{{name: a, duration: 700ms, drain: 200ms, load: {{s: {{users: 2}}}}}}]")),
        workers(2),
    );
    assert_eq!(absent(cut.await.drained[0].s()), Duration::from_millis(2 * 700), "cut off by the drain");
    let repeated = format!("{held}\nrepeat: 2\nphases: [{{name: a, duration: 500ms, drain: 100ms, load: {{s: {{users: 3}}}}}}]");
    let done = carry_out(plan(&server, &repeated), workers(2)).await;
    for drained in &done.drained {
        assert_eq!(absent(drained.s()), Duration::from_millis(3 * 500), "of each phase its own part");
    }
    let fewer =
        "{name: a, drain: 100ms, stages: [{duration: 400ms, load: {s: {users: 2}}}, {duration: 600ms, load: {s: {users: 1}}}]}";
    let done = carry_out(plan(&server, &format!("{held}\nphases: [{fewer}]")), workers(1)).await;
    assert_eq!(absent(done.drained[0].s()), Duration::from_millis(400 + 1000), "as long as it was wanted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_at_its_start_as_the_phase_ends_was_there() {
    let server = Server::start();
    for start in
        ["{http: {get: /wait/400, name: start}}", "[{http: {get: /wait/400, name: start}}, {http: {get: /, name: more}}]"]
    {
        for repeat in [1, 2] {
            let scenarios =
                format!("scenarios: {{s: {{start: {start}, flow: [{{http: {{get: /, name: get}}}}, {{think: 10ms}}]}}}}");
            let phases = "phases: [{name: a, duration: 300ms, drain: 20s, load: {s: {users: 2}}}]";
            let done = carry_out(plan(&server, &format!("{scenarios}\nrepeat: {repeat}\n{phases}")), workers(2)).await;
            assert!(done.drained.iter().all(|drained| drained.s().absent == 0), "{start}, {repeat}");
        }
    }
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
async fn nobody_was_absent_where_all_iterations_are_done_in_the_end() {
    let server = Server::start();
    // One of three ends itself at once; the two others take 1.5 s at least for what is asked, which is reported more often.
    let early = "scenarios: {s: {flow: [{if: user == 0, http: {get: /refuse, name: get}, on_error: end_user}, {http: {get: /wait/50, name: slow}}]}}";
    let late = "scenarios: {s: {start: {http: {get: /wait/1800, name: start}}, start_within: 100ms, flow: {http: {get: /wait/5, name: get}}}}";
    for (scenario, load, done) in [
        (early, "users: 3, total_iterations: 60", true),
        (early, "users: 3, total_iterations: 100000", false),
        (early, "users: 3, iterations: 2", false),
        (late, "users: 2, iterations: 2", true),
        (late, "users: 2, total_iterations: 4", true),
        (late, "users: 2, iterations: 100000", false),
    ] {
        for count in [1, 2] {
            let phases = format!("phases: [{{name: a, duration: 4s, load: {{s: {{{load}}}}}}}]");
            let run = carry_out(plan(&server, &format!("{scenario}\n{phases}")), workers(count)).await;
            let s = run.drained[0].s();
            assert!(iterations(s) > 0);
            assert_eq!(absent(s).is_zero(), done, "{load} on {count}: {:?}", absent(s));
        }
    }
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

/// Users of whom all but the first hang in their third iteration, with these phases.
fn hanging(server: &Server, path: &str, phases: &str) -> Plan {
    let flow = format!(
        "[{{if: user > 0 and iteration == 2, http: {{get: '{path}', name: held}}}}, {{http: {{get: /, name: get}}}}, {{think: 20ms}}]"
    );
    plan(server, &format!("scenarios: {{s: {{flow: {flow}}}}}\nphases: {phases}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_over_an_edge_is_absent_in_the_phases_behind_it() {
    for (length, drain) in [(600, 100), (600, 1000), (1400, 100)] {
        let server = Server::start();
        let phases = format!("[{{name: a, duration: {length}ms, drain: {drain}ms, load: {{s: {{users: 3}}}}}}]\nrepeat: 3");
        let done = carry_out(hanging(&server, "/hold", &phases), workers(2)).await;
        let absent: Vec<Duration> = done.drained.iter().map(|drained| absent(drained.s())).collect();
        let whole = Duration::from_millis(2 * length);
        assert_eq!(absent, [Duration::ZERO, whole, whole], "{length} ms, drain {drain} ms");
        assert!(done.drained.iter().all(|drained| drained.s().hung == drained.s().absent), "{length} ms, drain {drain} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_at_last_was_absent_until_then() {
    let server = Server::start();
    let phases = "[{name: a, duration: 500ms, drain: 100ms, load: {s: {users: 3}}}, {name: b, duration: 4s, drain: 100ms, load: {s: {users: 3}}}]";
    let mut going = Going::start(hanging(&server, "/hold", phases), workers(2));
    going.until_started(1).await;
    tokio::time::sleep(Duration::from_millis(2000)).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let time = absent(done.drained[1].s());
    assert!(time >= Duration::from_millis(2 * 1900) && time < Duration::from_millis(2 * 3000), "{time:?}");
    assert_eq!(absent(done.drained[0].s()), Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_crosses_an_edge_is_everyday() {
    let server = Server::start();
    for (path, length, drain) in [("/wait/900", 500, 5000), ("/wait/1200", 700, 5000), ("/wait/700", 500, 0)] {
        let phases = format!("[{{name: a, duration: {length}ms, drain: {drain}ms, load: {{s: {{users: 3}}}}}}]\nrepeat: 2");
        let done = carry_out(hanging(&server, path, &phases), workers(1)).await;
        assert!(done.drained.iter().all(|drained| drained.s().absent == 0), "{path}");
        let fewer = format!(
            "[{{name: a, drain: {drain}ms, stages: [{{duration: {length}ms, load: {{s: {{users: 3}}}}}}, {{duration: 500ms, load: {{s: {{users: 1}}}}}}]}}]"
        );
        let done = carry_out(hanging(&server, path, &fewer), workers(1)).await;
        assert_eq!(done.drained[0].s().absent, 0, "{path}, ramped down");
    }
}
