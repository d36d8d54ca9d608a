//! Why an expression doesn't hold: the comparisons that decided it, with the values on both sides.
//!
//! Nothing of it is worked out where an expression holds. Where it doesn't, it is evaluated once more, so that what is checked a million
//! times costs nothing for it. What it finds is shown to people: values are redacted before they are cut, since what is left of a secret that
//! was cut in two would not be found, and what is named like a secret is never shown.

mod cause;

use minijinja::value::ValueKind;

use super::Value;
use super::error::EvalError;
use super::eval::Evaluation;
use super::functions::Function;
use super::program::{Body, Kind, Node, Program};
use super::scope::Scope;
use super::secrets::secrets_of;
use super::strict::{Comparison, compare, usable};
use super::template::Expression;
use super::text::{write_json, write_string};
use crate::base::secrets::{Naming, Secrets};

pub use cause::Cause;
use cause::Reading;

/// The most characters of a value that are shown.
const SHOWN: usize = 100;

/// So many bytes of a value are searched for secrets before it is cut: far beyond what is shown, since what is taken out makes room for
/// more.
const SEARCHED: usize = 64 * 1024;

/// Why an expression doesn't hold, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    parts: Vec<Fragment>,
    unclear: bool,
    cause: Cause,
    secrets: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Fragment {
    Words(String),
    Value { text: String, quoted: bool },
}

impl Explanation {
    /// Whether the expression could not be evaluated.
    pub fn is_unclear(&self) -> bool {
        self.unclear
    }

    /// What may account for it.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// What was read for it under names of secrets.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Takes secrets out of the values, which are still whole.
    pub fn redact(&mut self, redact: impl Fn(&str) -> String) {
        for part in &mut self.parts {
            if let Fragment::Value { text, .. } = part {
                *text = redact(text);
            }
        }
    }

    /// As part of a sentence: `response.json.total == metric('votes_total') was 98 == 100`. Each value is redacted and then cut.
    pub fn show(&self, secrets: &Secrets) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Fragment::Words(words) => out.push_str(&secrets.redact_own(words)),
                Fragment::Value { text, quoted } => {
                    let text = secrets.redact(text);
                    let mut cut: String = text.chars().take(SHOWN).collect();
                    if cut.len() < text.len() {
                        cut.push('…');
                    }
                    if *quoted { write_string(&cut, &mut out) } else { out.push_str(&cut) }
                }
            }
        }
        out
    }
}

impl Expression {
    /// Why it doesn't hold, with what it reads just now. Choices that are drawn for it leave those that follow as they were.
    pub fn explain(&self, scope: &Scope) -> Explanation {
        let program = &*self.0.0;
        let random = scope.random().clone();
        let explanation = explain(program, scope);
        *scope.random() = random;
        explanation
    }
}

fn explain(program: &Program, scope: &Scope) -> Explanation {
    let source = program.source.trim();
    let words = |text: String| Explanation {
        parts: vec![Fragment::Words(text)],
        unclear: false,
        cause: Cause::Target,
        secrets: Vec::new(),
    };
    let Body::Value(node) = &program.body else { return words(format!("{source} did not hold")) };
    let evaluation = Evaluation::new(program, scope);
    let mut search = Search { program, scope, evaluation, found: Vec::new(), secrets: Vec::new() };
    match search.evaluation.truth(node).and_then(|held| if held { Ok(()) } else { search.decided(node, false) }) {
        Err(error) => Explanation { unclear: true, ..words(format!("{source} could not be evaluated: {error}")) },
        Ok(()) => {
            let cause = search.cause(node, false).unwrap_or(Cause::Target);
            let mut parts = Vec::new();
            match &search.found[..] {
                // What is drawn anew may come out otherwise.
                [] => return words(format!("{source} did not hold")),
                [(only, _)] if *only == source => {}
                _ => parts.push(Fragment::Words(format!("{source} did not hold: "))),
            }
            for (place, (source, sides)) in search.found.into_iter().enumerate() {
                let and = if place > 0 { ", and " } else { "" };
                parts.push(Fragment::Words(format!("{and}{source} was ")));
                parts.extend(sides);
            }
            Explanation { parts, unclear: false, cause, secrets: search.secrets }
        }
    }
}

struct Search<'a> {
    program: &'a Program,
    scope: &'a Scope,
    evaluation: Evaluation<'a>,
    /// What decided: its source, and what it came to.
    found: Vec<(&'a str, Vec<Fragment>)>,
    /// What stands under names of secrets in that.
    secrets: Vec<String>,
}

impl<'a> Search<'a> {
    /// Finds what decided that a node held, or that it didn't.
    fn decided(&mut self, node: &'a Node, held: bool) -> Result<(), EvalError> {
        match &node.kind {
            Kind::Not(inner) => self.decided(inner, !held),
            // Of an `and` that holds, and of an `or` that doesn't, both sides decide; otherwise the first that ends it.
            Kind::And(pair) | Kind::Or(pair) if held == matches!(node.kind, Kind::And(_)) => {
                self.decided(&pair[0], held)?;
                self.decided(&pair[1], held)
            }
            Kind::And(pair) | Kind::Or(pair) => {
                let first = self.evaluation.truth(&pair[0])? == held;
                self.decided(&pair[usize::from(!first)], held)
            }
            Kind::If(pair, otherwise) => match (self.evaluation.truth(&pair[0])?, otherwise) {
                (true, _) => self.decided(&pair[1], held),
                (false, Some(otherwise)) => self.decided(otherwise, held),
                (false, None) => Ok(()),
            },
            Kind::Compare(first, rest) => self.compared(node, first, rest, held),
            // Of a test, and of a filter that makes a condition, it is the input that one wants to know.
            Kind::Test(_, arguments) => match arguments.positional.first() {
                Some(input) => self.leaf(input),
                None => self.leaf(node),
            },
            _ => self.leaf(node),
        }
    }

    /// A comparison: all of it where it held, or the pair that didn't.
    fn compared(&mut self, node: &'a Node, first: &'a Node, rest: &'a [(Comparison, Node)], held: bool) -> Result<(), EvalError> {
        let nodes: Vec<&Node> = std::iter::once(first).chain(rest.iter().map(|(_, node)| node)).collect();
        let naming = nodes.iter().fold(Naming::Open, |naming, node| worse(naming, named(node)));
        let mut values = vec![self.read(first)?];
        for (place, (op, right)) in rest.iter().enumerate() {
            let right = self.read(right)?;
            if !held && !compare(*op, &values[place], &right).unwrap_or(false) {
                let sides = show(&[values[place].clone(), right.clone()], &[*op], naming);
                values.push(right);
                let source = if rest.len() == 1 { self.source(node) } else { self.part(nodes[place], nodes[place + 1]) };
                self.found.push((source, sides));
                return Ok(());
            }
            values.push(right);
        }
        let signs: Vec<Comparison> = rest.iter().map(|(op, _)| *op).collect();
        self.found.push((self.source(node), show(&values, &signs, naming)));
        Ok(())
    }

    /// What may account for it that a node came out as `held`.
    fn cause(&mut self, node: &'a Node, held: bool) -> Result<Cause, EvalError> {
        Ok(match &node.kind {
            Kind::Not(inner) => self.cause(inner, !held)?,
            // One of them has to come out otherwise.
            Kind::And(pair) | Kind::Or(pair) if held == matches!(node.kind, Kind::And(_)) => {
                self.cause(&pair[0], held)?.min(self.cause(&pair[1], held)?)
            }
            Kind::And(pair) | Kind::Or(pair) => {
                let mut all = Cause::default();
                for side in pair.iter() {
                    // What can't be evaluated behind the side that ended it says nothing.
                    if self.evaluation.truth(side).is_ok_and(|truth| truth == held) {
                        all = all.max(self.cause(side, held)?);
                    }
                }
                all
            }
            Kind::If(pair, otherwise) => {
                let condition = self.evaluation.truth(&pair[0])?;
                // Another branch might have come out otherwise.
                let by_condition = self.cause(&pair[0], condition)?;
                match (condition, otherwise) {
                    (true, _) => self.cause(&pair[1], held)?.min(by_condition),
                    (false, Some(otherwise)) => self.cause(otherwise, held)?.min(by_condition),
                    (false, None) => by_condition,
                }
            }
            Kind::Compare(first, rest) => {
                let nodes: Vec<&Node> = std::iter::once(&**first).chain(rest.iter().map(|(_, node)| node)).collect();
                let mut found = Vec::new();
                for ((op, right), left) in rest.iter().zip(&nodes) {
                    let (a, b) = (self.evaluation.value(left)?, self.evaluation.value(right)?);
                    if compare(*op, &usable(a), &usable(b)).is_ok_and(|truth| truth == held) {
                        found.push(Reading::new(&mut self.evaluation, self.scope).compared(*op, left, right, held));
                    }
                }
                // One of those that held has to come out otherwise, or all that didn't.
                let found = found.into_iter();
                if held { found.min() } else { found.max() }.unwrap_or(Cause::Target)
            }
            _ => Reading::new(&mut self.evaluation, self.scope).any(&[node]),
        })
    }

    /// The value of a node that is shown.
    fn read(&mut self, node: &Node) -> Result<Value, EvalError> {
        let value = usable(self.evaluation.value(node)?);
        secrets_of(&value, named(node), &mut |secret| self.secrets.push(secret.to_owned()));
        Ok(value)
    }

    fn leaf(&mut self, node: &'a Node) -> Result<(), EvalError> {
        let value = self.read(node)?;
        self.found.push((self.source(node), show(&[value], &[], named(node))));
        Ok(())
    }

    fn source(&self, node: &Node) -> &'a str {
        self.part(node, node)
    }

    /// The source from one node to another, with the parentheses that belong to it.
    fn part(&self, first: &Node, last: &Node) -> &'a str {
        let source: &str = &self.program.source;
        let (mut from, mut to) = (ends(first).0, ends(last).1);
        let surplus = |from: usize, to: usize, of: char, other: char| {
            let part = source.get(from..to).unwrap_or_default();
            part.matches(of).count() > part.matches(other).count()
        };
        while surplus(from, to, ')', '(') {
            match source.get(..from).map(str::trim_end).and_then(|before| before.strip_suffix('(')) {
                Some(before) => from = before.len(),
                None => break,
            }
        }
        while surplus(from, to, '(', ')') {
            match source.get(to..).map(str::trim_start).and_then(|after| after.strip_prefix(')')) {
                Some(after) => to = source.len() - after.len(),
                None => break,
            }
        }
        source.get(from..to).unwrap_or(source).trim()
    }
}

/// Where a node begins and ends. The parser has what is made of parts begin at the word before it, so its first part says it.
fn ends(node: &Node) -> (usize, usize) {
    match node.kind.ends() {
        Some((first, last)) => (ends(first).0, ends(last).1.max(node.to as usize)),
        None => (node.from as usize, node.to as usize),
    }
}

/// Values with the comparisons between them. What is secret in one of them is so in the others: one that equals it would give it away.
fn show(values: &[Value], signs: &[Comparison], naming: Naming) -> Vec<Fragment> {
    let mut found = Vec::new();
    values.iter().for_each(|value| secrets_of(value, naming, &mut |secret| found.push(secret.to_owned())));
    let secrets = Secrets::new(found);
    let hidden = |value: &Value| naming == Naming::Secret && matches!(value.kind(), ValueKind::String | ValueKind::Number);
    let mut parts = Vec::new();
    for (place, value) in values.iter().enumerate() {
        if let Some(sign) = place.checked_sub(1).and_then(|before| signs.get(before)) {
            parts.push(Fragment::Words(format!(" {} ", sign.sign())));
        }
        let (text, quoted) = text_of(value);
        let text = if hidden(value) { crate::base::secrets::HIDDEN.to_owned() } else { secrets.redact(&text).into_owned() };
        parts.push(Fragment::Value { text, quoted: quoted && !hidden(value) });
    }
    parts
}

/// A value's text, and whether it stands in quotes.
fn text_of(value: &Value) -> (String, bool) {
    let mut text = match value.kind() {
        ValueKind::Undefined => return ("undefined".to_owned(), false),
        ValueKind::Bytes => return (format!("{} bytes", value.as_bytes().map_or(0, <[u8]>::len)), false),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => {
            let mut json = String::new();
            match write_json(value, &mut json) {
                Ok(()) => json,
                Err(_) => return (super::strict::kind_of(value).to_owned(), false),
            }
        }
    };
    let end = (0..=SEARCHED.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    (text, value.kind() == ValueKind::String)
}

fn worse(a: Naming, b: Naming) -> Naming {
    match (a, b) {
        (Naming::Secret, _) | (_, Naming::Secret) => Naming::Secret,
        (Naming::Open, Naming::Open) => Naming::Open,
        _ => Naming::Secrets,
    }
}

/// What the names in a node say of its value.
fn named(node: &Node) -> Naming {
    let all = |nodes: &[&Node]| nodes.iter().fold(Naming::Open, |naming, node| worse(naming, named(node)));
    match &node.kind {
        Kind::Var(symbol) => symbol.naming(),
        Kind::Attribute(of, name) => named(of).within(name),
        Kind::Item(pair) => match &pair[1].kind {
            Kind::Const(key) => named(&pair[0]).within(key.as_str().unwrap_or_default()),
            _ => named(&pair[0]),
        },
        Kind::Slice(of, _) | Kind::Negate(of) => named(of),
        Kind::Math(_, pair) | Kind::Concat(pair) => all(&[&pair[0], &pair[1]]),
        Kind::If(pair, otherwise) => worse(named(&pair[1]), otherwise.as_deref().map_or(Naming::Open, named)),
        // How long something is doesn't give it away.
        Kind::Filter(name, _) if matches!(&**name, "length" | "count") => Naming::Open,
        Kind::Filter(_, arguments) => all(&arguments.positional.iter().collect::<Vec<_>>()),
        Kind::Call(Function::Metric | Function::Lost, _) => Naming::Open,
        Kind::Call(_, arguments) | Kind::List(arguments) => all(&arguments.iter().collect::<Vec<_>>()),
        Kind::Map(pairs) => pairs.iter().fold(Naming::Open, |naming, [_, value]| worse(naming, named(value))),
        Kind::Const(_) | Kind::Local(_) | Kind::Not(_) | Kind::And(_) | Kind::Or(_) | Kind::Compare(..) | Kind::Test(..) => {
            Naming::Open
        }
    }
}

#[cfg(test)]
mod tests;
