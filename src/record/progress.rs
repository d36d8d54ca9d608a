//! How a run stands while it goes on: what the terminal's progress and GET `/api/v1/status` show.

use serde::Serialize;

use crate::base::Away;

/// Where a run stands. Durations are seconds; what isn't known is `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Progress {
    /// How long the run has been going on, or took.
    pub elapsed: f64,
    /// How long its phases take; `null` if it has no end.
    pub duration: Option<f64>,
    /// The present phase, or `setup`, `verify`, `teardown`; empty before and after.
    pub phase: String,
    /// How much of that is over.
    pub phase_elapsed: f64,
    /// How long that takes; of set-up, verify and teardown, at most.
    pub phase_duration: f64,
    /// Virtual users at work; of closed loads, where there are any.
    pub users: u64,
    /// Virtual users that closed loads want; 0 where only arrivals are wanted.
    pub users_wanted: u64,
    /// Requests (or iterations, where a rate is wanted) a second lately, once the phase is old enough to say.
    pub rate: Option<f64>,
    /// Arrivals a second that are wanted just now; 0 where only users are.
    pub rate_wanted: f64,
    /// Requests of the run so far.
    pub requests: u64,
    /// Errors and timeouts among them.
    pub errors: u64,
    /// The 95th percentile of response times lately, in seconds.
    pub p95: Option<f64>,
    /// Which targets and sources are away, and why.
    pub away: Vec<Away>,
    /// What is going on beside the load, if anything is: draining, waiting.
    pub note: Option<String>,
}
