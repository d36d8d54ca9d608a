//! Signals, as messages.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: stop gracefully; a second one: at once.
    Stop,
    /// SIGHUP: read the profiles anew.
    Reload,
}

/// Receives the process's signals from now on.
///
/// # Errors
/// The handlers can't be installed.
pub fn receive() -> io::Result<UnboundedReceiver<Signal>> {
    let (sender, receiver) = unbounded_channel();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let message = if signal == SIGHUP { Signal::Reload } else { Signal::Stop };
            if sender.send(message).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}
