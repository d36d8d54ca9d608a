//! The compiled form of expressions and templates: a tree of owned nodes with variables resolved to numbers.

use std::sync::Arc;

use super::Value;
use super::functions::Function;
use super::library::Library;
use super::names::Symbol;
use super::strict::{Comparison, Math};

/// A compiled expression or template.
#[derive(Debug)]
pub(super) struct Program {
    /// The text as the profile has it, for messages.
    pub(super) source: Box<str>,
    pub(super) library: Arc<Library>,
    pub(super) body: Body,
    /// How many local variables its loops and assignments need.
    pub(super) locals: usize,
}

/// What a program makes.
#[derive(Debug)]
pub(super) enum Body {
    /// A value: an expression, or a template that is one `{{ … }}` alone.
    Value(Node),
    /// A text.
    Text(Vec<Piece>),
}

impl Program {
    /// Whether it only puts together what is known: constants, these variables, and parts of them.
    pub(super) fn reads_only(&self, known: &dyn Fn(Symbol) -> bool) -> bool {
        match &self.body {
            Body::Value(node) => node.reads_only(known),
            Body::Text(pieces) => pieces.iter().all(|piece| match piece {
                Piece::Raw(_) => true,
                Piece::Emit(node) => node.reads_only(known),
                Piece::Set { .. } | Piece::If { .. } | Piece::For(_) => false,
            }),
        }
    }
}

impl Node {
    fn reads_only(&self, known: &dyn Fn(Symbol) -> bool) -> bool {
        match &self.kind {
            Kind::Const(_) => true,
            Kind::Var(symbol) => known(*symbol),
            Kind::Attribute(of, _) => of.reads_only(known),
            Kind::Item(pair) => pair.iter().all(|node| node.reads_only(known)),
            _ => false,
        }
    }
}

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Piece {
    Raw(Box<str>),
    Emit(Node),
    Set { slot: usize, value: Node },
    If { condition: Node, then: Vec<Piece>, otherwise: Vec<Piece> },
    For(Box<For>),
}

/// `{% for … in … if … %} … {% else %} … {% endfor %}`
#[derive(Debug)]
pub(super) struct For {
    /// The variables that an item is put into; several of them unpack it.
    pub(super) targets: Vec<usize>,
    /// Where `loop` is.
    pub(super) state: usize,
    /// The slots that belong to one turn and begin it undefined.
    pub(super) slots: std::ops::Range<usize>,
    pub(super) list: Node,
    pub(super) filter: Option<Node>,
    pub(super) body: Vec<Piece>,
    pub(super) otherwise: Vec<Piece>,
}

/// An expression and where it stands in the source.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// The kinds of expressions.
#[derive(Debug)]
pub(super) enum Kind {
    Const(Value),
    Var(Symbol),
    Local(usize),
    Attribute(Box<Node>, Box<str>),
    Item(Box<[Node; 2]>),
    Slice(Box<Node>, [Option<Box<Node>>; 3]),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Math(Math, Box<[Node; 2]>),
    Concat(Box<[Node; 2]>),
    Compare(Box<Node>, Vec<(Comparison, Node)>),
    If(Box<[Node; 2]>, Option<Box<Node>>),
    Filter(Box<str>, Arguments),
    Test(Box<str>, Arguments),
    Call(Function, Vec<Node>),
    List(Vec<Node>),
    Map(Vec<[Node; 2]>),
}

impl Kind {
    /// All that it is made of.
    pub(super) fn parts(&self) -> Vec<&Node> {
        match self {
            Kind::Const(_) | Kind::Var(_) | Kind::Local(_) => Vec::new(),
            Kind::Attribute(of, _) | Kind::Not(of) | Kind::Negate(of) => vec![of],
            Kind::Slice(of, bounds) => std::iter::once(&**of).chain(bounds.iter().flatten().map(|bound| &**bound)).collect(),
            Kind::Item(pair) | Kind::And(pair) | Kind::Or(pair) | Kind::Math(_, pair) | Kind::Concat(pair) => {
                pair.iter().collect()
            }
            Kind::Compare(first, rest) => std::iter::once(&**first).chain(rest.iter().map(|(_, node)| node)).collect(),
            Kind::If(pair, otherwise) => pair.iter().chain(otherwise.as_deref()).collect(),
            Kind::Filter(_, arguments) | Kind::Test(_, arguments) => {
                arguments.positional.iter().chain(arguments.named.iter().map(|(_, node)| node)).collect()
            }
            Kind::Call(_, arguments) | Kind::List(arguments) => arguments.iter().collect(),
            Kind::Map(pairs) => pairs.iter().flatten().collect(),
        }
    }

    /// The first and the last part of what is made of parts.
    pub(super) fn ends(&self) -> Option<(&Node, &Node)> {
        match self {
            Kind::Attribute(of, _) | Kind::Slice(of, _) => Some((of, of)),
            Kind::Item(pair) | Kind::And(pair) | Kind::Or(pair) | Kind::Math(_, pair) | Kind::Concat(pair) => {
                Some((&pair[0], &pair[1]))
            }
            Kind::Compare(first, rest) => Some((first, rest.last().map_or(first, |(_, node)| node))),
            Kind::Filter(_, arguments) | Kind::Test(_, arguments) => {
                let first = arguments.positional.first()?;
                Some((first, first))
            }
            _ => None,
        }
    }
}

/// A filter's or test's input and arguments.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Node>,
    pub(super) named: Vec<(Box<str>, Node)>,
}
