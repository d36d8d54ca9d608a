//! How runs end: asked to, cut off, aborted, failed.

use tokio::task::JoinSet;

use super::super::arrival::Arrival;
use super::super::command::Command;
use super::*;

const PHASES: &str = "[{name: a, duration: 250ms, load: {s: {users: 3}, o: {rate: 100/s, max_users: 4, on_busy: {wait: 1s}}}}, \
                      {name: b, duration: 30ms, load: {o: {rate: 200/s, max_users: 3}}}, {name: c, duration: 60s, load: {s: {users: 0 -> 9}}}]";

fn mixed(server: &Server, path: &str) -> Plan {
    plan(
        server,
        &format!(
            "scenarios:\n  s: {{flow: [{{http: {{get: \"{path}\", name: a}}}}, {{think: 3ms}}]}}\n  o: {{flow: {{http: {{get: \"{path}\", name: b}}}}}}\nphases: {PHASES}"
        ),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_can_be_stopped_and_cut_off_at_any_time() {
    let server = Arc::new(Server::start());
    let mut runs = JoinSet::new();
    // Before the first phase, around its start, in it, around the edges, and in the last.
    for after in [0u64, 30, 95, 100, 105, 180, 240, 345, 350, 352, 370, 380, 385, 450] {
        for (control, path) in [(Control::Stop, "/wait/20"), (Control::Interrupt, "/hold"), (Control::Interrupt, "/wait/20")] {
            let server = server.clone();
            runs.spawn(async move {
                let mut going = Going::start(mixed(&server, path), workers(2));
                let order = going.run.control.clone();
                let timing = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    let _ = order.send(control).await;
                });
                let begun = Instant::now();
                let ending = loop {
                    if let Some(ending) = going.next().await {
                        break ending;
                    }
                };
                // Nobody waits out a drain, or what is beyond it, for what is cut off or answers soon.
                assert!(begun.elapsed() < Duration::from_secs(25), "{:?} after {after} ms at {path}", begun.elapsed());
                assert_eq!(ending, Ending::Stopped);
                timing.await.unwrap();
                let Going { mut drained, started, store, plan, .. } = going;
                drained.sort_by_key(|drained| drained.phase_run);
                Done { ending, drained, started, store, plan }.check();
            });
            if runs.len() >= 8 {
                runs.join_next().await.unwrap().unwrap();
            }
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_before_the_first_phase_nothing_is_sent() {
    for control in [Control::Stop, Control::Interrupt, Control::Abort("enough".into())] {
        let server = Server::start();
        let going = Going::start(simple(&server, "/", "[{name: a, duration: 60s, load: {s: {users: 5}}}]"), workers(3));
        let expected = if matches!(control, Control::Abort(_)) { Ending::Aborted("enough".into()) } else { Ending::Stopped };
        going.send(control).await;
        let done = going.finish().await;
        done.check();
        assert_eq!((done.ending, done.started.len(), server.connections()), (expected, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lets_go_of_a_run_stops_it() {
    let server = Server::start();
    let mut going = Going::start(simple(&server, "/hold", "[{name: a, duration: 60s, load: {s: {users: 5}}}]"), workers(2));
    going.until_started(0).await;
    let begun = Instant::now();
    let (spare, _) = mpsc::channel(1);
    drop(std::mem::replace(&mut going.run.control, spare));
    let done = going.finish().await;
    done.check();
    assert_eq!(done.ending, Ending::Stopped);
    assert!(begun.elapsed() < Duration::from_secs(25), "nobody is left who would wait for the drain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_lets_iterations_end_and_a_second_order_cuts_them_off() {
    let server = Server::start();
    let phases = "[{name: a, duration: 60s, load: {s: {users: 4}}}]";
    let mut going = Going::start(simple(&server, "/hold", phases), workers(2));
    going.until_started(0).await;
    until("all are held", || server.count("/hold") == 4).await;
    going.send(Control::Stop).await;
    while going.ended.is_empty() {
        assert_eq!(going.next().await, None);
    }
    assert!(going.drained.is_empty());
    going.send(Control::Interrupt).await;
    let done = going.finish().await;
    done.check();
    assert_eq!(ended(done.drained[0].s(), Outcome::Interrupted), 4);
    assert_eq!(done.drained[0].totals.steps[0].count(Outcome::Interrupted), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_can_abort_the_run_and_a_user_end_itself() {
    let server = Server::start();
    let scenario = |on_error: &str, load: &str| {
        format!(
            "scenarios: {{s: {{flow: {{http: {{get: '/u/{{{{ user }}}}', name: get, expect: {{status: 500}}}}, on_error: {on_error}}}}}}}\n\
             phases: [{{name: a, duration: {load}}}]"
        )
    };
    let done = carry_out(plan(&server, &scenario("abort_run", "60s, load: {s: {users: 1}}")), workers(2)).await;
    assert!(matches!(&done.ending, Ending::Aborted(why) if why.contains("`get`")), "{:?}", done.ending);
    assert_eq!(ended(done.drained[0].s(), Outcome::Error), 1);
    // In a closed load who ends itself stays away; for arrivals a new user takes the place.
    let closed = carry_out(plan(&server, &scenario("end_user", "300ms, load: {s: {users: 3}}")), workers(2)).await;
    assert_eq!(ended(closed.drained[0].s(), Outcome::Error), 3);
    let open = carry_out(plan(&server, &scenario("end_user", "300ms, load: {s: {rate: 50/s, max_users: 4}}")), workers(2)).await;
    let s = open.drained[0].s();
    assert_eq!((s.due, s.started + busy(s), ended(s, Outcome::Error)), (15, 15, s.started));
    let each = carry_out(plan(&server, &scenario("end_user", "60s, load: {s: {users: 3, iterations: 5}}")), workers(2)).await;
    assert!(each.drained[0].elapsed < Duration::from_secs(60), "who has ended itself has no iterations left to do");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_panics_fails_the_run() {
    let server = Server::start();
    let phases = "[{name: a, duration: 60s, load: {s: {users: 4, pacing: 10ms}}}]";
    let mut going = Going::start(simple(&server, "/", phases), workers(2));
    going.until_started(0).await;
    let begun = Instant::now();
    let shared = &going.run.view.shared;
    let now = Instant::now();
    let arrival = Arrival { scenario: 99, phase_run: 0, due: now, handled: now, lag: Duration::ZERO, probe: false };
    let phase_run = going.run.view.lock()[0].clone();
    let handed = Command::Handed { arrival, phase_run };
    assert!(shared.handles[1].inbox.send(handed).is_ok());
    let done = going.finish().await;
    assert!(matches!(&done.ending, Ending::Failed(why) if why.contains("worker 1")), "{:?}", done.ending);
    assert_eq!(done.drained.len(), 1, "what was recorded is reported");
    assert!(begun.elapsed() < Duration::from_secs(25), "nobody waits for a worker that is gone");
    assert!(idle(&done.store, &done.plan.layout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_panics_fails_the_run() {
    let server = Server::start();
    let mut plan = simple(&server, "/", "[{name: a, duration: 60s, load: {s: {users: 2, pacing: 10ms}}}]");
    // A layout that knows no step: recording its first sample can't work.
    plan.layout = Arc::new(Layout { steps: Vec::new(), ..(*plan.layout).clone() });
    let begun = Instant::now();
    let done = Going::start(plan, workers(2)).finish().await;
    assert!(matches!(&done.ending, Ending::Failed(why) if why.contains("panicked")), "{:?}", done.ending);
    assert!(begun.elapsed() < Duration::from_secs(25));
    assert!(idle(&done.store, &done.plan.layout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_its_sources_can_be_stopped() {
    for control in [Control::Stop, Control::Interrupt] {
        let server = Server::start();
        let plan = plan(
            &server,
            "scenarios: {s: {flow: [{http: {get: /, name: a}}, {think: 5ms}]}}\n\
             observe: {settle: true, exporters: [{name: x, url: 'http://127.0.0.1:9/metrics'}]}\n\
             phases: [{name: one, duration: 100ms, load: {s: {users: 3}}}, {name: two, duration: 60s, load: {s: {users: 3}}}]",
        );
        let mut going = Going::start(plan, workers(2));
        going.settles = false;
        while going.drained.is_empty() {
            assert_eq!(going.next().await, None);
        }
        let begun = Instant::now();
        going.send(control).await;
        let done = going.finish().await;
        // What was held has no phase any more: its end is shown, and reported nowhere.
        assert!(idle(&done.store, &done.plan.layout));
        assert_eq!((done.ending, done.drained.len()), (Ending::Stopped, 1));
        assert!(begun.elapsed() < Duration::from_secs(25));
    }
}
