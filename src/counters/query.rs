//! A PromQL query: what it reads, and what it came to over a phase.
//!
//! At a moment a query is answered by samples before it: of as long as its ranges reach back, and the last one of a series
//! may be a scrape interval old. So a phase's first answer that is made of the phase alone comes that much after its start.
//! Of a plain selector the samples themselves are taken.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::parse_duration;

use super::api::unix;
use super::error::SourceError;
use super::intervals::spacing;
use super::labels::{NAME, label};
use super::points::{Answered, Points};
use super::prometheus::{ASSUMED_INTERVAL, Prometheus, STORING};
use super::select::selector_of;
use super::systems::Unknown;
use crate::base::units::show_seconds;

/// How many series of a selector are remembered, of a run where they come and go.
const REMEMBERED: usize = 10_000;
/// The longest query, in bytes: reading it takes a stack that has an end.
const LONGEST: usize = 4000;

/// Most points of a series that Prometheus gives, and how many to ask for at once.
const POINTS: f64 = 11_000.0;
const POINTS_AT_ONCE: f64 = 1_000.0;
/// The distance of points where no scrape interval is known, in seconds.
const ASSUMED_STEP: f64 = 1.0;
/// Samples of a series to ask for at once.
const SAMPLES_AT_ONCE: f64 = 5_000.0;
/// How far back samples are looked for to learn how far apart they are, in seconds.
const TO_LEARN: f64 = 300.0;
/// VictoriaMetrics repeats older points in place of those of the last 30 s; in seconds.
const HELD_BACK: f64 = 31.0;
/// How long to wait before looking again whether samples have come.
const AGAIN: Duration = Duration::from_millis(500);
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

impl Prometheus {
    /// What a query came to within stretches of time, of which there is at least one; in Unix seconds by our clock.
    pub(super) async fn ask(&self, query: &Query, stretches: &[(f64, f64)]) -> Result<Answered, SourceError> {
        let (ahead, _) = self.ahead().await?;
        if let Some((_, to)) = stretches.last().filter(|_| self.api.is_victoria()) {
            tokio::time::sleep(self.api.clock.until(to + HELD_BACK)).await;
        }
        let stretches: Vec<(f64, f64)> = stretches.iter().map(|(from, to)| (from + ahead, to + ahead)).collect();
        let end = stretches.last().map_or(ahead, |(_, to)| *to);
        let begun = stretches.first().map_or(ahead, |(from, _)| *from);
        let (shortest, longest) = self.spacing_of(&query.selectors, [end, begun]).await;
        let interval = longest.unwrap_or(ASSUMED_INTERVAL);
        self.arrived(query, end, ahead, interval).await;
        let mut seen = Points::default();
        let mut step = 0.0;
        if let (true, [selector]) = (query.plain, query.selectors.as_slice()) {
            for stretch in &stretches {
                seen.begin(*stretch);
                self.samples(selector, *stretch, interval, &mut seen).await?;
                seen.end();
            }
        } else {
            // Each scrape is seen, as far as the server gives so many points.
            let length = stretches.iter().map(|(from, to)| to - from).fold(0.0, f64::max);
            step = (shortest.unwrap_or(ASSUMED_STEP).max(length / POINTS) * 1e3).ceil() / 1e3;
            let reach = interval + query.reach.as_secs_f64();
            for (from, to) in stretches.iter().filter(|(from, to)| from + reach <= *to) {
                self.points(query, (from + reach, *to), step, &mut seen).await?;
            }
        }
        if seen.is_empty() {
            seen.take(self.api.range(&query.text, end, end, 1.0).await?, f64::NEG_INFINITY)?;
            let reach = show_seconds(interval + query.reach.as_secs_f64());
            seen.answered.note = (!seen.is_empty()).then(|| match query.plain {
                true => "evaluated once, at the end: no sample is within".to_owned(),
                false => format!("evaluated once, at the end: with its ranges and a scrape interval it reaches back {reach}"),
            });
        }
        if let (true, [selector]) = (query.plain, query.selectors.as_slice())
            && !seen.is_empty()
        {
            seen.answered.unknown = self.unseen(selector, &stretches, &seen).await?;
        }
        let none = seen.is_empty();
        for selector in query.selectors.iter().filter(|_| none) {
            // It is for a message alone.
            let Ok(newest) = self.newest(selector, end).await else { break };
            if let Some(newest) = newest {
                let age = show_seconds(end - newest);
                let why = format!("no series was returned; the newest sample of {selector} is from {age} before the end");
                seen.answered.unknown.push(Unknown { why, ..Unknown::default() });
            }
        }
        Ok(seen.finish(query.plain, interval.max(step), longest))
    }

    /// Waits until what a query reads has samples past its end, for two scrape intervals at most.
    async fn arrived(&self, query: &Query, end: f64, ahead: f64, interval: f64) {
        let late = STORING + self.lag();
        // Where the selectors aren't known, there is time for one sample.
        let one = end - ahead + interval + late;
        if query.selectors.is_empty() {
            let patience = if query.unknown.is_some() { self.api.clock.until(one) } else { Duration::ZERO };
            return tokio::time::sleep(patience).await;
        }
        let patience = end - ahead + 2.0 * interval + late;
        while !self.api.clock.until(patience).is_zero() {
            let now = unix(self.api.clock.now()) + ahead;
            let mut oldest: Option<f64> = None;
            for selector in &query.selectors {
                // What isn't scraped any more isn't waited for.
                let alive = now - 2.5 * interval - late;
                match self.api.number(&format!("min(timestamp({selector}) > {alive:.3})"), now).await {
                    Ok(time) => oldest = oldest.into_iter().chain(time).min_by(f64::total_cmp),
                    Err(_) => return tokio::time::sleep(self.api.clock.until(one)).await,
                }
            }
            if oldest.is_none_or(|oldest| oldest >= end) {
                return;
            }
            tokio::time::sleep(self.api.clock.until(patience).min(AGAIN)).await;
        }
    }

    /// The series of a selector that have no sample within the stretches: those that are there at their ends, by the server's own rules, and
    /// those that an earlier answer had.
    async fn unseen(&self, selector: &str, stretches: &[(f64, f64)], seen: &Points) -> Result<Vec<Unknown>, SourceError> {
        let mut there = BTreeSet::new();
        for at in stretches.iter().flat_map(|(from, to)| [*from, *to]) {
            for mut labels in self.api.instant(selector, at).await? {
                let metric = label(&labels, NAME).to_owned();
                labels.retain(|(name, _)| name != NAME);
                there.insert((metric, labels));
            }
        }
        let mut before = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        let before = before.entry(selector.to_owned()).or_default();
        there.extend(before.iter().cloned());
        let unseen = there.into_iter().filter(|series| !seen.has(series)).map(|(metric, mut labels)| {
            labels.insert(0, (NAME.to_owned(), metric));
            Unknown { labels, why: "it has no sample in the phase".to_owned(), ..Unknown::default() }
        });
        let unseen = unseen.collect();
        for series in seen.names() {
            if before.len() < REMEMBERED {
                before.insert(series.clone());
            }
        }
        Ok(unseen)
    }

    /// Takes in a selector's own samples within a stretch.
    async fn samples(&self, selector: &str, (from, to): (f64, f64), interval: f64, seen: &mut Points) -> Result<(), SourceError> {
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

    /// Takes in a query's points of a stretch, the last of which is at its end.
    async fn points(&self, query: &Query, (from, to): (f64, f64), step: f64, seen: &mut Points) -> Result<(), SourceError> {
        let mut left = ((to - from) / step).floor();
        seen.begin((to - left * step, to));
        while left >= 0.0 {
            let last = (left - POINTS_AT_ONCE + 1.0).max(0.0);
            let answer = self.api.range(&query.text, to - left * step, to - last * step, step).await?;
            seen.take(answer, f64::NEG_INFINITY)?;
            left = last - 1.0;
        }
        seen.end();
        Ok(())
    }

    /// The shortest and the longest distance of samples that these selectors read, as far as they can be learned at these times: at the latter
    /// where the former has none.
    async fn spacing_of(&self, selectors: &[String], times: [f64; 2]) -> (Option<f64>, Option<f64>) {
        let mut found = Vec::new();
        for selector in selectors {
            let one_each = format!("topk by (job) (1, {selector})");
            for at in times {
                // What fails here fails the query itself, or says nothing of it.
                let targets = self.api.instant(&one_each, at).await.unwrap_or_default();
                let there = !targets.is_empty();
                for labels in targets.into_iter().take(TARGETS) {
                    let Ok(answer) = self.api.raw(&selector_of(&labels), TO_LEARN, at).await else { continue };
                    found.extend(answer.data.iter().filter_map(|series| spacing(&series.samples)));
                }
                if there {
                    break;
                }
            }
        }
        let longest = found.iter().copied().max_by(f64::total_cmp);
        let shortest = found.into_iter().chain(self.intervals.shortest()).min_by(f64::total_cmp);
        (shortest, longest.or(self.interval()))
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
}
