//! Quantities as people write them: durations, sizes, rates, ratios; and as a report shows them.
//!
//! Every parser takes the trimmed text and answers with the value or with what would have been right.

use std::time::Duration;

/// What was wrong with a quantity, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnitError {
    message: String,
}

impl UnitError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Splits a leading decimal number from what follows it. No sign, no exponent.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

/// A duration: `250ms`, `0.5s`, `5m`, `1h30m`, `2d`, `0s`.
///
/// # Errors
/// A text without a unit, with an unknown unit, or longer than 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong =
        || UnitError::new(format!("`{text}` is not a duration; write a number and its unit, like 250ms, 0.5s, 5m or 1h30m"));
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or_else(wrong)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let factor = match unit.trim() {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "" => {
                return Err(UnitError::new(format!(
                    "`{text}` has no unit; write `{text}s` for seconds or `{text}ms` for milliseconds"
                )));
            }
            _ => return Err(wrong()),
        };
        seconds += number * factor;
        rest = next;
    }
    if seconds > 3.2e9 {
        return Err(UnitError::new(format!("`{text}` is longer than 100 years")));
    }
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// A size in bytes: `100KB` (thousands), `64KiB` (1,024s), a bare number is bytes.
///
/// # Errors
/// An unknown unit or a negative number.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let wrong =
        || UnitError::new(format!("`{text}` is not a size; write bytes or a number and its unit, like 100KB, 10MB or 64KiB"));
    let (number, unit) = leading_number(text.trim()).ok_or_else(wrong)?;
    let factor: f64 = match unit.trim() {
        "" | "B" => 1.0,
        "KB" | "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return Err(wrong()),
    };
    Ok((number * factor).round() as u64)
}

/// A ratio: `0.5%`, or a bare number from 0 to 1 and above.
///
/// # Errors
/// Anything that is not a number, with or without `%`.
pub fn parse_ratio(text: &str) -> Result<f64, UnitError> {
    let wrong = || UnitError::new(format!("`{text}` is not a ratio; write a percentage like 0.5%"));
    match leading_number(text.trim()).ok_or_else(wrong)? {
        (number, unit) if unit.trim() == "%" => Ok(number / 100.0),
        (number, "") => Ok(number),
        _ => Err(wrong()),
    }
}

/// A rate in events per second: `50/s`, `30/m`, `7200/h`.
///
/// # Errors
/// A number without a period, or an unknown one.
pub fn parse_rate(text: &str) -> Result<f64, UnitError> {
    let wrong = || UnitError::new(format!("`{text}` is not a rate; write a number a period, like 50/s, 30/m or 7200/h"));
    let (number, unit) = leading_number(text.trim()).ok_or_else(wrong)?;
    match unit.replace(' ', "").as_str() {
        "/s" => Ok(number),
        "/m" | "/min" => Ok(number / 60.0),
        "/h" => Ok(number / 3600.0),
        _ => Err(wrong()),
    }
}

/// A duration as a report shows it, to three significant digits: `812µs`, `4.21ms`, `1.50s`, `2m 5s`, `1h 30m`.
pub fn show_seconds(seconds: f64) -> String {
    let three = |value: f64, unit: &str| {
        let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        format!("{value:.digits$}{unit}")
    };
    match seconds {
        s if !s.is_finite() => "–".into(),
        s if s < 0.0 => format!("-{}", show_seconds(-s)),
        0.0 => "0s".into(),
        s if s < 1e-6 => three(s * 1e9, "ns"),
        s if s < 1e-3 => three(s * 1e6, "µs"),
        s if s < 1.0 => three(s * 1e3, "ms"),
        s if s < 60.0 => three(s, "s"),
        s if s < 3600.0 => format!("{}m {}s", (s / 60.0) as u64, (s % 60.0) as u64),
        s if s < 86_400.0 => format!("{}h {}m", (s / 3600.0) as u64, (s % 3600.0 / 60.0) as u64),
        s => format!("{}d {}h", (s / 86_400.0) as u64, (s % 86_400.0 / 3600.0) as u64),
    }
}

/// A duration in whole nanoseconds; what is longer than 584 years is cut.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = |text| parse_duration(text).unwrap().as_secs_f64() * 1e3;
        assert_eq!(ms("250ms"), 250.0);
        assert_eq!(ms("0.5s"), 500.0);
        assert_eq!(ms("1h30m"), 5_400_000.0);
        assert_eq!(ms("0s"), 0.0);
        assert!(parse_duration("5").unwrap_err().to_string().contains("`5s`"));
        for bad in ["", "s", "5 parsecs", "-1s", "1e3s", "200000000h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_ratios_rates() {
        assert_eq!(parse_size("100KB"), Ok(100_000));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("17"), Ok(17));
        assert!(parse_size("1 parsec").is_err());
        assert_eq!(parse_ratio("0.5%"), Ok(0.005));
        assert!(parse_ratio("5s").is_err());
        assert_eq!(parse_rate("7200/h"), Ok(2.0));
        assert_eq!(parse_rate("30/m"), Ok(0.5));
        assert!(parse_rate("50").is_err());
    }

    #[test]
    fn shown_to_three_digits() {
        let shown: Vec<String> = [0.0, 8.12e-4, 0.00421, 0.0999, 1.5, 125.0, 5400.0].into_iter().map(show_seconds).collect();
        assert_eq!(shown, ["0s", "812µs", "4.21ms", "99.9ms", "1.50s", "2m 5s", "1h 30m"]);
    }
}
