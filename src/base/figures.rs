//! Numbers as a person reads them: in the terminal, in reasons, in logs and in reports, always the same way.

use super::units::show_seconds;

/// What stands where there is no number.
pub const NONE: &str = "–";

/// A count with its thousands apart: `12,000`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in seconds, if there is one.
pub fn seconds(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| NONE.to_owned(), show_seconds)
}

/// A rate: `19.98/s`.
pub fn rate(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{}/s", number(value)))
}

/// A ratio as a percentage, with enough digits to distinguish it from 0 and from 100 %.
pub fn ratio(value: f64) -> String {
    let percent = value * 100.0;
    if !percent.is_finite() {
        return NONE.to_owned();
    }
    let distance = percent.abs().min((100.0 - percent).abs());
    let digits = match distance {
        0.0 => 0,
        d if d < 0.01 => 4,
        d if d < 1.0 => 3,
        d if d < 10.0 => 2,
        _ => 1,
    };
    let text = format!("{percent:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}%")
}

/// A number of any size: whole ones with their thousands apart, others with three to four significant digits.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let magnitude = value.abs();
    let sign = if value < 0.0 { "-" } else { "" };
    if magnitude.fract() == 0.0 && magnitude < 1e15 {
        return format!("{sign}{}", count(magnitude as u64));
    }
    if !(1e-4..1e15).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    if magnitude >= 1000.0 {
        let tenths = (magnitude * 10.0).round();
        let whole = count((tenths / 10.0) as u64);
        return match (tenths % 10.0) as u64 {
            0 => format!("{sign}{whole}"),
            tenth => format!("{sign}{whole}.{tenth}"),
        };
    }
    let digits = match magnitude {
        m if m >= 100.0 => 1,
        m if m >= 1.0 => 2,
        m if m >= 0.1 => 3,
        m if m >= 0.01 => 4,
        _ => 6,
    };
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number that may be missing.
pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), number)
}

/// Bytes a second as networks are measured: `98.4Mbit/s`.
pub fn megabits(bytes_per_second: Option<f64>) -> String {
    bytes_per_second.map_or_else(|| NONE.to_owned(), |bytes| format!("{}Mbit/s", number(bytes * 8.0 / 1e6)))
}

/// A size in bytes: `18.0MiB`.
pub fn bytes(value: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if !value.is_finite() {
        return NONE.to_owned();
    }
    if value.abs() < 1024.0 {
        return format!("{}B", number(value));
    }
    let mut scaled = value;
    let mut unit = "";
    for next in UNITS {
        if scaled.abs() < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    format!("{scaled:.1}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_numbers() {
        assert_eq!([0, 12, 999, 1_000, 12_000, 1_234_567].map(count), ["0", "12", "999", "1,000", "12,000", "1,234,567"]);
        let shown = [0.0, -3.0, 2.734, 0.5, 19.98, 123.456, 36_040.25, 9_976.98, 0.004_2, 1e-9, 4e18, f64::NAN].map(number);
        assert_eq!(
            shown,
            ["0", "-3", "2.73", "0.5", "19.98", "123.5", "36,040.3", "9,977", "0.0042", "1.000e-9", "4.000e18", "–"]
        );
    }

    #[test]
    fn ratios_are_distinguished_from_none_and_all() {
        let shown = [0.0, 1.0, 0.5, 0.912, 0.001_25, 0.999_99, 0.000_01, 1.5].map(ratio);
        assert_eq!(shown, ["0%", "100%", "50%", "91.2%", "0.125%", "99.999%", "0.001%", "150%"]);
    }

    #[test]
    fn sizes() {
        assert_eq!([17.0, 2048.0, 18_874_368.0, f64::NAN].map(bytes), ["17B", "2.0KiB", "18.0MiB", "–"]);
        assert_eq!(bytes(u64::MAX as f64), "16777216.0TiB");
    }
}
