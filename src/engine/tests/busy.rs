//! Arrivals that find no free user: dropped, handed to another worker, or waiting.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_drop_no_more_than_one_pool_would() {
    let server = Server::start();
    // Each of two users is held for all of the phase: two start, the others are dropped, however many workers deal them out.
    for count in [1, 2, 3, 5] {
        let phases = "[{name: a, duration: 400ms, drain: 0s, load: {s: {rate: 50/s, max_users: 2}}}]";
        let done = carry_out(simple(&server, "/hold", phases), workers(count)).await;
        let s = done.drained[0].s();
        assert_eq!((s.due, s.started, busy(s)), (20, 2, 18), "{count} workers");
        assert_eq!(ended(s, Outcome::Interrupted), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_finds_every_user_of_every_worker() {
    let server = Server::start();
    let phases = "[{name: a, duration: 2s, drain: 0s, load: {s: {at_once: 30, max_users: 30}}}]";
    for count in [1, 3, 5] {
        let done = carry_out(simple(&server, "/wait/50", phases), workers(count)).await;
        let s = done.drained[0].s();
        assert_eq!((s.due, s.started, ended(s, Outcome::Ok)), (30, 30, 30), "{count} workers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arrival_waits_for_a_user_and_its_wait_is_in_its_response_time() {
    let server = Server::start();
    // Four at once over two users of 200 ms each: two wait for 200 ms.
    let phases = "[{name: a, duration: 2s, load: {s: {at_once: 4, max_users: 2, on_busy: {wait: 30s}}}}]";
    for count in [1, 2, 3] {
        let done = carry_out(simple(&server, "/wait/200", phases), workers(count)).await;
        let (s, step) = (done.drained[0].s(), &done.drained[0].totals.steps[0]);
        assert_eq!((s.started, ended(s, Outcome::Ok)), (4, 4), "{count} workers");
        let ok = Outcome::Ok.index();
        assert!(step.response[ok].quantile(1.0).unwrap() >= 0.39, "{:?}", step.response[ok]);
        assert_eq!(step.service[ok].within(0.19), 0.0, "service time is without it");
        assert!(step.response[ok].within(0.39) >= 1.0, "those that didn't wait");
        // Waiting for a user isn't the generator being late.
        assert!(s.start_lag.quantile(1.0).unwrap() < 0.19, "{:?}", s.start_lag);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_waited_too_long_is_dropped_and_who_waits_at_the_end_is_cancelled() {
    let server = Server::start();
    let phases = |wait: &str| {
        format!("[{{name: a, duration: 500ms, drain: 0s, load: {{s: {{at_once: 7, max_users: 2, on_busy: {{wait: {wait}}}}}}}}}]")
    };
    for count in [1, 2, 3] {
        let expired = carry_out(simple(&server, "/hold", &phases("100ms")), workers(count)).await;
        let s = expired.drained[0].s();
        assert_eq!((s.due, s.started, busy(s), s.cancelled), (7, 2, 5, 0), "{count} workers");
        let cancelled = carry_out(simple(&server, "/hold", &phases("30s")), workers(count)).await;
        let s = cancelled.drained[0].s();
        assert_eq!((s.due, s.started, busy(s), s.cancelled), (7, 2, 0, 5), "{count} workers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_while_a_user_is_free_anywhere() {
    let server = Server::start();
    // Users become free on one worker just as an arrival of another begins to wait: it must not be forgotten. A forgotten one
    // would expire, since the load is a tenth of what two users can do.
    let phases = "[{name: a, duration: 3s, load: {s: {rate: 400/s, max_users: 2, on_busy: {wait: 1500ms}}}}]";
    for count in [2, 3] {
        let done = carry_out(simple(&server, "/", phases), workers(count)).await;
        let s = done.drained[0].s();
        assert_eq!((s.due, s.started + s.cancelled, busy(s)), (1200, 1200, 0), "{count} workers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_arrivals_are_shown_as_waiting() {
    let server = Server::start();
    let phases = "[{name: a, duration: 30s, load: {s: {at_once: 5, max_users: 2, on_busy: {wait: 60s}}}}]";
    let mut going = Going::start(simple(&server, "/hold", phases), workers(2));
    going.until_started(0).await;
    until("three wait", || going.store.totals(PhaseId(0)).scenarios[0].waiting() == 3).await;
    until("two are served", || server.count("/hold") == 2).await;
    going.send(Control::Stop).await;
    until("three are cancelled", || going.store.totals(PhaseId(0)).scenarios[0].cancelled == 3).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let s = done.drained[0].s();
    assert_eq!((s.due, s.started, s.cancelled), (5, 2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arrival_at_the_first_moment_of_a_phase_that_finds_nobody_is_dropped() {
    let server = Server::start();
    // The second worker, which comes to the second phase late, seems to have users until then whom that phase doesn't have.
    let phases = "[{name: a, duration: 500ms, drain: 60s, load: {s: {at_once: 5, max_users: 20}}}, \
                  {name: b, duration: 1s, drain: 60s, load: {s: {at_once: 5, max_users: 5}}}]";
    let mut going = Going::start(simple(&server, "/hold", phases), workers(2));
    going.until_started(0).await;
    let began = Instant::now();
    until("all are busy", || server.count("/hold") == 5).await;
    // By then both know of it.
    tokio::time::sleep_until((began + Duration::from_millis(450)).into()).await;
    going.stall(1, Duration::from_millis(300));
    going.until_started(1).await;
    until("all that came are reported", || settled(&going.store.totals(PhaseId(1)).scenarios[0]) == 5).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let s = done.drained[1].s();
    assert_eq!((s.due, s.started, busy(s), s.cancelled), (5, 0, 5, 0));
}
