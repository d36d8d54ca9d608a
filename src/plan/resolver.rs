//! What all parts of resolving share: the profile, the compiler, and the problems found so far.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::bodies;
use super::calls::Calls;
use super::options::{Builtin, Options};
use super::types::Data;
use crate::base::names::nearest;
use crate::base::written::{Expr, Node, Text};
use crate::expr::{CompileError, Compiler, Expression, Names, Symbol, Template, Unknown, Value};
use crate::measure::StepId;
use crate::net::{HostPort, Route, RouteOptions, Tls, TlsOptions};
use crate::profile::{Diagnostic, Profile};

/// The state of resolving one profile.
pub(super) struct Resolver<'p> {
    pub profile: &'p Profile,
    pub options: Options,
    pub diagnostics: Vec<Diagnostic>,
    pub compiler: Compiler,
    /// Those of `vars` that no step sets anew.
    pub constants: Vec<(Symbol, Value)>,
    /// One for each way to do TLS, so that connections can be shared.
    pub tls: HashMap<TlsOptions, Arc<Tls>>,
    /// One for each way to a target, so that source addresses take turns.
    pub routes: HashMap<RouteOptions, Arc<Route>>,
    /// What requests send of who asks, and must not be shown.
    pub credentials: Vec<String>,
    /// The hosts of `connect_to`.
    pub moved: Vec<(HostPort, Node)>,
    /// Where source addresses are written.
    pub sources: Vec<(IpAddr, Node)>,
    /// Whether a request goes to the built-in target.
    pub uses_builtin: bool,
    /// The lists that steps fill, by [`crate::expr::ListId`].
    pub lists: Vec<(String, Symbol)>,
    /// The longest time limit of each step's requests.
    pub timeouts: BTreeMap<StepId, Duration>,
    /// The scenarios that others call.
    pub called: BTreeSet<usize>,
    /// Who calls whom.
    pub calls: Calls,
    /// Who calls the scenario whose steps are looked at, where it is one of these.
    pub call: Option<String>,
    /// Whether the text of the profile names the digest of an answer.
    pub names_sha256: bool,
    /// The requests whose answers' bodies are read by an expression.
    pub bodies: HashSet<Node>,
    /// The problems found so far, as they are compared.
    reported: HashSet<(String, Option<(usize, usize)>)>,
    /// Rows for virtual users, as far as they could be read.
    pub data: Vec<Data>,
    /// Of the files that they were read from.
    pub data_digest: u64,
}

impl<'p> Resolver<'p> {
    /// The only hosts that may be loaded, with that of the built-in target where that is used; none where all may be.
    pub(super) fn allowed_hosts(&self, builtin: bool) -> Option<Vec<HostPort>> {
        let list = self.profile.written.limits.as_ref()?.hosts.as_ref()?;
        let own = builtin.then(|| self.options.builtin.map_or_else(|| "127.0.0.1".into(), |target| target.http.ip().to_string()));
        // One that is none is reported once, with the limits.
        let hosts = list.0.iter().map(|host| host.source.clone()).chain(own);
        hosts.map(|host| HostPort::parse(&host)).collect::<Result<_, _>>().ok()
    }

    pub fn new(profile: &'p Profile, options: Options) -> Self {
        let calls = Calls::new(&profile.written);
        Self {
            profile,
            options,
            diagnostics: Vec::new(),
            compiler: Compiler::with_env(profile.env.iter().map(|(name, _)| name.to_owned())),
            constants: Vec::new(),
            tls: HashMap::new(),
            routes: HashMap::new(),
            credentials: Vec::new(),
            moved: Vec::new(),
            sources: Vec::new(),
            uses_builtin: false,
            lists: Vec::new(),
            timeouts: BTreeMap::new(),
            called: BTreeSet::new(),
            call: None,
            names_sha256: profile.tree.mentions("response.sha256"),
            bodies: bodies::read(profile, &calls),
            calls,
            reported: HashSet::new(),
            data: Vec::new(),
            data_digest: 0,
        }
    }

    /// Whether connections to this place lead to the built-in target.
    pub fn leads_inside(&self, to: Option<(&str, u16)>) -> bool {
        to.is_some_and(|(host, port)| self.uses_builtin && Builtin::is_at(self.options.builtin, host, port))
    }

    pub fn error(&mut self, at: Node, message: impl Into<String>) {
        self.push(self.profile.error(at, message));
    }

    /// Something that isn't there: it may have been, and not have been readable.
    pub fn lacking(&mut self, at: Node, message: impl Into<String>) {
        self.push(self.profile.error(at, message).consequent());
    }

    pub fn warn(&mut self, at: Node, message: impl Into<String>) {
        self.push(self.profile.warning(at, message));
    }

    /// An unknown name: what would have defined it may not have been readable.
    pub fn unknown<'a>(&mut self, at: Node, what: &str, name: &str, known: impl IntoIterator<Item = &'a str> + Clone) {
        let mut message = format!("there is no {what} `{name}`");
        let mut help = None;
        match nearest(name, known.clone()) {
            Some(near) => message = format!("{message}; did you mean `{near}`?"),
            None => {
                let mut names: Vec<&str> = known.into_iter().take(13).collect();
                if names.len() > 12 {
                    names[12] = "…";
                }
                if !names.is_empty() {
                    help = Some(format!("there are {}", names.join(", ")));
                }
            }
        }
        let mut diagnostic = self.profile.error(at, message);
        diagnostic.help = help;
        // Only a name that could have been lost.
        let damage = &self.profile.damage;
        diagnostic.consequent = match what {
            "scenario" => damage.lost("scenarios"),
            "phase" => damage.lost("phases"),
            "step" | "list" => damage.within("scenarios"),
            "metric" | "measurement" => damage.lost("metrics"),
            "value of the target" => damage.within("observe"),
            _ => false,
        };
        self.push(diagnostic);
    }

    /// Reports each problem once: defaults are looked at for every step that they go into.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let start = diagnostic.place.as_ref().map(|place| (Arc::as_ptr(&place.file).addr(), place.range.start));
        if self.reported.insert((diagnostic.message.clone(), start)) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// A mistake in a template or an expression, at its very place.
    pub fn compile_error(&mut self, at: Node, error: &CompileError) {
        let mut message = self.profile.redacted(at, &error.message);
        let place = self.profile.tree.part(at, part(&error.range));
        // A name that is unknown may have been set by a step that could not be read.
        let damage = &self.profile.damage;
        let lost = damage.within("scenarios") || damage.lost("vars") || damage.within("data") || damage.lost("metrics");
        let consequent = lost && error.unknown.is_some();
        if let Some(call) = self.call.as_ref().filter(|_| error.unknown == Some(Unknown::Name)) {
            message = format!("{message} ({call})");
        }
        self.push(Diagnostic { consequent, ..Diagnostic::error(place, message) });
    }

    /// The data that was named since this was asked last, by index.
    pub fn named_data(&mut self) -> Vec<usize> {
        let read = self.compiler.take_read();
        self.data.iter().enumerate().filter(|(_, data)| read.contains(&data.symbol)).map(|(index, _)| index).collect()
    }

    pub fn template(&mut self, text: &Text, names: &Names) -> Option<Template> {
        match self.compiler.template(&text.source, names) {
            Ok(template) => Some(template),
            Err(error) => {
                self.compile_error(text.at, &error);
                None
            }
        }
    }

    /// A URL or a part of one: what it has from `vars` is put in.
    pub fn url(&mut self, text: &Text, names: &Names) -> Option<Template> {
        self.template(text, names).map(|template| template.settled(&self.constants))
    }

    pub fn expression(&mut self, expr: &Expr, names: &Names) -> Option<Expression> {
        match self.compiler.expression(&expr.source, names) {
            Ok(expression) => Some(expression),
            Err(error) => {
                self.compile_error(expr.at, &error);
                None
            }
        }
    }
}

/// A range that has at least one byte, for the caret.
fn part(range: &Range<usize>) -> Range<usize> {
    range.start..range.end.max(range.start + 1)
}
