//! Rows of data: who gets which, and what becomes of whoever gets none.

use std::collections::BTreeMap;

use super::*;

/// A plan of one scenario whose requests name the row, the user and the iteration.
fn rows(server: &Server, data: &str, rest: &str) -> Plan {
    let flow = "{http: {get: '/r/{{ row }}/{{ user }}/{{ iteration }}', name: get}}";
    plan(server, &format!("data: {{row: {data}}}\nscenarios: {{s: {{flow: {flow}}}}}\n{rest}"))
}

fn list(n: u64) -> String {
    format!("list: {:?}", (0..n).collect::<Vec<_>>())
}

/// Row, user and iteration of each request.
fn picked(server: &Server) -> Vec<[u64; 3]> {
    let parts = |path: &str| path.split('/').skip(2).map(|part| part.parse().unwrap()).collect::<Vec<u64>>();
    server.seen().iter().map(|seen| parts(&seen.path).try_into().unwrap()).collect()
}

fn without_data(scenario: &ScenarioTotals) -> u64 {
    scenario.dropped[DropReason::Data.index()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unique_rows_are_used_once_over_workers_and_shards_and_then_arrivals_are_dropped() {
    for (count, shards) in [(1, 1), (2, 1), (3, 1), (5, 1), (2, 2), (1, 3)] {
        let server = Server::start();
        let phases = "phases: [{name: a, duration: 400ms, load: {s: {rate: 100/s, max_users: 10, on_busy: {wait: 30s}}}}, \
                      {name: b, duration: 200ms, load: {s: {rate: 100/s, max_users: 10, on_busy: {wait: 30s}}}}]";
        let (mut due, mut started, mut dropped) = (0, 0, 0);
        for shard in 0..shards {
            let plan = rows(&server, &format!("{{{}, pick: unique}}", list(31)), phases);
            let going = Going::start(plan, Options { workers: count, shard, shards });
            let view = going.run.view.clone();
            let done = going.finish().await;
            done.check();
            assert_eq!(view.ran_out(1), [0], "{count} workers, {shards} shards");
            due += done.sum(|s| s.due);
            started += done.sum(|s| s.started);
            dropped += done.sum(without_data);
        }
        assert_eq!((due, started, dropped), (60, 31, 29), "{count} workers, {shards} shards");
        let mut used: Vec<u64> = picked(&server).iter().map(|[row, ..]| *row).collect();
        used.sort_unstable();
        assert_eq!(used, (0..31).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_users_end_where_no_row_is_left() {
    let server = Server::start();
    let phases = "phases: [{name: a, duration: 700ms, load: {s: {users: 4}}}, {name: b, duration: 200ms, load: {s: {users: 4}}}]";
    let plan = rows(&server, &format!("{{{}, pick: unique}}", list(37)), phases);
    let going = Going::start(plan, workers(3));
    let (store, view) = (going.store.clone(), going.run.view.clone());
    until("users have ended", || picked(&server).len() == 37 && store.gauges.users(ScenarioId(0)) == 0).await;
    let done = going.finish().await;
    done.check();
    assert_eq!((view.ran_out(0), done.sum(|s| ended(s, Outcome::Ok)), done.ending), (vec![0], 37, Ending::Completed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_is_just_enough_has_not_run_out() {
    for load in ["users: 3, total_iterations: 40", "users: 4, iterations: 10", "rate: 100/s, max_users: 40, on_busy: {wait: 30s}"]
    {
        let server = Server::start();
        let duration = if load.starts_with("rate") { "400ms" } else { "50s" };
        let phases = format!("phases: [{{name: a, duration: {duration}, load: {{s: {{{load}}}}}}}]");
        let plan = rows(&server, &format!("{{{}, pick: unique}}", list(40)), &phases);
        let going = Going::start(plan, workers(2));
        let view = going.run.view.clone();
        let done = going.finish().await;
        done.check();
        assert_eq!((iterations(done.drained[0].s()), view.ran_out(0)), (40, vec![]), "{load}");
        assert!(done.drained[0].elapsed < Duration::from_secs(50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_have_rows_by_their_number_by_turns_and_by_the_seed() {
    let phases = "phases: [{name: a, duration: 50s, load: {s: {users: 5, iterations: 6}}}]\nseed: 7";
    let run = async |pick: &str| {
        let server = Server::start();
        let plan = rows(&server, &format!("{{{}, pick: {pick}}}", list(3)), phases);
        carry_out(plan, workers(2)).await;
        let mut picked = picked(&server);
        picked.sort_unstable_by_key(|[_, user, iteration]| (*user, *iteration));
        assert_eq!(picked.len(), 30);
        picked
    };
    assert!(run("per_user").await.iter().all(|[row, user, _]| *row == user % 3));
    let mut count = BTreeMap::new();
    run("sequential").await.iter().for_each(|[row, ..]| *count.entry(*row).or_insert(0) += 1);
    assert!(count.len() == 3 && count.values().all(|n| *n >= 9), "{count:?}");
    let random = run("random").await;
    assert_eq!(random, run("random").await);
    assert!((0..3).all(|row| random.iter().any(|[picked, ..]| *picked == row)), "{random:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_goes_through_the_rows_in_their_order_however_many_workers_there_are() {
    let server = Server::start();
    let phases = "phases: [{name: a, duration: 50s, load: {s: {users: 1, iterations: 7}}}]";
    carry_out(rows(&server, &format!("{{{}}}", list(3)), phases), workers(4)).await;
    assert_eq!(picked(&server).iter().map(|[row, ..]| *row).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remembered_rows_are_those_of_the_last_edge() {
    let server = Server::start();
    let plan = plan(
        &server,
        "data: {row: {remembered: made, pick: unique}}\n\
         scenarios:\n  makes: {flow: [{http: {get: '/made/{{ user }}/{{ iteration }}', name: make}}, {remember: {made: '{{ user }}-{{ iteration }}'}}]}\n  \
         takes: {flow: {http: {get: '/taken/{{ row }}', name: take}}}\n\
         phases: [{name: a, duration: 50s, load: {makes: {users: 3, iterations: 4}}}, \
         {name: b, duration: 300ms, load: {takes: {at_once: 20, max_users: 5, on_busy: {wait: 30s}}}}]",
    );
    let done = carry_out(plan, workers(2)).await;
    let takes = &done.drained[1].totals.scenarios[1];
    assert_eq!((takes.due, takes.started, without_data(takes)), (20, 12, 8));
    let last = |prefix: &str| {
        let parts = |path: &str| path.strip_prefix(prefix).map(|rest| rest.replace('/', "-"));
        server.seen().iter().filter_map(|seen| parts(&seen.path)).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(last("/made/"), last("/taken/"), "each that was made is taken, and none twice");
}
