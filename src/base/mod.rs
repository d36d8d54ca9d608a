//! Words that every module shares: names, units, numbers as they are shown, outcomes, reasons, random streams, traces. No I/O, no clock.

pub mod away;
pub mod figures;
pub mod files;
pub mod names;
pub mod outcome;
pub mod random;
pub mod secrets;
pub mod trace;
pub mod units;
pub mod written;

pub use away::{Away, AwayList};
pub use outcome::{DropReason, Outcome, Protocol, Reason, Verdict};
pub use secrets::Secrets;
