//! What judging comes to: a row for each requirement, and the verdict over them.

use serde::{Deserialize, Serialize};

use super::requirement::{Requirement, Unit};
use crate::base::Verdict;

/// One requirement and how it went. It is what `run.json`, `/api/v1/status`, the summary and `/metrics` show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SloResult {
    /// The SLO's name.
    pub name: String,
    /// The phase's name; empty for the run.
    #[serde(default)]
    pub phase: String,
    /// The requirement as written: `p95 < 150ms`.
    pub requirement: String,
    /// What was measured, in the base unit: of windows the worst, of series the worst.
    pub value: Option<f64>,
    /// The least that the value can be; `null` where the value is known exactly.
    #[serde(default)]
    pub least: Option<f64>,
    /// The most that the value can be. Infinite where nothing bounds it: with a `least` beside it, that is what `null` says in JSON.
    #[serde(default)]
    pub most: Option<f64>,
    /// What was asked for.
    pub objective: f64,
    /// The unit of `value` and `objective`.
    #[serde(default)]
    pub unit: Unit,
    /// Whether it was met; `null` if nobody can say.
    pub met: Option<bool>,
    /// What it comes to; `none` for a target, and for what was not judged.
    #[serde(default = "unsure")]
    pub verdict: Verdict,
    /// Why it failed or nobody can say, as part of a sentence.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether it is a target: reported, and never failed.
    #[serde(default)]
    pub target: bool,
}

fn unsure() -> Verdict {
    Verdict::Inconclusive
}

impl SloResult {
    /// A requirement before anything is known of how it went; `phase` is empty for the run.
    pub fn unknown(name: &str, phase: String, requirement: &Requirement) -> Self {
        Self {
            name: name.to_owned(),
            phase,
            requirement: requirement.text.clone(),
            value: None,
            least: None,
            most: None,
            objective: requirement.objective,
            unit: requirement.unit,
            met: None,
            verdict: Verdict::None,
            reason: None,
            target: false,
        }
    }

    /// Why it is not a pass, as a sentence.
    pub fn sentence(&self) -> String {
        let found = match (self.value, &self.reason) {
            (Some(value), Some(reason)) => format!("{} ({reason})", self.unit.show(value)),
            (Some(value), None) => self.unit.show(value),
            (None, Some(reason)) => reason.clone(),
            (None, None) => "no data".to_owned(),
        };
        let came_out = if self.verdict == Verdict::Fail { "was not met" } else { "is inconclusive" };
        format!("{}: {}{} {came_out}: {found}.", self.name, self.requirement, self.scaled())
    }

    /// What `scale` has made of the objective as it is written, if it has.
    fn scaled(&self) -> String {
        match Requirement::parse(&self.requirement) {
            Ok(written) if written.objective != self.objective => format!(" (with `scale` {})", self.unit.show(self.objective)),
            _ => String::new(),
        }
    }
}

/// What a phase, or the run, comes to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it isn't a pass, as sentences.
    pub reasons: Vec<String>,
    /// Every requirement of every SLO that applies.
    pub slos: Vec<SloResult>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_what_scale_made_of_the_objective() {
        let written = Requirement::parse("rate > 950/s").unwrap();
        let sentence = |objective: f64| {
            let requirement = Requirement { objective, ..written.clone() };
            let unknown = SloResult::unknown("api", String::new(), &requirement);
            SloResult { value: Some(90.0), verdict: Verdict::Fail, ..unknown }.sentence()
        };
        assert_eq!(sentence(950.0), "api: rate > 950/s was not met: 90/s.");
        assert_eq!(sentence(95.0), "api: rate > 950/s (with `scale` 95/s) was not met: 90/s.");
    }
}
