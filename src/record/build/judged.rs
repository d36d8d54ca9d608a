//! What the verdict came to, by name.

use super::super::run::Slo;
use crate::verdict::SloResult;

/// A requirement as `run.json` has it.
pub fn slo(result: &SloResult) -> Slo {
    Slo {
        name: result.name.clone(),
        requirement: result.requirement.clone(),
        value: result.value,
        objective: Some(result.objective),
        unit: result.unit,
        met: result.met,
        verdict: result.verdict,
        reason: result.reason.clone(),
        target: result.target,
    }
}
