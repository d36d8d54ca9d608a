//! What may account for a check that failed: what the generator kept back, iterations that were cut off, or nothing but the target.

use std::collections::BTreeMap;

use super::super::functions::Function;
use super::super::names::Symbol;
use super::super::program::{Kind, Node};
use super::super::scope::Scope;
use super::super::shortfall::{Missing, Shortfall};

/// What may account for a check that failed; the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Cause {
    /// Requests that the generator itself kept from being sent, or whose answer nobody read.
    #[default]
    KeptBack,
    /// These, and what iterations that were cut off left out.
    CutOff,
    /// Nothing of that.
    Target,
}

/// What the sides of a comparison are made of.
pub(super) struct Sides<'a> {
    scope: &'a Scope,
    /// What the run counted: how much of that is missing.
    counted: Option<Missing>,
    /// It has what the target says in an answer.
    of_target: bool,
    /// It has something else that may be any number.
    unknown: bool,
    /// It has what isn't a number of things: a status is the name of an answer, and an answer takes the time that it takes.
    is_no_number: bool,
}

impl<'a> Sides<'a> {
    pub fn of(sides: [&Node; 2], scope: &'a Scope) -> Self {
        let mut all = Self { scope, counted: None, of_target: false, unknown: false, is_no_number: false };
        sides.into_iter().for_each(|side| all.look(side));
        all
    }

    fn look(&mut self, node: &Node) {
        match &node.kind {
            Kind::Const(_) => {}
            Kind::Var(Symbol::RESPONSE | Symbol::MESSAGE) => self.of_target = true,
            Kind::Var(symbol) => self.unknown |= !self.scope.is_given(*symbol),
            Kind::Attribute(of, name) => match (&of.kind, &**name) {
                (_, "status") | (Kind::Var(Symbol::RESPONSE), "duration" | "service" | "wait" | "processing") => {
                    self.is_no_number = true;
                }
                _ => self.look(of),
            },
            Kind::Slice(of, _) | Kind::Negate(of) => self.look(of),
            Kind::Item(pair) | Kind::Math(_, pair) | Kind::Concat(pair) => pair.iter().for_each(|node| self.look(node)),
            Kind::Filter(_, arguments) => arguments.positional.iter().for_each(|node| self.look(node)),
            Kind::Call(Function::Metric, arguments) => self.counts(arguments, |shortfall| &shortfall.metrics),
            Kind::Call(Function::Lost, arguments) => self.counts(arguments, |shortfall| &shortfall.lost),
            Kind::Call(_, arguments) => arguments.iter().for_each(|node| self.look(node)),
            _ => self.unknown = true,
        }
    }

    /// A number of the run's own.
    fn counts(&mut self, arguments: &[Node], of: impl Fn(&Shortfall) -> &BTreeMap<String, Missing>) {
        let shortfall = &self.scope.shared.shortfall;
        let name = arguments.first().and_then(|name| match &name.kind {
            Kind::Const(name) => name.as_str(),
            _ => None,
        });
        let missing = name.and_then(|name| of(shortfall).get(name)).copied().unwrap_or(shortfall.all);
        self.counted = Some(self.counted.unwrap_or_default().plus(missing));
    }

    /// What accounts for it that both are so far apart.
    pub fn cause(&self, apart: f64) -> Cause {
        let Missing { kept, unread, cut } = match self.counted {
            Some(missing) if !self.unknown => missing,
            _ => self.scope.shared.shortfall.all,
        };
        // Neither the target nor the run counts a request that was never sent.
        let kept = if self.counted.is_some() && self.of_target { unread } else { kept };
        match apart {
            _ if self.is_no_number => Cause::Target,
            apart if kept > 0.0 && apart <= kept => Cause::KeptBack,
            apart if cut > 0.0 && apart <= kept + cut => Cause::CutOff,
            _ => Cause::Target,
        }
    }
}
