//! How requirements are written: `p95 < 500ms`, `errors(refused) <= 0.1%`, `count(errors) < 100`.
//!
//! Grammar: `measure comparison objective`, where a measure is a name, some with an argument in brackets, and the objective is a
//! quantity in the measure's unit. Parsing says what would have been right, and where.

use super::requirement::{Comparison, Measure, Requirement, RequirementError, Tally, Unit};
use crate::base::units::{parse_duration, parse_rate, parse_ratio, parse_size};
use crate::base::written::Parsed;
use crate::base::{Reason, names};
use std::ops::Range;

/// The measures, for "did you mean" and for what is right.
const MEASURES: &[&str] = &[
    "p50",
    "p90",
    "p95",
    "p99",
    "p99.9",
    "mean",
    "avg",
    "max",
    "min",
    "value",
    "within",
    "errors",
    "success",
    "timeouts",
    "checks",
    "dropped",
    "missed",
    "silent",
    "disconnects",
    "status",
    "count",
    "rate",
    "drift",
];

impl Requirement {
    /// Reads a requirement.
    ///
    /// # Errors
    /// No comparison, an unknown measure, an argument or an objective that doesn't suit the measure.
    pub fn parse(text: &str) -> Result<Self, RequirementError> {
        let fail = |message: String, range: Range<usize>| RequirementError { message, range };
        let Some(at) = text.find(['<', '>', '=']) else {
            return Err(fail(
                format!("`{}` compares nothing; write a measure, a comparison and an objective, like `p95 < 500ms`", text.trim()),
                0..text.len(),
            ));
        };
        let end = at + text[at..].bytes().take_while(|b| matches!(b, b'<' | b'>' | b'=')).count();
        let comparison = match &text[at..end] {
            "<" => Comparison::Below,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Above,
            ">=" => Comparison::AtLeast,
            "==" => Comparison::Equal,
            other => return Err(fail(format!("`{other}` is no comparison; there are `<`, `<=`, `>`, `>=` and `==`"), at..end)),
        };
        let (left, left_range) = trimmed(text, 0..at);
        let (right, right_range) = trimmed(text, end..text.len());
        let measure = parse_measure(left).map_err(|message| fail(message, left_range))?;
        let (objective, unit) = parse_objective(measure, left, right).map_err(|message| fail(message, right_range))?;
        let text = format!("{left} {} {right}", comparison.sign());
        Ok(Self { text, measure, comparison, objective, unit })
    }
}

impl Parsed for Requirement {
    const NAME: &'static str = "Requirement";
    const DESCRIPTION: &'static str = "What must hold: a measure, a comparison, and an objective.";
    const EXAMPLES: &'static [&'static str] =
        &["p95 < 500ms", "errors <= 0.1%", "count(errors) < 100", "within(1s) > 99%", "status(429) < 1%", "rate > 950/s"];

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.message)
    }
}

/// A part of the text without the blanks around it, and where that stands.
fn trimmed(text: &str, range: Range<usize>) -> (&str, Range<usize>) {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    let part = part.trim();
    (part, start..start + part.len())
}

fn parse_measure(text: &str) -> Result<Measure, String> {
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => match rest.trim_end().strip_suffix(')') {
            Some(argument) => (name.trim(), Some(argument.trim())),
            None => return Err(format!("`{text}` lacks its closing bracket")),
        },
        None => (text, None),
    };
    let plain = |measure: Measure| match argument {
        None => Ok(measure),
        Some(_) => Err(format!("`{name}` takes nothing in brackets")),
    };
    match name {
        "mean" | "avg" => plain(Measure::Mean),
        "max" => plain(Measure::Max),
        "min" => plain(Measure::Min),
        "value" => plain(Measure::Value),
        "rate" => plain(Measure::Rate),
        "drift" => plain(Measure::Drift),
        "silent" => plain(Measure::Silent),
        "within" => match argument {
            Some(duration) => {
                Ok(Measure::Within(parse_duration(duration).map_err(|e| format!("{e}, as in `within(1s)`"))?.as_secs_f64()))
            }
            None => Err("`within` wants a duration: `within(1s) >= 99%`".into()),
        },
        "count" => match argument {
            Some(tally) => parse_tally(tally)?.map(Measure::Count).ok_or_else(|| {
                format!("`{tally}` can't be counted; there are requests, errors, success, timeouts, checks, dropped, missed, disconnects, errors(reason) and status(code)")
            }),
            None => Err("`count` wants to know what: `count(errors) < 100`".into()),
        },
        "limit" => Err(format!("`{name}` is not supported yet")),
        "" => Err("there is no measure before the comparison; write one, like `p95 < 500ms`".into()),
        _ => {
            if let Some(percent) = name.strip_prefix('p').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                return match percent.parse::<f64>() {
                    Ok(percent) if percent > 0.0 && percent < 100.0 => plain(Measure::Quantile((percent * 1e6).round() / 1e8)),
                    _ => Err(format!("`{name}` is no quantile; there are p50, p90, p95, p99 and p99.9, and `max` for the highest")),
                };
            }
            if name == "requests" {
                return Err("`requests` is no share; write `count(requests)`".into());
            }
            parse_tally(text)?.map(Measure::Ratio).ok_or_else(|| match names::nearest(name, MEASURES.iter().copied()) {
                Some(near) => format!("`{name}` is no measure; did you mean `{near}`?"),
                None => format!("`{name}` is no measure; there are {}", MEASURES.join(", ")),
            })
        }
    }
}

/// What is counted; `None` if it isn't one of these.
fn parse_tally(text: &str) -> Result<Option<Tally>, String> {
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), Some(rest.trim_end().strip_suffix(')').unwrap_or(rest).trim())),
        None => (text.trim(), None),
    };
    let tally = match (name, argument) {
        ("requests", None) => Tally::Requests,
        ("errors", None) => Tally::Errors,
        ("success", None) => Tally::Success,
        ("timeouts", None) => Tally::Timeouts,
        ("checks", None) => Tally::Checks,
        ("dropped", None) => Tally::Dropped,
        ("missed", None) => Tally::Missed,
        ("disconnects", None) => Tally::Disconnects,
        ("errors", Some(reason)) => Tally::Because(Reason::from_label(reason).ok_or_else(|| {
            let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
            match names::nearest(reason, reasons.iter().copied()) {
                Some(near) => format!("`{reason}` is no reason; did you mean `{near}`?"),
                None => format!("`{reason}` is no reason; there are {}", reasons.join(", ")),
            }
        })?),
        ("status", Some(codes)) => {
            let (first, last) = status_codes(codes).ok_or_else(|| {
                format!("`{codes}` is no status code; write one, like `status(429)`, a class, like `status(5xx)`, or a range, like `status(400..499)`")
            })?;
            Tally::Status(first, last)
        }
        ("status", None) => return Err("`status` wants a code: `status(429) < 1%`".into()),
        ("requests" | "success" | "timeouts" | "checks" | "dropped" | "missed" | "disconnects", Some(_)) => {
            return Err(format!("`{name}` takes nothing in brackets"));
        }
        _ => return Ok(None),
    };
    Ok(Some(tally))
}

/// `429`, `5xx`, `400..499`: the first and the last code.
fn status_codes(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    Some((code(first)?, code(last)?)).filter(|(first, last)| first <= last)
}

fn parse_objective(measure: Measure, name: &str, text: &str) -> Result<(f64, Unit), String> {
    if text.is_empty() {
        return Err(format!("there is no objective after the comparison; write one, like `{name} < {}`", example(measure)));
    }
    let (positive, negative) = match text.strip_prefix('-') {
        Some(rest) => (rest.trim_start(), true),
        None => (text, false),
    };
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let wrong = || format!("`{text}` doesn't suit `{name}`; write something like `{name} < {}`", example(measure));
    let (value, unit) = match measure {
        Measure::Within(_) | Measure::Ratio(_) | Measure::Silent => {
            let ratio = parse_ratio(positive).map_err(|_| wrong())?;
            if ratio > 1.0 {
                return Err(match measure {
                    Measure::Ratio(_) if !text.ends_with('%') => format!(
                        "`{name}` is a share and never above 1; write a percentage like `{name} < 1%`, or `count({name}) < {text}` for a number"
                    ),
                    _ => format!("`{name}` is a share and never above 100%"),
                });
            }
            (ratio, Unit::Ratio)
        }
        Measure::Count(_) => (number(positive).ok_or_else(wrong)?, Unit::Number),
        Measure::Rate => (parse_rate(positive).map_err(|_| wrong())?, Unit::PerSecond),
        Measure::Drift => {
            let ratio = positive.strip_suffix("/h").and_then(|share| parse_ratio(share).ok()).ok_or_else(wrong)?;
            (ratio, Unit::RatioPerHour)
        }
        // These take whatever the subject is in; whether it suits, the subject says.
        Measure::Quantile(_) | Measure::Mean | Measure::Max | Measure::Min | Measure::Value => {
            if let Some(number) = number(positive) {
                (number, Unit::Number)
            } else if positive.ends_with('%') {
                (parse_ratio(positive).map_err(|_| wrong())?, Unit::Ratio)
            } else if let Ok(rate) = parse_rate(positive) {
                (rate, Unit::PerSecond)
            } else if let Ok(duration) = parse_duration(positive) {
                (duration.as_secs_f64(), Unit::Seconds)
            } else if let Ok(size) = parse_size(positive) {
                (size as f64, Unit::Bytes)
            } else {
                return Err(wrong());
            }
        }
    };
    let anything =
        matches!(measure, Measure::Drift | Measure::Mean | Measure::Max | Measure::Min | Measure::Value | Measure::Quantile(_));
    match negative {
        false => Ok((value, unit)),
        true if anything && unit != Unit::Seconds => Ok((-value, unit)),
        true => Err(format!("`{name}` is never below 0; write something like `{name} < {}`", example(measure))),
    }
}

/// An objective that suits a measure.
fn example(measure: Measure) -> &'static str {
    match measure {
        Measure::Quantile(_) | Measure::Mean | Measure::Max | Measure::Min => "500ms",
        Measure::Value => "80%",
        Measure::Within(_) | Measure::Ratio(_) | Measure::Silent => "1%",
        Measure::Count(_) => "100",
        Measure::Rate => "950/s",
        Measure::Drift => "5%/h",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Measure, Comparison, f64, Unit) {
        let r = Requirement::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        (r.measure, r.comparison, r.objective, r.unit)
    }

    #[test]
    fn every_requirement_of_the_profile() {
        use Comparison::*;
        use Measure::*;
        let cases = [
            ("p95 < 150ms", Quantile(0.95), Below, 0.15, Unit::Seconds),
            ("p99.9<=2s", Quantile(0.999), AtMost, 2.0, Unit::Seconds),
            ("mean < 0.1s", Mean, Below, 0.1, Unit::Seconds),
            ("max < 70%", Max, Below, 0.7, Unit::Ratio),
            ("within(1s) >= 99%", Within(1.0), AtLeast, 0.99, Unit::Ratio),
            ("errors < 0.1%", Ratio(Tally::Errors), Below, 0.001, Unit::Ratio),
            ("success > 0.99", Ratio(Tally::Success), Above, 0.99, Unit::Ratio),
            ("timeouts == 0%", Ratio(Tally::Timeouts), Equal, 0.0, Unit::Ratio),
            ("checks > 95%", Ratio(Tally::Checks), Above, 0.95, Unit::Ratio),
            ("dropped < 1%", Ratio(Tally::Dropped), Below, 0.01, Unit::Ratio),
            ("silent < 1%", Silent, Below, 0.01, Unit::Ratio),
            ("disconnects < 1%", Ratio(Tally::Disconnects), Below, 0.01, Unit::Ratio),
            ("errors(refused) < 1%", Ratio(Tally::Because(Reason::Refused)), Below, 0.01, Unit::Ratio),
            ("status( 429 ) < 1%", Ratio(Tally::Status(429, 429)), Below, 0.01, Unit::Ratio),
            ("count(errors) < 100", Count(Tally::Errors), Below, 100.0, Unit::Number),
            ("count(status(500)) == 0", Count(Tally::Status(500, 500)), Equal, 0.0, Unit::Number),
            ("rate > 950/s", Rate, Above, 950.0, Unit::PerSecond),
            ("count(requests) > 1000", Count(Tally::Requests), Above, 1000.0, Unit::Number),
            ("status(400..499) < 1%", Ratio(Tally::Status(400, 499)), Below, 0.01, Unit::Ratio),
            ("status(5xx) < 1%", Ratio(Tally::Status(500, 599)), Below, 0.01, Unit::Ratio),
            ("drift < 5%/h", Drift, Below, 0.05, Unit::RatioPerHour),
            ("value > 80%", Value, Above, 0.8, Unit::Ratio),
            ("value <= 1000", Value, AtMost, 1000.0, Unit::Number),
            ("value < 64MiB", Value, Below, 67_108_864.0, Unit::Bytes),
            ("min > -5", Min, Above, -5.0, Unit::Number),
            ("avg < 3", Mean, Below, 3.0, Unit::Number),
        ];
        for (text, measure, comparison, objective, unit) in cases {
            assert_eq!(parsed(text), (measure, comparison, objective, unit), "{text}");
        }
        assert_eq!(Requirement::parse("  p95<150ms ").unwrap().to_string(), "p95 < 150ms");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let cases = [
            ("p95", "`p95` compares nothing; write a measure, a comparison and an objective, like `p95 < 500ms`", 0..3),
            ("p95 =< 1s", "`=<` is no comparison; there are `<`, `<=`, `>`, `>=` and `==`", 4..6),
            (" erors < 1%", "`erors` is no measure; did you mean `errors`?", 1..6),
            ("p100 < 1s", "`p100` is no quantile; there are p50, p90, p95, p99 and p99.9, and `max` for the highest", 0..4),
            ("within < 1%", "`within` wants a duration: `within(1s) >= 99%`", 0..6),
            ("within(5) > 9%", "`5` has no unit; write `5s` for seconds or `5ms` for milliseconds, as in `within(1s)`", 0..9),
            (
                "status(99) < 1%",
                "`99` is no status code; write one, like `status(429)`, a class, like `status(5xx)`, or a range, like `status(400..499)`",
                0..10,
            ),
            ("requests < 1%", "`requests` is no share; write `count(requests)`", 0..8),
            ("count < 3", "`count` wants to know what: `count(errors) < 100`", 0..5),
            ("missed(5) < 1%", "`missed` takes nothing in brackets", 0..9),
            ("silent(5s) < 1%", "`silent` takes nothing in brackets", 0..10),
            ("silent < 5s", "`5s` doesn't suit `silent`; write something like `silent < 1%`", 9..11),
            ("silent < 5", "`silent` is a share and never above 100%", 9..10),
            ("rate > 950", "`950` doesn't suit `rate`; write something like `rate < 950/s`", 7..10),
            ("p95 <", "there is no objective after the comparison; write one, like `p95 < 500ms`", 5..5),
            ("p95 < 5 parsecs", "`5 parsecs` doesn't suit `p95`; write something like `p95 < 500ms`", 6..15),
            ("errors < -1%", "`errors` is never below 0; write something like `errors < 1%`", 9..12),
            ("rate( > 1/s", "`rate(` lacks its closing bracket", 0..5),
            ("mean(x) > 1s", "`mean` takes nothing in brackets", 0..7),
            (
                "errors < 100",
                "`errors` is a share and never above 1; write a percentage like `errors < 1%`, or `count(errors) < 100` for a number",
                9..12,
            ),
        ];
        for (text, message, range) in cases {
            let error = Requirement::parse(text).unwrap_err();
            assert_eq!((error.message.as_str(), error.range), (message, range), "{text}");
        }
        let error = Requirement::parse("errors(broken) < 1%").unwrap_err();
        assert!(error.message.contains("there are dns, refused, reset"), "{error}");
    }
}
