//! Threads that work with a runtime of their own.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::runtime::Runtime;

use super::local::Limit;

/// Starts a thread that works with a runtime of its own.
///
/// # Errors
/// No thread can be had.
pub fn start(name: String, runtime: Runtime, work: impl FnOnce(Runtime) + Send + 'static) -> io::Result<JoinHandle<()>> {
    // Handed over once the thread is there: a runtime may not be dropped where it would block, and this may be called from a task.
    let (give, take) = mpsc::channel();
    let spawned = std::thread::Builder::new().name(name).spawn(move || {
        if let Ok(runtime) = take.recv() {
            work(runtime);
        }
    });
    match spawned {
        Ok(thread) => {
            let _ = give.send(runtime); // it waits for that
            Ok(thread)
        }
        Err(error) => {
            runtime.shutdown_background();
            Err(io::Error::other(Limit::of_thread(&error)))
        }
    }
}
