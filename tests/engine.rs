//! Runs leave nothing behind: no thread, no descriptor, no memory. A process of its own, so that what is counted is theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use load_exporter::engine::{self, Control, Ending, Event};
use load_exporter::measure::{PhaseId, ScenarioId, Store};
use load_exporter::plan::{self, Plan};
use load_exporter::profile::Env;
use load_exporter::target::{Options, Target};

/// Bytes that are allocated and not freed: what resident memory blurs by what an allocator keeps.
static LIVE: AtomicI64 = AtomicI64::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn resolve(target: &Target, rest: &str) -> Arc<Plan> {
    let text = format!("name: test\ndefaults: {{http: {{base_url: builtin, timeout: 10s}}}}\n{rest}\n");
    let options = plan::Options { builtin: Some(target.address()) };
    Arc::new(plan::load_text(Path::new("test.yml"), text, &Env::default(), &[], options).unwrap().0)
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

async fn settles(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One run: to its end, stopped, or cut off.
async fn run(plan: &Arc<Plan>, store: &Arc<Store>, how: Option<Control>) -> Ending {
    let mut run = engine::start(plan.clone(), store.clone(), engine::Options { workers: 3, shard: 0, shards: 1 }).unwrap();
    loop {
        match run.events.recv().await.unwrap() {
            Event::PhaseStarted { .. } => {
                if let Some(how) = &how {
                    tokio::time::sleep(Duration::from_millis(40)).await;
                    // It may have ended by itself meanwhile.
                    let _ = run.control.send(how.clone()).await;
                }
            }
            Event::Finished(ending) => return ending,
            _ => {}
        }
    }
}

/// The threads, descriptors and objects of fifty short runs are gone after them.
async fn nothing_is_left_of_a_run(target: &Target) {
    let plan = resolve(
        target,
        "scenarios:\n  own: {flow: [{http: {get: /, name: a}}, {think: 1ms}]}\n  \
         shared: {flow: {http: {get: /delay/30ms, name: b, connections: {shared: 5}}}}\n\
         phases: [{name: one, duration: 80ms, drain: 10ms, load: {own: {users: 0 -> 6}, shared: {rate: 200/s, max_users: 9, on_busy: {wait: 20ms}}}},\n  \
         {name: two, duration: 60ms, drain: 10ms, load: {own: {rate: 100/s, max_users: 3}}}]",
    );
    let store = Store::new(plan.layout.clone());
    // The first one starts what the process keeps: blocking threads, caches.
    run(&plan, &store, None).await;
    let base = Arc::strong_count(&plan);
    settles("threads of the first run", || Arc::strong_count(&plan) == 1).await;
    let (threads, descriptors) = (count("/proc/self/task"), count("/proc/self/fd"));
    for turn in 0..50 {
        let how = match turn % 3 {
            0 => None,
            1 => Some(Control::Stop),
            _ => Some(Control::Interrupt),
        };
        run(&plan, &store, how).await;
    }
    settles(&format!("plan is held by {} (after one run: {base})", Arc::strong_count(&plan)), || Arc::strong_count(&plan) == 1)
        .await;
    settles("store is held", || Arc::strong_count(&store) == 1).await;
    settles("threads are left", || count("/proc/self/task") <= threads).await;
    settles("descriptors are left", || count("/proc/self/fd") <= descriptors).await;
    for (phase, scenario) in [(0, 0), (0, 1), (1, 0)] {
        let totals = store.totals(PhaseId::at(phase));
        let s = totals.scenario(ScenarioId::at(scenario));
        assert_eq!(s.waiting(), 0, "{s:?}");
        assert_eq!(store.gauges.users(ScenarioId::at(scenario)), 0);
        assert_eq!(store.gauges.connections(ScenarioId::at(scenario), load_exporter::base::Protocol::Http), 0);
    }
}

/// Memory after a few seconds of continuous runs is what it is many runs and requests later.
async fn memory_stays(target: &Target) {
    let plan = resolve(
        target,
        "scenarios:\n  browse: {flow: [{http: {get: '/item/{{ random_int(1, 1000) }}', name: a, extract: {m: $.method}, check: {ok: m == 'GET'}}}, {think: 1ms..3ms}]}\n  \
         fail: {flow: {http: {get: /status/503, name: b}}}\n\
         phases: [{name: warm, duration: 150ms, load: {browse: {users: 0 -> 8}}}, {name: steady, duration: 350ms, load: {browse: {users: 8}, fail: {rate: 400/s, max_users: 20}}}]",
    );
    let store = Store::new(plan.layout.clone());
    let rounds = |n: usize| {
        let (plan, store) = (plan.clone(), store.clone());
        async move {
            for _ in 0..n {
                assert_eq!(run(&plan, &store, None).await, Ending::Completed);
            }
        }
    };
    // Until every histogram has the buckets that it will have.
    rounds(14).await;
    let (before, requests) = (LIVE.load(Ordering::Relaxed), target.requests());
    rounds(24).await;
    let made = target.requests() - requests;
    assert!(made > 1000, "{made} requests");
    // What lives at one moment varies by some 160 KiB whatever was done before (here the connections of both sides are in one
    // process). A leak of the smallest allocation for each request would be four times what is allowed.
    let allowed = 64 * 1024 + 4 * i64::try_from(made).unwrap();
    let grown = || LIVE.load(Ordering::Relaxed) - before;
    settles(&format!("more than {allowed} bytes more after {made} requests"), || grown() < allowed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_leave_nothing_behind() {
    let target = Target::start("127.0.0.1:0".parse().unwrap(), Options::default()).unwrap();
    nothing_is_left_of_a_run(&target).await;
    memory_stays(&target).await;
    target.stop().await;
}
