//! What a virtual user's expressions can see: its variables in layers, the last answer, and where in the run it is.
//!
//! Inner layers hide outer ones: iteration over start over set-up over the profile's `vars` over the run's lists. A scope belongs to one user and
//! stays on its worker; what users share is behind one [`Arc`] that is only read. Variables are found by comparing numbers in
//! short vectors, so a lookup touches no shared cache line and an idle user costs three empty vectors.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Value;
use super::lists::Lists;
use super::message::MessageObject;
use super::names::Symbol;
use super::response::{Response, ResponseObject};
use super::secrets::secrets_of;
use super::shortfall::Shortfall;
use crate::base::random::Stream;
use crate::base::secrets::Searched;

/// What all users of one scenario share.
#[derive(Debug, Clone)]
pub struct ScenarioValues {
    /// The profile's seed.
    pub seed: u64,
    /// The scenario's number, a part of the key of its random streams.
    pub scenario: u64,
    /// This process's shard, from 0.
    pub shard: u64,
    /// `env`: a mapping of text.
    pub env: Value,
    /// The profile's `vars`.
    pub vars: Vec<(Symbol, Value)>,
    /// The variables that set-up left.
    pub setup: Vec<(Symbol, Value)>,
    /// What users remember, for the whole run.
    pub lists: Arc<Lists>,
    /// What `metric(name)` answers: this run's totals, once they are final.
    pub metrics: Option<BTreeMap<String, f64>>,
    /// What `lost(step)` answers: this run's totals, once they are final.
    pub lost: Option<BTreeMap<String, u64>>,
    /// By how much these may be off, and what else the run is compared with.
    pub shortfall: Arc<Shortfall>,
}

impl Default for ScenarioValues {
    fn default() -> Self {
        Self {
            seed: 0,
            scenario: 0,
            shard: 0,
            env: Value::from_pairs(std::iter::empty::<(String, Value)>()),
            vars: Vec::new(),
            setup: Vec::new(),
            lists: Arc::default(),
            metrics: None,
            lost: None,
            shortfall: Arc::default(),
        }
    }
}

/// How long a variable lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// For the user's life.
    Start,
    /// Until the iteration ends.
    Iteration,
}

/// One virtual user's names and values.
#[derive(Debug)]
pub struct Scope {
    pub(super) shared: Arc<ScenarioValues>,
    writes: Layer,
    start: Vec<(Symbol, Value)>,
    iteration: Vec<(Symbol, Value)>,
    indexes: Vec<u64>,
    response: Option<Arc<ResponseObject>>,
    message: Option<Arc<MessageObject>>,
    user: u64,
    number: u64,
    phase: Value,
    random: RefCell<Stream>,
}

fn find(variables: &[(Symbol, Value)], symbol: Symbol) -> Option<&Value> {
    variables.iter().find(|(name, _)| *name == symbol).map(|(_, value)| value)
}

/// Keys the stream of a user's `start`, which is not an iteration.
const START: u64 = u64::MAX;
/// Keys what choices draw from, less the choice's number; no user has such a number.
const CHOICES: u64 = u64::MAX - 1;
/// Keys the stream of a user's `stop`.
const STOP: u64 = u64::MAX - 1;

impl Scope {
    /// The scope of user `user`, counted from 0 over the whole run and all shards. It writes to [`Layer::Start`] until the first
    /// [`Scope::begin_iteration`].
    pub fn new(shared: Arc<ScenarioValues>, user: u64) -> Self {
        let random = Stream::keyed(&[shared.seed, shared.scenario, user, START]);
        Self {
            shared,
            writes: Layer::Start,
            start: Vec::new(),
            iteration: Vec::new(),
            indexes: Vec::new(),
            response: None,
            message: None,
            user,
            number: 0,
            phase: Value::UNDEFINED,
            random: RefCell::new(random),
        }
    }

    /// Forgets the last iteration's variables and answer; from here on variables last for this iteration.
    pub fn begin_iteration(&mut self, iteration: u64) {
        self.clear();
        self.writes = Layer::Iteration;
        self.number = iteration;
        self.random = RefCell::new(Stream::keyed(&[self.shared.seed, self.shared.scenario, self.user, iteration]));
    }

    /// Before (another attempt at) the scenario's `start`: forgets everything; from here on variables last for the user's life.
    pub fn begin_start(&mut self) {
        self.clear();
        self.start.clear();
        self.writes = Layer::Start;
    }

    /// The scope of one of several turns that are taken at the same time: it begins with all that is known here, and what it
    /// sets stays its own. Its random choices depend on the turn alone, and not on who takes it.
    pub fn fork(&self, seed: u64, index: u64) -> Self {
        Self {
            shared: self.shared.clone(),
            writes: self.writes,
            start: self.start.clone(),
            iteration: self.iteration.clone(),
            indexes: self.indexes.clone(),
            response: self.response.clone(),
            message: self.message.clone(),
            user: self.user,
            number: self.number,
            phase: self.phase.clone(),
            random: RefCell::new(Stream::keyed(&[seed, index])),
        }
    }

    /// The key of the order in which the scenario's choice of this number takes its branches.
    pub fn choice_key(&self, number: u32) -> [u64; 3] {
        [self.shared.seed, self.shared.scenario, CHOICES - u64::from(number)]
    }

    /// Before the scenario's `stop`: forgets the last iteration's variables and answer, and has a random stream of its own.
    pub fn begin_stop(&mut self) {
        self.clear();
        self.writes = Layer::Iteration;
        self.random = RefCell::new(Stream::keyed(&[self.shared.seed, self.shared.scenario, self.user, STOP]));
    }

    fn clear(&mut self) {
        self.iteration.clear();
        self.indexes.clear();
        self.response = None;
        self.message = None;
    }

    /// What `phase` names from here on.
    pub fn set_phase(&mut self, phase: &str) {
        if self.phase.as_str() != Some(phase) {
            self.phase = Value::from(phase);
        }
    }

    /// Sets a variable where the running part of the scenario writes.
    pub fn assign(&mut self, symbol: Symbol, value: Value) {
        self.set(self.writes, symbol, value);
    }

    /// Sets a variable in a layer of one's choice.
    pub fn set(&mut self, layer: Layer, symbol: Symbol, value: Value) {
        let layer = self.layer(layer);
        match layer.iter_mut().find(|(name, _)| *name == symbol) {
            Some((_, old)) => *old = value,
            None => layer.push((symbol, value)),
        }
    }

    /// Unsets a variable: reading it gives undefined, even where an outer layer has one of that name.
    pub fn unset(&mut self, symbol: Symbol) {
        self.assign(symbol, Value::UNDEFINED);
    }

    fn layer(&mut self, layer: Layer) -> &mut Vec<(Symbol, Value)> {
        match layer {
            Layer::Start => &mut self.start,
            Layer::Iteration => &mut self.iteration,
        }
    }

    /// Takes the variables of this scope's iteration and start, for instance what set-up leaves to everybody.
    pub fn take_variables(&mut self) -> Vec<(Symbol, Value)> {
        let mut variables = std::mem::take(&mut self.iteration);
        for (symbol, value) in std::mem::take(&mut self.start) {
            if find(&variables, symbol).is_none() {
                variables.push((symbol, value));
            }
        }
        variables
    }

    /// What is secret in a text, of all that can be read here: values under names of secrets, be it that of a variable (a token
    /// that a log-in gave), of a row's column, or of something within a mapping or a list.
    pub fn secrets(&self, text: &str) -> Vec<String> {
        let layers = [&self.iteration, &self.start, &self.shared.setup, &self.shared.vars];
        let (searched, mut secrets) = (Searched::new(text), Vec::new());
        for (symbol, value) in layers.into_iter().flatten() {
            secrets_of(value, symbol.naming(), &mut |secret| {
                if searched.may_hold(secret) {
                    secrets.push(secret.to_owned());
                }
            });
        }
        self.shared.lists.secrets(&searched, &mut secrets);
        secrets
    }

    /// `index` inside of a repetition, until [`Scope::pop_index`].
    pub fn push_index(&mut self, index: u64) {
        self.indexes.push(index);
    }

    /// Back to the repetition outside.
    pub fn pop_index(&mut self) {
        self.indexes.pop();
    }

    /// The user waits: of the last answer its bytes are kept, and nothing that was made of them.
    pub fn waits(&mut self) {
        if let Some(response) = self.response.as_mut().and_then(Arc::get_mut) {
            response.forget();
        }
    }

    /// The answer that `response` is from here on.
    pub fn set_response(&mut self, response: Response) {
        self.response = Some(Arc::new(ResponseObject::new(response)));
    }

    /// The last answer.
    pub fn response(&self) -> Option<&ResponseObject> {
        self.response.as_deref()
    }

    /// The message that `message` is from here on.
    pub fn set_message(&mut self, message: Option<Arc<MessageObject>>) {
        self.message = message;
    }

    /// The message that `message` is.
    pub fn message(&self) -> Option<&Arc<MessageObject>> {
        self.message.as_ref()
    }

    /// The user's number, from 0 over the whole run and all shards.
    pub fn user(&self) -> u64 {
        self.user
    }

    /// This iteration's stream of random choices.
    pub fn random(&self) -> RefMut<'_, Stream> {
        self.random.borrow_mut()
    }

    /// The number of the iteration that runs.
    pub fn iteration(&self) -> u64 {
        self.number
    }

    /// Whether a name has its value by the profile, whatever the run does.
    pub(super) fn is_given(&self, symbol: Symbol) -> bool {
        let built_in = [Symbol::USER, Symbol::ITERATION, Symbol::INDEX, Symbol::PHASE, Symbol::SHARD, Symbol::ENV];
        let of_run = [&self.iteration, &self.start, &self.shared.setup];
        built_in.contains(&symbol)
            || of_run.into_iter().all(|layer| find(layer, symbol).is_none()) && find(&self.shared.vars, symbol).is_some()
    }

    /// The value of a name; undefined if there is none.
    pub fn get(&self, symbol: Symbol) -> Value {
        match symbol {
            Symbol::RESPONSE => match &self.response {
                Some(response) => Value::from_dyn_object(response.clone()),
                None => ResponseObject::unanswered(),
            },
            Symbol::MESSAGE => self.message.clone().map_or(Value::UNDEFINED, Value::from_dyn_object),
            Symbol::USER => Value::from(self.user),
            Symbol::ITERATION => Value::from(self.number),
            Symbol::INDEX => self.indexes.last().map_or(Value::UNDEFINED, |index| Value::from(*index)),
            Symbol::PHASE => self.phase.clone(),
            Symbol::SHARD => Value::from(self.shared.shard),
            Symbol::ENV => self.shared.env.clone(),
            symbol => find(&self.iteration, symbol)
                .or_else(|| find(&self.start, symbol))
                .or_else(|| find(&self.shared.setup, symbol))
                .or_else(|| find(&self.shared.vars, symbol))
                .cloned()
                .or_else(|| self.shared.lists.get(symbol))
                .unwrap_or(Value::UNDEFINED),
        }
    }
}
