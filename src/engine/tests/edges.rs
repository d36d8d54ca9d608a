//! From phase to phase: drain, interruption, repeats, pauses.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scenario_that_ends_drains_beside_the_next_phase_under_its_own_label() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios:\n  slow: {flow: [{http: {get: /hold, name: hold}}, {http: {get: /after, name: after}}]}\n  \
         quick: {flow: [{http: {get: /quick, name: quick}}, {think: 20ms}]}\n\
         phases: [{name: first, duration: 200ms, load: {slow: {users: 3}, quick: {users: 2}}},\n  {name: second, duration: 800ms, load: {quick: {users: 2}}}]",
    );
    let mut going = Going::start(plan, workers(2));
    going.until_started(1).await;
    assert!(going.drained.is_empty());
    until("the second phase has load", || server.count("/quick") > 30).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let first = &done.drained[0];
    assert_eq!(ended(&first.totals.scenarios[0], Outcome::Ok), 3, "let go in the second phase, and of the first");
    let step = |drained: &Drained, name: &str| {
        let at = done.plan.layout.steps.iter().position(|step| step.name == name).unwrap();
        drained.totals.steps[at].requests()
    };
    assert_eq!((step(first, "hold"), step(first, "after")), (3, 3), "requests of no phase any more stay with their own");
    assert_eq!(done.drained[1].totals.scenarios[0], ScenarioTotals::default());
    let quick: u64 = done.drained.iter().map(|drained| step(drained, "quick")).sum();
    assert_eq!(quick, server.count("/quick") as u64);
    assert!(step(&done.drained[1], "quick") > 0);
    assert!(first.elapsed < Duration::from_millis(250), "its time doesn't include the drain: {:?}", first.elapsed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_nothing_follows_is_reported_as_the_last() {
    let server = Server::start();
    // The first of them has drained at its very end, before it is reported that the second has begun.
    let phases = "[{name: one, duration: 200ms, load: {}}, {name: two, duration: 200ms, load: {}}]";
    let done = carry_out(simple(&server, "/", phases), workers(2)).await;
    assert_eq!(done.drained.iter().map(|drained| drained.last).collect::<Vec<_>>(), [false, true]);
    // The last one to begin isn't the last to drain: the load hasn't stood still since its end.
    let rest = "scenarios: {a: {flow: {http: {get: /hold, name: a}}}, b: {flow: {think: 10ms}}}\n\
         phases: [{name: one, duration: 200ms, load: {a: {users: 1}}}, {name: two, duration: 200ms, load: {b: {users: 1}}}]";
    let mut going = Going::start(plan(&server, rest), workers(1));
    while going.drained.is_empty() {
        assert_eq!(going.next().await, None);
    }
    assert_eq!(going.drained[0].phase_run, 1);
    server.release();
    let done = going.finish().await;
    done.check();
    assert!(done.drained.iter().all(|drained| !drained.last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outlasts_the_drain_is_interrupted_and_counted() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios:\n  closed: {flow: {http: {get: /hold/a, name: a}}}\n  open: {flow: {http: {get: /hold/b, name: b}}}\n  rest: {flow: [{http: {get: /, name: c}}, {think: 10ms}]}\n\
         phases: [{name: first, duration: 200ms, drain: 300ms, load: {closed: {users: 3}, open: {at_once: 4, max_users: 4}, rest: {users: 1}}},\n  \
         {name: second, duration: 1s, load: {rest: {users: 1}}}]",
    );
    let begun = Instant::now();
    let done = carry_out(plan, workers(3)).await;
    assert!(begun.elapsed() >= Duration::from_millis(1200));
    let first = &done.drained[0].totals;
    for (scenario, step, n) in [(0, 0, 3), (1, 1, 4)] {
        assert_eq!(ended(&first.scenarios[scenario], Outcome::Interrupted), n);
        let interrupted = &first.steps[step].response[Outcome::Interrupted.index()];
        assert_eq!(interrupted.count(), n, "the requests that were cut off are samples");
        assert!(interrupted.within(0.29) == 0.0, "not before the drain was over: {interrupted:?}");
    }
    assert_eq!(ended(&first.scenarios[2], Outcome::Interrupted), 0, "who goes on isn't cut off");
    until("the connections of those cut off are closed", || server.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_too_many_ends_its_iteration_within_the_drain() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: [{http: {get: '/u/{{ user }}', name: get}}, {if: user == 1, http: {get: /hold, name: hold}}, {think: 5ms}]}}\n\
         phases: [{name: a, drain: 200ms, stages: [{duration: 200ms, load: {s: {users: 2}}}, {duration: 1s, load: {s: {users: 1}}}]}]",
    );
    let mut going = Going::start(plan, workers(2));
    going.until_started(0).await;
    until("it is held", || server.count("/hold") == 1).await;
    let scenario = ScenarioId(0);
    until("it is cut off while the phase goes on", || going.store.gauges.users(scenario) == 1).await;
    assert!(going.ended.is_empty());
    let done = going.finish().await;
    done.check();
    assert_eq!(ended(done.drained[0].s(), Outcome::Interrupted), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iteration_that_crosses_an_edge_is_uncut_and_each_request_belongs_where_it_was_due() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: [{http: {get: /wait/1200, name: first}}, {http: {get: /then, name: then}}]}}\n\
         phases: [{name: a, duration: 600ms, load: {s: {users: 1}}}, {name: b, duration: 30s, load: {s: {users: 1, iterations: 1}}}]",
    );
    let done = carry_out(plan, workers(1)).await;
    let (a, b) = (&done.drained[0].totals, &done.drained[1].totals);
    assert_eq!((a.steps[0].requests(), a.steps[1].requests()), (1, 0));
    assert_eq!((b.steps[0].requests(), b.steps[1].requests()), (1, 2), "the second request was due in the second phase");
    assert_eq!(
        (ended(&a.scenarios[0], Outcome::Ok), ended(&b.scenarios[0], Outcome::Ok)),
        (1, 1),
        "an iteration counts where it began"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_of_load_take_turns() {
    let server = Server::start();
    let phases = "[{name: a, duration: 150ms, load: {s: {users: 3, pacing: 10ms}}}, {name: b, duration: 300ms, load: {s: {rate: 100/s, max_users: 5}}}, \
                  {name: c, duration: 150ms, load: {s: {users: 5, pacing: 10ms}}}, {name: d, duration: 150ms, load: {}}, \
                  {name: e, duration: 200ms, load: {s: {rate: 50/s, max_users: 2, users: 2}}}, {name: f, duration: 150ms, load: {s: {users: 1, pacing: 10ms}}}]";
    for count in [1, 3] {
        let done = carry_out(simple(&server, "/", phases), workers(count)).await;
        let dues: Vec<u64> = done.drained.iter().map(|drained| drained.s().due).collect();
        assert_eq!(dues, [0, 30, 0, 0, 10, 0], "{count} workers");
        let began: Vec<bool> = done.drained.iter().map(|drained| iterations(drained.s()) > 0).collect();
        assert_eq!(began, [true, true, true, false, true, true]);
        assert_eq!(done.sum(|s| ended(s, Outcome::Interrupted)), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phases_repeat_and_add_to_the_same_series() {
    let server = Server::start();
    let rest = "repeat: 4\nscenarios: {s: {flow: {http: {get: /, name: get}}}}\n\
                phases: [{name: a, duration: 60ms, load: {s: {rate: 100/s, max_users: 5}}}, {name: b, duration: 40ms, load: {s: {users: 5, pacing: 5ms}}}]";
    let done = carry_out(plan(&server, rest), workers(2)).await;
    assert_eq!(done.drained.iter().map(|drained| drained.phase).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert_eq!(done.sum(|s| s.due), 24);
    assert!(server.connections() <= 5, "users live on from repeat to repeat: {}", server.connections());
}

/// With `settle` nothing is sent between the phases, and whoever leaves may still end what it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_waits_for_the_drain_and_holds_the_load() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios:\n  stays: {flow: [{http: {get: /stays, name: a}}, {think: 5ms}]}\n  \
         leaves: {flow: [{http: {get: /wait/150, name: b}}, {http: {get: /after, name: c}}, {http: {get: /after, name: d}}]}\n\
         observe: {settle: true, exporters: [{name: x, url: 'http://127.0.0.1:9/metrics'}]}\n\
         phases: [{name: one, duration: 200ms, load: {stays: {users: 2}, leaves: {users: 2}}}, {name: two, duration: 200ms, load: {stays: {users: 2}}}]",
    );
    let mut going = Going::start(plan, workers(2));
    going.settles = false;
    while going.drained.is_empty() {
        assert_eq!(going.next().await, None);
    }
    let ended_ok = ended(&going.drained[0].totals.scenarios[1], Outcome::Ok);
    assert_eq!(ended(&going.drained[0].totals.scenarios[1], Outcome::Interrupted), 0);
    assert!(ended_ok >= 2);
    let before = server.seen().len();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(server.seen().len(), before, "nothing is sent");
    assert_eq!(going.started, [0], "the next phase waits for the sources");
    going.settles = true;
    going.send(Control::Settled { phase_run: 0 }).await;
    let done = going.finish().await;
    done.check();
    assert_eq!((done.ending.clone(), done.started.len()), (Ending::Completed, 2));
    assert!(server.seen().len() > before);
    assert_eq!(ended(&done.drained[1].totals.scenarios[0], Outcome::Interrupted), 0, "users that were held went on");
    assert_eq!(server.connections(), 4, "and kept their connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_brought_back_does_not_keep_its_phase_from_draining() {
    for stay in ["listen", "{hold: 10m}"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            drop(listener.accept().await.unwrap());
            let kept = listener.accept().await.unwrap();
            std::future::pending::<()>().await;
            drop(kept);
        });
        let server = Server::start();
        let plan = plan(
            &server,
            &format!(
                "scenarios: {{s: {{flow: [{{tcp: {{connect: '{address}', name: t, reconnect: {{after: 1ms, times: 3}}, session: [{stay}]}}}}]}}}}\n\
                 phases: [{{name: a, duration: 500ms, drain: 200ms, load: {{s: {{users: 1}}}}}}, {{name: b, duration: 60s, load: {{s: {{users: 1}}}}}}]"
            ),
        );
        let mut going = Going::start(plan, workers(1));
        going.until_started(1).await;
        let began = Instant::now();
        while going.drained.is_empty() {
            assert_eq!(going.next().await, None);
        }
        assert!(began.elapsed() < Duration::from_secs(4), "{stay}: not by its time limit, which is 5s beyond the drain");
        going.send(Control::Interrupt).await;
        let done = going.finish().await;
        done.check();
        let connects = done.drained[0].totals.steps[0].requests();
        assert_eq!(connects, 3, "{stay}: two connects and a loss between them");
        peer.abort();
    }
}
