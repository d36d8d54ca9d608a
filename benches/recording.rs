//! What recording one sample costs: less than 100 ns, and no allocation. Fails above that; `scripts/bench` runs it.
//!
//! The samples are spread as real ones are: latencies around 1 ms with a long tail, 20 steps in turn, an error now and then.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use load_exporter::base::{Outcome, Protocol, Reason};
use load_exporter::measure::{Layout, PhaseId, Sample, ScenarioId, ScenarioLayout, Set, StepId, StepLayout, Store};

/// The budget of one sample, in nanoseconds.
const BUDGET: f64 = 100.0;
const STEPS: usize = 20;
/// Samples of a round, made before it.
const SAMPLES: usize = 1 << 16;
const ROUNDS: usize = 100;

/// Counts allocations; the system's allocator does the work.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn layout() -> Layout {
    let scenario = ScenarioId(0);
    let step = |n| StepLayout { thresholds: vec![0.1, 0.35], ..StepLayout::new(scenario, format!("step-{n}"), Protocol::Http) };
    Layout {
        profile: "bench".to_owned(),
        phases: vec!["steady".to_owned()],
        scenarios: vec![ScenarioLayout::new("users")],
        steps: (0..STEPS).map(step).collect(),
        active: vec![(PhaseId(0), scenario)],
        series_limit: 1_000_000,
        ..Layout::default()
    }
}

/// Log-uniform from 0.1 ms to 1 s, by a multiplicative generator: the same in every run.
fn samples() -> Vec<(StepId, Sample)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let one = |n: usize| {
        let service = (1e5 * 10_f64.powf(4.0 * random())) as u64;
        let failed = random() < 0.01;
        let sample = Sample {
            response: service + (1e4 * random()) as u64,
            service,
            outcome: if failed { Outcome::Error } else { Outcome::Ok },
            reason: failed.then_some(Reason::Status),
            status: if failed { 500 } else { 200 },
            sent: 120,
            received: 900,
        };
        (StepId((n % STEPS) as u32), sample)
    };
    (0..SAMPLES).map(one).collect()
}

/// Nanoseconds a sample.
fn round(set: &Set, samples: &[(StepId, Sample)]) -> f64 {
    let started = Instant::now();
    for (step, sample) in samples {
        set.sample(black_box(*step), black_box(sample));
    }
    started.elapsed().as_nanos() as f64 / samples.len() as f64
}

fn main() {
    // `cargo test --benches` would pass --test: then one round shows that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let store = Store::new(Arc::new(layout()));
    let set = store.open(PhaseId(0));
    let samples = samples();
    // Pages are allocated when first touched: that is over after one round.
    round(&set, &samples);
    let mut costs = Vec::with_capacity(rounds);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..rounds {
        costs.push(round(&set, &samples));
    }
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    costs.sort_by(f64::total_cmp);
    let (best, median) = (costs[0], costs[costs.len() / 2]);
    println!(
        "recording a sample: {median:.1} ns (median of {rounds} rounds, best {best:.1} ns), {allocated} allocations; budget {BUDGET} ns, 0"
    );
    let within = rounds == 1 || median < BUDGET;
    if allocated > 0 || !within {
        println!("recording is over its budget");
        std::process::exit(1);
    }
}
