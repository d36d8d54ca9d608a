//! Steps as resolved: every label an index, every expression compiled.

use std::time::Duration;

use super::control::{Choose, Eventually, ForEach, Group, Maybe, Repeat};
use super::expect::Expect;
use super::session::{MessageStep, SessionStep};
use crate::base::random::Stream;
use crate::expr::{Expression, Extract, JsonTemplate, ListId, Symbol, Value};
use crate::measure::{CheckId, OwnId, StepId};
use crate::protocol::http::Request;

/// Steps that are done one after the other.
#[derive(Debug, Default)]
pub struct Flow {
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Its place among the steps of its scenario as they are written, from 1.
    pub number: u32,
    /// What it does.
    pub kind: StepKind,
    /// `if`: where it doesn't hold, or can't be evaluated, the step is left out.
    pub condition: Option<Expression>,
    /// What its failure leads to.
    pub on_error: OnError,
}

/// What a step does.
#[derive(Debug)]
pub enum StepKind {
    /// A request.
    Http(Box<HttpStep>),
    /// A connection that stays open, and the steps on it.
    Session(Box<SessionStep>),
    /// A step on a session's connection.
    Message(Box<MessageStep>),
    /// A pause.
    Think(Think),
    /// Variables, in written order, so that later ones can use earlier ones.
    Set(Vec<(Symbol, SetValue)>),
    /// Adds to counters of the profile's own.
    Count(Amounts),
    /// Observes histograms and sets gauges of the profile's own.
    Record(Amounts),
    /// Appends values to lists that the whole run shares.
    Remember(Vec<(ListId, JsonTemplate)>),
    /// One of several flows, by weight.
    Choose(Choose),
    /// A flow that is done now and then.
    Maybe(Box<Maybe>),
    /// A flow that is repeated.
    Repeat(Box<Repeat>),
    /// A flow that is done for each element of a list.
    ForEach(Box<ForEach>),
    /// A flow that is timed as a whole.
    Group(Box<Group>),
    /// Another scenario's flow.
    Call(Flow),
    /// A flow that is tried until its checks hold.
    Eventually(Box<Eventually>),
}

impl Flow {
    /// Looks at each step, at those of nested flows too.
    pub fn each<'a>(&'a self, look: &mut dyn FnMut(&'a Step)) {
        for step in &self.steps {
            look(step);
            step.kind.flows().into_iter().for_each(|flow| flow.each(look));
        }
    }
}

impl StepKind {
    /// Whether it takes time by itself: it asks something of the target, or waits.
    pub fn takes_time(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Think(_) | Self::Session(_) | Self::Message(_))
    }

    /// Whether it is a request with a sample, which belongs where it was due.
    pub fn is_sampled(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Message(message) => matches!(**message, MessageStep::Receive(_) | MessageStep::Emit(_)),
            _ => false,
        }
    }

    /// Whether it takes no time, whatever comes: it belongs with what is before it, and no pause of the run comes between.
    pub fn is_instant(&self) -> bool {
        matches!(self, Self::Set(_) | Self::Count(_) | Self::Record(_) | Self::Remember(_))
    }

    /// Whether it asks something of a target that may be away: it sends a request, or opens a connection.
    pub fn knocks(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Session(_))
    }

    /// The flows that stand in the step.
    pub fn flows(&self) -> Vec<&Flow> {
        match self {
            Self::Http(_) | Self::Message(_) | Self::Think(_) | Self::Set(_) => Vec::new(),
            Self::Count(_) | Self::Record(_) | Self::Remember(_) => Vec::new(),
            Self::Session(session) => vec![&session.flow],
            Self::Choose(choose) => choose.flows.iter().collect(),
            Self::Maybe(maybe) => vec![&maybe.flow],
            Self::Repeat(repeat) => vec![&repeat.flow],
            Self::ForEach(each) => vec![&each.flow],
            Self::Group(group) => vec![&group.flow],
            Self::Call(flow) => vec![flow],
            Self::Eventually(eventually) => vec![&eventually.flow],
        }
    }
}

/// Metrics of the profile's own and what goes into each.
pub type Amounts = Vec<(OwnId, Expression)>;

/// What a variable is set to.
#[derive(Debug)]
pub enum SetValue {
    /// The same every time.
    Constant(Value),
    /// What an expression gives; an undefined one unsets the variable.
    Expression(Expression),
}

/// An HTTP request, and what is made of its answer.
#[derive(Debug)]
pub struct HttpStep {
    /// The label `step`.
    pub id: StepId,
    /// Its name, for messages.
    pub name: String,
    /// The request.
    pub request: Request,
    /// Whether it is sent with a trace of its own.
    pub trace: bool,
    /// Which answers are right.
    pub expect: Expect,
    /// The variables for the SHA-256 of what was uploaded, in the order of the digests; unset where it wasn't sent whole.
    pub digests: Vec<Symbol>,
    /// Variables out of the answer; those that aren't found are unset.
    pub extract: Vec<(Symbol, Extract)>,
    /// What should hold afterwards; a check that can't be evaluated has failed.
    pub checks: Vec<(CheckId, Expression)>,
}

/// What the failure of a step leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The iteration ends and counts as failed.
    #[default]
    EndIteration,
    /// The next step.
    Continue,
    /// The user ends.
    EndUser,
    /// The run ends.
    AbortRun,
}

/// How an iteration ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All steps were done.
    Completed,
    /// A step failed.
    Failed,
    /// A step failed, and the user is to end.
    EndUser,
    /// A step failed, and the run is to end; with what happened.
    Abort(String),
    /// It was asked to end before its next request or pause; see [`super::Sink::is_over`] and [`super::Sink::may_knock`].
    CutShort,
}

/// How long a user thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// Always so long.
    Constant(Duration),
    /// Equally likely any time from the first to the second.
    Range(Duration, Duration),
    /// Exponential of this mean: as long as it takes something that happens at random.
    Exponential(Duration),
    /// Normal of this mean, with a standard deviation of a quarter of it, never below 0.
    Normal(Duration),
}

impl Think {
    /// One pause.
    pub fn draw(self, stream: &mut Stream) -> Duration {
        let times = |mean: Duration, factor: f64| {
            // A factor is finite and below 40: an exponential of 53 random bits has no more.
            Duration::try_from_secs_f64(mean.as_secs_f64() * factor.max(0.0)).unwrap_or(mean)
        };
        match self {
            Think::Constant(length) => length,
            Think::Range(from, to) => from + times(to.saturating_sub(from), stream.unit()),
            Think::Exponential(mean) => times(mean, stream.exponential()),
            Think::Normal(mean) => times(mean, 1.0 + stream.normal() / 4.0),
        }
    }
}
