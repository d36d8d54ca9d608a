//! What the generator itself did to a sample is recorded with it.

use super::*;
use crate::measure::{Delayed, Sparse};

const STALL: Duration = Duration::from_millis(700);
/// A beat comes some time before the worker stands still.
const LEAST: f64 = 0.69;

/// By how much all that was delayed may be longer than it would have been, in seconds.
fn delay(delayed: &Delayed) -> f64 {
    let sum = |by: &[Sparse]| by.iter().map(Sparse::sum).sum::<f64>();
    sum(&delayed.measured) - sum(&delayed.least)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_under_way_while_a_worker_stands_still_is_delayed_by_that() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: {group: {name: g, flow: [{http: {get: /hold, name: held}}, {http: {get: /, name: after}}]}}}}\n\
         phases: [{name: a, duration: 60s, load: {s: {users: 3, iterations: 1}}}]",
    );
    let mut going = Going::start(plan, workers(1));
    going.until_started(0).await;
    until("all are held", || server.count("/hold") == 3).await;
    going.stall(0, STALL);
    let held = || going.store.totals(PhaseId(0)).scenarios[0].held;
    until("it has stood still", || held() > 0).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let totals = &done.drained[0].totals;
    let of = |step: &str| &totals.steps[done.plan.layout.steps.iter().position(|layout| layout.name == step).unwrap()];
    for (what, delayed) in [
        ("response", &of("held").delayed_response),
        ("service", &of("held").delayed_service),
        ("iterations", &totals.scenarios[0].delayed_iterations),
        ("groups", &totals.delayed_groups[0]),
    ] {
        assert_eq!(delayed.count(), 3, "{what}");
        assert!(delay(delayed) >= 3.0 * LEAST, "{what}: {}", delay(delayed));
    }
    assert!(of("held").response[Outcome::Ok.index()].sum() >= delay(&of("held").delayed_response));
    assert!(done.drained[0].s().held as f64 / 1e9 >= 3.0 * LEAST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_limit_that_passes_while_the_worker_stands_still_is_delayed_too() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: {http: {get: /hold, name: held, timeout: 400ms}}}}\n\
         phases: [{name: a, duration: 60s, load: {s: {users: 2, iterations: 1}}}]",
    );
    let mut going = Going::start(plan, workers(1));
    going.until_started(0).await;
    until("all are held", || server.count("/hold") == 2).await;
    going.stall(0, STALL);
    let done = going.finish().await;
    let step = &done.drained[0].totals.steps[0];
    assert_eq!(step.count(Outcome::Timeout), 2);
    assert_eq!(step.delayed_response.measured[Outcome::Timeout.index()].count(), 2);
    assert!(step.delayed_response.least[Outcome::Timeout.index()].max().unwrap() < 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_starts_late_is_delayed_by_its_lag() {
    let server = Server::start();
    for (flow, stalls) in [
        ("[{http: {get: /, name: first}}]", false),
        ("[{http: {get: /, name: first}}, {think: 20ms}, {http: {get: /, name: second}}]", false),
        (
            "[{think: 20ms}, {group: {name: g, flow: [{http: {get: /, name: first}}, {http: {get: /wait/1, name: second}}]}}]",
            true,
        ),
    ] {
        let phases = "phases: [{name: a, duration: 1500ms, load: {s: {rate: 40/s, max_users: 100}}}]";
        let mut going = Going::start(plan(&server, &format!("scenarios: {{s: {{flow: {flow}}}}}\n{phases}")), workers(1));
        going.until_started(0).await;
        if stalls {
            until("it is under way", || going.store.totals(PhaseId(0)).steps[0].requests() > 3).await;
            going.stall(0, STALL);
        }
        let done = going.finish().await;
        done.check();
        let totals = &done.drained[0].totals;
        let lags = &totals.scenarios[0].start_lag;
        let steps: f64 = totals.steps.iter().map(|step| delay(&step.delayed_response)).sum();
        let iterations = delay(&totals.scenarios[0].delayed_iterations);
        // A lag of ten microseconds is none.
        let negligible = lags.count() as f64 * 1e-5;
        assert!(iterations + negligible >= lags.sum(), "{flow}: {iterations} s of {} s", lags.sum());
        if !flow.starts_with("[{think") {
            assert!(steps + negligible >= lags.sum(), "{flow}: {steps} s of {} s", lags.sum());
        }
        if stalls {
            // The first that was due while it stood still came up to 25 ms after that began.
            assert!(lags.max().unwrap() >= LEAST - 0.03, "{lags:?}");
            assert!(delay(&totals.delayed_groups[0]) > 0.0 && iterations >= LEAST - 0.03);
            assert_eq!(totals.scenarios[0].held, 0, "no closed load was held up");
        }
        for step in &totals.steps {
            assert!(delay(&step.delayed_response) <= step.response.iter().map(Sparse::sum).sum::<f64>());
            assert!(step.delayed_response.count() <= step.requests());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_the_queue_that_a_pause_left_behind_is_delayed_by_that() {
    let server = Server::start();
    for (http, load) in
        [("", "{rate: 50/s, max_users: 1, on_busy: {wait: 30s}}"), (", connections: {shared: 1}", "{rate: 50/s, max_users: 300}")]
    {
        let rest = format!(
            "scenarios: {{s: {{flow: {{http: {{get: /wait/10, name: a{http}}}}}}}}}\n\
             phases: [{{name: a, duration: 3s, load: {{s: {load}}}}}]"
        );
        let mut going = Going::start(plan(&server, &rest), workers(1));
        going.until_started(0).await;
        until("it is under way", || going.store.totals(PhaseId(0)).steps[0].requests() > 3).await;
        going.stall(0, STALL);
        let done = going.finish().await;
        done.check();
        let totals = &done.drained[0].totals;
        let step = &totals.steps[0];
        let (response, service) = (&step.response[Outcome::Ok.index()], &step.service[Outcome::Ok.index()]);
        let waited = response.sum() - service.sum();
        // 35 were due in the pause, and at 100/s more of them are served than come: as many again find a queue.
        assert!(step.delayed_response.count() >= 50, "{load}: {}", step.delayed_response.count());
        assert!(delay(&step.delayed_response) >= 0.8 * waited, "{load}: {} of {waited}", delay(&step.delayed_response));
        assert!(delay(&totals.scenarios[0].delayed_iterations) >= 0.8 * waited, "{load}");
        assert!(step.delayed_response.least[Outcome::Ok.index()].quantile(0.5).unwrap() < 0.3, "{load}");
    }
}
