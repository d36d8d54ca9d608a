//! One run from plan to record, and the web surface that shows it. Used by `run` and by the daemon.
//!
//! [`Loaded`] is a profile that is ready to run, with its store and, where it loads the built-in target, that target.
//! [`run`] carries one run out: it starts the engine, reads the target's counters at the edges (`observing`), follows the
//! SLOs, judges each phase once it has drained (`turn`), tells how it stands (`progress`), and stores the record.

mod again;
mod away;
mod conclude;
mod conduct;
mod cut;
mod health;
mod judging;
mod loaded;
mod now;
mod observing;
mod preflight;
mod progress;
mod result;
mod stages;
mod stored;
mod turn;
pub mod web;

pub use again::show_again;
pub use conduct::{Options, Stop, Update, run};
pub use loaded::{LoadError, Loaded, together};
pub use now::{ExampleNow, PhaseCame, RunNow, StageNow};
pub use result::Outcome;
