//! Users of an open load that do their start before the phase's clock begins.

use super::*;

/// A scenario `s` with this start, one that goes on beside it, and these phases.
fn prepared(server: &Server, start: &str, phases: &str) -> Plan {
    plan(
        server,
        &format!(
            "scenarios:\n  s: {{start: {{http: {{get: {start}, name: start}}}}, start_within: 20s, flow: {{http: {{get: /do, name: do}}}}}}\n  \
             beside: {{flow: [{{http: {{get: /beside, name: beside}}}}, {{think: 5ms}}]}}\nphases: {phases}"
        ),
    )
}

fn samples(drained: &Drained, step: usize) -> u64 {
    drained.totals.steps[step].requests()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrivals_are_due_once_all_users_have_started() {
    for (count, load, due) in [(1, "rate: 40/s, users: 25, max_users: 25", 20), (2, "at_once: 25, on_busy: drop", 25)] {
        let server = Server::start();
        let plan = prepared(&server, "/wait/50", &format!("[{{name: a, duration: 500ms, load: {{s: {{{load}}}}}}}]"));
        let begun = Instant::now();
        let mut going = Going::start(plan, workers(count));
        until("they are reported", || going.run.view.preparing().is_some_and(|preparing| preparing.users == 25)).await;
        assert_eq!(going.run.view.phases(), [], "its clock hasn't begun");
        going.until_started(0).await;
        // The last of them begins after 24/50 s, and takes 50 ms.
        assert!(begun.elapsed() > Duration::from_millis(530), "{:?}", begun.elapsed());
        assert_eq!(going.run.view.preparing(), None);
        let done = going.finish().await;
        done.check();
        assert!(server.seen()[..25].iter().all(|seen| seen.path == "/wait/50"));
        let (a, s) = (&done.drained[0], done.drained[0].s());
        assert_eq!((s.due, s.started, samples(a, 0), samples(a, 1)), (due, due, 25, due));
        assert_eq!(a.elapsed, Duration::from_millis(500));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phase_before_is_held_at_its_last_level_where_a_scenario_goes_on() {
    let server = Server::start();
    let phases = "[{name: a, duration: 300ms, load: {beside: {users: 0 -> 3}}}, \
                  {name: b, duration: 200ms, load: {beside: {rate: 0/s -> 100/s, max_users: 5}}}, \
                  {name: c, duration: 300ms, load: {beside: {users: 2}, s: {rate: 50/s, users: 4, max_users: 4}}}]";
    let mut going = Going::start(prepared(&server, "/hold", phases), workers(2));
    until("they start", || server.count("/hold") == 4).await;
    let (store, before) = (going.store.clone(), Instant::now());
    until("the load goes on", || store.totals(PhaseId(1)).scenarios[1].started > 40).await;
    assert!(before.elapsed() > Duration::from_millis(200), "as often as at its end");
    let wanted = going.run.view.scenarios()[1].rate_wanted;
    assert!((99.0..=100.0).contains(&wanted), "{wanted}");
    let phases = going.run.view.phases();
    assert!(phases.len() == 2 && !phases[1].draining, "the phase goes on: {phases:?}");
    server.release();
    going.until_started(2).await;
    let done = going.finish().await;
    done.check();
    let [a, b, c] = &done.drained[..] else { panic!("{:?}", done.drained) };
    assert_eq!((a.elapsed, c.elapsed), (Duration::from_millis(300), Duration::from_millis(300)));
    let held = b.elapsed - Duration::from_millis(200);
    let due = b.totals.scenarios[1].due as f64;
    assert!((due - 10.0 - held.as_secs_f64() * 100.0).abs() <= 2.0, "{due} in {:?}", b.elapsed);
    // What was done at the start counts where it was: in the first phase of the scenario.
    assert_eq!((samples(b, 0), samples(c, 0), samples(c, 1)), (0, 4, 15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phase_before_ends_in_its_time_where_nothing_goes_on() {
    let server = Server::start();
    let phases =
        "[{name: a, duration: 300ms, load: {beside: {users: 2}}}, {name: b, duration: 300ms, load: {s: {rate: 50/s, users: 3}}}]";
    let mut going = Going::start(prepared(&server, "/hold", phases), workers(2));
    until("they start", || server.count("/hold") == 3).await;
    while going.drained.is_empty() {
        assert_eq!(going.next().await, None);
    }
    assert_eq!((going.drained[0].elapsed, going.drained[0].last), (Duration::from_millis(300), false));
    server.release();
    let done = going.finish().await;
    done.check();
    assert_eq!((done.drained[1].s().started, done.drained[1].elapsed), (15, Duration::from_millis(300)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_the_phase_before_stay_and_those_that_come_wait_for_the_next() {
    for (before, after) in [("users: 3, pacing: 20ms", "users: 9"), ("rate: 90/s, users: 3, max_users: 4", "users: 7")] {
        let server = Server::start();
        let phases = format!(
            "[{{name: a, duration: 300ms, load: {{s: {{{before}}}}}}}, {{name: b, duration: 300ms, load: {{s: {{rate: 100/s, {after}}}}}}}]"
        );
        let mut going = Going::start(prepared(&server, "/wait/150", &phases), workers(2));
        going.until_started(1).await;
        let started = server.count("/wait");
        assert_eq!(format!("users: {started}"), after);
        let done = going.finish().await;
        done.check();
        let (a, b) = (&done.drained[0], &done.drained[1]);
        assert_eq!((samples(a, 0) + samples(b, 0), b.s().due), (started as u64, 30), "nobody starts twice");
        assert!(samples(b, 0) == 0 && a.elapsed > Duration::from_millis(440), "{before}: {:?}", a.elapsed);
        assert_eq!(b.s().started, 30);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_begins_without_those_that_never_start() {
    let server = Server::start();
    let hangs = |start: &str| {
        let phases = "[{name: a, duration: 200ms, drain: 10ms, load: {s: {rate: 50/s, users: 4, max_users: 4}}}]";
        let mut plan = prepared(&server, start, phases);
        plan.scenarios[0].start_within = Duration::from_millis(600);
        plan
    };
    for start in ["/hold", "/refuse"] {
        let begun = Instant::now();
        let mut going = Going::start(hangs(start), workers(2));
        going.until_started(0).await;
        assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
        let done = going.finish().await;
        done.check();
        let s = done.drained[0].s();
        assert_eq!((s.due, s.started, busy(s)), (10, 0, 10), "{start}");
    }
    // Whoever ends itself is not waited for.
    let rest = "scenarios: {s: {start: {http: {get: /refuse, name: start}, on_error: end_user}, flow: {http: {get: /do, name: do}}}}\n\
                phases: [{name: a, duration: 100ms, load: {s: {rate: 50/s, users: 4}}}]";
    let begun = Instant::now();
    let done = carry_out(plan(&server, rest), workers(2)).await;
    assert_eq!((done.ending, begun.elapsed() < Duration::from_secs(20)), (Ending::Completed, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_meanwhile_ends_at_once_and_is_whole() {
    for first in [
        "",
        "{name: a, duration: 100ms, load: {beside: {users: 2}}}, ",
        "{name: a, duration: 100ms, load: {beside: {users: 1}, s: {users: 1}}}, ",
    ] {
        let server = Server::start();
        let phases = format!("[{first}{{name: b, duration: 1m, load: {{beside: {{users: 2}}, s: {{at_once: 5}}}}}}]");
        let mut going = Going::start(prepared(&server, "/hold", &phases), workers(2));
        let starts = 5;
        until("they start", || server.count("/hold") == starts).await;
        while going.started.len() < usize::from(!first.is_empty()) {
            assert_eq!(going.next().await, None);
        }
        let begun = Instant::now();
        going.send(Control::Stop).await;
        let done = going.finish().await;
        let took = begun.elapsed();
        done.check();
        assert!(took < Duration::from_secs(15), "nobody waits for a start that hangs: {took:?}");
        assert_eq!(done.ending, Ending::Stopped);
        let all: u64 = done.drained.iter().map(|drained| samples(drained, 0)).sum();
        assert_eq!((all, server.count("/do")), (5, 0), "{first}: what was cut off is reported, and no arrival comes");
        let last = done.drained.last().unwrap();
        assert!(last.elapsed <= Duration::from_millis(100), "{:?}", last.elapsed);
        assert_eq!(last.phase_run as usize + 1, done.started.len(), "a phase whose users did something is reported");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_start_while_the_load_stands_still_between_two_phases() {
    let server = Server::start();
    let phases = "[{name: a, duration: 200ms, load: {beside: {users: 2}}}, \
                  {name: b, duration: 300ms, load: {beside: {users: 2}, s: {rate: 50/s, users: 4, max_users: 4}}}]\nobserve: {settle: true}";
    let mut going = Going::start(prepared(&server, "/hold", phases), workers(2));
    while going.drained.is_empty() {
        assert_eq!(going.next().await, None);
    }
    until("they start", || server.count("/hold") == 4).await;
    let stood = server.count("/beside");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.count("/beside"), stood, "the load pauses at the edge");
    server.release();
    going.until_started(1).await;
    let done = going.finish().await;
    done.check();
    assert_eq!((samples(&done.drained[1], 0), done.drained[1].s().due), (4, 15));
    assert_eq!(done.drained[0].elapsed, Duration::from_millis(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phase_that_comes_again_prepares_nobody_who_is_there() {
    let server = Server::start();
    let phases = "[{name: a, duration: 100ms, load: {s: {rate: 50/s, users: 3, max_users: 3}}}, {name: b, duration: 100ms, load: {s: {rate: 50/s, users: 3, max_users: 3}}}]\n\
                  repeat: 3";
    let done = carry_out(prepared(&server, "/wait/5", phases), workers(2)).await;
    assert_eq!(server.count("/wait"), 3);
    assert_eq!((done.drained.len(), done.sum(|s| s.due), done.sum(|s| s.started)), (6, 30, 30));
    assert!(done.drained.iter().all(|drained| drained.elapsed == Duration::from_millis(100)), "{:?}", done.drained);
}
