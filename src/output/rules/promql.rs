//! Pieces of PromQL: quoting, matchers, sums over the series that a subject stands for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::windows::written;

/// A string of PromQL.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A matcher for any of some values.
pub(super) fn any_of(label: &str, values: &[&str]) -> String {
    match values {
        [one] => format!("{label}={}", quoted(one)),
        many => {
            let alternatives: Vec<String> = many.iter().map(|value| regex::escape(value)).collect();
            format!("{label}=~{}", quoted(&alternatives.join("|")))
        }
    }
}

/// A matcher for a bucket's bound: 3.x writes `1.0` where 2.x has `1`.
pub(super) fn le(bound: f64) -> String {
    if bound.fract() == 0.0 { format!("le=~\"{bound}|{bound}[.]0\"") } else { format!("le=\"{bound}\"") }
}

/// Series that a subject stands for: alternatives, which have no series in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection(Vec<String>);

impl Selection {
    /// From pairs of a scenario's name and a second label's value; `common` goes into every alternative.
    pub fn of_pairs(common: &str, label: &str, pairs: &[(&str, &str)]) -> Self {
        let mut by_scenario: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (scenario, value) in pairs {
            let values = by_scenario.entry(scenario).or_default();
            if !values.contains(value) {
                values.push(value);
            }
        }
        // Scenarios with the same values share an alternative.
        let mut alternatives: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for (scenario, values) in by_scenario {
            match alternatives.iter_mut().find(|(_, same)| *same == values) {
                Some((scenarios, _)) => scenarios.push(scenario),
                None => alternatives.push((vec![scenario], values)),
            }
        }
        let matchers = alternatives
            .into_iter()
            .map(|(scenarios, values)| format!("{common},{},{}", any_of("scenario", &scenarios), any_of(label, &values)));
        Self(matchers.collect())
    }

    /// From the names of scenarios.
    pub fn of_scenarios(common: &str, scenarios: &[&str]) -> Self {
        Self(vec![format!("{common},{}", any_of("scenario", scenarios))])
    }

    /// The same with another matcher.
    pub fn with(&self, matcher: &str) -> Self {
        Self(self.0.iter().map(|alternative| format!("{alternative},{matcher}")).collect())
    }

    /// How fast a counter grows, summed over the generators that share a run.
    pub fn rate(&self, metric: &str, window: Duration) -> String {
        let mut inner = String::new();
        for (index, matchers) in self.0.iter().enumerate() {
            let or = if index == 0 { "" } else { " or " };
            // Writing to a String can't fail.
            let _ = write!(inner, "{or}rate({metric}{{{matchers}}}[{}])", written(window));
        }
        format!("sum by (job, profile) ({inner})")
    }

    /// How many observations a second a histogram takes, native or classic.
    pub fn count(&self, metric: &str, window: Duration) -> String {
        let (native, classic) = (self.rate(metric, window), self.rate(&format!("{metric}_count"), window));
        format!("(histogram_count({native}) or {classic})")
    }

    /// How many observations a second are at most `bound`, native or classic.
    pub fn below(&self, metric: &str, bound: f64, window: Duration) -> String {
        let native = self.rate(metric, window);
        let classic = self.with(&le(bound)).rate(&format!("{metric}_bucket"), window);
        format!("(histogram_fraction(0, {bound}, {native}) * histogram_count({native}) or {classic})")
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_promql_and_for_its_regular_expressions() {
        assert_eq!(any_of("step", &["GET /a?b=\"c\""]), r#"step="GET /a?b=\"c\"""#);
        assert_eq!(any_of("step", &["a.b", "c|d"]), r#"step=~"a\\.b|c\\|d""#);
        assert_eq!((le(0.15).as_str(), le(1.0).as_str()), ("le=\"0.15\"", "le=~\"1|1[.]0\""));
    }

    #[test]
    fn pairs_select_no_more_than_they_are() {
        let selection = Selection::of_pairs("profile=\"p\"", "step", &[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")]);
        assert_eq!(
            selection.rate("m", Duration::from_secs(300)),
            "sum by (job, profile) (rate(m{profile=\"p\",scenario=\"a\",step=~\"x|y\"}[5m]) or \
             rate(m{profile=\"p\",scenario=~\"b|c\",step=\"x\"}[5m]))"
        );
    }
}
