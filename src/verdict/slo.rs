//! Service level objectives, resolved: names have become indexes, and phases are those it applies to.

use super::requirement::{Measure, Requirement, Tally, Unit};
use crate::base::{DropReason, Protocol};
use crate::counters::{Matcher, Query};
use crate::measure::{CheckId, GroupId, Layout, MessageId, OwnId, OwnKind, PhaseId, ScenarioId, StepId, Totals};
use std::time::Duration;

/// A service level objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// The label `slo`.
    pub name: String,
    /// What is judged.
    pub subject: Subject,
    /// What must hold.
    pub require: Vec<Requirement>,
    /// What is aimed at: reported, and never failed.
    pub target: Vec<Requirement>,
    /// What it is judged over.
    pub over: Over,
    /// The phases whose load has arrivals for it: in others none could be dropped.
    pub arrivals: Vec<PhaseId>,
    /// The phases whose load has users of its own for it: a closed load is as fast as its generator lets it be.
    pub users: Vec<PhaseId>,
    /// Judged over windows of this length, which slide by a tenth, instead of the whole.
    pub window: Option<Duration>,
    /// Ends the run once the last so long, as a whole, breaches.
    pub abort_after: Option<Duration>,
    /// Whether a source that it may need is left out on purpose, so that it isn't judged where no other has the value.
    pub optional: bool,
}

/// What an SLO is judged over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Each of these phases by itself.
    Phases(Vec<PhaseId>),
    /// The run as a whole, without phases that aren't judged.
    Run,
}

/// What an SLO judges.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// What the generator measured.
    Traffic(Traffic),
    /// A value made of the target's counters.
    Server(Server),
    /// A PromQL query.
    Promql(Query),
    /// An expression, as it is written.
    Value(String),
}

/// A value made of the target's counters, and which systems it is judged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name: `redis.hit_ratio`.
    pub value: String,
    /// The labels of the systems that are meant; empty: all.
    pub matchers: Vec<Matcher>,
    /// How several of them are judged.
    pub systems: Several,
}

/// How a value of several systems is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Several {
    /// Nothing says which of them are meant, so that they must agree.
    Agree,
    /// Each of them has to meet it.
    Each,
    /// They are added up.
    Sum,
}

/// What the generator measured, and of what.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Which of its measurements.
    pub of: Of,
    /// The steps, for [`Of::Response`], [`Of::Service`] and [`Of::Session`].
    pub steps: Vec<StepId>,
    /// The groups, for [`Of::Group`].
    pub groups: Vec<GroupId>,
    /// The scenarios, for connections, iterations, arrivals and metrics of the profile's own.
    pub scenarios: Vec<ScenarioId>,
    /// Whether the scenarios' steps without a request are among what can fail: it isn't narrowed to some steps.
    pub all_steps: bool,
    /// The protocols of connections.
    pub protocols: Vec<Protocol>,
    /// The checks that `checks` is about.
    pub checks: Vec<CheckId>,
    /// The kinds of messages, for [`Of::MessageLatency`] and `missed`.
    pub messages: Vec<MessageId>,
    /// The longest time limit of a request of the steps, in seconds; 0 where nothing limits it.
    pub timeout: f64,
}

/// Which measurements an SLO is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Requests, timed from when they were due.
    Response,
    /// Requests, timed from their first byte sent.
    Service,
    /// Connections being opened.
    Connect,
    /// Iterations.
    Iteration,
    /// Groups.
    Group,
    /// Sessions: how long they lasted.
    Session,
    /// Messages: how old they were when they came.
    MessageLatency,
    /// A counter or a histogram of the profile's own.
    Own(OwnId),
    /// A gauge of the profile's own: the value it has in the end.
    Gauge(OwnId),
}

impl Of {
    /// As it is written after `of:`.
    pub fn name(self, layout: &Layout) -> String {
        match self {
            Self::Response => "response".into(),
            Self::Service => "service".into(),
            Self::Connect => "connect".into(),
            Self::Iteration => "iteration".into(),
            Self::Group => "group".into(),
            Self::Session => "session".into(),
            Self::MessageLatency => "message_latency".into(),
            Self::Own(id) | Self::Gauge(id) => layout.own.get(id.index()).map_or_else(String::new, |own| own.name.clone()),
        }
    }
}

/// The scenarios whose dropped arrivals an SLO on `dropped` judges in a phase, or in every phase of the run. One over windows leaves out those
/// with few arrivals.
pub(super) fn covered(slos: &[Slo], phase: Option<PhaseId>) -> Vec<ScenarioId> {
    let mut covered: Vec<ScenarioId> = Vec::new();
    for slo in slos.iter().filter(|slo| slo.window.is_none() && slo.require.iter().any(of_arrivals)) {
        let covers = match (&slo.over, phase) {
            (Over::Run, _) => true,
            (Over::Phases(phases), Some(phase)) => phases.contains(&phase),
            (Over::Phases(phases), None) => slo.arrivals.iter().all(|phase| phases.contains(phase)),
        };
        if let Subject::Traffic(traffic) = &slo.subject
            && covers
        {
            covered.extend(&traffic.scenarios);
        }
    }
    covered
}

/// Marks the arrivals of a phase that its SLOs on `dropped` judge: over the run they are no doubt, either.
pub fn mark_judged(slos: &[Slo], phase: PhaseId, totals: &mut Totals) {
    for id in covered(slos, Some(phase)) {
        let scenario = &mut totals.scenarios[id.index()];
        let own = scenario.displaced + scenario.dropped[DropReason::DeadTarget.index()];
        scenario.judged = scenario.unstarted().saturating_sub(own);
    }
}

fn of_arrivals(requirement: &Requirement) -> bool {
    matches!(requirement.measure, Measure::Ratio(Tally::Dropped) | Measure::Count(Tally::Dropped))
}

impl Slo {
    /// Whether it is judged over this phase by itself.
    pub fn applies_to(&self, phase: PhaseId) -> bool {
        matches!(&self.over, Over::Phases(phases) if phases.contains(&phase))
    }

    /// Whether a slow generator may have kept the load of this phase, or of the run, below what it could be.
    pub(super) fn is_limited(&self, phase: Option<PhaseId>) -> bool {
        phase.map_or(!self.users.is_empty(), |phase| self.users.contains(&phase))
    }

    /// Whether a requirement is judged over this phase, or over the run: `dropped` only where there are arrivals.
    pub fn judges(&self, requirement: &Requirement, phase: Option<PhaseId>) -> bool {
        phase.is_none_or(|phase| !of_arrivals(requirement) || self.arrivals.contains(&phase))
    }

    /// Whether it has requirements and no judged phase loads what they are about, so that nothing shows whether they hold.
    pub fn is_judged_nowhere(&self) -> bool {
        let Over::Phases(phases) = &self.over else { return false };
        !self.require.is_empty() && !self.require.iter().any(|one| phases.iter().any(|phase| self.judges(one, Some(*phase))))
    }

    /// Whether every requirement suits the subject.
    ///
    /// # Errors
    /// What doesn't suit it, and what would.
    pub fn fits(&self, layout: &Layout) -> Result<(), Misfit> {
        let measured = matches!(&self.subject, Subject::Traffic(traffic) if !matches!(traffic.of, Of::Gauge(_)));
        if !measured && (self.window.is_some() || self.abort_after.is_some()) {
            return unfit(
                "`window` and `abort_after` need something that is measured request by request, not a single value".into(),
            );
        }
        self.require.iter().chain(&self.target).try_for_each(|requirement| {
            let suits = self.subject.suits(requirement, layout);
            suits.map_err(|misfit| Misfit { requirement: Some(requirement.text.clone()), ..misfit })
        })
    }
}

/// Why a requirement doesn't suit its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Which one, as it is written; none where it is the whole SLO.
    pub requirement: Option<String>,
    /// The subject has nothing to judge; that may be in a part of the profile that could not be read.
    pub lacking: bool,
    /// What doesn't suit, and what would.
    pub message: String,
}

fn unfit<T>(message: String) -> Result<T, Misfit> {
    Err(Misfit { requirement: None, lacking: false, message })
}

fn lacking<T>(message: String) -> Result<T, Misfit> {
    unfit(message).map_err(|misfit: Misfit| Misfit { lacking: true, ..misfit })
}

impl Subject {
    /// Whether a requirement suits the subject.
    ///
    /// # Errors
    /// Why it doesn't, and what would.
    pub fn suits(&self, requirement: &Requirement, layout: &Layout) -> Result<(), Misfit> {
        let text = &requirement.text;
        let traffic = match self {
            Self::Server(Server { systems: Several::Sum, .. }) => {
                return match requirement.measure {
                    Measure::Value => Ok(()),
                    _ => unfit(format!("`{text}` doesn't suit systems that are added up; write `value` and a comparison")),
                };
            }
            Self::Server(_) | Self::Promql(_) => {
                return match requirement.measure {
                    Measure::Value | Measure::Min | Measure::Max | Measure::Mean => Ok(()),
                    _ => unfit(format!("`{text}` doesn't suit a value of the target; there are value, min, max and avg")),
                };
            }
            Self::Value(_) => {
                return match requirement.measure {
                    Measure::Value => Ok(()),
                    _ => unfit(format!("`{text}` doesn't suit an expression; write `value` and a comparison")),
                };
            }
            Self::Traffic(traffic) => traffic,
        };
        match traffic.of {
            Of::Own(id) | Of::Gauge(id) => suits_own(requirement, layout.own.get(id.index()).map(|own| &own.kind)),
            of => suits_timed(requirement, of, traffic, layout),
        }
    }
}

fn wants_seconds(requirement: &Requirement) -> Result<(), Misfit> {
    if requirement.unit == Unit::Seconds {
        Ok(())
    } else {
        unfit(format!("`{requirement}` compares a time; write a duration with its unit, like 500ms or 2s"))
    }
}

fn numbered(layout: &Layout, message: MessageId) -> bool {
    layout.messages.get(message.index()).is_some_and(|message| message.numbered)
}

/// Whether a requirement suits a distribution of times.
fn suits_timed(requirement: &Requirement, of: Of, traffic: &Traffic, layout: &Layout) -> Result<(), Misfit> {
    let name = &of.name(layout);
    match requirement.measure {
        Measure::Quantile(_) | Measure::Mean | Measure::Max | Measure::Min => wants_seconds(requirement),
        Measure::Value => unfit(format!("`{requirement}` doesn't suit `{name}`, which has many values; write p95, mean or max")),
        Measure::Ratio(tally) | Measure::Count(tally) => match tally {
            Tally::Status(..) if !matches!(of, Of::Response | Of::Service) => {
                unfit(format!("`{requirement}` needs requests, and `of: {name}` has none; leave `of` out"))
            }
            Tally::Missed if !traffic.messages.iter().any(|id| numbered(layout, *id)) => lacking(format!(
                "`{requirement}` has nothing to judge: no message within the subject is numbered; add sequence: message.json.seq"
            )),
            // Of a message that never came nobody knows why.
            Tally::Requests | Tally::Checks | Tally::Dropped | Tally::Missed | Tally::Disconnects => match tally {
                Tally::Checks if traffic.checks.is_empty() => {
                    lacking(format!("`{requirement}` has nothing to judge: there is no check within the subject"))
                }
                _ => Ok(()),
            },
            _ if of == Of::MessageLatency => {
                unfit(format!("`{requirement}` doesn't suit messages, which come or don't; write `missed`, or leave `of` out"))
            }
            Tally::Because(_) if matches!(of, Of::Iteration | Of::Group | Of::Session) => unfit(format!(
                "`{requirement}` doesn't suit `{name}`, whose failures have no reason of their own; write `errors`"
            )),
            _ => Ok(()),
        },
        Measure::Silent if !traffic.messages.iter().any(|id| layout.messages.get(id.index()).is_some_and(|one| one.every)) => {
            lacking(format!(
                "`{requirement}` has nothing to judge: no handler within the subject says how often its messages come; add every: 1s"
            ))
        }
        Measure::Within(_) | Measure::Rate | Measure::Drift | Measure::Silent => Ok(()),
    }
}

/// Whether a requirement suits a metric of the profile's own.
fn suits_own(requirement: &Requirement, kind: Option<&OwnKind>) -> Result<(), Misfit> {
    let other = |what: &str, right: &str| unfit(format!("`{requirement}` doesn't suit {what}; there are {right}"));
    match (kind, requirement.measure) {
        (None, _) => unfit(format!("`{requirement}` is about a metric that the profile doesn't have")),
        (Some(OwnKind::Counter), Measure::Value | Measure::Rate) => Ok(()),
        (Some(OwnKind::Counter), _) => other("a counter", "value and rate"),
        (Some(OwnKind::Gauge | OwnKind::GaugeFrom { .. }), Measure::Value) => Ok(()),
        (Some(OwnKind::Gauge | OwnKind::GaugeFrom { .. }), _) => other("a gauge", "no others than value"),
        (Some(OwnKind::Histogram { unit, .. }), measure) => match measure {
            Measure::Quantile(_) | Measure::Mean | Measure::Max | Measure::Min if unit == "seconds" => wants_seconds(requirement),
            Measure::Quantile(_) | Measure::Mean | Measure::Max | Measure::Min if requirement.unit == Unit::Seconds => {
                unfit(format!("`{requirement}` compares with a time, and the metric's unit isn't seconds"))
            }
            Measure::Within(_) if unit != "seconds" => unfit(format!("`{requirement}` needs a metric whose unit is seconds")),
            Measure::Value | Measure::Ratio(_) | Measure::Count(_) | Measure::Silent => {
                other("a histogram", "p50 to p99.9, mean, max, min, within, rate and drift")
            }
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::{MessageLayout, OwnMetric, StepLayout};

    pub(crate) fn traffic(of: Of) -> Traffic {
        Traffic {
            of,
            steps: vec![StepId(0)],
            groups: vec![],
            scenarios: vec![ScenarioId(0)],
            all_steps: true,
            protocols: vec![Protocol::Http],
            checks: vec![CheckId(0)],
            messages: vec![],
            timeout: 0.0,
        }
    }

    pub(crate) fn slo(of: Of, require: &[&str]) -> Slo {
        Slo {
            name: "api".into(),
            subject: Subject::Traffic(traffic(of)),
            require: require.iter().map(|text| Requirement::parse(text).unwrap()).collect(),
            target: vec![],
            over: Over::Phases(vec![PhaseId(0)]),
            arrivals: vec![PhaseId(0)],
            users: vec![],
            window: None,
            abort_after: None,
            optional: false,
        }
    }

    pub(crate) fn server(value: &str) -> Subject {
        Subject::Server(Server { value: value.into(), matchers: vec![], systems: Several::Agree })
    }

    /// An SLO whose subject's sessions receive a message.
    fn hearing(of: Of, require: &[&str]) -> Slo {
        Slo { subject: Subject::Traffic(Traffic { messages: vec![MessageId(0)], ..traffic(of) }), ..slo(of, require) }
    }

    fn layout() -> Layout {
        let own = |name: &str, kind| OwnMetric { name: name.into(), help: String::new(), kind, scenarios: vec![] };
        let histogram = |unit: &str| OwnKind::Histogram { unit: unit.into(), bounds: None };
        let own = vec![
            own("votes_total", OwnKind::Counter),
            own("depth", OwnKind::Gauge),
            own("lag_seconds", histogram("seconds")),
            own("relevance_ratio", histogram("ratio")),
        ];
        let steps = vec![StepLayout::new(ScenarioId(0), "watch", Protocol::Websocket)];
        Layout {
            own,
            steps,
            messages: vec![MessageLayout { every: true, ..MessageLayout::new(StepId(0), "update") }],
            ..Layout::default()
        }
    }

    #[test]
    fn requirements_that_suit() {
        let own = |id| Of::Own(OwnId(id));
        let cases = [
            (Of::Response, "p95 < 1s"),
            (Of::Response, "status(429) < 1%"),
            (Of::Service, "within(1s) > 99%"),
            (Of::Connect, "errors(refused) < 1%"),
            (Of::Connect, "count(errors) < 100"),
            (Of::Iteration, "rate > 5/s"),
            (Of::Group, "errors < 1%"),
            (Of::MessageLatency, "within(1s) >= 99%"),
            (Of::MessageLatency, "missed < 0.5%"),
            (Of::MessageLatency, "rate > 100/s"),
            (Of::Response, "missed < 0.5%"),
            (Of::MessageLatency, "silent < 1%"),
            (Of::Response, "silent < 1%"),
            (Of::Session, "p50 > 30s"),
            (Of::Session, "errors < 1%"),
            (Of::Connect, "disconnects < 1%"),
            (own(0), "value > 100"),
            (Of::Gauge(OwnId(1)), "value < 5"),
            (own(2), "p95 < 3s"),
            (own(3), "p50 > 80%"),
            (own(3), "mean > 0.8"),
        ];
        for (of, text) in cases {
            assert_eq!(hearing(of, &[text]).fits(&layout()), Ok(()), "{text}");
        }
        for text in ["value > 80%", "max < 70%", "avg < 5", "min > 1"] {
            assert_eq!(Slo { subject: server("redis.hit_ratio"), ..slo(Of::Response, &[text]) }.fits(&layout()), Ok(()));
        }
    }

    #[test]
    fn windows_cover_no_drops() {
        let whole = slo(Of::Response, &["dropped < 1%"]);
        let windows = Slo { window: Some(Duration::from_secs(1)), ..whole.clone() };
        let scenarios = match &whole.subject {
            Subject::Traffic(traffic) => traffic.scenarios.clone(),
            _ => unreachable!(),
        };
        assert_eq!(covered(&[whole], Some(PhaseId(0))), scenarios);
        assert_eq!(covered(&[windows], Some(PhaseId(0))), []);
    }

    #[test]
    fn requirements_that_dont_suit_say_what_would() {
        let own = |id| Of::Own(OwnId(id));
        let cases = [
            (Of::Response, "p95 < 500", "`p95 < 500` compares a time; write a duration with its unit, like 500ms or 2s"),
            (Of::Response, "value < 5", "`value < 5` doesn't suit `response`, which has many values; write p95, mean or max"),
            (Of::Connect, "status(429) < 1%", "`status(429) < 1%` needs requests, and `of: connect` has none; leave `of` out"),
            (
                Of::Iteration,
                "errors(reset) < 1%",
                "`errors(reset) < 1%` doesn't suit `iteration`, whose failures have no reason of their own; write `errors`",
            ),
            (
                Of::MessageLatency,
                "errors < 1%",
                "`errors < 1%` doesn't suit messages, which come or don't; write `missed`, or leave `of` out",
            ),
            (
                Of::Session,
                "errors(reset) < 1%",
                "`errors(reset) < 1%` doesn't suit `session`, whose failures have no reason of their own; write `errors`",
            ),
            (own(0), "p95 < 1s", "`p95 < 1s` doesn't suit a counter; there are value and rate"),
            (Of::Gauge(OwnId(1)), "rate < 1/s", "`rate < 1/s` doesn't suit a gauge; there are no others than value"),
            (own(2), "p95 < 3", "`p95 < 3` compares a time; write a duration with its unit, like 500ms or 2s"),
            (
                own(3),
                "silent < 1%",
                "`silent < 1%` doesn't suit a histogram; there are p50 to p99.9, mean, max, min, within, rate and drift",
            ),
            (own(3), "p95 < 3s", "`p95 < 3s` compares with a time, and the metric's unit isn't seconds"),
            (own(9), "value < 3", "`value < 3` is about a metric that the profile doesn't have"),
        ];
        for (of, text, message) in cases {
            assert_eq!(hearing(of, &[text]).fits(&layout()).unwrap_err().message, message);
        }
        assert!(slo(Of::Response, &["missed < 1%"]).fits(&layout()).unwrap_err().message.contains("is numbered"));
        assert!(slo(Of::Response, &["silent < 1%"]).fits(&layout()).unwrap_err().message.contains("add every: 1s"));
        let server = Slo { subject: server("x.y"), window: Some(Duration::from_secs(1)), ..slo(Of::Response, &[]) };
        assert!(server.fits(&layout()).unwrap_err().message.contains("`window`"));
    }
}
