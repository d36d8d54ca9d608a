//! The runtime of everything but the load.

use super::failure::Failure;
use crate::net::Limit;

/// The most threads for what waits for a disk.
const BLOCKING: usize = 32;
/// Threads that the program starts with: one for the runtime, one for what blocks, and one to spare.
const FIRST: usize = 3;

/// The runtime of everything but the load: workers have their own. Its first thread for what blocks stays, so that later on such work waits
/// for it where the system gives no other one.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let wrong = |error: std::io::Error| Failure::system(format!("the program can't start: {}", Limit::of_thread(&error)));
    // The runtime panics where it gets none.
    let all = std::sync::Arc::new(std::sync::Barrier::new(FIRST + 1));
    let mut tried = Vec::new();
    for _ in 0..FIRST {
        let all = all.clone();
        match std::thread::Builder::new().spawn(move || all.wait()) {
            Ok(thread) => tried.push(thread),
            // The process ends, and those that wait with it.
            Err(error) => return Err(wrong(error)),
        }
    }
    all.wait();
    tried.into_iter().for_each(|thread| drop(thread.join())); // what it waited for has come
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(std::time::Duration::from_secs(u64::from(u32::MAX)))
        .thread_name("service")
        .enable_all()
        .build()
        .map_err(|error| Failure::system(format!("the program can't start its runtime: {error}")))?;
    drop(runtime.block_on(runtime.spawn_blocking(|| {}))); // there is nothing in it that could panic
    Ok(runtime)
}
