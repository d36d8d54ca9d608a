//! From a text by minijinja's syntax tree to [`super::program`]: names become numbers, and what doesn't exist is found here. Nothing else
//! knows that tree.

use std::collections::HashSet;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;

use super::environment::{EnvRead, Reading};
use super::error::{CompileError, Unknown};
use super::functions::Function;
use super::library::Library;
use super::names::{Names, Symbol, Symbols};
use super::program::{Arguments, For, Kind, Node, Piece};
use super::strict::{Comparison, Math};
use crate::base::names::nearest;

/// Lowers one text.
pub(super) struct Lowering<'a> {
    pub(super) source: &'a str,
    pub(super) symbols: &'a mut Symbols,
    /// Takes the variables that are read.
    pub(super) read: &'a mut HashSet<Symbol>,
    /// Takes what is read of the environment.
    pub(super) env: &'a mut EnvRead,
    /// The same of this text.
    pub(super) reading: Reading,
    pub(super) names: &'a Names,
    pub(super) library: &'a Library,
    /// The local variables in sight, innermost last.
    pub(super) locals: Vec<(String, usize)>,
    /// Where in `locals` those of the innermost loop begin; assigning to an outer name makes a new one, as in Jinja.
    pub(super) scope: usize,
    /// How many slots are in use so far.
    pub(super) slots: usize,
}

type Lowered<T> = Result<T, CompileError>;

impl Lowering<'_> {
    /// All of the text, a template.
    pub(super) fn template(&mut self) -> Lowered<Vec<Piece>> {
        let text = self.source;
        let wrong = |error: minijinja::Error| CompileError::of_syntax(&error, text);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(wrong)?;
        let parsed = parse(text, "template", syntax).map_err(wrong)?;
        let Stmt::Template(root) = &parsed else {
            return Err(CompileError::new("not a template", 0..text.len()));
        };
        self.statements(&root.children)
    }

    /// All of the text, an expression.
    pub(super) fn whole(&mut self) -> Lowered<Node> {
        let text = self.source;
        let parsed = parse_expr(text).map_err(|error| CompileError::of_syntax(&error, text))?;
        self.expression(&parsed)
    }

    fn error<T>(&self, message: impl Into<Box<str>>, span: Span) -> Lowered<T> {
        Err(CompileError::new(message, self.range(span)))
    }

    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let end = (span.end_offset as usize).min(self.source.len());
        (span.start_offset as usize).min(end)..end
    }

    /// An error about a name within an expression.
    fn error_at<T>(&self, message: String, name: &str, span: Span) -> Lowered<T> {
        let range = self.range(span);
        let found = self.source.get(range.clone()).and_then(|part| part.rfind(name));
        let range = found.map_or(range.clone(), |at| range.start + at..range.start + at + name.len());
        Err(CompileError::new(message, range))
    }

    fn unknown<'n, T>(&self, what: &str, name: &str, known: impl IntoIterator<Item = &'n str>, span: Span) -> Lowered<T> {
        let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        self.error_at(format!("unknown {what} `{name}`{hint}"), name, span).map_err(|error| error.of_unknown(Unknown::Other))
    }

    fn unknown_name<'n, T>(&self, name: &str, known: impl IntoIterator<Item = &'n str>, span: Span) -> Lowered<T> {
        self.unknown("name", name, known, span).map_err(|error| error.of_unknown(Unknown::Name))
    }

    fn node(&self, kind: Kind, span: Span) -> Node {
        let range = self.range(span);
        // A profile's text is far below 4 GiB; the parser's own offsets are u32.
        let (mut from, mut to) = (range.start as u32, range.end as u32);
        // The parser's span of `a.b.c` may begin at its last part.
        if let Some((first, last)) = kind.ends() {
            (from, to) = (from.min(first.from), to.max(last.to));
        }
        Node { kind, from, to }
    }

    fn local(&self, name: &str) -> Option<usize> {
        self.locals.iter().rev().find(|(known, _)| known == name).map(|(_, slot)| *slot)
    }

    fn declare(&mut self, name: &str) -> usize {
        let slot = self.slots;
        self.slots += 1;
        self.locals.push((name.to_owned(), slot));
        slot
    }

    fn boxed(&mut self, expr: &Expr<'_>) -> Lowered<Box<Node>> {
        self.expression(expr).map(Box::new)
    }

    fn pair(&mut self, left: &Expr<'_>, right: &Expr<'_>) -> Lowered<Box<[Node; 2]>> {
        Ok(Box::new([self.expression(left)?, self.expression(right)?]))
    }

    fn all(&mut self, items: &[Expr<'_>]) -> Lowered<Vec<Node>> {
        items.iter().map(|item| self.expression(item)).collect()
    }

    /// An expression.
    fn expression(&mut self, expr: &Expr<'_>) -> Lowered<Node> {
        let span = expr.span();
        let kind = match expr {
            Expr::Const(constant) => Kind::Const(constant.value.clone()),
            Expr::Var(var) => return self.variable(var.id, span),
            Expr::GetAttr(get) => {
                self.check_attribute(&get.expr, get.name, span)?;
                let any = self.env.any;
                let of = self.boxed(&get.expr)?;
                self.note_env(expr, any);
                Kind::Attribute(of, get.name.into())
            }
            Expr::GetItem(get) => {
                let name = match &get.subscript_expr {
                    Expr::Const(key) => key.value.as_str(),
                    _ => None,
                };
                if let Some(name) = name {
                    self.check_attribute(&get.expr, name, span)?;
                }
                let any = self.env.any;
                let pair = self.pair(&get.expr, &get.subscript_expr)?;
                self.note_env(expr, any);
                Kind::Item(pair)
            }
            Expr::Slice(slice) => {
                let value = self.boxed(&slice.expr)?;
                let mut bound = |expr: &Option<Expr<'_>>| expr.as_ref().map(|expr| self.boxed(expr)).transpose();
                Kind::Slice(value, [bound(&slice.start)?, bound(&slice.stop)?, bound(&slice.step)?])
            }
            Expr::UnaryOp(unary) => match unary.op {
                UnaryOpKind::Not => Kind::Not(self.boxed(&unary.expr)?),
                UnaryOpKind::Neg => Kind::Negate(self.boxed(&unary.expr)?),
            },
            Expr::BinOp(binary) => self.binary(binary)?,
            Expr::Compare(chain) => {
                let first = self.boxed(&chain.expr)?;
                let rest = chain.ops.iter().map(|step| Ok((comparison(step.op), self.expression(&step.expr)?)));
                Kind::Compare(first, rest.collect::<Lowered<_>>()?)
            }
            Expr::IfExpr(choice) => self.choice(choice)?,
            Expr::Filter(filter) => {
                if !self.library.filters.contains(&filter.name) {
                    return self.unknown("filter", filter.name, self.library.filters.iter().copied(), span);
                }
                let Some(input) = &filter.expr else { return self.error("a filter needs a value before it", span) };
                self.check_named_helpers(filter.name, &filter.args)?;
                if matches!(filter.name, "default" | "d") {
                    self.is_optional(input);
                }
                Kind::Filter(filter.name.into(), self.arguments(Some(input), &filter.args, span)?)
            }
            Expr::Test(test) => {
                if !self.library.tests.contains(&test.name) {
                    return self.unknown("test", test.name, self.library.tests.iter().copied(), span);
                }
                if matches!(test.name, "defined" | "undefined") {
                    self.is_optional(&test.expr);
                }
                Kind::Test(test.name.into(), self.arguments(Some(&test.expr), &test.args, span)?)
            }
            Expr::Call(call) => return self.call(call, span),
            Expr::List(list) => Kind::List(self.all(&list.items)?),
            Expr::Tuple(tuple) => Kind::List(self.all(&tuple.items)?),
            Expr::Map(map) => {
                let pairs = map.keys.iter().zip(&map.values);
                Kind::Map(pairs.map(|(key, value)| Ok([self.expression(key)?, self.expression(value)?])).collect::<Lowered<_>>()?)
            }
        };
        Ok(self.node(kind, span))
    }

    fn variable(&mut self, name: &str, span: Span) -> Lowered<Node> {
        if let Some(slot) = self.local(name) {
            return Ok(self.node(Kind::Local(slot), span));
        }
        if self.names.contains(name) {
            let symbol = self.symbols.get(name);
            self.read.insert(symbol);
            // As a whole, until its attribute says which part of it.
            self.env.any |= symbol == Symbol::ENV;
            return Ok(self.node(Kind::Var(symbol), span));
        }
        if Function::find(name).is_some() {
            return self.error_at(format!("`{name}` is a function; call it: {name}(…)"), name, span);
        }
        match name {
            "index" => self.error_at("`index` is known inside of `repeat` and `for_each` only".into(), name, span),
            "message" => self.error_at("`message` is known inside of a session only".into(), name, span),
            _ => {
                let locals = self.locals.iter().map(|(name, _)| name.as_str());
                let known: Vec<&str> = self.names.known().chain(locals).collect();
                self.unknown_name(name, known, span)
            }
        }
    }

    /// The variable of the environment that an expression is, if it is one by name.
    fn env_name<'e>(&self, expr: &'e Expr<'_>) -> Option<&'e str> {
        let (of, name) = match expr {
            Expr::GetAttr(get) => (&get.expr, get.name),
            Expr::GetItem(get) => match &get.subscript_expr {
                Expr::Const(key) => (&get.expr, key.value.as_str()?),
                _ => return None,
            },
            _ => return None,
        };
        matches!(of, Expr::Var(var) if var.id == "env" && self.local("env").is_none()).then_some(name)
    }

    /// Notes that of `env` only this variable was read, if it was. `any`: what was known before the expression was lowered.
    fn note_env(&mut self, expr: &Expr<'_>, any: bool) {
        let Some(name) = self.env_name(expr) else { return };
        self.env.any = any;
        self.env.names.insert(name.to_owned());
        let range = self.range(expr.span());
        self.reading.reads(name, range);
    }

    /// Notes that the variable of the environment which stands here may be missing, if it is one.
    fn is_optional(&mut self, expr: &Expr<'_>) {
        if self.env_name(expr).is_some() {
            let range = self.range(expr.span());
            self.reading.is_optional(range);
        }
    }

    /// The variables of the environment that are surely there where a condition came out so.
    fn surely_there(&self, condition: &Expr<'_>, holds: bool) -> Vec<String> {
        match condition {
            Expr::Test(test) if test.name == if holds { "defined" } else { "undefined" } => {
                self.env_name(&test.expr).map(str::to_owned).into_iter().collect()
            }
            Expr::UnaryOp(unary) if matches!(unary.op, UnaryOpKind::Not) => self.surely_there(&unary.expr, !holds),
            Expr::BinOp(both) if matches!((&both.op, holds), (BinOpKind::ScAnd, true) | (BinOpKind::ScOr, false)) => {
                [self.surely_there(&both.left, holds), self.surely_there(&both.right, holds)].concat()
            }
            _ => Vec::new(),
        }
    }

    /// `a if b else c`
    fn choice(&mut self, choice: &ast::IfExpr<'_>) -> Lowered<Kind> {
        let test = self.expression(&choice.test_expr)?;
        let before = self.reading.enter(self.surely_there(&choice.test_expr, true));
        let both = Box::new([test, self.expression(&choice.true_expr)?]);
        self.reading.leave(before);
        self.reading.enter(self.surely_there(&choice.test_expr, false));
        let otherwise = choice.false_expr.as_ref().map(|expr| self.boxed(expr)).transpose()?;
        self.reading.leave(before);
        Ok(Kind::If(both, otherwise))
    }

    /// Both sides of `and` (the second where the first holds) or `or` (where it doesn't).
    fn either(&mut self, binary: &ast::BinOp<'_>, holds: bool) -> Lowered<Box<[Node; 2]>> {
        let left = self.expression(&binary.left)?;
        let before = self.reading.enter(self.surely_there(&binary.left, holds));
        let both = Box::new([left, self.expression(&binary.right)?]);
        self.reading.leave(before);
        Ok(both)
    }

    /// `{% if … %} … {% else %} … {% endif %}`
    fn branches(&mut self, branch: &ast::IfCond<'_>) -> Lowered<Piece> {
        let condition = self.expression(&branch.expr)?;
        let before = self.reading.enter(self.surely_there(&branch.expr, true));
        let then = self.statements(&branch.true_body)?;
        self.reading.leave(before);
        self.reading.enter(self.surely_there(&branch.expr, false));
        let otherwise = self.statements(&branch.false_body)?;
        self.reading.leave(before);
        Ok(Piece::If { condition, then, otherwise })
    }

    /// That an attribute is one of those that a variable has, where these are a closed set.
    fn check_attribute(&self, of: &Expr<'_>, attribute: &str, span: Span) -> Lowered<()> {
        let Expr::Var(var) = of else { return Ok(()) };
        match self.names.attributes(var.id) {
            Some(known) if self.local(var.id).is_none() && !known.contains(attribute) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                match nearest(attribute, known.iter().copied()) {
                    Some(_) => self.unknown(&format!("attribute of `{}`:", var.id), attribute, known, span),
                    None => {
                        self.error_at(format!("`{}` has no `{attribute}`; it has {}", var.id, known.join(", ")), attribute, span)
                    }
                }
            }
            _ => Ok(()),
        }
    }

    /// That filters and tests which are named in texts, as in `map("upper")`, exist.
    fn check_named_helpers(&self, filter: &str, args: &[CallArg<'_>]) -> Lowered<()> {
        let (place, known, what) = match filter {
            "map" => (0, &self.library.filters, "filter"),
            "select" | "reject" => (0, &self.library.tests, "test"),
            "selectattr" | "rejectattr" => (1, &self.library.tests, "test"),
            _ => return Ok(()),
        };
        if let Some(CallArg::Pos(Expr::Const(constant))) = args.get(place)
            && let Some(name) = constant.value.as_str()
            && !known.contains(&name)
        {
            return self.unknown(what, name, known.iter().copied(), constant.span());
        }
        Ok(())
    }

    fn binary(&mut self, binary: &ast::BinOp<'_>) -> Lowered<Kind> {
        let op = match binary.op {
            BinOpKind::ScAnd => return Ok(Kind::And(self.either(binary, true)?)),
            BinOpKind::ScOr => return Ok(Kind::Or(self.either(binary, false)?)),
            BinOpKind::Concat => return Ok(Kind::Concat(self.pair(&binary.left, &binary.right)?)),
            BinOpKind::Add => return self.math(Math::Add, binary),
            BinOpKind::Sub => return self.math(Math::Sub, binary),
            BinOpKind::Mul => return self.math(Math::Mul, binary),
            BinOpKind::Div => return self.math(Math::Div, binary),
            BinOpKind::FloorDiv => return self.math(Math::FloorDiv, binary),
            BinOpKind::Rem => return self.math(Math::Rem, binary),
            BinOpKind::Pow => return self.math(Math::Pow, binary),
            BinOpKind::Eq => Comparison::Equal,
            BinOpKind::Ne => Comparison::Unequal,
            BinOpKind::Lt => Comparison::Less,
            BinOpKind::Lte => Comparison::LessOrEqual,
            BinOpKind::Gt => Comparison::Greater,
            BinOpKind::Gte => Comparison::GreaterOrEqual,
            BinOpKind::In => Comparison::In,
        };
        Ok(Kind::Compare(self.boxed(&binary.left)?, vec![(op, self.expression(&binary.right)?)]))
    }

    fn math(&mut self, op: Math, binary: &ast::BinOp<'_>) -> Lowered<Kind> {
        Ok(Kind::Math(op, self.pair(&binary.left, &binary.right)?))
    }

    fn arguments(&mut self, input: Option<&Expr<'_>>, args: &[CallArg<'_>], span: Span) -> Lowered<Arguments> {
        let mut lowered = Arguments { positional: Vec::new(), named: Vec::new() };
        if let Some(input) = input {
            lowered.positional.push(self.expression(input)?);
        }
        for arg in args {
            match arg {
                CallArg::Pos(expr) => lowered.positional.push(self.expression(expr)?),
                CallArg::Kwarg(name, expr) => lowered.named.push(((*name).into(), self.expression(expr)?)),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                    return self.error("`*` and `**` in arguments are not supported; write the arguments out", span);
                }
            }
        }
        Ok(lowered)
    }

    fn call(&mut self, call: &ast::Call<'_>, span: Span) -> Lowered<Node> {
        let Expr::Var(var) = &call.expr else {
            return self
                .error("only functions can be called; for what a method would do there are filters, like `x | upper`", span);
        };
        let name = var.id;
        let Some(function) = Function::find(name) else {
            return match self.names.contains(name) {
                true => self.error_at(format!("`{name}` is a variable and can't be called"), name, span),
                false => self.unknown("function", name, Function::names(), span),
            };
        };
        let arguments = self.arguments(None, &call.args, span)?;
        if !arguments.named.is_empty() {
            return self.error(format!("`{name}` takes no named arguments"), span);
        }
        if let Some(usage) = function.refuse_arity(arguments.positional.len()) {
            return self.error(format!("`{name}` takes other arguments: {usage}"), span);
        }
        match function {
            Function::Metric => self.check_total(0, "metric", &arguments.positional, span)?,
            Function::Lost => self.check_total(1, "step", &arguments.positional, span)?,
            _ => {}
        }
        Ok(self.node(Kind::Call(function, arguments.positional), span))
    }

    /// That `metric(name)` or `lost(step)` may stand here, and that there is such a total: of the first or the second kind.
    fn check_total(&self, kind: usize, what: &str, args: &[Node], span: Span) -> Lowered<()> {
        let function = ["metric", "lost"][kind];
        let known = match self.names.totals() {
            Ok(totals) => &totals[kind],
            Err(why) => return self.error(format!("`{function}` {why}"), span),
        };
        match args {
            [Node { kind: Kind::Const(name), .. }] => match name.as_str() {
                Some(name) if !known.contains(name) => self.unknown(what, name, known.iter().map(String::as_str), span),
                Some(_) => Ok(()),
                None => self.error(format!("`{function}` takes a {what}'s name as a text"), span),
            },
            _ => Ok(()),
        }
    }

    /// The statements of a template.
    fn statements(&mut self, statements: &[Stmt<'_>]) -> Lowered<Vec<Piece>> {
        statements.iter().map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, statement: &Stmt<'_>) -> Lowered<Piece> {
        match statement {
            Stmt::EmitRaw(raw) => Ok(Piece::Raw(raw.raw.into())),
            Stmt::EmitExpr(emit) => Ok(Piece::Emit(self.expression(&emit.expr)?)),
            Stmt::IfCond(branch) => self.branches(branch),
            Stmt::Set(set) => {
                let value = self.expression(&set.expr)?;
                let Expr::Var(var) = &set.target else {
                    return self.error("`set` takes one name", set.target.span());
                };
                let known = self.locals.iter().skip(self.scope).find(|(name, _)| name == var.id).map(|(_, slot)| *slot);
                Ok(Piece::Set { slot: known.unwrap_or_else(|| self.declare(var.id)), value })
            }
            Stmt::ForLoop(each) if each.recursive => self.error("`recursive` loops are not supported", each.span()),
            Stmt::ForLoop(each) => self.each(each),
            other => self.error(
                "in templates there are {{ … }}, {% if %}, {% for %} and {% set %}; other statements are not supported",
                span_of(other),
            ),
        }
    }

    fn each(&mut self, each: &ast::ForLoop<'_>) -> Lowered<Piece> {
        let list = self.expression(&each.iter)?;
        let outer = self.locals.len();
        let outer_scope = std::mem::replace(&mut self.scope, outer);
        let first = self.slots;
        let targets = match &each.target {
            Expr::Var(var) => vec![self.declare(var.id)],
            Expr::List(ast) => self.declare_all(&ast.items)?,
            Expr::Tuple(ast) => self.declare_all(&ast.items)?,
            other => return self.error("`for` takes one or several names", other.span()),
        };
        let state = self.declare("loop");
        let filter = each.filter_expr.as_ref().map(|expr| self.expression(expr)).transpose()?;
        let body = self.statements(&each.body)?;
        let slots = first..self.slots;
        self.locals.truncate(outer);
        self.scope = outer_scope;
        let otherwise = self.statements(&each.else_body)?;
        Ok(Piece::For(Box::new(For { targets, state, slots, list, filter, body, otherwise })))
    }

    fn declare_all(&mut self, targets: &[Expr<'_>]) -> Lowered<Vec<usize>> {
        targets
            .iter()
            .map(|target| match target {
                Expr::Var(var) => Ok(self.declare(var.id)),
                other => self.error("`for` takes one or several names", other.span()),
            })
            .collect()
    }
}

fn comparison(op: CompareOpKind) -> Comparison {
    match op {
        CompareOpKind::Eq => Comparison::Equal,
        CompareOpKind::Ne => Comparison::Unequal,
        CompareOpKind::Lt => Comparison::Less,
        CompareOpKind::Lte => Comparison::LessOrEqual,
        CompareOpKind::Gt => Comparison::Greater,
        CompareOpKind::Gte => Comparison::GreaterOrEqual,
        CompareOpKind::In => Comparison::In,
        CompareOpKind::NotIn => Comparison::NotIn,
    }
}

fn span_of(statement: &Stmt<'_>) -> Span {
    match statement {
        Stmt::Template(inner) => inner.span(),
        Stmt::WithBlock(inner) => inner.span(),
        Stmt::SetBlock(inner) => inner.span(),
        Stmt::AutoEscape(inner) => inner.span(),
        Stmt::FilterBlock(inner) => inner.span(),
        Stmt::Do(inner) => inner.span(),
        _ => Span::default(),
    }
}
