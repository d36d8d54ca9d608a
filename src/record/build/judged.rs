//! What the verdict came to, by name.

use super::super::run::{Slo, Unit};
use crate::verdict::{self, SloResult};

/// A requirement as `run.json` has it.
pub fn slo(result: &SloResult) -> Slo {
    Slo {
        name: result.name.clone(),
        requirement: result.requirement.clone(),
        value: result.value,
        objective: Some(result.objective),
        unit: match result.unit {
            verdict::Unit::Number => Unit::Number,
            verdict::Unit::Seconds => Unit::Seconds,
            verdict::Unit::Ratio => Unit::Ratio,
            verdict::Unit::PerSecond => Unit::PerSecond,
            verdict::Unit::RatioPerHour => Unit::RatioPerHour,
            verdict::Unit::Bytes => Unit::Bytes,
        },
        met: result.met,
        verdict: result.verdict,
        reason: result.reason.clone(),
        target: result.target,
    }
}
