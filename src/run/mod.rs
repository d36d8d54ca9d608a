//! One run from plan to record. Used by the command `run` and by the daemon.
//!
//! [`Loaded`] is a profile that is ready to run, with its store and, where it loads the built-in target, that target.
//! [`run`] carries one run out: it starts the engine, reads the target's counters at the edges (`observing`), follows the
//! SLOs, judges each phase once it has drained (`turn`), reports how it stands (`progress`), and stores the record.

mod again;
mod away;
mod conclude;
mod cut;
mod driver;
mod health;
mod hooks;
mod judging;
mod loaded;
mod now;
mod observing;
mod patience;
mod phase_book;
mod preflight;
mod progress;
mod result;
mod shortfall;
mod status;
mod stored;
mod update;

pub use again::show_again;
pub use driver::{Options, run};
pub use loaded::{LoadError, Loaded, together};
pub use now::{ExampleNow, HookNow, PhaseCame, RunNow};
pub use result::Outcome;
pub use update::{SAID, Stop, Update};
