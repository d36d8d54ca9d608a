//! A PromQL query: what it reads, and what it came to over a phase.
//!
//! At a moment a query is answered by samples before it: of as long as its ranges reach back, and the last one of a series
//! may be a scrape interval old. So a phase's first answer that is made of the phase alone comes that much after its start.
//! Of a plain selector the samples themselves are taken.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::parse_duration;

use super::api::{Answer, Series, until};
use super::error::SourceError;
use super::intervals::spacing;
use super::meter::Meter;
use super::prometheus::{ASSUMED_INTERVAL, Prometheus};
use super::report::Labels;
use super::select::{keep, selector_of};
use super::systems::ValueSeries;
use crate::base::units::show_seconds;

/// The longest query, in bytes: reading it takes a stack that has an end.
const LONGEST: usize = 4000;

/// Most points of a range query that Prometheus gives.
const POINTS_OF_A_RANGE: f64 = 10_000.0;
/// Samples of a series to ask for at once.
const SAMPLES_AT_ONCE: f64 = 5_000.0;
/// How far back samples are looked for to learn how far apart they are, in seconds.
const TO_LEARN: f64 = 300.0;
/// VictoriaMetrics repeats older points in place of those of the last 30 s; in seconds.
const HELD_BACK: f64 = 31.0;
/// Targets of a selector that are looked at for it.
const TARGETS: usize = 10;

/// A PromQL query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// As it is written.
    pub text: String,
    /// How far its ranges reach back.
    pub reach: Duration,
    /// What in it isn't known here, though a server may know it.
    pub unknown: Option<String>,
    /// The selectors that it reads.
    selectors: Vec<String>,
    /// Whether it is one of them and nothing else.
    plain: bool,
}

/// What a query came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answered {
    /// Every series returned, with its last, least, greatest and mean value; NaN where it never had a number.
    pub series: Vec<ValueSeries>,
    /// That the answer is a part of what there is, and why.
    pub partial: Option<String>,
    /// How it was evaluated, where that isn't as usual.
    pub note: Option<String>,
    /// What the server said beside the answer.
    pub warnings: Vec<String>,
}

impl Query {
    /// Reads a query. Functions that aren't known here are left to the server.
    ///
    /// # Errors
    /// Why no server can answer it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it has {} bytes, and a query has at most {LONGEST}; make a recording rule of it", text.len()));
        }
        let parsed = promql_parser::parser::parse(text);
        let newer = || promql_parser::parser::parse(&without_newer_words(text));
        match parsed.or_else(|error| newer().map_err(|_| error)) {
            Ok(expression) => Self::of(text, &expression),
            Err(error) if error.starts_with("unknown function") => {
                let reach = ranges(text).max().unwrap_or_default();
                Ok(Self { text: text.to_owned(), reach, unknown: Some(error), selectors: Vec::new(), plain: false })
            }
            Err(error) => Err(error),
        }
    }

    fn of(text: &str, expression: &Expr) -> Result<Self, String> {
        match expression.value_type() {
            ValueType::Matrix => return Err("it gives all samples of a range; take one value of them: max_over_time(…)".into()),
            ValueType::String => return Err("it gives a text, not a number".into()),
            ValueType::Vector | ValueType::Scalar => {}
        }
        let mut selectors = Vec::new();
        let reach = read(expression, &mut selectors);
        let mut inner = expression;
        while let Expr::Paren(paren) = inner {
            inner = &paren.expr;
        }
        let plain = matches!(inner, Expr::VectorSelector(one) if one.offset.is_none() && one.at.is_none());
        Ok(Self { text: text.to_owned(), reach, unknown: None, selectors, plain })
    }
}

/// How far back an expression reads, its ranges within ranges added up; and the selectors in it.
fn read(expression: &Expr, selectors: &mut Vec<String>) -> Duration {
    let mut take = |one: &VectorSelector| {
        let selector = VectorSelector { offset: None, at: None, ..one.clone() }.to_string();
        if !selectors.contains(&selector) {
            selectors.push(selector);
        }
    };
    match expression {
        Expr::VectorSelector(one) => {
            take(one);
            Duration::ZERO
        }
        Expr::MatrixSelector(range) => {
            take(&range.vs);
            range.range
        }
        Expr::Subquery(inner) => inner.range + read(&inner.expr, selectors),
        Expr::Aggregate(all) => {
            let parameter = all.param.as_ref().map_or(Duration::ZERO, |parameter| read(parameter, selectors));
            read(&all.expr, selectors).max(parameter)
        }
        Expr::Unary(one) => read(&one.expr, selectors),
        Expr::Paren(one) => read(&one.expr, selectors),
        Expr::Binary(two) => read(&two.lhs, selectors).max(read(&two.rhs, selectors)),
        Expr::Call(call) => call.args.args.iter().map(|argument| read(argument, selectors)).max().unwrap_or_default(),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Duration::ZERO,
    }
}

/// A query without modifiers that newer servers know and that change nothing of what it reads.
fn without_newer_words(text: &str) -> String {
    let (mut out, mut rest, mut quote) = (String::with_capacity(text.len()), text, None);
    while let Some(c) = rest.chars().next() {
        let modifier = || ["anchored", "smoothed"].iter().find_map(|word| rest.strip_prefix(word));
        let escaped = || rest.get(1..).and_then(|next| next.chars().next()).map_or(1, |next| 1 + next.len_utf8());
        let mut length = c.len_utf8();
        match quote {
            Some(_) if c == '\\' => length = escaped(),
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if out.ends_with(' ') && out.trim_end().ends_with(|c: char| c.is_alphanumeric() || "_:]}".contains(c)) => {
                if let Some(behind) = modifier() {
                    rest = behind;
                    continue;
                }
            }
            None => {}
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// The ranges of a query that can't be parsed.
fn ranges(text: &str) -> impl Iterator<Item = Duration> {
    let inside = text.split('[').skip(1).filter_map(|rest| rest.split([']', ':']).next());
    inside.filter_map(|range| parse_duration(range.trim()).ok())
}

/// What came in of the series of a query.
#[derive(Default)]
struct Seen {
    series: BTreeMap<(String, Labels), (Meter, f64)>,
    answered: Answered,
}

impl Seen {
    /// Takes in an answer's points from `from` on.
    fn take(&mut self, answer: Answer<Vec<Series>>, from: f64) -> Result<(), SourceError> {
        keep(&mut self.answered.warnings, answer.warnings);
        self.answered.partial = self.answered.partial.take().or(answer.partial);
        for series in answer.data {
            if series.histogram && series.samples.is_empty() {
                let message = "it gives native histograms; wrap it in histogram_quantile() or histogram_count()".to_owned();
                return Err(SourceError::Query { status: 200, kind: "histogram".into(), message });
            }
            let mut samples = series.samples.iter().filter(|(time, _)| *time >= from).peekable();
            if samples.peek().is_none() {
                continue;
            }
            let (meter, last) = self.series.entry((series.metric, series.labels)).or_insert((Meter::default(), f64::NAN));
            for (_, value) in samples {
                meter.add(*value);
                *last = if value.is_nan() { *last } else { *value };
            }
        }
        Ok(())
    }

    fn finish(self) -> Answered {
        let value = |((metric, mut labels), (meter, last)): ((String, Labels), (Meter, f64))| {
            let (min, max, avg) = meter.levels().map_or((f64::NAN, f64::NAN, f64::NAN), |l| (l.min, l.max, l.avg));
            if !metric.is_empty() {
                labels.insert(0, ("__name__".to_owned(), metric));
            }
            ValueSeries { min, max, avg, ..ValueSeries::exact(labels, last) }
        };
        Answered { series: self.series.into_iter().map(value).collect(), ..self.answered }
    }
}

impl Prometheus {
    /// What a query came to within stretches of time, of which there is at least one; in Unix seconds by our clock.
    pub(super) async fn ask(&self, query: &Query, stretches: &[(f64, f64)]) -> Result<Answered, SourceError> {
        let (ahead, _) = self.ahead().await?;
        if let Some((_, to)) = stretches.last().filter(|_| self.api.is_victoria()) {
            tokio::time::sleep(until(to + HELD_BACK)).await;
        }
        let stretches: Vec<(f64, f64)> = stretches.iter().map(|(from, to)| (from + ahead, to + ahead)).collect();
        let end = stretches.last().map_or(ahead, |(_, to)| *to);
        let length: f64 = stretches.iter().map(|(from, to)| to - from).sum();
        let interval = self.spacing_of(&query.selectors, end).await;
        let mut seen = Seen::default();
        if let (true, [selector]) = (query.plain, query.selectors.as_slice()) {
            for (from, to) in &stretches {
                self.samples(selector, (*from, *to), interval, &mut seen).await?;
            }
        } else {
            // A hundred points, from a second to a minute apart.
            let step = (length / 100.0).clamp(1.0, 60.0).round().max(length / POINTS_OF_A_RANGE);
            let reach = interval + query.reach.as_secs_f64();
            for (from, to) in stretches.iter().filter(|(from, to)| from + reach <= *to) {
                // The last point is the end's.
                let from = to - ((to - from - reach) / step).floor() * step;
                seen.take(self.api.range(&query.text, from, *to, step).await?, f64::NEG_INFINITY)?;
            }
        }
        if seen.series.is_empty() {
            seen.take(self.api.range(&query.text, end, end, 1.0).await?, f64::NEG_INFINITY)?;
            let reach = show_seconds(interval + query.reach.as_secs_f64());
            seen.answered.note = (!seen.series.is_empty()).then(|| match query.plain {
                true => "evaluated once, at the end: no sample is within".to_owned(),
                false => format!("evaluated once, at the end: with its ranges and a scrape interval it reaches back {reach}"),
            });
        }
        Ok(seen.finish())
    }

    /// Takes in a selector's own samples within a stretch.
    async fn samples(&self, selector: &str, (from, to): (f64, f64), interval: f64, seen: &mut Seen) -> Result<(), SourceError> {
        let mut at = from;
        while at < to {
            let until = (at + SAMPLES_AT_ONCE * interval).min(to);
            // Some servers leave out a sample at a range's very beginning.
            let answer = self.api.raw(selector, until - at + 0.001, until).await?;
            seen.take(answer, at)?;
            at = until + 0.001;
        }
        Ok(())
    }

    /// The longest distance of samples that these selectors read, as far as it can be learned.
    async fn spacing_of(&self, selectors: &[String], at: f64) -> f64 {
        let mut longest: Option<f64> = None;
        for selector in selectors {
            // What fails here fails the query itself, or says nothing of it.
            let targets = self.api.instant(&format!("topk by (job) (1, {selector})"), at).await.unwrap_or_default();
            for labels in targets.into_iter().take(TARGETS) {
                let Ok(answer) = self.api.raw(&selector_of(&labels), TO_LEARN, at).await else { continue };
                let found = answer.data.iter().filter_map(|series| spacing(&series.samples));
                longest = found.chain(longest).max_by(f64::total_cmp);
            }
        }
        longest.or(self.interval()).unwrap_or(ASSUMED_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> u64 {
        Query::parse(text).unwrap().reach.as_secs()
    }

    #[test]
    fn ranges_within_ranges_reach_back_together_and_an_offset_is_meant() {
        assert_eq!(reach("sum(up)"), 0);
        assert_eq!(reach("rate(a[5m]) / on (job) rate(b[1h]) > bool 2"), 3600);
        assert_eq!(reach("max_over_time(sum(rate(a[5m]))[30m:1m])"), 35 * 60);
        assert_eq!(reach("a / a offset 1w"), 0);
        assert_eq!(reach("quantile(0.9, -(a)) + scalar(avg_over_time(b[2m]))"), 120);
    }

    #[test]
    fn a_query_that_no_server_can_answer_is_refused() {
        for (text, said) in [
            ("sum(up", "unclosed left parenthesis"),
            ("sum(up))", ""),
            ("up{job=\"a}", "unterminated quoted string"),
            ("rate(up[5 minutes])", ""),
            ("rate(up)", "expected type matrix"),
            ("rate(up[$__rate_interval])", ""),
            ("up up", ""),
            ("up[5m]", "max_over_time"),
            ("'up'", "not a number"),
            ("", "no expression"),
        ] {
            let error = Query::parse(text).unwrap_err();
            assert!(!error.is_empty() && error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_newer_and_other_servers_know_is_left_to_them() {
        assert_eq!(reach("sum(increase(a{b='anchored'}[5m] anchored)) or b smoothed > 0"), 300);
        let other = Query::parse("sum(rollup_rate(a[5m]))").unwrap();
        assert_eq!((other.reach.as_secs(), other.unknown.is_some()), (300, true));
    }

    #[test]
    fn a_plain_selector_is_one_without_anything_around_it() {
        for (text, plain) in
            [("up", true), ("(({__name__=\"up\"}))", true), ("up offset 5m", false), ("-up", false), ("1", false)]
        {
            assert_eq!(Query::parse(text).unwrap().plain, plain, "{text}");
        }
        assert_eq!(Query::parse("a{x=\"1\"} / b - a{x=\"1\"} offset 1m").unwrap().selectors, ["a{x=\"1\"}", "b"]);
    }

    #[test]
    fn points_are_summed_up_and_nan_is_no_number() {
        let series = |samples| Series { metric: "up".into(), labels: Vec::new(), samples, histogram: false };
        let nan = f64::NAN;
        let points = vec![(0.0, 9.0), (1.0, nan), (2.0, 3.0), (3.0, 1.0), (4.0, nan)];
        let mut seen = Seen::default();
        seen.take(Answer { data: vec![series(points)], warnings: Vec::new(), partial: None }, 1.0).unwrap();
        seen.take(Answer { data: vec![series(vec![(6.0, 5.0)])], warnings: Vec::new(), partial: None }, 6.0).unwrap();
        let answered = seen.finish();
        let got = &answered.series[0];
        assert_eq!((answered.series.len(), got.value, got.min, got.max, got.avg), (1, 5.0, 1.0, 5.0, 3.0));
        let mut seen = Seen::default();
        seen.take(Answer { data: vec![series(vec![(0.0, nan)])], warnings: Vec::new(), partial: None }, 0.0).unwrap();
        assert!(seen.finish().series[0].max.is_nan());
    }
}
