//! Signals, as messages; and the end of a process that doesn't come to its end by itself.

use std::io;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::net::Limit;
use crate::verdict::Exit;

/// How long the program has after the second signal to end in order, with its record.
const GRACE: Duration = Duration::from_millis(900);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT, or SIGHUP where it [`Hangup::Stops`]: stop gracefully; a second one: at once.
    Stop,
    /// SIGHUP otherwise: read the profiles anew.
    Reload,
}

/// What SIGHUP is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// Read the profiles anew, as of every daemon.
    Reloads,
    /// Stop gracefully: the terminal is gone, and nobody watches the load. Under `nohup` it goes on.
    Stops,
}

/// Receives the process's signals from now on. [`GRACE`] after the second one that asks for the end, the process ends whatever
/// it is doing: no worker and no runtime is needed for that.
///
/// # Errors
/// The handlers can't be installed.
pub fn receive(hangup: Hangup) -> io::Result<UnboundedReceiver<Signal>> {
    let (sender, receiver) = unbounded_channel();
    let heard = hangup == Hangup::Reloads || !is_ignored(SIGHUP);
    let mut signals = Signals::new([SIGTERM, SIGINT].into_iter().chain(heard.then_some(SIGHUP)))?;
    let spawned = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut stops = 0_u32;
        for signal in signals.forever() {
            let reloads = signal == SIGHUP && hangup == Hangup::Reloads;
            let message = if reloads { Signal::Reload } else { Signal::Stop };
            // Whoever has stopped listening is about to end; it may hang in that.
            let _ = sender.send(message);
            if message == Signal::Stop {
                stops += 1;
            }
            if stops == 2 {
                std::thread::sleep(GRACE);
                end();
            }
        }
    });
    spawned.map_err(|error| io::Error::other(Limit::of_thread(&error)))?;
    Ok(receiver)
}

/// Whether whoever started this process has it ignore the signal, as `nohup` does.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null pointer for the new action nothing is changed; the present one is written to memory of ours, and read only where
    // the call says that it was.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0 && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Ends the process, without what runs at an orderly exit: that could wait for a thread that doesn't answer.
fn end() -> ! {
    // On a thread of its own: whoever reads standard error may have stopped reading.
    let last_words = std::thread::Builder::new().spawn(|| {
        super::terminal::complain("The run did not end within 1 s of the second signal: the process ends without its record.")
    });
    drop(last_words); // without a thread nothing is said
    std::thread::sleep(Duration::from_millis(20));
    // SAFETY: `_exit` takes a number, touches no memory of ours, and doesn't return.
    unsafe { libc::_exit(i32::from(Exit::Interrupted.code())) }
}
