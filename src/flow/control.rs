//! Steps that hold flows of their own, as they are run.

use std::time::Duration;

use super::deck::Deck;
use super::types::Flow;
use crate::expr::{Expression, Symbol, Template};
use crate::measure::GroupId;

/// One of several flows, by weight.
#[derive(Debug)]
pub struct Choose {
    /// Which of the scenario's choices it is, from 0: each keeps its shares by itself.
    pub number: u32,
    /// What says which comes next.
    pub deck: Deck,
    /// The flows.
    pub flows: Vec<Flow>,
}

/// A flow that is done now and then.
#[derive(Debug)]
pub struct Maybe {
    /// How likely, from 0 to 1, where the condition holds.
    pub chance: f64,
    /// Where it doesn't hold, or can't be evaluated, the flow is left out.
    pub condition: Option<Expression>,
    /// The flow.
    pub flow: Flow,
}

/// A flow that is repeated; what ends it first counts.
#[derive(Debug)]
pub struct Repeat {
    /// How often at most.
    pub times: Option<Times>,
    /// `while`: what has to hold before each turn.
    pub condition: Option<Expression>,
    /// `for`: after so long no turn begins.
    pub lasting: Option<Duration>,
    /// From the beginning of a turn to that of the next, unless the turn takes longer.
    pub every: Option<Duration>,
    /// In a session: once the user is asked to end no turn begins.
    pub until_asked: bool,
    /// How many users do it at the same time; at least 1.
    pub users: u32,
    /// The flow.
    pub flow: Flow,
}

/// A number of turns.
#[derive(Debug)]
pub enum Times {
    /// Always the same.
    Always(u64),
    /// What a template gives when the step begins; a whole number.
    Drawn(Template),
}

/// A flow that is done for each element of a list.
#[derive(Debug)]
pub struct ForEach {
    /// The list, evaluated once when the step begins.
    pub list: Expression,
    /// The variable that is each element in turn.
    pub variable: Symbol,
    /// How many users do it at the same time; at least 1.
    pub users: u32,
    /// The flow.
    pub flow: Flow,
}

/// A flow that is timed as a whole.
#[derive(Debug)]
pub struct Group {
    /// The label `group`.
    pub id: GroupId,
    /// The flow.
    pub flow: Flow,
}

/// A flow that is tried until its checks hold and nothing fails.
#[derive(Debug)]
pub struct Eventually {
    /// After so long no attempt begins.
    pub within: Duration,
    /// From the beginning of an attempt to that of the next, unless the attempt takes longer. Above 0.
    pub every: Duration,
    /// The flow.
    pub flow: Flow,
}
