//! What an SLO requires: a measure, a comparison and an objective in a unit. How it is written is [`super::parse`]'s.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::Reason;
use crate::base::figures::{NONE, bytes, number, rate, ratio, seconds};

/// One requirement.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// As written, with single blanks; the label `requirement`.
    pub text: String,
    /// What is looked at.
    pub measure: Measure,
    /// How it is compared.
    pub comparison: Comparison,
    /// What it is compared with, in the base unit of [`Requirement::unit`].
    pub objective: f64,
    /// The unit in which the objective was written.
    pub unit: Unit,
}

/// What of a subject is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// `p95`: the value that this share (0 to 1) of all doesn't exceed.
    Quantile(f64),
    /// `mean`, and `avg`: of a distribution, or over the phase of a server's value.
    Mean,
    /// `max`.
    Max,
    /// `min`.
    Min,
    /// `value`: of a server, a query, an expression, a counter or a gauge.
    Value,
    /// `within(1s)`: the share of all that was answered well within so many seconds.
    Within(f64),
    /// A share of all.
    Ratio(Tally),
    /// `silent`: of the time that listeners listened, the share that lay in silences.
    Silent,
    /// `count(…)`: how many.
    Count(Tally),
    /// `rate`: how many a second.
    Rate,
    /// `drift`: by what share the median grows in an hour.
    Drift,
}

/// What can be counted, and what the share is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// All: only to be counted.
    Requests,
    /// What failed or timed out, of all.
    Errors,
    /// What was answered well, of all.
    Success,
    /// What timed out, of all.
    Timeouts,
    /// Checks that held, of all that were evaluated.
    Checks,
    /// Arrivals that were dropped, of all that were due.
    Dropped,
    /// Numbered messages that never came, of all that were owed.
    Missed,
    /// Connections that ended unasked, of all that were opened.
    Disconnects,
    /// `errors(refused)`: errors of one reason, of all.
    Because(Reason),
    /// `status(429)`, `status(5xx)`: answers with a code from the first to the last, of all.
    Status(u16, u16),
}

/// How a value is compared with the objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

/// The unit of an objective and its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number.
    #[default]
    Number,
    /// Seconds.
    Seconds,
    /// A share; 1 is all.
    Ratio,
    /// Events a second.
    PerSecond,
    /// A share an hour.
    RatioPerHour,
    /// Bytes.
    Bytes,
}

/// Why a requirement can't be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequirementError {
    /// What is wrong and what would be right.
    pub message: String,
    /// The place within the text, in bytes.
    pub range: Range<usize>,
}

impl Comparison {
    /// As it is written.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
        }
    }

    /// Whether `value` stands so to `objective`. Values that differ by rounding only are equal: 3 of 1,000 is 0.3 %.
    pub fn holds(self, value: f64, objective: f64) -> bool {
        let equal =
            value == objective || (value - objective).abs() <= 1e-12 * value.abs().max(objective.abs()) && value.is_finite();
        match self {
            Self::Below => value < objective && !equal,
            Self::AtMost => value < objective || equal,
            Self::Above => value > objective && !equal,
            Self::AtLeast => value > objective || equal,
            Self::Equal => equal,
        }
    }

    /// Whether every value from `least` to `most` stands so to `objective`, or none of them does; none where some do.
    pub fn holds_between(self, least: f64, most: f64, objective: f64) -> Option<bool> {
        let (first, last) = (self.holds(least, objective), self.holds(most, objective));
        // The only comparison that can hold between two values and at neither of them.
        let inside = self == Self::Equal && least < objective && objective < most;
        (first == last && !inside).then_some(first)
    }

    /// How bad a value is: the larger, the further on the wrong side.
    pub fn badness(self, value: f64, objective: f64) -> f64 {
        match self {
            Self::Below | Self::AtMost => value - objective,
            Self::Above | Self::AtLeast => objective - value,
            Self::Equal => (value - objective).abs(),
        }
    }
}

impl Unit {
    /// A value as a report shows it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Number => number(value),
            Self::Seconds => seconds(Some(value)),
            Self::Ratio => ratio(value),
            Self::PerSecond => rate(Some(value)),
            Self::RatioPerHour => format!("{}/h", ratio(value)),
            Self::Bytes => bytes(value),
        }
    }

    /// A value that may be missing, as a report shows it.
    pub fn show_if_any(self, value: Option<f64>) -> String {
        value.map_or_else(|| NONE.to_owned(), |value| self.show(value))
    }

    /// From where to where a value may lie: `between 0% and 90%`, `500ms or more`.
    pub fn show_between(self, least: f64, most: f64) -> String {
        match (least.is_finite(), most.is_finite()) {
            (true, true) => format!("between {} and {}", self.show(least), self.show(most)),
            (false, true) => format!("{} or less", self.show(most)),
            (false, false) => "any value".to_owned(),
            (true, false) => format!("{} or more", self.show(least)),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Requirement {
    /// Whether `value` meets it.
    pub fn met(&self, value: f64) -> bool {
        self.comparison.holds(value, self.objective)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_decides_nothing() {
        let at_most = Requirement::parse("errors <= 0.3%").unwrap();
        let below = Requirement::parse("errors < 0.3%").unwrap();
        assert!(at_most.met(3.0 / 1000.0) && !below.met(3.0 / 1000.0));
        assert!(Requirement::parse("count(errors) == 0").unwrap().met(0.0));
    }

    #[test]
    fn values_are_shown_in_their_unit() {
        let cases = [
            (Unit::Ratio, 0.000_712_3, "0.071%"),
            (Unit::Ratio, 1.0, "100%"),
            (Unit::Ratio, 1.0 - 1.0 / 3000.0, "99.967%"),
            (Unit::Ratio, 0.0, "0%"),
            (Unit::RatioPerHour, -0.052, "-5.2%/h"),
            (Unit::PerSecond, 950.0, "950/s"),
            (Unit::Seconds, 0.15, "150ms"),
            (Unit::Bytes, 67_108_864.0, "64.0MiB"),
        ];
        for (unit, value, shown) in cases {
            assert_eq!(unit.show(value), shown);
        }
        assert_eq!(Unit::Ratio.show_between(0.0, 0.9), "between 0% and 90%");
        assert_eq!(Unit::Seconds.show_between(0.5, f64::INFINITY), "500ms or more");
    }

    #[test]
    fn a_comparison_holds_between_two_values_or_nobody_can_say() {
        use Comparison::*;
        let cases = [
            (Below, 0.0, 0.9, 1.0, Some(true)),
            (Below, 0.0, 1.0, 1.0, None),
            (Below, 1.0, f64::INFINITY, 1.0, Some(false)),
            (AtMost, 0.5, f64::INFINITY, 1.0, None),
            (AtLeast, 1.0, f64::INFINITY, 1.0, Some(true)),
            (Above, 0.0, f64::INFINITY, 1.0, None),
            (Equal, 0.0, 2.0, 1.0, None),
            (Equal, 0.0, 1.0, 1.0, None),
            (Equal, 1.0, 1.0, 1.0, Some(true)),
            (Equal, 2.0, f64::INFINITY, 1.0, Some(false)),
        ];
        for (comparison, least, most, objective, holds) in cases {
            assert_eq!(comparison.holds_between(least, most, objective), holds, "{comparison:?} {least} {most}");
        }
    }
}
