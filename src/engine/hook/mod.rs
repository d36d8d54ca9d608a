//! Set-up, verify and teardown: one flow, once for the whole run, by one user on a thread of its own.
//!
//! It has a deadline, at which what is under way is cut off. Asked to end before, it begins nothing new: what is on its way
//! comes in and is remembered, so that a teardown knows of all that a set-up made. Asked to end at once it is cut off.

mod sink;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use crate::base::Outcome;
use crate::base::units::nanos;
use crate::expr::{Cause, Layer, Symbol, Value};
use crate::flow::{self, End, Halt, User};
use crate::load::Share;
use crate::measure::{CheckId, Set, Store, Totals};
use crate::net::thread;
use crate::plan::{Hook, HookKind, Plan};
use crate::protocol::http;

use super::allocator::RowAllocator;
use super::examples::{ErrorExample, Examples};
use super::picker::{Picker, Who};
use super::pulse::BEAT;
use super::{Carried, Options};
use sink::HookSink;

/// What is to be done.
pub struct HookOrder {
    /// The plan; it has the hook.
    pub plan: Arc<Plan>,
    /// Where it is recorded.
    pub store: Arc<Store>,
    /// Which.
    pub kind: HookKind,
    /// How the run is carried out.
    pub options: Options,
    /// What came before.
    pub carried: Carried,
}

/// A hook under way.
pub struct HookRun {
    /// How it ended, once it has.
    pub end: oneshot::Receiver<HookEnd>,
    wish: watch::Sender<StopRequest>,
    set: Arc<Set>,
}

/// How a hook ended.
#[derive(Debug)]
pub struct HookEnd {
    /// When it began.
    pub started: SystemTime,
    /// When it was over.
    pub ended: SystemTime,
    /// How it went.
    pub how: HookHow,
    /// The variables that its steps set; for set-up: what all that follows can read.
    pub variables: Vec<(Symbol, Value)>,
    /// What it recorded.
    pub totals: Totals,
    /// How checks failed, each as what decides of it: the first time, or the first that less accounts for.
    pub unheld: Vec<(CheckId, String)>,
    /// What may account for the checks that failed.
    pub cause: Cause,
    /// Examples of its errors.
    pub examples: Vec<ErrorExample>,
}

/// How a hook went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookHow {
    /// All steps were done. A check may have failed, which the totals show.
    Completed,
    /// A check failed, and what followed was left out.
    CheckFailed,
    /// A step failed: which, and why.
    Failed(String),
    /// Checks of an `eventually` didn't hold in time, and nothing else failed: which, and why.
    Unheld(String),
    /// Its time was over.
    OutOfTime,
    /// It was asked to end before all was done.
    Stopped,
}

/// What a hook is wanted to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum StopRequest {
    GoOn,
    /// Begin nothing new.
    End,
    /// Be cut off.
    EndAtOnce,
}

impl HookRun {
    /// Begins nothing new: what is on its way comes in and is remembered.
    pub fn stop(&self) {
        self.wish(StopRequest::End);
    }

    /// Cuts it off.
    pub fn interrupt(&self) {
        self.wish(StopRequest::EndAtOnce);
    }

    fn wish(&self, wish: StopRequest) {
        self.wish.send_if_modified(|before| std::mem::replace(before, wish.max(*before)) < wish);
    }

    /// What it has recorded so far.
    pub fn totals(&self) -> Totals {
        self.set.totals()
    }
}

/// Begins a hook, recording into `order.store`.
///
/// # Errors
/// The plan has no such hook, or no thread or runtime can be had.
pub fn hook(order: HookOrder) -> io::Result<HookRun> {
    let phase = order.plan.hooks.get(order.kind).map(|hook| hook.phase);
    let phase = phase.ok_or_else(|| io::Error::other(format!("the profile has no `{}`", order.kind.label())))?;
    let set = order.store.open(phase);
    let (wish, wished) = watch::channel(StopRequest::GoOn);
    let (sender, end) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recording = set.clone();
    thread::start(order.kind.label().to_owned(), runtime, move |runtime| {
        let end = LocalSet::new().block_on(&runtime, carry_out(&order, &recording, wished));
        order.store.retire(recording);
        // Nobody waits for it any more: then nobody wants to know.
        let _ = sender.send(end);
    })?;
    Ok(HookRun { end, wish, set })
}

async fn carry_out(order: &HookOrder, set: &Arc<Set>, mut wished: watch::Receiver<StopRequest>) -> HookEnd {
    let (clock, began) = (order.carried.clock, Instant::now());
    let started = clock.wall(began);
    let examples = Rc::new(Examples::default());
    let mut end = HookEnd {
        started,
        ended: started,
        how: HookHow::Stopped,
        variables: Vec::new(),
        totals: Totals::empty(&order.plan.layout),
        unheld: Vec::new(),
        cause: Cause::default(),
        examples: Vec::new(),
    };
    let Some(hook) = order.plan.hooks.get(order.kind) else { return end };
    let sink = HookSink::new(order, hook, set.clone(), examples.clone(), wished.clone());
    let mut user = new_user(order, hook);
    let how = {
        let flow = flow::once(&hook.flow, &mut user, &sink);
        tokio::select! {
            biased;
            // Whoever could have asked for an end is gone: it is not wanted any more.
            _ = wished.wait_for(|wish| *wish == StopRequest::EndAtOnce) => HookHow::Stopped,
            done = flow => how(done, &sink),
            () = tokio::time::sleep(hook.timeout) => HookHow::OutOfTime,
            never = beat(&sink) => match never {},
        }
    };
    user.close(&sink);
    let outcome = match &how {
        HookHow::Completed => Outcome::Ok,
        HookHow::CheckFailed | HookHow::Failed(_) | HookHow::Unheld(_) => Outcome::Error,
        HookHow::OutOfTime => Outcome::Timeout,
        HookHow::Stopped => Outcome::Interrupted,
    };
    set.iteration(hook.scenario, nanos(began.elapsed()), outcome);
    order.carried.lists.publish();
    end.variables = user.take_variables();
    end.ended = clock.now();
    end.how = how;
    end.totals = set.totals();
    end.cause = sink.cause();
    end.unheld = sink.unheld();
    end.examples = examples.all();
    end
}

/// Has a pause be noticed.
async fn beat(sink: &HookSink) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(BEAT).await;
        sink.pulse.beat(Instant::now());
    }
}

fn new_user(order: &HookOrder, hook: &Hook) -> User {
    let parts = order.carried.shared(&order.plan, order.options, hook.scenario.index());
    let mut user = User::new(0, &Arc::new(parts));
    user.enter_phase(order.kind.label());
    if let Some(all) = super::pool::shared_connections(&hook.flow) {
        user.share(Rc::new(http::Pool::new(all)));
    }
    if !hook.rows.is_empty() {
        // None of them can run out: a plan has no hook that names such data.
        let (data, allocator) = (&order.plan.data, Arc::new(RowAllocator::new(&order.plan.data, 1)));
        let picker = Picker::new(data, order.plan.seed, allocator, order.carried.lists.clone(), Share::ALONE);
        let who = Who { scenario: hook.scenario.index() as u64, user: 0, iteration: Who::LIFE };
        picker.put(&hook.rows, None, who, Layer::Start, user.scope_mut());
    }
    user
}

fn how(done: Result<(), Halt>, sink: &HookSink) -> HookHow {
    match done {
        Ok(()) => HookHow::Completed,
        Err(Halt { end: End::CutShort, .. }) if sink.a_check_failed() => HookHow::CheckFailed,
        Err(Halt { end: End::CutShort, .. }) => HookHow::Stopped,
        Err(Halt { why, unheld: true, .. }) => HookHow::Unheld(why),
        Err(Halt { why, .. }) if why.is_empty() => HookHow::Failed("a step failed, and its user was to end".to_owned()),
        Err(Halt { why, .. }) => HookHow::Failed(why),
    }
}
