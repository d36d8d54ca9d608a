//! Signals, as messages; and the end of a process that doesn't come to its end by itself.

use std::io;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::verdict::Exit;

/// How long the program has after the second signal to end in order, with its record.
const GRACE: Duration = Duration::from_millis(900);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: stop gracefully; a second one: at once.
    Stop,
    /// SIGHUP: read the profiles anew.
    Reload,
}

/// Receives the process's signals from now on. [`GRACE`] after the second one that asks for the end, the process ends whatever
/// it is doing: no worker and no runtime is needed for that.
///
/// # Errors
/// The handlers can't be installed.
pub fn receive() -> io::Result<UnboundedReceiver<Signal>> {
    let (sender, receiver) = unbounded_channel();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut stops = 0_u32;
        for signal in signals.forever() {
            let message = if signal == SIGHUP { Signal::Reload } else { Signal::Stop };
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
    })?;
    Ok(receiver)
}

/// Ends the process, without what runs at an orderly exit: that could wait for a thread that doesn't answer.
fn end() -> ! {
    // On a thread of its own: whoever reads standard error may have stopped reading.
    std::thread::spawn(|| {
        super::complain("The run did not end within 1 s of the second signal: the process ends without its record.")
    });
    std::thread::sleep(Duration::from_millis(20));
    // SAFETY: `_exit` takes a number, touches no memory of ours, and doesn't return.
    unsafe { libc::_exit(i32::from(Exit::Interrupted.code())) }
}
