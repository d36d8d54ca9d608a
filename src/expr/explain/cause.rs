//! What may account for a check that failed: what the generator kept back, iterations that were cut off, or nothing but the target.
//!
//! A comparison of numbers is taken apart into what it reads, each with the factor that it has there. What is missing in the run moves each of
//! that up or down by a known amount at most, and so the difference of both sides. Where it can't be taken apart, whatever is missing in
//! what it reads may account for it.

use minijinja::value::ValueKind;

use super::super::eval::Evaluation;
use super::super::functions::Function;
use super::super::names::Symbol;
use super::super::program::{Kind, Node};
use super::super::scope::Scope;
use super::super::shortfall::Missing;
use super::super::strict::{Comparison, Math};

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

/// What a number is made of.
#[derive(Clone, Copy, PartialEq)]
enum Source<'a> {
    /// What the target says in an answer.
    Target,
    /// Something of which nobody knows what it is made of.
    Unknown,
    /// A total of the run; without a name where that is worked out.
    Metric(Option<&'a str>),
    /// Lost requests of a step.
    Lost(Option<&'a str>),
}

/// What an expression reads, each with its factor: not finite where nobody knows how it goes in.
pub(super) struct Reading<'a, 'e> {
    scope: &'a Scope,
    evaluation: &'e mut Evaluation<'a>,
    terms: Vec<(Source<'a>, f64)>,
    /// It has how long an answer took.
    is_time: bool,
}

/// How far a number can go down and up.
#[derive(Clone, Copy, Default)]
struct Span {
    down: f64,
    up: f64,
}

impl Span {
    fn by(self, factor: f64) -> Self {
        match (self.down > 0.0 || self.up > 0.0, factor) {
            (false, _) => self,
            (true, factor) if !factor.is_finite() => Self { down: f64::INFINITY, up: f64::INFINITY },
            // 0 × ∞ is nothing here.
            (true, 0.0) => Self::default(),
            (true, factor) if factor < 0.0 => Self { down: self.up * -factor, up: self.down * -factor },
            (true, factor) => Self { down: self.down * factor, up: self.up * factor },
        }
    }

    fn plus(self, other: Self) -> Self {
        Self { down: self.down + other.down, up: self.up + other.up }
    }
}

impl<'a, 'e> Reading<'a, 'e> {
    pub fn new(evaluation: &'e mut Evaluation<'a>, scope: &'a Scope) -> Self {
        Self { scope, evaluation, terms: Vec::new(), is_time: false }
    }

    /// What accounts for it that two sides compare as they do, which is `held`.
    pub fn compared(mut self, op: Comparison, left: &'a Node, right: &'a Node, held: bool) -> Cause {
        let numbers = (self.number(left), self.number(right));
        let (Some(a), Some(b)) = numbers else { return self.any(&[left, right]) };
        if matches!(op, Comparison::In | Comparison::NotIn) {
            return self.any(&[left, right]);
        }
        self.look(left, 1.0);
        self.look(right, -1.0);
        if self.is_time {
            self.terms.retain(|(source, _)| !matches!(source, Source::Target | Source::Unknown));
        }
        let apart = a - b;
        let goes = |by: f64, needed: f64| by > 0.0 && needed <= by;
        let accounts = |span: Span| match op {
            Comparison::Equal | Comparison::Unequal if held == (op == Comparison::Equal) => span.down > 0.0 || span.up > 0.0,
            Comparison::Equal | Comparison::Unequal if apart > 0.0 => goes(span.down, apart),
            Comparison::Equal | Comparison::Unequal => goes(span.up, -apart),
            Comparison::Less | Comparison::LessOrEqual if !held => goes(span.down, apart),
            Comparison::Greater | Comparison::GreaterOrEqual if held => goes(span.down, apart),
            _ => goes(span.up, -apart),
        };
        self.first_that(accounts)
    }

    /// What accounts for what came out of these, however it does.
    pub fn any(mut self, nodes: &[&'a Node]) -> Cause {
        nodes.iter().for_each(|node| self.look(node, f64::INFINITY));
        self.first_that(|span| span.down > 0.0 || span.up > 0.0)
    }

    fn first_that(&self, accounts: impl Fn(Span) -> bool) -> Cause {
        match accounts {
            accounts if accounts(self.span(false)) => Cause::KeptBack,
            accounts if accounts(self.span(true)) => Cause::CutOff,
            _ => Cause::Target,
        }
    }

    fn number(&mut self, node: &Node) -> Option<f64> {
        let value = self.evaluation.value(node).ok()?;
        if value.kind() == ValueKind::Number { f64::try_from(value).ok() } else { None }
    }

    /// Takes a node apart that goes in with `factor`.
    fn look(&mut self, node: &'a Node, factor: f64) {
        match &node.kind {
            Kind::Negate(of) => self.look(of, -factor),
            Kind::Math(op, pair) => self.calculated(node, *op, pair, factor),
            // A status is the name of an answer, and an answer takes the time that it takes.
            Kind::Attribute(_, name) if &**name == "status" => self.is_time = true,
            Kind::Attribute(of, name)
                if matches!(of.kind, Kind::Var(Symbol::RESPONSE))
                    && matches!(&**name, "duration" | "service" | "wait" | "processing") =>
            {
                self.is_time = true;
            }
            Kind::Var(_) | Kind::Attribute(..) | Kind::Item(_) | Kind::Local(_) => self.path(node, factor),
            // As many, or the same number.
            Kind::Filter(name, arguments) => match &arguments.positional[..] {
                [of] if matches!(&**name, "length" | "count" | "int" | "float" | "abs") && is_path(of) => {
                    self.read(of, factor, factor)
                }
                _ => self.parts(node),
            },
            Kind::Call(Function::Metric, arguments) => self.terms.push((Source::Metric(name(arguments)), factor)),
            Kind::Call(Function::Lost, arguments) => self.terms.push((Source::Lost(name(arguments)), factor)),
            _ => self.parts(node),
        }
    }

    /// Nobody knows how what it is made of goes in.
    fn parts(&mut self, node: &'a Node) {
        node.kind.parts().into_iter().for_each(|part| self.look(part, f64::INFINITY));
    }

    fn calculated(&mut self, node: &'a Node, op: Math, pair: &'a [Node; 2], factor: f64) {
        if self.number(node).is_none() {
            return self.parts(node);
        }
        match op {
            Math::Add | Math::Sub => {
                self.look(&pair[0], factor);
                self.look(&pair[1], if op == Math::Add { factor } else { -factor });
            }
            Math::Mul => match (self.fixed(&pair[0]), self.fixed(&pair[1])) {
                (Some(by), _) => self.look(&pair[1], factor * by),
                (_, Some(by)) => self.look(&pair[0], factor * by),
                _ => self.parts(node),
            },
            Math::Div => match self.fixed(&pair[1]) {
                Some(by) => self.look(&pair[0], factor / by),
                None => self.parts(node),
            },
            Math::FloorDiv | Math::Rem | Math::Pow => self.parts(node),
        }
    }

    /// The number of a node in which nothing can be missing.
    fn fixed(&mut self, node: &'a Node) -> Option<f64> {
        let before = (self.terms.len(), self.is_time);
        self.look(node, 1.0);
        let none = self.terms.len() == before.0 && !self.is_time;
        self.terms.truncate(before.0);
        self.is_time = before.1;
        if none { self.number(node) } else { None }
    }

    /// A variable, or a place in one.
    fn path(&mut self, node: &'a Node, factor: f64) {
        self.read(node, factor, f64::INFINITY);
    }

    /// A variable, or a place in one: `whole` is the factor of what is neither a number nor known.
    fn read(&mut self, node: &'a Node, factor: f64, whole: f64) {
        let mut root = node;
        loop {
            root = match &root.kind {
                Kind::Attribute(of, _) => of,
                Kind::Item(pair) => {
                    self.look(&pair[1], f64::INFINITY);
                    &pair[0]
                }
                _ => break,
            };
        }
        let source = match &root.kind {
            Kind::Var(Symbol::RESPONSE | Symbol::MESSAGE) => Source::Target,
            Kind::Var(symbol) if self.scope.is_given(*symbol) => return,
            Kind::Var(_) | Kind::Local(_) => Source::Unknown,
            _ => return self.look(root, f64::INFINITY),
        };
        let kind = self.evaluation.value(node).map(|value| value.kind());
        match (kind, source) {
            (Ok(ValueKind::Number), _) => self.terms.push((source, factor)),
            // A text is no number of things, and what isn't there is none. Whether something holds the target says itself; a variable may
            // have been worked out.
            (Ok(ValueKind::String | ValueKind::Bytes | ValueKind::None | ValueKind::Undefined), _) => {}
            (Ok(ValueKind::Bool), Source::Target) => {}
            _ => self.terms.push((source, whole)),
        }
    }

    /// How far what is missing can move the sum of all; without iterations that were cut off unless `cut`.
    fn span(&self, cut: bool) -> Span {
        let all = &self.scope.shared.shortfall.all;
        let has = |sources: fn(&Source<'_>) -> bool| self.terms.iter().any(|(source, _)| sources(source));
        let unknown = has(|source| *source == Source::Unknown);
        let by_target = has(|source| *source == Source::Target);
        let counted = has(|source| matches!(source, Source::Metric(_) | Source::Lost(_)));
        // Neither the target nor the run counts a request that was never sent.
        let kept = |missing: &Missing| if counted && by_target { missing.unread } else { missing.kept };
        let mut totals: Vec<(Source<'a>, f64, Missing)> = Vec::new();
        let mut span = Span::default();
        for (source, factor) in &self.terms {
            if !matches!(source, Source::Metric(_) | Source::Lost(_)) {
                continue;
            }
            let missing = self.missing(*source);
            span = span.plus(Span { down: kept(&missing), up: kept(&missing) }.by(*factor));
            // What the run counted it counted: only what the target knows of it is open.
            let ahead = if by_target || unknown { missing.ahead } else { 0.0 };
            match totals.iter_mut().find(|(other, ..)| other == source) {
                Some((_, sum, _)) => *sum += factor,
                None => totals.push((*source, *factor, Missing { ahead, ..missing })),
            }
        }
        if cut {
            span = span.plus(self.together(&mut totals));
            for (_, factor, missing) in &totals {
                span = span.plus(Span { down: missing.less + missing.ahead, up: missing.cut }.by(*factor));
            }
        }
        // Where a number of the target is compared with one of the run, it is the run's that lacks something.
        let others = self.terms.iter().filter(|(source, _)| match source {
            Source::Unknown => true,
            Source::Target => !counted,
            _ => false,
        });
        let most = others.map(|(_, factor)| if factor.is_finite() { factor.abs() } else { f64::INFINITY }).fold(0.0, f64::max);
        let off = kept(all) + if cut { all.cut } else { 0.0 };
        span.plus(Span { down: off, up: off }.by(most))
    }

    /// Requests that are lost, and would be counted if they weren't: both at once, or neither. They are taken out of the rest.
    fn together(&self, totals: &mut [(Source<'a>, f64, Missing)]) -> Span {
        let mut span = Span::default();
        for at in 0..totals.len() {
            for other in 0..totals.len() {
                let (Source::Metric(Some(metric)), by, counts) = totals[at] else { continue };
                let (Source::Lost(Some(step)), lost_by, lost) = totals[other] else { continue };
                let shared = self.scope.shared.shortfall.shared.get(&(metric.to_owned(), step.to_owned()));
                let shared = shared.copied().unwrap_or_default().min(lost.less);
                if shared <= 0.0 || !by.is_finite() || !lost_by.is_finite() {
                    continue;
                }
                let counted = (counts.cut > 0.0).then_some(by - lost_by);
                let not_done = (counts.ahead > 0.0).then_some(-by - lost_by);
                let ways = [Some(-lost_by), counted, not_done];
                let ways = || ways.iter().flatten().copied();
                span.up += shared * ways().fold(0.0, f64::max);
                span.down -= shared * ways().fold(0.0, f64::min);
                totals[other].2.less -= shared;
                totals[at].2.cut = (counts.cut - shared).max(0.0);
                totals[at].2.ahead = (counts.ahead - shared).max(0.0);
            }
        }
        span
    }

    /// What is missing in a number of the run's own.
    fn missing(&self, source: Source<'_>) -> Missing {
        let shortfall = &self.scope.shared.shortfall;
        let all = shortfall.all;
        match source {
            Source::Metric(Some(name)) => shortfall.metrics.get(name).copied().unwrap_or(Missing {
                // Counters only go up, but what counts the interrupted ones would have less.
                less: if name.contains("interrupted") { all.cut } else { 0.0 },
                ..all
            }),
            Source::Lost(Some(step)) => shortfall.lost.get(step).copied().unwrap_or_default(),
            _ => Missing { less: all.cut, ..all },
        }
    }
}

fn is_path(node: &Node) -> bool {
    match &node.kind {
        Kind::Var(_) => true,
        Kind::Attribute(of, _) => is_path(of),
        Kind::Item(pair) => is_path(&pair[0]),
        _ => false,
    }
}

fn name(arguments: &[Node]) -> Option<&str> {
    match &arguments.first()?.kind {
        Kind::Const(name) => name.as_str(),
        _ => None,
    }
}
