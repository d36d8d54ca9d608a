//! Arrivals and iterations add up, whatever the shape of the load and however many divide it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::*;

/// Loads of arrivals, as phases.
const OPEN: &[&str] = &[
    "[{name: constant, duration: 1s, load: {s: {rate: 100/s, max_users: 20}}}]",
    "[{name: fraction, duration: 700ms, load: {s: {rate: 33.3/s, max_users: 20}}}]",
    "[{name: up, duration: 1s, load: {s: {rate: 0/s -> 120/s, max_users: 20}}}]",
    "[{name: down, duration: 1s, load: {s: {rate: 120/s -> 0/s, max_users: 20}}}]",
    "[{name: slow, duration: 1500ms, load: {s: {rate: 0.9/s, max_users: 5}}}]",
    "[{name: none, duration: 300ms, load: {s: {rate: 0.5/s, max_users: 5}}}]",
    "[{name: poisson, duration: 1s, load: {s: {rate: 90/s, arrivals: poisson, max_users: 20}}}]",
    "[{name: ramped-poisson, duration: 1s, load: {s: {rate: 100/s -> 0/s, arrivals: poisson, max_users: 3}}}]",
    "[{name: burst, duration: 300ms, load: {s: {at_once: 40, max_users: 15}}}]",
    "[{name: nobody, duration: 300ms, load: {s: {rate: 50/s, max_users: 1, users: 0}}}]",
    "[{name: stages, stages: [{duration: 300ms, load: {s: {rate: 0/s -> 90/s, max_users: 9}}}, {duration: 0s, load: {s: {rate: 1000/s}}}, \
     {duration: 300ms, load: {s: {rate: -> 10/s}}}, {duration: 200ms, load: {}}, {duration: 200ms, load: {s: {rate: 45/s}}}]}]",
    "[{name: short, duration: 50ms, load: {s: {rate: 500/s, max_users: 4}}}, {name: shorter, duration: 10ms, load: {s: {rate: 500/s, max_users: 6}}}, \
     {name: again, duration: 200ms, load: {s: {rate: 100/s, max_users: 2}}}]",
    "[{name: waits, duration: 500ms, load: {s: {rate: 200/s, max_users: 2, on_busy: {wait: 100ms}}}}]",
    "[{name: waits-on, duration: 300ms, load: {s: {rate: 200/s, max_users: 2, on_busy: {wait: 5s}}}}, \
     {name: then-less, duration: 300ms, load: {s: {rate: 100/s, max_users: 1, on_busy: {wait: 10ms}}}}]",
];

/// What is due of a phase over all shards and workers.
fn due(plan: &Plan, phase: usize) -> u64 {
    let total = |load: &Load| match load {
        Load::Open { arrivals, .. } => arrivals.total(),
        Load::Closed { .. } => 0,
    };
    plan.phases[phase].loads.iter().map(|(_, load)| total(load)).sum()
}

/// Watches that no snapshot ever says more than was due.
async fn never_more_than_due(store: Arc<Store>, over: Arc<AtomicBool>) -> u64 {
    let mut snapshots = 0;
    while !over.load(Ordering::Acquire) {
        for phase in 0..store.layout().phases.len() {
            for scenario in store.totals(PhaseId::at(phase)).scenarios {
                assert!(scenario.due >= settled(&scenario), "{scenario:?}");
            }
        }
        snapshots += 1;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    snapshots
}

/// One run for each shard; what each phase had in all.
async fn shards(server: &Server, path: &str, phases: &str, workers: usize, shards: u64) {
    let mut sums: Vec<(u64, u64)> = Vec::new();
    let mut runs = JoinSet::new();
    for shard in 0..shards {
        let plan = simple(server, path, phases);
        sums.resize(plan.phases.len(), (0, 0));
        let going = Going::start(plan, Options { workers, shard, shards });
        let over = Arc::<AtomicBool>::default();
        let watch = tokio::spawn(never_more_than_due(going.store.clone(), over.clone()));
        runs.spawn(async move {
            let done = going.finish().await;
            over.store(true, Ordering::Release);
            assert!(watch.await.unwrap() > 0);
            done.check();
            done
        });
    }
    while let Some(done) = runs.join_next().await {
        let done = done.unwrap();
        assert_eq!(done.ending, Ending::Completed);
        assert_eq!(done.drained.len(), sums.len());
        for drained in &done.drained {
            sums[drained.phase].0 += drained.s().due;
            sums[drained.phase].1 = due(&done.plan, drained.phase);
        }
    }
    for (phase, (counted, expected)) in sums.into_iter().enumerate() {
        assert_eq!(counted, expected, "phase {phase} of {phases} with {workers} workers and {shards} shards");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_arrival_of_every_shape_is_due_once_and_has_one_outcome() {
    let server = Arc::new(Server::start());
    let mut runs = JoinSet::new();
    for (index, phases) in OPEN.iter().enumerate() {
        for (count, sharded) in [(1, 1), (2, 1), (3, 1), (5, 1), (2, 3), (1, 2)] {
            // A target that is slow to answer keeps users busy, so that some arrivals find none.
            let path = if index % 2 == 0 { "/" } else { "/wait/25" };
            let server = server.clone();
            runs.spawn(async move { shards(&server, path, phases, count, sharded).await });
            if runs.len() >= 12 {
                runs.join_next().await.unwrap().unwrap();
            }
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_snapshot_has_more_outcomes_than_arrivals_while_workers_pass_them_on() {
    let server = Server::start();
    let plan = simple(
        &server,
        "/wait/1",
        "[{name: a, duration: 1500ms, load: {s: {rate: 2500/s, max_users: 2, on_busy: {wait: 2ms}}}}]",
    );
    let going = Going::start(plan, workers(3));
    let (store, view, over) = (going.store.clone(), going.run.view.clone(), Arc::<AtomicBool>::default());
    let stop = over.clone();
    let watch = std::thread::spawn(move || {
        let mut snapshots = 0;
        while !stop.load(Ordering::Acquire) {
            let stored = Some(store.totals(PhaseId(0)));
            for totals in [stored, view.totals(0)].into_iter().flatten() {
                let s = &totals.scenarios[0];
                assert!(s.due >= settled(s), "due {} < {}", s.due, settled(s));
                snapshots += 1;
            }
        }
        snapshots
    });
    let done = going.finish().await;
    over.store(true, Ordering::Release);
    assert!(watch.join().unwrap() > 10);
    done.check();
    assert_eq!(done.drained[0].s().due, 3750);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iterations_are_exact() {
    let server = Arc::new(Server::start());
    let mut runs = JoinSet::new();
    for (load, expected) in [
        ("users: 1, iterations: 1", 1),
        ("users: 7, iterations: 5", 35),
        ("users: 4, total_iterations: 1001", 1001),
        ("users: 9, total_iterations: 3", 3),
        ("users: 2, total_iterations: 130, pacing: 2ms", 130),
        ("users: 0, total_iterations: 9", 0),
        ("users: 0", 0),
    ] {
        for (count, shards) in [(1, 1), (2, 1), (3, 1), (5, 1), (2, 2)] {
            let server = server.clone();
            runs.spawn(async move {
                let duration = if load.starts_with("users: 0") { "200ms" } else { "50s" };
                let phases = format!("[{{name: a, duration: {duration}, load: {{s: {{{load}}}}}}}]");
                let mut all = 0;
                for shard in 0..shards {
                    let plan = simple(&server, "/", &phases);
                    // A shard without a user has nobody to do its part.
                    let done = if shards > 1 && expected < 30 {
                        return;
                    } else {
                        carry_out(plan, Options { workers: count, shard, shards }).await
                    };
                    assert_eq!(done.ending, Ending::Completed);
                    assert!(done.drained[0].elapsed < Duration::from_secs(50), "it ends when all are done: {load}");
                    all += iterations(done.drained[0].s());
                }
                assert_eq!(all, expected, "{load} with {count} workers and {shards} shards");
            });
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_total_is_done_although_users_that_had_claimed_of_it_are_gone() {
    let server = Server::start();
    // User 1 ends itself at its first iteration, with whatever its worker had claimed.
    let plan = plan(
        &server,
        "scenarios: {s: {flow: [{http: {get: /hello, name: get}}, {if: user == 1, http: {get: /status, name: bad, expect: {status: 500}}, on_error: end_user}]}}\n\
         phases: [{name: a, duration: 50s, load: {s: {users: 2, total_iterations: 600}}}]",
    );
    let done = carry_out(plan, workers(2)).await;
    assert_eq!(iterations(done.drained[0].s()), 600);
    assert!(done.drained[0].elapsed < Duration::from_secs(50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_late_every_iteration_began_is_recorded() {
    let server = Server::start();
    let open =
        carry_out(simple(&server, "/", "[{name: a, duration: 300ms, load: {s: {rate: 100/s, max_users: 30}}}]"), workers(2))
            .await;
    let s = open.drained[0].s();
    assert_eq!((s.start_lag.count(), s.started > 0), (s.started, true));
    let closed = carry_out(
        simple(&server, "/", "[{name: a, duration: 20s, load: {s: {users: 3, iterations: 4, pacing: 5ms}}}]"),
        workers(2),
    )
    .await;
    assert_eq!(closed.drained[0].s().start_lag.count(), 12);
}
