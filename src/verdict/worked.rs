//! Expressions over totals, worked out with all that is unknown of those.
//!
//! A total is known to lie between two numbers. Sums, products and ratios lie where `interval` says. Other expressions don't follow
//! their parts so: if one part isn't known, the expression isn't.

use std::collections::BTreeMap;

use super::figures::{Extent, Figures};
use super::interval::{ANYTHING, Range, Term};
use super::known::{Known, LIMITED, Pace};
use super::requirement::{Comparison, Measure, Requirement, Tally, Unit};
use super::slo::{Of, Slo, Traffic, covered};
use crate::base::{Protocol, Reason};
use crate::measure::{CheckId, GroupId, Layout, OwnId, OwnKind, PhaseId, ScenarioId, StepId, Totals};

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
    /// If pauses of the generator had held no closed users up: between what it would be, and the pauses in words.
    stood: Option<(Range, String)>,
    /// Between what it would be with a generator that is no bottleneck.
    limited: Range,
}

/// Totals by their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totalled {
    values: BTreeMap<String, f64>,
    /// Those that aren't known exactly: the least and the most that they can be, and what that depends on.
    between: BTreeMap<String, (f64, f64, String)>,
    /// Those that grow with what is done: by what part pauses of the generator kept them smaller, and the pauses in words.
    held: BTreeMap<String, (f64, String)>,
    /// What `lost(step)` answers.
    lost: BTreeMap<String, u64>,
}

/// How many times as much a faster generator may have done, and what is as good as infinite then.
const MANY: f64 = 1e15;
const FAR: f64 = 1e12;

impl Worked {
    /// A value that is known exactly.
    pub fn exactly(value: f64) -> Self {
        Self { value, least: value, most: value, doubt: String::new(), stood: None, limited: (value, value) }
    }

    /// Works out an expression that is written so, where `value` answers what it is for some totals.
    ///
    /// # Errors
    /// Why it has no value.
    pub fn out<E>(source: &str, totals: &Totalled, value: impl Fn(&BTreeMap<String, f64>) -> Result<f64, E>) -> Result<Self, E> {
        let mut worked = Self::exactly(value(&totals.values)?);
        let term = Term::read(source);
        let named = |name: &str| source.contains(&format!("'{name}'")) || source.contains(&format!("\"{name}\""));
        let range = |by: &dyn Fn(&str) -> f64| {
            let (least, most) = term.as_ref().map_or(ANYTHING, |term| term.range(&|term| totals.range(term, by)));
            if least.is_nan() || most.is_nan() { ANYTHING } else { (least.min(most), most.max(least)) }
        };
        let unknown: Vec<_> = totals.between.iter().filter(|(name, _)| named(name)).collect();
        if !unknown.is_empty() {
            let (least, most) = range(&|_| 1.0);
            (worked.least, worked.most) = (least.min(worked.value), most.max(worked.value));
            worked.doubt = in_words(unknown.into_iter().map(|(_, (.., doubt))| doubt));
        }
        let held: Vec<_> = totals.held.iter().filter(|(name, _)| named(name)).collect();
        if !held.is_empty() {
            worked.limited = endless(range(&|name| if totals.held.contains_key(name) { MANY } else { 1.0 }));
        }
        let paused = || held.iter().filter(|(_, (held, _))| *held > 0.0);
        if paused().next().is_some() {
            let by = |name: &str| totals.held.get(name).map_or(1.0, |(held, _)| (1.0 + held).min(MANY));
            let range = if paused().any(|(_, (held, _))| held.is_infinite()) { endless(range(&by)) } else { range(&by) };
            worked.stood = Some((range, in_words(paused().map(|(_, (_, doubt))| doubt))));
        }
        Ok(worked)
    }

    /// What is known of a requirement on it, and what that depends on, where the generator may have been the bottleneck. That more might have been
    /// done matters only where what was done isn't as required.
    pub(super) fn known(&self, requirement: &Requirement, limited: bool) -> (Known, String) {
        let missed = !requirement.met(self.value);
        let (mut least, mut most, mut doubts) = (self.least, self.most, vec![self.doubt.as_str()]);
        let stood = self.stood.as_ref().filter(|_| missed || requirement.comparison == Comparison::Equal);
        let limited = (limited && missed).then_some((self.limited, LIMITED));
        for (range, doubt) in stood.map(|(range, doubt)| (*range, doubt.as_str())).into_iter().chain(limited) {
            if range.0 < least || range.1 > most {
                (least, most) = (least.min(range.0), most.max(range.1));
                doubts.push(doubt);
            }
        }
        doubts.retain(|doubt| !doubt.is_empty());
        (Known::between(requirement, self.value, least, most), doubts.join("; "))
    }
}

impl Totalled {
    /// Between what a total lies, if there were so many times as much of it.
    fn range(&self, term: &Term, by: &dyn Fn(&str) -> f64) -> Range {
        let (name, value) = match term {
            Term::Total(name) => (name, self.values.get(name).copied()),
            Term::Lost(step) => return self.lost.get(step).map_or(ANYTHING, |lost| (*lost as f64, *lost as f64)),
            _ => return ANYTHING,
        };
        let Some(value) = value else { return ANYTHING };
        let by = by(name);
        // Of nothing there might have been as much.
        let more = |value: f64| if by >= MANY { value.max(1.0) * by } else { value * by };
        self.between.get(name).map_or((more(value), more(value)), |(least, most, _)| (more(*least), more(*most)))
    }
}

/// Without the bounds that stand for none.
fn endless((least, most): Range) -> Range {
    let far = |end: f64| if end.abs() >= FAR { end * f64::INFINITY } else { end };
    (far(least), far(most))
}

fn in_words<'a>(all: impl Iterator<Item = &'a String>) -> String {
    let mut doubts: Vec<&str> = Vec::new();
    for doubt in all {
        if !doubt.is_empty() && !doubts.contains(&doubt.as_str()) {
            doubts.push(doubt);
        }
    }
    doubts.join("; ")
}

/// What is known of the totals of a phase, or of the run, whose sums are these.
pub fn totalled(
    slos: &[Slo],
    layout: &Layout,
    phase: Option<PhaseId>,
    totals: &Totals,
    sums: BTreeMap<String, f64>,
    lost: BTreeMap<String, u64>,
) -> Totalled {
    let covered = covered(slos, phase);
    let extent = Extent { layout, covered: &covered, run: phase.is_none(), over: true };
    let of = |of: Of, scenarios: Vec<ScenarioId>| Traffic {
        of,
        steps: (0..layout.steps.len()).map(StepId::at).collect(),
        groups: (0..layout.groups.len()).map(GroupId::at).collect(),
        scenarios,
        all_steps: true,
        protocols: Protocol::ALL.to_vec(),
        checks: (0..layout.checks.len()).map(CheckId::at).collect(),
        messages: Vec::new(),
        timeout: 0.0,
    };
    let all = |subject: Of| Figures::of(&of(subject, (0..layout.scenarios.len()).map(ScenarioId::at).collect()), totals, extent);
    let [requests, iterations, connections, groups, sessions] =
        [Of::Response, Of::Iteration, Of::Connect, Of::Group, Of::Session].map(all);
    let idle = requests.is_idle();
    let (mut between, mut held) = (BTreeMap::new(), BTreeMap::new());
    let mut grows =
        |name: &String, figures: &Figures| held.insert(name.clone(), (figures.unmade().held, figures.doubt_of_pauses()));
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
                grows(name, &figures);
                (Slack::of_own(&figures, own.kind == OwnKind::Counter), figures.is_idle())
            }
            None => {
                let figures = match name.as_str() {
                    name if name.starts_with("load_iteration") || name.starts_with("load_start_lag") => &iterations,
                    name if name.starts_with("load_connect") => &connections,
                    name if name.starts_with("load_group") => &groups,
                    name if name.starts_with("load_session") => &sessions,
                    _ => &requests,
                };
                grows(name, figures);
                (Slack::of(name, *value, figures), idle)
            }
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
    Totalled { values: sums, between, held, lost }
}

/// Totals that count what was cut off, too.
const WITH_CUT_OFF: [&str; 9] = [
    "load_requests_total",
    "load_response_duration_seconds_count",
    "load_service_duration_seconds_count",
    "load_iterations_total",
    "load_iteration_duration_seconds_count",
    "load_start_lag_seconds_count",
    "load_group_duration_seconds_count",
    "load_session_duration_seconds_count",
    "load_connects_total",
];
/// Totals to which a request, an iteration or a connection adds one at the most.
const ONE_EACH: [&str; 7] = [
    "load_request_errors_total",
    "load_http_responses_total",
    "load_iterations_failed_total",
    "load_connect_failures_total",
    "load_upload_bytes_per_second_count",
    "load_download_bytes_per_second_count",
    "load_processing_duration_seconds_count",
];

/// By how much totals may be off.
#[derive(Debug, Clone)]
struct Slack {
    /// How much less, and how much more.
    less: f64,
    more: f64,
    /// What one of them adds; infinite where nobody can say.
    each: f64,
    /// By how many seconds the generator made times longer, together.
    delay: f64,
    doubt: String,
}

impl Slack {
    /// Of a metric that the program has by itself.
    fn of(name: &str, value: f64, figures: &Figures) -> Self {
        let own = (figures.reasons[Reason::Local.index()] + figures.delayed_timeouts) as f64;
        let unmade = figures.unmade();
        let missing = unmade.items + unmade.withheld;
        let deaf = if figures.of_sessions { figures.deaf as f64 } else { 0.0 };
        let all = figures.all as f64;
        let open = (figures.interrupted + figures.undone + figures.deaf) as f64;
        let mut each = 1.0;
        let (less, more, tally) = match name {
            "load_checks_total" | "load_check_failures_total" => {
                let known = if name == "load_checks_total" { figures.checks.0 } else { figures.checks.1 };
                ((value - known as f64).max(0.0), figures.unclear_checks as f64 + unmade.checks, Tally::Checks)
            }
            "load_iterations_interrupted_total" => {
                (0.0, (figures.interrupted as f64 - value).max(0.0) + missing, Tally::Timeouts)
            }
            // Those that were cut off are among them, and those that outlasted the drain are not.
            name if WITH_CUT_OFF.contains(&name) => {
                let outlasted = (all - value).max(0.0);
                (own, outlasted + deaf + missing, if outlasted > 0.0 { Tally::Timeouts } else { Tally::Requests })
            }
            name => {
                if !ONE_EACH.contains(&name) {
                    let whole = all - figures.interrupted as f64 - own;
                    each = if value > 0.0 && whole > 0.0 { (value / whole).max(1.0) } else { f64::INFINITY };
                }
                (own, own + open + missing, Tally::Timeouts)
            }
        };
        let doubt = figures.doubt(&any(Measure::Count(tally)), Pace::default());
        Self { less, more, each, delay: figures.delay(), doubt }
    }

    fn of_own(figures: &Figures, counter: bool) -> Self {
        let (unmade, less) = (figures.unmade(), figures.blamed as f64);
        let more = if counter { unmade.counter } else { unmade.items + unmade.withheld };
        let doubt = figures.doubt(&any(Measure::Value), Pace::default());
        Self { less, more: more + less, each: 1.0, delay: 0.0, doubt }
    }

    /// The least and the most that a total can be, of times or of how often something was.
    fn around(&self, value: f64, of_times: bool) -> (f64, f64) {
        let of = |count: f64| if count == 0.0 { 0.0 } else { count * self.each };
        match of_times {
            false => ((value - of(self.less)).max(0.0), value + of(self.more)),
            true if self.more == 0.0 => ((value - self.delay).max(0.0), value),
            true if self.less == 0.0 => ((value - self.delay).max(0.0), f64::INFINITY),
            true => (0.0, f64::INFINITY),
        }
    }
}

/// A requirement that depends on all that is unknown; pauses that held users up are told apart.
fn any(measure: Measure) -> Requirement {
    Requirement { text: String::new(), measure, comparison: Comparison::Below, objective: 0.0, unit: Unit::Number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked(source: &str, b: (f64, f64), value: impl Fn(f64, f64) -> f64) -> (f64, f64, f64) {
        let values = [("a".to_owned(), 10.0), ("b".to_owned(), 100.0)].into_iter().collect();
        let unknown = |name: &str, (least, most)| (name.to_owned(), (least, most, "why".to_owned()));
        let between = [unknown("b", b), unknown("other", (0.0, f64::INFINITY))].into_iter().collect();
        let totals = Totalled { values, between, ..Totalled::default() };
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
    fn what_pauses_kept_from_being_done_mends_only_what_was_missed() {
        let totals = |held: f64| {
            let values = [("a".to_owned(), 100.0), ("b".to_owned(), 50.0)].into_iter().collect();
            let held = ["a", "b"].map(|name| (name.to_owned(), (held, "pauses".to_owned()))).into_iter().collect();
            Totalled { values, held, ..Totalled::default() }
        };
        let known = |source: &str, text: &str, held: f64, limited: bool| {
            let value = |totals: &BTreeMap<String, f64>| match source {
                "metric('a')" | "metric('a') | round" => Ok::<f64, ()>(totals["a"]),
                "metric('a') / metric('b')" => Ok(totals["a"] / totals["b"]),
                _ => Ok(totals["a"] - totals["b"]),
            };
            let (known, doubt) =
                Worked::out(source, &totals(held), value).unwrap().known(&Requirement::parse(text).unwrap(), limited);
            (known.met, doubt)
        };
        let (a, ratio, less) = ("metric('a')", "metric('a') / metric('b')", "metric('a') - metric('b')");
        let pauses = |met: Option<bool>| (met, "pauses".to_owned());
        assert_eq!(known(a, "value > 110", 0.2, false), pauses(None));
        assert_eq!(known(a, "value > 130", 0.2, false), pauses(Some(false)));
        assert_eq!(known(a, "value == 100", 0.2, false), pauses(None));
        assert_eq!(known(a, "value > 1000000", f64::INFINITY, false), pauses(None));
        assert_eq!(known("metric('a') | round", "value > 130", 0.2, false), pauses(None));
        for (source, text, met) in [
            (a, "value < 110", true),
            (a, "value > 90", true),
            (ratio, "value > 3", false),
            (ratio, "value == 2", true),
            (less, "value < 55", true),
        ] {
            assert_eq!(known(source, text, 0.2, false).0, Some(met), "{source} {text}");
        }
        // What a generator that was the bottleneck would have done at best nobody knows; ratios don't depend on it.
        assert_eq!(known(a, "value > 130", 0.0, true), (None, LIMITED.to_owned()));
        assert_eq!(known(a, "value > 90", 0.0, true).0, Some(true));
        assert_eq!(known(a, "value < 90", 0.0, true).0, Some(false));
        assert_eq!(known(ratio, "value > 3", 0.0, true).0, Some(false));
    }

    #[test]
    fn what_does_not_follow_its_parts_is_unknown() {
        let all = (95.0, f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(worked("(metric('b') - 5) | abs", (0.0, 125.0), |_, b| (b - 5.0).abs()), all);
        assert_eq!(worked("1 if metric('b') > 2 else 95", (0.0, 125.0), |_, _| 95.0), all);
    }
}
