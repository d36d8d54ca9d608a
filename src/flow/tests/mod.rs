//! Flows of one user against a real server, with a sink that writes everything down.

mod control;
mod eventually;
mod failures;
mod parallel;
mod rhythm;
mod sessions;
mod steps;
mod timing;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;
use crate::base::trace::TraceId;
use crate::base::{Outcome, Protocol, Reason};
use crate::expr::{Compiler, Explanation, Extract, ListId, Names, ScenarioValues, Symbol, Value};
use crate::measure::{CheckId, ConnectTimes, GroupId, MessageId, Numbered, OwnId, Passed, Sample, StepId, Transfer};
use crate::net::testing::request;
use crate::protocol::Sent;
use crate::protocol::http::{Request, Spec};

/// How one iteration ended, which was due at `due`.
pub(super) async fn iterate<S: Sink>(flow: &Flow, user: &mut User, iteration: u64, due: Instant, sink: &S) -> End {
    user.begin_iteration(iteration);
    carry_out(flow, user, due, sink).await.0
}

/// Whether one iteration of these steps ended well, by an error or at a time limit.
pub(super) async fn outcome_of(steps: Vec<Step>, book: &Book) -> Outcome {
    let mut user = user();
    user.begin_iteration(0);
    carry_out(&Flow { steps }, &mut user, Instant::now(), book).await.1
}

/// A server that answers each path in its own way, on one thread of its own for as long as the test lives.
pub(super) struct Server {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Status, further headers and body for a path; nothing for a request that is never answered.
fn answer(path: &str) -> Option<String> {
    let (status, headers, body) = match path {
        "/never" => return None,
        "/missing" => (404, "", "nothing here"),
        "/broken" => (500, "", "oh no"),
        "/busy" => (429, "retry-after: 1\r\n", ""),
        "/vote" => (201, "x-ratelimit-remaining: 9\r\n", r#"{"id": "v7", "accepted": true, "ticket": "ticket=abc"}"#),
        _ => (200, "", r#"{"ok": true}"#),
    };
    Some(format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

async fn serve_one(mut stream: tokio::net::TcpStream, seen: Arc<Mutex<Vec<String>>>, arrived: Arc<Notify>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, body) = request(&mut stream, &mut buffer).await?;
        let line = head.lines().next()?;
        let path = line.split(' ').nth(1).unwrap().to_owned();
        seen.lock().unwrap().push(format!("{} {path} {body}", line.split(' ').next().unwrap()).trim_end().to_owned());
        arrived.notify_one();
        match answer(&path) {
            Some(text) => stream.write_all(text.as_bytes()).await.ok()?,
            None => std::future::pending().await,
        }
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (log, bell) = (seen.clone(), arrived.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_one(stream, log.clone(), bell.clone()));
            }
        });
        Self { url, seen, arrived, task }
    }

    /// The requests so far: method, path, body.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Until another request has arrived.
    pub(super) async fn arrival(&self) {
        self.arrived.notified().await;
    }
}

/// What was reported to a sink.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Sample(u32, Instant, Sample),
    Check(u32, Instant, bool),
    Group(u32, Instant, u64, Outcome),
    Connected,
    Unconnected(Option<Reason>),
    Undone(Vec<u32>),
    Disconnected(Option<Reason>),
    Count(u32, f64, Instant),
    Observe(u32, f64),
    Remember(u32, String),
    Failure(u32, Reason, u16, String, String),
    Session(u32, Outcome),
    Passed(Passed),
    Latency(u32, u64, bool),
    Numbered(u32, Numbered),
    Broken(String),
    Transfer(u32, Transfer),
    Lost(u32),
    Traced(u32, TraceId),
    Unheld(u32, String),
}

/// Writes everything down. Its gate can be shut.
#[derive(Default)]
pub(super) struct Book {
    pub(super) events: RefCell<Vec<Event>>,
    pub(super) shut: Cell<bool>,
    pub(super) over: Cell<bool>,
    pub(super) opened: Notify,
    pub(super) waiting: Notify,
    pub(super) slept_until: RefCell<Vec<Instant>>,
    pub(super) ended: Cell<bool>,
    pub(super) ending: Notify,
    hasty: Cell<bool>,
}

impl Book {
    /// Its pauses are over at once: when something is due is reckoned, and doesn't depend on the clock.
    pub(super) fn hasty() -> Self {
        let book = Self::default();
        book.hasty.set(true);
        book
    }

    fn report(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    pub(super) fn samples(&self) -> Vec<(u32, Instant, Sample)> {
        let events = self.events.borrow();
        events
            .iter()
            .filter_map(|event| if let Event::Sample(step, due, sample) = event { Some((*step, *due, *sample)) } else { None })
            .collect()
    }

    /// Outcome, reason and status of each sample.
    pub(super) fn outcomes(&self) -> Vec<(Outcome, Option<Reason>, u16)> {
        self.samples().iter().map(|(_, _, sample)| (sample.outcome, sample.reason, sample.status)).collect()
    }

    pub(super) fn checks(&self) -> Vec<(u32, bool)> {
        let events = self.events.borrow();
        events
            .iter()
            .filter_map(|event| if let Event::Check(id, _, passed) = event { Some((*id, *passed)) } else { None })
            .collect()
    }

    pub(super) fn has(&self, wanted: &Event) -> bool {
        self.events.borrow().contains(wanted)
    }

    /// What was counted, in order: the metric, by how much, and when.
    pub(super) fn counts(&self) -> Vec<(u32, f64, Instant)> {
        let events = self.events.borrow();
        events
            .iter()
            .filter_map(|event| if let Event::Count(id, by, at) = event { Some((*id, *by, *at)) } else { None })
            .collect()
    }

    /// The groups, how long they took, and how they ended.
    pub(super) fn groups(&self) -> Vec<(u32, Duration, Outcome)> {
        let events = self.events.borrow();
        let group = |event: &Event| match event {
            Event::Group(id, _, nanoseconds, outcome) => Some((*id, Duration::from_nanos(*nanoseconds), *outcome)),
            _ => None,
        };
        events.iter().filter_map(group).collect()
    }

    /// The words of the failures, whether they had samples or not.
    pub(super) fn details(&self) -> Vec<String> {
        let events = self.events.borrow();
        events
            .iter()
            .filter_map(|event| match event {
                Event::Failure(_, _, _, detail, _) | Event::Broken(detail) => Some(detail.clone()),
                _ => None,
            })
            .collect()
    }
}

impl Sink for Book {
    type Begun = ();

    fn sample(&self, step: StepId, due: Instant, sample: &Sample) {
        self.report(Event::Sample(step.0, due, *sample));
    }

    fn transfer(&self, step: StepId, _: Instant, transfer: &Transfer) {
        self.report(Event::Transfer(step.0, *transfer));
    }

    fn lost(&self, step: StepId, _: Instant) {
        self.report(Event::Lost(step.0));
    }

    fn credentials(&self, _: &Sent, _: &HeaderMap) {}

    fn secrets(&self, _: Vec<String>) {}

    fn traced(&self, step: StepId, _: Instant, _: &Sample, trace: TraceId) {
        self.report(Event::Traced(step.0, trace));
    }

    fn unheld(&self, check: CheckId, _: Instant, how: &dyn Fn() -> Explanation) {
        self.report(Event::Unheld(check.0, how().show(&crate::base::Secrets::default())));
    }

    fn check(&self, check: CheckId, due: Instant, passed: bool) {
        self.report(Event::Check(check.0, due, passed));
    }

    fn group(&self, group: GroupId, due: Instant, _: Instant, nanoseconds: u64, outcome: Outcome) {
        self.report(Event::Group(group.0, due, nanoseconds, outcome));
    }

    fn connected(&self, _: Protocol, _: Instant, _: Instant, _: &ConnectTimes) {
        self.report(Event::Connected);
    }

    fn undone(&self, _: Instant, checks: &[CheckId]) {
        self.report(Event::Undone(checks.iter().map(|check| check.0).collect()));
    }

    fn begins(&self, _: Work, _: Instant) {}

    fn ends(&self, _: Work, _: Instant, (): ()) {}

    fn unconnected(&self, _: Protocol, _: Instant, reason: Option<Reason>, _: Duration) {
        self.report(Event::Unconnected(reason));
    }

    fn disconnected(&self, _: Protocol, _: Instant, reason: Option<Reason>) {
        self.report(Event::Disconnected(reason));
    }

    fn session(&self, step: StepId, _: Instant, _: Duration, outcome: Outcome) {
        self.report(Event::Session(step.0, outcome));
    }

    fn passed(&self, _: StepId, _: Instant, passed: &Passed) {
        self.report(Event::Passed(*passed));
    }

    fn latency(&self, message: MessageId, _: Instant, nanoseconds: u64, skewed: bool) {
        self.report(Event::Latency(message.0, nanoseconds, skewed));
    }

    fn numbered(&self, message: MessageId, _: Instant, numbered: &Numbered) {
        self.report(Event::Numbered(message.0, *numbered));
    }

    fn count(&self, metric: OwnId, by: f64, at: Instant) {
        self.report(Event::Count(metric.0, by, at));
    }

    fn observe(&self, metric: OwnId, value: f64, _: Instant) {
        self.report(Event::Observe(metric.0, value));
    }

    fn remember(&self, list: ListId, value: Value) {
        self.report(Event::Remember(list.0, value.to_string()));
    }

    fn is_over(&self) -> bool {
        self.over.get()
    }

    fn failure(&self, step: StepId, _: Instant, failure: &Failure<'_>) {
        let body = String::from_utf8_lossy(failure.body).into_owned();
        self.report(Event::Failure(step.0, failure.reason, failure.status, failure.detail.to_owned(), body));
    }

    fn broken(&self, _: Instant, _: Reason, detail: &str) {
        self.report(Event::Broken(detail.to_owned()));
    }

    async fn sleep_until(&self, at: Instant) {
        self.slept_until.borrow_mut().push(at);
        if self.hasty.get() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep_until(at.into()).await;
        }
    }

    fn is_asked_to_end(&self) -> bool {
        self.ended.get()
    }

    async fn asked_to_end(&self) {
        while !self.ended.get() {
            self.ending.notified().await;
        }
    }

    async fn gate(&self, _: Instant) {
        while self.shut.get() {
            self.waiting.notify_one();
            self.opened.notified().await;
        }
    }
}

/// Makes steps, as a plan would.
pub(super) struct Maker {
    pub(super) compiler: Compiler,
    pub(super) names: Names,
    url: String,
    steps: u32,
}

impl Maker {
    pub(super) fn new(url: &str) -> Self {
        let mut names = Names::new().with_message();
        for name in ["a", "b", "id", "limit", "ticket", "never_set", "index"] {
            names.variable(name);
        }
        Self { compiler: Compiler::new(), names, url: url.to_owned(), steps: 0 }
    }

    pub(super) fn steps_so_far(&self) -> u32 {
        self.steps
    }

    pub(super) fn symbol(&mut self, name: &str) -> Symbol {
        self.compiler.symbol(name)
    }

    pub(super) fn expression(&mut self, text: &str) -> crate::expr::Expression {
        self.compiler.expression(text, &self.names).unwrap()
    }

    /// A GET of a path that may hold `{{ … }}`; steps are numbered from 0.
    pub(super) fn get(&mut self, path: &str) -> HttpStep {
        let url = self.compiler.template(&format!("{}{path}", self.url), &self.names).unwrap();
        let mut spec = Spec::new(http::Method::GET, url);
        spec.timeout = Duration::from_secs(60);
        let id = StepId(self.steps);
        self.steps += 1;
        HttpStep {
            trace: false,
            id,
            name: path.to_owned(),
            request: Request::new(spec).unwrap(),
            expect: Expect::default(),
            digests: Vec::new(),
            extract: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Adds checks, numbered from 0.
    pub(super) fn checking(&mut self, mut step: HttpStep, checks: &[&str]) -> HttpStep {
        step.checks = checks.iter().zip(0..).map(|(text, i)| (CheckId(i), self.expression(text))).collect();
        step
    }

    pub(super) fn set(&mut self, values: &[(&str, &str)]) -> Step {
        let values = values.iter().map(|(name, text)| {
            let symbol = self.compiler.symbol(name);
            (symbol, SetValue::Expression(self.compiler.expression(text, &self.names).unwrap()))
        });
        step(StepKind::Set(values.collect()))
    }

    pub(super) fn json(&mut self, value: &serde_json::Value) -> crate::expr::JsonTemplate {
        self.compiler.json(value, &self.names).unwrap()
    }

    /// A `count` of metric `metric` by what an expression gives.
    pub(super) fn count(&mut self, metric: u32, by: &str) -> Step {
        step(StepKind::Count(self.amounts(&[(metric, by)])))
    }

    pub(super) fn amounts(&mut self, amounts: &[(u32, &str)]) -> Amounts {
        amounts.iter().map(|(id, text)| (OwnId(*id), self.expression(text))).collect()
    }
}

pub(super) fn step(kind: StepKind) -> Step {
    Step { number: 1, kind, condition: None, on_error: OnError::EndIteration }
}

pub(super) fn http(http: HttpStep) -> Step {
    step(StepKind::Http(Box::new(http)))
}

pub(super) fn or_else(mut step: Step, on_error: OnError) -> Step {
    step.on_error = on_error;
    step
}

/// What the users of a run share, with room for a few kinds of messages.
pub(super) fn parts() -> UserParts {
    UserParts {
        shared: Arc::new(ScenarioValues { seed: 1, ..ScenarioValues::default() }),
        sequences: Arc::new(Sequences::new(4)),
    }
}

pub(super) fn flow<const N: usize>(steps: [Step; N]) -> Flow {
    Flow { steps: steps.into() }
}

/// So many turns, and nothing else said.
pub(super) fn repeat(times: u64, flow: Flow) -> Repeat {
    Repeat { times: Some(Times::Always(times)), condition: None, lasting: None, every: None, until_asked: false, users: 1, flow }
}

pub(super) fn think(length: Duration) -> Step {
    step(StepKind::Think(Think::Constant(length)))
}

/// Runs what waits for nothing, with a book that is [`Book::hasty`].
pub(super) fn at_once<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

pub(super) fn user() -> User {
    let mut user = User::new(4, &Arc::new(parts()));
    user.enter_phase("steady");
    user
}

/// One iteration, due now.
pub(super) async fn run(steps: Vec<Step>, book: &Book) -> (End, User) {
    let mut user = user();
    let end = iterate(&Flow { steps }, &mut user, 0, Instant::now(), book).await;
    (end, user)
}

pub(super) fn text(user: &User, symbol: Symbol) -> Option<String> {
    let value: Value = user.scope().get(symbol);
    (!value.is_undefined()).then(|| value.to_string())
}

pub(super) fn extract(symbol: Symbol, extract: Result<Extract, crate::expr::CompileError>) -> (Symbol, Extract) {
    (symbol, extract.unwrap())
}
