//! When work is due: levels of users and arrivals as pure functions of time. No clock, no tokio, no randomness but seeded.
//!
//! A [`Shape`] is a level over phase time (users, or arrivals per second), linear in pieces. [`user_edges`] turns a level of
//! users into starts and ends, [`Arrivals`] turns a rate into due times, and [`Share`] says which of them belong to one of
//! the many workers that divide a run. Whoever runs the load owns the clock and asks here what is due.
//!
//! Units: phase time is a [`std::time::Duration`] in whole nanoseconds, levels are users or arrivals per second, an area
//! under a rate is a number of arrivals.

mod arrivals;
mod little;
mod resolved;
mod shape;
mod share;
mod sketch;
mod users;

pub use arrivals::{ArrivalStream, Arrivals, Spacing};
pub use little::prepared_users;
pub use resolved::{Iterations, Load, OnBusy};
pub use shape::{MAX_LEVEL, Piece, Shape, whole};
pub use share::{Share, apportion};
pub use sketch::{Canvas, sketch};
pub use users::{UserEdges, user_edges};
