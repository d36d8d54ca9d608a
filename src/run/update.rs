//! What a run sends to whoever watches it, and how it is stopped.

use std::sync::Arc;

use super::now::RunNow;
use crate::record::Progress;

/// How a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No new work; what is under way drains.
    Gracefully,
    /// What is under way is cut off.
    AtOnce,
}

/// The target of log lines of what is also said ([`Update::Say`]): a person who watches reads it once.
pub const SAID: &str = "load_exporter::said";

/// News for whoever watches.
#[derive(Debug)]
pub enum Update<'a> {
    /// How it stands; every second.
    Progress(&'a Progress),
    /// A sentence to be kept, for a terminal; the log has a line of its own.
    Say(String),
    /// How it stands in full; every second, and when something has changed.
    Status(Arc<RunNow>),
}
