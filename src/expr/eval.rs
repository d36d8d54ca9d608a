//! Evaluation: a walk over a compiled program with one user's scope.
//!
//! Reading what isn't there gives undefined, at any depth; what may be done with that is in [`super::strict`]. Every walk is
//! bounded by a number of steps, so that no template can hold up a worker.

use std::ops::Range;

use minijinja::value::ValueKind;

use super::Value;
use super::error::EvalError;
use super::library::{apply, ask, keywords};
use super::program::{Arguments, Body, For, Kind, Node, Piece, Program};
use super::scope::Scope;
use super::strict::{self, Comparison, Refused, calculate, is_present, usable};
use super::text::write_text;

/// How many nodes one evaluation may visit; a few milliseconds' worth.
const STEPS: u32 = 100_000;

/// Evaluates a program to a value, which may be undefined or null.
pub(super) fn value(program: &Program, scope: &Scope) -> Result<Value, EvalError> {
    match &program.body {
        Body::Value(node) => Evaluation::new(program, scope).value(node),
        Body::Text(_) => {
            let mut out = String::new();
            text(program, scope, &mut out)?;
            Ok(Value::from(out))
        }
    }
}

/// Evaluates a program and appends its text.
pub(super) fn text(program: &Program, scope: &Scope, out: &mut String) -> Result<(), EvalError> {
    Evaluation::new(program, scope).text(out)
}

/// Evaluates a program and appends its text, which is a URL or a part of one: a `#` of a value is no fragment's beginning, unless the
/// value is the whole URL.
pub(super) fn url(program: &Program, scope: &Scope, out: &mut String) -> Result<(), EvalError> {
    let mut evaluation = Evaluation::new(program, scope);
    let whole = out.len();
    evaluation.hashed = Some(Vec::new());
    evaluation.text(out)?;
    for place in evaluation.hashed.into_iter().flatten().rev() {
        if place != (whole..out.len()) || !out[whole..].contains("://") {
            let encoded = out[place.clone()].replace('#', "%23");
            out.replace_range(place, &encoded);
        }
    }
    Ok(())
}

/// Whether a value holds as a condition; its program is named if that can't be said.
pub(super) fn truth(program: &Program, value: &Value) -> Result<bool, EvalError> {
    strict::truth(value).map_err(|why| EvalError::new(&program.source, why))
}

/// What stopped an evaluation: a node further in, or the node at hand.
enum Trouble {
    Within(EvalError),
    Here(Refused),
}

impl From<EvalError> for Trouble {
    fn from(error: EvalError) -> Self {
        Trouble::Within(error)
    }
}

impl From<Refused> for Trouble {
    fn from(why: Refused) -> Self {
        Trouble::Here(why)
    }
}

pub(super) struct Evaluation<'a> {
    program: &'a Program,
    scope: &'a Scope,
    locals: Vec<Value>,
    steps: u32,
    /// In a URL: where values with a `#` stand in its text.
    hashed: Option<Vec<Range<usize>>>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(program: &'a Program, scope: &'a Scope) -> Self {
        Self { program, scope, locals: vec![Value::UNDEFINED; program.locals], steps: STEPS, hashed: None }
    }

    /// Names the part of the source that a refusal is about.
    fn refuse(&self, node: &Node, why: Refused) -> EvalError {
        let part = self.program.source.get(node.from as usize..node.to as usize);
        EvalError::new(part.unwrap_or(&self.program.source), why)
    }

    /// An error about the value of a node.
    fn refuse_value(&self, node: &Node, value: &Value, purpose: &str) -> EvalError {
        let part = self.program.source.get(node.from as usize..node.to as usize);
        EvalError::of_value(part.unwrap_or(&self.program.source), value, &format!(" and {purpose}"))
    }

    fn step(&mut self, node: &Node) -> Result<(), EvalError> {
        let left = self.steps.checked_sub(1).ok_or_else(|| self.refuse(node, format!("takes more than {STEPS} steps")))?;
        self.steps = left;
        Ok(())
    }

    /// The value of a node.
    pub(super) fn value(&mut self, node: &Node) -> Result<Value, EvalError> {
        self.step(node)?;
        match self.inner(node) {
            Ok(value) if value.kind() == ValueKind::Invalid => Err(self.refuse(node, "can't be read".into())),
            Ok(value) => Ok(value),
            Err(Trouble::Within(error)) => Err(error),
            Err(Trouble::Here(why)) => Err(self.refuse(node, why)),
        }
    }

    fn inner(&mut self, node: &Node) -> Result<Value, Trouble> {
        Ok(match &node.kind {
            Kind::Const(value) => value.clone(),
            Kind::Var(symbol) => self.scope.get(*symbol),
            Kind::Local(slot) => self.locals.get(*slot).cloned().unwrap_or(Value::UNDEFINED),
            Kind::Attribute(of, name) => self.value(of)?.get_attr(name).unwrap_or(Value::UNDEFINED),
            Kind::Item(pair) => {
                let of = self.value(&pair[0])?;
                let key = self.operand(&pair[1], "can't be looked up")?;
                of.get_item(&key).unwrap_or(Value::UNDEFINED)
            }
            Kind::Slice(of, bounds) => self.slice(of, bounds)?,
            Kind::Not(inner) => Value::from(!self.truth(inner)?),
            Kind::Negate(inner) => strict::negate(&self.operand(inner, "can't be calculated with")?)?,
            Kind::And(pair) => self.either(pair, false)?,
            Kind::Or(pair) => self.either(pair, true)?,
            Kind::Math(op, pair) => {
                let a = self.operand(&pair[0], "can't be calculated with")?;
                let b = self.operand(&pair[1], "can't be calculated with")?;
                calculate(*op, &a, &b)?
            }
            Kind::Concat(pair) => {
                let mut out = String::new();
                self.emit(&pair[0], &mut out)?;
                self.emit(&pair[1], &mut out)?;
                strict::within_limit(out.len())?;
                Value::from(out)
            }
            Kind::Compare(first, rest) => Value::from(self.compare(first, rest)?),
            Kind::If(pair, otherwise) => match (self.truth(&pair[0])?, otherwise) {
                (true, _) => self.value(&pair[1])?,
                (false, Some(otherwise)) => self.value(otherwise)?,
                (false, None) => Value::UNDEFINED,
            },
            Kind::Filter(name, arguments) => {
                let args = self.arguments(arguments)?;
                apply(&self.program.library, name, &args).map_err(|why| self.blame(why, arguments, &args))?
            }
            Kind::Test(name, arguments) => {
                let args = self.arguments(arguments)?;
                let answer = ask(&self.program.library, name, &args);
                Value::from(answer.map_err(|why| self.blame(why, arguments, &args))?)
            }
            Kind::Call(function, args) => {
                let args = args.iter().map(|arg| self.operand(arg, "can't be passed on")).collect::<Result<Vec<_>, _>>()?;
                function.call(&args, self.scope)?
            }
            Kind::List(items) => self.list(items)?,
            Kind::Map(pairs) => self.mapping(pairs)?,
        })
    }

    fn list(&mut self, items: &[Node]) -> Result<Value, Trouble> {
        let list = items.iter().map(|item| self.defined(item)).collect::<Result<Vec<Value>, EvalError>>()?;
        Ok(strict::bounded(Value::from(list))?)
    }

    fn mapping(&mut self, pairs: &[[Node; 2]]) -> Result<Value, Trouble> {
        let entries = pairs.iter().map(|[key, value]| {
            let key = self.operand(key, "can't be a key")?;
            Ok((key, self.defined(value)?))
        });
        Ok(strict::bounded(Value::from_pairs(entries.collect::<Result<Vec<(Value, Value)>, EvalError>>()?))?)
    }

    /// A value that has to be there, to be used as `purpose` says.
    fn operand(&mut self, node: &Node, purpose: &str) -> Result<Value, EvalError> {
        let value = usable(self.value(node)?);
        if is_present(&value) { Ok(value) } else { Err(self.refuse_value(node, &value, purpose)) }
    }

    /// A value that may be null but not undefined.
    fn defined(&mut self, node: &Node) -> Result<Value, EvalError> {
        let value = self.value(node)?;
        if value.is_undefined() { Err(self.refuse_value(node, &value, "can't be put into anything")) } else { Ok(value) }
    }

    pub(super) fn truth(&mut self, node: &Node) -> Result<bool, EvalError> {
        let value = usable(self.value(node)?);
        strict::truth(&value).map_err(|why| self.refuse(node, why))
    }

    /// `and` (stops at what doesn't hold) and `or` (stops at what holds): the value that decided.
    fn either(&mut self, pair: &[Node; 2], stops: bool) -> Result<Value, EvalError> {
        let left = usable(self.value(&pair[0])?);
        match strict::truth(&left).map_err(|why| self.refuse(&pair[0], why))? == stops {
            true => Ok(left),
            false => self.value(&pair[1]),
        }
    }

    /// `a < b <= c`: each pair must hold; what follows one that doesn't isn't evaluated.
    fn compare(&mut self, first: &Node, rest: &[(Comparison, Node)]) -> Result<bool, Trouble> {
        let mut left = self.operand(first, "can't be compared")?;
        for (op, node) in rest {
            let right = self.operand(node, "can't be compared")?;
            if !strict::compare(*op, &left, &right)? {
                return Ok(false);
            }
            left = right;
        }
        Ok(true)
    }

    fn slice(&mut self, of: &Node, bounds: &[Option<Box<Node>>; 3]) -> Result<Value, Trouble> {
        let of = self.operand(of, "can't be cut")?;
        let mut places = [None; 3];
        for (place, bound) in places.iter_mut().zip(bounds) {
            let Some(node) = bound else { continue };
            let value = self.value(node)?;
            if !value.is_none() {
                let whole = value.as_i64().ok_or_else(|| self.refuse(node, "is no whole number".into()))?;
                *place = Some(whole);
            }
        }
        Ok(strict::slice(&of, places[0], places[1], places[2].unwrap_or(1))?)
    }

    fn arguments(&mut self, arguments: &Arguments) -> Result<Vec<Value>, Trouble> {
        let mut args = arguments.positional.iter().map(|arg| self.value(arg).map(usable)).collect::<Result<Vec<_>, _>>()?;
        if !arguments.named.is_empty() {
            let named = arguments.named.iter().map(|(name, arg)| Ok((&**name, self.defined(arg)?)));
            args.push(keywords(named.collect::<Result<_, EvalError>>()?));
        }
        Ok(args)
    }

    /// Of a refused filter or test: the argument that is missing, if it is that, or else the whole.
    fn blame(&self, why: Refused, arguments: &Arguments, args: &[Value]) -> Trouble {
        match arguments.positional.iter().zip(args).find(|(_, value)| !is_present(value)) {
            Some((node, value)) => Trouble::Within(self.refuse_value(node, value, "can't be used here")),
            None => Trouble::Here(why),
        }
    }

    /// Appends the text of a node.
    fn emit(&mut self, node: &Node, out: &mut String) -> Result<(), EvalError> {
        let value = self.value(node)?;
        if value.is_undefined() {
            return Err(self.refuse_value(node, &value, "can't be sent"));
        }
        write_text(&value, out).map_err(|why| self.refuse(node, why))
    }

    fn text(&mut self, out: &mut String) -> Result<(), EvalError> {
        match &self.program.body {
            Body::Value(node) => self.piece(node, out),
            Body::Text(pieces) => self.pieces(pieces, out),
        }
    }

    fn piece(&mut self, node: &Node, out: &mut String) -> Result<(), EvalError> {
        let begun = out.len();
        self.emit(node, out)?;
        if let Some(hashed) = &mut self.hashed
            && out[begun..].contains('#')
        {
            hashed.push(begun..out.len());
        }
        Ok(())
    }

    fn pieces(&mut self, pieces: &[Piece], out: &mut String) -> Result<(), EvalError> {
        for piece in pieces {
            match piece {
                Piece::Raw(text) => out.push_str(text),
                Piece::Emit(node) => self.piece(node, out)?,
                Piece::Set { slot, value } => {
                    let value = self.value(value)?;
                    self.store(*slot, value);
                }
                Piece::If { condition, then, otherwise } => {
                    let branch = if self.truth(condition)? { then } else { otherwise };
                    self.pieces(branch, out)?;
                }
                Piece::For(each) => self.each(each, out)?,
            }
        }
        Ok(())
    }

    fn store(&mut self, slot: usize, value: Value) {
        if let Some(local) = self.locals.get_mut(slot) {
            *local = value;
        }
    }

    fn each(&mut self, each: &For, out: &mut String) -> Result<(), EvalError> {
        let list = self.operand(&each.list, "can't be gone through")?;
        let all = strict::items(&list).map_err(|why| self.refuse(&each.list, why))?;
        let mut items = Vec::with_capacity(all.len());
        for item in all {
            self.step(&each.list)?;
            self.bind(each, &item)?;
            match &each.filter {
                Some(filter) if !self.truth(filter)? => {}
                _ => items.push(item),
            }
        }
        if items.is_empty() {
            return self.pieces(&each.otherwise, out);
        }
        let count = items.len();
        for (i, item) in items.iter().enumerate() {
            self.step(&each.list)?;
            for slot in each.slots.clone() {
                self.store(slot, Value::UNDEFINED);
            }
            self.bind(each, item)?;
            self.store(each.state, turn(i, count));
            self.pieces(&each.body, out)?;
            strict::within_limit(out.len()).map_err(|why| self.refuse(&each.list, why))?;
        }
        Ok(())
    }

    /// Puts an item into the loop's variables.
    fn bind(&mut self, each: &For, item: &Value) -> Result<(), EvalError> {
        if let [only] = each.targets[..] {
            self.store(only, item.clone());
            return Ok(());
        }
        let parts = strict::items(item).map_err(|why| self.refuse(&each.list, why))?;
        if parts.len() != each.targets.len() {
            let why = format!("has items of {} values, not of {}", parts.len(), each.targets.len());
            return Err(self.refuse(&each.list, why));
        }
        for (slot, part) in each.targets.iter().zip(parts) {
            self.store(*slot, part);
        }
        Ok(())
    }
}

/// `loop` in turn `i` of `count`.
fn turn(i: usize, count: usize) -> Value {
    Value::from_pairs([
        ("index", Value::from(i + 1)),
        ("index0", Value::from(i)),
        ("first", Value::from(i == 0)),
        ("last", Value::from(i + 1 == count)),
        ("length", Value::from(count)),
    ])
}
