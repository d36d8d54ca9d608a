//! Runs leave nothing behind: no thread, no descriptor, no memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::support::program::{Bench, Running};
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

fn resolve(target: SocketAddr, rest: &str) -> Arc<Plan> {
    let text = format!("name: test\ndefaults: {{http: {{base_url: builtin, timeout: 10s}}}}\n{rest}\n");
    let options = plan::Options { builtin: Some(plan::Builtin { http: target, tcp: target }), ..plan::Options::default() };
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
    let options = engine::Options { workers: 3, shard: 0, shards: 1 };
    let mut run = engine::start(plan.clone(), store.clone(), options, &engine::Carried::new(plan, options)).unwrap();
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
        target.address(),
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

/// Bytes that live but for the store's own totals, once the threads of the last run are gone. The totals grow with every new
/// bucket that a value falls into, up to what histograms of bounded size can have; a copy of them shows how much that is by now.
async fn live(plan: &Arc<Plan>, store: &Store, threads: usize) -> i64 {
    settles("a run holds its plan", || Arc::strong_count(plan) == 1).await;
    settles("threads are left", || count("/proc/self/task") <= threads).await;
    let live = LIVE.load(Ordering::Relaxed);
    let totals: Vec<_> = (0..plan.layout.phases.len()).map(|phase| store.totals(PhaseId::at(phase))).collect();
    let copied = LIVE.load(Ordering::Relaxed) - live;
    drop(totals);
    live - copied
}

/// After many runs and requests no more memory is taken than after a few, but for the buckets of histograms. The target is a
/// process of its own, so that what is counted is the generator's.
async fn memory_stays(target: &Running) {
    let plan = resolve(
        SocketAddr::from(([127, 0, 0, 1], target.port)),
        "scenarios:\n  browse: {flow: [{http: {get: '/item/{{ random_int(1, 1000) }}', name: a, extract: {m: $.method}, check: {ok: m == 'GET'}}}, {think: 1ms}]}\n  \
         fail: {flow: {http: {get: /status/503, name: b}}}\n\
         phases: [{name: warm, duration: 1m, load: {browse: {users: 8, total_iterations: 400}}}, \
         {name: steady, duration: 1m, load: {browse: {users: 8, total_iterations: 2000}, fail: {users: 4, total_iterations: 400}}}]",
    );
    let store = Store::new(plan.layout.clone());
    let threads = count("/proc/self/task");
    let rounds = |n: usize| {
        let (plan, store) = (plan.clone(), store.clone());
        async move {
            for _ in 0..n {
                assert_eq!(run(&plan, &store, None).await, Ending::Completed);
            }
        }
    };
    let made = || target.metric("echo_requests_total", &[]).unwrap();
    rounds(2).await;
    let (before, requests) = (live(&plan, &store, threads).await, made());
    rounds(12).await;
    let requests = made() - requests;
    assert_eq!(requests, 12.0 * 2800.0);
    // Not a byte more is what is seen; what is allowed is an eighth of a byte a request, or 350 bytes a run, for what a library
    // may keep for all of them.
    let allowed = 4096;
    let start = Instant::now();
    loop {
        let grown = live(&plan, &store, threads).await - before;
        if grown <= allowed {
            return;
        }
        // A thread that is on its way out is not among the tasks any more, but some of what it held may be there for a moment.
        assert!(start.elapsed() < Duration::from_secs(20), "{grown} bytes more after {requests} requests");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_leave_nothing_behind() {
    let _alone = crate::ALONE.lock().await;
    let target = Target::start("127.0.0.1:0".parse().unwrap(), Options::default()).unwrap();
    nothing_is_left_of_a_run(&target).await;
    target.stop().await;
    let bench = Bench::new();
    let mut apart = Running::start(bench.command(&["target", "--web.listen-address=127.0.0.1:0"]), bench.path());
    apart.listens();
    memory_stays(&apart).await;
}
