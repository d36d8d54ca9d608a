//! What outlasts a drain, or several: it is in one record, and nobody waits for it.

use super::*;
use crate::measure::{OwnId, StepId};

/// Longer than any drain here, and shorter than what ends a wait for one that hangs.
const SOON: Duration = Duration::from_secs(4);

fn requests(done: &Done) -> Vec<u64> {
    done.drained.iter().map(|drained| drained.totals.steps[0].requests()).collect()
}

/// How many requests were cut off.
fn cut_off(done: &Done) -> u64 {
    done.drained.iter().map(|drained| drained.totals.steps[0].count(Outcome::Interrupted)).sum()
}

fn cut(done: &Done) -> Vec<u64> {
    done.drained.iter().map(|drained| ended(drained.s(), Outcome::Interrupted)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iterations_without_an_end_are_in_the_last_record_and_hold_up_no_drain() {
    let server = Server::start();
    for count in [1, 2] {
        let plan = plan(
            &server,
            "scenarios: {s: {flow: [{repeat: {while: 'true', flow: [{http: {get: /wait/20, name: r}}]}}]}}\n\
             phases: [{name: ramp, duration: 200ms, drain: 300ms, load: {s: {users: 3}}}, {name: hold, duration: 200ms, drain: 300ms, load: {s: {users: 4}}}, \
             {name: after, duration: 100ms, drain: 60s, load: {s: {users: 4}}}]",
        );
        let before = server.seen().len();
        let mut going = Going::start(plan, workers(count));
        going.until_started(2).await;
        let since = Instant::now();
        while going.drained.len() < 2 {
            assert_eq!(going.next().await, None);
        }
        assert!(since.elapsed() < SOON, "they drain by their own time: {:?}", since.elapsed());
        going.send(Control::Interrupt).await;
        let done = going.finish().await;
        done.check();
        assert_eq!(cut(&done), [0, 0, 4]);
        assert_eq!(requests(&done).iter().sum::<u64>(), (server.seen().len() - before) as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_outlasts_its_drain_counts_where_it_ends() {
    let server = Server::start();
    let phases =
        "[{name: a, duration: 200ms, drain: 200ms, load: {s: {users: 3}}}, {name: b, duration: 60s, load: {s: {users: 3}}}]";
    let mut going = Going::start(simple(&server, "/hold", phases), workers(2));
    going.until_started(1).await;
    let since = Instant::now();
    while going.drained.is_empty() {
        assert_eq!(going.next().await, None);
    }
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    going.send(Control::Interrupt).await;
    let done = going.finish().await;
    done.check();
    assert_eq!((requests(&done), cut(&done)), (vec![0, 3], vec![0, 3]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_at_the_end_of_a_drain_counts_in_its_phase() {
    let server = Server::start();
    // One user goes on, and two leave at the edge.
    let phases = "[{name: a, duration: 200ms, drain: 300ms, load: {s: {users: 3}}}, {name: b, duration: 2s, drain: 100ms, load: {s: {users: 1}}}]";
    let done = carry_out(simple(&server, "/hold", phases), workers(2)).await;
    assert_eq!(cut(&done), [2, 1]);
    assert_eq!(requests(&done), [2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_request_that_is_cut_off_in_its_body_the_status_is_known() {
    let server = Server::start();
    for (flow, codes, wrong) in [
        ("http: {get: /half/200, name: get}", &[(200, 3)][..], 0),
        ("http: {get: /half/503, name: get}", &[(503, 3)], 3),
        ("http: {get: /half/503, name: get, expect: {status: 503}}", &[(503, 3)], 0),
        ("http: {get: /half/200, name: get, version: 1.1, connections: {shared: 3}}", &[(200, 3)], 0),
        // What a redirect leads to isn't known, and what never answered has no status.
        ("http: {get: /half/302, name: get, redirects: 2}", &[], 0),
        ("http: {get: /hold, name: get}", &[], 0),
    ] {
        let rest = format!(
            "scenarios: {{s: {{flow: {{{flow}}}}}}}\nphases: [{{name: a, duration: 200ms, drain: 100ms, load: {{s: {{users: 3}}}}}}]"
        );
        let done = carry_out(plan(&server, &rest), workers(2)).await;
        let step = &done.drained[0].totals.steps[0];
        assert_eq!((step.count(Outcome::Interrupted), step.errors()), (3, 0), "{flow}");
        assert_eq!(step.codes.clone().into_iter().collect::<Vec<_>>(), codes, "{flow}");
        assert_eq!((step.cut.answered, step.cut.wrong), (codes.iter().map(|code| code.1).sum::<u64>(), wrong), "{flow}");
    }
}

/// A stop at each moment around the end of a settled phase's drain: whether a worker has closed its record by then, nobody else knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_ended_as_its_load_is_paused_counts_what_was_under_way() {
    let mut runs = tokio::task::JoinSet::new();
    for (drain, count, after) in [0, 20]
        .into_iter()
        .flat_map(|drain| [1, 2].map(|count| (drain, count)))
        .flat_map(|(drain, count)| (0..12).map(move |ms| (drain, count, ms)))
    {
        runs.spawn(async move {
            let server = Server::start();
            let plan = plan(
                &server,
                &format!(
                    "metrics: {{begun_total: {{type: counter, help: Iterations.}}}}\nobserve: {{settle: true}}\n\
                     scenarios: {{s: {{flow: [{{count: {{begun_total: 1}}}}, {{repeat: {{while: 'true', flow: [{{think: 3ms}}, {{http: {{get: /wait/3, name: r}}}}]}}}}]}}}}\n\
                     phases: [{{name: a, duration: 150ms, drain: {drain}ms, load: {{s: {{users: 3}}}}}}, {{name: b, duration: 60s, drain: 100ms, load: {{s: {{users: 3}}}}}}]"
                ),
            );
            let mut going = Going::start(plan, workers(count));
            going.settles = false;
            let edge = going.until_ended(0).await;
            tokio::time::sleep_until((edge + Duration::from_millis(drain + after)).into()).await;
            going.send(Control::Stop).await;
            let done = going.finish().await;
            done.check_sums();
            let begun: f64 = done.drained.iter().map(|drained| drained.totals.own(OwnId(0), ScenarioId(0)).counter).sum();
            let about = format!("{count} workers, {after} ms after {drain} ms");
            // A worker that comes late may have begun fewer.
            assert_eq!(begun as u64, done.sum(iterations), "{about}");
            assert!((1..=3).contains(&done.sum(iterations)), "{about}");
            // What was cut off may not have come so far.
            let (counted, cut) = (requests(&done).iter().sum::<u64>(), cut_off(&done));
            let seen = server.seen().len() as u64;
            assert!((seen..=seen + cut).contains(&counted), "{counted} of {seen}, {cut} cut off, {about}");
        });
        if runs.len() >= 4 {
            runs.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_loop_still_does_in_its_drain_is_distinguished() {
    let server = Server::start();
    let plan = plan(
        &server,
        "scenarios: {s: {flow: [{repeat: {times: 20, flow: [{http: {get: /wait/50, name: r}}, {count: {turns_total: 1}}]}}]}}\n\
         metrics: {turns_total: {type: counter, help: Turns.}}\n\
         phases: [{name: a, duration: 300ms, drain: 60s, load: {s: {users: 2}}}]",
    );
    let done = carry_out(plan, workers(2)).await;
    done.check();
    assert_eq!(requests(&done), [40], "each of two users goes through its loop");
    let totals = &done.drained[0].totals;
    let late = totals.late.as_ref().unwrap();
    // A request takes 50 ms at least, so that of a user's no more than 6 are due within 300 ms.
    let in_time = totals.in_time(StepId(0));
    assert!((2..=12).contains(&in_time), "{in_time}");
    assert_eq!(in_time + late.steps[0].requests(), 40);
    assert!(late.own_sum(OwnId(0)).counter >= 28.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_when_a_run_is_ended_between_two_phases_is_in_the_record_of_the_next() {
    let endless = "[{count: {begun_total: 1}}, {repeat: {while: 'true', flow: [{http: {get: /wait/20, name: r}}]}}]";
    let short = "[{count: {begun_total: 1}}, {http: {get: /wait/20, name: r}}]";
    for (flow, how, count) in [(endless, Control::Stop, 1), (endless, Control::Interrupt, 2), (short, Control::Stop, 2)] {
        let server = Server::start();
        let plan = plan(
            &server,
            &format!(
                "metrics: {{begun_total: {{type: counter, help: Iterations.}}}}\nobserve: {{settle: true}}\nscenarios: {{s: {{flow: {flow}}}}}\n\
                 phases: [{{name: a, duration: 200ms, drain: 300ms, load: {{s: {{users: 3}}}}}}, {{name: b, duration: 60s, drain: 200ms, load: {{s: {{users: 3}}}}}}]"
            ),
        );
        let mut going = Going::start(plan, workers(count));
        going.settles = false;
        while going.drained.is_empty() {
            assert_eq!(going.next().await, None);
        }
        let before = server.seen().len();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(server.seen().len(), before, "nothing is sent");
        going.send(how.clone()).await;
        let done = going.finish().await;
        done.check_sums();
        let begun: f64 = done.drained.iter().map(|drained| drained.totals.own(OwnId(0), ScenarioId(0)).counter).sum();
        assert_eq!(begun as u64, done.sum(iterations), "{how:?}");
        assert_eq!(requests(&done).iter().sum::<u64>(), server.seen().len() as u64);
        if flow == endless {
            assert_eq!((cut(&done), &done.started[..]), (vec![0, 3], &[0, 1][..]), "{how:?}");
            assert_eq!(done.drained[1].elapsed, Duration::ZERO);
        } else {
            assert_eq!((cut(&done), &done.started[..]), (vec![0], &[0][..]), "nothing was held");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_at_a_settled_edge_ends_within_the_drain_and_is_in_its_phase() {
    let server = Server::start();
    let plan = plan(
        &server,
        "metrics: {done_total: {type: counter, help: Iterations.}}\nobserve: {settle: true}\n\
         scenarios: {s: {flow: [{http: {get: /a, name: a}}, {think: 100ms}, {http: {get: /wait/50, name: b}}, {set: {x: 1}}, {count: {done_total: 1}}, {think: 50ms}]}}\n\
         phases: [{name: a, duration: 300ms, load: {s: {users: 3}}}, {name: b, duration: 300ms, load: {s: {rate: 30/s}}}, {name: c, duration: 300ms, load: {s: {users: 2}}}]",
    );
    let done = carry_out(plan, workers(2)).await;
    for drained in &done.drained {
        let (s, totals) = (drained.s(), &drained.totals);
        assert_eq!(totals.steps[0].requests(), iterations(s));
        assert_eq!(totals.steps[1].requests(), iterations(s));
        assert_eq!(totals.own(OwnId(0), ScenarioId(0)).counter as u64, iterations(s));
        assert!(iterations(s) > 0 && totals.early.is_none(), "{:?}", totals.early);
    }
}
