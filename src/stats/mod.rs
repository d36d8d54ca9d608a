//! Mathematics of what was measured: estimates, and how sure they are. Pure functions and running sums; no clock, no I/O.
//!
//! What is measured one after the other is rarely independent: a checkpoint, a full cache or a neighbour slows all requests of
//! some minutes. n values then count for fewer than n, and an interval that takes them for independent is too narrow.
//! Everything here counts them for what they are worth ([`Fit::effective`]).

mod line;
mod student;

pub use line::{Fit, FittedLine};
pub use student::quantile;
