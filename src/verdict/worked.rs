//! Expressions over totals, worked out with all that is unknown of those.
//!
//! A total is known to lie between two numbers. Sums, products and ratios are the least and the most where each of their parts is so, and so
//! they are worked out for all of these. Other expressions don't follow their parts so: if one part isn't known, the expression isn't.

use std::collections::BTreeMap;

use super::figures::{Extent, Figures};
use super::known::Pace;
use super::requirement::{Comparison, Measure, Requirement, Tally, Unit};
use super::slo::{Of, Slo, Traffic, covered};
use crate::base::{Protocol, Reason};
use crate::measure::{CheckId, Layout, OwnId, OwnKind, PhaseId, ScenarioId, StepId, Totals};

/// The value of an expression, the least and the most that it can be, and what that depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Worked {
    /// With each total as it was measured.
    pub value: f64,
    /// The least that it can be; minus infinity where nothing bounds it.
    pub least: f64,
    /// The most that it can be; infinite where nothing bounds it.
    pub most: f64,
    /// In words.
    pub doubt: String,
}

/// Totals by their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totalled {
    values: BTreeMap<String, f64>,
    /// Those that aren't known exactly: the least and the most that they can be, and what that depends on.
    between: BTreeMap<String, (f64, f64, String)>,
}

/// An expression with more parts that aren't known is as little known.
const MOST_PARTS: usize = 5;
/// Stands for what nothing bounds; what comes near it isn't bounded either.
const UNBOUNDED: f64 = 1e18;

impl Worked {
    /// A value that is known exactly.
    pub fn exactly(value: f64) -> Self {
        Self { value, least: value, most: value, doubt: String::new() }
    }

    /// Works out an expression that is written so, where `value` answers what it is for some totals.
    ///
    /// # Errors
    /// Why it has no value.
    pub fn out<E>(source: &str, totals: &Totalled, value: impl Fn(&BTreeMap<String, f64>) -> Result<f64, E>) -> Result<Self, E> {
        let worked = Self::exactly(value(&totals.values)?);
        let named = |name: &str| source.contains(&format!("'{name}'")) || source.contains(&format!("\"{name}\""));
        let unknown: Vec<_> = totals.between.iter().filter(|(name, _)| named(name)).collect();
        if unknown.is_empty() {
            return Ok(worked);
        }
        let mut doubts: Vec<&str> = Vec::new();
        for (_, (.., doubt)) in &unknown {
            if !doubt.is_empty() && !doubts.contains(&doubt.as_str()) {
                doubts.push(doubt);
            }
        }
        let doubt = doubts.join("; ");
        if unknown.len() > MOST_PARTS || !is_arithmetic(source) {
            return Ok(Self { least: f64::NEG_INFINITY, most: f64::INFINITY, doubt, ..worked });
        }
        let mut cases = vec![totals.values.clone()];
        for (name, (least, most, _)) in unknown {
            let with = |case: &BTreeMap<String, f64>, bound: f64| {
                let mut case = case.clone();
                case.insert(name.clone(), bound.clamp(-UNBOUNDED, UNBOUNDED));
                case
            };
            cases = cases.iter().flat_map(|case| [case.clone(), with(case, *least), with(case, *most)]).collect();
        }
        let (mut least, mut most) = (worked.value, worked.value);
        for case in &cases {
            // Divided by nothing, it may be anything.
            let value = value(case).unwrap_or(f64::NAN);
            let far = value.is_nan() || value.abs() >= UNBOUNDED.sqrt();
            least = if value.is_nan() || far && value < 0.0 { f64::NEG_INFINITY } else { least.min(value) };
            most = if value.is_nan() || far && value > 0.0 { f64::INFINITY } else { most.max(value) };
        }
        Ok(Self { least, most, doubt, ..worked })
    }
}

/// Whether an expression has nothing but totals, numbers, the four operations and brackets.
fn is_arithmetic(source: &str) -> bool {
    let mut rest = String::new();
    let mut quoted = None;
    for c in source.chars() {
        match (quoted, c) {
            (Some(quote), c) if c == quote => quoted = None,
            (None, '\'' | '"') => quoted = Some(c),
            (None, c) => rest.push(c),
            _ => {}
        }
    }
    let rest = rest.replace("metric", "").replace("lost", "").replace("//", "?");
    rest.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-*/().,".contains(c)) && !rest.contains("**")
}

/// What is known of the totals of a phase, or of the run, whose sums are these.
pub fn totalled(slos: &[Slo], layout: &Layout, phase: Option<PhaseId>, totals: &Totals, sums: BTreeMap<String, f64>) -> Totalled {
    let covered = covered(slos, phase);
    let extent = Extent { layout, covered: &covered, run: phase.is_none(), over: true };
    let of = |of: Of, scenarios: Vec<ScenarioId>| Traffic {
        of,
        steps: (0..layout.steps.len()).map(StepId::at).collect(),
        groups: Vec::new(),
        scenarios,
        all_steps: true,
        protocols: Protocol::ALL.to_vec(),
        checks: (0..layout.checks.len()).map(CheckId::at).collect(),
        messages: Vec::new(),
        timeout: 0.0,
    };
    let all = |subject: Of| Figures::of(&of(subject, (0..layout.scenarios.len()).map(ScenarioId::at).collect()), totals, extent);
    let [requests, iterations, connections] = [Of::Response, Of::Iteration, Of::Connect].map(all);
    let idle = requests.is_idle();
    let mut between = BTreeMap::new();
    for (name, value) in &sums {
        let own = layout
            .own
            .iter()
            .position(|own| name.strip_prefix(own.name.as_str()).is_some_and(|rest| matches!(rest, "" | "_sum" | "_count")));
        let (slack, idle) = match own.map(|own| (OwnId::at(own), &layout.own[own])) {
            // It is as it was set, and arrivals are as they were counted.
            Some((_, own)) if matches!(own.kind, OwnKind::Gauge | OwnKind::GaugeFrom { .. }) => continue,
            None if name.starts_with("load_arrivals_") => continue,
            Some((id, own)) => {
                let figures = Figures::of(&of(Of::Own(id), own.scenarios.clone()), totals, extent);
                (Slack::of_own(&figures, own.kind == OwnKind::Counter), figures.is_idle())
            }
            None if name.starts_with("load_iteration") => (Slack::of(name, *value, &iterations), idle),
            None if name.starts_with("load_connect") => (Slack::of(name, *value, &connections), idle),
            None => (Slack::of(name, *value, &requests), idle),
        };
        if *value == 0.0 && idle {
            // That nothing was counted says nothing.
            between.insert(name.clone(), (0.0, f64::INFINITY, "nothing was begun that could have counted".to_owned()));
            continue;
        }
        let (least, most) = slack.around(*value, name.ends_with("_sum"));
        if least < *value || most > *value {
            between.insert(name.clone(), (least, most, slack.doubt));
        }
    }
    Totalled { values: sums, between }
}

/// By how much totals may be off.
#[derive(Debug, Clone)]
struct Slack {
    /// How much less, and how much more.
    less: f64,
    more: f64,
    /// What all of it is, so that it is known what one adds on average.
    all: f64,
    /// By how many seconds the generator made times longer, together.
    delay: f64,
    doubt: String,
}

impl Slack {
    /// Of a metric that the program has by itself.
    fn of(name: &str, value: f64, figures: &Figures) -> Self {
        let own = (figures.reasons[Reason::Local.index()] + figures.delayed_timeouts) as f64;
        let unmade = figures.unmade();
        let checks = figures.unclear_checks as f64 + unmade.checks;
        let open = (figures.interrupted + figures.undone + figures.deaf) as f64;
        let (more, tally) = match name {
            // Those that were cut off are among them, and those that outlasted the drain are not.
            "load_requests_total" | "load_iterations_total" | "load_connects_total" => {
                ((figures.all as f64 - value).max(0.0) + unmade.items + unmade.withheld, Tally::Timeouts)
            }
            "load_checks_total" | "load_check_failures_total" => (own + checks + unmade.withheld, Tally::Checks),
            _ => (own + open + unmade.items + unmade.withheld, Tally::Timeouts),
        };
        let doubt = figures.doubt(&any(Measure::Count(tally)), Pace::default());
        Self { less: own, more, all: figures.all as f64, delay: figures.delay(), doubt }
    }

    fn of_own(figures: &Figures, counter: bool) -> Self {
        let (unmade, less) = (figures.unmade(), figures.blamed as f64);
        let more = if counter { unmade.counter } else { unmade.items + unmade.withheld };
        let doubt = figures.doubt(&any(Measure::Value), Pace::default());
        Self { less, more: more + less, all: 0.0, delay: 0.0, doubt }
    }

    /// The least and the most that a total can be, of times or of how often something was.
    fn around(&self, value: f64, of_times: bool) -> (f64, f64) {
        let each = if self.all > 0.0 { (value / self.all).max(1.0) } else { 1.0 };
        let more = if self.more == 0.0 { 0.0 } else { self.more * each };
        match of_times {
            false => ((value - self.less * each).max(0.0), value + more),
            true if self.more == 0.0 => ((value - self.delay).max(0.0), value),
            true if self.less == 0.0 => ((value - self.delay).max(0.0), f64::INFINITY),
            true => (0.0, f64::INFINITY),
        }
    }
}

/// A requirement that depends on all that is unknown.
fn any(measure: Measure) -> Requirement {
    Requirement { text: String::new(), measure, comparison: Comparison::Equal, objective: 0.0, unit: Unit::Number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked(source: &str, b: (f64, f64), value: impl Fn(f64, f64) -> f64) -> (f64, f64, f64) {
        let values = [("a".to_owned(), 10.0), ("b".to_owned(), 100.0)].into_iter().collect();
        let unknown = |name: &str, (least, most)| (name.to_owned(), (least, most, "why".to_owned()));
        let between = [unknown("b", b), unknown("other", (0.0, f64::INFINITY))].into_iter().collect();
        let totals = Totalled { values, between };
        let worked = Worked::out(source, &totals, |totals| {
            let value = value(totals["a"], totals["b"]);
            if value.is_finite() { Ok(value) } else { Err("no finite number") }
        });
        worked.map(|worked| (worked.value, worked.least, worked.most)).unwrap()
    }

    #[test]
    fn an_expression_is_worked_out_with_the_least_and_the_most_of_what_is_unknown() {
        let ratio = |a: f64, b: f64| a / b;
        let of = "metric('a') / metric('b')";
        assert_eq!(worked(of, (80.0, 125.0), ratio), (0.1, 0.08, 0.125));
        assert_eq!(worked("metric('a')", (80.0, 125.0), |a, _| a), (10.0, 10.0, 10.0), "it isn't about what is unknown");
        let (value, least, most) = worked(of, (80.0, f64::INFINITY), ratio);
        assert_eq!((value, most), (0.1, 0.125));
        assert!(least < 1e-9, "{least}");
        let apart = worked(of, (0.0, 125.0), ratio);
        assert_eq!(apart, (0.1, f64::NEG_INFINITY, f64::INFINITY), "it may be divided by nothing");
        let sum = worked("metric('a') - metric('b')", (100.0, f64::INFINITY), |a, b| a - b);
        assert_eq!(sum, (-90.0, f64::NEG_INFINITY, -90.0));
    }

    #[test]
    fn what_does_not_follow_its_parts_is_unknown() {
        let all = (95.0, f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(worked("(metric('b') - 5) | abs", (0.0, 125.0), |_, b| (b - 5.0).abs()), all);
        assert_eq!(worked("1 if metric('b') > 2 else 95", (0.0, 125.0), |_, _| 95.0), all);
        assert!(is_arithmetic("100 * (metric(\"a_total\") + lost('vote')) / 2.5"));
        for source in ["metric('a') ** 2", "metric('a') // 2", "metric('a') % 2", "metric('a') | round"] {
            assert!(!is_arithmetic(source), "{source}");
        }
    }
}
