//! Service level objectives as written: a subject and what is required of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::units;
use crate::base::written::{At, Expr, Many, Name, NotYet, Of, Parsed, Scalar};
use crate::base::{Protocol, Reason};
use crate::protocol::http::written::StatusRange;

/// A service level objective.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// The label `slo`.
    pub name: Of<Name>,
    /// Only these protocols.
    pub protocol: Option<Many<Scalar>>,
    /// Only these scenarios.
    pub scenario: Option<Many<Scalar>>,
    /// Only these steps.
    pub step: Option<Many<Scalar>>,
    /// Only these phases.
    pub phase: Option<Many<Scalar>>,
    /// Not yet.
    #[schemars(skip)]
    pub group: Option<NotYet>,
    /// What is judged: `response` (default), `service`, `connect`, `iteration`, or a histogram of the profile's own.
    pub of: Option<Scalar>,
    /// A value of the target: `preset.value`, or a ratio of `observe`.
    pub server: Option<Scalar>,
    /// A question to Prometheus.
    pub promql: Option<Scalar>,
    /// An expression over `metric(…)`.
    pub value: Option<Expr>,
    /// One SLO for each `scenario` or `step`.
    pub each: Option<At<Each>>,
    /// `run`: the run as a whole, without phases that aren't judged.
    pub over: Option<At<Over>>,
    /// What must hold: `p95 < 500ms`, `errors <= 0.1%`.
    pub require: Option<Many<Of<Requirement>>>,
    /// What should hold: reported, never failed.
    pub target: Option<Many<Of<Requirement>>>,
    /// Judges each window of this length, sliding by a tenth.
    pub window: Option<Of<Duration>>,
    /// Ends the run once the last so long, as a whole, breach.
    pub abort_after: Option<Of<Duration>>,
}

/// What there is an SLO for each of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Each scenario.
    Scenario,
    /// Each step.
    Step,
}

/// What an SLO looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The run as a whole.
    Run,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantity {
    /// `p95`, from 0 to 1.
    Quantile(f64),
    /// `mean`
    Mean,
    /// `max`
    Max,
    /// `min`, of a value over time
    Min,
    /// `avg`, of a value over time
    Avg,
    /// `value`
    Value,
    /// `within(1s)`
    Within(Duration),
    /// A share.
    Share(Tally),
    /// `count(errors)`
    Count(Tally),
    /// `rate`
    Rate,
    /// `drift`
    Drift,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// `errors`, or of one reason
    Errors(Option<Reason>),
    /// `success`
    Success,
    /// `timeouts`
    Timeouts,
    /// `checks` that held
    Checks,
    /// `dropped`
    Dropped,
    /// `disconnects`
    Disconnects,
    /// `status(429)`
    Status(StatusRange),
    /// `requests`, in `count(…)` only
    Requests,
}

/// How it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
}

/// What the objective is measured in, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Duration,
    /// A ratio of 1.
    Percent,
    /// Per second.
    Rate,
    /// A ratio per hour.
    PercentPerHour,
    /// Bytes.
    Size,
    /// None.
    Number,
}

/// One requirement: `p95 < 500ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// As written, spaces tidied: the label `requirement`.
    pub text: String,
    /// What is compared.
    pub quantity: Quantity,
    /// How.
    pub comparison: Comparison,
    /// With what, in seconds, ratios, per second, bytes.
    pub objective: f64,
    /// In which unit that was written.
    pub unit: Unit,
}

const FORM: &str = "write what, how and how much, like p95 < 500ms, errors <= 0.1% or rate > 950/s";

impl Parsed for Requirement {
    const NAME: &'static str = "Requirement";
    const DESCRIPTION: &'static str = "What must hold: a quantity, a comparison, and a value.";
    const EXAMPLES: &'static [&'static str] =
        &["p95 < 500ms", "errors <= 0.1%", "count(errors) < 100", "within(1s) > 99%", "status(429) < 1%", "rate > 950/s"];

    fn parse(text: &str) -> Result<Self, String> {
        let (at, length, comparison) = comparison(text).ok_or_else(|| format!("`{text}` compares nothing; {FORM}"))?;
        let (what, wanted) = (text[..at].trim(), text[at + length..].trim());
        let quantity = quantity(what)?;
        let (objective, unit) = objective(wanted).ok_or_else(|| {
            if wanted.is_empty() {
                format!("`{text}` says not with what; {FORM}")
            } else {
                format!("`{wanted}` is neither a duration, a ratio, a rate nor a number; {FORM}")
            }
        })?;
        quantity.takes(what, wanted, unit)?;
        let sign = &text[at..at + length];
        Ok(Self { text: format!("{what} {sign} {wanted}"), quantity, comparison, objective, unit })
    }
}

fn comparison(text: &str) -> Option<(usize, usize, Comparison)> {
    let at = text.find(['<', '>', '='])?;
    let rest = &text[at..];
    let signs = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("==", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    signs.into_iter().find(|(sign, _)| rest.starts_with(sign)).map(|(sign, comparison)| (at, sign.len(), comparison))
}

fn objective(text: &str) -> Option<(f64, Unit)> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(number) = number(text) {
        return Some((number, Unit::Number));
    }
    if let Some(ratio) = text.strip_suffix("/h").and_then(|text| text.trim_end().strip_suffix('%')).and_then(number) {
        return Some((ratio / 100.0, Unit::PercentPerHour));
    }
    if let Ok(ratio) = units::parse_ratio(text) {
        return Some((ratio, Unit::Percent));
    }
    if let Ok(duration) = units::parse_duration(text) {
        return Some((duration.as_secs_f64(), Unit::Duration));
    }
    if let Ok(rate) = units::parse_rate(text) {
        return Some((rate, Unit::Rate));
    }
    units::parse_size(text).ok().map(|bytes| (bytes as f64, Unit::Size))
}

fn quantity(text: &str) -> Result<Quantity, String> {
    const NAMES: [&str; 22] = [
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
        "mean",
        "max",
        "min",
        "avg",
        "value",
        "within(1s)",
        "errors",
        "success",
        "timeouts",
        "checks",
        "dropped",
        "disconnects",
        "count(errors)",
        "status(429)",
        "errors(refused)",
        "rate",
        "drift",
    ];
    if let Some((name, argument)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let argument = argument.trim();
        match name.trim() {
            "within" => {
                let limit = units::parse_duration(argument).map_err(|error| error.to_string())?;
                return Ok(Quantity::Within(limit));
            }
            "count" => return tally(argument).map(Quantity::Count),
            _ => return tally(text).map(Quantity::Share),
        }
    }
    if let Some(quantile) = text.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok()) {
        return match quantile > 0.0 && quantile < 100.0 {
            true => Ok(Quantity::Quantile(quantile / 100.0)),
            false => Err(format!("`{text}` is not a quantile; write one above p0 and below p100, or max")),
        };
    }
    Ok(match text {
        "mean" => Quantity::Mean,
        "max" => Quantity::Max,
        "min" => Quantity::Min,
        "avg" => Quantity::Avg,
        "value" => Quantity::Value,
        "rate" => Quantity::Rate,
        "drift" => Quantity::Drift,
        "requests" => return Err("requests are counted; write count(requests)".into()),
        "limit" => return Err("`limit` is not supported yet".into()),
        _ => match tally(text) {
            Ok(tally) => Quantity::Share(tally),
            Err(message) if message.ends_with("yet") => return Err(message),
            Err(_) => return Err(crate::profile::read::not_among(text, NAMES)),
        },
    })
}

fn tally(text: &str) -> Result<Tally, String> {
    if let Some((name, argument)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let argument = argument.trim();
        return match name.trim() {
            "errors" => match Reason::from_label(argument) {
                Some(reason) => Ok(Tally::Errors(Some(reason))),
                None => Err(crate::profile::read::not_among(argument, Reason::ALL.iter().map(|reason| reason.label()))),
            },
            "status" => StatusRange::parse(argument).map(Tally::Status),
            name => Err(format!("`{name}(…)` is not known here; write errors(refused) or status(429)")),
        };
    }
    Ok(match text {
        "errors" => Tally::Errors(None),
        "success" => Tally::Success,
        "timeouts" => Tally::Timeouts,
        "checks" => Tally::Checks,
        "dropped" => Tally::Dropped,
        "disconnects" => Tally::Disconnects,
        "requests" => Tally::Requests,
        "missed" => return Err("`missed` is not supported yet".into()),
        _ => {
            let names = ["errors", "success", "timeouts", "checks", "dropped", "disconnects", "requests"];
            return Err(crate::profile::read::not_among(text, names));
        }
    })
}

impl Quantity {
    /// Whether an objective of this unit can be compared with it.
    fn takes(&self, what: &str, wanted: &str, unit: Unit) -> Result<(), String> {
        let wrong = |example: &str| Err(format!("`{what}` can't be compared with `{wanted}`; write one like {what} {example}"));
        match (self, unit) {
            (Self::Within(_) | Self::Share(_), Unit::Percent | Unit::Number) => Ok(()),
            (Self::Within(_) | Self::Share(_), _) => wrong("< 1%"),
            (Self::Count(_), Unit::Number) => Ok(()),
            (Self::Count(_), _) => wrong("< 100"),
            (Self::Rate, Unit::Rate) => Ok(()),
            (Self::Rate, _) => wrong("> 950/s"),
            (Self::Drift, Unit::PercentPerHour) => Ok(()),
            (Self::Drift, _) => wrong("< 5%/h"),
            // What the others are compared with depends on the subject.
            _ => Ok(()),
        }
    }
}

/// The protocol with this name, or which there are.
///
/// # Errors
/// A name that isn't a protocol's, or one's that isn't supported yet.
pub fn protocol(text: &str) -> Result<Protocol, String> {
    match Protocol::from_label(text) {
        Some(Protocol::Http) => Ok(Protocol::Http),
        Some(_) => Err(format!("`{text}` is not supported yet")),
        None => Err(crate::profile::read::not_among(text, Protocol::ALL.iter().map(|protocol| protocol.label()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements() {
        let parsed = |text| Requirement::parse(text).unwrap();
        let p95 = parsed("p95<500ms");
        assert_eq!((p95.text.as_str(), p95.quantity, p95.objective), ("p95 < 500ms", Quantity::Quantile(0.95), 0.5));
        assert_eq!(parsed("errors <= 0.1%").objective, 0.001);
        assert_eq!(parsed("errors(refused) == 0%").quantity, Quantity::Share(Tally::Errors(Some(Reason::Refused))));
        assert_eq!(parsed("count(errors) < 100").quantity, Quantity::Count(Tally::Errors(None)));
        assert_eq!(parsed("within(1s) >= 99%").quantity, Quantity::Within(Duration::from_secs(1)));
        assert_eq!(parsed("rate > 57000/m").objective, 950.0);
        assert_eq!((parsed("drift < 5%/h").objective, parsed("drift < 5%/h").unit), (0.05, Unit::PercentPerHour));
        assert_eq!(parsed("max < 70%").unit, Unit::Percent);
        assert_eq!(parsed("p99.9 < 2s").quantity, Quantity::Quantile(0.999));
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        let message = |text| Requirement::parse(text).unwrap_err();
        assert!(message("p95 500ms").contains("p95 < 500ms"));
        assert!(message("p95 <").contains("with what"));
        assert!(message("eror < 1%").contains("did you mean"));
        assert!(message("rate > 950").contains("950/s"));
        assert!(message("errors < 5s").contains("< 1%"));
        assert!(message("p100 < 1s").contains("p100"));
        assert!(message("missed < 1%").contains("not supported yet"));
        assert!(message("errors(refusd) < 1%").contains("`refused`"));
        assert!(message("p95 < fast").contains("fast"));
    }
}
