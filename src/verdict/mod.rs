//! SLOs and their judgement: pass, fail, inconclusive, or none where nothing was required.
//!
//! An [`Slo`] is a subject (what was measured, as lists of the layout's indexes), and requirements on it. [`judge`] holds the totals
//! of a phase, or of the run, against them; [`Watches`] follow them while the load runs, for `window`, `abort_after` and `drift`, with
//! a bounded number of small snapshots. [`saturation`] says whether the generator itself was the bottleneck.
//!
//! No data never passes; a failure beats inconclusive, which beats a pass. Values are in base units (seconds, shares of 1).

mod drift;
mod exit;
mod figures;
mod found;
mod interval;
mod judge;
mod known;
mod outside;
mod parse;
mod requirement;
mod result;
mod saturation;
mod slo;
mod watch;
mod worked;

pub use crate::base::Verdict;
pub use drift::{Drift, Growth, LEAST_EFFECTIVE, LEAST_SAMPLES_OF_A_POINT, LEAST_TIME};
pub use exit::{Exit, combine};
pub use figures::{Extent, Figures};
pub use judge::{Inputs, judge};
pub use known::{Known, Pace};
pub use outside::Outside;
pub use requirement::{Comparison, Measure, Requirement, RequirementError, Tally, Unit};
pub use result::{Judgement, SloResult};
pub use saturation::{BUSY_SHARE, DROPPED_SHARE, Effort, LAG_SHARE, LAGS, LEAST_STARTS, Starts, busy_share, saturation};
pub use slo::{Of, Over, Server, Several, Slo, Subject, Traffic, mark_judged};
pub use watch::{Breach, LEAST_SAMPLES, LEAST_SAMPLES_TO_ABORT, Watches};
pub use worked::{Totalled, Worked, totalled};
